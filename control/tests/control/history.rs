//! Snapshots that were in force, and the way back to one.

use crate::fake::Fault;
use crate::world::{Control, World};
use flk_testkit::{DEADLINE, wait_until};
use serde_json::json;

/// Publishes rates under 1, 2, 3, …
fn publish(world: &World, control: &Control, rates: &[u32]) {
    for rate in rates {
        world.set_rate(*rate);
        let outcome = control.post("/v1/reload");
        assert_eq!(outcome["changed"].as_bool(), Some(true), "{outcome}");
    }
}

#[test]
fn a_rollback_is_a_new_number_with_old_content_and_holds_until_the_file_changes() {
    let world = World::with_rate(1000);
    let control = world.start();
    publish(&world, &control, &[2000, 3000]);
    let listed = control.get("/v1/snapshots");
    let numbers = listed["kept"].as_array().unwrap().iter();
    let numbers: Vec<_> = numbers
        .map(|kept| kept["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(control.get("/v1/snapshots/1")["limits"]["rate"], 2000);

    let outcome = control.post("/v1/snapshots/1/rollback");
    assert_eq!(outcome["number"], 3);
    assert_eq!(outcome["diff"], json!(["limits: rate 3000 → 2000"]));
    assert_eq!(world.dataplane.in_force().limits.rate, 2000);
    let status = control.get("/v1/status");
    assert_eq!(status["configuration"]["state"], "held_by_rollback");
    assert_eq!(status["pinned"]["rollback_of"], 1);
    assert_eq!(control.metric("flk_control_rollback_holds"), 1);
    let last = world.audit().pop().unwrap();
    assert_eq!(
        (&last["action"], &last["actor"]),
        (&json!("rollback"), &json!("local"))
    );

    world.set_rate(4000);
    control.said("limits: rate 2000 → 4000");
    assert_eq!(control.get("/v1/status")["pinned"], json!(null));
}

#[test]
fn a_rollback_still_holds_after_control_was_killed_and_a_reload_ends_it() {
    let world = World::with_rate(1000);
    let mut control = world.start();
    publish(&world, &control, &[2000]);
    assert_eq!(control.post("/v1/snapshots/0/rollback")["number"], 2);
    control.process.kill();
    let control = world.start();
    control.said("snapshot 2 is a rollback of 0 and still holds");
    assert_eq!(
        control.get("/v1/status")["configuration"]["state"],
        "held_by_rollback"
    );
    assert_eq!(world.dataplane.in_force().limits.rate, 1000);
    assert_eq!(control.post("/v1/reload")["number"], 3);
    assert_eq!(world.dataplane.in_force().limits.rate, 2000);
    assert_eq!(control.get("/v1/status")["pinned"], json!(null));
}

#[test]
fn a_rollback_to_what_is_in_force_or_to_what_is_not_kept_changes_nothing() {
    let world = World::with_rate(1000);
    let control = world.start();
    assert_eq!(control.post("/v1/snapshots/0/rollback")["changed"], false);
    let refused = control.ask("POST", "/v1/snapshots/77/rollback", "Content-Length: 0\r\n");
    assert_eq!(
        (refused.status, refused.problem_code().as_str()),
        (404, "not_kept")
    );
    assert_eq!(world.dataplane.published(), [0_u32; 0]);
    assert!(world.audit().is_empty());
}

#[test]
fn a_data_plane_that_was_started_with_other_settings_gets_those_of_the_file_with_a_line() {
    let world = World::with_rate(1000);
    world.set_rate(2000);
    let control = world.start();
    control.said("the data plane was started with other settings");
    control.said("snapshot 1 is in force, 0 was (by start)");
    assert_eq!(world.dataplane.in_force().limits.rate, 2000);
}

#[test]
fn a_control_process_that_lost_its_directory_goes_on_above_the_last_number() {
    let world = World::with_rate(1000);
    let control = world.start();
    publish(&world, &control, &[2000, 3000]);
    control.stop();
    std::fs::remove_dir_all(world.path().join("control")).unwrap();
    world.set_rate(4000);
    let control = world.start();
    control.said("snapshot 3 is in force, 2 was (by start)");
    assert_eq!(world.audit().len(), 1);
}

#[test]
fn a_rollback_that_not_every_shard_runs_in_time_holds_all_the_same() {
    let world = World::with_rate(1000);
    let control = world.start();
    publish(&world, &control, &[2000]);
    world.dataplane.order(&[Fault::SilentShards]);
    let answered = control.ask("POST", "/v1/snapshots/0/rollback", "Content-Length: 0\r\n");
    assert!(
        answered.text().contains("shards_silent"),
        "{}",
        answered.text()
    );
    wait_until("the configuration is looked at again", DEADLINE, || {
        control.get("/v1/status")["status"]["in_force"]["number"] != 1
    });
    control.said("snapshot 2 is a rollback of 0 and still holds");
    assert_eq!(world.dataplane.in_force().limits.rate, 1000);
    assert_eq!(world.dataplane.published(), [1, 2]);
}

#[test]
fn a_rollback_outlives_a_refused_change_and_a_new_control_process() {
    let world = World::with_rate(1000);
    let mut control = world.start();
    publish(&world, &control, &[2000]);
    assert_eq!(control.post("/v1/snapshots/0/rollback")["number"], 2);
    world.dataplane.order(&[Fault::Refuse]);
    world.set_rate(3000);
    control.said("not published: the data plane refuses it (key)");
    control.process.kill();
    world.set_rate(2000);
    let control = world.start();
    control.said("snapshot 2 is a rollback of 0 and still holds");
    assert_eq!(world.dataplane.in_force().limits.rate, 1000);
}
