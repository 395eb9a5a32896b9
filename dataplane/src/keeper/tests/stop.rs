//! A graceful stop has an end, whatever the disk does: at every file operation, with every error and without an answer.
//! What was acknowledged is found by the start after it.

use crate::io::Errno;
use crate::keeper::config::KeeperConfig;
use crate::keeper::port::KeeperEvent;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::world::{World, config};

const DAY_S: u32 = 86_400;
const EMFILE: Errno = Errno(24);
const ERRORS: [Errno; 3] = [Errno::ENOSPC, Errno::EIO, EMFILE];

/// What happens to file operations.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Once(Errno),
    FromThenOn(Errno),
    Hang,
}

fn troubles() -> Vec<Trouble> {
    let mut all = vec![Trouble::Hang];
    all.extend(ERRORS.map(Trouble::Once));
    all.extend(ERRORS.map(Trouble::FromThenOn));
    all
}

fn begin(world: &mut World, trouble: Trouble, op: u64) {
    match trouble {
        Trouble::Once(error) => world.disk.fail_at = Some((op, error)),
        Trouble::FromThenOn(error) => world.disk.fail_from = Some((op, error)),
        Trouble::Hang => world.hangs_in = Some(op),
    }
}

/// Two shards that seal every minute and keep one preallocated segment.
fn busy() -> World {
    let settings = KeeperConfig {
        seal_every_us: 60_000_000,
        preallocated_count: 1,
        ..config(2)
    };
    World::started(TestDisk::new(), settings)
}

/// Offers records; how many were taken. All that were taken are acknowledged.
fn offer(world: &mut World, from: u32, count: u32) -> u32 {
    for record in from..from + count {
        if world.exit.is_some()
            || world
                .offer((record % 2) as u16, record, DAY_S, 700)
                .is_err()
        {
            return record;
        }
    }
    from + count
}

/// It has ended within its time, and a start finds what was acknowledged.
fn ends_and_is_found(mut world: World, taken: u32, why: &str) {
    world.happen(KeeperEvent::Terminate);
    world.pass_s(20);
    let (code, reason) = world.exit.clone().unwrap_or_else(|| {
        panic!("{why}: it has not ended; {:?}", world.notices.last());
    });
    assert!([0, 74].contains(&code), "{why}: {code} {reason}");
    world.disk.fail_at = None;
    world.disk.fail_from = None;
    world.disk.full = false;
    let world = world.restarted(Lost::Everything, 2, 1);
    world.assert_serving();
    assert_eq!(world.known(), (0..taken).collect::<Vec<_>>(), "{why}");
}

#[test]
fn a_stop_ends_whatever_any_of_its_file_operations_does() {
    for trouble in troubles() {
        for op in 0..30 {
            let mut world = busy();
            let taken = offer(&mut world, 0, 20);
            assert_eq!(taken, 20);
            begin(&mut world, trouble, op);
            ends_and_is_found(
                world,
                taken,
                &format!("{trouble:?} at operation {op} of a stop"),
            );
        }
    }
}

#[test]
fn a_stop_ends_after_any_file_operation_of_serving_went_wrong() {
    for trouble in troubles() {
        for op in (0..260).step_by(5) {
            let mut world = busy();
            begin(&mut world, trouble, op);
            let mut taken = offer(&mut world, 0, 90);
            world.pass_s(70);
            if taken == 90 {
                taken = offer(&mut world, 90, 10);
            }
            ends_and_is_found(world, taken, &format!("{trouble:?} at operation {op}"));
        }
    }
}

#[test]
fn a_stop_on_a_full_disk_ends_and_where_nothing_must_be_written_to_the_log_it_is_clean() {
    let mut world = World::started(TestDisk::new(), config(2));
    world.disk.full = true;
    // Each shard enters its first segment; the next one cannot be made.
    for record in 0..10 {
        world.decide((record % 2) as u16, record, DAY_S);
    }
    assert!(world.shards[0].space_low.is_some());
    world.happen(KeeperEvent::Terminate);
    world.pass_s(5);
    assert_eq!(world.exit, None, "the manifest cannot be written");
    world.disk.full = false;
    world.disk.total_bytes = world.disk.used_bytes() + 8192;
    world.pass_s(5);
    let (code, reason) = world.exit.clone().expect("there is room for a manifest");
    assert_eq!(code, 0, "{reason}");
    world.disk.total_bytes = 1 << 40;
    let world = world.restarted(Lost::Everything, 2, 1);
    world.assert_serving();
    assert_eq!(world.known(), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_stop_cut_short_says_so_and_a_second_signal_cuts_the_delay_not_the_patience() {
    let settings = KeeperConfig {
        drain_delay_us: 100_000_000,
        ..config(1)
    };
    let mut world = World::started(TestDisk::new(), settings);
    world.decide(0, 0, DAY_S);
    world.busy = true;
    world.happen(KeeperEvent::Terminate);
    world.pass_s(50);
    assert_eq!(world.exit, None, "the delay lasts");
    world.happen(KeeperEvent::Terminate);
    world.pass_s(14);
    assert_eq!(world.exit, None, "clients have their time");
    world.pass_s(2);
    let (code, reason) = world.exit.clone().expect("it ends");
    assert_eq!(code, 74);
    assert!(
        reason.contains("not cleanly: 1 shard is still busy"),
        "{reason}"
    );
}

#[test]
fn the_time_of_a_stop_counts_from_the_signal_though_a_file_operation_hung_then() {
    let mut world = busy();
    world.decide(0, 0, DAY_S);
    world.busy = true;
    world.hangs_in = Some(0);
    world.pass_s(61);
    world.happen(KeeperEvent::Terminate);
    world.pass_s(10);
    assert_eq!(world.exit, None, "it has its time");
    world.hangs_in = None;
    world.happen(KeeperEvent::FileDone(Err(Errno::EIO)));
    world.pass_s(4);
    assert_eq!(world.exit, None, "clients have theirs");
    world.pass_s(2);
    let (code, reason) = world.exit.clone().expect("it ends");
    assert_eq!(code, 74);
    assert!(reason.contains("still busy"), "{reason}");
}

#[test]
fn a_stop_during_a_start_that_hangs_ends_too() {
    for op in 0..12 {
        let mut world = World::new(TestDisk::new(), config(1));
        world.hangs_in = Some(op);
        world.run();
        world.happen(KeeperEvent::Terminate);
        world.pass_s(16);
        assert_eq!(
            world.exit.clone().map(|(code, _)| code),
            Some(74),
            "operation {op}"
        );
    }
}

#[test]
fn a_stop_at_the_cap_is_clean_though_a_log_needs_one_more_segment() {
    let settings = KeeperConfig {
        wal_bytes_max: Some(8 * (256 << 10)),
        ..config(1)
    };
    let mut world = World::started(TestDisk::new(), settings);
    world.unresolved = true;
    let mut taken = 0;
    while world.offer(0, taken, DAY_S, 700).is_ok() {
        taken += 1;
    }
    // What was on its way enters the last segment that was named; the mark may need another.
    while world.shards[0].next_segment().is_some() {
        world.decide(0, taken, DAY_S);
        taken += 1;
    }
    world.happen(KeeperEvent::Terminate);
    world.pass_s(5);
    assert_eq!(world.exit.clone().map(|(code, _)| code), Some(0));
    let world = world.restarted(Lost::Everything, 1, 1);
    assert_eq!(world.known(), (0..taken).collect::<Vec<_>>());
}

/// Nothing is deleted during a stop, so what is on its way gets the segments that it needs, over the cap too.
#[test]
fn under_a_cap_what_is_on_its_way_when_a_stop_begins_is_logged() {
    let settings = KeeperConfig {
        wal_bytes_max: Some(10 * (256 << 10)),
        ..config(1)
    };
    for before in (0..80).step_by(4) {
        let mut world = World::started(TestDisk::new(), settings.clone());
        world.unresolved = true;
        let refused = (0..before).any(|record| world.offer(0, record, DAY_S, 30_000).is_err());
        if refused || world.shards[0].space_low.is_some() {
            continue;
        }
        world.busy = true;
        world.happen(KeeperEvent::Terminate);
        for record in before..before + 30 {
            let taken = world.offer(0, record, DAY_S, 30_000);
            assert_eq!(taken, Ok(()), "record {record}, {before} before the stop");
        }
    }
}
