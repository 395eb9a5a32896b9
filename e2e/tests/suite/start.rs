//! The start: what is said, which driver is chosen and why, who may have the directory, and what is answered meanwhile.

use flk_e2e::gateway::Plan;
use flk_e2e::golden;
use flk_e2e::records::record;
use flk_e2e::setting::Setting;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::net::TcpListener;

on_every_host!(
    says_where_it_listens_and_what_was_chosen,
    a_second_process_on_the_same_directory_names_the_first,
    a_taken_port_is_said,
    until_recovery_is_done_submits_are_503,
    pages_answer_get_and_head,
);

fn says_where_it_listens_and_what_was_chosen(setting: Setting) {
    let directory = setting.directory();
    let gateway = Plan::new(setting, directory.path()).start();
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
    let plan = Plan::new(setting, directory.path());
    let first = plan.start();
    let second = plan.run_to_end();
    assert_eq!(second.code(), 69, "{second}");
    assert!(second.said.contains("WAL_DIR is in use by"), "{second}");
    assert!(second.said.contains(&first.id().to_string()), "{second}");
    assert_eq!(
        first.post(&record(1).body).status,
        200,
        "the first is not disturbed"
    );
    first.kill();
    plan.start();
}

fn a_taken_port_is_said(setting: Setting) {
    let directory = setting.directory();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = Plan::new(setting, directory.path())
        .with("PORT", &port)
        .run_to_end();
    assert_ne!(ended.code(), 0, "{ended}");
    assert!(ended.said.contains(&port), "{ended}");
}

/// A manifest that nobody writes to holds the recovery back for as long as the test likes.
fn until_recovery_is_done_submits_are_503(setting: Setting) {
    let directory = setting.directory();
    let manifest = directory.path().join("manifest");
    mknodat(CWD, &manifest, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let gateway = Plan::new(setting, directory.path()).launch().unwrap();
    golden::play(gateway.address(), &["not_ready".to_owned()]);
}

fn pages_answer_get_and_head(setting: Setting) {
    let directory = setting.directory();
    let gateway = Plan::new(setting, directory.path()).start();
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
