//! The keeper on a disk in memory: starts, crashes at every file operation, damage, clocks, serving, and the end.

use crate::io::ShardId;
use crate::keeper::notice::{Before, Notice};
use crate::keeper::port::KeeperEvent;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::world::{World, config};

const DAY_S: u32 = 86_400;

#[test]
fn a_first_start_makes_an_installation_and_serves() {
    let world = World::started(TestDisk::new(), config(2));
    let names = world.disk.names();
    for name in ["lock", "manifest", "secret"] {
        assert!(names.iter().any(|at| at == name), "{names:?}");
    }
    assert_eq!(world.disk.bytes("lock"), Some(&b"4711\n"[..]));
    assert!(world.notices.contains(&Notice::Installed));
    assert!(world.shards.iter().all(|shard| shard.serving == Some(true)));
    assert_eq!(world.shards[1].begin.log.start, 1);
}

#[test]
fn a_restart_gives_the_same_answers() {
    let mut world = World::started(TestDisk::new(), config(2));
    for record in 0..50 {
        world.decide((record % 2) as u16, record, DAY_S);
    }
    for lost in [Lost::Nothing, Lost::Everything, Lost::Some(1)] {
        world = world.restarted(lost, 2, 5);
        world.assert_serving();
        assert_eq!(world.known(), (0..50).collect::<Vec<_>>(), "{lost:?}");
    }
    assert_eq!(world.shards[0].begin.log.start, 4);
}

#[test]
fn a_restart_with_another_number_of_shards_gives_the_same_answers() {
    let mut world = World::started(TestDisk::new(), config(3));
    for record in 0..60 {
        world.decide((record % 3) as u16, record, DAY_S);
    }
    for shards in [1, 5, 2] {
        world = world.restarted(Lost::Nothing, shards, 5);
        world.assert_serving();
        assert_eq!(world.known(), (0..60).collect::<Vec<_>>());
    }
}

#[test]
fn segments_roll_and_all_of_them_are_read_back() {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..400 {
        world.decide(0, record, DAY_S);
    }
    let segments = world
        .disk
        .names()
        .iter()
        .filter(|name| name.starts_with("segment-"))
        .count();
    assert!(segments > 5, "{segments} segments");
    let world = world.restarted(Lost::Everything, 1, 1);
    world.assert_serving();
    assert_eq!(world.known(), (0..400).collect::<Vec<_>>());
}

/// A directory with whatever a start can meet: rolled logs, an idle mark, a torn tail, an unused log, an ended log.
fn eventful() -> World {
    let mut world = World::started(TestDisk::new(), config(4));
    for record in 0..100 {
        world.decide((record % 3) as u16, record, DAY_S);
    }
    let mut world = world.restarted(Lost::Nothing, 4, 1);
    for record in 100..200 {
        world.decide((record % 3) as u16, record, DAY_S);
    }
    world.mark(1);
    world.tear(2, 900, 1);
    world
}

#[test]
fn a_crash_at_any_file_operation_of_a_start_is_harmless() {
    let count = {
        let before = eventful();
        let ops = before.disk.ops;
        let world = before.restarted(Lost::Everything, 4, 1);
        world.assert_serving();
        world.disk.ops - ops
    };
    assert!(count > 50, "{count} operations");
    for lost in [
        Lost::Nothing,
        Lost::Everything,
        Lost::Some(7),
        Lost::Some(8),
    ] {
        for crash_at in 0..count {
            let World {
                mut disk,
                now,
                config,
                ..
            } = eventful();
            disk.crash(Lost::Everything);
            let mut world = World::new(disk, config);
            world.now.wall_us = now.wall_us + 1_000_000;
            world.ops_left = Some(crash_at);
            assert!(!world.run(), "it dies before operation {crash_at}");
            let world = world.restarted(lost, 3, 1);
            world.assert_serving();
            assert_eq!(
                world.known(),
                (0..200).collect::<Vec<_>>(),
                "{lost:?} {crash_at}"
            );
        }
    }
}

#[test]
fn a_crash_at_any_file_operation_of_the_first_start_is_harmless() {
    let count = World::started(TestDisk::new(), config(2)).disk.ops;
    for lost in [
        Lost::Nothing,
        Lost::Everything,
        Lost::Some(3),
        Lost::Some(4),
    ] {
        for crash_at in 0..count {
            let mut world = World::new(TestDisk::new(), config(2));
            world.ops_left = Some(crash_at);
            assert!(!world.run());
            world.restarted(lost, 2, 1).assert_serving();
        }
    }
}

#[test]
fn power_lost_in_the_start_after_a_killed_one_is_harmless() {
    // The second start sees what the first did not sync, and may have it taken away again.
    let count = World::started(TestDisk::new(), config(1)).disk.ops;
    for lost in [Lost::Everything, Lost::Some(3), Lost::Some(4)] {
        for killed_at in 0..count {
            for crash_at in 0..count {
                let mut world = World::new(TestDisk::new(), config(1));
                world.ops_left = Some(killed_at);
                assert!(!world.run());
                world.disk.kill();
                let mut world = World::new(world.disk, config(1));
                world.ops_left = Some(crash_at);
                let _ = world.run();
                world.restarted(lost, 1, 1).assert_serving();
            }
        }
    }
}

#[test]
fn starting_again_and_again_rewrites_nothing_and_keeps_the_answers() {
    let mut world = eventful().restarted(Lost::Everything, 4, 1);
    let mut before: Option<Vec<(String, Vec<u8>)>> = None;
    for _ in 0..4 {
        world = world.restarted(Lost::Everything, 4, 1);
        world.assert_serving();
        let in_use: Vec<(String, Vec<u8>)> = world
            .disk
            .names()
            .into_iter()
            .filter(|name| name.starts_with("segment-"))
            .map(|name| {
                (
                    name.clone(),
                    world.disk.bytes(&name).unwrap_or_default().to_vec(),
                )
            })
            .filter(|(_, bytes)| bytes.iter().any(|&byte| byte != 0))
            .collect();
        if let Some(before) = before {
            assert_eq!(before, in_use, "ended logs stay as they are");
        }
        before = Some(in_use);
        assert_eq!(world.known(), (0..200).collect::<Vec<_>>());
    }
}

#[test]
fn a_torn_tail_is_cut_and_reported() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 1, DAY_S);
    world.tear(0, 2, 1);
    let file = world.current_file(0);
    let world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    assert_eq!(world.known(), vec![1]);
    let torn = world.notices.iter().any(
        |notice| matches!(notice, Notice::TornTail { file: at, bytes, .. } if *at == file && *bytes > 0),
    );
    assert!(torn, "{:?}", world.notices);
}

fn refused(world: &World) -> (i32, &str) {
    let (code, reason) = world.exit.as_ref().expect("it refuses to start");
    assert!(world.shards.iter().all(|shard| shard.serving.is_none()));
    (*code, reason)
}

#[test]
fn damage_before_the_last_batch_ends_the_start_and_names_the_file() {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..10 {
        world.decide(0, record, DAY_S);
    }
    let file = world.current_file(0);
    world.disk.tamper(&file, |bytes| bytes[3 * 4096 + 200] ^= 1);
    let world = world.restarted(Lost::Nothing, 1, 1);
    let (code, reason) = refused(&world);
    assert_eq!(code, 65);
    assert!(reason.contains(&file) && reason.contains("1:3"), "{reason}");
    let again = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(refused(&again).0, 65, "and again: nothing was changed");
}

#[test]
fn damage_in_an_ended_log_ends_the_start() {
    let mut world = World::started(TestDisk::new(), config(1));
    for record in 0..10 {
        world.decide(0, record, DAY_S);
    }
    let file = world.current_file(0);
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    world.disk.tamper(&file, |bytes| bytes[9 * 4096 + 100] ^= 1);
    let world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(refused(&world).0, 65);
}

#[test]
fn a_missing_file_is_damage() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 1, DAY_S);
    let file = world.current_file(0);
    world.disk.remove(&file);
    let world = world.restarted(Lost::Nothing, 1, 1);
    let (code, reason) = refused(&world);
    assert_eq!(code, 65);
    assert!(reason.contains(&file), "{reason}");
}

#[test]
fn a_file_that_the_manifest_does_not_name_is_an_orphan() {
    let mut world = World::started(TestDisk::new(), config(1));
    world
        .disk
        .plant("segment-00000000000000ff.wal", vec![0; 8192]);
    world.disk.plant("notes.txt", b"mine".to_vec());
    let world = world.restarted(Lost::Nothing, 1, 1);
    world.assert_serving();
    let names = world.disk.names();
    assert!(
        !names
            .iter()
            .any(|name| name == "segment-00000000000000ff.wal")
    );
    assert!(
        names.iter().any(|name| name == "notes.txt"),
        "only our files are ours"
    );
}

#[test]
fn a_manifest_older_than_its_files_is_refused() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 1, DAY_S);
    let stale = world.disk.bytes("manifest").unwrap_or_default().to_vec();
    for record in 0..200 {
        world.decide(0, record, DAY_S);
    }
    world.disk.tamper("manifest", |bytes| *bytes = stale);
    let world = world.restarted(Lost::Nothing, 1, 1);
    let (code, reason) = refused(&world);
    assert_eq!(code, 65);
    assert!(reason.contains("older than"), "{reason}");
}

#[test]
fn a_missing_or_foreign_secret_is_refused() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 1, DAY_S);
    world.disk.remove("secret");
    let world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(refused(&world).0, 78);
    let other = World::started(TestDisk::new(), config(2));
    let mut foreign = other.disk.bytes("secret").unwrap_or_default().to_vec();
    foreign.rotate_left(1);
    let mut world = world;
    world.disk.plant("secret", foreign);
    let mut world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(refused(&world).0, 78);
    let foreign = crate::wal::secret::Secret {
        id: [9; 16],
        key: [9; 16],
    };
    world.disk.plant("secret", foreign.encode());
    let world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(refused(&world).0, 78);
}

#[test]
fn a_missing_manifest_beside_logs_is_refused() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 1, DAY_S);
    world.disk.remove("manifest");
    let world = world.restarted(Lost::Nothing, 1, 1);
    assert_eq!(refused(&world).0, 65);
}

#[test]
fn a_second_process_is_told_who_holds_the_directory() {
    let World { disk, .. } = World::started(TestDisk::new(), config(1));
    let mut second = World::new(disk, config(1));
    second.run();
    let (code, reason) = refused(&second);
    assert_eq!(code, 69);
    assert!(reason.contains("process 4711"), "{reason}");
}

#[test]
fn a_read_error_at_start_is_not_damage() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 1, DAY_S);
    let World {
        mut disk, config, ..
    } = world;
    disk.crash(Lost::Nothing);
    disk.fail_reads_of = Some("segment-".to_string());
    let mut world = World::new(disk, config);
    world.run();
    assert_eq!(refused(&world).0, 74);
}

#[test]
fn an_expired_decision_is_not_loaded_and_time_goes_on_over_a_restart() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 1, 100);
    world.decide(0, 2, 1_000);
    let world = world.restarted(Lost::Nothing, 1, 101);
    assert_eq!(world.known(), vec![2]);
}

#[test]
fn a_long_absence_adds_an_hour_and_restarts_do_not_drain_the_rest() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 1, 2 * 3_600);
    let mut world = world.restarted(Lost::Nothing, 1, 400 * 86_400);
    let first_s = world.shards[0].begin.clock.base_s;
    assert_eq!(first_s, 3_600);
    assert!(
        world
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::TimeWithheld { .. }))
    );
    for _ in 0..5 {
        world = world.restarted(Lost::Everything, 1, 1);
        assert_eq!(world.known(), vec![1]);
    }
    assert_eq!(world.shards[0].begin.clock.base_s, first_s + 5);
}

#[test]
fn a_graceful_stop_waits_until_all_shards_are_idle_and_leaves_a_mark() {
    let mut world = World::started(TestDisk::new(), config(2));
    world.decide(0, 1, DAY_S);
    world.happen(KeeperEvent::Terminate);
    assert_eq!(world.exit.as_ref().map(|exit| exit.0), Some(0));
    assert!(world.shards.iter().all(|shard| shard.draining));
    let world = world.restarted(Lost::Everything, 2, 1);
    world.assert_serving();
    assert_eq!(world.before(), [Before::CleanStop]);
    let world = world.restarted(Lost::Everything, 2, 1);
    assert_eq!(world.before(), [Before::UncleanStop], "a mark counts once");
}

#[test]
fn a_first_start_says_that_it_is_one_and_speaks_of_no_stop() {
    let world = World::started(TestDisk::new(), config(1));
    assert_eq!(world.before(), [Before::Nothing]);
    let said: Vec<String> = world.notices.iter().map(ToString::to_string).collect();
    assert!(
        said.iter()
            .any(|line| line.starts_with("first start of a new installation")),
        "{said:?}"
    );
    assert!(!said.iter().any(|line| line.contains("stop")), "{said:?}");
    let world = world.restarted(Lost::Everything, 1, 1);
    assert_eq!(world.before(), [Before::UncleanStop]);
}

#[test]
fn a_first_start_that_is_cut_short_is_followed_by_a_first_start() {
    let cut_short = |ops| {
        let mut world = World::new(TestDisk::new(), config(1));
        world.ops_left = Some(ops);
        assert!(!world.run());
        world
    };
    let mut worlds = (0..).map(cut_short);
    let world = worlds.find(|world| world.notices.contains(&Notice::Installed));
    let world = world
        .expect("an installation")
        .restarted(Lost::Everything, 1, 1);
    assert_eq!(world.before(), [Before::Nothing]);
}

#[test]
fn a_shard_that_is_busy_again_holds_the_stop_up() {
    use crate::mesh::keeper::ToKeeper;
    let mut world = World::started(TestDisk::new(), config(2));
    world.busy = true;
    world.happen(KeeperEvent::Terminate);
    assert_eq!(world.exit, None);
    world.tell(ShardId(0), ToKeeper::Idle(true));
    world.run();
    world.tell(ShardId(0), ToKeeper::Idle(false));
    world.tell(ShardId(1), ToKeeper::Idle(true));
    world.run();
    assert_eq!(world.exit, None);
    world.tell(ShardId(0), ToKeeper::Idle(true));
    world.run();
    assert_eq!(world.exit.as_ref().map(|exit| exit.0), Some(0));
}
