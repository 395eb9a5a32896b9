//! Where `flk wal export` writes: files that are whole or not there, pipes and devices as they are, and nothing that would be lost.

use super::common::{Ran, flk};
use super::{first_segment, wal, written_directory};
use flk_testkit::child::{Signal, signal};
use flk_testkit::{DEADLINE, skipped, wait_until};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::ffi::OsStr;
use std::fs;
use std::io::{PipeWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

const ROWS_COUNT: usize = 7;

fn export_to(dir: &Path, out: &str, more: &[&str]) -> Ran {
    wal(dir, &[&["export", "--out", out], more].concat())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[track_caller]
fn is_refused(ran: &Ran, said: &str) {
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}

#[test]
fn a_file_that_is_there_is_replaced_only_with_force() {
    let dir = written_directory(false);
    let path = dir.path().join("rows");
    fs::write(&path, "before").unwrap();
    symlink("rows", dir.path().join("link")).unwrap();
    symlink("absent", dir.path().join("dangling")).unwrap();
    is_refused(&export_to(dir.path(), "rows", &[]), "--force");
    is_refused(&export_to(dir.path(), "link", &[]), "--force");
    let dangling = export_to(dir.path(), "dangling", &["--force"]);
    is_refused(&dangling, "a symbolic link to a file that is not there");
    assert_eq!(fs::read_to_string(&path).unwrap(), "before");

    let forced = export_to(dir.path(), "link", &["--force"]);
    assert_eq!(forced.code, 0, "{}", forced.stderr);
    assert!(dir.path().join("link").is_symlink());
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written.lines().count(), ROWS_COUNT);
    for directory in ["data", "data/", "absent/", "absent/rows"] {
        let ran = export_to(dir.path(), directory, &["--force"]);
        assert_eq!(ran.code, 74, "{}", ran.stderr);
    }
    assert_eq!(names(dir.path()), ["dangling", "data", "link", "rows"]);
}

#[test]
fn nothing_is_written_into_the_log_directory() {
    let dir = written_directory(false);
    let (segment, bytes, _) = first_segment(dir.path());
    let before = names(&dir.path().join("data/wal"));
    symlink("data/wal", dir.path().join("log")).unwrap();
    symlink(&segment, dir.path().join("segment")).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    for out in [
        segment.to_str().unwrap(),
        &format!("data/wal/{name}"),
        &format!("log/{name}"),
        "log/new",
        "data/wal/../wal/new",
        "segment",
    ] {
        let ran = export_to(dir.path(), out, &["--force"]);
        is_refused(&ran, "it is in the log directory");
    }
    assert_eq!(fs::read(&segment).unwrap(), bytes);
    assert_eq!(names(&dir.path().join("data/wal")), before);
}

#[test]
fn a_pipe_and_a_device_take_the_rows_and_stay() {
    let dir = written_directory(false);
    let pipe = dir.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for format in ["ndjson", "parquet"] {
        let (ran, read) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| fs::read(&pipe).unwrap());
            let ran = export_to(dir.path(), "pipe", &["--format", format]);
            (ran, reader.join().unwrap())
        });
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        match format {
            "ndjson" => assert_eq!(read.iter().filter(|it| **it == b'\n').count(), ROWS_COUNT),
            _ => assert!(read.starts_with(b"PAR1") && read.ends_with(b"PAR1")),
        }
    }
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    let null = export_to(dir.path(), "/dev/null", &[]);
    assert_eq!(null.code, 0, "{}", null.stderr);
    let kind = fs::symlink_metadata("/dev/null").unwrap().file_type();
    assert!(kind.is_char_device());
}

#[test]
fn a_full_device_is_told_in_the_same_words_in_both_formats() {
    let dir = written_directory(false);
    for format in ["ndjson", "parquet"] {
        let ran = export_to(dir.path(), "/dev/full", &["--format", format]);
        assert_eq!(ran.code, 74, "{}", ran.stderr);
        let said = "flk: cannot write the output: no space is left on the device\n";
        assert!(ran.stderr.ends_with(said), "{}", ran.stderr);
    }
}

/// A pipe that takes nothing more: a process that writes into it waits.
fn full_pipe() -> (std::io::PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'.'; 4096]).is_ok() {}
    while writer.write(b".").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

/// The program without `/proc`: a file cannot be named later there. None where this user may not take it away.
fn without_proc(dir: &Path) -> Option<Command> {
    let script = "mount -t tmpfs none /proc && exec \"$0\" \"$@\"";
    let unshared = |program: &OsStr| {
        let mut command = Command::new("unshare");
        command
            .current_dir(dir)
            .env_remove("WAL_DIR")
            .args(["-rm", "sh", "-c", script])
            .arg(program);
        command
    };
    let tried = unshared("true".as_ref()).stderr(Stdio::null()).status();
    tried.ok().filter(ExitStatus::success)?;
    Some(unshared(flk(dir).get_program()))
}

/// The output while it is written. Without `/proc` a file without a name is tried first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Unnamed,
    Named,
}

/// Sends a signal to an export that has made its output, and gives back how it ended. Nothing may be left.
fn interrupt(dir: &Path, mut command: Command, output: Output, sent: Signal) -> ExitStatus {
    let before = names(dir);
    let (_reader, writer) = full_pipe();
    // The output is made, then the warning about bodies waits for the pipe.
    command
        .args(["wal", "export", "--with-bodies", "--out", "rows"])
        .stderr(Stdio::from(writer));
    let mut child = command.spawn().unwrap();
    let open = format!("/proc/{}/fd", child.id());
    let is_output = |it: std::io::Result<fs::DirEntry>| {
        let target = fs::read_link(it.unwrap().path()).unwrap_or_default();
        let has_name = !target.as_os_str().as_bytes().ends_with(b" (deleted)");
        target.parent() == Some(&dir.canonicalize().unwrap())
            && has_name == (output == Output::Named)
    };
    wait_until("the output is made", DEADLINE, || {
        fs::read_dir(&open).unwrap().any(is_output)
    });
    signal(&child, sent);
    let ended = child.wait().unwrap();
    assert_eq!(names(dir), before);
    ended
}

#[test]
fn an_interrupted_export_leaves_nothing() {
    let dir = written_directory(false);
    for sent in [Signal::INT, Signal::TERM, Signal::KILL] {
        let ended = interrupt(dir.path(), flk(dir.path()), Output::Unnamed, sent);
        assert_eq!(ended.signal(), Some(sent.as_raw()));
    }
    for sent in [Signal::HUP, Signal::INT, Signal::TERM] {
        let Some(command) = without_proc(dir.path()) else {
            return skipped("an export without /proc: there is no user namespace here");
        };
        let ended = interrupt(dir.path(), command, Output::Named, sent);
        assert_eq!(ended.code(), Some(128 + sent.as_raw()));
    }
}
