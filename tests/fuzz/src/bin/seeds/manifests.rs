//! A manifest in which every list has something.

use super::{LOG, sequence};
use flk_dataplane::wal::manifest::{
    ClockBase, ClockMark, Cover, Extent, Gap, Hold, LogEndMark, LogEntry, LogUpto, Manifest,
    RestoredFrom, Sections, SegmentEntry, SegmentState, SliceEntry,
};
use flk_dataplane::wal::name::{LogId, Sequence};

/// A log that has ended, and one that was named and never written.
fn logs() -> Vec<LogEntry> {
    let extent = Extent {
        first: sequence(1),
        last: sequence(2),
        bytes: 12_288,
        last_checksum: 1,
    };
    let entry = |ordinal: u32, state| SegmentEntry {
        ordinal,
        file: u64::from(ordinal) + 1,
        salt: 0x5A17 + u64::from(ordinal),
        generation: 9,
        state,
    };
    vec![
        LogEntry {
            id: LOG,
            incarnation: [2; 16],
            ended_at: Some(LogEndMark {
                sequence: sequence(2),
                checksum: 1,
            }),
            resolved_upto: sequence(2),
            segments: vec![entry(0, SegmentState::Closed(extent))],
        },
        LogEntry {
            id: LogId {
                start: 4,
                number: 0,
            },
            incarnation: [2; 16],
            ended_at: None,
            resolved_upto: Sequence::before_first(4),
            segments: vec![entry(0, SegmentState::Next), entry(1, SegmentState::Next)],
        },
    ]
}

/// A manifest with something in each of its lists.
pub(crate) fn manifest() -> Manifest {
    Manifest {
        installation: [1; 16],
        node: [4; 16],
        incarnation: [2; 16],
        secret: [5; 16],
        generation: 9,
        start: 4,
        clean_stop: true,
        clock: ClockMark {
            expiry_s: 1_000,
            wall_us: 1_760_000_000_000_000,
        },
        withheld_s: 1,
        next_file: 20,
        logs: logs(),
        gaps: vec![Gap {
            log: LOG,
            from: sequence(3),
            to: sequence(4),
        }],
        preallocated: vec![11, 12],
        slices: vec![SliceEntry {
            file: 10,
            id: 77,
            decided_first: 1,
            decided_last: 2,
            expiry_max: 3,
            entries: 4,
            bytes: 8_192,
            checksum: 5,
            covers: vec![Cover {
                log: LOG,
                upto: sequence(1),
            }],
        }],
        sections: sections(),
    }
}

/// All kinds of sections that this version writes.
fn sections() -> Sections {
    let done = vec![LogUpto {
        log: LOG,
        upto: sequence(1),
    }];
    Sections {
        clock_base_of_format_1: Some(ClockBase {
            base_s: 17,
            upto_start: 1,
        }),
        holds: vec![Hold {
            name: "backup".to_owned(),
            owner: "the nightly backup".to_owned(),
            bytes_max: 1 << 40,
            age_max_s: 86_400,
            made_at_s: 7,
            moved_at_s: 8,
            done: done.clone(),
        }],
        restored_from: Some(RestoredFrom {
            incarnation: [6; 16],
            taken: done,
        }),
        ..Sections::default()
    }
}
