//! Damage in a log directory as the commands meet it: found, named, and given up.

use super::*;

#[test]
fn quarantine_is_the_way_out_of_damage() {
    let dir = written_directory(false);
    let (path, mut bytes, batches) = first_segment(dir.path());
    bytes[batches[0] + 200] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();

    let asked = wal(dir.path(), &["quarantine", name]);
    assert_eq!(asked.code, 0, "{}", asked.stderr);
    assert!(
        asked.stdout.contains("Nothing was changed"),
        "{}",
        asked.stdout
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let done = wal(dir.path(), &["quarantine", name, "--accept-loss"]);
    assert_eq!(done.code, 0, "{}", done.stderr);

    let after = wal(dir.path(), &["verify"]);
    assert_eq!(after.code, 0, "{}", after.stdout);
    assert!(after.stdout.contains("given up"), "{}", after.stdout);
    let gateway = Gateway::start(dir.path());
    let kept = signed_record(dir.path(), "shard-4");
    assert!(
        gateway
            .submit(dir.path(), &kept)
            .stdout
            .contains("200 accepted   hit")
    );
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn harm_to_any_file_is_found() {
    let dir = written_directory(false);
    let wal_dir = dir.path().join("data/wal");
    let harmed = |name: &str, harm: &dyn Fn(&Path)| {
        let path = wal_dir.join(name);
        let before = std::fs::read(&path).unwrap();
        harm(&path);
        let ran = wal(dir.path(), &["verify"]);
        std::fs::write(&path, before).unwrap();
        assert_eq!(ran.code, 65, "{name}: {}", ran.stdout);
        assert!(ran.stdout.contains("DAMAGED"), "{}", ran.stdout);
        assert!(ran.stdout.contains(name), "{}", ran.stdout);
    };
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    let segment = "segment-0000000000000000.wal";
    harmed("manifest", &flip);
    harmed("secret", &flip);
    harmed(segment, &flip);
    harmed("secret", &|path| std::fs::remove_file(path).unwrap());
    harmed(segment, &|path| std::fs::remove_file(path).unwrap());
    let secret = wal_dir.join("secret");
    let shown = wal(dir.path(), &["verify"]);
    assert_eq!(shown.code, 0, "{}", shown.stdout);
    assert_eq!(std::fs::read(secret).unwrap().len(), 48);
}

#[test]
fn what_is_no_log_directory_is_said_as_such() {
    let dir = tempfile::tempdir().unwrap();
    for verb in ["inspect", "verify"] {
        let absent = wal(dir.path(), &[verb]);
        assert_eq!(absent.code, 2);
        assert!(absent.stderr.contains("data/wal"), "{}", absent.stderr);
        let empty = wal(dir.path(), &[verb, "--dir", "."]);
        assert_eq!(empty.code, 2, "{}", empty.stdout);
        assert!(empty.stderr.contains("manifest"), "{}", empty.stderr);
    }
    let refused = wal(
        dir.path(),
        &["quarantine", "--dir", ".", "segment-0000000000000000.wal"],
    );
    assert_eq!(refused.code, 2, "{}", refused.stderr);
}

#[test]
fn slices_are_checked_too_once_a_compaction_has_made_them() {
    let dir = written_directory(false);
    // the next start ends the log of the first, so that it can be sealed
    let gateway = Gateway::start(dir.path());
    let record = signed_record(dir.path(), "shard-0");
    assert!(gateway.submit(dir.path(), &record).stdout.contains("hit"));
    assert_eq!(gateway.stop(), 0);
    let compacted = wal(dir.path(), &["compact", "--older-than", "0s"]);
    assert_eq!(compacted.code, 0, "{}", compacted.stderr);
    let verified = wal(dir.path(), &["verify", "--json"]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    let findings = verified.json();
    let is_slice = |it: &&serde_json::Value| it["what"].as_str().unwrap().starts_with("slice-");
    let slice = findings.iter().find(is_slice).unwrap();
    assert_eq!(slice["state"], "whole");
    assert_eq!(slice["text"], "5 decisions");

    let path = dir
        .path()
        .join("data/wal")
        .join(slice["what"].as_str().unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let damaged = wal(dir.path(), &["verify"]);
    assert_eq!(damaged.code, 65, "{}", damaged.stdout);
    let said = "block 1: checksum; ids that may be in this block, at most 56, are answered 503";
    assert!(damaged.stdout.contains(said), "{}", damaged.stdout);
    let said = "1 slice with damaged blocks: a gateway starts from this";
    assert!(damaged.stderr.contains(said), "{}", damaged.stderr);
    let gateway = Gateway::start(dir.path());
    assert_eq!(gateway.stop(), 0);

    // The first block says what the file is: no gateway starts.
    bytes[8] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let damaged = wal(dir.path(), &["verify"]);
    let said = "1 damaged: a gateway will not start from this";
    assert!(damaged.stderr.contains(said), "{}", damaged.stderr);
}

#[test]
fn damage_in_a_sealed_segment_is_found_although_a_start_does_not_read_it() {
    let dir = written_directory(false);
    let sealed = wal(dir.path(), &["compact", "--older-than", "1d"]);
    assert_eq!(sealed.code, 0, "{}", sealed.stderr);
    let (path, mut bytes, batches) = first_segment(dir.path());
    bytes[batches[0] + 200] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let verified = wal(dir.path(), &["verify"]);
    assert_eq!(verified.code, 65, "{}", verified.stdout);
    let name = path.file_name().unwrap().to_str().unwrap();
    let line = format!("DAMAGED   log 1.0, {name}");
    assert!(verified.stdout.contains(&line), "{}", verified.stdout);
    let gateway = Gateway::start(dir.path());
    let record = signed_record(dir.path(), "shard-0");
    assert!(gateway.submit(dir.path(), &record).stdout.contains("hit"));
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn verify_names_every_damaged_segment_and_not_only_the_first() {
    let dir = golden_directory("v1");
    let whole = wal(dir.path(), &["verify"]);
    assert_eq!(whole.code, 0, "{}{}", whole.stdout, whole.stderr);
    let segments: Vec<_> = wal(dir.path(), &["inspect", "--limit", "0", "--json"])
        .json()
        .into_iter()
        .filter(|it| it["type"] == "segment" && !it["first"].is_null())
        .filter(|it| it["bytes_in_use"] != 0)
        .collect();
    let log = |it: &serde_json::Value| it["log"].as_str().unwrap().to_owned();
    let first = segments
        .iter()
        .find(|it| {
            segments
                .iter()
                .filter(|other| log(other) == log(it))
                .count()
                > 1
        })
        .expect("a log of two segments");
    let same: Vec<_> = segments.iter().filter(|it| log(it) == log(first)).collect();
    for segment in &same {
        let path = dir
            .path()
            .join("data/wal")
            .join(segment["file"].as_str().unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096 + 20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let damaged = wal(dir.path(), &["verify"]);
    assert_eq!(damaged.code, 65, "{}", damaged.stdout);
    for segment in &same {
        let line = format!(
            "DAMAGED   log {}, {}",
            log(segment),
            segment["file"].as_str().unwrap()
        );
        assert!(damaged.stdout.contains(&line), "{line}: {}", damaged.stdout);
    }
    assert!(
        damaged.stderr.contains("nothing was changed"),
        "{}",
        damaged.stderr
    );
}

#[test]
fn a_directory_without_its_manifest_is_damaged_and_not_empty() {
    let dir = written_directory(false);
    std::fs::remove_file(dir.path().join("data/wal/manifest")).unwrap();
    for verb in ["verify", "inspect"] {
        let ran = wal(dir.path(), &[verb]);
        assert_eq!(ran.code, 65, "{verb}: {}{}", ran.stdout, ran.stderr);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            said.contains("manifest") && said.contains("segment-"),
            "{said}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_named_by_the_start_and_can_be_given_up() {
    let dir = written_directory(false);
    let (path, _, _) = first_segment(dir.path());
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    std::fs::remove_file(&path).unwrap();
    let start = run(flk(dir.path()).args(["up", "--port", "0"]), b"");
    assert_eq!(start.code, 65, "{}", start.stderr);
    let way_out = format!("flk wal quarantine {name} --accept-loss");
    assert!(start.stderr.contains(&way_out), "{}", start.stderr);
    let asked = wal(dir.path(), &["quarantine", &name]);
    assert!(
        asked.code == 0 && asked.stdout.contains("not there"),
        "{}",
        asked.stdout
    );
    assert!(
        asked.stdout.contains("Nothing was changed"),
        "{}",
        asked.stdout
    );
    assert_eq!(
        wal(dir.path(), &["quarantine", &name, "--accept-loss"]).code,
        0
    );
    let gateway = Gateway::start(dir.path());
    assert_eq!(gateway.stop(), 0);
}
