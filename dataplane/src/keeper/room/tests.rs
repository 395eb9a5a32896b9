//! The sums of room: what a start needs, what is short, what is to be freed, and how fast the log grows.

use super::*;
use crate::keeper::tests::world;
use crate::wal::manifest::{LogEndMark, LogEntry};
use crate::wal::name::{LogId, Sequence};

/// A manifest with so many logs that have not ended and that have.
fn manifest(live: u16, ended: u16) -> Manifest {
    let log = |number| LogEntry {
        id: LogId { start: 1, number },
        incarnation: [1; 16],
        ended_at: (number >= live).then_some(LogEndMark {
            sequence: Sequence(0),
            checksum: 0,
        }),
        resolved_upto: Sequence(0),
        segments: Vec::new(),
    };
    Manifest {
        logs: (0..live + ended).map(log).collect(),
        ..Manifest::default()
    }
}

#[test]
fn a_start_needs_what_it_writes_for_each_live_log_and_for_each_new_one() {
    let config = world::config(2);
    let of = |live, ended, preallocated| {
        let manifest = manifest(live, ended);
        let manifest_bytes = 2 * manifest.encoded_bytes() as u64;
        start_bytes(&manifest, &config, preallocated) - manifest_bytes
    };
    // Its last batch again, in a segment of 256 KiB; a block before it and one behind; its part of the manifest.
    let per_log = (256 << 10) + 2 * 4096 + 512;
    assert_eq!(of(5, 0, 0) - of(4, 0, 0), per_log);
    assert_eq!(
        of(4, 3, 0),
        of(4, 0, 0),
        "what has ended is not written again"
    );
    assert_eq!(of(1, 0, 0), of(2, 0, 0), "as many logs as shards may live");
    // Two shards: a first segment each, unless there is a preallocated segment, and what the file system takes.
    let rest = of(2, 0, 2) - 2 * per_log;
    assert_eq!(rest, 2 * 512 + (64 << 10) + 2 * (16 << 10));
    assert_eq!(of(2, 0, 1) - of(2, 0, 2), 256 << 10);
    assert_eq!(of(2, 0, 0) - of(2, 0, 1), 256 << 10);
    assert_eq!(of(2, 0, 3), of(2, 0, 2));
}

/// 1,000 bytes must stay free, 900 of them for a start and a slice, and WAL_DIR may take 5,000; 70 are wanted ahead.
fn report(free_bytes: u64, used_bytes: u64) -> SpaceReport {
    SpaceReport {
        total_bytes: 10_000,
        free_is_stale: false,
        free_bytes,
        used_bytes,
        start_bytes: 600,
        slice_bytes: 300,
        reserve_bytes: 1_000,
        cap_bytes: 5_000,
        ahead_bytes: 70,
    }
}

#[test]
fn room_is_short_from_the_first_byte_below_the_reserve_or_above_the_cap() {
    for (free_bytes, used_bytes, expect) in [
        (1_000, 5_000, None),
        (999, 5_000, Some(Shortage::Disk)),
        (1_000, 5_001, Some(Shortage::Cap)),
        (999, 5_001, Some(Shortage::Disk)),
    ] {
        let report = report(free_bytes, used_bytes);
        assert_eq!(report.shortage(), expect, "{free_bytes} {used_bytes}");
    }
}

#[test]
fn what_is_to_be_freed_is_what_lacks_of_reserve_and_cap_with_the_growth_ahead() {
    for (free_bytes, used_bytes, fresh_bytes, stale_bytes) in [
        (1_070, 4_930, 0, 0),
        (1_069, 4_930, 1, 0),
        (1_070, 4_931, 1, 1),
        (1_000, 4_932, 70, 2),
        (0, 5_000, 1_070, 70),
        (1_060, 5_000, 70, 70),
    ] {
        let mut report = report(free_bytes, used_bytes);
        assert_eq!(report.wanting_bytes(), fresh_bytes);
        report.free_is_stale = true;
        assert_eq!(report.wanting_bytes(), stale_bytes);
    }
}

#[test]
fn a_new_segment_leaves_a_start_and_the_slice_their_room_and_keeps_the_cap() {
    for (new_bytes, free_bytes, used_bytes, expect) in [
        (100, 1_000, 4_900, None),
        (100, 999, 4_900, Some(Shortage::Disk)),
        (100, 1_000, 4_901, Some(Shortage::Cap)),
        // A preallocated segment takes no more than it does already.
        (0, 900, 6_000, None),
        (0, 899, 6_000, Some(Shortage::Disk)),
    ] {
        let report = report(free_bytes, used_bytes);
        let found = report.shortage_with(new_bytes, 600);
        assert_eq!(found, expect, "{new_bytes} {free_bytes} {used_bytes}");
        let more_for_the_start = report.shortage_with(new_bytes, 600 + free_bytes);
        assert_eq!(more_for_the_start, Some(Shortage::Disk));
    }
}

#[test]
fn the_pace_is_what_was_named_a_second_and_a_peak_is_forgotten_by_an_eighth_a_look() {
    let mut pace = Pace::default();
    pace.named(500);
    pace.named(300);
    pace.look(999_999);
    assert_eq!(pace.bytes_per_s, 0, "not a second yet");
    pace.look(1_000_000);
    assert_eq!(pace.bytes_per_s, 800);
    pace.look(1_999_999);
    assert_eq!(pace.bytes_per_s, 800);
    pace.look(2_000_000);
    assert_eq!(pace.bytes_per_s, 700);
    pace.named(3_000);
    pace.look(5_000_000);
    assert_eq!(pace.bytes_per_s, 1_000, "over three seconds");
    pace.look(6_000_000);
    assert_eq!(pace.bytes_per_s, 875);
}
