//! `flk smoke` as a process: on a gateway that is well, on one that is not, and on what is none.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/gateway.rs"]
mod gateway;
#[path = "../common/server.rs"]
mod server;

mod credentials;
mod unwell;

use common::{Ran, flk, run};
use flk_testkit::{DEADLINE, wait_until};
use gateway::Gateway;
use serde_json::Value;
use std::path::Path;

/// All checks in their order.
const CHECKS: [&str; 10] = [
    "health",
    "ready",
    "version",
    "submit",
    "duplicate",
    "tampered",
    "latency",
    "metrics",
    "telemetry",
    "stores",
];

/// How long records take where tests run side by side says nothing.
const ANY_LATENCY: [&str; 2] = ["--latency-max", "1h"];

fn smoke(dir: &Path, url: &str, further: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = flk(dir);
    command.args(["smoke", url]).args(further);
    run(command.envs(variables.iter().copied()), b"")
}

/// Name and verdict of each check, and what was said, of a run with `--json`.
fn checks(ran: &Ran) -> Vec<(String, String, String)> {
    let json = &ran.json()[0];
    let text = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    let checks = json["checks"].as_array().unwrap();
    assert_eq!(json["healthy"], ran.code == 0, "{json}");
    checks
        .iter()
        .map(|it| (text(it, "check"), text(it, "verdict"), text(it, "said")))
        .collect()
}

/// The checks that failed, with what was said.
fn failures(ran: &Ran) -> Vec<(String, String)> {
    let failed = checks(ran).into_iter().filter(|it| it.1 == "failed");
    failed.map(|(name, _, said)| (name, said)).collect()
}

#[test]
fn a_gateway_that_is_well_passes_every_check_as_often_as_it_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    gateway.wait_until_ready();
    let key = std::fs::read_to_string(dir.path().join("data/dev.key")).unwrap();
    for _ in 0..2 {
        let ran = smoke(dir.path(), &gateway.url, &ANY_LATENCY, &[]);
        assert_eq!(ran.code, 0, "{}", ran.stdout);
        let lines: Vec<&str> = ran.stdout.lines().collect();
        assert_eq!(lines.len(), CHECKS.len() + 1, "{}", ran.stdout);
        for (line, check) in lines.iter().zip(CHECKS) {
            let mut words = line.split_ascii_whitespace();
            let verdict = if check == "stores" { "skipped" } else { "ok" };
            assert_eq!(words.next(), Some(verdict), "{line}");
            assert_eq!(words.next(), Some(check), "{line}");
            // its time
            let time: Option<f64> = words.next().and_then(|it| it.parse().ok());
            assert_eq!(time.is_some(), verdict == "ok", "{line}");
        }
        assert!(lines[9].contains("not configured"), "{}", lines[9]);
        assert!(lines[10].ends_with("ms"), "{}", lines[10]);
        assert!(lines[10].contains("is healthy: 9 checks"), "{}", lines[10]);
        assert!(!ran.stdout.contains(key.trim()) && !ran.stderr.contains(key.trim()));
    }
    let further = [&ANY_LATENCY[..], &["--json", "--requests", "3"]].concat();
    let ran = smoke(dir.path(), &gateway.url, &further, &[]);
    let names: Vec<String> = checks(&ran).into_iter().map(|it| it.0).collect();
    assert_eq!(names, CHECKS);
    assert_eq!(ran.json()[0]["url"], gateway.url);
    // Two runs with 20 records for the latency, and one with 3; each has a first one, too.
    let metrics = gateway.get("/metrics").text().to_owned();
    for sample in [
        "flk_accepted 46\n",
        "flk_dedup_hits 3\n",
        "flk_signature_errors 3\n",
    ] {
        assert!(metrics.contains(sample), "{sample}: {metrics}");
    }
    assert_eq!(gateway.stop(), 0);
}

/// As the example of variables of a unit has them.
#[test]
fn keys_and_passwords_may_be_in_the_files_that_the_gateway_reads() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("hmac.key"),
        "the key of a file, of 32 bytes or more",
    )
    .unwrap();
    std::fs::write(dir.path().join("pass"), "the password of a file\n").unwrap();
    let variables = [
        ("PCS_HMAC_KEY_FILE", "hmac.key"),
        ("METRICS_USER", "scraper"),
        ("METRICS_PASS_FILE", "pass"),
    ];
    let gateway = Gateway::start_alone(dir.path(), &variables);
    gateway.wait_until_ready();
    let ran = smoke(dir.path(), &gateway.url, &ANY_LATENCY, &variables);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let ran = smoke(dir.path(), &gateway.url, &ANY_LATENCY, &variables[..2]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let of_nothing = [variables[0], variables[1], ("METRICS_PASS_FILE", "nowhere")];
    let ran = smoke(dir.path(), &gateway.url, &ANY_LATENCY, &of_nothing);
    assert!(ran.stderr.contains("METRICS_PASS_FILE: "), "{}", ran.stderr);
}

#[test]
fn a_gateway_can_be_asked_without_a_key_and_gets_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    gateway.wait_until_ready();
    let elsewhere = tempfile::tempdir().unwrap();
    let no_key = smoke(elsewhere.path(), &gateway.url, &[], &[]);
    assert_eq!(no_key.code, 2);
    assert!(
        no_key.stderr.contains("no key is configured"),
        "{}",
        no_key.stderr
    );
    let ran = smoke(elsewhere.path(), &gateway.url, &["--no-records"], &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("is healthy: 5 checks"),
        "{}",
        ran.stdout
    );
    assert!(
        gateway
            .get("/metrics")
            .text()
            .contains("flk_ingest_total 0\n")
    );
}

#[test]
fn a_tenant_has_its_own_key_and_metrics_have_a_user() {
    let dir = tempfile::tempdir().unwrap();
    let acme = "a secret of acme that no output may show";
    let (tenants, pass) = (format!("acme:hmac:{acme}"), "a password of metrics");
    let user = ("METRICS_USER", "prometheus");
    let variables = [
        ("MULTI_TENANT", "1"),
        ("TENANTS", tenants.as_str()),
        user,
        ("METRICS_PASS", pass),
    ];
    let gateway = Gateway::start_with(dir.path(), &variables);
    gateway.wait_until_ready();
    let further = [
        &ANY_LATENCY[..],
        &["--tenant", "acme", "--json", "--requests", "1"],
    ]
    .concat();
    let key = ("PCS_HMAC_KEY", acme);
    let known = smoke(
        dir.path(),
        &gateway.url,
        &further,
        &[key, user, ("METRICS_PASS", pass)],
    );
    assert_eq!(known.code, 0, "{}", known.stdout);

    let unknown = smoke(dir.path(), &gateway.url, &further, &[key]);
    assert_eq!(unknown.code, 1);
    let failed = failures(&unknown);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0].0, "metrics");
    assert!(
        failed[0].1.contains("set METRICS_USER and METRICS_PASS"),
        "{failed:?}"
    );

    // The key of another tenant.
    let foreign = smoke(
        dir.path(),
        &gateway.url,
        &further[..7],
        &[user, ("METRICS_PASS", pass)],
    );
    assert_eq!(foreign.code, 1, "{}", foreign.stdout);
    let failed = failures(&foreign);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(
        failed[0].0 == "submit" && failed[0].1.starts_with("401 signature_invalid"),
        "{failed:?}"
    );
    for ran in [known, unknown, foreign] {
        for secret in [acme, pass] {
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret));
        }
    }
}

#[test]
fn a_gateway_that_drains_is_not_healthy_although_it_takes_records() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start_alone(dir.path(), &[("FLK_DRAIN_DELAY", "1h")]);
    gateway.wait_until_ready();
    gateway.terminate();
    wait_until("it drains", DEADLINE, || {
        gateway.get("/readyz").status == 503
    });
    let further = [&ANY_LATENCY[..], &["--json"]].concat();
    let ran = smoke(dir.path(), &gateway.url, &further, &[]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let failed = failures(&ran);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(
        failed[0].0 == "ready" && failed[0].1.starts_with("503 draining: "),
        "{failed:?}"
    );
}

#[test]
fn with_the_address_of_control_it_says_whether_spans_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let admin = format!("http://{}", gateway.admin());
    gateway.wait_until_ready();
    let asked = |control: &str| {
        smoke(
            dir.path(),
            &gateway.url,
            &["--no-records", "--json", "--control", control],
            &[],
        )
    };
    let told = |ran: &Ran| {
        checks(ran)
            .into_iter()
            .find(|it| it.0 == "telemetry")
            .unwrap()
    };
    let good = asked(&admin);
    assert_eq!(good.code, 0, "{}", good.stdout);
    assert!(
        told(&good).2.contains("spans: 0 taken"),
        "{:?}",
        told(&good)
    );
    let gateway_itself = asked(&gateway.url);
    assert_eq!(gateway_itself.code, 1);
    assert!(
        told(&gateway_itself)
            .2
            .contains("--control names its admin address")
    );
    assert_eq!(gateway.stop(), 0);
}
