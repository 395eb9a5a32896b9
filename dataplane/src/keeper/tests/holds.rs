//! Holds: they keep what their readers are not done with, over restarts and crashes, and commands change them durably.

use crate::keeper::config::KeeperConfig;
use crate::keeper::holds::HOLDS_COUNT_MAX;
use crate::keeper::offline::Job;
use crate::keeper::port::{CommandId, FileOp, KeeperEvent};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::evidence::command;
use crate::keeper::tests::quarantine::tool;
use crate::keeper::tests::world::{World, config, manifest};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{Hold, Manifest};
use crate::wal::name::LogId;

pub(super) const DAY_S: u32 = 86_400;

/// Seals each ten minutes, keeps bodies for one.
pub(super) fn short_lived(shards: u16) -> KeeperConfig {
    KeeperConfig {
        seal_every_us: 600_000_000,
        body_age_max_s: 60,
        ..config(shards)
    }
}

/// Writes a few segments, closed and sealed, and lets age have its way.
pub(super) fn write_and_age(world: &mut World, from: u32) {
    for record in from..from + 300 {
        world.decide(0, record, 30 * DAY_S);
    }
    world.pass_s(700);
    world.pass_s(120);
    world.pass_s(120);
}

pub(super) fn hold(world: &World, name: &str) -> Hold {
    let holds = manifest(world).sections.holds;
    holds.into_iter().find(|hold| hold.name == name).unwrap()
}

/// The last sequence of each closed segment of a log that is kept.
pub(super) fn closed(world: &World, log: LogId) -> Vec<u64> {
    let manifest = manifest(world);
    let segments = manifest.log(log).map(|log| log.segments.clone());
    let segments = segments.unwrap_or_default();
    let extents = segments.iter().filter_map(|entry| entry.state.extent());
    extents.map(|extent| extent.last.counter()).collect()
}

fn log_of(world: &World) -> LogId {
    world.shards[0].begin.log
}

#[test]
fn a_hold_keeps_what_it_is_not_done_with_and_frees_it_as_it_moves() {
    let mut world = World::started(TestDisk::new(), short_lived(1));
    assert_eq!(command(&mut world, "flk1 hold set backup"), "ok");
    write_and_age(&mut world, 0);
    let log = log_of(&world);
    let kept = closed(&world, log);
    assert!(kept.len() > 4 && kept[0] < 100, "all is kept: {kept:?}");
    let list = command(&mut world, "flk1 hold list");
    assert!(
        list.starts_with("ok {\"holds\":[{\"name\":\"backup\""),
        "{list}"
    );
    assert!(!list.contains("\"kept_bytes\":0,"), "{list}");
    let status = command(&mut world, "flk1 status");
    assert!(status.contains("\"holds\":1,"), "{status}");
    assert!(!status.contains("\"held_bytes\":0,"), "{status}");

    let done = kept[2];
    let line = format!("flk1 hold move backup {log}:{done}");
    assert_eq!(command(&mut world, &line), "ok");
    world.pass_s(120);
    assert_eq!(closed(&world, log), kept[3..]);

    assert_eq!(command(&mut world, "flk1 hold drop backup"), "ok");
    world.pass_s(120);
    assert_eq!(closed(&world, log), Vec::<u64>::new());
    assert_eq!(world.config.stats.keeper.hold_releases.get(), 0);
    assert_eq!(world.exit, None);
}

#[test]
fn a_hold_that_was_acknowledged_survives_a_crash_and_keeps_on() {
    let mut world = World::started(TestDisk::new(), short_lived(1));
    let line = "flk1 hold set audit --owner the auditor --bytes-max 1000000000 --age-max 9000";
    assert_eq!(command(&mut world, line), "ok");
    let before = hold(&world, "audit");
    assert_eq!(
        (before.owner.as_str(), before.age_max_s),
        ("the auditor", 9000)
    );
    write_and_age(&mut world, 0);
    let log = log_of(&world);
    let kept = closed(&world, log);
    let line = format!("flk1 hold move audit {log}:{}", kept[1]);
    assert_eq!(command(&mut world, &line), "ok");
    for lost in [Lost::Everything, Lost::Nothing] {
        world = world.restarted(lost, 1, 1);
        world.assert_serving();
        assert_eq!(hold(&world, "audit").done[0].upto.counter(), kept[1]);
        assert_eq!(hold(&world, "audit").made_at_s, before.made_at_s);
        world.pass_s(240);
        let kept_now = closed(&world, log);
        assert_eq!(kept_now[..kept.len() - 2], kept[2..]);
    }
}

#[test]
fn a_hold_that_is_set_again_keeps_what_is_not_given_and_stays_where_it_is() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 1, DAY_S);
    let log = log_of(&world);
    let line = format!("flk1 hold set backup {log}:1 --owner me --bytes-max 7 --age-max 8");
    assert_eq!(command(&mut world, &line), "ok");
    let before = hold(&world, "backup");
    world.pass_s(5);
    assert_eq!(
        command(&mut world, "flk1 hold set backup --age-max 9"),
        "ok"
    );
    let expected = Hold {
        age_max_s: 9,
        ..before.clone()
    };
    assert_eq!(hold(&world, "backup"), expected);
    assert_eq!(
        (before.owner.as_str(), before.bytes_max, before.done.len()),
        ("me", 7, 1)
    );
}

#[test]
fn the_slowest_of_two_holds_decides_for_each_log() {
    let mut world = World::started(TestDisk::new(), short_lived(1));
    write_and_age(&mut world, 0);
    assert_eq!(closed(&world, log_of(&world)), Vec::<u64>::new());
    for record in 1000..1300 {
        world.decide(0, record, 30 * DAY_S);
    }
    assert_eq!(command(&mut world, "flk1 hold set slow"), "ok");
    assert_eq!(command(&mut world, "flk1 hold set fast"), "ok");
    world.pass_s(820);
    let log = log_of(&world);
    let kept = closed(&world, log);
    let move_to = |name: &str, at: usize| format!("flk1 hold move {name} {log}:{}", kept[at]);
    assert_eq!(command(&mut world, &move_to("fast", 3)), "ok");
    assert_eq!(command(&mut world, &move_to("slow", 0)), "ok");
    world.pass_s(120);
    assert_eq!(closed(&world, log), kept[1..]);
    assert_eq!(command(&mut world, &move_to("slow", 3)), "ok");
    world.pass_s(120);
    assert_eq!(closed(&world, log), kept[4..]);
}

/// A directory with sealed segments of an earlier run, whose ages are in their files only.
fn sealed_earlier() -> World {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..300 {
        world.decide(0, record, 30 * DAY_S);
    }
    let sealed = command(&mut world, "flk1 compact --older-than 1000000");
    assert!(sealed.starts_with("ok"), "{sealed}");
    world.restarted(Lost::Nothing, 1, 1)
}

#[test]
fn a_hold_that_comes_in_while_a_deletion_looks_at_segments_is_respected_by_it() {
    let mut spared = 0;
    for read in 1..30 {
        let mut world = sealed_earlier();
        world.ask_line = "flk1 hold set late";
        let mut reads = 0;
        world.ask_at = Some(Box::new(move |_, op| {
            let is_read = matches!(op, FileOp::Read { .. });
            reads += u32::from(is_read);
            is_read && reads == read
        }));
        world.watch = Some(Box::new(|disk, op| {
            let FileOp::Rename { from, .. } = op else {
                return;
            };
            let (old, new) = (read_manifest(disk, "manifest"), read_manifest(disk, from));
            if !old.sections.holds.is_empty() {
                assert_eq!(new.segments_count(), old.segments_count(), "one goes");
            }
        }));
        let id = CommandId(1);
        let line = "flk1 compact --older-than 0".to_string();
        world.happen(KeeperEvent::Command { id, line });
        world.pass_s(3);
        let reply = |number: u64| {
            let mut replies = world.replies.iter();
            replies
                .find(|(id, _)| id.0 == number)
                .map(|it| it.1.clone())
        };
        let freed = reply(1).expect("an answer to the compaction");
        let is_held = reply(7).as_deref() == Some("ok");
        spared += u32::from(is_held && freed.contains("\"segments\":0,"));
    }
    assert!(spared > 1, "the hold came in between in {spared} runs");
}

fn read_manifest(disk: &TestDisk, name: &str) -> Manifest {
    Manifest::decode(disk.bytes(name).expect("a manifest")).expect("a whole manifest")
}

#[test]
fn commands_that_cannot_be_carried_out_say_why_and_change_nothing() {
    let mut world = World::started(TestDisk::new(), short_lived(1));
    let log = log_of(&world);
    for _ in 0..9 {
        world.decide(0, 1, DAY_S);
    }
    assert_eq!(command(&mut world, "flk1 hold set backup"), "ok");
    let move_to = |counter: u32| format!("flk1 hold move backup {log}:{counter}");
    assert_eq!(command(&mut world, &move_to(7)), "ok");
    let before = manifest(&world).sections;
    for (line, why) in [
        (move_to(6), "does not go back"),
        ("flk1 hold move other 1.0:7".to_string(), "no hold other"),
        ("flk1 hold drop other".to_string(), "no hold other"),
        ("flk1 hold move backup 9.0:1".to_string(), "no log 9.0"),
        ("flk1 hold move backup 1.7:1".to_string(), "no log 1.7"),
        ("flk1 hold dance".to_string(), "expected"),
    ] {
        let reply = command(&mut world, &line);
        assert!(reply.starts_with("error") && reply.contains(why), "{reply}");
    }
    assert_eq!(manifest(&world).sections, before);
    for number in 1..HOLDS_COUNT_MAX {
        let line = format!("flk1 hold set further-{number}");
        assert_eq!(command(&mut world, &line), "ok");
    }
    let reply = command(&mut world, "flk1 hold set one-too-many");
    assert!(
        reply.starts_with("error") && reply.contains("no more"),
        "{reply}"
    );
    assert_eq!(manifest(&world).sections.holds.len(), HOLDS_COUNT_MAX);
}

#[test]
fn a_hold_for_which_the_manifest_has_no_place_is_refused() {
    let mut world = World::started(TestDisk::new(), config(1));
    let bytes = manifest(&world).encoded_bytes();
    let settings = KeeperConfig {
        // One sixteenth is kept for a start, and some for a stop.
        manifest_bytes_max: (bytes + 400) * 16 / 15,
        ..config(1)
    };
    world.config = settings;
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    let mut replies = Vec::new();
    for number in 0..8 {
        let owner = "o".repeat(60);
        let line = format!("flk1 hold set number-{number} --owner {owner}");
        replies.push(command(&mut world, &line));
    }
    let refused = replies.iter().find(|reply| reply.starts_with("error"));
    let refused = refused.unwrap_or_else(|| panic!("all were taken: {replies:?}"));
    assert!(refused.contains("manifest"), "{refused}");
    let list = command(&mut world, "flk1 hold list");
    assert!(list.starts_with("ok"), "{list}");
}

#[test]
fn a_hold_moves_although_the_manifest_is_full() {
    let mut world = World::started(TestDisk::new(), config(1));
    let bytes = manifest(&world).encoded_bytes();
    world.config = KeeperConfig {
        manifest_bytes_max: (bytes + 1_000) * 16 / 15,
        ..config(1)
    };
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    let mut number = 0;
    for owner_bytes in [60, 0] {
        let owner = "o".repeat(owner_bytes);
        loop {
            number += 1;
            let line = format!("flk1 hold set {number} --owner {owner}");
            let reply = command(&mut world, &line);
            if reply != "ok" {
                assert!(reply.contains("manifest"), "{reply}");
                break;
            }
        }
    }
    // What is left is less than a hold takes, and less than two positions.
    let log = log_of(&world);
    for name in 1..=2 {
        let line = format!("flk1 hold move {name} {log}:0");
        assert_eq!(command(&mut world, &line), "ok");
    }
    assert_eq!(hold(&world, "2").done.len(), 1);
}

#[test]
fn behind_a_segment_that_stays_because_it_cannot_be_read_none_is_let_go() {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..300 {
        world.decide(0, record, 30 * DAY_S);
    }
    let sealed = command(&mut world, "flk1 compact --older-than 1000000");
    assert!(sealed.starts_with("ok"), "{sealed}");
    let log = log_of(&world);
    let first = closed(&world, log)[0];
    assert_eq!(command(&mut world, "flk1 hold set late --age-max 1"), "ok");
    let line = format!("flk1 hold move late {log}:{first}");
    assert_eq!(command(&mut world, &line), "ok");
    // The ages of segments of an earlier run are in their files only.
    let kept = closed(&world, log);
    let oldest = manifest(&world).log(log).unwrap().segments[0];
    let last_block = oldest.state.extent().unwrap().bytes - 4096;
    let name = NumberedFile::Segment(oldest.file).to_string();
    world.disk.fail_reads_at = Some((name, last_block));
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    world.pass_s(100);
    let reply = command(&mut world, "flk1 compact --older-than 60");
    assert!(reply.contains("\"segments\":0,"), "{reply}");
    assert_eq!(world.exit, None);
    assert_eq!(closed(&world, log)[..kept.len()], kept);
    world.disk.fail_reads_at = None;
    let reply = command(&mut world, "flk1 compact --older-than 60");
    assert!(!reply.contains("\"segments\":0,"), "{reply}");
    assert_eq!(closed(&world, log), Vec::<u64>::new());
}

#[test]
fn positions_in_logs_that_are_gone_are_forgotten_and_left_out() {
    let mut world = World::started(TestDisk::new(), short_lived(1));
    assert_eq!(command(&mut world, "flk1 hold set backup"), "ok");
    for record in 0..5 {
        world.decide(0, record, DAY_S);
    }
    let log = log_of(&world);
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    let line = format!("flk1 hold move backup {log}:5");
    assert_eq!(command(&mut world, &line), "ok");
    assert_eq!(hold(&world, "backup").done.len(), 1);
    world.decide(0, 9, DAY_S);
    world.pass_s(700);
    world.pass_s(240);
    assert_eq!(manifest(&world).log(log), None, "all of it is deleted");
    assert_eq!(hold(&world, "backup").done, []);
    let line = format!("flk1 hold move backup {log}:5");
    assert_eq!(command(&mut world, &line), "ok");
    assert_eq!(hold(&world, "backup").done, []);
}

#[test]
fn holds_are_changed_without_a_server() {
    let mut world = World::started(TestDisk::new(), short_lived(1));
    world.decide(0, 1, DAY_S);
    let log = log_of(&world);
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    let mut hold = |line: &str| {
        let line = format!("hold {line}");
        tool(&mut world, Job::Hold { line })
    };
    assert_eq!(hold("set backup --owner me"), (0, "ok".to_string()));
    assert_eq!(hold(&format!("move backup {log}:1")), (0, "ok".to_string()));
    let (code, list) = hold("list");
    assert_eq!(code, 0);
    assert!(list.contains("\"owner\":\"me\""), "{list}");
    assert!(list.contains(&format!("\"done\":[\"{log}:1\"]")), "{list}");
    let (code, why) = hold(&format!("move backup {log}:0"));
    assert_eq!(code, 78);
    assert!(why.contains("does not go back"), "{why}");
    assert_eq!(hold("drop backup"), (0, "ok".to_string()));
    let world = world.restarted(Lost::Everything, 1, 1);
    world.assert_serving();
    assert_eq!(manifest(&world).sections.holds, []);
}
