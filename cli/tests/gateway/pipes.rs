//! A key from a command, `<(command)`: a pipe can be read once, and both processes need what was in it.

use crate::common::flk;
use flk_testkit::process::Process;
use std::path::Path;
use std::process::{Command, Stdio};

/// A shell that runs the program with a key from a command.
fn with_key_from_a_command(dir: &Path, arguments: &str) -> Command {
    let program = flk(dir);
    let program = program.get_program().to_str().unwrap();
    let script = format!(
        "PCS_HMAC_KEY_FILE=<(printf 'a key that a command wrote, 32 bytes') exec {program} {arguments}"
    );
    let mut command = Command::new("bash");
    command
        .current_dir(dir)
        .env_remove("PCS_HMAC_KEY")
        .args(["-c", &script]);
    command
        .env("ADMIN_LISTEN", "127.0.0.1:0")
        .env("FLK_CORES", "1");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

#[test]
fn a_key_from_a_pipe_is_read_once_and_serves_both_processes() {
    let dir = tempfile::tempdir().unwrap();
    let command = with_key_from_a_command(dir.path(), "up --port 0");
    let mut up = Process::start(command).unwrap();
    up.wait_until_said("the data plane answers: snapshot 0 is in force");
    up.wait_until_said(" wal inspect");
    // Control reads the settings again every two seconds, and at once when asked to.
    up.signal(flk_testkit::child::Signal::HUP);
    up.wait_until_said("nothing differs, snapshot 0 stays in force");
    let said = up.said();
    assert!(
        !said.contains("is wrong") && !said.contains("cannot be read"),
        "{said}"
    );
    assert_eq!(up.stop().code(), 0);
}

#[test]
fn a_control_process_of_its_own_reads_a_pipe_once_too() {
    let dir = tempfile::tempdir().unwrap();
    let command = with_key_from_a_command(dir.path(), "control run");
    let mut control = Process::start(command).unwrap();
    control.wait_until_said("admin API on http://");
    control.signal(flk_testkit::child::Signal::HUP);
    control.wait_until_said("not reloaded: ");
    let said = control.said();
    assert!(!said.contains("is wrong"), "{said}");
    assert_eq!(control.stop().code(), 0);
}
