//! What became of the files of the log between two manifests, in words. A function of both; it reads no file.

use super::journal::What;
use flk_dataplane::wal::files::NumberedFile;
use flk_dataplane::wal::manifest::{Manifest, SegmentEntry, SegmentState, SliceEntry};
use flk_dataplane::wal::name::{LogId, Sequence};
use std::collections::{BTreeMap, BTreeSet};

/// What happened, and the words for it.
pub(super) type Change = (What, String);

/// All that differs between two manifests of one directory.
pub(super) fn changes(before: &Manifest, after: &Manifest) -> Vec<Change> {
    let mut found = Vec::new();
    slices(before, after, &mut found);
    segments(before, after, &mut found);
    let gaps = after.gaps.iter().filter(|it| !before.gaps.contains(it));
    found.extend(gaps.map(|gap| {
        let words = format!(
            "Sequences {} to {} of log {} were given up",
            gap.from, gap.to, gap.log
        );
        (What::Quarantine, words)
    }));
    let lost = after
        .sections
        .released
        .len()
        .saturating_sub(before.sections.released.len());
    if lost > 0 {
        let words = "Segments were deleted although a hold was not done with them".to_owned();
        found.push((What::Hold, words));
    }
    if after.clean_stop && !before.clean_stop {
        found.push((
            What::Stop,
            "The gateway stopped as it was asked to".to_owned(),
        ));
    }
    found
}

/// How far the slices reach into each log.
fn covered(of: &Manifest) -> BTreeMap<LogId, Sequence> {
    let mut upto = BTreeMap::new();
    for cover in of.slices.iter().flat_map(|it| &it.covers) {
        let furthest = upto.entry(cover.log).or_insert(cover.upto);
        *furthest = cover.upto.max(*furthest);
    }
    upto
}

fn slices(before: &Manifest, after: &Manifest, found: &mut Vec<Change>) {
    let files = |of: &Manifest| {
        of.slices
            .iter()
            .map(|it| it.file)
            .collect::<BTreeSet<u64>>()
    };
    let (old, new) = (files(before), files(after));
    let came: Vec<&SliceEntry> = after
        .slices
        .iter()
        .filter(|it| !old.contains(&it.file))
        .collect();
    let gone: Vec<&SliceEntry> = before
        .slices
        .iter()
        .filter(|it| !new.contains(&it.file))
        .collect();
    let names = |slices: &[&SliceEntry]| {
        let names = slices
            .iter()
            .map(|it| NumberedFile::Slice(it.file).to_string());
        names.collect::<Vec<_>>().join(", ")
    };
    let ids = |slices: &[&SliceEntry]| slices.iter().map(|it| it.entries).sum::<u64>();
    // A seal covers what none before did.
    let old_covers = covered(before);
    let is_seal = |it: &&SliceEntry| {
        it.covers.iter().any(|cover| {
            old_covers
                .get(&cover.log)
                .is_none_or(|upto| cover.upto > *upto)
        })
    };
    let (sealed, merged): (Vec<&SliceEntry>, Vec<&SliceEntry>) =
        came.into_iter().partition(is_seal);
    for slice in sealed {
        let one = [slice];
        let words = format!("{} ids were sealed into {}", slice.entries, names(&one));
        found.push((What::Seal, words));
    }
    match (merged.is_empty(), gone.is_empty()) {
        (false, _) => found.push((
            What::Merge,
            format!(
                "{} slices were merged into {} with {} ids",
                gone.len(),
                names(&merged),
                ids(&merged)
            ),
        )),
        (true, false) => found.push((
            What::Delete,
            format!(
                "{} was deleted: the time of its {} ids is over",
                names(&gone),
                ids(&gone)
            ),
        )),
        (true, true) => {}
    }
}

fn segments(before: &Manifest, after: &Manifest, found: &mut Vec<Change>) {
    let all = |of: &Manifest| {
        let segments = of.logs.iter().flat_map(|log| log.segments.clone());
        segments
            .map(|it| (it.file, it))
            .collect::<BTreeMap<u64, SegmentEntry>>()
    };
    let (old, new) = (all(before), all(after));
    let bytes = |it: &SegmentEntry| it.state.file_bytes();
    let gone: Vec<u64> = (old.iter().filter(|(file, _)| !new.contains_key(file)))
        .filter_map(|(_, it)| bytes(it))
        .collect();
    if !gone.is_empty() {
        let (segments, bytes) = (counted(gone.len()), mebibytes(gone.iter().sum()));
        let words = format!("{segments} deleted, {bytes}");
        found.push((What::Delete, words));
    }
    let is_packed = |it: &SegmentEntry| matches!(it.state, SegmentState::Packed(..));
    let saved: Vec<u64> = (new.iter().filter(|(_, it)| is_packed(it)))
        .filter_map(|(file, it)| {
            let was = old.get(file).filter(|it| !is_packed(it))?;
            Some(bytes(was)?.saturating_sub(bytes(it)?))
        })
        .collect();
    if !saved.is_empty() {
        let (segments, bytes) = (counted(saved.len()), mebibytes(saved.iter().sum()));
        let words = format!("{segments} packed, which saves {bytes}");
        found.push((What::Pack, words));
    }
}

fn counted(segments: usize) -> String {
    match segments {
        1 => "1 segment".to_owned(),
        more => format!("{more} segments"),
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_dataplane::wal::manifest::{Cover, Extent, Gap, LogEntry, PackedFile};
    use flk_dataplane::wal::name::{LogId, Sequence};

    const LOG: LogId = LogId {
        start: 1,
        number: 0,
    };

    fn slice(file: u64, entries: u64, upto: u64) -> SliceEntry {
        SliceEntry {
            file,
            id: file,
            decided_first: 0,
            decided_last: 0,
            expiry_max: 0,
            entries,
            bytes: 4096,
            checksum: 0,
            covers: vec![Cover {
                log: LOG,
                upto: Sequence(upto),
            }],
        }
    }

    fn manifest(slices: Vec<SliceEntry>, segments: &[(u64, SegmentState)]) -> Manifest {
        let segments = segments.iter().map(|&(file, state)| SegmentEntry {
            ordinal: file as u32,
            file,
            salt: 0,
            generation: 0,
            state,
        });
        Manifest {
            logs: vec![LogEntry {
                id: LOG,
                incarnation: [0; 16],
                ended_at: None,
                resolved_upto: Sequence(0),
                segments: segments.collect(),
            }],
            slices,
            ..Manifest::default()
        }
    }

    fn extent(bytes: u64) -> Extent {
        Extent {
            first: Sequence(1),
            last: Sequence(2),
            bytes,
            last_checksum: 0,
        }
    }

    #[test]
    fn seals_merges_and_ends_of_slices_are_told_apart() {
        let one = manifest(vec![slice(1, 10, 5)], &[]);
        let two = manifest(vec![slice(1, 10, 5), slice(2, 20, 9)], &[]);
        let merged = manifest(vec![slice(3, 30, 9)], &[]);
        let none = manifest(vec![], &[]);
        assert_eq!(changes(&one, &one), []);
        let of = |before, after| {
            let found = changes(before, after);
            let [(what, words)] = &found[..] else {
                panic!("{found:?}");
            };
            (*what, words.clone())
        };
        assert_eq!(
            of(&one, &two),
            (
                What::Seal,
                "20 ids were sealed into slice-0000000000000002.flk".into()
            )
        );
        let words = "2 slices were merged into slice-0000000000000003.flk with 30 ids";
        assert_eq!(of(&two, &merged), (What::Merge, words.into()));
        let (what, words) = of(&merged, &none);
        assert_eq!(what, What::Delete);
        assert!(words.contains("time of its 30 ids is over"), "{words}");
    }

    #[test]
    fn segments_that_go_and_that_are_packed_are_counted_with_their_bytes() {
        let closed = |bytes| SegmentState::Closed(extent(bytes));
        let packed = SegmentState::Packed(extent(8 << 20), PackedFile { salt: 0, bytes: 0 });
        let before = manifest(
            vec![],
            &[
                (1, closed(1 << 20)),
                (2, closed(8 << 20)),
                (3, SegmentState::Open),
            ],
        );
        let after = manifest(
            vec![],
            &[(2, packed), (3, closed(1)), (4, SegmentState::Next)],
        );
        assert_eq!(changes(&after, &after), [], "it was packed before");
        let found = changes(&before, &after);
        assert_eq!(
            found,
            [
                (What::Delete, "1 segment deleted, 1.0 MiB".to_owned()),
                (
                    What::Pack,
                    "1 segment packed, which saves 8.0 MiB".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn what_was_given_up_and_a_stop_are_told() {
        let before = manifest(vec![], &[]);
        let mut after = before.clone();
        after.clean_stop = true;
        after.gaps.push(Gap {
            log: LOG,
            from: Sequence(3),
            to: Sequence(4),
        });
        let found = changes(&before, &after);
        assert_eq!(
            found.iter().map(|it| it.0).collect::<Vec<_>>(),
            [What::Quarantine, What::Stop]
        );
    }
}
