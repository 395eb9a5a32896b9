//! Packing where something is in its way: files that cannot be read or that are there already, a manifest with little place left,
//! and other work that is due meanwhile.

use crate::keeper::config::{HoldLimit, KeeperConfig};
use crate::keeper::notice::Notice;
use crate::keeper::offline::Job;
use crate::keeper::port::FileOp;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::quarantine::tool;
use crate::keeper::tests::repack::{
    DAY_S, RECORDS, assert_knows_everything, closed, compact, content, packed, send, settings,
};
use crate::keeper::tests::world::{World, manifest};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::FIRST_PACKED_BYTES;
use crate::wal::packed::PACKED_MAGIC;
use std::cell::RefCell;
use std::rc::Rc;

/// A gateway that died behind a seal, before any segment was packed.
fn sealed(records: u32, config: KeeperConfig) -> World {
    let mut world = World::started(TestDisk::new(), unpacked(config));
    for record in 0..records {
        world.decide(0, record, 30 * DAY_S);
    }
    compact(&mut world);
    assert_eq!(packed(&manifest(&world)), 0);
    world.disk.crash(Lost::Everything);
    world
}

fn unpacked(config: KeeperConfig) -> KeeperConfig {
    KeeperConfig {
        repack_bytes_min: u64::MAX,
        ..config
    }
}

/// A start with these settings that did not begin yet.
fn next_start(world: World, config: KeeperConfig) -> World {
    let World { mut disk, now, .. } = world;
    disk.crash(Lost::Everything);
    let mut next = World::new(disk, config);
    next.now.wall_us = now.wall_us + 1_000_000;
    next
}

fn troubles(world: &World) -> usize {
    let of = |it: &&Notice| matches!(it, Notice::FileTrouble { .. });
    world.notices.iter().filter(of).count()
}

#[test]
fn a_segment_that_cannot_be_read_keeps_no_other_one_from_being_packed() {
    let mut world = sealed(RECORDS, settings());
    let before = content(&world.disk);
    let all = closed(&manifest(&world));
    let name = NumberedFile::Segment(all[0].file).to_string();
    world.disk.fail_reads_at = Some((name, 12_288));
    let mut world = next_start(world, settings());
    world.run();
    assert_eq!(packed(&manifest(&world)), 0, "it is the first to be tried");
    world.pass_s(30);
    let after = manifest(&world);
    assert_eq!(closed(&after)[0], all[0]);
    assert!(packed(&after) >= 2, "{}", packed(&after));
    assert_eq!(troubles(&world), 1, "{:?}", world.notices);
    world.disk.fail_reads_at = None;
    world.pass_s(120);
    assert_ne!(closed(&manifest(&world))[0], all[0], "tried again");
    assert_knows_everything(&world, &before, "unreadable");
}

#[test]
fn no_segment_is_deleted_because_others_are_packed() {
    let segments = |world: &World| closed(&manifest(world)).len();
    let mut world = next_start(sealed(400, settings()), unpacked(settings()));
    world.run();
    let config = KeeperConfig {
        // Without packed segments it is as long as it may be.
        manifest_bytes_max: 2 * manifest(&world).encoded_bytes(),
        ..settings()
    };
    let mut world = next_start(sealed(400, settings()), config);
    let before = segments(&world);
    world.run();
    world.pass_s(600);
    world.assert_serving();
    assert!(packed(&manifest(&world)) > 5);
    assert!(
        segments(&world) >= before,
        "{} of {before}",
        segments(&world)
    );
}

#[test]
fn without_place_in_the_manifest_no_packed_file_is_made_in_vain() {
    let held = KeeperConfig {
        hold_limit: HoldLimit::Refuse,
        ..settings()
    };
    // A hold keeps what is too much for the manifest.
    let begun = |config: KeeperConfig| {
        let mut world = next_start(sealed(400, held.clone()), unpacked(held.clone()));
        world.run();
        send(&mut world, "flk1 hold set backup");
        next_start(world, config)
    };
    let mut world = begun(unpacked(held.clone()));
    world.run();
    let place_bytes = manifest(&world).encoded_bytes() + FIRST_PACKED_BYTES;
    for (place_bytes, expected) in [(place_bytes + 8, 1), (place_bytes - 8, 0)] {
        let mut world = begun(KeeperConfig {
            manifest_bytes_max: place_bytes * 4 / 3,
            ..held.clone()
        });
        let made = Rc::new(RefCell::new(Vec::new()));
        let seen = made.clone();
        world.watch = Some(Box::new(move |disk, op| {
            if let FileOp::Write { file, bytes, .. } = op
                && bytes.starts_with(&PACKED_MAGIC)
            {
                seen.borrow_mut().push(disk.name_of(*file));
            }
        }));
        world.run();
        world.pass_s(600);
        world.assert_serving();
        assert_eq!(packed(&manifest(&world)), expected);
        assert_eq!(made.borrow().len(), expected, "{:?}", world.notices);
    }
}

/// What a gateway left that died while it packed stands where the next file would be made.
#[test]
fn without_a_gateway_nothing_is_made_in_the_place_of_an_orphan() {
    let job = || Job::Compact {
        older_than_s: Some(1_000_000),
        dry_run: false,
    };
    let mut left_over = 0;
    for ops in (0..).step_by(3) {
        let world = sealed(RECORDS, settings());
        let before = content(&world.disk);
        let mut world = next_start(world, settings());
        world.ops_left = Some(ops);
        world.run();
        let whole = !world.dead;
        world.disk.crash(Lost::Nothing);
        let manifest = world.disk.manifest();
        let numbers = world
            .disk
            .names()
            .into_iter()
            .filter_map(|name| match NumberedFile::parse(&name)? {
                NumberedFile::Segment(number) => Some(number),
                NumberedFile::Slice(_) => None,
            });
        let orphans: Vec<u64> = numbers
            .filter(|it| !manifest.files().contains(it))
            .collect();
        left_over += orphans.len();
        let (code, report) = tool(&mut world, job());
        assert_eq!(code, 0, "{ops}: {report}");
        // The log that the start ended is whole and sealed.
        if manifest.logs.iter().any(|log| log.ended_at.is_some()) {
            let packed = packed(&world.disk.manifest());
            assert!(packed >= 2, "{ops}: {packed} {orphans:?}");
        }
        assert_eq!(content(&world.disk), before, "{ops}");
        if whole {
            break;
        }
    }
    assert!(left_over > 0);
}

#[test]
fn a_file_of_another_program_stays_where_a_packed_one_would_be_made() {
    let mut world = next_start(sealed(RECORDS, settings()), unpacked(settings()));
    world.run();
    world.disk.crash(Lost::Everything);
    world.config = settings();
    let next = world.disk.manifest().next_file;
    let names: Vec<String> = (next..next + 4)
        .map(|number| NumberedFile::Segment(number).to_string())
        .collect();
    for name in &names {
        world.disk.plant(name, b"not a segment".to_vec());
    }
    let job = Job::Compact {
        older_than_s: Some(1_000_000),
        dry_run: false,
    };
    let (code, report) = tool(&mut world, job);
    assert_eq!(code, 0, "{report}");
    for name in &names {
        assert_eq!(
            world.disk.bytes(name),
            Some(&b"not a segment"[..]),
            "{name}"
        );
    }
    assert!(packed(&world.disk.manifest()) >= 2, "{report}");
}

#[test]
fn other_work_has_its_turn_between_the_segments_that_a_command_packs() {
    let config = KeeperConfig {
        preallocated_count: 1,
        ..settings()
    };
    let mut world = next_start(sealed(RECORDS * 4, config.clone()), config);
    world.run();
    world.decide(0, RECORDS * 4, 30 * DAY_S);
    world.op_us = 300_000;
    let seen = Rc::new(RefCell::new(Vec::new()));
    let noted = seen.clone();
    world.watch = Some(Box::new(move |_, op| match op {
        FileOp::Zero { .. } => noted.borrow_mut().push("refill"),
        FileOp::Unlink(_) => noted.borrow_mut().push("packed"),
        _ => {}
    }));
    compact(&mut world);
    let seen = seen.borrow();
    let refilled = seen.iter().rposition(|it| *it == "refill");
    let last = seen.iter().rposition(|it| *it == "packed");
    assert!(refilled.is_some() && refilled < last, "{seen:?}");
}
