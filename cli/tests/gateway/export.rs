//! `flk wal export`: what is written reads back, by another reader for Parquet, and is there whole or not at all.

use super::common::{Ran, golden_bytes, golden_directory};
use super::{Gateway, first_segment, signed_record, wal, written_directory};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

fn export(dir: &Path, args: &[&str]) -> Ran {
    let ran = wal(dir, &[&["export"], args].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

fn rows(dir: &Path, args: &[&str]) -> Vec<Value> {
    export(dir, args).json()
}

fn count(rows: &[Value], disposition: &str) -> usize {
    let is = |row: &&Value| row["disposition"] == disposition;
    rows.iter().filter(is).count()
}

#[test]
fn a_row_says_what_became_of_a_body_and_holds_it_only_where_that_is_asked_for() {
    let dir = written_directory(true);
    let all = rows(dir.path(), &[]);
    assert_eq!(all.len(), 7);
    assert_eq!(count(&all, "accepted"), 5);
    assert_eq!(count(&all, "duplicate"), 1);
    assert_eq!(count(&all, "refused"), 1);
    let accepted = all
        .iter()
        .find(|it| it["disposition"] == "accepted")
        .unwrap();
    assert_eq!(accepted["log"], "1.0");
    assert_eq!(
        (&accepted["status"], &accepted["reason"]),
        (&200.into(), &Value::Null)
    );
    for member in [
        "regime",
        "params_version",
        "key_id",
        "sha256",
        "signing_digest",
    ] {
        assert!(accepted[member].is_string(), "{member}: {accepted}");
    }
    let lives = accepted["expiry"].as_u64().unwrap() - accepted["decided_at"].as_u64().unwrap();
    assert_eq!(lives, 14 * 86_400);
    let refused = all
        .iter()
        .find(|it| it["disposition"] == "refused")
        .unwrap();
    assert_eq!(refused["reason"], "signature_invalid");
    assert!(all.iter().all(|it| it.get("body").is_none()));

    let forged = golden_bytes("records/pcs_tiny_case_1.json");
    let with = rows(dir.path(), &["--disposition", "refused", "--with-bodies"]);
    assert_eq!(with.len(), 1);
    assert_eq!(
        with[0]["body"].as_str().unwrap().as_bytes(),
        forged.trim_ascii()
    );
}

#[test]
fn filters_choose_rows() {
    let dir = written_directory(false);
    let number = |args: &[&str]| rows(dir.path(), args).len();
    assert_eq!(number(&["--disposition", "decided"]), 5);
    assert_eq!(number(&["--disposition", "refused,duplicate"]), 2);
    assert_eq!(number(&["--disposition", "conflict"]), 0);
    assert_eq!(number(&["--tenant", "other"]), 0);
    assert_eq!(number(&["--since", "2020-01-01T00:00:00Z"]), 7);
    assert_eq!(number(&["--until", "2020-01-01T00:00:00Z"]), 0);
    let all = rows(dir.path(), &[]);
    let mut times: Vec<&str> = all
        .iter()
        .filter_map(|it| it["received"].as_str())
        .collect();
    times.sort_unstable();
    let newest = times[times.len() - 1];
    assert!(number(&["--since", newest]) < 7 && number(&["--since", newest]) > 0);
    assert_eq!(
        number(&["--since", newest]) + number(&["--until", newest]),
        7
    );
}

#[test]
fn a_filter_that_nothing_can_pass_is_a_wrong_command() {
    let dir = written_directory(false);
    for command in ["export", "replay"] {
        let refused = |args: &[&str], said: &str| {
            let ran = wal(dir.path(), &[&[command], args].concat());
            assert_eq!(ran.code, 2, "{}", ran.stderr);
            assert!(ran.stderr.contains(said), "{}", ran.stderr);
        };
        let (late, early) = ("2026-11-01T00:00:00.2Z", "2026-11-01T00:00:00.1Z");
        refused(
            &["--since", late, "--until", early],
            "--since is later than --until",
        );
        refused(&["--tenant", "no tenant"], "1 to 64 of A-Z a-z 0-9");
        refused(&["--since", "yesterday"], "it must be a time such as");
    }
}

#[test]
fn what_was_deleted_or_is_not_known_to_be_durable_is_told() {
    let crashed = written_directory(true);
    let (segment, mut bytes, batches) = first_segment(crashed.path());
    let whole = export(crashed.path(), &[]);
    assert!(!whole.stderr.contains("left out"), "{}", whole.stderr);
    // Without the mark at the end nothing says that the batch before was durable.
    bytes[*batches.last().unwrap() + 30] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let short = export(crashed.path(), &[]);
    assert_eq!(short.stdout.lines().count(), 6);
    let said = "were left out: nothing says yet that they were durable";
    assert!(short.stderr.contains(said), "{}", short.stderr);

    let dir = written_directory(false);
    let gateway = crate::gateway::Gateway::start(dir.path());
    let record = signed_record(dir.path(), "shard-9");
    assert_eq!(gateway.submit(dir.path(), &record).code, 0);
    let compacted = wal(dir.path(), &["compact", "--older-than", "0s"]);
    assert_eq!(compacted.code, 0, "{}", compacted.stderr);
    let record = signed_record(dir.path(), "shard-10");
    assert_eq!(gateway.submit(dir.path(), &record).code, 0);
    assert_eq!(gateway.stop(), 0);
    let left = export(dir.path(), &[]);
    let said = "start 1: no log is there: deleted, or nothing was written\n";
    assert!(left.stderr.starts_with(said), "{}", left.stderr);
    assert!(left.stderr.contains("were deleted"), "{}", left.stderr);
}

#[test]
fn a_manifest_that_may_not_be_read_is_named_by_its_path() {
    let dir = written_directory(false);
    // A link is not followed, whatever user runs this.
    let manifest = dir.path().join("data/wal/manifest");
    fs::remove_file(&manifest).unwrap();
    std::os::unix::fs::symlink("elsewhere", &manifest).unwrap();
    let ran = wal(dir.path(), &["export"]);
    assert_eq!(ran.code, 74, "{}", ran.stderr);
    let begin = "flk: cannot read data/wal/manifest: ";
    assert!(ran.stderr.starts_with(begin), "{}", ran.stderr);
    assert!(!ran.stderr.contains("os error"), "{}", ran.stderr);
}

/// The fixture of format 1 counts from its installation, 247,400 s after the beginning of the clock of now.
#[test]
fn decisions_of_format_1_are_shown_on_the_clock_of_now() {
    let times = |name: &str| -> Vec<[u64; 2]> {
        let all = rows(golden_directory(name).path(), &["--disposition", "decided"]);
        let time = |row: &Value, member| row[member].as_u64().unwrap();
        let both = |row: &Value| ["decided_at", "expiry"].map(|it| time(row, it));
        all.iter().map(both).collect()
    };
    let now = times("v2");
    let on_clock = now.iter().map(|it| it.map(|time| time + 247_400));
    assert_eq!(times("v1"), on_clock.collect::<Vec<_>>());
    assert_eq!(now.len(), 28);
}

#[test]
fn what_a_crash_left_without_a_disposition_is_unanswered_once_its_log_has_ended() {
    let dir = golden_directory("v2");
    let left = || {
        let all = rows(dir.path(), &["--disposition", "pending,unanswered"]);
        let mut of_log = all.iter().filter(|it| it["log"] == "3.1");
        let disposition = of_log.next().map(|it| it["disposition"].clone());
        assert!(of_log.next().is_none());
        disposition
    };
    assert_eq!(left(), Some("pending".into()));
    let gateway = Gateway::start(dir.path());
    let record = signed_record(dir.path(), "shard-1");
    assert_eq!(gateway.submit(dir.path(), &record).code, 0);
    drop(gateway);
    assert_eq!(left(), Some("unanswered".into()));
}

#[test]
fn a_parquet_file_reads_back_as_the_same_rows() {
    let dir = written_directory(false);
    let expect = rows(dir.path(), &["--with-bodies"]);
    let args = [
        "--format",
        "parquet",
        "--with-bodies",
        "--out",
        "all.parquet",
    ];
    assert_eq!(export(dir.path(), &args).stdout, "");
    let path = dir.path().join("all.parquet");
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 7);
    let read: Vec<_> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|it| it.unwrap())
        .collect();
    for (row, expect) in read.iter().zip(&expect) {
        let row: BTreeMap<&str, &Field> = row
            .get_column_iter()
            .map(|(name, field)| (name.as_str(), field))
            .collect();
        for (name, field) in &row {
            let value = match field {
                Field::Null => Value::Null,
                Field::Str(text) => text.as_str().into(),
                Field::Int(number) => (*number).into(),
                Field::UInt(number) => (*number).into(),
                Field::Long(number) => (*number).into(),
                Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).unwrap().into(),
                // As text in the other form.
                Field::ULong(_) | Field::TimestampMicros(_) => expect[*name].clone(),
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(value, expect[*name], "{name}");
        }
        assert_eq!(row.len(), expect.as_object().unwrap().len());
        let Field::ULong(sequence) = row["sequence"] else {
            panic!("{row:?}")
        };
        let text = format!("{}:{}", sequence >> 40, sequence & ((1 << 40) - 1));
        assert_eq!(expect["sequence"], text);
    }
    assert_eq!(read.len(), expect.len());
}

#[test]
fn a_file_is_replaced_whole_and_left_alone_where_the_log_is_damaged() {
    let dir = written_directory(false);
    let path = dir.path().join("rows.ndjson");
    std::fs::write(&path, "before").unwrap();
    export(dir.path(), &["--force", "--out", "rows.ndjson"]);
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written.lines().count(), 7);
    let names = || {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let (segment, mut bytes, batches) = first_segment(dir.path());
    bytes[batches[0] + 200] ^= 1;
    std::fs::write(segment, bytes).unwrap();
    let args = ["export", "--force", "--out", "rows.ndjson"];
    let ran = wal(dir.path(), &args);
    assert_eq!(ran.code, 65, "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
    assert_eq!(names(), before, "nothing is left beside it");
    let nowhere = wal(dir.path(), &["export", "--out", "absent/rows"]);
    assert_eq!(nowhere.code, 74, "{}", nowhere.stderr);
}

#[test]
fn the_name_of_what_was_read_is_told_and_stays_when_the_gateway_starts_again() {
    let dir = written_directory(true);
    let named = |ran: &Ran| {
        let lines = ran.stderr.lines();
        lines
            .filter(|it| it.contains("log 1.0: batches"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = named(&export(dir.path(), &[]));
    assert_eq!(before.len(), 1, "{before:?}");
    let gateway = crate::gateway::Gateway::start(dir.path());
    let record = signed_record(dir.path(), "shard-9");
    assert_eq!(gateway.submit(dir.path(), &record).code, 0);
    assert_eq!(gateway.stop(), 0);
    assert_eq!(named(&export(dir.path(), &[])), before);
}
