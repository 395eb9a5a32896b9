//! What reading the logs back finds, in the directory as it is and in every variant of it.

use super::shown;
use super::vectors::{
    FORMS, Files, PACKED, all_directories, edited, files, list, number, text, vectors,
};
use flk_contract::{Outcome, ParamsVersion, Reason, Regime, outcome::write_outcome};
use flk_dataplane::dedup::key::KeyHash;
use flk_dataplane::wal::batch::read_batch;
use flk_dataplane::wal::files::NumberedFile;
use flk_dataplane::wal::manifest::{LogEntry, Manifest};
use flk_dataplane::wal::name::{LogId, Place};
use flk_dataplane::wal::packed::SegmentFile;
use flk_dataplane::wal::record::{Content, Entry};
use flk_dataplane::wal::scan::{InMemory, LogEnd, LogSource, LogVerdict, read_log, run_ready};
use flk_dataplane::wal::secret::Secret;
use flk_testkit::hex::hex;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(crate) fn manifest(files: &Files) -> Manifest {
    Manifest::decode(&files["manifest"]).unwrap()
}

/// The bytes of a log's segments, in order.
pub(crate) fn segments<'a>(files: &'a Files, log: &LogEntry) -> Vec<&'a [u8]> {
    let name = |file: u64| NumberedFile::Segment(file).to_string();
    let of = |file: u64| files[&name(file)].as_slice();
    log.segments.iter().map(|entry| of(entry.file)).collect()
}

/// What the erasure records of all whole batches list.
fn erased(files: &[&[u8]]) -> BTreeSet<(LogId, Place)> {
    let blocks = files
        .iter()
        .flat_map(|file| (4096..file.len()).step_by(4096).map(move |at| &file[at..]));
    let mut found = BTreeSet::new();
    for batch in blocks.filter_map(|bytes| read_batch(bytes).ok()) {
        for record in batch.records() {
            if let Content::Entry(Entry::Erasure(them)) = record.unwrap().content {
                found.extend(them.bodies().map(|it| (it.log, it.body)));
            }
        }
    }
    found
}

/// Reads a log and shows the batches that count.
fn read(files: &Files, manifest: &Manifest, log: &LogEntry) -> (LogEnd, Vec<Value>) {
    let segments = segments(files, log);
    let erased = erased(&segments);
    let named = log.segments.iter().zip(&segments);
    let in_memory: Vec<SegmentFile<InMemory<'_>>> = named
        .map(|(entry, bytes)| SegmentFile::new(InMemory(bytes), entry))
        .collect();
    let source = LogSource {
        manifest,
        log,
        from: 0,
        files: &in_memory,
        erased: &|log, place| erased.contains(&(log, place)),
    };
    let mut batches = Vec::new();
    let end = run_ready(read_log(&source, |at, batch| {
        batches.push(shown::batch(at, batch));
    }));
    (end.unwrap(), batches)
}

/// A verdict as the vectors show it, with the last sequence that counts.
fn verdict(end: &LogEnd) -> Value {
    match end.verdict {
        LogVerdict::Whole => json!({"verdict": "whole", "last": end.last.0}),
        LogVerdict::TornTail {
            ordinal, offset, ..
        } => {
            json!({"verdict": "torn", "last": end.last.0, "ordinal": ordinal, "offset": offset})
        }
        LogVerdict::Damage(it) => {
            json!({"verdict": "damage", "expected": it.expected.0, "durable_upto": it.durable_upto.0})
        }
        LogVerdict::StaleManifest { generation, .. } => {
            json!({"verdict": "stale_manifest", "generation": generation})
        }
        LogVerdict::Unsupported { .. } => json!({"verdict": "unsupported"}),
        LogVerdict::Unreadable { .. } => json!({"verdict": "unreadable"}),
    }
}

/// Whether a verdict is the one wanted; what is not wanted in particular (or is null) is free.
fn agrees(found: &Value, wanted: &Value) -> bool {
    let names = [
        "last",
        "ordinal",
        "offset",
        "expected",
        "durable_upto",
        "generation",
    ];
    let same = |name: &&str| wanted[*name].is_null() || found[*name] == wanted[*name];
    let verdict = match text(&wanted["verdict"]) {
        "torn_or_whole" => ["torn", "whole"].contains(&text(&found["verdict"])),
        wanted => found["verdict"] == wanted,
    };
    verdict && names.iter().all(same)
}

#[test]
fn every_batch_and_record_is_found() {
    let vectors = vectors();
    for directory in all_directories(&vectors) {
        let files = files(directory);
        let manifest = manifest(&files);
        assert_eq!(shown::manifest(&manifest), directory["manifest"]);
        assert_eq!(manifest.logs.len(), list(&directory["logs"]).len());
        for (log, wanted) in manifest.logs.iter().zip(list(&directory["logs"])) {
            let (end, batches) = read(&files, &manifest, log);
            assert_eq!(shown::log(log.id), wanted["log"]);
            assert!(agrees(&verdict(&end), wanted), "{}: {end:?}", log.id);
            assert_eq!(json!(end.unused), wanted["unused_segments"], "{}", log.id);
            assert_eq!(batches.len(), list(&wanted["batches"]).len(), "{}", log.id);
            for (found, wanted) in batches.iter().zip(list(&wanted["batches"])) {
                assert_eq!(found, wanted, "log {}", log.id);
            }
        }
    }
}

#[test]
fn every_variant_gets_its_verdict_and_leaves_the_other_logs_alone() {
    let vectors = vectors();
    for form in FORMS {
        judge_variants(&vectors[form]);
        assert!(list(&vectors[form]["variants"]).len() >= 40);
    }
    judge_variants(&vectors[PACKED]);
    assert!(list(&vectors[PACKED]["variants"]).len() >= 10);
}

fn judge_variants(directory: &Value) {
    let whole = files(directory);
    let manifest = manifest(&whole);
    let mut wrong = Vec::new();
    for variant in list(&directory["variants"]) {
        let files = edited(&whole, &variant["edits"]);
        assert_ne!(files, whole, "{}", variant["name"]);
        for log in &manifest.logs {
            let found = verdict(&read(&files, &manifest, log).0);
            let wanted = &variant["expect"];
            let right = match shown::log(log.id) == wanted["log"] {
                true => agrees(&found, wanted),
                false => found == verdict(&read(&whole, &manifest, log).0),
            };
            if !right {
                let (name, about) = (&variant["name"], &variant["about"]);
                wrong.push(format!(
                    "{name} ({about}): log {}: {found}, not {wanted}",
                    log.id
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn keys_and_outcome_texts_of_decisions_are_those_of_the_vectors() {
    let vectors = vectors();
    let mut checked = 0;
    for directory in all_directories(&vectors) {
        let secret = Secret::decode(&files(directory)["secret"]).unwrap();
        let hash = KeyHash::new(secret.key);
        let rows = list(&directory["logs"])
            .iter()
            .flat_map(|log| list(&log["batches"]))
            .flat_map(|batch| list(&batch["records"]))
            .filter(|row| row["kind"] == "decision");
        for row in rows {
            let wanted = list(&directory["outcomes"]).iter().find(|it| {
                it["pcs_id"] == row["pcs_id"]
                    && it["tenant"] == row["tenant"]
                    && it["decided_at"] == row["decided_at"]
            });
            // Not there: a decision that does not stand.
            let Some(wanted) = wanted else { continue };
            let key = hash.key(text(&row["tenant"]), text(&row["pcs_id"]));
            assert_eq!(hex(&key.to_bytes()), text(&wanted["key"]));
            assert_eq!(outcome_text(row), text(&wanted["outcome"]));
            checked += 1;
        }
    }
    assert!(checked >= 30, "{checked}");
}

fn outcome_text(row: &Value) -> String {
    let numbers: Vec<f64> = list(&row["numbers"])
        .iter()
        .map(|bits| f64::from_bits(u64::from_str_radix(text(bits), 16).unwrap()))
        .collect();
    let outcome = Outcome {
        escalated: Reason::from_code(number(&row["reason"]) as u8),
        d_hat: numbers[0],
        recomputed_d_hat: numbers[1],
        budget: numbers[2],
        recomputed_budget: numbers[3],
        regime: Regime::from_code(number(&row["regime"]) as u8).unwrap(),
        params_version: ParamsVersion::new(text(&row["params"])).unwrap(),
    };
    let mut out: Vec<u8> = Vec::new();
    let encoding = number(&row["encoding"]) as u8;
    write_outcome(encoding, &outcome, text(&row["pcs_id"]), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_stored_numbers_of_reasons_regimes_and_problems_are_those_of_the_vectors() {
    let codes = &vectors()["codes"];
    for reason in Reason::ALL {
        assert_eq!(
            number(&codes["reasons"][reason.as_str()]),
            u64::from(reason.code())
        );
    }
    for regime in [Regime::Sticky, Regime::Mixed, Regime::NonSticky] {
        assert_eq!(
            number(&codes["regimes"][regime.as_str()]),
            u64::from(regime.code())
        );
    }
    use flk_dataplane::http::Problem;
    let problems = [
        Problem::SignatureInvalid,
        Problem::MalformedJson,
        Problem::MissingField,
        Problem::InvalidField,
        Problem::UnsupportedSchema,
        Problem::UnsupportedVersion,
        Problem::PcsIdMismatch,
    ];
    for problem in problems {
        assert_eq!(
            number(&codes["problems"][problem.code()]),
            u64::from(problem.number())
        );
    }
    assert_eq!(codes["problems"].as_object().unwrap().len(), problems.len());
}
