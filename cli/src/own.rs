//! Runs a program as a process of its own, mostly a command of this one, so that what hangs or dies takes nothing else along. It keeps what
//! was printed up to a bound, and judges nothing.

use crate::args::time_text;
use crate::config::FileArgs;
use crate::fault;
use flk_dataplane::config::Variable;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// What a process left behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ran {
    /// None: a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// More was printed than was kept.
    pub(crate) is_cut: bool,
}

/// What is printed beyond this is dropped.
const PRINTED_BYTES_MAX: usize = 16 << 20;
/// How long a process that was killed may take to end.
const KILLED_WITHIN: Duration = Duration::from_secs(5);

/// A command of this program, with the environment of this process, these settings, and this log directory in the place of theirs.
pub(crate) fn command(arguments: &[&str], settings: &FileArgs, wal_dir: Option<&Path>) -> Command {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    let mut command = Command::new(program);
    command.args(arguments).envs(settings.variables());
    if let Some(directory) = wal_dir {
        command.env(Variable::WalDir.name(), directory);
    }
    command
}

/// Which of its two outputs a thread has read to its end.
type Printed = (Stream, Vec<u8>, bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

/// Runs it to its end; an error, in words, if it cannot be started or takes longer than that.
pub(crate) fn run(command: &mut Command, within: Duration) -> Result<Ran, String> {
    let started = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child =
        started.map_err(|error| format!("it cannot be started: {}", fault::why(&error)))?;
    let (sender, printed) = channel();
    if let Some(stdout) = child.stdout.take() {
        follow(Stream::Out, stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        follow(Stream::Err, stderr, sender);
    }
    let mut ran = Ran::default();
    if !collect(&printed, within, &mut ran) {
        end(child, &printed);
        return Err(format!("it did not end within {}", time_text(within)));
    }
    let ended = child.wait();
    ran.code = ended.map_err(|error| fault::why(&error))?.code();
    Ok(ran)
}

/// Reads to the end in a thread of its own, so that neither pipe fills.
fn follow(stream: Stream, mut from: impl Read + Send + 'static, to: Sender<Printed>) {
    std::thread::spawn(move || {
        let (mut kept, mut is_cut) = (Vec::new(), false);
        let mut piece = [0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            let room = PRINTED_BYTES_MAX - kept.len();
            kept.extend_from_slice(&piece[..count.min(room)]);
            is_cut |= count > room;
        }
        // The one who waited may have given up.
        to.send((stream, kept, is_cut)).ok();
    });
}

/// Whether both outputs ended in time.
fn collect(printed: &Receiver<Printed>, within: Duration, ran: &mut Ran) -> bool {
    let begin = Instant::now();
    for _ in 0..2 {
        let left = within.saturating_sub(begin.elapsed());
        let Ok((stream, bytes, is_cut)) = printed.recv_timeout(left) else {
            return false;
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match stream {
            Stream::Out => ran.stdout = text,
            Stream::Err => ran.stderr = text,
        }
        ran.is_cut |= is_cut;
    }
    true
}

/// Ends a process that takes too long. One that even that does not end, for it waits for a disk, is left behind.
fn end(mut child: Child, printed: &Receiver<Printed>) {
    // It may have ended by itself meanwhile.
    child.kill().ok();
    if collect(printed, KILLED_WITHIN, &mut Ran::default()) {
        child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, within: Duration) -> Result<Ran, String> {
        run(Command::new("sh").args(["-c", script]), within)
    }

    #[test]
    fn both_outputs_and_the_code_come_back_whatever_their_length() {
        let ran = shell("echo a; echo b >&2; exit 7", Duration::from_secs(60)).unwrap();
        assert_eq!(
            (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
            (Some(7), "a\n", "b\n")
        );
        let long = shell(
            "head -c 17000000 /dev/zero; echo c >&2",
            Duration::from_secs(60),
        )
        .unwrap();
        assert_eq!((long.stdout.len(), long.is_cut), (PRINTED_BYTES_MAX, true));
        assert_eq!(long.stderr, "c\n");
    }

    #[test]
    fn what_does_not_end_is_ended() {
        let late = shell("exec sleep 1000", Duration::from_millis(50)).unwrap_err();
        assert_eq!(late, "it did not end within 50ms");
        let none = run(
            &mut Command::new("/no/such/program"),
            Duration::from_secs(1),
        );
        assert!(
            none.unwrap_err()
                .starts_with("it cannot be started: there is no such file")
        );
    }
}
