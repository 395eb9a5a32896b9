//! The whole way of a newcomer: start a gateway, build, sign and send records, and look into the log that it wrote —
//! while it serves, after it stopped, and after its files were harmed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/gateway.rs"]
mod gateway;
#[path = "../common/server.rs"]
mod server;

mod archive;
mod backup;
mod batch;
mod bench;
mod bench_tenants;
mod console;
mod control;
mod damage;
mod doctor;
mod export;
mod export_out;
mod fixtures;
mod logs;
mod outcomes;
mod packed;
mod pipes;
mod replay;
mod second_user;
mod suspect;
mod traces;

use common::{Ran, flk, golden, golden_bytes, golden_directory, run};
use flk_testkit::plan::Plan;
use flk_testkit::{DEADLINE, side_by_side, wait_until};
use gateway::{Gateway, up};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

fn wal(dir: &Path, args: &[&str]) -> Ran {
    run(flk(dir).arg("wal").args(args), b"")
}

/// A signed record of its own, signed with the development key.
fn signed_record(dir: &Path, shard: &str) -> Vec<u8> {
    let mut build = flk(dir);
    build
        .args(["pcs", "build", "--shard-id", shard])
        .arg(golden("events/sample.csv"));
    let built = run(&mut build, b"");
    let signed = run(flk(dir).args(["pcs", "sign"]), built.stdout.as_bytes());
    assert_eq!(signed.code, 0, "{}", signed.stderr);
    signed.stdout.into_bytes()
}

/// A stopped or crashed directory with five accepted records, a duplicate and a forgery.
fn written_directory(crash: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    for at in 0..5 {
        let record = signed_record(dir.path(), &format!("shard-{at}"));
        assert_eq!(gateway.submit(dir.path(), &record).code, 0);
    }
    let again = signed_record(dir.path(), "shard-0");
    assert!(gateway.submit(dir.path(), &again).stdout.contains("hit"));
    let forged = golden_bytes("records/pcs_tiny_case_1.json");
    assert!(
        gateway
            .submit(dir.path(), &forged)
            .stdout
            .contains("401 refused")
    );
    if crash {
        wait_until("a mark stands behind the last batch", DEADLINE, || {
            let (_, bytes, batches) = first_segment(dir.path());
            let last = *batches.last().unwrap();
            bytes[last + 32..last + 36] == [0; 4]
        });
        drop(gateway);
    } else {
        assert_eq!(gateway.stop(), 0);
    }
    dir
}

/// The segment that holds batches, and where they begin.
fn first_segment(dir: &Path) -> (PathBuf, Vec<u8>, Vec<usize>) {
    let path = dir.join("data/wal/segment-0000000000000000.wal");
    let bytes = std::fs::read(&path).unwrap();
    let begins = |at: &usize| bytes[*at..].starts_with(b"flkbatch");
    let batches = (0..bytes.len()).step_by(4096).filter(begins).collect();
    (path, bytes, batches)
}

#[test]
fn a_newcomer_gets_a_key_for_their_eyes_only_and_the_next_commands() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    for text in [
        "development key data/dev.key (made",
        "pcs submit",
        "wal inspect",
    ] {
        assert!(gateway.said.contains(text), "{text}: {}", gateway.said);
    }
    let at = |text: &str| gateway.said.find(text).unwrap();
    assert!(
        at("listens on") < at("try in another terminal"),
        "{}",
        gateway.said
    );
    let url = format!("pcs submit --url {} -", gateway.url);
    assert!(gateway.said.contains(&url), "{url}: {}", gateway.said);
    let key = dir.path().join("data/dev.key");
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!(mode(&key), 0o600);
    assert_eq!(mode(&dir.path().join("data")), 0o700);
    let text = std::fs::read_to_string(&key).unwrap();
    assert_eq!(text.trim_end().len(), 64);
    assert!(!gateway.said.contains(text.trim_end()));
    // the second start keeps the key
    assert_eq!(gateway.stop(), 0);
    let again = Gateway::start(dir.path());
    assert!(again.said.contains("(found"), "{}", again.said);
    assert_eq!(std::fs::read_to_string(&key).unwrap(), text);
}

#[test]
fn a_second_gateway_on_a_directory_says_who_has_it_and_nothing_of_what_to_try() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let second = run(flk(dir.path()).args(["up", "--port", "0"]), b"");
    assert_eq!(second.code, 69, "{}", second.stderr);
    let pid = gateway.pid().to_string();
    assert!(second.stderr.contains(&pid), "{}", second.stderr);
    for text in ["try in", "pcs submit", "listens on"] {
        assert!(!second.stderr.contains(text), "{text}: {}", second.stderr);
    }
}

#[test]
fn a_gateway_whose_lines_cannot_be_written_serves_as_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let full = std::fs::File::options().write(true).open("/dev/full");
    let plan = up(dir.path()).saying_to(full.unwrap().into());
    let mut gateway = plan.launch().unwrap();
    // The key is made before anything else, and sending waits until records are taken.
    let key = dir.path().join("data/dev.key");
    wait_until("the key is made", DEADLINE, || {
        assert!(gateway.is_running(), "it ended");
        key.metadata().is_ok_and(|key| key.len() == 65)
    });
    let record = signed_record(dir.path(), "plant-7");
    let url = gateway.url();
    let args = ["pcs", "submit", "--attempts", "12", "--url", &url];
    let sent = run(flk(dir.path()).args(args), &record);
    assert_eq!(gateway.stop().code(), 0);
    assert_eq!(sent.code, 0, "{}", sent.stderr);
}

#[test]
fn a_wrong_setting_stops_the_start_and_names_itself() {
    let dir = tempfile::tempdir().unwrap();
    for (option, value, name) in [
        ("--port", "99999", "PORT"),
        ("--listen", "x", "LISTEN"),
        ("--profile", "mainframe", "FLK_PROFILE"),
        ("--cores", "9999", "FLK_CORES"),
        ("--cores", "some", "FLK_CORES"),
    ] {
        let mut typed = flk(dir.path());
        let ran = run(typed.args(["up", option, value]), b"");
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        let expect = format!("flk: {option}={value}: ");
        assert!(ran.stderr.contains(&expect), "{}", ran.stderr);
        assert!(!ran.stderr.contains("try in"), "{}", ran.stderr);
        let ran = run(flk(dir.path()).arg("up").env(name, value), b"");
        assert_eq!(ran.code, 78);
        let expect = format!("flk: {name}={value}: ");
        assert!(ran.stderr.contains(&expect), "{}", ran.stderr);
    }
}

#[test]
fn a_wrong_argument_is_named_and_a_file_that_it_names_is_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let up = |arguments: &[&str]| run(flk(dir.path()).arg("up").args(arguments), b"");
    for option in ["--listen", "--port", "--cores", "--config", "--data"] {
        let empty = up(&[option, ""]);
        assert_eq!(empty.code, 2, "{}", empty.stderr);
        assert!(empty.stderr.contains(option), "{}", empty.stderr);
    }
    for (option, begin) in [("--config", "--config=absent: "), ("--data", "cannot make")] {
        std::fs::write(dir.path().join("file"), "").unwrap();
        let value = ["absent", "file/data"][usize::from(option == "--data")];
        let ran = up(&[option, value]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(begin), "{}", ran.stderr);
        assert!(ran.stderr.contains(option), "{}", ran.stderr);
    }
    std::fs::write(dir.path().join("flk.toml"), "[http]\nport = 99999\n").unwrap();
    let ran = up(&["--config", "flk.toml"]);
    assert_eq!(ran.code, 78, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("flk.toml:2: http.port"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_profile_sets_what_nothing_else_says_and_is_named_where_it_does_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::bare(env!("CARGO_BIN_EXE_flk"))
        .with_arguments(&["up", "--port", "0", "--no-control", "--cores", "1"])
        .with_arguments(&["--profile", "laptop"])
        .in_directory(dir.path());
    let running = plan.launch().unwrap();
    running.wait_until_said(" wal inspect");
    let said = running.said();
    assert_eq!(running.stop().code(), 0);
    for text in [
        "1 on CPU",
        "16 MiB each, 4.0 GiB in all (WAL_MAX_BYTES)",
        "64 MiB of memory",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    // Larger than any machine that tests run on.
    let own = "[process]\ncores = 9999\n";
    std::fs::write(dir.path().join("own.toml"), own).unwrap();
    let ran = run(flk(dir.path()).args(["up", "--profile", "./own.toml"]), b"");
    assert_eq!(ran.code, 78, "{}", ran.stderr);
    for text in ["FLK_CORES=9999: ", "(profile ./own.toml:2: process.cores)"] {
        assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    }
}

#[test]
fn a_log_can_be_read_beside_the_gateway_that_writes_it() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let record = signed_record(dir.path(), "plant-7");
    assert!(
        gateway
            .submit(dir.path(), &record)
            .stdout
            .contains("200 accepted   miss")
    );
    assert!(
        gateway
            .submit(dir.path(), &record)
            .stdout
            .contains("200 accepted   hit")
    );
    let forged = golden_bytes("records/pcs_tiny_case_1.json");
    assert_eq!(gateway.submit(dir.path(), &forged).code, 1);

    let all = wal(dir.path(), &["inspect"]);
    assert_eq!(all.code, 0, "{}", all.stderr);
    for text in [
        "200 accepted",
        "--- duplicate",
        "401 refused (signature_invalid)",
        "being written",
    ] {
        assert!(all.stdout.contains(text), "{text}: {}", all.stdout);
    }
    let refused = wal(
        dir.path(),
        &["inspect", "--status", "401", "--json", "--bodies"],
    )
    .json();
    let rows: Vec<_> = refused.iter().filter(|it| it["type"] == "record").collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        rows[0]["body"].as_str().unwrap().as_bytes(),
        forged.trim_ascii()
    );

    let verified = wal(dir.path(), &["verify"]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    let pid = gateway.pid().to_string();
    assert!(verified.stdout.contains("in use"), "{}", verified.stdout);
    assert!(verified.stderr.contains(&pid), "{}", verified.stderr);

    let status = wal(dir.path(), &["status"]);
    assert_eq!(status.json()[0]["state"], "serving");
    let pin = wal(dir.path(), &["pin"]);
    assert_eq!(wal(dir.path(), &["unpin", pin.stdout.trim_end()]).code, 0);
    assert_eq!(wal(dir.path(), &["unpin", "77"]).code, 1);
    assert_eq!(wal(dir.path(), &["release-clock"]).code, 0);
    assert_eq!(wal(dir.path(), &["compact", "--dry-run"]).code, 0);

    let segment = "segment-0000000000000000.wal";
    let refused = wal(dir.path(), &["quarantine", segment, "--accept-loss"]);
    assert_eq!(refused.code, 69);
    assert!(
        refused.stderr.contains(&format!("process {pid}")),
        "{}",
        refused.stderr
    );
    assert_eq!(gateway.stop(), 0);
    assert_eq!(wal(dir.path(), &["status"]).code, 69);
}

#[test]
fn filters_choose_among_the_records() {
    let dir = written_directory(false);
    let rows = |args: &[&str]| {
        let ran = wal(dir.path(), &[&["inspect", "--json"], args].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.json()
            .into_iter()
            .filter(|it| it["type"] == "record")
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(&[]).len(), 7);
    assert_eq!(rows(&["--limit", "3"]).len(), 3);
    assert_eq!(rows(&["--limit", "0"]).len(), 0);
    assert_eq!(rows(&["--status", "200"]).len(), 5);
    assert_eq!(rows(&["--disposition", "duplicate"]).len(), 1);
    assert_eq!(
        rows(&["--disposition", "refused", "--status", "401"]).len(),
        1
    );
    assert_eq!(rows(&["--log", "1.0"]).len(), 7);
    let pcs_id = rows(&["--disposition", "duplicate"])[0]["pcs_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(rows(&["--pcs-id", &pcs_id[..12]]).len(), 2);
    assert!(
        rows(&[])[0]["body"].is_null(),
        "payloads only where asked for"
    );
}

#[test]
fn a_torn_tail_is_told_from_damage() {
    let dir = written_directory(true);
    let (path, mut bytes, batches) = first_segment(dir.path());
    let whole = wal(dir.path(), &["verify"]);
    assert_eq!(whole.code, 0, "{}", whole.stdout);

    // the last batch is a mark: without it nothing that was acknowledged is missing
    let mark = *batches.last().unwrap();
    bytes[mark + 30] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let torn = wal(dir.path(), &["verify"]);
    assert_eq!(torn.code, 0, "{}", torn.stdout);
    assert!(torn.stdout.contains("torn"), "{}", torn.stdout);
    assert!(
        torn.stdout.contains("nothing acknowledged is lost"),
        "{}",
        torn.stdout
    );

    bytes[batches[0] + 200] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let damaged = wal(dir.path(), &["verify"]);
    assert_eq!(damaged.code, 65, "{}", damaged.stdout);
    assert!(
        damaged
            .stdout
            .contains("DAMAGED   log 1.0, segment-0000000000000000.wal"),
        "{}",
        damaged.stdout
    );
    assert_eq!(wal(dir.path(), &["inspect"]).code, 65);
}

/// The log ends where the manifest of a clean stop says: less is damage, whatever the rest of the file looks like.
#[test]
fn batches_that_vanish_from_the_end_after_a_clean_stop_are_damage() {
    type Harm = fn(&mut Vec<u8>, usize);
    let harms: [Harm; 2] = [
        |bytes, from| bytes.truncate(from),
        |bytes, from| bytes[from..].fill(0),
    ];
    side_by_side(harms, |harm| {
        let dir = written_directory(false);
        let (path, mut bytes, batches) = first_segment(dir.path());
        let whole = wal(dir.path(), &["verify"]);
        assert_eq!(whole.code, 0, "{}", whole.stdout);
        harm(&mut bytes, batches[batches.len() - 3]);
        std::fs::write(&path, &bytes).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();

        let verified = wal(dir.path(), &["verify"]);
        assert_eq!(verified.code, 65, "{}", verified.stdout);
        let line = format!("DAMAGED   log 1.0, {name}");
        assert!(verified.stdout.contains(&line), "{}", verified.stdout);
        let start = run(flk(dir.path()).args(["up", "--port", "0"]), b"");
        assert_eq!(start.code, 65, "{}", start.stderr);
        let way_out = format!("flk wal quarantine {name} --accept-loss");
        assert!(start.stderr.contains(&way_out), "{}", start.stderr);

        let done = wal(dir.path(), &["quarantine", name, "--accept-loss"]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert_eq!(wal(dir.path(), &["verify"]).code, 0);
        let gateway = Gateway::start(dir.path());
        let kept = signed_record(dir.path(), "shard-0");
        let again = gateway.submit(dir.path(), &kept);
        assert!(
            again.stdout.contains("200 accepted   hit"),
            "{}",
            again.stdout
        );
        assert_eq!(gateway.stop(), 0);
    });
}
