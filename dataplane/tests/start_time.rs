//! The real gateway starts on a directory like those that the start-time bench makes, small: with memory for all that is
//! in it, and with too little. A start loads all of it or answers from slices; it forgets nothing.
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
        sealed_count: 20_000,
        slices_count: 3,
        covered_count: 20_000,
        unsealed_count,
        segment_bytes: 4 << 20,
        first_id: Some(first_id()),
    };
    make(at, &plan).unwrap()
}

/// What `Flk-Dedup` says of the record. The directory made its digest up, so it is known when it is a conflict.
fn is_known(gateway: &Gateway) {
    let answer = gateway.post(&record());
    assert_eq!(answer.dedup(), Some("conflict"), "{answer:?}");
}

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
    let check = match memory {
        "1MiB" => is_known_from_a_slice,
        _ => is_known,
    };
    measure(&binary, at, &settings, check).unwrap()
}

fn said(measured: &Measured, text: &str) -> bool {
    measured.said.iter().any(|(_, line)| line.contains(text))
}

#[test]
fn a_start_loads_what_is_in_slices_and_in_the_log_behind_them_and_reads_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let made = made(directory.path(), 4_000);
    let measured = start(directory.path(), "64MiB");
    assert_eq!(measured.keys_count, 24_000, "{:?}", measured.said);
    assert!(said(&measured, "recovered 24000 live decisions"));
    // Each log has an open segment and a next one, which are searched to their ends. The first blocks of files and what the
    // process reads of /proc and the like are little beside it.
    let searched = 4 * (4 << 20);
    let needed = made.slices_bytes + made.unsealed_bytes + searched;
    let (read, covered) = (measured.read_bytes, made.covered_bytes);
    assert!(read < needed + (1 << 20), "{read} of {needed}, {covered}");
    assert!(measured.livez <= measured.ready);
}

#[test]
fn a_start_with_too_little_memory_becomes_ready_and_knows_everything() {
    side_by_side([4_000, 0], |unsealed_count| {
        let directory = tempfile::tempdir().unwrap();
        made(directory.path(), unsealed_count);
        for _ in 0..2 {
            let measured = start(directory.path(), "1MiB");
            assert!(said(&measured, "DEDUP_MEMORY_MAX allows 1048576"));
            assert!(measured.keys_count < 10_923, "{}", measured.keys_count);
        }
        let measured = start(directory.path(), "64MiB");
        assert!(!said(&measured, MEMORY), "{:?}", measured.said);
        assert_eq!(measured.keys_count, 20_000 + unsealed_count);
    });
}
