//! `flk wal replay`: the stored bodies judged again. Under the keys that judged them nothing differs, in however many segments they
//! lie and however many threads read; under others each difference is counted where it belongs, and nothing stored changes.

use super::common::{Ran, flk, golden, run};
use super::{signed_record, wal, written_directory};
use crate::gateway::Gateway;
use flk_testkit::{DEADLINE, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

fn replay(dir: &Path, args: &[&str]) -> Ran {
    wal(dir, &[&["replay"], args].concat())
}

/// The rows of the JSON output, and its sums.
fn rows_and_total(ran: &Ran) -> (Vec<Value>, Value) {
    let mut all = ran.json();
    let total = all.pop().unwrap();
    assert_eq!(total["type"], "total", "{total}");
    all.retain(|it| it["type"] == "row");
    (all, total)
}

fn bytes_of(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = std::fs::read_dir(dir.join("data/wal")).unwrap();
    let files = names.map(|it| it.unwrap()).filter(|it| it.path().is_file());
    files
        .map(|it| {
            let name = it.file_name().into_string().unwrap();
            (name, std::fs::read(it.path()).unwrap())
        })
        .collect()
}

/// A configuration of the development key that judges by this parameter set.
fn judged_by(params: &str) -> String {
    format!(
        "[[tenants]]\nid = \"default\"\n[[tenants.keys]]\nid = \"dev\"\nfile = \"data/dev.key\"\n[[tenants.params]]\n{params}"
    )
}

#[test]
fn under_the_same_keys_nothing_differs_after_a_stop_or_a_crash() {
    for crash in [false, true] {
        let dir = written_directory(crash);
        let ran = replay(dir.path(), &[]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(ran.stdout, "7 bodies: 7 as stored, 0 would differ\n");
        let (rows, total) = rows_and_total(&replay(dir.path(), &["--output", "json"]));
        assert_eq!(total["same"], 7);
        let duplicate = rows
            .iter()
            .find(|it| it["stored"]["disposition"] == "duplicate")
            .unwrap();
        assert_eq!(duplicate["bodies"], 1);
        assert_eq!(duplicate["differs"], false);
    }
}

#[test]
fn under_another_key_all_that_was_authentic_is_refused_and_nothing_stored_changes() {
    let dir = written_directory(false);
    let before = bytes_of(dir.path());
    let key = "a key that has signed none of these records, of 51 bytes";
    std::fs::write(dir.path().join("other.key"), key).unwrap();
    let ran = replay(dir.path(), &["--key-file", "other.key", "--examples", "2"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stdout
            .ends_with("7 bodies: 1 as stored, 6 would differ\n"),
        "{}",
        ran.stdout
    );
    let duplicate = ran
        .stdout
        .lines()
        .find(|it| it.contains("duplicate"))
        .unwrap();
    assert!(duplicate.contains("401 signature_invalid"), "{duplicate}");
    assert!(duplicate.trim_end().ends_with(" 1"), "{duplicate}");
    let ids = ran.stdout.lines().filter(|it| it.starts_with("    "));
    for id in ids.clone() {
        assert_eq!(id.trim().len(), 64, "{id}");
    }
    assert_eq!(
        ids.count(),
        3,
        "two of the accepted, one of the duplicate: {}",
        ran.stdout
    );
    for text in [key, "merkle_root", "sig"] {
        assert!(
            !ran.stdout.replace("signature_invalid", "").contains(text),
            "{text}"
        );
        assert!(!ran.stderr.contains(text), "{text}");
    }
    assert_eq!(bytes_of(dir.path()), before);
}

#[test]
fn what_was_refused_and_would_be_accepted_is_a_difference() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let record = signed_record(dir.path(), "shard-0");
    let key = "another key than that of the gateway, of 46 bytes";
    std::fs::write(dir.path().join("other.key"), key).unwrap();
    let mut build = flk(dir.path());
    build.args(["pcs", "build", "--shard-id", "shard-1"]);
    let built = run(build.arg(golden("events/sample.csv")), b"");
    let mut sign = flk(dir.path());
    sign.args(["pcs", "sign", "--key-file", "other.key"]);
    let foreign = run(&mut sign, built.stdout.as_bytes());
    assert_eq!(foreign.code, 0, "{}", foreign.stderr);
    assert_eq!(
        gateway.submit(dir.path(), foreign.stdout.as_bytes()).code,
        1
    );
    assert_eq!(gateway.submit(dir.path(), &record).code, 0);
    assert_eq!(gateway.stop(), 0);
    let ran = replay(dir.path(), &["--key-file", "other.key", "--output", "json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let (rows, total) = rows_and_total(&ran);
    assert_eq!((&total["differ"], &total["same"]), (&2.into(), &0.into()));
    let was_refused = rows
        .iter()
        .find(|it| it["stored"]["disposition"] == "refused")
        .unwrap();
    assert_eq!(was_refused["stored"]["code"], "signature_invalid");
    assert_eq!(was_refused["would_be"]["disposition"], "accepted");
    assert_eq!(was_refused["differs"], true);
}

/// A directory with several closed segments and duplicates of records in earlier ones.
fn segments() -> (tempfile::TempDir, Gateway) {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    for round in 0..3 {
        for shard in 0..3 {
            let record = signed_record(dir.path(), &format!("shard-{}", round + shard));
            assert_eq!(gateway.submit(dir.path(), &record).code, 0);
        }
        assert_eq!(wal(dir.path(), &["compact", "--older-than", "3d"]).code, 0);
    }
    (dir, gateway)
}

#[test]
fn many_segments_and_many_threads_come_to_the_same_beside_a_serving_gateway() {
    let (dir, gateway) = segments();
    let json = |jobs: &str| {
        let ran = replay(dir.path(), &["--jobs", jobs, "--output", "json"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran
    };
    // The last batch counts once a mark stands behind it.
    wait_until("all counts", DEADLINE, || {
        rows_and_total(&json("1")).1["bodies"] == 9
    });
    let one = json("1");
    assert_eq!(one.stdout, json("4").stdout);
    assert_eq!(rows_and_total(&one).1["same"], 9);
    assert_eq!(gateway.stop(), 0);
    assert_eq!(one.stdout, json("3").stdout);
}

#[test]
fn a_duplicate_differs_where_its_first_does() {
    let (dir, gateway) = segments();
    assert_eq!(gateway.stop(), 0);
    let config = judged_by(
        "\
version = \"strict\"
tol_d = 0.0
tol_budget = 0.0
base = 0.9
",
    );
    std::fs::write(dir.path().join("strict.toml"), config).unwrap();
    let ran = replay(dir.path(), &["--config", "strict.toml", "--output", "json"]);
    assert_eq!(ran.code, 1, "{} {}", ran.stderr, ran.stdout);
    let (rows, total) = rows_and_total(&ran);
    assert_eq!(total["differ"], 9, "{rows:?}");
    let kinds: BTreeMap<String, u64> = rows
        .iter()
        .map(|it| {
            assert_eq!(it["would_be"]["reason"], "budget_deviation", "{it}");
            let stored = it["stored"]["disposition"].as_str().unwrap().to_owned();
            (stored, it["bodies"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(
        kinds,
        BTreeMap::from([("accepted".to_owned(), 5), ("duplicate".to_owned(), 4)])
    );
    let duplicate = rows
        .iter()
        .find(|it| it["stored"]["disposition"] == "duplicate");
    assert_eq!(
        duplicate.unwrap()["stored"]["first"]["disposition"],
        "accepted"
    );
}

#[test]
fn filters_choose_bodies_and_a_tenant_without_configuration_is_unknown() {
    let dir = written_directory(false);
    let total = |args: &[&str]| {
        let ran = replay(dir.path(), &[&["--output", "json"], args].concat());
        rows_and_total(&ran).1["bodies"].as_u64().unwrap()
    };
    assert_eq!(total(&["--tenant", "default"]), 7);
    assert_eq!(total(&["--tenant", "other"]), 0);
    assert_eq!(total(&["--since", "2020-01-01T00:00:00Z"]), 7);
    assert_eq!(total(&["--until", "2020-01-01T00:00:00Z"]), 0);
    let config = "\
[[tenants]]
id = \"acme\"
[[tenants.keys]]
id = \"dev\"
file = \"data/dev.key\"
";
    std::fs::write(dir.path().join("acme.toml"), config).unwrap();
    let ran = replay(dir.path(), &["--config", "acme.toml"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("401 unknown_tenant"), "{}", ran.stdout);
}

#[test]
fn damage_is_named_and_nothing_is_compared() {
    let dir = written_directory(false);
    let (path, mut bytes, batches) = super::first_segment(dir.path());
    bytes[batches[0] + 200] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let ran = replay(dir.path(), &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (65, ""));
    let expect = "segment-0000000000000000.wal is damaged at byte";
    assert!(ran.stderr.contains(expect), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("batch 1:1 of log 1.0"),
        "{}",
        ran.stderr
    );
    let absent = replay(dir.path(), &["--dir", "absent"]);
    assert_eq!(absent.code, 2, "{}", absent.stderr);
}

#[test]
fn a_configuration_under_which_nothing_judges_at_the_time_is_refused_as_by_config_check() {
    let dir = written_directory(false);
    let config = judged_by(
        "\
version = \"next\"
effective_from = \"2100-01-01T00:00:00Z\"
",
    );
    std::fs::write(dir.path().join("next.toml"), config).unwrap();
    let check = run(
        flk(dir.path()).args(["config", "check", "--config", "next.toml"]),
        b"",
    );
    assert_eq!(check.code, 78, "{}", check.stdout);
    for at in [&[][..], &["--at", "2099-12-31T23:59:59Z"]] {
        let ran = replay(dir.path(), &[&["--config", "next.toml"], at].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (78, ""), "{}", ran.stderr);
        let begin = "flk: --config next.toml: tenant default, parameters next: ";
        assert!(ran.stderr.starts_with(begin), "{}", ran.stderr);
    }
    let then = ["--config", "next.toml", "--at", "2100-01-01T00:00:00Z"];
    assert_eq!(replay(dir.path(), &then).code, 0);
}

#[test]
fn a_configuration_that_is_not_there_or_no_toml_is_named_once() {
    let dir = written_directory(false);
    let absent = replay(dir.path(), &["--config", "absent.toml"]);
    assert_eq!(absent.code, 2, "{}", absent.stderr);
    assert!(absent.stderr.starts_with("flk: --config absent.toml: "));
    std::fs::write(dir.path().join("broken.toml"), "[http\n").unwrap();
    let broken = replay(dir.path(), &["--config", "broken.toml"]);
    assert_eq!(broken.code, 78, "{}", broken.stderr);
    assert_eq!(broken.stderr.lines().count(), 1, "{}", broken.stderr);
    let begin = "flk: --config broken.toml: ";
    assert!(broken.stderr.starts_with(begin), "{}", broken.stderr);
}
