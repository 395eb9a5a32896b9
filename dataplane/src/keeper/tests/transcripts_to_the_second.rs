//! Flows in which every limit is met exactly, against transcripts in `transcripts/`: file operations take no time and time
//! passes second by second, so that what is due at a moment is done at that moment, not one look later.

use crate::dedup::claims::MemoryUse;
use crate::io::ShardId;
use crate::keeper::config::KeeperConfig;
use crate::keeper::load::decisions_max;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::transcript::{Detail, Transcript};
use crate::keeper::tests::transcripts::{
    DAY_S, compare, compare_text, decide, head, small, started,
};
use crate::keeper::tests::world::World;
use crate::mesh::keeper::ToKeeper;

/// A keeper whose file operations take no time from here on.
fn exact(config: KeeperConfig, detail: Detail) -> World {
    let mut world = started(TestDisk::new(), config, detail);
    world.op_us = 0;
    world.pass_us(1_000_000 - (world.now.mono_us % 1_000_000));
    world
}

/// So many seconds pass, one by one; every third one brings two records.
fn seconds(world: &mut World, count: u32, ttl_s: u32) {
    for _ in 0..count {
        if (world.now.mono_us / 1_000_000).is_multiple_of(3) {
            decide(world, world.decided..world.decided + 2, ttl_s, 0);
        }
        world.pass_s(1);
    }
}

#[test]
fn sealing_ageing_and_expiry_come_in_their_second_as_in_the_transcript() {
    let settings = KeeperConfig {
        seal_every_us: 10_000_000,
        body_age_max_s: 20,
        slices_count_max: 2,
        ttl_s: 30,
        ..small(2)
    };
    let mut world = exact(settings, Detail::Seen);
    seconds(&mut world, 50, 30);
    head(&mut world, "nothing more comes");
    for _ in 0..50 {
        world.pass_s(1);
    }
    compare(&world, "seconds.txt");
}

#[test]
fn seals_under_pressure_come_in_their_second_as_in_the_transcript() {
    let settings = KeeperConfig {
        dedup_memory_bytes_max: 128 * 96,
        ..small(2)
    };
    let mut world = exact(settings, Detail::Told);
    world.tell(ShardId(1), ToKeeper::Memory(MemoryUse::Full));
    seconds(&mut world, 120, DAY_S);
    world.tell(ShardId(1), ToKeeper::Memory(MemoryUse::Plenty));
    seconds(&mut world, 60, DAY_S);
    compare(&world, "pressure.txt");
}

#[test]
fn bytes_that_wait_to_be_sealed_are_bounded_to_the_byte_as_in_the_transcript() {
    // A segment is closed with 52 KiB in it.
    let mut all = Transcript::of(Detail::Told);
    for seal_bytes_max in [3 * 53_248 - 1, 3 * 53_248, 3 * 53_248 + 1] {
        let settings = KeeperConfig {
            seal_bytes_max,
            ..small(1)
        };
        let mut world = exact(settings, Detail::Said);
        world.transcript = Some(Transcript::of(Detail::Said));
        for _ in 0..6 {
            let from = world.decided;
            decide(&mut world, from..from + 9, DAY_S, 0);
            world.pass_s(3);
        }
        all.head(&format!("{seal_bytes_max} bytes may wait"));
        all.append(world.transcript.as_ref().expect("one"));
    }
    compare_text(&all.text(), "seal_bytes.txt");
}

#[test]
fn time_between_two_runs_is_taken_or_withheld_to_the_second_as_in_the_transcript() {
    let mut all = Transcript::of(Detail::Told);
    for later_s in [0, 1, 3_599, 3_600, 3_601, 3_602, 7_200, 90_000] {
        let mut world = exact(small(1), Detail::Said);
        decide(&mut world, 0..2, 3_600, 0);
        decide(&mut world, 2..3, 3_601, 0);
        world.pass_s(10);
        world.transcript = Some(Transcript::of(Detail::Told));
        head(&mut world, &format!("{later_s} s later"));
        let mut world = world.restarted(Lost::Everything, 1, later_s);
        world.pass_s(2);
        let mut world = world.restarted(Lost::Everything, 1, 3_601);
        head(&mut world, "the wall clock is set back by an hour");
        world.now.wall_us -= 3_600_000_000;
        let world = world.restarted(Lost::Everything, 1, 10);
        all.append(world.transcript.as_ref().expect("one"));
    }
    compare_text(&all.text(), "withheld.txt");
}

#[test]
fn decisions_fit_the_declared_memory_to_the_byte_as_in_the_transcript() {
    let mut all = Transcript::of(Detail::Told);
    let is_enough = |bytes: &u64| decisions_max(*bytes) >= 50;
    let needed_bytes = (0..).find(is_enough).expect("some are enough");
    for memory_bytes in [needed_bytes - 1, needed_bytes, needed_bytes + 1] {
        let mut world = exact(small(1), Detail::Said);
        decide(&mut world, 0..50, DAY_S, 0);
        world.config.dedup_memory_bytes_max = memory_bytes;
        world.transcript = Some(Transcript::of(Detail::Said));
        head(&mut world, &format!("{memory_bytes} bytes are declared"));
        let mut world = world.restarted(Lost::Nothing, 1, 1);
        world.pass_s(10);
        all.append(world.transcript.as_ref().expect("one"));
    }
    compare_text(&all.text(), "declared_memory.txt");
}
