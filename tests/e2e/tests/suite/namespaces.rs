//! A gateway in a PID namespace of its own, as in a container: a process outside has no number there. Its sockets answer the same
//! user all the same.

use flk_e2e::setting::Setting;
use flk_testkit::gateway::{ask_agent, binary, status_of};
use flk_testkit::plan::Plan;
use serde_json::json;
use std::process::Command;

/// What starts a program in a new PID namespace: root may, others in a user namespace in which they keep their number.
fn beginnings() -> [&'static [&'static str]; 2] {
    [
        &["--pid", "--fork", "--kill-child"],
        &[
            "--user",
            "--map-current-user",
            "--pid",
            "--fork",
            "--kill-child",
        ],
    ]
}

fn can_start(arguments: &[&str]) -> bool {
    let ran = Command::new("unshare").args(arguments).arg("true").output();
    ran.is_ok_and(|ran| ran.status.success())
}

#[test]
fn a_process_of_another_pid_namespace_is_known_by_its_user() {
    let Some(arguments) = beginnings().into_iter().find(|it| can_start(it)) else {
        flk_testkit::skipped("a gateway in another PID namespace: unshare cannot make one here");
        return;
    };
    let directory = Setting::Portable.directory();
    let _gateway = Plan::new("unshare", directory.path())
        .with("FLK_DRIVER", "auto")
        .with_arguments(arguments)
        .with_arguments(&[binary()])
        .start();
    assert!(status_of(directory.path()).is_object());
    let answer = ask_agent(directory.path(), &json!({"v": 1, "ask": "status"}));
    assert!(answer.is_object(), "{answer}");
}
