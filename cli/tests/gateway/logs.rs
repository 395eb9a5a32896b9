//! The log of `flk up` as programs read it: the lines of gateway, control process and command are objects of their tables.

use crate::common::{Ran, flk, run};
use crate::gateway::up;
use flk_control::events::{EVENTS, UP_EVENTS};
use flk_dataplane::logs::check::check_log;
use flk_dataplane::logs::events::EVENTS as DATAPLANE;
use serde_json::Value;
use std::collections::BTreeSet;

fn objects(said: &str) -> Vec<Value> {
    let tables = [DATAPLANE, EVENTS, UP_EVENTS];
    check_log(said, &tables).unwrap_or_else(|wrong| panic!("{wrong}\nof\n{said}"))
}

#[test]
fn both_processes_of_up_say_objects_if_the_option_the_variable_or_the_file_asks_for_them() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("flk.toml"), "[log]\nformat = \"json\"\n").unwrap();
    let plan = || up(dir.path()).with_arguments(&["--port", "0"]);
    for plan in [
        plan().with_arguments(&["--log-format", "json"]),
        plan().with("LOG_FORMAT", "json"),
        plan().with_arguments(&["--config", "flk.toml"]),
    ] {
        let gateway = plan.launch().unwrap();
        gateway.wait_until_said("the data plane answers");
        gateway.wait_until_recovered();
        let ended = gateway.stop();
        assert_eq!(ended.code(), 0, "{ended}");
        let objects = objects(&ended.said);
        let parts: BTreeSet<&str> = objects
            .iter()
            .filter_map(|it| it["component"].as_str())
            .collect();
        assert_eq!(
            parts,
            BTreeSet::from(["control", "dataplane", "up"]),
            "{ended}"
        );
        let made = objects
            .iter()
            .find(|it| it["event"] == "up.dev_key")
            .unwrap();
        assert_eq!(made["file"], "data/dev.key");
    }
}

#[test]
fn what_keeps_up_from_starting_is_one_object() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |args: &[&str]| -> Ran {
        run(
            flk(dir.path())
                .arg("up")
                .args(args)
                .env("LOG_FORMAT", "json"),
            b"",
        )
    };
    for (args, code, event) in [
        (&["--port", "99999"][..], 2, "up.refused"),
        (&["--prot", "1"], 2, "up.arguments_refused"),
        (&["--cores", "9999", "--port", "0"], 2, "start.refused"),
    ] {
        let ran = refused(args);
        assert_eq!(ran.code, code, "{ran:?}");
        let objects = objects(&ran.stderr);
        assert_eq!(objects.last().unwrap()["event"], event, "{ran:?}");
    }
    let wrong = run(flk(dir.path()).args(["up", "--log-format", "xml"]), b"");
    assert_eq!(wrong.code, 2, "{wrong:?}");
    let line = "flk: --log-format=xml: no such format; allowed: text";
    assert!(wrong.stderr.starts_with(line), "{wrong:?}");
    let usage = run(flk(dir.path()).args(["up", "--prot", "1"]), b"");
    assert!(
        usage.stderr.contains("\nUsage: "),
        "as text it stays: {usage:?}"
    );
}
