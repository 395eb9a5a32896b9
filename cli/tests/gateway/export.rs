//! `flk wal export`: what is written reads back, by another reader for Parquet, and is there whole or not at all.

use super::common::{Ran, golden_bytes, golden_directory};
use super::{Gateway, first_segment, signed_record, wal, written_directory};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;
use std::collections::BTreeMap;
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
    export(dir.path(), &["--out", "rows.ndjson"]);
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
    let args = ["export", "--out", "rows.ndjson"];
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
