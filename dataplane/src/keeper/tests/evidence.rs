//! Damage that no header behind it proves: what the manifest, the lengths of files and files in the wrong places say. A
//! start must refuse, change nothing, and leave the operator a way out.

use crate::keeper::config::KeeperConfig;
use crate::keeper::notice::Notice;
use crate::keeper::port::{CommandId, KeeperEvent};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::quarantine::{mended, quarantine, tool};
use crate::keeper::tests::world::{World, config, manifest};
use crate::wal::checksum::{crc, crc_more};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::SegmentState;
use crate::wal::segment::SegmentHeader;
use std::collections::BTreeMap;

pub(super) const DAY_S: u32 = 86_400;

pub(super) fn command(world: &mut World, line: &str) -> String {
    let line = line.to_string();
    world.happen(KeeperEvent::Command {
        id: CommandId(1),
        line,
    });
    for _ in 0..100 {
        if world.replies.is_empty() {
            world.pass_s(1);
        }
    }
    world.replies.remove(0).1
}

fn sealing(shards: u16) -> KeeperConfig {
    KeeperConfig {
        seal_every_us: 3_600_000_000,
        body_age_max_s: 2 * DAY_S,
        ..config(shards)
    }
}

pub(super) fn contents(world: &World) -> BTreeMap<String, Vec<u8>> {
    let names = world.disk.names().into_iter();
    names
        .filter(|name| name != "lock")
        .map(|name| (name.clone(), world.disk.bytes(&name).unwrap().to_vec()))
        .collect()
}

/// A start on this directory must end with 65, name the file, and change nothing.
pub(super) fn refused(world: World, file: &str) -> World {
    let before = contents(&world);
    let world = world.restarted(Lost::Nothing, 1, 1);
    let (code, reason) = world.exit.clone().expect("it must not serve");
    assert_eq!(code, 65, "{reason}");
    assert!(reason.contains(file), "{reason} does not name {file}");
    assert!(contents(&world) == before, "a refused start changed a file");
    world
}

/// A log whose first segments are deleted, with ten decisions in the segment in use.
pub(super) fn after_deletion(busy: bool) -> (World, String) {
    let mut world = World::started(TestDisk::new(), sealing(2));
    for record in 0..20 {
        world.decide(0, record, 30 * DAY_S);
    }
    command(&mut world, "flk1 compact --older-than 0");
    for record in 20..30 {
        world.decide(0, record, 30 * DAY_S);
    }
    if busy {
        world.mark(0);
        // Another shard rolls: the manifest is replaced, and states how far log 0 is resolved.
        for record in 100..200 {
            world.decide(1, record, 30 * DAY_S);
        }
    }
    let logs = manifest(&world).logs;
    let log = logs.iter().find(|log| log.id.number == 0).unwrap();
    assert!(log.segments[0].ordinal > 0, "its beginning is deleted");
    assert_eq!(log.segments[0].state, SegmentState::Open);
    let file = world.current_file(0);
    (world, file)
}

#[test]
fn damage_at_the_beginning_of_a_log_whose_first_segments_were_deleted_is_refused() {
    let harms: [fn(&mut Vec<u8>); 6] = [
        |bytes| bytes[100] ^= 1,
        |bytes| bytes[..4096].fill(0),
        |bytes| bytes[4096..8192].fill(0),
        |bytes| bytes[..8192].fill(0),
        |bytes| bytes.fill(0),
        |bytes| bytes.clear(),
    ];
    for busy in [false, true] {
        for harm in harms {
            let (mut world, file) = after_deletion(busy);
            world.disk.tamper(&file, harm);
            refused(world, &file);
        }
    }
}

#[test]
fn damage_at_the_beginning_of_a_log_that_aged_is_refused() {
    let aged = KeeperConfig {
        body_age_max_s: 60,
        ..sealing(2)
    };
    let mut world = World::started(TestDisk::new(), aged);
    for record in 0..20 {
        world.decide(0, record, 30 * DAY_S);
    }
    world.pass_s(3_700);
    world.pass_s(200);
    for record in 20..30 {
        world.decide(0, record, 30 * DAY_S);
    }
    world.mark(0);
    for record in 100..200 {
        world.decide(1, record, 30 * DAY_S);
    }
    let file = world.current_file(0);
    world.disk.tamper(&file, |bytes| bytes[..4096].fill(0));
    refused(world, &file);
}

#[test]
fn what_is_left_of_a_log_whose_beginning_is_deleted_can_be_kept() {
    // The header alone is made anew; with the first batch its decision is given up.
    let harms: [(usize, std::ops::Range<u32>); 3] =
        [(4096, 20..20), (8192, 20..20), (12_288, 20..21)];
    for (lost_bytes, lost) in harms {
        let (mut world, file) = after_deletion(true);
        world
            .disk
            .tamper(&file, |bytes| bytes[..lost_bytes].fill(0));
        let (world, given_up) = mended(world);
        assert_eq!(given_up, [file]);
        let known = world.known();
        let kept = (0..30).filter(|record| !lost.contains(record));
        assert_eq!(known, kept.chain(100..200).collect::<Vec<_>>());
    }
}

/// One shard with so many decisions in its segment in use.
pub(super) fn in_use(records: u32) -> (World, String) {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..records {
        world.decide(0, record, DAY_S);
    }
    let file = world.current_file(0);
    (world, file)
}

#[test]
fn files_in_each_others_places_are_refused() {
    let (world, file) = in_use(5);
    let held = manifest(&world);
    let next = NumberedFile::Segment(held.logs[0].segments[1].file).to_string();
    let bytes = |world: &World, name: &str| world.disk.bytes(name).unwrap().to_vec();
    let (used, unused) = (bytes(&world, &file), bytes(&world, &next));
    // Swapped; then one under two names; then the one that was in use is nowhere.
    for (first, second) in [(&unused, &used), (&used, &used), (&unused, &unused)] {
        let (mut world, _) = in_use(5);
        assert_eq!(manifest(&world), held, "the same every time");
        world.disk.tamper(&file, |it| it.clone_from(first));
        world.disk.tamper(&next, |it| it.clone_from(second));
        let named = if second == &used { &next } else { &file };
        refused(world, named);
    }
}

#[test]
fn a_segment_whose_place_another_one_took_can_be_given_up() {
    let (mut world, file) = in_use(5);
    let next = NumberedFile::Segment(manifest(&world).logs[0].segments[1].file).to_string();
    let used = world.disk.bytes(&file).unwrap().to_vec();
    world.disk.tamper(&next, |it| it.clone_from(&used));
    let mut world = refused(world, &next);
    let (code, report) = tool(&mut world, quarantine(&next, true));
    assert_eq!(code, 0, "{report}");
    let world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    assert_eq!(world.known(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_file_that_no_manifest_names_and_that_holds_durable_batches_is_refused_and_stays() {
    // The segment in use was moved to another name, and something else lies under its own.
    let (mut world, file) = in_use(5);
    let used = world.disk.bytes(&file).unwrap().to_vec();
    let older = {
        let (mut older, _) = in_use(2);
        older.mark(0);
        older.disk.bytes(&file).unwrap().to_vec()
    };
    world.disk.tamper(&file, |it| it.clone_from(&older));
    let stray = NumberedFile::Segment(0x77).to_string();
    // Whole, and without its header.
    for lost_bytes in [0, 4096] {
        let mut moved = used.clone();
        moved[..lost_bytes].fill(0);
        world.disk.plant(&stray, moved);
        world = refused(world, &stray);
    }
    // Put back, it is as if nothing had happened, and a copy of it is no evidence of anything.
    world.disk.tamper(&file, |it| it.clone_from(&used));
    let world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    assert_eq!(world.known(), [0, 1, 2, 3, 4]);
    assert!(!world.disk.names().contains(&stray));
}

#[test]
fn a_file_that_flk_did_not_write_stays_and_its_number_is_not_given_out() {
    let (mut world, _) = in_use(3);
    let number = manifest(&world).next_file;
    let strays = [
        NumberedFile::Segment(number).to_string(),
        NumberedFile::Slice(number + 1).to_string(),
    ];
    for stray in &strays {
        world.disk.plant(stray, b"a text of somebody's".to_vec());
    }
    for _ in 0..3 {
        world = world.restarted(Lost::Nothing, 1, 1);
        world.assert_serving();
        for stray in &strays {
            let kept = |it: &Notice| matches!(it, Notice::StrayKept { file, .. } if file == stray);
            assert!(
                world.notices.iter().any(kept),
                "{stray}: {:?}",
                world.notices
            );
            assert_eq!(world.disk.bytes(stray), Some(&b"a text of somebody's"[..]));
        }
        world.decide(0, 50, DAY_S);
    }
}

#[test]
fn a_segment_of_a_later_format_is_refused_as_newer_wherever_it_lies() {
    let (world, file) = in_use(3);
    let mut later = world.disk.bytes(&file).unwrap().to_vec();
    later[8] = 3;
    let checksum = crc(&later[..4092]);
    later[4092..4096].copy_from_slice(&checksum.to_le_bytes());
    assert!(SegmentHeader::decode(&later).is_err());
    let stray = NumberedFile::Segment(0x77).to_string();
    for name in [file, stray] {
        let (mut world, _) = in_use(3);
        match world.disk.bytes(&name) {
            Some(_) => world.disk.tamper(&name, |it| it.clone_from(&later)),
            None => world.disk.plant(&name, later.clone()),
        }
        let before = contents(&world);
        let world = world.restarted(Lost::Nothing, 1, 1);
        let (code, reason) = world.exit.clone().unwrap();
        assert!(code == 78 && reason.contains(&name), "{code}: {reason}");
        assert!(contents(&world) == before);
    }
}

/// A shard whose manifest names preallocated segments.
fn with_preallocated(segment_bytes: u64) -> World {
    let config = KeeperConfig {
        preallocated_count: 2,
        segment_bytes,
        ..config(1)
    };
    let mut world = World::started(TestDisk::new(), config);
    while manifest(&world).preallocated.is_empty() {
        world.decide(0, world.decided, DAY_S);
        world.pass_s(1);
    }
    world
}

/// Names of the files that the manifest means to be written, now or later.
fn to_be_written(world: &World) -> Vec<String> {
    let manifest = manifest(world);
    let unfinished = manifest
        .segments()
        .filter(|(_, it)| it.state.extent().is_none());
    let files = unfinished
        .map(|(_, it)| it.file)
        .chain(manifest.preallocated.clone());
    files
        .map(|it| NumberedFile::Segment(it).to_string())
        .collect()
}

#[test]
fn files_made_with_another_length_are_not_used_again() {
    let mut world = with_preallocated(256 << 10);
    world.config.segment_bytes = 512 << 10;
    let world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    for file in to_be_written(&world) {
        assert_eq!(world.disk.bytes(&file).unwrap().len(), 512 << 10, "{file}");
    }
}

#[test]
fn a_file_with_a_second_name_or_a_reader_is_not_used_again() {
    for read in [false, true] {
        let mut world = with_preallocated(256 << 10);
        let preallocated = NumberedFile::Segment(manifest(&world).preallocated[0]).to_string();
        let unused = manifest(&world).logs[0].segments.last().copied().unwrap();
        assert_eq!(unused.state, SegmentState::Next);
        let unused = NumberedFile::Segment(unused.file).to_string();
        world.disk.crash(Lost::Nothing);
        for file in [&preallocated, &unused] {
            match read {
                true => world.disk.held_by_another(file),
                false => world.disk.link(file, &format!("backup-{file}")),
            }
        }
        let kept = world.disk.bytes(&unused).unwrap().to_vec();
        // As `restarted`, which ends all locks.
        let mut next = World::new(std::mem::take(&mut world.disk), world.config.clone());
        next.now = world.now;
        next.run();
        next.assert_serving();
        let used = to_be_written(&next);
        assert!(
            !used.contains(&preallocated) && !used.contains(&unused),
            "{used:?}"
        );
        for record in 500..650 {
            next.decide(0, record, DAY_S);
        }
        if !read {
            let backup = next.disk.bytes(&format!("backup-{unused}"));
            assert_eq!(backup, Some(&kept[..]), "a backup was written to");
        }
    }
}

/// Changes one byte of the last decision in a segment, as a writer would have written it.
fn change_decision(bytes: &mut [u8], batch: usize, part: usize, number: u8) {
    let index_bytes =
        u32::from_le_bytes(bytes[batch + 24..batch + 28].try_into().unwrap()) as usize;
    // Behind the batch's header lie the record of the body, 48 bytes, and the header of the decision's.
    bytes[batch + 96 + 48 + 16 + 20 + part] = number;
    let index = crc(&bytes[batch + 96..batch + 96 + index_bytes]);
    bytes[batch + 64..batch + 68].copy_from_slice(&index.to_le_bytes());
    let header = crc(&bytes[batch..batch + 92]);
    bytes[batch + 92..batch + 96].copy_from_slice(&header.to_le_bytes());
}

/// A start that must end with 78, name the file, and change nothing.
fn refused_as_newer(world: World, file: &str, what: &str) -> World {
    let before = contents(&world);
    let world = world.restarted(Lost::Nothing, 1, 1);
    let (code, reason) = world.exit.clone().expect("it must not serve");
    assert_eq!(code, 78, "{reason}");
    assert!(reason.contains(file) && reason.contains(what), "{reason}");
    assert!(contents(&world) == before, "a refused start changed a file");
    world
}

#[test]
fn a_logged_decision_with_a_number_of_a_newer_flk_is_no_damage() {
    let parts = [
        (0, 2, "encoding 2"),
        (0, 0, "encoding 0"),
        (1, 6, "reason 6"),
        (2, 4, "regime 4"),
        (2, 0, "regime 0"),
    ];
    for (part, number, what) in parts {
        let (mut world, file) = in_use(3);
        let batch = 3 * 4096;
        world
            .disk
            .tamper(&file, |bytes| change_decision(bytes, batch, part, number));
        let mut world = refused_as_newer(world, &file, what);
        let (code, report) = tool(&mut world, quarantine(&file, true));
        assert_eq!(code, 78, "{report}");
    }
    let (mut world, file) = in_use(3);
    world
        .disk
        .tamper(&file, |bytes| change_decision(bytes, 3 * 4096, 1, 5));
    world.restarted(Lost::Nothing, 1, 1).assert_serving();
}

#[test]
fn a_sealed_decision_with_a_number_of_a_newer_flk_is_met_where_it_is_looked_up() {
    // Where reason, regime and encoding lie in an entry, and numbers that this flk does not know.
    for (at, number, what) in [
        (66, 6, "reason 6"),
        (67, 9, "regime 9"),
        (68, 2, "encoding 2"),
    ] {
        let mut world = World::started(TestDisk::new(), sealing(1));
        for record in 0..20 {
            world.decide(0, record, 30 * DAY_S);
        }
        command(&mut world, "flk1 compact --older-than 0");
        let slice = NumberedFile::Slice(manifest(&world).slices[0].file).to_string();
        world.disk.tamper(&slice, |bytes| {
            let block = &mut bytes[4096..8192];
            block[64 + at] = number;
            let checksum = crc_more(crc(&block[..60]), &block[64..]);
            block[60..64].copy_from_slice(&checksum.to_le_bytes());
        });
        let mut world = world.restarted(Lost::Nothing, 1, 1);
        world.assert_serving();
        // All are in the log once more: the start must look.
        for record in 0..20 {
            world.decide(0, record, 30 * DAY_S);
        }
        refused_as_newer(world, &slice, what);
    }
}

#[test]
fn a_damaged_entry_of_a_slice_ends_no_start_that_has_no_need_to_look_at_it() {
    let mut world = World::started(TestDisk::new(), sealing(1));
    for record in 0..20 {
        world.decide(0, record, 30 * DAY_S);
    }
    command(&mut world, "flk1 compact --older-than 0");
    // A second slice, so that the damaged one is not the first that is looked into.
    for record in 20..40 {
        world.decide(0, record, 30 * DAY_S);
    }
    command(&mut world, "flk1 compact --older-than 0");
    world.decide(0, 40, 30 * DAY_S);
    let slice = NumberedFile::Slice(manifest(&world).slices[1].file).to_string();
    world.disk.tamper(&slice, |bytes| bytes[4096 + 100] ^= 1);
    let world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    assert_eq!(world.shards[0].loaded.len(), 1);
}

#[test]
fn a_quarantine_names_the_ids_whose_decisions_are_lost_where_they_are_left() {
    let (mut world, file) = in_use(6);
    world.disk.tamper(&file, |bytes| {
        // Of record 1 the body, of record 2 the index part, of record 3 everything; 5 says that 4 was durable.
        bytes[2 * 4096 + 96 + 500] ^= 1;
        bytes[3 * 4096 + 200] ^= 1;
        bytes[4 * 4096 + 8] ^= 1;
    });
    for accept_loss in [false, true] {
        let (code, report) = tool(&mut world, quarantine(&file, accept_loss));
        assert_eq!(code, 0, "{report}");
        let ids: Vec<&str> = report.lines().skip(1).collect();
        assert_eq!(ids, [format!("01{}", "00".repeat(31))], "{report}");
        assert!(
            report.contains("The decisions of 1 ids are lost"),
            "{report}"
        );
        assert!(report.contains("Of 2 batches nothing is left"), "{report}");
    }
    let world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(world.known(), [0, 4, 5]);
}
