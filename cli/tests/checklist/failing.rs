//! What each item is about is broken, and the item fails.

use crate::common::golden_directory;
use crate::server::{Server, answer, problem};
use crate::{KEY, of};
use flk_testkit::side_by_side;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Variables of the environment.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// Fails, and says this.
fn fails(dir: &Path, id: &str, arguments: &[&str], variables: &[(&str, &str)], said: &str) {
    let found = of(dir, id, arguments, variables);
    assert_eq!(found.0, "FAIL", "{id}: {}", found.1);
    assert!(found.1.contains(said), "{id}: {}", found.1);
}

#[test]
fn settings_that_are_wrong_or_unsafe_fail() {
    let cases: [(&str, Variables, &str); 7] = [
        ("security-1", &[KEY, ("PORT", "99999")], "PORT"),
        (
            "security-1",
            &[KEY, ("ADMIN_LISTEN", "0.0.0.0:8081")],
            "ADMIN_TOKENS_FILE",
        ),
        (
            "security-2",
            &[("PCS_SIGN_ALG", "none"), ("FLK_ALLOW_UNSIGNED", "1")],
            "not signed",
        ),
        (
            "security-3",
            &[("PCS_HMAC_KEY", "short")],
            "shorter than 32 bytes",
        ),
        ("security-3", &[], "no signing key is set"),
        (
            "security-5",
            &[KEY, ("FLK_SANDBOX", "off")],
            "FLK_SANDBOX is off",
        ),
        (
            "security-5",
            &[KEY, ("FLK_CORE_DUMPS", "1")],
            "FLK_CORE_DUMPS",
        ),
    ];
    side_by_side(cases, |(id, variables, said)| {
        let dir = tempfile::tempdir().unwrap();
        fails(dir.path(), id, &[], variables, said);
    });
}

#[test]
fn files_that_others_read_or_replace_fail() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let (key, file) = (dir.join("acme.key"), dir.join("flk.toml"));
    std::fs::write(&key, KEY.1).unwrap();
    let tenants = "[[tenants]]\nid = \"acme\"\n[[tenants.keys]]\nid = \"1\"\nfile = \"acme.key\"\n";
    std::fs::write(&file, tenants).unwrap();
    mode(&key, 0o640);
    mode(&file, 0o644);
    mode(dir, 0o755);
    let arguments = ["--config", "flk.toml"];
    let found = of(dir, "security-4", &arguments, &[KEY]);
    assert_eq!(found.0, "PASS", "{}", found.1);
    for (path, wrong, right, said) in [
        (&key, 0o644, 0o640, "all users can read"),
        (&key, 0o642, 0o640, "all users can write"),
        (&file, 0o646, 0o644, "all users can write"),
        (&dir.to_owned(), 0o777, 0o755, "all users can replace"),
    ] {
        mode(path, wrong);
        fails(dir, "security-4", &arguments, &[KEY], said);
        mode(path, right);
    }
    // So is any other file of a secret.
    for (name, variable, further) in [
        ("pass", "METRICS_PASS_FILE", ("METRICS_USER", "scraper")),
        ("tenants", "TENANTS_FILE", ("MULTI_TENANT", "1")),
        (
            "headers",
            "OTEL_EXPORTER_OTLP_HEADERS_FILE",
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ),
    ] {
        let text = match name {
            "tenants" => format!("acme:hmac:{}", KEY.1.replace(',', "")),
            _ => format!("x-token={}", KEY.1.replace([' ', ','], "")),
        };
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        mode(&path, 0o644);
        let variables = [KEY, further, (variable, name)];
        fails(
            dir,
            "security-4",
            &[],
            &variables,
            &format!("all users can read {name}"),
        );
        mode(&path, 0o640);
        let found = of(dir, "security-4", &[], &variables);
        assert_eq!(found.0, "PASS", "{name}: {}", found.1);
    }
    let unread = [KEY, ("METRICS_USER", "a"), ("METRICS_PASS_FILE", "nowhere")];
    let found = of(dir, "security-4", &[], &unread);
    assert_eq!(found.0, "OPEN", "{}", found.1);
    assert!(found.1.contains("METRICS_PASS_FILE=nowhere"), "{}", found.1);
    // A directory such as /tmp lets nobody replace the file of another.
    mode(dir, 0o1777);
    assert_eq!(of(dir, "security-4", &arguments, &[KEY]).0, "PASS");
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(of(empty.path(), "security-4", &[], &[KEY]).0, "OPEN");
}

#[test]
fn a_host_that_is_not_as_it_should_be_fails() {
    let dir = tempfile::tempdir().unwrap();
    fails(
        dir.path(),
        "infrastructure-1",
        &[],
        &[KEY, ("FLK_CORES", "9999")],
        "cpus: FLK_CORES",
    );
    // flk up would make a key; the gateway of production starts with none.
    fails(dir.path(), "infrastructure-1", &[], &[], "PCS_HMAC_KEY");
    // A file system in memory keeps nothing.
    match tempfile::tempdir_in("/dev/shm") {
        Ok(memory) => {
            let wal = memory.path().join("wal").display().to_string();
            fails(
                dir.path(),
                "infrastructure-2",
                &[],
                &[KEY, ("WAL_DIR", &wal)],
                "file system: ",
            );
            fails(
                dir.path(),
                "infrastructure-2",
                &["--dir", &wal],
                &[KEY],
                "file system: ",
            );
        }
        Err(_) => flk_testkit::skipped("there is no /dev/shm to keep a log in"),
    }
    fails(
        dir.path(),
        "operations-7",
        &[],
        &[KEY, ("TMPDIR", "/no/such/place")],
        "no place for it",
    );
}

#[test]
fn a_log_that_is_damaged_fails_and_one_that_is_not_there_is_open() {
    let found = of(
        tempfile::tempdir().unwrap().path(),
        "operations-4",
        &[],
        &[],
    );
    assert_eq!(found.0, "OPEN", "{}", found.1);
    let dir = golden_directory("v2");
    let wal = dir.path().join("data/wal");
    let whole = of(dir.path(), "operations-4", &[], &[]);
    assert_eq!(whole.0, "PASS", "{}", whole.1);
    assert_eq!(
        whole.1,
        "1 torn tail, as a crash leaves it: the next start cuts it, and nothing acknowledged is lost"
    );
    std::fs::write(wal.join("manifest"), "no manifest").unwrap();
    fails(dir.path(), "operations-4", &[], &[], "manifest");
    let elsewhere = tempfile::tempdir().unwrap();
    let typed = ["--dir", wal.to_str().unwrap()];
    fails(elsewhere.path(), "operations-4", &typed, &[], "manifest");
}

#[test]
fn a_bundle_without_what_is_of_the_log_proves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = [KEY, ("PORT", "1"), ("ADMIN_LISTEN", "127.0.0.1:1")];
    let found = of(dir.path(), "operations-7", &[], &nowhere);
    assert_eq!(found.0, "OPEN", "{}", found.1);
    let expected = "not collected: wal/files.txt: data/wal: there is no such file or directory";
    assert_eq!(found.1, expected);
    let dir = golden_directory("v2");
    let found = of(dir.path(), "operations-7", &[], &nowhere);
    assert_eq!(found.0, "PASS", "{}", found.1);
    assert!(found.1.starts_with("a bundle: "), "{}", found.1);
}

#[test]
fn a_place_without_a_backup_fails() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("backups")).unwrap();
    let place = ["--backups", "backups"];
    fails(
        dir.path(),
        "operations-2",
        &place,
        &[],
        "no place of backups",
    );
    let found = of(dir.path(), "operations-3", &place, &[]);
    assert!(found.0 != "PASS", "{}", found.1);
    assert_eq!(of(dir.path(), "operations-2", &[], &[]).0, "OPEN");
}

const METRICS: &str = "flk_wal_errors 0\nflk_slice_read_errors_total 0\nflk_slice_blocks_damaged_total 0\nflk_wal_space_errors_total 0\n\
flk_wal_segments_crowded_out_total 0\nflk_claim_faults_total 0\nflk_shard_stuck{shard=\"0\"} 0\n";

/// A gateway with this page of metrics, ready or not.
fn with(metrics: String, is_ready: bool) -> Server {
    Server::answering(
        move |request, _| match request.head.split(' ').nth(1).unwrap() {
            "/metrics" => answer(200, "", &metrics),
            "/readyz" if !is_ready => problem(503, "wal_unavailable", ""),
            _ => answer(200, "", "OK"),
        },
    )
}

#[test]
fn a_gateway_that_is_not_as_it_should_be_fails() {
    let dir = tempfile::tempdir().unwrap();
    let key = |begins: u64| {
        format!("{METRICS}flk_key_begins_seconds{{tenant=\"a\",key=\"k\"}} {begins}\n")
    };
    let good = with(key(u64::from(u32::MAX)), true);
    for id in ["infrastructure-7", "operations-5", "security-6"] {
        let found = of(dir.path(), id, &[&good.url()], &[]);
        assert_eq!(found.0, "PASS", "{id}: {}", found.1);
    }
    fails(dir.path(), "code-6", &[&good.url()], &[], "no page of flk");
    fails(dir.path(), "code-7", &[&good.url()], &[KEY], "FAILED");
    let bad = with(
        key(1).replace("flk_wal_errors 0", "flk_wal_errors 3"),
        false,
    );
    fails(
        dir.path(),
        "infrastructure-7",
        &[&bad.url()],
        &[],
        "503 wal_unavailable",
    );
    fails(
        dir.path(),
        "operations-5",
        &[&bad.url()],
        &[],
        "flk_wal_errors is 3",
    );
    fails(
        dir.path(),
        "security-6",
        &[&bad.url()],
        &[],
        "flk keys rotate",
    );
    for id in ["infrastructure-7", "operations-5", "security-6"] {
        fails(
            dir.path(),
            id,
            &["http://127.0.0.1:1"],
            &[],
            "nothing listens there",
        );
    }
}
