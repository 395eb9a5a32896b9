//! The real gateway with a secret that was given: directories that begin with it are one installation, and no directory goes on
//! with another one.
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap as tests do

use flk_dataplane::wal::manifest::Manifest;
use flk_dataplane::wal::secret::Secret;
use flk_dataplane::wal::segment::SegmentHeader;
use flk_testkit::golden;
use flk_testkit::plan::Plan;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SECRET: Secret = Secret {
    id: [0x11; 16],
    key: [0x77; 16],
};

fn plan(directory: &Path) -> Plan {
    Plan::new(env!("CARGO_BIN_EXE_flk-dataplane"), directory).with("FLK_CORES", "1")
}

fn with_secret(plan: Plan, path: &Path) -> Plan {
    plan.with("WAL_SECRET_FILE", path.to_str().unwrap())
}

/// A file with this mode.
fn file(path: PathBuf, bytes: &[u8], mode: u32) -> PathBuf {
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn manifest(directory: &Path) -> Manifest {
    Manifest::decode(&fs::read(directory.join("manifest")).unwrap()).unwrap()
}

/// The headers of all segments that were written.
fn headers(directory: &Path) -> Vec<SegmentHeader> {
    let names = fs::read_dir(directory).unwrap().map(|it| it.unwrap());
    let names = names.filter(|it| it.file_name().to_string_lossy().ends_with(".wal"));
    let blocks = names.map(|it| fs::read(it.path()).unwrap());
    blocks
        .filter_map(|bytes| Some(SegmentHeader::decode(&bytes).ok()?.0))
        .collect()
}

#[test]
fn directories_that_begin_with_one_secret_are_one_installation_of_several_nodes() {
    let root = tempfile::tempdir().unwrap();
    let path = file(root.path().join("wal.secret"), &SECRET.encode(), 0o600);
    let mut nodes = Vec::new();
    for name in ["first", "second"] {
        let directory = root.path().join(name);
        let gateway = with_secret(plan(&directory), &path).with("REGION_ID", "eu-west");
        let gateway = gateway.start();
        let answer = gateway.post(&golden::bytes("records/pcs_tiny_case_1.json"));
        assert_eq!(answer.dedup(), Some("miss"), "{answer:?}");
        drop(gateway);
        let stored = fs::read(directory.join("secret")).unwrap();
        assert_eq!(Secret::decode(&stored), Ok(SECRET));
        let manifest = manifest(&directory);
        assert_eq!([manifest.installation, manifest.secret], [SECRET.id; 2]);
        let headers = headers(&directory);
        assert_eq!(headers.len(), 1, "{headers:?}");
        let labels = headers[0].labels;
        assert_eq!(labels.node, Some(manifest.node));
        assert_eq!(labels.group, Some(SECRET.id));
        assert_eq!(labels.region.unwrap().as_str(), "eu-west");
        nodes.push(manifest.node);
    }
    assert_ne!(nodes[0], nodes[1]);
    // The file is not needed any more.
    fs::remove_file(&path).unwrap();
    let gateway = plan(&root.path().join("first")).start();
    let answer = gateway.post(&golden::bytes("records/pcs_tiny_case_1.json"));
    assert_eq!(answer.dedup(), Some("hit"), "{answer:?}");
}

#[test]
fn a_directory_that_was_made_without_one_draws_its_own_and_is_an_installation_of_that() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("wal");
    drop(plan(&directory).start());
    let stored = fs::read(directory.join("secret")).unwrap();
    let secret = Secret::decode(&stored).unwrap();
    let manifest = manifest(&directory);
    assert_eq!([manifest.installation, manifest.secret], [secret.id; 2]);
    assert_eq!(headers(&directory), [], "nothing was written yet");
}

#[test]
fn a_secret_other_than_that_of_the_directory_stops_the_start_and_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("wal");
    let own = file(root.path().join("own"), &SECRET.encode(), 0o600);
    drop(with_secret(plan(&directory), &own).start());
    let before = fs::read(directory.join("manifest")).unwrap();
    let others = [
        Secret {
            id: [1; 16],
            ..SECRET
        },
        Secret {
            key: [1; 16],
            ..SECRET
        },
    ];
    for other in others {
        let path = file(root.path().join("other"), &other.encode(), 0o600);
        let ended = with_secret(plan(&directory), &path).run_to_end();
        assert_eq!(ended.code(), 78, "{ended}");
        let said = "WAL_SECRET_FILE holds another secret than WAL_DIR was made with";
        assert!(ended.said.contains(said), "{ended}");
    }
    assert_eq!(fs::read(directory.join("manifest")).unwrap(), before);
    drop(with_secret(plan(&directory), &own).start());
}

#[test]
fn a_file_that_holds_no_secret_or_is_open_to_others_stops_the_start_and_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("wal");
    let whole = SECRET.encode();
    let named = |name: &str| root.path().join(name);
    for (path, wrong) in [
        (named("nowhere"), "it cannot be read: "),
        (
            file(named("open"), &whole, 0o644),
            "others than its owner may use it (mode 644), and at most its group may read it: chmod 600 ",
        ),
        (
            file(named("short"), &whole[..47], 0o600),
            "the secret file is not 48 bytes long",
        ),
        (
            file(named("text"), &[b'w'; 48], 0o600),
            "the file is not a secret file",
        ),
    ] {
        let ended = with_secret(plan(&directory), &path).run_to_end();
        assert_eq!(ended.code(), 78, "{ended}");
        let said = format!("WAL_SECRET_FILE={}: {wrong}", path.display());
        assert!(ended.said.contains(&said), "no {said:?}: {ended}");
        assert!(!ended.said.contains("wwww"), "{ended}");
        assert!(!directory.exists(), "{ended}");
    }
}
