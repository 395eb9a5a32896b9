//! Findings about disks, by figures that stand for one.

use super::*;
use crate::doctor::finding::Level;

fn times(us: &[u64]) -> Vec<Duration> {
    us.iter().map(|&us| Duration::from_micros(us)).collect()
}

#[test]
fn shares_are_taken_of_sorted_times() {
    let all: Vec<u64> = (0..=100).collect();
    assert_eq!(at(&times(&all), 0.5), Duration::from_micros(50));
    assert_eq!(at(&times(&all), 0.99), Duration::from_micros(99));
    assert_eq!(at(&[], 0.5), Duration::ZERO);
}

#[test]
fn a_slow_flush_is_a_warning_whether_it_is_always_slow_or_at_times() {
    assert_eq!(flush(&times(&[90; 200])).level, Level::Ok);
    assert_eq!(flush(&times(&[6_000; 200])).level, Level::Warn);
    let mut at_times = vec![90; 190];
    at_times.extend([30_000; 10]);
    assert_eq!(flush(&times(&at_times)).level, Level::Warn);
}

#[test]
fn a_turning_disk_that_flushes_too_fast_is_a_warning() {
    let device = |has_write_cache, is_rotating| {
        Some(Device {
            name: "sda".to_owned(),
            has_write_cache,
            is_rotating,
        })
    };
    let judged = |us: u64, device| {
        let found = power_loss(&times(&[us; 9]), device);
        (found.level, found.is_known)
    };
    assert_eq!(judged(300, device(true, true)), (Level::Warn, true));
    // What is inferred from the time alone is a guess.
    assert_eq!(judged(8_000, device(true, true)), (Level::Ok, false));
    assert_eq!(judged(60, device(true, false)), (Level::Ok, false));
    assert_eq!(judged(60, device(false, false)), (Level::Ok, true));
    assert_eq!(judged(60, None), (Level::Ok, false));
}

#[test]
fn room_is_judged_by_bytes_and_by_files() {
    assert_eq!(free(1 << 30).level, Level::Ok);
    assert_eq!(free((1 << 30) - 1).level, Level::Warn);
    assert_eq!(files(None).level, Level::Ok);
    assert_eq!(files(Some(1_000)).level, Level::Ok);
    assert_eq!(files(Some(999)).level, Level::Fail);
    assert_eq!(log_room(Err("too small".to_owned())).level, Level::Fail);
    assert_eq!(log_room(Ok("4 MiB each".to_owned())).level, Level::Ok);
    assert_eq!(
        log_room(Ok("4 MiB each; WARNING: less".to_owned())).level,
        Level::Warn
    );
}

#[test]
fn the_part_of_the_path_that_is_there_is_looked_at_and_nothing_is_left_there() {
    let root = tempfile::tempdir().unwrap();
    let wal_dir = root.path().join("data/wal");
    assert_eq!(nearest(&wal_dir), root.path());
    let settings = |name: &str| match name {
        "PCS_HMAC_KEY" => Some("0123456789abcdef0123456789abcdef".to_owned()),
        "WAL_DIR" => Some(wal_dir.to_string_lossy().into_owned()),
        _ => None,
    };
    let config = Config::from_env(&settings).unwrap();
    let findings = check(&Host::this(), &config, 1);
    assert_eq!(findings[0].check, "directory");
    assert!(
        findings[0].found.contains("is not there yet"),
        "{findings:?}"
    );
    assert!(findings.iter().any(|it| it.check == "flush"));
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_path_that_is_no_directory_is_a_failure_with_what_to_change() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = open(&file).unwrap_err();
    let failure = unusable(&file, &error);
    assert_eq!(failure.level, Level::Fail);
    assert!(!failure.found.contains("os error"), "{}", failure.found);
    assert!(!failure.fixes.is_empty());
}
