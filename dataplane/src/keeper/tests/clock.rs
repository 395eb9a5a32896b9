//! The expiry clock over releases and over wall clocks that are wrong for a while.

use crate::keeper::notice::Notice;
use crate::keeper::port::{CommandId, KeeperEvent};
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::world::{World, config, manifest};

const HOUR_S: u32 = 3_600;
const DAY_S: u32 = 86_400;
const DAY_US: u64 = 86_400_000_000;

fn clock_s(world: &World) -> u32 {
    world.shards[0].begin.clock.at(world.now.mono_us)
}

fn release(world: &mut World) -> String {
    world.happen(KeeperEvent::Command {
        id: CommandId(1),
        line: "flk1 release-clock".to_string(),
    });
    world.replies.remove(0).1
}

fn said_withheld(world: &World) -> bool {
    let withheld = |notice: &Notice| matches!(notice, Notice::TimeWithheld { .. });
    world.notices.iter().any(withheld)
}

#[test]
fn a_release_takes_no_time_away_however_long_the_manifest_takes() {
    for op_us in [0, 1, 400_000, 7_000_000, 90_000_000] {
        let mut world = World::started(TestDisk::new(), config(2));
        world.decide(0, 1, 30 * DAY_S);
        let mut world = world.restarted(Lost::Nothing, 2, u64::from(3 * DAY_S));
        world.op_us = op_us;
        let (before_s, began_us) = (clock_s(&world), world.now.mono_us);
        // The world holds every shard to it that no reading goes back.
        let reply = release(&mut world);
        let released_s = 3 * DAY_S - HOUR_S;
        assert_eq!(reply, format!("ok {{\"released_s\":{released_s}}}"));
        let took_s = ((world.now.mono_us - began_us) / 1_000_000) as u32;
        let now_s = clock_s(&world);
        assert!(
            (took_s..=took_s + 1).contains(&(now_s - before_s - released_s)),
            "{before_s} → {now_s} in {took_s} s"
        );
        assert!(manifest(&world).clock.expiry_s <= now_s);
        assert_eq!(manifest(&world).withheld_s, 0);
        let world = world.restarted(Lost::Everything, 2, 0);
        let resumed_s = world.shards[0].begin.clock.base_s;
        assert!(resumed_s >= before_s + released_s && resumed_s <= now_s);
    }
}

#[test]
fn a_wall_clock_that_is_set_back_over_a_stop_and_corrected_adds_what_passed() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.pass_s(1_000);
    world.decide(0, 1, 2 * HOUR_S);
    // The machine comes up a day too early, serves for ten minutes, and is put right.
    world.now.wall_us -= DAY_US;
    let mut world = world.restarted(Lost::Nothing, 1, 5);
    assert_eq!(clock_s(&world), 1_000, "nothing passed by that clock");
    world.pass_s(600);
    world.decide(0, 2, 2 * HOUR_S);
    world.mark(0);
    world.now.wall_us += DAY_US;
    let world = world.restarted(Lost::Nothing, 1, 7);
    // Five seconds of the first standstill, seven of the second.
    assert_eq!(clock_s(&world), 1_612);
    assert_eq!(world.known(), [1, 2], "nothing expires early");
    assert!(!said_withheld(&world), "{:?}", world.notices);
    assert_eq!(manifest(&world).withheld_s, 0);
}

#[test]
fn a_wall_clock_that_is_set_back_while_serving_and_corrected_over_a_crash_adds_what_passed() {
    for lost in [Lost::Nothing, Lost::Everything] {
        let mut world = World::started(TestDisk::new(), config(1));
        world.pass_s(1_000);
        world.decide(0, 1, 2 * HOUR_S);
        world.now.wall_us -= DAY_US;
        for record in 2..100 {
            world.decide(0, record, 2 * HOUR_S);
            world.pass_s(10);
        }
        world.mark(0);
        world.now.wall_us += DAY_US;
        let world = world.restarted(lost, 1, 30);
        assert_eq!(clock_s(&world), 2_010);
        assert_eq!(world.known(), (1..100).collect::<Vec<_>>());
        assert_eq!(manifest(&world).withheld_s, 0);
    }
}

#[test]
fn a_long_standstill_behind_a_clock_that_was_set_back_is_withheld_but_for_an_hour() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 1, 30 * DAY_S);
    world.now.wall_us -= DAY_US;
    let mut world = world.restarted(Lost::Nothing, 1, 60);
    world.decide(0, 2, 30 * DAY_S);
    world.now.wall_us += DAY_US;
    let world = world.restarted(Lost::Nothing, 1, u64::from(5 * HOUR_S));
    assert_eq!(clock_s(&world), HOUR_S);
    assert_eq!(manifest(&world).withheld_s, u64::from(4 * HOUR_S) + 60);
}

#[test]
fn a_wall_clock_that_stays_behind_withholds_nothing_and_expires_nothing() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.decide(0, 1, 10 * HOUR_S);
    world.now.wall_us -= 400 * DAY_US;
    for _ in 0..3 {
        world = world.restarted(Lost::Nothing, 1, u64::from(2 * HOUR_S));
        assert_eq!(world.known(), [1]);
    }
    assert_eq!((clock_s(&world), manifest(&world).withheld_s), (0, 0));
}

#[test]
fn after_a_wall_clock_was_ahead_a_release_says_that_it_is_right_now() {
    let mut world = World::started(TestDisk::new(), config(1));
    world.now.wall_us += 400 * DAY_US;
    let mut world = world.restarted(Lost::Nothing, 1, 0);
    let ahead_s = clock_s(&world);
    world.decide(0, 1, 500 * DAY_S);
    world.now.wall_us -= 400 * DAY_US;
    // By the clock of before no time has passed since.
    let world = world.restarted(Lost::Nothing, 1, 600);
    assert_eq!(clock_s(&world), ahead_s);
    let mut world = world.restarted(Lost::Nothing, 1, 600);
    assert_eq!(clock_s(&world), ahead_s);
    let withheld_s = manifest(&world).withheld_s;
    release(&mut world);
    let world = world.restarted(Lost::Nothing, 1, 600);
    let expected_s = u64::from(ahead_s) + withheld_s + 600;
    assert_eq!(u64::from(clock_s(&world)), expected_s);
}
