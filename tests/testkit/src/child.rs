//! A child process with a pipe at each end: fed, read to its end, and gone; or left in the test's hands.

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What a child left behind.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Whether it took all that it was fed. One that ends early does not, which may be right.
    pub took_all: bool,
}

impl Ran {
    /// Standard output as lines of JSON.
    pub fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).expect("a line of JSON");
        self.stdout.lines().map(parse).collect()
    }
}

/// Starts a program with a pipe at each end; an error where it cannot be started.
pub fn try_start(command: &mut Command) -> io::Result<Child> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Starts a program with a pipe at each end.
///
/// # Panics
///
/// If it cannot be started.
pub fn start(command: &mut Command) -> Child {
    try_start(command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Sends a signal to a child that was not waited for yet.
pub fn signal(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id()).expect("a process id");
    // Not waited for, it is there at least as what is left of it, and its id is its own.
    kill_process(Pid::from_raw(id).expect("a process id"), signal).expect("a signal to a child");
}

/// Runs a program with `input` on standard input; an error where it cannot be started.
///
/// # Panics
///
/// If a signal ends it, or if what it writes is not text.
pub fn try_run(command: &mut Command, input: &[u8]) -> io::Result<Ran> {
    let mut child = try_start(command)?;
    let mut stdin = child.stdin.take().expect("a pipe");
    let (took_all, output) = std::thread::scope(|scope| {
        let feeder = scope.spawn(move || stdin.write_all(input).is_ok());
        let output = child.wait_with_output();
        (feeder.join().expect("the feeder"), output)
    });
    let output = output?;
    let stderr = String::from_utf8(output.stderr).expect("text on standard error");
    let code = output.status.code();
    Ok(Ran {
        code: code.unwrap_or_else(|| panic!("{}: {stderr}", output.status)),
        stdout: String::from_utf8(output.stdout).expect("text on standard output"),
        stderr,
        took_all,
    })
}

/// Runs a program with `input` on standard input.
///
/// # Panics
///
/// As [`try_run`], and if it cannot be started.
pub fn run(command: &mut Command, input: &[u8]) -> Ran {
    try_run(command, input).unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Copies a program, to be run by a user who may not reach the first. Another process writes the copy: a test beside
/// this one that starts a child at that moment would hand it a descriptor open for writing, and the kernel runs no
/// program that anybody may write (`ETXTBSY`).
///
/// # Panics
///
/// If it cannot be copied.
pub fn copy_program(from: &Path, to: &Path) {
    let copied = run(Command::new("cp").arg("-p").arg(from).arg(to), b"");
    assert_eq!(copied.code, 0, "{}", copied.stderr);
}
