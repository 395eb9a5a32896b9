//! The start: what is said, which driver is chosen and why, who may have the directory, and what is answered meanwhile.

use flk_e2e::golden;
use flk_e2e::setting::Setting;
use flk_testkit::DEADLINE;
use flk_testkit::gateway::free_port;
use flk_testkit::records::record;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;

on_every_host!(
    says_where_it_listens_and_what_was_chosen,
    a_second_process_on_the_same_directory_names_the_first,
    a_taken_port_is_waited_for_and_its_holder_named,
    a_restart_right_after_a_kill_gets_its_port_and_directory,
    a_stop_during_the_start_ends_it_at_once,
    operators_that_stall_keep_no_other_from_the_socket,
    until_recovery_is_done_submits_are_503,
    pages_answer_get_and_head,
);

fn says_where_it_listens_and_what_was_chosen(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let said = gateway.said();
    let line = |name: &str| {
        let found = said
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        found.unwrap_or_else(|| panic!("no line {name}:\n{said}"))
    };
    let driver = line("driver ");
    match setting {
        Setting::Uring => assert!(driver.contains("uring:"), "{driver}"),
        Setting::Portable => assert!(driver.contains("portable: FLK_DRIVER=portable"), "{driver}"),
        Setting::UringBlocked => {
            assert!(driver.contains("portable: "), "{driver}");
            assert!(driver.contains("seccomp"), "it says why: {driver}");
            assert!(said.contains("costs: "), "and what that costs: {said}");
        }
        Setting::Tmpfs => assert!(driver.contains(": "), "{driver}"),
    }
    assert!(
        line("log ").contains(directory.path().to_str().unwrap()),
        "{said}"
    );
    for name in ["shards ", "flush ", "dedup ", "key "] {
        line(name);
    }
    assert!(said.contains("shorter than the advised 32 bytes"), "{said}");
    assert!(!said.contains("testsecret"), "a secret is said:\n{said}");
    let ended = gateway.stop();
    assert_eq!(ended.code(), 0, "{ended}");
}

fn a_second_process_on_the_same_directory_names_the_first(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path());
    let first = plan.start();
    let second = plan.run_to_end();
    assert_eq!(second.code(), 69, "{second}");
    assert!(second.said.contains("WAL_DIR is in use by"), "{second}");
    assert!(second.said.contains(&first.id().to_string()), "{second}");
    assert!(!second.said.contains("listens"), "{second}");
    assert_eq!(
        ping(directory.path()),
        "ok\n",
        "the first one's socket stands"
    );
    let lock = || std::fs::read_to_string(directory.path().join("lock")).unwrap();
    assert_eq!(lock(), format!("{}\n", first.id()));
    assert_eq!(
        first.post(&record(1).body).status,
        200,
        "the first is not disturbed"
    );
    first.kill();
    let ended = plan.start().stop();
    assert_eq!(ended.code(), 0, "{ended}");
    assert_eq!(lock(), "", "no process is named by a lock that none has");
}

/// One line to the gateway's operators' socket, and its answer.
fn ping(directory: &Path) -> String {
    let mut socket = UnixStream::connect(directory.join("keeper.sock")).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.write_all(b"flk1 ping\n").unwrap();
    let mut answer = String::new();
    BufReader::new(socket).read_line(&mut answer).unwrap();
    answer
}

fn operators_that_stall_keep_no_other_from_the_socket(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let stalled: Vec<UnixStream> = (0..40)
        .map(|number| {
            let mut socket = UnixStream::connect(directory.path().join("keeper.sock")).unwrap();
            socket.set_nonblocking(true).unwrap();
            // Some say nothing, some never end their line, some ask and ask and never read.
            let text: &[u8] = [&b""[..], b"flk1 pi", b"flk1 status\n"][number % 3];
            for _ in 0..10_000 {
                if text.is_empty() || socket.write(text).is_err() {
                    break;
                }
            }
            socket
        })
        .collect();
    assert_eq!(ping(directory.path()), "ok\n");
    assert_eq!(gateway.post(&record(1).body).status, 200);
    let ended = gateway.stop();
    assert_eq!(ended.code(), 0, "{ended}");
    drop(stalled);
}

fn a_restart_right_after_a_kill_gets_its_port_and_directory(setting: Setting) {
    let directory = setting.directory();
    let port = free_port().to_string();
    let plan = setting.plan(directory.path()).with("PORT", &port);
    for round in 0..8 {
        let gateway = plan.start();
        let mut clients: Vec<_> = (0..50).map(|_| gateway.connect()).collect();
        for client in &mut clients {
            assert_eq!(client.post(&record(1).body).unwrap().status, 200, "{round}");
        }
        gateway.kill();
    }
}

/// A manifest that nobody writes to holds the start back for as long as the test likes.
fn a_stop_during_the_start_ends_it_at_once(setting: Setting) {
    let directory = setting.directory();
    let manifest = directory.path().join("manifest");
    mknodat(CWD, &manifest, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let gateway = setting.plan(directory.path()).launch().unwrap();
    assert_eq!(gateway.get("/livez").status, 200);
    let ended = gateway.stop();
    assert_eq!(ended.code(), 0, "{ended}");
    assert!(
        ended.said.contains("stopped by SIGTERM during the start"),
        "{ended}"
    );
}

fn a_taken_port_is_waited_for_and_its_holder_named(setting: Setting) {
    let directory = setting.directory();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = setting
        .plan(directory.path())
        .with("PORT", &port)
        .run_to_end();
    assert_eq!(ended.code(), 75, "a supervisor tries again: {ended}");
    assert!(ended.said.contains("waiting up to 5 s"), "{ended}");
    let holder = format!("process {} (", std::process::id());
    assert!(
        ended.said.contains(&port) && ended.said.contains(&holder),
        "{ended}"
    );
    // The wait can be cut short.
    let waits = setting.plan(directory.path()).with("PORT", &port);
    let ended = waits.end_when("waiting up to 5 s");
    assert_eq!(ended.code(), 0, "{ended}");
    // One that gets free meanwhile is taken.
    let gateway = setting
        .plan(directory.path())
        .with("PORT", &port)
        .start_when("waiting up to 5 s", || drop(taken));
    assert_eq!(gateway.post(&record(1).body).status, 200);
}

/// A manifest that nobody writes to holds the recovery back for as long as the test likes.
fn until_recovery_is_done_submits_are_503(setting: Setting) {
    let directory = setting.directory();
    let manifest = directory.path().join("manifest");
    mknodat(CWD, &manifest, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let gateway = setting.plan(directory.path()).launch().unwrap();
    golden::play(gateway.address(), &["not_ready".to_owned()]);
}

fn pages_answer_get_and_head(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    for path in ["/health", "/livez", "/readyz", "/version", "/metrics"] {
        let got = gateway.get(path);
        assert_eq!(got.status, 200, "{path}: {got:?}");
        let mut connection = gateway.connect();
        connection
            .send(
                format!("HEAD {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .unwrap();
        connection.finish().unwrap();
        let head = connection.rest().unwrap();
        assert!(
            head.starts_with(b"HTTP/1.1 200 ") && head.ends_with(b"\r\n\r\n"),
            "{path}"
        );
    }
    assert_eq!(gateway.get("/health").text().trim_end(), "OK");
    assert!(
        gateway
            .get("/version")
            .text()
            .contains(env!("CARGO_PKG_VERSION"))
    );
}
