//! Whole flows of the keeper against their transcripts in `transcripts/`: every operation on a file and its order, every
//! manifest, every message, every line for the operator and every time to be woken. The other tests say what must hold;
//! these say that nothing else changes. `FLK_TRANSCRIPTS=write cargo test …` writes the files anew; review the diff.

use crate::dedup::claims::MemoryUse;
use crate::io::{Errno, ShardId};
use crate::keeper::Keeper;
use crate::keeper::config::KeeperConfig;
use crate::keeper::offline::Job;
use crate::keeper::port::{CommandId, FileOp, KeeperEvent};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::quarantine::quarantine;
use crate::keeper::tests::transcript::{Detail, Transcript};
use crate::keeper::tests::world::{World, config};
use crate::mesh::keeper::ToKeeper;
use std::path::Path;

const HOUR_S: u32 = 3_600;
pub(super) const DAY_S: u32 = 24 * HOUR_S;

/// Short segments, one of them preallocated.
pub(super) fn small(shards: u16) -> KeeperConfig {
    KeeperConfig {
        segment_bytes: 64 << 10,
        preallocated_count: 1,
        ..config(shards)
    }
}

/// Seals every hour and keeps bodies for two.
pub(super) fn sealing(shards: u16) -> KeeperConfig {
    KeeperConfig {
        seal_every_us: u64::from(HOUR_S) * 1_000_000,
        body_age_max_s: 2 * HOUR_S,
        ..small(shards)
    }
}

/// A keeper that starts on this disk and is written down; each file operation takes 0.1 ms.
pub(super) fn started(disk: TestDisk, config: KeeperConfig, detail: Detail) -> World {
    let mut world = World::new(disk, config);
    world.op_us = 100;
    world.transcript = Some(Transcript::of(detail));
    world.run();
    world
}

pub(super) fn head(world: &mut World, text: &str) {
    world.transcript.as_mut().expect("one").head(text);
}

pub(super) fn command(world: &mut World, line: &str) {
    head(world, line);
    world.happen(KeeperEvent::Command {
        id: CommandId(1),
        line: format!("flk1 {line}"),
    });
    world.pass_s(1);
}

fn metrics(world: &mut World) {
    let stats = world.config.stats.clone();
    world.transcript.as_mut().expect("one").metrics(&stats);
}

/// Each shard in its turn logs so many records, `every_us` apart.
pub(super) fn decide(world: &mut World, records: std::ops::Range<u32>, ttl_s: u32, every_us: u64) {
    let shards = world.shards.len() as u32;
    for record in records {
        world.decide((record % shards) as u16, record, ttl_s);
        world.pass_us(every_us);
    }
}

/// Offers records until one is refused.
fn offer(world: &mut World, records: std::ops::Range<u32>) {
    let shards = world.shards.len() as u32;
    for record in records {
        let offered = world.offer((record % shards) as u16, record, DAY_S, 700);
        if world.exit.is_some() || offered.is_err() {
            return;
        }
    }
}

pub(super) fn compare(world: &World, name: &str) {
    let text = world.transcript.as_ref().expect("one").text();
    compare_text(&text, name);
}

pub(super) fn compare_text(text: &str, name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/keeper/tests/transcripts");
    flk_testkit::same_as_file(&folder.join(name), text);
}

#[test]
fn a_first_start_serving_and_a_clean_stop_do_what_their_transcript_says() {
    let mut world = started(TestDisk::new(), small(2), Detail::All);
    head(&mut world, "twelve records");
    decide(&mut world, 0..12, DAY_S, 1_000);
    command(&mut world, "status");
    world.pass_s(3);
    head(&mut world, "the process is asked to end");
    world.happen(KeeperEvent::Terminate);
    world.pass_s(1);
    metrics(&mut world);
    let mut world = world.restarted(Lost::Everything, 1, 1);
    world.pass_s(2);
    compare(&world, "first_start.txt");
}

#[test]
fn a_start_after_a_crash_does_what_its_transcript_says() {
    let mut world = started(TestDisk::new(), small(2), Detail::All);
    decide(&mut world, 0..40, 30 * DAY_S, 1_000);
    world.unresolved = true;
    decide(&mut world, 40..44, DAY_S, 1_000);
    world.tear(0, 90, 1);
    world
        .disk
        .plant("segment-00000000000000a0.wal", vec![0; 4096]);
    world
        .disk
        .plant("segment-00000000000000a1.wal", vec![7; 4096]);
    world
        .disk
        .plant("slice-00000000000000a2.slc", vec![0; 4096]);
    world.disk.plant("notes.txt", vec![1; 10]);
    head(
        &mut world,
        "the machine dies, and comes back after two days with three shards",
    );
    let world = world.restarted(Lost::Everything, 3, u64::from(2 * DAY_S));
    let mut world = world.restarted(Lost::Nothing, 1, 10);
    world.pass_s(2);
    command(&mut world, "release-clock");
    command(&mut world, "status");
    compare(&world, "crash.txt");
}

#[test]
fn sealing_and_deletion_do_what_their_transcript_says() {
    let mut world = started(TestDisk::new(), sealing(2), Detail::All);
    decide(&mut world, 0..40, DAY_S, 1_000);
    world.pass_s(u64::from(HOUR_S) + 1);
    command(&mut world, "status");
    decide(&mut world, 40..44, DAY_S, 1_000);
    world.pass_s(u64::from(2 * HOUR_S));
    command(&mut world, "status");
    metrics(&mut world);
    let mut world = world.restarted(Lost::Everything, 2, 5);
    command(&mut world, "status");
    compare(&world, "sealing.txt");
}

#[test]
fn months_of_sealing_merging_and_expiring_are_as_in_their_transcript() {
    let settings = KeeperConfig {
        slices_count_max: 3,
        ..sealing(2)
    };
    let mut world = started(TestDisk::new(), settings, Detail::Seen);
    for round in 0..7 {
        head(&mut world, &format!("round {round}"));
        let ttl_s = if round % 2 == 0 { DAY_S } else { 3 * DAY_S };
        decide(&mut world, 20 * round..20 * (round + 1), ttl_s, 1_000);
        world.pass_s(u64::from(HOUR_S) + 10);
    }
    head(&mut world, "a day and more");
    world.pass_s(u64::from(DAY_S + HOUR_S));
    command(&mut world, "status");
    let mut world = world.restarted(Lost::Everything, 1, 60);
    world.pass_s(u64::from(3 * DAY_S));
    command(&mut world, "status");
    metrics(&mut world);
    compare(&world, "months.txt");
}

#[test]
fn a_small_volume_fills_and_empties_as_in_its_transcript() {
    let mut disk = TestDisk::new();
    disk.total_bytes = 40 * (64 << 10);
    let mut world = started(disk, small(1), Detail::Told);
    for round in 0..5 {
        decide(&mut world, 40 * round..40 * (round + 1), DAY_S, 50_000);
        command(&mut world, "status");
    }
    head(&mut world, "nothing may go: bodies have no disposition");
    world.unresolved = true;
    offer(&mut world, 200..500);
    command(&mut world, "status");
    world.pass_s(30);
    head(&mut world, "they have");
    world.unresolved = false;
    let (log, upto) = (world.shards[0].begin.log, world.shards[0].last());
    world.tell(ShardId(0), ToKeeper::Resolved { log, upto });
    world.pass_s(30);
    command(&mut world, "status");
    head(
        &mut world,
        "the file system does not answer, then it refuses, then it is full",
    );
    world.disk.fails_space = true;
    decide(&mut world, 500..520, DAY_S, 50_000);
    world.pass_s(3);
    world.disk.fails_space = false;
    world.disk.refuses = Some(Errno(30));
    offer(&mut world, 520..600);
    world.pass_s(3);
    world.disk.refuses = None;
    world.pass_s(3);
    world.disk.full = true;
    offer(&mut world, 600..700);
    world.pass_s(3);
    world.disk.full = false;
    world.pass_s(3);
    command(&mut world, "status");
    metrics(&mut world);
    compare(&world, "volume.txt");
}

#[test]
fn a_cap_holds_as_in_its_transcript() {
    let settings = KeeperConfig {
        wal_bytes_max: Some(24 * (64 << 10)),
        ..small(2)
    };
    let mut world = started(TestDisk::new(), settings, Detail::Told);
    for round in 0..4 {
        decide(&mut world, 60 * round..60 * (round + 1), DAY_S, 20_000);
        command(&mut world, "status");
    }
    command(&mut world, "pin");
    offer(&mut world, 240..500);
    world.pass_s(20);
    command(&mut world, "status");
    command(&mut world, "unpin 1");
    world.pass_s(20);
    command(&mut world, "status");
    compare(&world, "cap.txt");
}

#[test]
fn operators_commands_are_answered_as_in_their_transcript() {
    let mut world = started(TestDisk::new(), sealing(2), Detail::Said);
    decide(&mut world, 0..40, DAY_S, 1_000);
    for line in [
        "ping",
        "status",
        "ping twice",
        "compact --dry-run",
        "compact --older-than 0 --dry-run",
        "pin",
        "pin",
        "compact",
        "compact --dry-run --older-than 0",
        "unpin 2",
        "unpin 2",
        "unpin x",
        "unpin",
        "unpin 1",
        "compact --older-than",
        "compact --older-than 0",
        "compact --older-than 0",
        "release-clock",
        "release-clock now",
        "dance",
        "status",
    ] {
        command(&mut world, line);
    }
    head(&mut world, "files stay that should go");
    decide(&mut world, 40..80, DAY_S, 1_000);
    world.disk.fail_unlinks = true;
    command(&mut world, "compact --older-than 0");
    command(&mut world, "status");
    world.disk.fail_unlinks = false;
    world.pass_s(30);
    command(&mut world, "status");
    compare(&world, "commands.txt");
}

/// What an operator reads of one operation that fails while a gateway serves, seals, deletes and stops.
#[test]
fn whichever_file_operation_fails_while_serving_the_operator_reads_what_the_transcript_says() {
    let mut all = Transcript::of(Detail::Said);
    for op in 0..120 {
        let mut world = started(TestDisk::new(), sealing(2), Detail::Said);
        world.transcript = Some(Transcript::of(Detail::Said));
        let mut at = 0;
        let count = std::rc::Rc::new(std::cell::RefCell::new(String::new()));
        let noted = count.clone();
        world.watch = Some(Box::new(move |_, file_op| {
            if at == op {
                *noted.borrow_mut() = kind(file_op).to_string();
            }
            at += 1;
        }));
        world.disk.fail_at = Some((op, Errno::EIO));
        offer(&mut world, 0..20);
        world.pass_s(u64::from(HOUR_S) + 60);
        offer(&mut world, 20..30);
        world.pass_s(u64::from(2 * HOUR_S));
        world.happen(KeeperEvent::Terminate);
        world.pass_s(20);
        all.head(&format!("operation {op} fails: {}", count.borrow()));
        all.append(world.transcript.as_ref().expect("one"));
    }
    compare_text(&all.text(), "serving_troubles.txt");
}

fn kind(op: &FileOp) -> &'static str {
    match op {
        FileOp::List => "list",
        FileOp::Open { .. } => "open",
        FileOp::Close(_) => "close",
        FileOp::Read { .. } => "read",
        FileOp::Write { .. } => "write",
        FileOp::Zero { .. } => "zero",
        FileOp::Truncate(..) => "truncate",
        FileOp::Sync(_) => "sync",
        FileOp::SyncDir => "sync directory",
        FileOp::Rename { .. } => "rename",
        FileOp::Unlink(_) => "unlink",
        FileOp::Len(_) => "length",
        FileOp::Links(_) => "links",
        FileOp::LockExclusive(_) | FileOp::LockShared(_) => "lock",
        FileOp::Unlock(_) => "unlock",
        FileOp::Space => "measure",
        FileOp::Random(_) => "random",
    }
}

#[test]
fn a_start_with_too_little_memory_does_what_its_transcript_says() {
    let mut world = started(TestDisk::new(), small(2), Detail::Seen);
    decide(&mut world, 0..10, DAY_S, 1_000);
    world.config.dedup_memory_bytes_max = 9 * 96;
    let mut world = world.restarted(Lost::Nothing, 2, 1);
    command(&mut world, "status");
    world.pass_s(5);
    command(&mut world, "status");
    world.tell(ShardId(1), ToKeeper::Memory(MemoryUse::Full));
    for round in 0..4 {
        decide(&mut world, 10 + 2 * round..12 + 2 * round, DAY_S, 1_000);
        world.pass_s(40);
    }
    compare(&world, "memory.txt");
}

#[test]
fn a_manifest_that_grows_too_long_is_kept_short_as_in_its_transcript() {
    let settings = KeeperConfig {
        manifest_bytes_max: 4096,
        ..small(1)
    };
    let mut world = started(TestDisk::new(), settings, Detail::Told);
    decide(&mut world, 0..300, DAY_S, 50_000);
    command(&mut world, "status");
    command(&mut world, "pin");
    offer(&mut world, 300..700);
    command(&mut world, "unpin 1");
    world.pass_s(20);
    command(&mut world, "status");
    metrics(&mut world);
    compare(&world, "segments.txt");
}

#[test]
fn what_is_damaged_is_given_up_as_in_its_transcript() {
    let mut world = started(TestDisk::new(), small(1), Detail::Seen);
    decide(&mut world, 0..30, DAY_S, 1_000);
    let file = world.current_file(0);
    world.disk.tamper(&file, |bytes| bytes[3 * 4096 + 200] ^= 1);
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    for accept_loss in [false, true] {
        world = with_tool(world, quarantine(&file, accept_loss));
    }
    let mut world = world.restarted(Lost::Everything, 1, 1);
    decide(&mut world, 30..40, DAY_S, 1_000);
    for dry_run in [true, false] {
        world = with_tool(
            world,
            Job::Compact {
                older_than_s: Some(0),
                dry_run,
            },
        );
    }
    let world = world.restarted(Lost::Everything, 1, 1);
    compare(&world, "given_up.txt");
}

/// Runs a job in a directory that no server uses, written down with full detail.
pub(super) fn with_tool(world: World, job: Job) -> World {
    let World {
        mut disk,
        now,
        config,
        transcript,
        ..
    } = world;
    disk.crash(Lost::Nothing);
    let keeper = Keeper::tool(config.clone(), job.clone());
    let mut world = World::with(disk, config, keeper);
    (world.now, world.transcript, world.op_us) = (now, transcript, 100);
    head(&mut world, &format!("{job:?}"));
    world.run();
    world
}
