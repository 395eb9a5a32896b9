//! Parse, signature, identity, verdict and outcome of a record allocate nothing once their room is warm.
#![allow(missing_docs, unsafe_code, clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use flk_contract::{
    KeySet, Params, Parser, Scheme, Scratch, SigningKey, SlopeCache, authenticate, check_identity,
    judge,
    outcome::{ENCODING, write_outcome},
};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting touches only a thread's own cell.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller promised a valid layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller promised that this pointer came from here with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller promised that this pointer came from here with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_record_allocates_nothing_in_the_steady_state() {
    for scheme in Scheme::ALL {
        let key = match scheme.to_string().starts_with("ed25519") {
            true => SigningKey::from_seed(scheme.form, &[7; 32]),
            false => SigningKey::from_text(scheme, common::SECRET).unwrap(),
        };
        let keys = KeySet::builder()
            .add_signing(&key)
            .unwrap()
            .build()
            .unwrap();
        let body = common::signed(&key);
        let (mut parser, mut scratch) = (Parser::new(), Scratch::new());
        let (mut cache, params) = (SlopeCache::new(), Params::default());
        let mut out = Vec::with_capacity(1024);
        let mut walk = || {
            let record = parser.parse(&body).unwrap();
            authenticate(&record, &keys, &mut scratch).unwrap();
            check_identity(&record).unwrap();
            let outcome = judge(&record, &params, &mut cache);
            out.clear();
            write_outcome(ENCODING, &outcome, record.pcs_id, &mut out).unwrap();
        };
        walk();
        walk();
        let before = COUNT.with(Cell::get);
        for _ in 0..100 {
            walk();
        }
        let after = COUNT.with(Cell::get);
        assert_eq!(after - before, 0, "{scheme}");
        assert!(before > 0, "the counter counts");
    }
}
