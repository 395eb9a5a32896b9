//! The steady state of a shard allocates nothing per request: a counting allocator watches a shard that is driven by hand.
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap as tests do

mod by_hand;

use by_hand::{ByHand, CONNECTIONS, requests};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches no memory of its own.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller promised what `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller promised what `System` asks for.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller promised what `System` asks for.
        unsafe { System.realloc(memory, layout, bytes) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn duplicates_cost_no_allocation_and_new_ids_only_the_growth_of_the_table() {
    let mut shard = ByHand::new(None);
    let known = requests(0..u64::from(CONNECTIONS));
    let fresh = requests(1_000..1_000 + 400 * u64::from(CONNECTIONS));
    let rounds: Vec<_> = fresh.chunks(CONNECTIONS as usize).collect();
    for round in &rounds[..200] {
        shard.round(round);
        shard.round(&known);
    }

    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..200 {
        shard.round(&known);
    }
    let duplicates = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!(
        duplicates,
        0,
        "allocations for {} duplicates",
        200 * CONNECTIONS
    );

    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let answered_before = shard.answered_200;
    for round in &rounds[200..] {
        shard.round(round);
    }
    let answered = shard.answered_200 - answered_before;
    assert_eq!(answered, 200 * u64::from(CONNECTIONS));
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert!(
        allocated < answered,
        "{allocated} allocations for {answered} new ids: only a partition that grows may allocate"
    );
    eprintln!("{allocated} allocations for {answered} new ids");
}
