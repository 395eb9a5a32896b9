//! Connections to the admin API: what those who only hold or open them can keep control from.

use crate::process::limit;
use crate::world::{Control, World};
use flk_testkit::client::Connection;
use flk_testkit::{DEADLINE, wait_until};

/// Descriptors of the process.
fn open_count(control: &Control) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", control.process.id()));
    files.unwrap().count()
}

#[test]
fn idle_connections_give_way_and_keep_control_from_nothing() {
    let world = World::with_rate(1000);
    let control = world.start();
    let before = open_count(&control);
    // Far fewer than the connections to come.
    limit(&control.process, "--nofile=160:160");
    let mut idle: Vec<Connection> = Vec::new();
    for _ in 0..400 {
        idle.push(Connection::open(control.address()).unwrap());
    }
    assert_eq!(control.ask("GET", "/health", "").status, 200);
    world.set_rate(2000);
    control.said("limits: rate 1000 → 2000");
    wait_until("the oldest ones are ended", DEADLINE, || {
        open_count(&control) <= before + 64
    });
    // One that asks all the time stays, however many come.
    let mut kept = Connection::open(control.address()).unwrap();
    for _ in 0..100 {
        idle.push(Connection::open(control.address()).unwrap());
        kept.send(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            .unwrap();
        assert_eq!(kept.response().unwrap().status, 200);
    }
}

#[test]
fn without_a_token_no_file_is_opened() {
    let world = World::with_rate(1000);
    let mut command = world.command();
    command.env("ADMIN_TOKENS_FILE", "tokens");
    let (token, line) =
        flk_control::tokens::make("anna", flk_control::tokens::Role::Observer).unwrap();
    std::fs::write(world.path().join("tokens"), line).unwrap();
    let control = Control::start(command);
    std::fs::remove_file(world.path().join("tokens")).unwrap();
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let long = "a".repeat(2000);
    for fields in [
        "",
        "Authorization: Basic YTpi\r\n",
        &bearer(""),
        &bearer(&long),
    ] {
        let answer = control.ask("GET", "/v1/status", fields);
        assert_eq!(answer.problem_code(), "token_required", "{fields}");
    }
    let answer = control.ask("GET", "/v1/status", &bearer(&token));
    assert_eq!(answer.problem_code(), "tokens_unavailable");
}
