//! What a request may cost in the steady state, where noise changes nothing: allocations, entries of the kernel, bytes of the
//! log. Shards that are driven by hand first, then a shard under the real drivers.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests may unwrap as tests do

mod counting;
mod serving;

use counting::Watch;
use flk_bench_stages::by_hand::{ByHand, CONNECTIONS, Shape};
use flk_bench_stages::records::{forged_requests, requests};
use serving::{Kind, REQUESTS_PER_ROUND, Used};

/// Rounds before those that are watched, of new records and of duplicates each.
const WARM_UP_ROUNDS: usize = 200;
/// Rounds that are watched, of each kind.
const ROUNDS: usize = 200;

/// The table takes a page of memory at a time while it grows.
fn is_of_table(place: &str) -> bool {
    place.contains("dataplane/src/dedup/table/")
}

/// Fails where any of these places is not of the table, and where the table takes more than its pages.
fn assert_only_the_table(places: &[String], requests: usize, what: &str) {
    let others: Vec<&String> = places.iter().filter(|place| !is_of_table(place)).collect();
    assert!(
        others.is_empty(),
        "{what}: {} allocations for {requests} requests, the first in: {}",
        others.len(),
        others[0]
    );
    let per_mille = places.len() * 1000 / requests;
    eprintln!("{what}: {per_mille} allocations of the table for 1000 new ids");
    assert!(
        per_mille < TABLE_PER_MILLE_MAX,
        "{what}: {per_mille} allocations of the table for 1000 new ids"
    );
}

/// Allocations of the table for a thousand new ids while it is small. They become fewer with its size: partitions grow by a part
/// of themselves, in pages of 64 entries.
const TABLE_PER_MILLE_MAX: usize = 500;

fn allocations_by_hand(shape: Shape) {
    let watch = Watch::new();
    watch.this_thread();
    let per_round = CONNECTIONS as usize;
    let mut shards = ByHand::new(shape);
    let known = requests(0..u64::from(CONNECTIONS));
    let forged = forged_requests(0..u64::from(CONNECTIONS));
    let fresh = requests(1_000..1_000 + ((WARM_UP_ROUNDS + ROUNDS) * per_round) as u64);
    let (before, behind) = fresh.split_at(WARM_UP_ROUNDS * per_round);
    for round in before.chunks(per_round) {
        shards.round(round);
        shards.round(&known);
        shards.round(&forged);
    }
    let what = |of: &str| format!("{of}, {shape:?}");

    for (name, same) in [("duplicates", &known), ("bad signatures", &forged)] {
        let places = watch.during(|| (0..ROUNDS).for_each(|_| shards.round(same)));
        assert_eq!(places, [""; 0], "{}", what(name));
    }
    let answered_before = shards.answers.ok_count;
    let places = watch.during(|| behind.chunks(per_round).for_each(|it| shards.round(it)));
    let answered = (shards.answers.ok_count - answered_before) as usize;
    assert_eq!(answered, behind.len());
    assert_only_the_table(&places, answered, &what("new records"));
}

#[test]
fn a_shard_alone_allocates_nothing_per_request_but_pages_of_a_growing_table() {
    allocations_by_hand(Shape::Alone);
}

#[test]
fn a_share_of_the_log_changes_nothing_about_that() {
    allocations_by_hand(Shape::Share);
}

#[test]
fn nor_does_a_hop_to_the_owner_of_the_key_and_back() {
    allocations_by_hand(Shape::Hop);
}

#[test]
fn under_the_real_drivers_neither_kernel_entries_nor_log_bytes_nor_allocations_exceed_their_bounds()
{
    for kind in serving::kinds() {
        let used = serving::load(kind);
        let requests = used.requests;
        assert_eq!(requests, (ROUNDS * REQUESTS_PER_ROUND) as u64, "{kind:?}");
        // A round is one batch of what the first turn finds, one of all others, and their answers.
        let enters_max = match kind {
            Kind::Uring => ROUNDS as u64 * 16,
            Kind::Portable => 0,
        };
        let Used {
            enters, log_bytes, ..
        } = used;
        eprintln!(
            "{kind:?}: {enters} entries, {log_bytes} bytes of the log for {requests} requests"
        );
        assert!(
            enters <= enters_max,
            "{kind:?}: {enters} entries of the kernel for {requests} requests"
        );
        assert!(
            log_bytes <= requests * LOG_BYTES_MAX,
            "{kind:?}: {log_bytes} bytes of the log for {requests} requests"
        );
        let mut others = used.allocated_at;
        for (source, allocations_max) in OF_A_DRIVER {
            let before = others.len();
            others.retain(|place| !place.contains(source));
            let count = before - others.len();
            assert!(count <= allocations_max, "{kind:?}: {count} in {source}");
        }
        assert_only_the_table(&others, requests as usize, &format!("{kind:?}"));
    }
}

/// Where a driver allocates, and how often at most in all rounds.
const OF_A_DRIVER: [(&str, usize); 2] = [
    // The keeper learns with every 64th batch, and when the log was idle for 10 ms, how far bodies are resolved; its mailbox
    // takes memory with every 31st message.
    ("dataplane/src/driver/links.rs", ROUNDS / 8),
    // Buffers of answers are pooled: there are as many as were ever in use at a time, two for each connection.
    ("dataplane/src/driver/outgoing.rs", REQUESTS_PER_ROUND),
];

/// Bytes of the log for one record of the load, padding included.
const LOG_BYTES_MAX: u64 = 1000;
