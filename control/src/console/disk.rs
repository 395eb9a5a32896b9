//! The files of the log as a map: what each is, how long, from when to when, and which is deleted next. It comes from the
//! manifest, from the first batch of each segment, and from the gateway's own answer. It changes nothing.

use super::wal_dir::{Room, WalDir};
use flk_dataplane::wal::batch::BatchHeader;
use flk_dataplane::wal::buffer::BLOCK_BYTES;
use flk_dataplane::wal::files::{MANIFEST, NumberedFile};
use flk_dataplane::wal::manifest::{
    ClockMark, Extent, LogEntry, Manifest, SegmentEntry, SegmentState, SliceEntry,
};
use flk_dataplane::wal::name::{LogId, Sequence};
use flk_dataplane::wal::scan::ReadAt;
use serde::Serialize;
use std::collections::HashMap;

/// First batches that are read for one map; the next one has more.
const READS_MAX: usize = 1000;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Segment,
    Packed,
    Slice,
    Manifest,
    Other,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It is written, or will be next.
    Open,
    /// It is written no more, and its decisions are in no slice yet.
    Closed,
    /// All of its decisions are in slices.
    Sealed,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct File {
    name: String,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<u16>,
    bytes: u64,
    first_ms: Option<u64>,
    last_ms: Option<u64>,
    state: State,
    /// Ids in a slice.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<u64>,
}

/// The map.
#[derive(Debug, Serialize)]
pub struct Map {
    cap_bytes: Option<u64>,
    free_bytes: Option<u64>,
    used_bytes: u64,
    horizon_s: Option<u64>,
    horizon_max_s: Option<u64>,
    files: Vec<File>,
    deleted_next: Option<String>,
}

/// The beginning of a segment.
#[derive(Clone, Copy, Debug, Default)]
struct Beginning {
    /// When its first batch was written; none: it has none yet, or it cannot be read.
    first_ms: Option<u64>,
    /// Length of the file.
    bytes: u64,
}

/// The beginnings of segments by the number of their file. A segment never changes there.
#[derive(Debug, Default)]
pub struct Beginnings(HashMap<u64, Beginning>);

impl Beginnings {
    /// Reads those that are not known, as many as one map may.
    fn learn(&mut self, directory: &WalDir, manifest: &Manifest) {
        let segments = manifest.logs.iter().flat_map(|log| &log.segments);
        let there: HashMap<u64, &SegmentEntry> = segments.map(|it| (it.file, it)).collect();
        self.0.retain(|file, _| there.contains_key(file));
        let unknown = there.values().filter(|entry| {
            let is_written = entry.state.extent().is_none();
            match (entry.state, self.0.get(&entry.file)) {
                (SegmentState::Packed(..), _) => false,
                (_, None) => true,
                // One that is written may have its first batch by now.
                (_, Some(known)) => is_written && known.first_ms.is_none(),
            }
        });
        let unknown: Vec<&SegmentEntry> = unknown.take(READS_MAX).copied().collect();
        for entry in unknown {
            self.0.insert(entry.file, beginning(directory, entry));
        }
    }

    fn of(&self, entry: &SegmentEntry) -> Beginning {
        self.0.get(&entry.file).copied().unwrap_or_default()
    }
}

fn beginning(directory: &WalDir, entry: &SegmentEntry) -> Beginning {
    let Ok(file) = directory.open(NumberedFile::Segment(entry.file)) else {
        return Beginning::default();
    };
    let block = file.read(BLOCK_BYTES as u64, BLOCK_BYTES);
    let header = block.ok().and_then(|it| BatchHeader::decode(&it).ok());
    // What another segment left in the file is none of this one.
    let header = header.filter(|it| it.fields.salt == entry.salt);
    Beginning {
        first_ms: header.map(|it| it.fields.wall_us / 1000),
        bytes: file.bytes(),
    }
}

/// The map of a directory.
///
/// # Errors
/// It cannot be read, in words.
pub fn map(directory: &WalDir, known: &mut Beginnings) -> Result<Map, String> {
    let manifest = directory.manifest()?;
    known.learn(directory, &manifest);
    let room = directory.room();
    Ok(of_manifest(&manifest, known, room.as_ref()))
}

fn of_manifest(manifest: &Manifest, known: &Beginnings, room: Option<&Room>) -> Map {
    let mut files: Vec<File> = manifest
        .logs
        .iter()
        .flat_map(|log| segments(manifest, log, known))
        .collect();
    let deleted_next = deleted_next(&files);
    files.extend(manifest.slices.iter().map(|it| slice(it, manifest.clock)));
    files.push(File {
        name: MANIFEST.to_owned(),
        kind: Kind::Manifest,
        shard: None,
        bytes: manifest.encoded_bytes() as u64,
        first_ms: None,
        last_ms: Some(manifest.clock.wall_us / 1000),
        state: State::Open,
        keys: None,
    });
    let named_bytes = files.iter().map(|it| it.bytes).sum();
    Map {
        cap_bytes: room.map(|it| it.cap_bytes),
        free_bytes: room.map(|it| it.free_bytes),
        used_bytes: room.map_or(named_bytes, |it| it.used_bytes),
        horizon_s: room.and_then(|it| it.horizon_s),
        horizon_max_s: room.map(|it| it.horizon_s_max),
        files,
        deleted_next,
    }
}

/// Up to where all decisions of a log are in slices.
fn sealed_upto(manifest: &Manifest, log: LogId) -> Option<Sequence> {
    let covers = manifest.slices.iter().flat_map(|it| &it.covers);
    covers.filter(|it| it.log == log).map(|it| it.upto).max()
}

fn segments(manifest: &Manifest, log: &LogEntry, known: &Beginnings) -> Vec<File> {
    let sealed = sealed_upto(manifest, log.id);
    let is_sealed = |extent: &Extent| sealed.is_some_and(|upto| extent.last <= upto);
    let mut files: Vec<File> = Vec::new();
    for entry in &log.segments {
        let Beginning { first_ms, bytes } = known.of(entry);
        // A segment ends where the next one begins.
        if let Some(before) = files.last_mut()
            && before.state != State::Open
        {
            before.last_ms = first_ms.or(before.first_ms);
        }
        files.push(File {
            name: NumberedFile::Segment(entry.file).to_string(),
            kind: match entry.state {
                SegmentState::Packed(..) => Kind::Packed,
                SegmentState::Next => Kind::Other,
                _ => Kind::Segment,
            },
            shard: Some(log.id.number),
            bytes: entry.state.file_bytes().unwrap_or(bytes),
            first_ms,
            last_ms: first_ms,
            state: match entry.state.extent() {
                None => State::Open,
                Some(extent) if is_sealed(extent) => State::Sealed,
                Some(_) => State::Closed,
            },
            keys: None,
        });
    }
    files
}

fn slice(entry: &SliceEntry, clock: ClockMark) -> File {
    let wall_ms = |expiry_s: u32| {
        let ago_ms = (i64::from(clock.expiry_s) - i64::from(expiry_s)) * 1000;
        (clock.wall_us / 1000).saturating_add_signed(-ago_ms)
    };
    File {
        name: NumberedFile::Slice(entry.file).to_string(),
        kind: Kind::Slice,
        shard: None,
        bytes: entry.bytes,
        first_ms: Some(wall_ms(entry.decided_first)),
        last_ms: Some(wall_ms(entry.decided_last)),
        state: State::Sealed,
        keys: Some(entry.entries),
    }
}

/// The oldest segment whose decisions are all in slices.
fn deleted_next(segments: &[File]) -> Option<String> {
    let sealed = segments.iter().filter(|it| it.state == State::Sealed);
    let oldest = sealed.min_by_key(|it| it.last_ms.or(it.first_ms));
    oldest.map(|it| it.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_dataplane::wal::batch::{BatchFields, BatchLimits, OpenBatch};
    use flk_dataplane::wal::buffer::Blocks;
    use flk_dataplane::wal::manifest::{CLOCK_BEGIN_US, Cover};

    const LOG: LogId = LogId {
        start: 1,
        number: 3,
    };

    fn segment(file: u64, state: SegmentState) -> SegmentEntry {
        SegmentEntry {
            ordinal: file as u32,
            file,
            salt: 0,
            generation: 1,
            state,
        }
    }

    fn closed(last: u64) -> SegmentState {
        SegmentState::Closed(Extent {
            first: Sequence(last),
            last: Sequence(last),
            bytes: 8192,
            last_checksum: 0,
        })
    }

    fn manifest() -> Manifest {
        Manifest {
            clock: ClockMark {
                expiry_s: 1000,
                wall_us: CLOCK_BEGIN_US + 1_500_000_000,
            },
            logs: vec![LogEntry {
                id: LOG,
                incarnation: [0; 16],
                ended_at: None,
                resolved_upto: Sequence(7),
                segments: vec![
                    segment(1, closed(5)),
                    segment(2, closed(9)),
                    segment(3, SegmentState::Open),
                    segment(4, SegmentState::Next),
                ],
            }],
            slices: vec![SliceEntry {
                file: 8,
                id: 1,
                decided_first: 900,
                decided_last: 950,
                expiry_max: 2000,
                entries: 77,
                bytes: 4096,
                checksum: 0,
                covers: vec![Cover {
                    log: LOG,
                    upto: Sequence(6),
                }],
            }],
            ..Manifest::default()
        }
    }

    #[test]
    fn files_have_their_times_and_what_is_in_slices_is_sealed() {
        let firsts = [(1, Some(100)), (2, Some(200)), (3, Some(300)), (4, None)];
        let beginning = |(file, first_ms)| {
            let bytes = 4 << 20;
            (file, Beginning { first_ms, bytes })
        };
        let known = Beginnings(firsts.into_iter().map(beginning).collect());
        let map = of_manifest(&manifest(), &known, None);
        let found: Vec<_> = map
            .files
            .iter()
            .map(|it| (it.kind, it.state, it.first_ms, it.last_ms))
            .collect();
        let wall_ms = (CLOCK_BEGIN_US + 1_500_000_000) / 1000;
        assert_eq!(
            found,
            [
                (Kind::Segment, State::Sealed, Some(100), Some(200)),
                (Kind::Segment, State::Closed, Some(200), Some(300)),
                (Kind::Segment, State::Open, Some(300), Some(300)),
                (Kind::Other, State::Open, None, None),
                (
                    Kind::Slice,
                    State::Sealed,
                    Some(wall_ms - 100_000),
                    Some(wall_ms - 50_000)
                ),
                (Kind::Manifest, State::Open, None, Some(wall_ms)),
            ]
        );
        assert_eq!(
            map.deleted_next.as_deref(),
            Some("segment-0000000000000001.wal")
        );
        assert_eq!((map.files[0].shard, map.files[4].keys), (Some(3), Some(77)));
        assert_eq!((map.files[0].bytes, map.files[2].bytes), (8192, 4 << 20));
        assert_eq!((map.cap_bytes, map.used_bytes > 0), (None, true));
    }

    #[test]
    fn of_segments_that_are_sealed_the_oldest_is_deleted_next() {
        let mut manifest = manifest();
        manifest.slices[0].covers[0].upto = Sequence(9);
        for (firsts, expected) in [([100, 200], 1), ([200, 100], 2)] {
            let beginning = |(file, first_ms): (u64, u64)| {
                let first_ms = Some(first_ms);
                (file, Beginning { first_ms, bytes: 0 })
            };
            let known = Beginnings((1..).zip(firsts).map(beginning).collect());
            let segments = manifest.logs[0].segments.clone();
            // Each in a log of its own, so that none ends where another begins.
            let logs = (0..2).map(|at| LogEntry {
                id: LOG,
                segments: vec![segments[at]],
                ..manifest.logs[0].clone()
            });
            let manifest = Manifest {
                logs: logs.collect(),
                ..manifest.clone()
            };
            let next = of_manifest(&manifest, &known, None).deleted_next;
            let name = NumberedFile::Segment(expected).to_string();
            assert_eq!(next, Some(name));
        }
    }

    #[test]
    fn what_the_gateway_says_of_its_room_counts() {
        let room = Room {
            cap_bytes: 1,
            free_bytes: 2,
            used_bytes: 3,
            horizon_s: Some(4),
            horizon_s_max: 5,
        };
        let map = of_manifest(&manifest(), &Beginnings::default(), Some(&room));
        let json = serde_json::to_value(&map).unwrap();
        for (name, value) in [
            ("cap_bytes", 1),
            ("free_bytes", 2),
            ("used_bytes", 3),
            ("horizon_s", 4),
            ("horizon_max_s", 5),
        ] {
            assert_eq!(json[name], value);
        }
        assert_eq!(json["files"][4]["kind"], "slice");
        assert!(json["files"][4].get("shard").is_none());
    }

    #[test]
    fn what_another_segment_left_in_a_file_is_not_the_first_batch_of_this_one() {
        let directory = tempfile::tempdir().unwrap();
        let fields = BatchFields {
            salt: 5,
            sequence: Sequence(1),
            wall_us: 1_800_000_000_123_456,
            ..BatchFields::default()
        };
        let mut block = Blocks::with_capacity(BLOCK_BYTES);
        OpenBatch::new(BatchLimits::default()).assemble(&fields, None, &mut block);
        let name = NumberedFile::Segment(3).to_string();
        let bytes = [&[0; BLOCK_BYTES][..], block.bytes()].concat();
        std::fs::write(directory.path().join(name), bytes).unwrap();
        let read = |salt| {
            let entry = SegmentEntry {
                salt,
                ..segment(3, SegmentState::Open)
            };
            let found = beginning(&WalDir::at(directory.path()), &entry);
            (found.first_ms, found.bytes)
        };
        let bytes = (BLOCK_BYTES + block.len()) as u64;
        assert_eq!(read(5), (Some(1_800_000_000_123), bytes));
        assert_eq!(read(6), (None, bytes));
    }
}
