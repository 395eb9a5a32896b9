//! The audit log as an operator finds it: after a crash, and after an edit.

use super::*;
use crate::tokens::Role;
use flk_testkit::{DEADLINE, comes_true};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, UNIX_EPOCH};

fn append(audit: &mut Audit, snapshot: u32) {
    try_append(audit, snapshot).unwrap();
}

fn try_append(audit: &mut Audit, snapshot: u32) -> Result<(), AuditError> {
    let actor = Actor {
        name: "anna".to_owned(),
        role: Role::Operator,
    };
    let entry = Entry {
        actor,
        action: Action::Publish,
        object: json!({"snapshot": snapshot}),
        before: "aa".to_owned(),
        after: "bb".to_owned(),
    };
    let now = UNIX_EPOCH + Duration::from_millis(1_796_083_200_123);
    audit.append(&entry, now)
}

/// Opens the log. A process that another test starts has its lock too until it runs its own program.
fn opened(directory: &Path) -> Audit {
    let mut opened = None;
    comes_true(DEADLINE, || match Audit::open(directory) {
        Err(AuditError::Locked(_)) => false,
        other => {
            opened = Some(other);
            true
        }
    });
    opened.unwrap().unwrap()
}

fn with_lines(directory: &Path, count: u32) -> PathBuf {
    let mut audit = opened(directory);
    (0..count).for_each(|at| append(&mut audit, at));
    directory.join(FILE)
}

#[test]
fn lines_are_canonical_chained_and_for_their_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = with_lines(&directory.path().join("control"), 2);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let first = format!(
        r#"{{"action":"publish","actor":"anna","after":"bb","before":"aa","number":1,"object":{{"snapshot":0}},"previous":"{}","role":"operator","time":"2026-12-01T00:00:00.123Z"}}"#,
        "0".repeat(64)
    );
    assert_eq!(lines[0], first);
    let hash = chain::hash(first.as_bytes());
    assert!(lines[1].contains(&format!(r#""previous":"{hash}""#)));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_log_that_was_moved_or_cut_under_a_running_control_takes_no_line_and_no_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let mut audit = opened(directory.path());
    append(&mut audit, 0);
    let aside = directory.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    assert!(matches!(
        try_append(&mut audit, 1),
        Err(AuditError::Moved(_))
    ));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(
        try_append(&mut audit, 1),
        Err(AuditError::Moved(_))
    ));
    std::fs::rename(&aside, &path).unwrap();
    append(&mut audit, 1);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    assert!(matches!(
        try_append(&mut audit, 2),
        Err(AuditError::Moved(_))
    ));
    assert_eq!(std::fs::read(&path).unwrap(), b"");
    std::fs::write(&path, whole).unwrap();
    append(&mut audit, 2);
    assert_eq!(verify(&std::fs::read(path).unwrap()).unwrap().lines, 3);
}

#[test]
fn a_log_goes_on_where_it_ended() {
    let directory = tempfile::tempdir().unwrap();
    let path = with_lines(directory.path(), 2);
    with_lines(directory.path(), 1);
    let summary = verify(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(summary.lines, 3);
    let audit = opened(directory.path());
    assert_eq!(audit.lines_count(), 3);
    assert_eq!(audit.last_change().unwrap().number, 3);
    assert_eq!(audit.torn(), None);
}

#[test]
fn a_torn_last_line_is_kept_aside_at_whatever_byte_it_was_torn() {
    let directory = tempfile::tempdir().unwrap();
    let path = with_lines(directory.path(), 2);
    let text = std::fs::read(&path).unwrap();
    let whole = text.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for end in whole + 1..text.len() {
        std::fs::write(&path, &text[..end]).unwrap();
        let audit = opened(directory.path());
        let torn = audit.torn().unwrap().to_owned();
        assert_eq!(std::fs::read(&torn).unwrap(), &text[whole..end]);
        assert_eq!(audit.lines_count(), 1);
        drop(audit);
        assert_eq!(std::fs::read(&path).unwrap(), &text[..whole]);
        std::fs::remove_file(torn).unwrap();
    }
}

#[test]
fn a_changed_removed_or_moved_line_is_found_and_nothing_is_appended_to_such_a_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = with_lines(directory.path(), 3);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let cases = [
        (
            text.replacen("anna", "otto", 1),
            "line 2: it does not follow",
        ),
        (
            text.replacen("{\"action", "{ \"action", 1),
            "line 1: it is not canonical",
        ),
        (
            format!("{}\n{}\n", lines[0], lines[2]),
            "line 2: it has another number",
        ),
        (
            format!("{}\n{}\n", lines[1], lines[0]),
            "line 1: it has another number",
        ),
        (format!("{}\nrubbish\n", lines[0]), "line 2: it is no line"),
    ];
    for (changed, expected) in cases {
        std::fs::write(&path, &changed).unwrap();
        let told = Audit::open(directory.path()).unwrap_err().to_string();
        assert!(told.contains(expected), "{expected}: {told}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), changed);
    }
}

#[test]
fn a_second_control_process_is_kept_out() {
    let directory = tempfile::tempdir().unwrap();
    let first = opened(directory.path());
    let told = Audit::open(directory.path()).unwrap_err();
    assert!(matches!(told, AuditError::Locked(_)), "{told}");
    drop(first);
    drop(opened(directory.path()));
}

/// A file in the place of the log's that takes what is written and cannot be synced: a pipe, with its other end.
fn break_sync(audit: &mut Audit) -> std::io::PipeReader {
    let (reader, writer) = std::io::pipe().unwrap();
    audit.file = File::from(std::os::fd::OwnedFd::from(writer));
    reader
}

#[test]
fn behind_a_failed_sync_the_log_is_opened_again_and_goes_on_without_the_failed_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let mut audit = opened(directory.path());
    append(&mut audit, 1);
    let _end = break_sync(&mut audit);
    assert!(try_append(&mut audit, 2).is_err());
    // As much of the line as the file has, from none of it to all of it.
    let failed = audit.failed.clone().unwrap();
    let sound = std::fs::read(&path).unwrap();
    for length in [0, 1, failed.len() - 1, failed.len()] {
        std::fs::write(&path, [&sound, &failed[..length]].concat()).unwrap();
        audit.failed = Some(failed.clone());
        audit.recover().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), sound);
    }
    append(&mut audit, 3);
    let log = std::fs::read_to_string(&path).unwrap();
    assert_eq!(verify(log.as_bytes()).unwrap().lines, 2);
    assert!(log.contains("\"snapshot\":3") && !log.contains("\"snapshot\":2"));
    assert!(matches!(
        Audit::open(directory.path()).unwrap_err(),
        AuditError::Locked(_)
    ));
}

#[test]
fn as_long_as_the_log_is_not_as_it_was_every_change_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let mut audit = opened(directory.path());
    append(&mut audit, 1);
    append(&mut audit, 2);
    let _end = break_sync(&mut audit);
    assert!(try_append(&mut audit, 3).is_err());
    let text = std::fs::read_to_string(&path).unwrap();
    let first_line = text.find('\n').unwrap() + 1;
    let aside = directory.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    let told = |audit: &mut Audit| try_append(audit, 4).unwrap_err().to_string();
    assert!(told(&mut audit).contains("no such file"));
    for (other, expected) in [
        (String::new(), "it does not end with the lines"),
        (
            text[..first_line].to_owned(),
            "it does not end with the lines",
        ),
        (format!("{text}rubbish\n"), "it does not end with the lines"),
        (text.replace("anna", "otto"), "line 2: it does not follow"),
    ] {
        std::fs::write(&path, &other).unwrap();
        let told = told(&mut audit);
        assert!(told.contains(expected), "{expected}: {told}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
    }
    std::fs::rename(&aside, &path).unwrap();
    append(&mut audit, 5);
    assert_eq!(verify(&std::fs::read(&path).unwrap()).unwrap().lines, 3);
}
