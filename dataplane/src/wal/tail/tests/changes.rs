//! What may change below a reader: a segment is replaced after a quarantine, deleted by age, or erased from; a file vanishes
//! between the manifest and its opening; the name of a range stays what it was.

use super::disk::Disk;
use super::*;
use crate::wal::batch::{BatchFields, BatchHeader, BatchLimits, OpenBatch};
use crate::wal::buffer::Blocks;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{Extent, Gap, SegmentState};
use crate::wal::name::Place;
use crate::wal::packed::tests::all_packed;
use crate::wal::record::{Entry, ErasedBody, ErasureList, Flags};
use crate::wal::scan::Why;
use crate::wal::scan::tests::{at, commits, end_log, slice_upto};
use crate::wal::scan::world::{Crash, LOG, Step as Write, World};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Two closed segments of three batches each, and one in use with three, of which the last does not count yet.
fn three_segments() -> World {
    let mut steps = commits(3);
    for _ in 0..2 {
        steps.push(Write::Roll(vec![700, 40]));
        steps.extend(commits(2));
    }
    World::run(&steps, &Crash::Quiet, 24, false)
}

fn missing(from: u64, to: u64, why: WhyMissing) -> Missing {
    let (from, to) = (at(from), at(to));
    Missing { from, to, why }
}

#[test]
fn damage_is_named_and_after_a_quarantine_reading_goes_on_behind_the_gap() {
    let world = three_segments();
    let disk = Disk::of(&world);
    let second = &world.durable[1];
    disk.change(0, |file| file[second.offset + 300] ^= 1);
    let mut tail = reader(&disk);
    let TailStep::Batch(batch) = run_ready(tail.next()).unwrap().unwrap() else {
        panic!("the first batch is whole")
    };
    assert_eq!(batch.header.fields.sequence, at(1));
    let error = run_ready(tail.next()).unwrap().unwrap_err();
    let TailError::Damage(damage) = &error else {
        panic!("{error}")
    };
    assert_eq!(damage.file, NumberedFile::Segment(0));
    assert_eq!(
        (damage.sequence, damage.offset),
        (at(2), second.offset as u64)
    );
    assert!(
        error
            .to_string()
            .contains("segment-0000000000000000.wal is damaged at byte")
    );
    assert_eq!(tail.cursor().sequence, at(1), "nothing was passed over");

    // A new file in its place, with the whole batches one behind the other, and a gap in the manifest.
    let old = &world.files[0];
    let third = &world.durable[2];
    let mut packed = old[..second.offset].to_vec();
    packed.extend_from_slice(&old[third.offset..third.offset + third.bytes]);
    let mut manifest = disk.manifest();
    let extent = extent_of(&manifest, 0);
    manifest.logs[0].segments[0].file = 90;
    manifest.logs[0].segments[0].state = SegmentState::Closed(Extent {
        bytes: packed.len() as u64,
        ..extent
    });
    manifest.next_file = 91;
    let (from, to) = (at(2), at(2));
    manifest.gaps.push(Gap { log: LOG, from, to });
    disk.make(90, packed);
    disk.replace_manifest(manifest);
    disk.remove(0);
    let read = read_on(&mut tail).unwrap();
    assert_eq!(read.missing, [missing(2, 2, WhyMissing::GivenUp)]);
    assert_eq!(read.sequences(), [3, 4, 5, 6, 7, 8]);
}

/// A disk on which the closed segments of a world were packed, in files of other numbers.
fn pack_on(disk: &Disk, world: &World) {
    let packed = all_packed(world);
    let mut manifest = packed.manifest;
    for (entry, bytes) in manifest.logs[0].segments.iter_mut().zip(packed.files) {
        if matches!(entry.state, SegmentState::Packed(..)) {
            let old = entry.file;
            entry.file += 90;
            manifest.next_file = entry.file + 1;
            disk.make(entry.file, bytes);
            disk.remove(old);
        }
    }
    disk.replace_manifest(manifest);
}

#[test]
fn a_reader_goes_on_with_its_cursor_where_segments_are_packed_below_it() {
    let world = three_segments();
    let all = read_all(&Disk::of(&world)).unwrap();
    let name = name_of(&Disk::of(&world));
    for depth in [Depth::Whole, Depth::Index] {
        for taken in 0..=all.batches.len() {
            for begins_anew in [false, true] {
                let disk = Disk::of(&world);
                let cursor = Cursor::beginning(&world.manifest.logs[0]);
                let mut tail = LogTail::new(&disk, arc(disk.manifest()), cursor, depth);
                for _ in 0..taken {
                    let step = run_ready(tail.next()).unwrap().unwrap();
                    assert!(matches!(step, TailStep::Batch(_)));
                }
                pack_on(&disk, &world);
                assert_eq!(
                    name_of(&disk),
                    name,
                    "the name of a range is of its content"
                );
                if begins_anew {
                    tail = LogTail::new(&disk, arc(disk.manifest()), tail.cursor(), depth);
                }
                let mut sequences = Vec::new();
                while let TailStep::Batch(batch) = run_ready(tail.next()).unwrap().unwrap() {
                    sequences.push(batch.header.fields.sequence.counter());
                }
                assert_eq!(sequences, all.sequences()[taken..], "{depth:?} {taken}");
            }
        }
    }
}

#[test]
fn damage_in_a_packed_segment_is_named_with_its_file_and_sequence() {
    let world = three_segments();
    let disk = Disk::of(&world);
    pack_on(&disk, &world);
    // The batch header in the first frame.
    disk.change(90, |file| file[8192 + 16 + 30] ^= 1);
    let error = read_all(&disk).unwrap_err();
    let TailError::Damage(damage) = &error else {
        panic!("{error}")
    };
    assert_eq!(
        (damage.file, damage.sequence),
        (NumberedFile::Segment(90), at(1))
    );
}

fn extent_of(manifest: &crate::wal::manifest::Manifest, segment: usize) -> Extent {
    *manifest.logs[0].segments[segment].state.extent().unwrap()
}

#[test]
fn what_was_deleted_by_age_is_missing_and_a_cursor_in_it_goes_on_behind() {
    let world = three_segments();
    let disk = Disk::of(&world);
    let mut tail = reader(&disk);
    run_ready(tail.next()).unwrap().unwrap();
    let mut manifest = disk.manifest();
    manifest.logs[0].segments.remove(0);
    manifest.slices.push(slice_upto(6));
    manifest.next_file = 100;
    disk.replace_manifest(manifest);
    disk.remove(0);
    // The segment that is open stays readable; the next look finds the manifest without it.
    let rest = read_on(&mut tail).unwrap();
    assert_eq!(rest.sequences(), [2, 3, 4, 5, 6, 7, 8]);
    let fresh = read_all(&disk).unwrap();
    assert_eq!(fresh.missing, [missing(1, 3, WhyMissing::Deleted)]);
    assert_eq!(fresh.sequences(), [4, 5, 6, 7, 8]);
}

#[test]
fn batches_that_nothing_explains_the_lack_of_are_damage() {
    let disk = Disk::of(&three_segments());
    let mut manifest = disk.manifest();
    let mut extent = extent_of(&manifest, 0);
    extent.last = at(2);
    manifest.logs[0].segments[0].state = SegmentState::Closed(extent);
    let cursor = Cursor {
        sequence: at(2),
        ..Cursor::beginning(&manifest.logs[0])
    };
    let mut tail = LogTail::new(&disk, arc(manifest), cursor, Depth::Whole);
    let error = run_ready(tail.next()).unwrap().map(drop).unwrap_err();
    let TailError::Damage(damage) = &error else {
        panic!("{error}")
    };
    assert_eq!((damage.why, damage.sequence), (Why::Predecessor, at(3)));
}

#[test]
fn a_closed_segment_that_ends_otherwise_than_the_manifest_states_is_damage() {
    let disk = Disk::of(&three_segments());
    let mut manifest = disk.manifest();
    let mut extent = extent_of(&manifest, 0);
    extent.last_checksum ^= 1;
    manifest.logs[0].segments[0].state = SegmentState::Closed(extent);
    disk.replace_manifest(manifest);
    let error = read_all(&disk).unwrap_err();
    let TailError::Damage(damage) = &error else {
        panic!("{error}")
    };
    assert_eq!((damage.why, damage.sequence), (Why::Extent, extent.last));
}

#[test]
fn a_log_of_another_incarnation_is_not_the_one_that_was_asked_for() {
    let disk = Disk::of(&three_segments());
    let manifest = arc(disk.manifest());
    let cursor = Cursor {
        incarnation: [0xee; 16],
        ..Cursor::beginning(&manifest.logs[0])
    };
    let mut tail = LogTail::new(&disk, manifest, cursor, Depth::Whole);
    let step = run_ready(tail.next()).unwrap().unwrap();
    assert!(matches!(step, TailStep::End));
}

#[test]
fn the_name_of_a_range_is_the_hash_of_what_its_batches_state() {
    let disk = Disk::of(&three_segments());
    let mut tail = reader(&disk);
    let mut stated = Vec::new();
    while let TailStep::Batch(batch) = run_ready(tail.next()).unwrap().unwrap() {
        let header = batch.header;
        stated.extend(header.fields.sequence.0.to_le_bytes());
        stated.extend(header.index_bytes.to_le_bytes());
        batch.content(|piece| stated.extend(piece));
    }
    let hash: [u8; 32] = Sha256::digest(&stated).into();
    assert_eq!(name_of(&disk), hash);
}

#[test]
fn a_log_that_was_deleted_whole_ends_where_slices_say() {
    let world = end_log(&three_segments());
    let disk = Disk::of(&world);
    let mut tail = reader(&disk);
    run_ready(tail.next()).unwrap().unwrap();
    let mut manifest = disk.manifest();
    let segments = manifest.logs.remove(0).segments;
    manifest.slices.push(slice_upto(9));
    manifest.next_file = 100;
    disk.replace_manifest(manifest);
    segments.iter().for_each(|it| disk.remove(it.file));
    let mut fresh = LogTail::new(&disk, arc(disk.manifest()), tail.cursor(), Depth::Whole);
    let read = read_on(&mut fresh).unwrap();
    assert_eq!(read.missing, [missing(2, 9, WhyMissing::Deleted)]);
    assert!(read.has_ended);
}

#[test]
fn a_named_file_that_is_gone_is_an_error_unless_the_manifest_has_changed() {
    let world = three_segments();
    let disk = Disk::of(&world);
    let mut tail = reader(&disk);
    disk.remove(1);
    let error = loop {
        match run_ready(tail.next()).unwrap() {
            Ok(TailStep::Batch(_)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error, TailError::Lost(NumberedFile::Segment(1)));
    assert_eq!(tail.cursor().sequence, at(3));
}

#[test]
fn a_final_mark_that_a_start_drops_changes_nothing() {
    let mut steps = commits(2);
    steps.push(Write::Commit(Vec::new()));
    // The header of the fourth batch reached the disk, its body did not: the mark before it was durable.
    let torn = Crash::InFlight {
        bodies: vec![9_000],
        arrived: 1,
        roll: false,
    };
    let world = World::run(&steps, &torn, 24, false);
    let disk = Disk::of(&world);
    let mut tail = reader(&disk);
    assert_eq!(read_on(&mut tail).unwrap().sequences(), [1, 2]);
    assert_eq!(tail.cursor().sequence, at(3), "the mark counts for now");
    let ended = end_log(&world);
    assert_eq!(ended.manifest.logs[0].ended_at.unwrap().sequence, at(2));
    disk.become_like(&ended);
    let read = read_on(&mut tail).unwrap();
    assert!(read.has_ended && read.batches.is_empty() && read.missing.is_empty());
}

#[test]
fn the_name_of_a_range_stays_when_its_last_batch_is_written_again() {
    let marked = World::run(
        &[commits(3), vec![Write::Commit(Vec::new())]].concat(),
        &Crash::Quiet,
        24,
        false,
    );
    let rewritten = end_log(&World::run(&commits(3), &Crash::Quiet, 24, false));
    let before = read_all(&Disk::of(&marked)).unwrap();
    assert_eq!(before.sequences(), [1, 2, 3]);
    assert_eq!(name_of(&Disk::of(&marked)), name_of(&Disk::of(&rewritten)));
    let shorter = end_log(&World::run(&commits(2), &Crash::Quiet, 24, false));
    assert_ne!(name_of(&Disk::of(&marked)), name_of(&Disk::of(&shorter)));
}

/// Zeros where the first body of a batch was, and its flag.
fn erase(file: &mut [u8], batch: usize) {
    let index_bytes = u32::from_le_bytes(file[batch + 24..batch + 28].try_into().unwrap());
    file[batch + 96 + 2] |= Flags::ERASED.0;
    let body = batch + 96 + index_bytes as usize;
    file[body..body + 700].fill(0);
}

/// Writes further batches of these records behind the last one of a world's first segment.
fn append(world: &mut World, records: &[Vec<Entry<'_>>]) {
    let mut before = world.durable.last().unwrap().clone();
    for entries in records {
        let header = BatchHeader::decode(&world.files[0][before.offset..]).unwrap();
        let fields = BatchFields {
            sequence: header.fields.sequence.next().unwrap(),
            durable_upto: header.fields.sequence,
            previous_checksum: header.checksum,
            ..header.fields
        };
        let mut open = OpenBatch::new(BatchLimits::default());
        entries.iter().for_each(|entry| {
            open.push(entry);
        });
        let mut blocks = Blocks::default();
        let assembled = open.assemble(&fields, None, &mut blocks);
        before.offset += before.bytes;
        before.bytes = assembled.bytes;
        let range = before.offset..before.offset + before.bytes;
        world.files[0][range].copy_from_slice(blocks.bytes());
    }
}

#[test]
fn lists_of_erased_bodies_are_found_wherever_they_stand() {
    let mut world = World::run(&commits(2), &Crash::Quiet, 24, false);
    let body = Place {
        sequence: at(1),
        index: 0,
    };
    let erased = ErasedBody { log: LOG, body };
    let mut bytes = Vec::new();
    let list = Entry::Erasure(ErasureList::encode(&[erased], &mut bytes));
    append(&mut world, &[vec![list], vec![]]);
    erase(&mut world.files[0], world.durable[0].offset);
    let disk = Disk::of(&world);
    let mut tail = reader(&disk);
    assert!(matches!(read_on(&mut tail), Err(TailError::Damage(_))));
    let found = run_ready(erasures(&&disk, &arc(disk.manifest()))).unwrap();
    assert_eq!(found, Ok(BTreeSet::from([erased])));
    tail.know_erased(arc(found.unwrap()));
    let mut sequences = Vec::new();
    while let TailStep::Batch(batch) = run_ready(tail.next()).unwrap().unwrap() {
        sequences.push(batch.header.fields.sequence.counter());
    }
    assert_eq!(sequences, [1, 2, 3]);
}

#[test]
fn an_erased_body_is_no_damage_once_a_list_names_it_and_the_name_of_the_range_stays() {
    let world = three_segments();
    let disk = Disk::of(&world);
    let before = name_of(&disk);
    disk.change(0, |file| erase(file, world.durable[1].offset));
    let body = Place {
        sequence: at(2),
        index: 0,
    };
    let mut tail = reader(&disk);
    assert!(matches!(read_on(&mut tail), Err(TailError::Damage(_))));
    tail.know_erased(arc(BTreeSet::from([ErasedBody { log: LOG, body }])));
    let mut name = RangeName::new(&tail.cursor());
    let TailStep::Batch(batch) = run_ready(tail.next()).unwrap().unwrap() else {
        panic!("the second batch is whole")
    };
    assert_eq!(batch.body_at(0), None, "its bytes are gone");
    assert!(batch.body_at(2).is_some());
    name.push(&batch);
    assert_eq!(name.sequences, Some((at(2), at(2))));

    let manifest = arc(disk.manifest());
    let cursor = Cursor::beginning(&manifest.logs[0]);
    let mut by_index = LogTail::new(&disk, manifest, cursor, Depth::Index);
    let mut name = RangeName::new(&cursor);
    while let TailStep::Batch(batch) = run_ready(by_index.next()).unwrap().unwrap() {
        name.push(&batch);
    }
    assert_eq!(name.digest(), before, "the flag is no part of it");
}
