//! What other versions wrote: a directory of format 1, which is read on the clock of now, and entries of a newer flk, which are
//! never called damaged.

use crate::dedup::Decided;
use crate::dedup::claims::{BlockFault, UnusableBlock};
use crate::dedup::slice::verify_whole;
use crate::io::ShardId;
use crate::keeper::notice::Notice;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::from_slices::{answer_at, clock_s, compact};
use crate::keeper::tests::world::{World, config, manifest};
use crate::mesh::keeper::ToKeeper;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::{crc, crc_more};
use crate::wal::files::MANIFEST;
use crate::wal::manifest::{CLOCK_BEGIN_US, ClockBase};
use std::fs;
use std::path::Path;

const DAY_S: u32 = 86_400;

/// The fixture of format 1 with a slice, whose installation was 247,400 s after the beginning of the clock of now.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../golden/wal/v1_sealed");
const BASE_S: u32 = 247_400;

/// A gateway that is started on the fixture, five seconds behind its last batch.
fn started_on_format_1() -> World {
    let mut disk = TestDisk::new();
    for entry in fs::read_dir(Path::new(FIXTURE)).expect("the fixture") {
        let path = entry.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        disk.plant(&name, fs::read(&path).expect("its bytes"));
    }
    let mut world = World::new(disk, config(1));
    world.now.wall_us = CLOCK_BEGIN_US + (u64::from(BASE_S) + 990_045) * 1_000_000 + 250_000;
    world.run();
    world.assert_serving();
    world
}

/// What its slice holds, on the clock of its installation.
fn sealed_by_format_1() -> Vec<Decided> {
    let name = format!("{FIXTURE}/slice-0000000000000004.flk");
    let mut entries = Vec::new();
    let bytes = fs::read(name).expect("the slice");
    verify_whole(&bytes, |decided| entries.push(decided)).expect("a whole slice");
    entries
}

/// All decisions in slices and tables, by key.
fn known(world: &World) -> Vec<(u32, u32)> {
    let mut all: Vec<Decided> = world.shards[0].loaded.clone();
    for name in world.disk.names() {
        let bytes = world
            .disk
            .bytes(&name)
            .filter(|_| name.starts_with("slice-"));
        if let Some(bytes) = bytes {
            verify_whole(bytes, |decided| all.push(decided)).expect("a whole slice");
        }
    }
    all.sort_by_key(|it| it.key);
    all.iter().map(|it| (it.decided_at, it.expiry)).collect()
}

#[test]
fn a_directory_of_format_1_is_read_on_the_clock_of_now_at_every_start() {
    let base = ClockBase {
        base_s: BASE_S,
        upto_start: 1,
    };
    let mut world = started_on_format_1();
    for starts in 1..=3 {
        assert_eq!(manifest(&world).sections.clock_base_of_format_1, Some(base));
        assert_eq!(clock_s(&world), BASE_S + 990_040 + 5 * starts);
        assert_eq!(manifest(&world).slices[0].decided_first, BASE_S + 990_000);
        let mut loaded: Vec<u32> = world.shards[0]
            .loaded
            .iter()
            .map(|it| it.decided_at)
            .collect();
        loaded.sort_unstable();
        assert_eq!(loaded, [BASE_S + 990_030, BASE_S + 990_040]);
        assert_eq!(sealed_by_format_1().len(), 5);
        for old in sealed_by_format_1() {
            let (decided_at, expiry) = (old.decided_at + BASE_S, old.expiry + BASE_S);
            assert_eq!(answer_at(&world, old.key, expiry - 1), Ok(Some(decided_at)));
            assert_eq!(answer_at(&world, old.key, expiry), Ok(None));
        }
        world = world.restarted(Lost::Everything, 1, 5);
        world.assert_serving();
    }
}

#[test]
fn what_is_sealed_and_merged_of_format_1_is_on_the_clock_of_now() {
    let mut world = started_on_format_1();
    world.config.slices_count_max = 1;
    world.decide(0, 7, 2 * DAY_S);
    compact(&mut world);
    let mut world = world.restarted(Lost::Everything, 1, 1);
    world.pass_s(100);
    assert_eq!(manifest(&world).slices.len(), 1, "merged");
    assert!(world.shards[0].loaded.is_empty());
    let mut of_format_1 = 0;
    for (decided_at, expiry) in known(&world) {
        assert!(
            (990_000..991_000).contains(&(decided_at - BASE_S)),
            "{decided_at}"
        );
        of_format_1 += u32::from(expiry - decided_at == 14 * DAY_S);
    }
    assert_eq!((known(&world).len(), of_format_1), (8, 7));
}

/// A gateway whose sealed decisions have a reason that this flk does not know, under a right checksum, and one of them is in
/// the log again.
fn of_a_newer_flk(again: u32) -> World {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..5 {
        world.decide(0, record, 30 * DAY_S);
    }
    compact(&mut world);
    world.decide(0, again, 30 * DAY_S);
    let names = world.disk.names();
    let slice = names.into_iter().find(|it| it.starts_with("slice-"));
    world.disk.tamper(&slice.expect("a slice"), |bytes| {
        let block = &mut bytes[BLOCK_BYTES..2 * BLOCK_BYTES];
        for entry in 0..5 {
            block[64 + 72 * entry + 66] = 200;
        }
        let sum = crc_more(crc(&block[..60]), &block[64..]);
        block[60..64].copy_from_slice(&sum.to_le_bytes());
    });
    world
}

#[test]
fn a_start_that_must_judge_an_entry_of_a_newer_flk_ends_with_78_and_changes_nothing() {
    let world = of_a_newer_flk(3);
    let before = world.disk.bytes(MANIFEST).map(<[u8]>::to_vec);
    let world = world.restarted(Lost::Nothing, 1, 1);
    let (code, reason) = world.exit.expect("an end");
    assert_eq!(code, 78, "{reason}");
    let wanted = "an entry has reason 200, which this flk does not know";
    assert!(
        reason.contains("slice-") && reason.contains(wanted),
        "{reason}"
    );
    assert_eq!(world.disk.bytes(MANIFEST).map(<[u8]>::to_vec), before);
}

#[test]
fn an_entry_of_a_newer_flk_that_a_look_up_meets_is_said_to_be_that() {
    let mut world = of_a_newer_flk(9).restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    let unusable = UnusableBlock {
        file: world.shards[0].set.slices[0].file,
        block: 1,
        fault: BlockFault::Newer {
            part: "reason",
            number: 200,
        },
    };
    world.tell(ShardId(0), ToKeeper::SliceUnusable(unusable));
    world.run();
    let said = world.notices.iter().map(ToString::to_string);
    let said: Vec<String> = said.filter(|it| it.contains("reason 200")).collect();
    assert_eq!(said.len(), 1);
    assert!(
        said[0].contains("use the flk that wrote it or a later one"),
        "{}",
        said[0]
    );
    let is_damage = |it: &Notice| matches!(it, Notice::SliceDamaged { .. });
    assert!(!world.notices.iter().any(is_damage));
}
