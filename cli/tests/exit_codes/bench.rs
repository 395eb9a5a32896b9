//! Exit codes of `flk bench`: each that its help lists is met, and no other. How a gateway is judged by them is told by the tests with
//! real ones.

use super::common::{flk, run};
use super::{Cases, Server, problem};
use crate::server::{Request, accepted, answer};
use flk_testkit::child::{Signal, signal, start};
use flk_testkit::{DEADLINE, wait_until};

/// A gateway that answers each record alike.
fn answering(submits: fn() -> Vec<u8>) -> Server {
    Server::answering(
        move |request: &Request, _| match request.head.starts_with("GET") {
            true => answer(200, "", "OK"),
            false => submits(),
        },
    )
}

#[test]
fn what_measures() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut bench = Cases::of(&["bench"]);
    let pace = [
        "--rate",
        "100",
        "--warm-up",
        "0s",
        "--duration",
        "200ms",
        "--timeout",
        "5s",
        "--connections",
        "2",
    ];
    let right = answering(|| accepted("miss"));
    let url = right.url();
    let with = |more: &[&'static str]| -> Vec<String> {
        let all = [&[url.as_str()][..], &pace, more].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let mut check = |code, args: Vec<String>| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        bench.check(code, dir, &args, b"");
    };
    check(0, with(&[]));
    check(0, with(&["--save", "run.json"]));
    check(1, with(&["--expect", "rate>10M"]));
    for wrong in [
        &["--compare", "absent.json"][..],
        &["--duplicates", "60%", "--malformed", "50%"],
        &["--threads", "3"],
        &["--key-file", "absent.key"],
        &["--tenants", "a b"],
        &["--cpus", "100000"],
        &["--fail-if", "p99>1"],
        &["--ed25519", "10%"],
        &["--closed"],
    ] {
        check(2, with(wrong));
    }
    check(
        2,
        vec![url.clone(), "--closed".to_owned(), "--pre-sign".to_owned()],
    );
    check(2, vec![url.clone()]);
    check(74, with(&["--html", "absent/run.html"]));
    check(74, with(&["--save", "."]));
    check(74, with(&["--html", "new/"]));
    let refusing = answering(|| accepted("hit"));
    check(1, [vec![refusing.url()], with(&[])[1..].to_vec()].concat());
    let unready = Server::answering(|_, _| problem(503, "recovering", ""));
    let nonsense = Server::answering(|_, _| b"220 smtp.example\r\n".to_vec());
    let breaking = Server::answering(|_, _| Vec::new());
    let refusing = answering(|| problem(503, "wal_unavailable", "Retry-After: 1\r\n"));
    for server in [&unready, &nonsense, &breaking, &refusing] {
        check(69, [vec![server.url()], with(&[])[1..].to_vec()].concat());
    }
    let args = with(&[]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    bench.check_full(dir, &args, b"");
    bench.end(&[130]);
}

#[test]
fn what_writes_fixtures() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut fixtures = Cases::of(&["bench", "fixtures"]);
    fixtures.check(0, dir, &["--count", "3"], b"");
    for wrong in [
        &[][..],
        &["--count", "0"],
        &["--count", "3", "--form", "lines"],
        &["--count", "3", "--regime", "other"],
        &["--count", "3", "--key-file", "absent.key"],
        &["--count", "3", "--alg", "md5"],
    ] {
        fixtures.check(2, dir, wrong, b"");
    }
    fixtures.check_full(dir, &["--count", "3"], b"");
    fixtures.end(&[]);
}

#[test]
fn what_is_interrupted_ends_with_130() {
    let server = answering(|| accepted("miss"));
    let dir = tempfile::tempdir().unwrap();
    let mut command = flk(dir.path());
    command.args([
        "bench",
        &server.url(),
        "--closed",
        "--connections",
        "1",
        "--duration",
        "10m",
    ]);
    let child = start(command.env("PCS_HMAC_KEY", super::KEY));
    wait_until("requests", DEADLINE, || server.requests().len() > 20);
    signal(&child, Signal::TERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    // What is refused is so before anything is sent.
    let refused = run(
        flk(dir.path()).args(["bench", &server.url(), "--rate", "0"]),
        b"",
    );
    assert!(refused.stderr.contains("1k..20k"), "{refused:?}");
}

/// Ten requests in a tenth of a second.
const SHORT: [&str; 6] = ["--rate", "100", "--warm-up", "0s", "--duration", "100ms"];

/// A refusal costs a gateway nothing: its rate and its latencies say nothing of records.
#[test]
fn a_gateway_that_only_refuses_has_no_rate_and_is_unavailable() {
    for status in [429, 503] {
        let server =
            Server::answering(
                move |request: &Request, _| match request.head.starts_with("GET") {
                    true => answer(200, "", "OK"),
                    false => problem(status, "refused", "Retry-After: 1\r\n"),
                },
            );
        let dir = tempfile::tempdir().unwrap();
        let mut command = flk(dir.path());
        command.args(["bench", &server.url(), "--expect", "rate>=1"]);
        command.args(["--html", "run.html"]).args(SHORT);
        let ran = run(command.env("PCS_HMAC_KEY", super::KEY), b"");
        assert_eq!(ran.code, 69, "{ran:?}");
        let count = format!("10 of 10 ({status}: 10)");
        for (text, said) in [
            (format!("MOST ANSWERS WERE REFUSALS: {count}"), &ran.stdout),
            (" 0/s of 100/s asked for".to_owned(), &ran.stdout),
            ("expected rate>=1, but it is 0/s".to_owned(), &ran.stderr),
            (format!("all answers were refusals: {count}"), &ran.stderr),
        ] {
            assert!(said.contains(&text), "{text}: {ran:?}");
        }
        let page = std::fs::read_to_string(dir.path().join("run.html")).unwrap();
        assert!(page.contains("<b>MOST ANSWERS WERE REFUSALS"), "{page}");
    }
}

#[test]
fn what_is_missing_is_named_with_what_helps() {
    let server = answering(|| accepted("miss"));
    let dir = tempfile::tempdir().unwrap();
    let mut command = flk(dir.path());
    std::fs::write(dir.path().join("hmac.key"), super::KEY).unwrap();
    command.args(["bench", &server.url(), "--key-file", "hmac.key"]);
    let ran = run(command.args(["--ed25519", "20%"]).args(SHORT), b"");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("give --ed25519-key-file"), "{ran:?}");

    let mut command = std::process::Command::new("sh");
    let program = env!("CARGO_BIN_EXE_flk");
    command.current_dir(dir.path()).args([
        "-c",
        &format!(
            "ulimit -n 64 && exec {program} bench {} --closed --key-file hmac.key",
            server.url()
        ),
    ]);
    let ran = run(&mut command, b"");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("(ulimit -n 128)"), "{ran:?}");
    assert!(!ran.stderr.contains("fewer"), "{ran:?}");
}
