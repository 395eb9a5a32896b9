//! What operators read where something is wrong, against transcripts in `transcripts/`: every file operation of a start and
//! of a stop that fails or hangs, every kind of damage and how it is given up, and a disk that is slow.

use crate::io::Errno;
use crate::keeper::config::KeeperConfig;
use crate::keeper::port::KeeperEvent;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::quarantine::quarantine;
use crate::keeper::tests::transcript::{Detail, Transcript};
use crate::keeper::tests::transcripts::{
    DAY_S, command, compare, compare_text, decide, head, sealing, small, started, with_tool,
};
use crate::keeper::tests::world::{World, config};
use crate::wal::manifest::Manifest;

/// Two shards died under load: rolled segments, bodies without a disposition, a torn tail, a file left over.
fn crashed() -> World {
    let mut world = started(TestDisk::new(), small(2), Detail::Said);
    decide(&mut world, 0..30, DAY_S, 1_000);
    world.unresolved = true;
    decide(&mut world, 30..32, DAY_S, 1_000);
    world.tear(1, 90, 1);
    let left_over = "segment-00000000000000a0.wal";
    world.disk.plant(left_over, vec![0; 4096]);
    world.transcript = Some(Transcript::of(Detail::Said));
    world
}

#[test]
fn whichever_file_operation_of_a_start_fails_the_operator_reads_what_the_transcript_says() {
    let mut all = Transcript::of(Detail::Said);
    for op in 0..100 {
        let error = [Errno::EIO, Errno::ENOSPC, Errno(13)][op as usize % 3];
        let mut world = crashed();
        world.disk.fail_at = Some((op, error));
        let world = world.restarted(Lost::Everything, 3, 10);
        all.head(&format!("operation {op} fails"));
        all.append(world.transcript.as_ref().expect("one"));
    }
    compare_text(&all.text(), "start_troubles.txt");
}

#[test]
fn whichever_file_operation_of_a_stop_fails_or_hangs_the_operator_reads_what_the_transcript_says() {
    let mut all = Transcript::of(Detail::Said);
    for op in 0..20 {
        for trouble in ["fails", "fails and all behind it", "hangs"] {
            let mut world = started(TestDisk::new(), sealing(2), Detail::Said);
            decide(&mut world, 0..30, DAY_S, 1_000);
            world.transcript = Some(Transcript::of(Detail::Said));
            match trouble {
                "fails" => world.disk.fail_at = Some((op, Errno::EIO)),
                "hangs" => world.hangs_in = Some(op),
                _ => world.disk.fail_from = Some((op, Errno::ENOSPC)),
            }
            world.happen(KeeperEvent::Terminate);
            world.pass_s(30);
            all.head(&format!("operation {op} {trouble}"));
            all.append(world.transcript.as_ref().expect("one"));
        }
    }
    compare_text(&all.text(), "stop_troubles.txt");
}

#[test]
fn a_stop_with_a_delay_and_busy_shards_goes_as_in_its_transcript() {
    let settings = KeeperConfig {
        drain_delay_us: 5_000_000,
        ..small(2)
    };
    let mut world = started(TestDisk::new(), settings, Detail::Told);
    decide(&mut world, 0..5, DAY_S, 1_000);
    world.busy = true;
    world.happen(KeeperEvent::Terminate);
    world.pass_s(2);
    command(&mut world, "status");
    command(&mut world, "compact --older-than 0");
    world.happen(KeeperEvent::Terminate);
    world.pass_s(20);
    compare(&world, "stop_delayed.txt");
}

/// Files of the segments of the one log, by position.
fn segments(world: &World) -> Vec<String> {
    let bytes = world.disk.bytes("manifest").expect("a manifest");
    let manifest = Manifest::decode(bytes).expect("a whole manifest");
    let log = &manifest.logs[0];
    let files = log.segments.iter().map(|it| it.file);
    files
        .map(|file| format!("segment-{file:016x}.wal"))
        .collect()
}

#[test]
fn each_kind_of_damage_is_named_and_given_up_as_in_the_transcript() {
    let mut all = Transcript::of(Detail::Seen);
    let flip = |at: usize| Box::new(move |bytes: &mut Vec<u8>| bytes[at] ^= 1) as Harm;
    let cut = |to: usize| Box::new(move |bytes: &mut Vec<u8>| bytes.truncate(to)) as Harm;
    let zero = |from: usize, to: usize| {
        Box::new(move |bytes: &mut Vec<u8>| bytes[from..to].fill(0)) as Harm
    };
    type Harm = Box<dyn Fn(&mut Vec<u8>)>;
    let harms: Vec<(&str, usize, Harm)> = vec![
        ("header of the first segment", 0, flip(100)),
        ("first batch of the first", 0, flip(4096 + 20)),
        ("index of a batch of the first", 0, flip(3 * 4096 + 200)),
        ("body of a batch of the first", 0, flip(3 * 4096 + 1_000)),
        ("two batches of the first", 0, zero(3 * 4096, 5 * 4096)),
        ("last batch of the first", 0, flip(12 * 4096 + 20)),
        ("end of the first", 0, cut(40_000)),
        ("all of the first", 0, cut(0)),
        ("header of the one in use", 2, flip(100)),
        (
            "header and first batch of the one in use",
            2,
            zero(0, 2 * 4096),
        ),
        ("a batch of the one in use", 2, flip(3 * 4096 + 20)),
        ("last batch of the one in use", 2, flip(6 * 4096 + 200)),
        ("end of the one in use", 2, cut(5_000)),
        ("all of the one in use", 2, cut(0)),
    ];
    for (what, index, harm) in &harms {
        let mut world = started(TestDisk::new(), small(1), Detail::Said);
        decide(&mut world, 0..30, DAY_S, 1_000);
        world.mark(0);
        let file = segments(&world)[*index].clone();
        world.transcript = Some(Transcript::of(Detail::Told));
        head(&mut world, what);
        world.disk.tamper(&file, harm);
        let mut world = world.restarted(Lost::Nothing, 1, 1);
        if world.exit.is_some() {
            for accept_loss in [false, true] {
                world = with_tool(world, quarantine(&file, accept_loss));
            }
            world = world.restarted(Lost::Everything, 1, 1);
        }
        all.append(world.transcript.as_ref().expect("one"));
    }
    compare_text(&all.text(), "damage.txt");
}

#[test]
fn a_slow_disk_shows_how_far_a_start_and_a_seal_are_as_in_the_transcript() {
    let mut world = started(TestDisk::new(), sealing(2), Detail::Told);
    decide(&mut world, 0..200, DAY_S, 1_000);
    world.op_us = 400_000;
    head(&mut world, "a start after a crash");
    let mut world = world.restarted(Lost::Everything, 1, 10);
    command(&mut world, "status");
    decide(&mut world, 200..230, DAY_S, 1_000);
    world.pass_s(u64::from(DAY_S) / 20);
    command(&mut world, "status");
    compare(&world, "slow_disk.txt");
}

#[test]
fn torn_tails_of_all_lengths_are_cut_as_in_the_transcript() {
    let mut all = Transcript::of(Detail::Seen);
    for blocks in 0..4 {
        for records in [1, 11, 12, 13] {
            let mut world = started(TestDisk::new(), small(1), Detail::Said);
            decide(&mut world, 0..records, DAY_S, 1_000);
            world.tear(0, 90, blocks);
            world.transcript = Some(Transcript::of(Detail::Seen));
            head(
                &mut world,
                &format!("{blocks} blocks behind {records} records"),
            );
            let mut world = world.restarted(Lost::Everything, 1, 1);
            head(&mut world, "once more");
            let world = world.restarted(Lost::Everything, 1, 1);
            all.append(world.transcript.as_ref().expect("one"));
        }
    }
    compare_text(&all.text(), "torn_tails.txt");
}

#[test]
fn an_idle_day_is_what_its_transcript_says() {
    let mut world = started(TestDisk::new(), config(1), Detail::All);
    world.pass_s(u64::from(DAY_S));
    decide(&mut world, 0..1, DAY_S, 1_000);
    world.pass_s(u64::from(DAY_S));
    compare(&world, "idle.txt");
}
