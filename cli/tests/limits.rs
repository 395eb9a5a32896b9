//! Limits: the command line and a gateway draw each at the same place, and an option beyond its own is refused by name.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "common/gateway.rs"]
mod gateway;

use common::{flk, golden, golden_bytes, golden_json, run, run_with_key};
use flk_testkit::child::start;
use gateway::Gateway;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

const KEY: &str = "testsecret";

/// Bodies at each limit and one step beyond it.
fn bodies_around_the_limits() -> Vec<String> {
    let record = golden_json("events/sample.pcs.json");
    let edited = |name: &str, value: Value| {
        let mut record = record.clone();
        record[name] = value;
        record.to_string()
    };
    let filled = |bytes: usize| {
        let empty = edited("x", json!("")).len();
        edited("x", json!("x".repeat(bytes - empty)))
    };
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        edited("x", json!(0)).replace("\"x\":0", &format!("\"x\":{open}{close}"))
    };
    let members = |count: usize| {
        let inner: Vec<String> = (0..count).map(|at| format!("\"{at}\":0")).collect();
        edited("x", json!(0)).replace("\"x\":0", &format!("\"x\":{{{}}}", inner.join(",")))
    };
    let counts = |count: u64| {
        let mut record = record.clone();
        record["scales"] = (1..=count).collect();
        record["N_j"] = (1..=count).map(|it| (it.to_string(), json!(it))).collect();
        record.to_string()
    };
    let mut bodies = vec![filled(1 << 20), filled((1 << 20) + 1)];
    bodies.extend([30, 31, 32, 33].map(nested));
    bodies.extend([1024, 1025].map(members));
    bodies.extend([1, 2, 64, 65].map(counts));
    for (name, values) in [
        (
            "shard_id",
            [json!(""), json!("s".repeat(128)), json!("s".repeat(129))],
        ),
        (
            "merkle_root",
            [json!(""), json!("a".repeat(128)), json!("a".repeat(129))],
        ),
        (
            "pcs_id",
            [json!(""), json!("a".repeat(128)), json!("a".repeat(129))],
        ),
        (
            "epoch",
            [json!(-1), json!((1_u64 << 53) - 1), json!(1_u64 << 53)],
        ),
        (
            "attempt",
            [json!(0), json!((1_u64 << 53) - 1), json!(1_u64 << 53)],
        ),
        (
            "v_star",
            [json!([]), json!(vec![0.5; 4096]), json!(vec![0.5; 4097])],
        ),
        ("coh_star", [json!(-0.1), json!(1.05), json!(1.06)]),
        (
            "sent_at",
            [
                json!("2025-02-28T23:59:60Z"),
                json!("2025-02-29T00:00:00Z"),
                json!(""),
            ],
        ),
    ] {
        bodies.extend(values.map(|value| edited(name, value)));
    }
    bodies.push(edited("x", json!(0)).replace("\"x\":0", "\"x\":1e400"));
    bodies
}

#[test]
fn verify_and_a_gateway_agree_on_every_limit() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = Gateway::start(dir);
    let key = std::fs::read_to_string(dir.join("data/dev.key")).unwrap();
    let mut input = String::new();
    for body in bodies_around_the_limits() {
        input += &body;
        input += "\n";
        // where it can be signed, the signature no longer hides what else is wrong
        let signed = run_with_key(key.trim_end(), &["pcs", "sign"], body.as_bytes());
        input += &signed.stdout;
    }
    let judged = run(flk(dir).args(["pcs", "verify", "--json"]), input.as_bytes());
    let args = ["pcs", "submit", "--json", "--attempts", "12", "--url"];
    let sent = run(flk(dir).args(args).arg(&gateway.url), input.as_bytes());
    let (judged, sent) = (judged.json(), sent.json());
    assert_eq!(judged.len(), sent.len());
    let mut statuses = std::collections::BTreeSet::new();
    for (judged, sent) in judged.iter().zip(&sent) {
        let (status, ours) = (&sent["status"], &judged["status"]);
        let (status, ours) = (status.as_u64().unwrap(), ours.as_u64().unwrap());
        match sent["dedup"].as_str() {
            // the id was seen with another body: the first outcome stands, whatever this one would get
            Some("hit" | "conflict") => assert!(status < 300 && ours < 300, "{judged}\n{sent}"),
            _ => assert_eq!(status, ours, "{judged}\n{sent}"),
        }
        if status >= 400 {
            assert_eq!(judged["code"], sent["body"]["code"], "{judged}\n{sent}");
        }
        statuses.insert(ours);
    }
    assert_eq!(Vec::from_iter(statuses), [200, 202, 400, 401, 413]);
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn verify_takes_the_limit_of_the_gateway_that_it_speaks_for() {
    let body = golden_bytes("events/sample.pcs.json");
    let dir = tempfile::tempdir().unwrap();
    let verify = |limit: &str| {
        let mut command = flk(dir.path());
        command.args(["pcs", "verify", "--json"]);
        command.env("PCS_HMAC_KEY", KEY).env("FLK_BODY_MAX", limit);
        run(&mut command, &[&body[..], &b" ".repeat(500)].concat())
    };
    // white space around a record is not sent, and does not count
    assert_eq!(verify("1KiB").json()[0]["status"], 200);
    let long = [
        &body.trim_ascii()[..body.trim_ascii().len() - 1],
        b",\"x\":\"",
        &b"x".repeat(1024),
        b"\"}",
    ]
    .concat();
    let ran = run_with_key(
        KEY,
        &["pcs", "verify", "--json", "--body-max", "1KiB"],
        &long,
    );
    assert_eq!(ran.json()[0]["status"], 413);
    assert_eq!(ran.json()[0]["code"], "body_too_large");
}

/// A wrong option, and words that name it and what is allowed.
type Wrong = (&'static [&'static str], &'static [&'static str]);

const WHOLE_NUMBER: &str = "whole number from";

const WRONG_BUILD: [Wrong; 11] = [
    (
        &["pcs", "build", "--scales", "2;4"],
        &["--scales", "separated by commas"],
    ),
    (
        &["pcs", "build", "--scales", "2"],
        &["--scales", "2 to 64 distinct"],
    ),
    (
        &["pcs", "build", "--scales", "2,2"],
        &["--scales", "distinct"],
    ),
    (
        &["pcs", "build", "--scales", "0,2"],
        &["--scales", "from 1 to 2147483647"],
    ),
    (
        &["pcs", "build", "--epoch", "-1"],
        &["--epoch", WHOLE_NUMBER],
    ),
    (
        &["pcs", "build", "--epoch", "9007199254740992"],
        &["--epoch", WHOLE_NUMBER],
    ),
    (
        &["pcs", "build", "--attempt", "0"],
        &["--attempt", "from 1 to"],
    ),
    (
        &["pcs", "build", "--seed", "1.5"],
        &["--seed", WHOLE_NUMBER],
    ),
    (&["pcs", "build", "--m", "0"], &["--m", WHOLE_NUMBER]),
    (
        &["pcs", "build", "--sent-at", "2025-02-30T00:00:00Z"],
        &["--sent-at", "RFC 3339"],
    ),
    (
        &["pcs", "build", "--shard-id", ""],
        &["--shard-id", "1 to 128 bytes"],
    ),
];

const WRONG_SUBMIT: [Wrong; 7] = [
    (
        &["pcs", "submit", "--timeout", "0s"],
        &["--timeout", "from 1ms to 1d"],
    ),
    (
        &["pcs", "submit", "--timeout", "5"],
        &["--timeout", "such as"],
    ),
    (
        &["pcs", "submit", "--wait", "forever"],
        &["--wait", "such as"],
    ),
    (
        &["pcs", "submit", "--concurrency", "0"],
        &["--concurrency", "from 1 to 1024"],
    ),
    (
        &["pcs", "submit", "--attempts", "x"],
        &["--attempts", WHOLE_NUMBER],
    ),
    (
        &["pcs", "submit", "--url", "http://h:99999"],
        &["--url", "its port is not from 1 to 65535"],
    ),
    (
        &["pcs", "submit", "--url", "https://h"],
        &["--url", "plain HTTP"],
    ),
];

const WRONG_WAL: [Wrong; 7] = [
    (
        &["wal", "inspect", "--status", "999"],
        &["--status", "from 200 to 599"],
    ),
    (
        &["wal", "inspect", "--log", "first"],
        &["--log", "such as 1.0"],
    ),
    (
        &["wal", "inspect", "--log", "01.0"],
        &["--log", "such as 1.0"],
    ),
    (
        &["wal", "inspect", "--limit", "-5"],
        &["--limit", WHOLE_NUMBER],
    ),
    (
        &["wal", "compact", "--older-than", "99999d"],
        &["--older-than", "to 10000d"],
    ),
    (
        &["wal", "status", "--timeout", "0s"],
        &["--timeout", "from 1ms"],
    ),
    (&["wal", "unpin", "x"], &["<ID>", WHOLE_NUMBER]),
];

#[test]
fn a_wrong_option_is_named_with_what_is_allowed() {
    let of_records = WRONG_BUILD.iter().chain(&WRONG_SUBMIT);
    for (args, texts) in of_records.chain(&WRONG_WAL) {
        let ran = run_with_key(KEY, args, b"0,1,2,3");
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}");
        for text in *texts {
            assert!(ran.stderr.contains(text), "{args:?} {text}: {}", ran.stderr);
        }
        for text in ["invalid digit", "os error", "number too", "expected"] {
            assert!(!ran.stderr.contains(text), "{args:?}: {}", ran.stderr);
        }
    }
}

#[test]
fn events_whose_time_gives_no_epoch_are_refused_and_not_moved() {
    for t in ["-1", "1e16"] {
        let events = format!("{t},1,2,3\n");
        let ran = run_with_key(KEY, &["pcs", "build"], events.as_bytes());
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{t}");
        assert!(ran.stderr.contains("--epoch"), "{}", ran.stderr);
        let named = run_with_key(KEY, &["pcs", "build", "--epoch", "7"], events.as_bytes());
        assert_eq!(named.code, 0, "{}", named.stderr);
    }
}

#[test]
fn a_short_key_is_warned_of_and_used() {
    let body = golden_bytes("events/sample.pcs.json");
    for verb in ["sign", "verify"] {
        let short = run_with_key(KEY, &["pcs", verb], &body);
        assert_eq!(short.code, 0, "{}", short.stderr);
        assert!(
            short.stderr.contains("shorter than the advised 32 bytes"),
            "{}",
            short.stderr
        );
        let long = run_with_key(&"k".repeat(32), &["pcs", verb], &body);
        assert!(!long.stderr.contains("warning"), "{}", long.stderr);
    }
}

/// The reader goes away after the first line: what was judged is not all, and the exit code says so.
#[test]
fn a_closed_output_is_no_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let record = golden_bytes("events/sample.pcs.json");
    let many = [record.trim_ascii(), b"\n"].concat().repeat(2000);
    for args in [
        &["pcs", "verify"][..],
        &["pcs", "sign"],
        &["pcs", "verify", "--json"],
    ] {
        let mut command = flk(dir.path());
        let mut child = start(command.args(args).env("PCS_HMAC_KEY", KEY));
        let mut stdin = child.stdin.take().unwrap();
        let mut said = String::new();
        std::thread::scope(|scope| {
            scope.spawn(|| stdin.write_all(&many).ok());
            let mut first = String::new();
            let mut stdout = BufReader::with_capacity(64, child.stdout.take().unwrap());
            stdout.read_line(&mut first).unwrap();
            drop(stdout);
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut said)
                .unwrap();
        });
        assert_eq!(child.wait().unwrap().code(), Some(74), "{said}");
        assert!(said.contains("output was closed"), "{said}");
    }
}

/// A log on a full disk, a closed terminal: what cannot be said is no reason to fail.
#[test]
fn a_failing_standard_error_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let full = || std::fs::File::create("/dev/full").unwrap();
    let mut verify = flk(dir.path());
    verify
        .args(["pcs", "verify"])
        .arg(golden("events/sample.pcs.json"))
        .env("PCS_HMAC_KEY", KEY)
        .stdout(Stdio::null());
    assert_eq!(verify.stderr(full()).status().unwrap().code(), Some(0));
    let mut absent = flk(dir.path());
    absent.args(["pcs", "build", "absent.csv"]).stderr(full());
    assert_eq!(absent.status().unwrap().code(), Some(2));
}
