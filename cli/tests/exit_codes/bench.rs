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
    let refusing = answering(|| accepted("hit"));
    check(1, [vec![refusing.url()], with(&[])[1..].to_vec()].concat());
    let unready = Server::answering(|_, _| problem(503, "recovering", ""));
    let nonsense = Server::answering(|_, _| b"220 smtp.example\r\n".to_vec());
    let breaking = Server::answering(|_, _| Vec::new());
    for server in [&unready, &nonsense, &breaking] {
        check(69, [vec![server.url()], with(&[])[1..].to_vec()].concat());
    }
    let args = with(&[]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    bench.check_full(dir, &args, b"");
    bench.end(&[130]);
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
