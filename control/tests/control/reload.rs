//! A change of the file, by whatever way it is noticed; and a file that is wrong.

use crate::fake::Fault;
use crate::world::{World, text};
use flk_testkit::child::Signal;
use flk_testkit::{DEADLINE, wait_until};
use serde_json::json;

#[test]
fn what_is_in_force_already_is_not_published_again() {
    let world = World::with_rate(1000);
    let control = world.start();
    control.process.signal(Signal::HUP);
    control.said("reloaded: nothing differs, snapshot 0 stays in force");
    assert_eq!(world.dataplane.published(), [0_u32; 0]);
    assert_eq!(world.audit(), [json!(null); 0]);
    assert_eq!(control.stop().code(), 0);
}

#[test]
fn a_changed_file_is_published_without_being_asked_and_said_in_words() {
    let world = World::with_rate(1000);
    let control = world.start();
    world.set_rate(2000);
    control.said("snapshot 1 is in force, 0 was (by file)");
    control.said("limits: rate 1000 → 2000");
    assert_eq!(world.dataplane.in_force().limits.rate, 2000);
    let status = control.get("/v1/status");
    assert_eq!(status["configuration"]["state"], "in_force");
    assert_eq!(status["status"]["in_force"]["number"], 1);
    let [line] = &world.audit()[..] else {
        panic!("one change, one line");
    };
    assert_eq!(
        (&line["action"], &line["actor"]),
        (&json!("publish"), &json!("file"))
    );
    assert_eq!(line["after"], status["status"]["in_force"]["content"]);
    assert_eq!(control.metric("flk_control_snapshots_published_total"), 1);
}

#[test]
fn a_file_behind_a_link_that_is_swapped_is_noticed_too() {
    let world = World::with_rate(1000);
    let path = world.path();
    for (name, rate) in [("one", 1000), ("two", 3000)] {
        std::fs::create_dir(path.join(name)).unwrap();
        std::fs::write(path.join(name).join("flk.toml"), text(rate)).unwrap();
    }
    std::fs::remove_file(path.join("flk.toml")).unwrap();
    std::os::unix::fs::symlink("one", path.join("data")).unwrap();
    std::os::unix::fs::symlink("data/flk.toml", path.join("flk.toml")).unwrap();
    let control = world.start();
    std::os::unix::fs::symlink("two", path.join("data~")).unwrap();
    std::fs::rename(path.join("data~"), path.join("data")).unwrap();
    control.said("limits: rate 1000 → 3000");
}

#[test]
fn a_volume_of_kubernetes_is_followed_from_update_to_update_with_its_keys() {
    let world = World::with_rate(1000);
    let volume = world.path().join("volume");
    // As the kubelet writes it: files of an update in a directory of its own, links to them through ..data, and a rename.
    let update = |name: &str, rate: u32| {
        let own = volume.join(name);
        std::fs::create_dir_all(&own).unwrap();
        let key = format!("hmac_key_file = {:?}", volume.join("key").to_str().unwrap());
        let text = text(rate).replace("hmac_key_file = \"key\"", &key);
        std::fs::write(own.join("flk.toml"), text).unwrap();
        std::fs::write(own.join("key"), "0123456789abcdef0123456789abcdef").unwrap();
        std::os::unix::fs::symlink(name, volume.join("..data_tmp")).unwrap();
        std::fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    };
    update("..2026_11_29_1", 1000);
    for name in ["flk.toml", "key"] {
        let link = volume.join(name);
        std::os::unix::fs::symlink(format!("..data/{name}"), link).unwrap();
    }
    let mut command = world.command();
    command.args(["--config", "volume/flk.toml"]);
    let control = crate::world::Control::start(command);
    for (at, rate) in [(2, 2000), (3, 3000)] {
        update(&format!("..2026_11_29_{at}"), rate);
        std::fs::remove_dir_all(volume.join(format!("..2026_11_29_{}", at - 1))).unwrap();
        control.said(&format!("→ {rate}"));
    }
    // The whole volume is away for a while, and another one is mounted in its place.
    std::fs::rename(&volume, world.path().join("aside")).unwrap();
    control.said("the configuration is wrong, and the one in force stays");
    std::fs::rename(world.path().join("aside"), &volume).unwrap();
    update("..2026_11_29_4", 4000);
    control.said("→ 4000");
}

#[test]
fn a_wrong_file_leaves_what_is_in_force_and_is_named_with_line_and_key() {
    let world = World::with_rate(1000);
    let control = world.start();
    world.set_text(&text(7).replace("rate = 7", "rate = -7"));
    control.said("the configuration is wrong, and the one in force stays: flk.toml:6: limits.rate");
    assert_eq!(control.metric("flk_control_reload_failures_total"), 1);
    let refused = control.ask("POST", "/v1/reload", "Content-Length: 0\r\n");
    assert_eq!(refused.status, 422);
    assert_eq!(refused.problem_code(), "configuration_wrong");
    assert!(refused.text().contains("flk.toml:6"), "{}", refused.text());
    assert_eq!(control.metric("flk_control_reload_failures_total"), 2);
    assert_eq!(control.get("/v1/status")["configuration"]["state"], "wrong");
    assert_eq!(world.dataplane.in_force().limits.rate, 1000);
    world.set_rate(1500);
    control.said("limits: rate 1000 → 1500");
}

#[test]
fn every_mistake_of_a_reload_has_a_line_of_its_own_in_log_and_answer_twenty_at_most() {
    let world = World::with_rate(1000);
    let control = world.start();
    let tenant = |at: u32| {
        format!("[[tenants]]\nid = \"t{at}\"\nkeys = [{{ id = \"k\", file = \"absent-{at}\" }}]\n")
    };
    let wrong = format!("{}[http]\nport = 70000\n", text(1000));
    world.set_text(&format!("{wrong}{}{}", tenant(1), tenant(2)));
    let refused = control.ask("POST", "/v1/reload", "Content-Length: 0\r\n");
    let answer: serde_json::Value = serde_json::from_str(refused.text()).unwrap();
    let mistakes: Vec<&str> = answer["mistakes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it.as_str())
        .collect();
    assert_eq!((refused.status, mistakes.len()), (422, 3), "{answer}");
    for (mistake, expected) in mistakes
        .iter()
        .zip(["absent-1", "absent-2", "http.port = 70000"])
    {
        assert!(mistake.contains(expected), "{mistake}");
        control.said(&format!("the one in force stays: {mistake}\n"));
    }
    let many: String = (1..=25).map(tenant).collect();
    world.set_text(&format!("{wrong}{many}"));
    let refused = control.ask("POST", "/v1/reload", "Content-Length: 0\r\n");
    let answer: serde_json::Value = serde_json::from_str(refused.text()).unwrap();
    let mistakes = answer["mistakes"].as_array().unwrap();
    assert_eq!(mistakes.len(), 21);
    assert_eq!(mistakes[20], "and 6 more: flk config check names them all");
}

#[test]
fn what_needs_a_restart_is_said_and_what_does_not_is_published_all_the_same() {
    let world = World::with_rate(1000);
    let control = world.start();
    world.set_text(&format!("{}[http]\nport = 9090\n", text(1200)));
    control.said("needs a restart of the data plane: http.port: (default: 8080) → 9090");
    control.said("limits: rate 1000 → 1200");
    let status = control.get("/v1/status");
    assert_eq!(
        status["restart_needed"],
        json!(["http.port: (default: 8080) → 9090"])
    );
}

#[test]
fn a_setting_of_control_itself_needs_its_restart_and_not_that_of_the_data_plane() {
    let world = World::with_rate(1000);
    let control = world.start();
    world.set_text(&format!("{}[admin]\ntokens_file = \"a\"\n", text(1000)));
    let line =
        "admin.tokens_file: (default: no tokens: every process of this machine is let in) → a";
    control.said(&format!("needs a restart of flk-control: {line}"));
    let status = control.get("/v1/status");
    assert_eq!(status["control_restart_needed"], json!([line]));
    assert_eq!(status["restart_needed"], json!([]));
    assert_eq!(control.metric("flk_control_restart_needed"), 0);
    assert_eq!(control.metric("flk_control_own_restart_needed"), 1);
}

#[test]
fn a_refused_snapshot_is_recorded_said_and_tried_again_when_asked() {
    let world = World::with_rate(1000);
    let control = world.start();
    world.dataplane.order(&[Fault::Refuse]);
    world.set_rate(2000);
    control.said("not published: the data plane refuses it (key): as the test ordered");
    assert_eq!(
        control.get("/v1/status")["configuration"]["state"],
        "refused"
    );
    let outcome = control.post("/v1/reload");
    assert_eq!(
        (&outcome["changed"], &outcome["number"]),
        (&json!(true), &json!(1))
    );
    let actions: Vec<_> = world
        .audit()
        .iter()
        .map(|line| line["action"].clone())
        .collect();
    assert_eq!(actions, ["publish", "refused", "publish"]);
}

#[test]
fn an_answer_that_is_lost_is_asked_for_again_and_nothing_is_published_twice() {
    let world = World::with_rate(1000);
    let control = world.start();
    world.dataplane.order(&[Fault::HangUpAfter]);
    world.set_rate(2000);
    control.said("snapshot 1 is in force");
    world.dataplane.order(&[Fault::HangUpBefore]);
    world.set_rate(3000);
    control.said("snapshot 2 is in force");
    assert_eq!(world.dataplane.published(), [1, 1, 2, 2]);
    assert_eq!(world.audit().len(), 2);
}

#[test]
fn a_change_while_the_data_plane_is_away_is_published_when_it_is_back() {
    let world = World::with_rate(1000);
    let control = world.start();
    world.dataplane.go();
    control.said("the data plane does not answer: ");
    world.set_rate(2000);
    let asked = control.ask("POST", "/v1/reload", "Content-Length: 0\r\n");
    assert_eq!(
        (asked.status, asked.problem_code().as_str()),
        (503, "dataplane_away")
    );
    assert_eq!(control.metric("flk_control_dataplane_up"), 0);
    world.dataplane.come_back();
    control.said("limits: rate 1000 → 2000");
    wait_until("it is up", DEADLINE, || {
        control.metric("flk_control_dataplane_up") == 1
    });
}
