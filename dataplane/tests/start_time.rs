//! The real gateway starts on a directory like those that the start-time bench makes, small: with memory for what no slice
//! has, and with too little. A start loads that and answers the rest from slices; it forgets nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests may unwrap as tests do

#[path = "../examples/start_time/directory.rs"]
mod directory;
#[path = "../examples/start_time/gateway.rs"]
mod gateway;

use directory::{HASH_KEY, Made, Plan, make};
use flk_dataplane::dedup::key::KeyHash;
use flk_testkit::gateway::Gateway;
use flk_testkit::golden;
use flk_testkit::hex::unhex_array;
use flk_testkit::metrics::Metrics;
use flk_testkit::records::KEY;
use flk_testkit::side_by_side;
use gateway::{Measured, measure};
use serde_json::Value;
use std::path::{Path, PathBuf};

const MEMORY: &str = "DEDUP_MEMORY_MAX";
const SEALED: u64 = 40_000;
/// More than a start holds at a time with the least memory.
const UNSEALED: u64 = 5_000;

fn record() -> Vec<u8> {
    golden::bytes("records/seed_min.json")
}

/// The id of the record, which was decided long ago by the directory's own account. Its key lies where a start with too
/// little memory does not get to.
fn first_id() -> [u8; 32] {
    let record: Value = serde_json::from_slice(&record()).unwrap();
    let text = record["pcs_id"].as_str().unwrap();
    let partition = KeyHash::new(HASH_KEY).key("default", text).partition();
    assert!(partition % 512 > 400, "{partition}");
    unhex_array(text)
}

fn made(at: &Path, unsealed_count: u64) -> Made {
    let plan = Plan {
        sealed_count: SEALED,
        slices_count: 3,
        covered_count: SEALED,
        unsealed_count,
        segment_bytes: 4 << 20,
        record: None,
        first_id: Some(first_id()),
    };
    make(at, &plan).unwrap()
}

/// What `Flk-Dedup` says of the record. The directory made its digest up, so it is known when it is a conflict.
fn is_known(gateway: &Gateway) {
    let answer = gateway.post(&record());
    assert_eq!(answer.dedup(), Some("conflict"), "{answer:?}");
}

/// Of each key a slice has less than two bytes in memory, and some kilobytes of its own.
const FILTERS_BYTES: u64 = SEALED * 2 + 3 * 200_000;

/// As [`is_known`], and the metrics say that a slice was read for it.
fn is_known_from_a_slice(gateway: &Gateway) {
    is_known(gateway);
    let page = Metrics::read(gateway.get("/metrics").text());
    assert_ne!(page.count("flk_slice_reads_total"), 0);
}

fn start(at: &Path, memory: &str) -> Measured {
    let settings = [
        (MEMORY, memory.to_owned()),
        ("PCS_HMAC_KEY", KEY.to_owned()),
        ("WAL_SEGMENT_BYTES", "4MiB".to_owned()),
    ];
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_flk-dataplane"));
    measure(&binary, at, &settings, is_known_from_a_slice).unwrap()
}

fn said(measured: &Measured, text: &str) -> bool {
    measured.said.iter().any(|(_, line)| line.contains(text))
}

#[test]
fn a_start_loads_the_log_behind_the_slices_and_reads_of_these_what_keys_are_found_by() {
    let directory = tempfile::tempdir().unwrap();
    let made = made(directory.path(), UNSEALED);
    let measured = start(directory.path(), "64MiB");
    assert_eq!(measured.keys_count, UNSEALED, "{:?}", measured.said);
    let line = format!("recovered {UNSEALED} live decisions");
    assert!(said(&measured, &line) && said(&measured, "40000 more are in slices"));
    // Each log has an open segment and a next one, which are searched to their ends. The first blocks of files, the blocks
    // that filters let pass and what the process reads of /proc and the like are little beside it.
    let searched = 4 * (4 << 20);
    let needed = FILTERS_BYTES + made.unsealed_bytes + searched + (1 << 20);
    let (read, slices) = (measured.read_bytes, made.slices_bytes);
    assert!(read < needed, "{read} of {needed}; slices of {slices}");
    assert!(slices > FILTERS_BYTES + (2 << 20), "{slices} would show");
    assert!(measured.livez <= measured.ready);
}

#[test]
fn a_start_with_too_little_memory_becomes_ready_and_knows_everything() {
    side_by_side([UNSEALED, 0], |unsealed_count| {
        let directory = tempfile::tempdir().unwrap();
        made(directory.path(), unsealed_count);
        let measured = start(directory.path(), "1MiB");
        let is_short = said(
            &measured,
            "DEDUP_MEMORY_MAX of 2097152 bytes, and it is 1048576",
        );
        assert_eq!(is_short, unsealed_count > 0, "{:?}", measured.said);
        assert_eq!(measured.keys_count, 0);
        // What was sealed then, or before, is no matter of memory.
        let measured = start(directory.path(), "1MiB");
        assert!(!said(&measured, MEMORY), "{:?}", measured.said);
        assert_eq!(measured.keys_count, 0);
        let sealed = SEALED + unsealed_count;
        assert!(said(&measured, &format!("{sealed} more are in slices")));
    });
}
