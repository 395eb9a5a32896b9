//! The manifest: every field comes back, every flipped bit is refused, every rule has its name.

use super::*;
use crate::wal::checksum::{crc, put};

fn extent(first: u64, last: u64) -> Extent {
    Extent {
        first: Sequence(first),
        last: Sequence(last),
        bytes: 8192,
        last_checksum: 6,
    }
}

fn segment(ordinal: u32, file: u64, state: SegmentState) -> SegmentEntry {
    SegmentEntry {
        ordinal,
        file,
        salt: 100 + file,
        generation: 3,
        state,
    }
}

fn log(start: u32, segments: Vec<SegmentEntry>) -> LogEntry {
    LogEntry {
        id: LogId { start, number: 7 },
        incarnation: [3; 16],
        ended_at: None,
        resolved_upto: Sequence(9),
        segments,
    }
}

pub(super) const CLOCK_BASE: ClockBase = ClockBase {
    base_s: 17,
    upto_start: 1,
};

pub(super) fn manifest() -> Manifest {
    let ended = LogEntry {
        ended_at: Some(LogEndMark {
            sequence: Sequence(4),
            checksum: 5,
        }),
        ..log(
            1,
            vec![
                segment(4, 1, SegmentState::Closed(extent(1, 3))),
                segment(5, 2, SegmentState::Last(extent(4, 4))),
            ],
        )
    };
    let open = log(
        2,
        vec![
            segment(0, 3, SegmentState::Closed(extent(1, 3))),
            segment(1, 4, SegmentState::Open),
            segment(2, 5, SegmentState::Next),
        ],
    );
    Manifest {
        installation: [1; 16],
        node: [2; 16],
        incarnation: [3; 16],
        secret: [4; 16],
        generation: 5,
        start: 2,
        clean_stop: true,
        clock: ClockMark {
            expiry_s: 6,
            wall_us: 7,
        },
        withheld_s: 8,
        next_file: 9,
        logs: vec![ended, open],
        gaps: vec![Gap {
            log: LogId {
                start: 1,
                number: 7,
            },
            from: Sequence(2),
            to: Sequence(3),
        }],
        preallocated: vec![6, 7],
        slices: vec![SliceEntry {
            file: 8,
            id: 10,
            decided_first: 11,
            decided_last: 12,
            expiry_max: 13,
            entries: 14,
            bytes: 15,
            checksum: 16,
            covers: vec![Cover {
                log: LogId {
                    start: 1,
                    number: 7,
                },
                upto: Sequence(4),
            }],
        }],
        sections: Sections {
            clock_base_of_format_1: Some(CLOCK_BASE),
            ..Sections::default()
        },
    }
}

/// Makes length and checksum right.
pub(super) fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 4;
    let length = bytes.len() as u32;
    put(&mut bytes, 20, &length.to_le_bytes());
    let checksum = crc(&bytes[..end]);
    put(&mut bytes, end, &checksum.to_le_bytes());
    bytes
}

#[test]
fn every_field_reads_back() {
    for manifest in [manifest(), Manifest::default()] {
        assert_eq!(Manifest::decode(&manifest.encode()).as_ref(), Ok(&manifest));
        assert_eq!(manifest.encoded_bytes(), manifest.encode().len());
    }
    assert_eq!(manifest().files(), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let whole = manifest().encode();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Manifest::decode(&flipped).is_err(), "bit {bit}");
    }
    for bytes in 0..whole.len() {
        assert!(Manifest::decode(&whole[..bytes]).is_err(), "cut at {bytes}");
    }
}

#[test]
fn a_list_that_is_cut_short_is_refused_even_where_the_checksum_is_right() {
    let whole = manifest().encode();
    for bytes in PREFIX_BYTES + 4..whole.len() {
        let cut = sealed(whole[..bytes].to_vec());
        assert!(Manifest::decode(&cut).is_err(), "cut at {bytes}");
    }
}

#[test]
fn a_newer_format_says_which_flk_it_takes() {
    let mut bytes = manifest().encode();
    bytes[8] = 3;
    put(&mut bytes, 12, &[1, 0, 4, 0, 2, 0]);
    let fault = Manifest::decode(&sealed(bytes)).unwrap_err();
    assert_eq!(
        fault,
        ManifestFault::Newer {
            version: 3,
            readable_since: [1, 4, 2]
        }
    );
    assert!(
        fault.to_string().contains("use flk 1.4.2 or later"),
        "{fault}"
    );
}

/// Closed segments of one log, as many as that.
fn of_segments(count: u32) -> Manifest {
    let before = Sequence::before_first(1);
    let closed = SegmentState::Closed(Extent {
        first: before,
        last: before,
        bytes: 8192,
        last_checksum: 1,
    });
    let segment = |ordinal| SegmentEntry {
        ordinal,
        file: u64::from(ordinal),
        salt: 1,
        generation: 1,
        state: closed,
    };
    Manifest {
        generation: 2,
        start: 1,
        next_file: u64::from(count),
        logs: vec![LogEntry {
            id: LogId {
                start: 1,
                number: 0,
            },
            incarnation: [0; 16],
            ended_at: None,
            resolved_upto: before,
            segments: (0..count).map(segment).collect(),
        }],
        ..Manifest::default()
    }
}

#[test]
fn the_longest_manifest_that_is_written_can_be_read_and_a_longer_one_is_refused() {
    let most = (MANIFEST_BYTES_MAX - of_segments(0).encoded_bytes()) / CLOSED_SEGMENT_BYTES;
    let longest = of_segments(most as u32);
    let bytes = longest.encode_within(MANIFEST_BYTES_MAX).unwrap();
    assert!(bytes.len() + CLOSED_SEGMENT_BYTES > MANIFEST_BYTES_MAX);
    assert!(Manifest::decode(&bytes) == Ok(longest));
    let longer = of_segments(most as u32 + 1);
    for bytes_max in [MANIFEST_BYTES_MAX, usize::MAX] {
        let refused = longer.encode_within(bytes_max);
        assert!(matches!(refused, Err(ManifestFault::TooLong { .. })));
    }
    assert!(Manifest::decode(&longer.encode()).is_err());
    assert_eq!(
        of_segments(1).encode_within(200),
        Err(ManifestFault::TooLong {
            bytes: of_segments(1).encode().len(),
            bytes_max: 200
        })
    );
}

#[test]
fn what_no_writer_writes_is_refused_by_name() {
    let closed = |file| segment(0, file, SegmentState::Closed(extent(1, 1)));
    let refused = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = manifest();
        change(&mut manifest);
        let written = manifest.encode_within(MANIFEST_BYTES_MAX);
        assert!(
            matches!(written, Err(ManifestFault::Field(_))),
            "nor written"
        );
        match Manifest::decode(&manifest.encode()) {
            Err(ManifestFault::Field(name)) => name,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&|m| m.start = START_LIMIT), "start number");
    assert_eq!(refused(&|m| m.start = 1), "log of a later start");
    assert_eq!(refused(&|m| m.preallocated.push(8)), "file number");
    assert_eq!(refused(&|m| m.next_file = 8), "file number");
    assert_eq!(
        refused(&|m| m.logs[1].segments[1].ordinal = 5),
        "order of segments"
    );
    assert_eq!(
        refused(&|m| m.logs[1].segments[0].state = SegmentState::Next),
        "order of segment states"
    );
    assert_eq!(
        refused(&|m| m.logs[1].segments[2].state = SegmentState::Open),
        "order of segment states"
    );
    assert_eq!(
        refused(&|m| m.logs[1].segments[2].generation = 6),
        "segment of a later generation"
    );
    assert_eq!(
        refused(&|m| m.logs[0].segments[1].state = SegmentState::Open),
        "open segment of an ended log"
    );
    assert_eq!(
        refused(&|m| m.logs[0].ended_at = None),
        "last segment of a log that has not ended"
    );
    assert_eq!(
        refused(&|m| {
            m.next_file = 10;
            m.logs.push(log(1, vec![closed(9)]));
        }),
        "log named twice"
    );
}

#[test]
fn a_gap_is_found_by_the_sequences_in_it() {
    let manifest = manifest();
    let log = LogId {
        start: 1,
        number: 7,
    };
    assert!(manifest.gap(log, Sequence(2)).is_some() && manifest.gap(log, Sequence(3)).is_some());
    assert!(manifest.gap(log, Sequence(1)).is_none() && manifest.gap(log, Sequence(4)).is_none());
    assert!(
        manifest
            .gap(
                LogId {
                    start: 2,
                    number: 7
                },
                Sequence(2)
            )
            .is_none()
    );
}
