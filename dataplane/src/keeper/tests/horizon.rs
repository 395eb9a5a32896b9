//! How far back the log reaches, as the operator sees it: from the first batch on, over starts and deletions.

use crate::keeper::config::KeeperConfig;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::evidence::command;
use crate::keeper::tests::world::{World, config};

const HOUR_S: u32 = 3_600;

/// Seals every ten minutes and deletes after two hours.
fn two_hours() -> KeeperConfig {
    KeeperConfig {
        seal_every_us: 600_000_000,
        body_age_max_s: 2 * HOUR_S,
        ..config(1)
    }
}

/// Seconds that the metric shows; that the status says the same is checked too.
fn shown_s(world: &mut World) -> u64 {
    let status = command(world, "flk1 status");
    let shown_s = world.config.stats.keeper.horizon_us.get() / 1_000_000;
    let of_status = match shown_s {
        0 => "\"horizon_s\":null,".to_string(),
        // It was asked within a second of the last look.
        _ => format!("\"horizon_s\":{shown_s},"),
    };
    let a_second_later = format!("\"horizon_s\":{},", shown_s + 1);
    assert!(
        status.contains(&of_status) || status.contains(&a_second_later),
        "{shown_s}: {status}"
    );
    assert!(status.contains("\"horizon_s_max\":7200,"), "{status}");
    shown_s
}

/// Whether it is this age, give or take what passes between a moment and the next look.
fn assert_about(shown_s: u64, expected_s: u32) {
    let expected_s = u64::from(expected_s);
    assert!(
        (expected_s.saturating_sub(5)..expected_s + 5).contains(&shown_s),
        "{shown_s} s, not {expected_s} s"
    );
}

#[test]
fn the_horizon_grows_from_the_first_batch_on_and_what_goes_takes_it_along() {
    let mut world = World::started(TestDisk::new(), two_hours());
    world.pass_s(u64::from(HOUR_S));
    assert_eq!(shown_s(&mut world), 0, "no batch, no age");
    let age_max_us = world.config.stats.keeper.horizon_us_max.get();
    assert_eq!(age_max_us, u64::from(2 * HOUR_S) * 1_000_000);
    for record in 0..150 {
        world.decide(0, record, 30 * 24 * HOUR_S);
    }
    world.pass_s(1_800);
    assert_about(shown_s(&mut world), 1_800);
    // Several days of records: what is older than two hours goes.
    let mut longest_s = 0;
    for round in 1..40 {
        for record in 0..150 {
            world.decide(0, round * 150 + record, 30 * 24 * HOUR_S);
        }
        world.pass_s(1_800);
        longest_s = longest_s.max(shown_s(&mut world));
    }
    assert!(longest_s >= u64::from(2 * HOUR_S), "{longest_s} s");
    // Whole segments go, and a segment of this load has at most half an hour.
    assert!(longest_s < u64::from(3 * HOUR_S), "{longest_s} s");
    assert_eq!(world.exit, None);
}

#[test]
fn after_a_start_the_age_is_that_of_the_batches_and_not_of_the_start() {
    let mut world = World::started(TestDisk::new(), two_hours());
    for record in 0..150 {
        world.decide(0, record, 30 * 24 * HOUR_S);
    }
    world.pass_s(1_200);
    world.decide(0, 150, 30 * 24 * HOUR_S);
    for (lost, passed_s) in [(Lost::Nothing, 1_800), (Lost::Everything, 2_400)] {
        world = world.restarted(lost, 1, 600);
        world.pass_s(1);
        assert_about(shown_s(&mut world), passed_s);
    }
    // What is newer does not make it younger.
    world.decide(0, 151, 30 * 24 * HOUR_S);
    world.pass_s(60);
    assert_about(shown_s(&mut world), 2_460);
}
