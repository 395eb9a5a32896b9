//! `flk bench` against real gateways: every count agrees with the gateway's own, a stall shows in an open loop and hides in a closed one,
//! conditions and comparisons decide how it ends, and Ctrl-C leaves a report.

use crate::common::{Ran, flk, run};
use crate::gateway::Gateway;
use flk_testkit::child::{Signal, signal, start};
use flk_testkit::metrics::Metrics;
use flk_testkit::{DEADLINE, comes_true, wait_until};
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

/// A gateway that takes records.
pub(crate) fn ready(dir: &Path) -> Gateway {
    let gateway = Gateway::start_alone(dir, &[]);
    gateway.wait_until_ready();
    gateway
}

fn bench(dir: &Path, gateway: &Gateway, args: &[&str]) -> Ran {
    run(
        flk(dir).args(["bench", &gateway.url, "--quiet"]).args(args),
        b"",
    )
}

pub(crate) fn saved(dir: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join(name)).unwrap()).unwrap()
}

/// A number of a document, by its path.
pub(crate) fn number(run: &Value, path: &str) -> u64 {
    let found = run.pointer(path).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("{path}: {run}"))
}

pub(crate) fn of_kind(run: &Value, kind: &str, member: &str) -> u64 {
    let kinds = run["figures"]["kinds"].as_array().unwrap();
    let row = kinds.iter().find(|it| it["kind"] == kind);
    row.map_or(0, |it| number(it, &format!("/{member}")))
}

const MIX: [&str; 6] = [
    "--duplicates",
    "20%",
    "--bad-signatures",
    "10%",
    "--malformed",
    "10%",
];

/// How requests are sent, and what the figures must say of that.
type Paced = (&'static [&'static str], fn(&Value));

const PACES: [Paced; 6] = [
    (&["--rate", "300", "--threads", "2"], |run| {
        due(run, 600, 600)
    }),
    (
        &[
            "--rate",
            "100..300",
            "--arrivals",
            "poisson",
            "--body-bytes",
            "5000B",
            "--sign-on-the-fly",
        ],
        |run| {
            let ahead = number(run, "/figures/signed_ahead");
            assert_eq!((ahead, number(run, "/settings/body_bytes")), (0, 5_000));
        },
    ),
    (
        &["--closed", "--connections", "4", "--pre-sign=100"],
        |run| {
            let ahead = number(run, "/figures/signed_ahead");
            assert!((1..=100).contains(&ahead), "{run}");
        },
    ),
    (
        &["--rate", "3000", "--batch", "50", "--connections", "4"],
        |run| due(run, 6_000, 120),
    ),
    (
        &["--rate", "300", "--pipeline", "8", "--connections", "1"],
        |run| due(run, 600, 600),
    ),
    (
        &[
            "--closed",
            "--batch",
            "20",
            "--pipeline",
            "4",
            "--connections",
            "2",
        ],
        |run| assert_eq!(number(run, "/figures/sent") % 20, 0, "{run}"),
    ),
];

/// So many records were due, in so many requests.
fn due(run: &Value, records: u64, requests: u64) {
    let found = (
        number(run, "/figures/due"),
        number(run, "/figures/from_due/count"),
    );
    assert_eq!(found, (records, requests), "{run}");
}

#[test]
fn what_a_mix_was_answered_is_what_the_gateway_counted() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = ready(dir);
    for (pace, says) in PACES {
        let before = Metrics::read(gateway.get("/metrics").text());
        let args = "--warm-up 0s --duration 2s --timeout 60s --save run.json";
        let args: Vec<&str> = args.split(' ').collect();
        let ran = bench(dir, &gateway, &[pace, &args, &MIX].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        let run = saved(dir, "run.json");
        let after = Metrics::read(gateway.get("/metrics").text());
        let grown = |name: &str| after.count(name) - before.count(name);
        for (metric, kind) in [
            ("flk_accepted", "new"),
            ("flk_dedup_hits", "duplicate"),
            ("flk_signature_errors", "bad signature"),
        ] {
            assert_eq!(
                grown(metric),
                of_kind(&run, kind, "as_expected"),
                "{metric}: {run}"
            );
        }
        let sent = number(&run, "/figures/sent");
        assert_eq!(grown("flk_ingest_total"), sent);
        assert_eq!(sent, number(&run, "/figures/answered"));
        assert!(of_kind(&run, "malformed", "as_expected") > 0, "{run}");
        says(&run);
        assert!(ran.stdout.contains("as expected"), "{ran:?}");
    }
    assert_eq!(gateway.stop(), 0);
}

/// How many answers took so long or longer, at least and at most, by the curve of percentiles.
fn slow(run: &Value, from: &str, slow_ns: u64) -> (f64, f64) {
    let spread = &run["figures"][from];
    let count = spread["count"].as_f64().unwrap();
    let curve = spread["percentiles"].as_array().unwrap();
    let share = |it: &Value| 1.0 - it[0].as_f64().unwrap();
    let is_slow = |it: &&Value| it[1].as_u64().unwrap() >= slow_ns;
    let least = curve.iter().find(is_slow).map_or(0.0, share);
    let most = curve
        .iter()
        .rev()
        .find(|it| !is_slow(it))
        .map_or(1.0, share);
    (least * count, most * count)
}

/// The gateway stands still for 600 ms in the middle of a run at 500 requests a second over one connection. From when they were due at
/// least 200 requests wait 200 ms or more. From when they were sent, one connection has five such answers a second at most, whatever else
/// the machine does. So counts of slow answers tell both apart, without a time that a busy machine could miss.
#[test]
fn a_gateway_that_stands_still_shows_in_an_open_loop_and_hides_in_a_closed_one() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = ready(dir);
    for (pace, name) in [
        (&["--rate", "500", "--sign-on-the-fly"][..], "open.json"),
        (&["--closed"], "closed.json"),
    ] {
        let mut command = flk(dir);
        command.args(["bench", &gateway.url, "--save", name, "--connections", "1"]);
        command
            .args(["--warm-up", "0s", "--duration", "10m"])
            .args(pace);
        let child = start(&mut command);
        let before = ingested(&gateway);
        wait_until("requests arrive", DEADLINE, || {
            ingested(&gateway) > before + 10
        });
        stand_still(&gateway, Duration::from_millis(600));
        // All that was due meanwhile.
        let before = ingested(&gateway);
        wait_until("the rest arrives", DEADLINE, || {
            ingested(&gateway) > before + 400
        });
        signal(&child, Signal::INT);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{output:?}");
    }
    let (open, closed) = (saved(dir, "open.json"), saved(dir, "closed.json"));
    let slow_ns = 200_000_000;
    let bound = |run: &Value| 5.0 * (run["figures"]["measured_s"].as_f64().unwrap() + 3.0);
    // A step of the curve is a fifth of what is left of it.
    assert!(slow(&open, "from_due", slow_ns).0 >= 150.0, "{open}");
    assert!(
        slow(&open, "from_sent", slow_ns).1 <= 1.3 * bound(&open),
        "{open}"
    );
    assert!(
        number(&open, "/figures/waited_for_connection") >= 200,
        "{open}"
    );
    assert!(
        number(&open, "/figures/from_due/max_ns") >= 590_000_000,
        "{open}"
    );
    assert!(
        slow(&closed, "from_sent", slow_ns).1 <= 1.3 * bound(&closed),
        "{closed}"
    );
    assert!(
        number(&closed, "/figures/from_sent/max_ns") >= 590_000_000,
        "{closed}"
    );
}

/// The kernel goes on taking connections and bytes for it.
fn stand_still(gateway: &Gateway, time: Duration) {
    freeze(gateway);
    comes_true(time, || false);
    kill_process(pid(gateway), Signal::CONT).unwrap();
}

fn freeze(gateway: &Gateway) {
    kill_process(pid(gateway), Signal::STOP).unwrap();
}

fn pid(gateway: &Gateway) -> Pid {
    Pid::from_raw(i32::try_from(gateway.pid()).unwrap()).unwrap()
}

fn ingested(gateway: &Gateway) -> u64 {
    Metrics::read(gateway.get("/metrics").text()).count("flk_ingest_total")
}

/// Two hundred requests, and forty before them.
const SHORT: [&str; 8] = [
    "--rate",
    "200",
    "--warm-up",
    "200ms",
    "--duration",
    "1s",
    "--timeout",
    "60s",
];

#[test]
fn files_hold_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = ready(dir);
    let files = [
        "--save",
        "run.json",
        "--html",
        "run.html",
        "--hdr-out",
        "run.hgrm",
    ];
    let ran = bench(dir, &gateway, &[&SHORT[..], &files].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let html = read("run.html");
    assert!(
        html.contains("<svg") && html.ends_with("</html>\n"),
        "{html}"
    );
    let percentiles = read("run.hgrm");
    assert!(
        percentiles.contains("Total count    =          200]"),
        "{percentiles}"
    );
    assert_eq!(number(&saved(dir, "run.json"), "/figures/warm_up/sent"), 40);

    let json = ["--output", "json", "--hdr-out", "run.hlog"];
    let ran = bench(dir, &gateway, &[&SHORT[..], &json].concat());
    let log = read("run.hlog");
    assert!(log.contains("[Histogram log format version 1.3]"), "{log}");
    assert!(
        log.lines()
            .any(|it| it.contains(".000,1.000,") && it.contains(",HISTF")),
        "{log}"
    );
    let printed: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(printed["format"], "flk-bench-1");
    let version = &printed["target"]["version"]["version"];
    assert_eq!(version, env!("CARGO_PKG_VERSION"), "{printed}");
}

#[test]
fn conditions_and_ratios_decide_how_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = ready(dir);
    let held = [
        "--save",
        "run.json",
        "--expect",
        "errors<100%",
        "--expect",
        "p50<60s",
    ];
    let ran = bench(dir, &gateway, &[&SHORT[..], &held].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    let held = ["--compare", "run.json", "--fail-if", "rate<0"];
    let ran = bench(dir, &gateway, &[&SHORT[..], &held].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("this run   ratio"), "{ran:?}");
    for missed in [
        &["--expect", "p50<1ns"][..],
        &["--compare", "run.json", "--fail-if", "rate>=0"],
    ] {
        let ran = bench(dir, &gateway, &[&SHORT[..], missed].concat());
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains(missed.last().unwrap()), "{ran:?}");
    }
}

#[test]
fn a_wrong_key_is_seen_as_wrong_answers_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = ready(dir);
    let mut command = flk(dir);
    command.args([
        "bench",
        &gateway.url,
        "--rate",
        "100",
        "--warm-up",
        "0s",
        "--duration",
        "500ms",
    ]);
    let ran = run(
        command.env("PCS_HMAC_KEY", "another key of at least 32 bytes."),
        b"",
    );
    assert_eq!(ran.code, 1, "{ran:?}");
    for (text, said) in [
        ("WRONG: 50 of kind new answered 401", &ran.stdout),
        ("has the gateway this key and these tenants?", &ran.stderr),
        ("50 answers are wrong by the record contract", &ran.stderr),
    ] {
        assert!(said.contains(text), "{text}: {ran:?}");
    }
    assert!(!ran.stdout.contains("another key") && !ran.stderr.contains("another key"));
}

#[test]
fn ctrl_c_gives_the_report_so_far() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = ready(dir);
    let mut command = flk(dir);
    command.args([
        "bench",
        &gateway.url,
        "--rate",
        "200",
        "--warm-up",
        "0s",
        "--duration",
        "10m",
        "--save",
        "run.json",
    ]);
    let before = ingested(&gateway);
    let child = start(&mut command);
    wait_until("requests arrive", DEADLINE, || {
        ingested(&gateway) > before + 100
    });
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let run = saved(dir, "run.json");
    assert_eq!(run["figures"]["interrupted"], true);
    assert!(number(&run, "/figures/answered") > 90, "{run}");
    assert_eq!(
        number(&run, "/figures/unsent"),
        0,
        "what was not due yet is not missing"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(", interrupted after "), "{text}");
}

/// It is frozen before, so that nothing is answered, and killed once requests are under way.
#[test]
fn a_gateway_that_goes_away_loses_requests_and_the_run_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = ready(dir);
    freeze(&gateway);
    let mut command = flk(dir);
    command.args([
        "bench",
        &gateway.url,
        "--even-if-unready",
        "--rate",
        "200",
        "--warm-up",
        "0s",
    ]);
    command.args(["--duration", "3s", "--timeout", "5s", "--save", "run.json"]);
    let mut child = start(&mut command);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().contains(" s ")),
        "a line a second"
    );
    drop(gateway);
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(69), "{rest:?}");
    let run = saved(dir, "run.json");
    let none = ["lost", "timed_out", "unsent"].map(|it| number(&run, &format!("/figures/{it}")));
    assert!(none[0] + none[1] >= 1, "{run}");
    assert_eq!(none.iter().sum::<u64>(), 600, "{run}");
    let ran = run_on_nothing(dir);
    assert_eq!(ran.code, 69, "{ran:?}");
}

/// Nothing listens where the gateway was.
fn run_on_nothing(dir: &Path) -> Ran {
    let port = flk_testkit::gateway::free_port();
    let url = format!("http://127.0.0.1:{port}");
    let args = [
        "bench",
        &url,
        "--rate",
        "50",
        "--warm-up",
        "0s",
        "--duration",
        "200ms",
        "--timeout",
        "200ms",
    ];
    let refused = run(flk(dir).args(args), b"");
    assert_eq!(refused.code, 69, "{refused:?}");
    assert!(refused.stderr.contains("--even-if-unready"), "{refused:?}");
    run(flk(dir).args(args).arg("--even-if-unready"), b"")
}
