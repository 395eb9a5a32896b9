//! Damaged directories: acknowledged data that cannot be read ends the start with exit code 65 and the place, a torn tail
//! is cut and said, and nothing is changed where the start is refused.

use flk_e2e::log::{Kept, KeptBatch};
use flk_e2e::setting::Setting;
use flk_testkit::client::submit;
use flk_testkit::gateway::{Gateway, status_of};
use flk_testkit::plan::Plan;
use flk_testkit::process::Ended;
use flk_testkit::records::record;
use flk_testkit::{DEADLINE, wait_until};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

on_every_host!(
    a_flipped_byte_in_an_acknowledged_batch_stops_the_start,
    a_torn_tail_is_cut_and_said,
    a_segment_in_use_that_was_cut_stops_the_start,
    a_cut_of_the_only_segment_stops_the_start_from_the_first_record_on,
    segments_in_each_others_places_stop_the_start,
    a_missing_file_stops_the_start,
    a_damaged_manifest_stops_the_start,
    logs_without_their_secret_stop_the_start,
);

const RECORDS: u64 = 20;

/// A gateway with some acknowledged records.
fn with_records(plan: &Plan) -> Gateway {
    let gateway = plan.start();
    for number in 0..RECORDS {
        assert_eq!(gateway.post(&record(number).body).status, 200);
    }
    gateway
}

/// A directory with some acknowledged records whose gateway was killed at once.
fn killed(plan: &Plan) {
    with_records(plan).kill();
}

/// All files but the lock, which names the process that tried last, and the socket.
pub(crate) fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.file_type().unwrap().is_file() && entry.file_name() != "lock")
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// A start that must be refused without changing anything.
fn refused(plan: &Plan, directory: &Path, code: i32) -> Ended {
    let before = contents(directory);
    let ended = match plan.try_start() {
        Ok(_) => panic!("it started on a damaged directory"),
        Err(ended) => *ended,
    };
    assert_eq!(ended.code(), code, "{ended}");
    assert!(
        contents(directory) == before,
        "the refused start changed a file"
    );
    ended
}

/// Two batches with records of one log, one behind the other: the first was acknowledged for sure.
fn acknowledged(kept: &Kept) -> &KeptBatch {
    let with_records = |batch: &&[KeptBatch]| batch.iter().all(|batch| batch.records_count > 0);
    let pair = kept.batches.windows(2).find(with_records);
    &pair.expect("the records came one by one")[0]
}

fn flip(batch: &KeptBatch, at: usize) {
    let mut bytes = fs::read(&batch.file).unwrap();
    bytes[batch.offset as usize + at] ^= 1;
    fs::write(&batch.file, bytes).unwrap();
}

fn a_flipped_byte_in_an_acknowledged_batch_stops_the_start(setting: Setting) {
    // In the header, in the records, and near the end of the last body.
    for place in ["header", "records", "body"] {
        let directory = setting.directory();
        let plan = setting.plan(directory.path()).with("FLK_CORES", "1");
        killed(&plan);
        let kept = Kept::read(directory.path());
        let batch = acknowledged(&kept);
        let bytes = fs::read(&batch.file).unwrap();
        let body = &record(0).body;
        let whole = &bytes[batch.offset as usize..][..batch.bytes];
        let used = whole.iter().rposition(|&byte| byte != 0).unwrap();
        let at = match place {
            "header" => 20,
            "records" => 96 + 8,
            _ => used - body.len() / 2,
        };
        flip(batch, at);
        let ended = refused(&plan, directory.path(), 65);
        let file = batch.file.file_name().unwrap().to_str().unwrap();
        assert!(
            ended.said.contains(file),
            "{place}: it names no file: {ended}"
        );
        let sequence = batch.sequence.to_string();
        assert!(
            ended.said.contains(&sequence),
            "{place}: it does not name {sequence}: {ended}"
        );
    }
}

fn a_torn_tail_is_cut_and_said(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path()).with("FLK_CORES", "1");
    killed(&plan);
    let kept = Kept::read(directory.path());
    let last = kept.batches.last().unwrap();
    // Blocks of a write behind the last batch that never became one, as a power cut leaves them.
    let mut file = fs::OpenOptions::new().write(true).open(&last.file).unwrap();
    file.seek(SeekFrom::Start(last.offset + last.bytes as u64))
        .unwrap();
    let torn_bytes = 2 * 4096;
    file.write_all(&vec![0x5a; torn_bytes]).unwrap();
    drop(file);
    let gateway = plan.start();
    let said = gateway.said();
    let file = last.file.file_name().unwrap().to_str().unwrap();
    let line = said
        .lines()
        .find(|line| line.contains("cut off") && line.contains(file));
    let line = line.unwrap_or_else(|| panic!("no line about the torn tail:\n{said}"));
    assert!(line.contains(&torn_bytes.to_string()), "{line}");
    for number in 0..RECORDS {
        assert_eq!(gateway.post(&record(number).body).dedup(), Some("hit"));
    }
}

fn a_segment_in_use_that_was_cut_stops_the_start(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path()).with("FLK_CORES", "1");
    killed(&plan);
    let kept = Kept::read(directory.path());
    let segment = &kept.batches[0].file;
    let name = segment.file_name().unwrap().to_str().unwrap();
    let whole = fs::read(segment).unwrap();
    let between = kept.batches[1].offset as usize;
    for bytes in [0, 4096, 100_000, between, whole.len() - 4096] {
        fs::write(segment, &whole[..bytes]).unwrap();
        let ended = refused(&plan, directory.path(), 65);
        assert!(ended.said.contains(name), "{bytes}: {ended}");
    }
    fs::write(segment, whole).unwrap();
    all_known(&plan);
}

fn a_cut_of_the_only_segment_stops_the_start_from_the_first_record_on(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path()).with("FLK_CORES", "1");
    let gateway = plan.start();
    assert_eq!(gateway.post(&record(0).body).status, 200);
    // The first record is all that there is; perhaps not even a second segment was made.
    gateway.kill();
    let kept = Kept::read(directory.path());
    let (segment, last) = (&kept.batches[0].file, kept.batches.last().unwrap());
    let name = segment.file_name().unwrap().to_str().unwrap();
    let whole = fs::read(segment).unwrap();
    let behind_the_last = last.offset as usize + last.bytes;
    // Without anything, with the header only, with all batches and nothing else, and with nearly all of the rest.
    for bytes in [0, 4096, behind_the_last, 1 << 20, whole.len() - 4096] {
        fs::write(segment, &whole[..bytes]).unwrap();
        let ended = refused(&plan, directory.path(), 65);
        assert!(ended.said.contains(name), "{bytes}: {ended}");
        assert!(ended.said.contains(&bytes.to_string()), "{bytes}: {ended}");
    }
    fs::write(segment, whole).unwrap();
    let gateway = plan.start();
    assert_eq!(gateway.post(&record(0).body).dedup(), Some("hit"));
}

fn segments_in_each_others_places_stop_the_start(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path()).with("FLK_CORES", "1");
    let gateway = with_records(&plan);
    wait_until("segments are made ahead", DEADLINE, || {
        status_of(directory.path())["preallocated"].as_u64() >= Some(1)
    });
    gateway.kill();
    let kept = Kept::read(directory.path());
    let used = &kept.batches[0].file;
    let is_other = |path: &PathBuf| path != used && path.extension().is_some_and(|it| it == "wal");
    let mut paths = fs::read_dir(directory.path())
        .unwrap()
        .map(|it| it.unwrap().path());
    let other = paths.find(is_other).expect("one is named ahead");
    let aside = directory.path().join("aside");
    let swap = || {
        fs::rename(used, &aside).unwrap();
        fs::rename(&other, used).unwrap();
        fs::rename(&aside, &other).unwrap();
    };
    swap();
    let ended = refused(&plan, directory.path(), 65);
    assert!(ended.said.contains("segment-"), "{ended}");
    swap();
    all_known(&plan);
}

/// A start that knows all that was acknowledged.
fn all_known(plan: &Plan) {
    let gateway = plan.start();
    for number in 0..RECORDS {
        assert_eq!(gateway.post(&record(number).body).dedup(), Some("hit"));
    }
}

fn a_missing_file_stops_the_start(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path());
    killed(&plan);
    let kept = Kept::read(directory.path());
    let segment = &kept.batches[0].file;
    fs::remove_file(segment).unwrap();
    let ended = refused(&plan, directory.path(), 65);
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert!(ended.said.contains(name), "{ended}");
}

fn a_damaged_manifest_stops_the_start(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path());
    killed(&plan);
    let path = directory.path().join("manifest");
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    for damaged in [flipped, whole[..whole.len() - 1].to_vec(), Vec::new()] {
        fs::write(&path, damaged).unwrap();
        let ended = refused(&plan, directory.path(), 65);
        assert!(ended.said.contains("manifest"), "{ended}");
    }
    fs::remove_file(&path).unwrap();
    refused(&plan, directory.path(), 65);
    fs::write(&path, whole).unwrap();
    let gateway = plan.start();
    let mut connection = gateway.connect();
    connection.send(&submit(&record(0).body)).unwrap();
    assert_eq!(connection.response().unwrap().dedup(), Some("hit"));
}

fn logs_without_their_secret_stop_the_start(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path());
    killed(&plan);
    let path = directory.path().join("secret");
    fs::remove_file(&path).unwrap();
    let ended = refused(&plan, directory.path(), 78);
    assert!(ended.said.contains("secret"), "{ended}");
    assert!(!path.exists(), "no new secret is made over old logs");
}
