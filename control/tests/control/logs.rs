//! Log lines as programs read them: each is an object of the table of events, and none shows an address or a phone number.

use crate::world::{World, text};
use flk_control::events::EVENTS;
use flk_dataplane::logs::check::check_log;
use flk_testkit::DEADLINE;
use flk_testkit::child::Signal;
use flk_testkit::process::Process;
use serde_json::Value;

fn objects(said: &str) -> Vec<Value> {
    check_log(said, &[EVENTS]).unwrap_or_else(|wrong| panic!("{wrong}\nof\n{said}"))
}

fn of_event<'a>(objects: &'a [Value], event: &str) -> Vec<&'a Value> {
    objects.iter().filter(|it| it["event"] == event).collect()
}

#[test]
fn every_line_is_an_object_of_the_table_from_the_start_to_the_end() {
    let world = World::with_rate(1000);
    let mut command = world.command();
    command.env("LOG_FORMAT", "json");
    let control = crate::world::Control::start(command);
    world.set_rate(2000);
    control.process.wait_until_said("snapshot.change");
    control.process.signal(Signal::HUP);
    control.process.wait_until_said("reload.unchanged");
    world.set_text(&format!("{}\n[http]\nport = 1\nprot = 2\n", text(2000)));
    control.process.wait_until_said("configuration.wrong");
    world.set_text(&format!("{}\n[http]\nport = 9\n", text(2000)));
    control
        .process
        .wait_until_said("configuration.restart_needed");
    let mut process = control.process;
    let ended = process.stop();
    assert_eq!(ended.code(), 0, "{}", ended.said);
    let objects = objects(&ended.said);
    let published = of_event(&objects, "snapshot.published");
    assert_eq!(published[0]["snapshot_before"], 0, "{}", ended.said);
    assert_eq!(published[0]["actor"], "file", "{}", ended.said);
    let changes = of_event(&objects, "snapshot.change");
    assert_eq!(changes[0]["message"], "limits: rate 1000 → 2000");
    assert_eq!(changes[0]["snapshot"], published[0]["snapshot"]);
    for event in ["dataplane.answers", "admin.listening"] {
        assert!(
            !of_event(&objects, event).is_empty(),
            "{event}: {}",
            ended.said
        );
    }
}

#[test]
fn reloads_in_a_row_are_counted_where_they_would_fill_the_log() {
    let world = World::with_rate(1000);
    let control = world.start();
    for _ in 0..15 {
        control.post("/v1/reload");
    }
    let mut process = control.process;
    let ended = process.stop();
    let said = "reloaded: nothing differs";
    assert_eq!(ended.said.matches(said).count(), 10, "{}", ended.said);
    let left_out =
        "flk-control: 5 more lines of this kind in 10 s were left out: reload.unchanged\n";
    assert!(ended.said.contains(left_out), "{}", ended.said);
}

#[test]
fn a_start_that_is_refused_says_so_in_the_format_that_was_asked_for() {
    let world = World::with_rate(1000);
    let wrong = format!(
        "{}\n[http]\nprot = 1\n[dedup]\nttl = \"x\"\n[log]\nformat = \"json\"\n",
        text(1)
    );
    world.set_text(&wrong);
    let ended = Process::start(world.command()).unwrap().ended(DEADLINE);
    assert_eq!(ended.code(), 78, "{}", ended.said);
    let refused = objects(&ended.said);
    assert!(!refused.is_empty(), "{}", ended.said);
    assert_eq!(
        of_event(&refused, "control.config_refused").len(),
        refused.len()
    );
    let mut command = world.command();
    command.env("LOG_FORMAT", "json").arg("--nothing");
    let ended = Process::start(command).unwrap().ended(DEADLINE);
    assert_eq!(ended.code(), 64, "{}", ended.said);
    assert_eq!(
        objects(&ended.said)[0]["event"],
        "control.arguments_refused"
    );
    world.set_text(&text(1000));
    let mut command = world.command();
    command.env("LOG_FORMAT", "xml");
    let ended = Process::start(command).unwrap().ended(DEADLINE);
    assert_eq!(ended.code(), 78, "{}", ended.said);
    let line = "flk-control: LOG_FORMAT=xml: no such format; allowed: text";
    assert!(ended.said.starts_with(line), "{}", ended.said);
}

#[test]
fn addresses_and_phone_numbers_are_in_no_line() {
    let world = World::with_rate(1000);
    let tenant = "[[tenants]]\nid = \"acme-555-123-4567\"\n[[tenants.keys]]\nid = \"a\"\nfile = \"jane@example.com\"\n";
    for format in ["text", "json"] {
        world.set_text(&format!("{}{tenant}", text(1000)));
        let mut command = world.command();
        command.env("LOG_FORMAT", format);
        let ended = Process::start(command).unwrap().ended(DEADLINE);
        assert_eq!(ended.code(), 78, "{}", ended.said);
        assert!(ended.said.contains("[email]"), "{}", ended.said);
        assert!(!ended.said.contains("jane"), "{}", ended.said);
        assert!(!ended.said.contains("555-123"), "{}", ended.said);
    }
}
