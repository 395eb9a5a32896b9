//! Commands to a serving gateway: one line to `keeper.sock`, one line back. It waits at most as long as `--timeout` says,
//! whatever state the gateway is in.

use crate::CommandResult;
use crate::args::{time, time_text, whole};
use crate::exit::{Exit, Failure, SERVED_CODES};
use crate::fault;
use crate::output::Output;
use crate::wal::DirArgs;
use clap::Args;
use flk_dataplane::driver::line_socket::socket_path;
use flk_dataplane::wal::files::SOCKET;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest reply that is read.
const REPLY_BYTES_MAX: usize = 1 << 20;
/// Interval between attempts while the gateway's listen queue is full.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// Bounds of every time-out.
pub(super) const TIMEOUT_MIN: Duration = Duration::from_millis(1);
pub(super) const TIMEOUT_MAX: Duration = Duration::from_secs(86_400);

/// The time for the gateway's answer.
#[derive(Args, Debug)]
pub(crate) struct PatienceArgs {
    /// How long to wait for the gateway's answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time(TIMEOUT_MIN..=TIMEOUT_MAX))]
    timeout: Duration,
}

impl PatienceArgs {
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// Options of `flk wal status`.
#[derive(Args, Debug)]
#[command(
    after_help = format!("Examples:\n  $ flk wal status --dir ./data/wal\n\nThe answer is one JSON object. Without a gateway, flk wal verify shows the state of the log.\n\n{SERVED_CODES}")
)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    dir: DirArgs,
    #[command(flatten)]
    patience: PatienceArgs,
}

/// Options of `flk wal release-clock`.
#[derive(Args, Debug)]
#[command(
    after_help = format!("Examples:\n  $ flk wal release-clock\n\nAfter a long stop, or a wall clock that jumped, time beyond one hour is withheld: ids live longer, never \
shorter. When the clock is known to be right, this releases the withheld time: ids whose time is up are then taken as new. \
The gateway does it, so it must serve: flk wal status shows withheld_s, the seconds that this would release.\n\n{SERVED_CODES}")
)]
pub(crate) struct ReleaseClockArgs {
    #[command(flatten)]
    dir: DirArgs,
    #[command(flatten)]
    patience: PatienceArgs,
}

/// Options of `flk wal pin`.
#[derive(Args, Debug)]
#[command(
    after_help = format!("Examples:\n  $ flk wal pin\n\nThe pin lasts until flk wal unpin, or until the gateway stops. Meanwhile its disk may fill.\n\n{SERVED_CODES}")
)]
pub(crate) struct PinArgs {
    #[command(flatten)]
    dir: DirArgs,
    #[command(flatten)]
    patience: PatienceArgs,
}

/// Options of `flk wal unpin`.
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:\n  $ flk wal unpin 1\n\n{SERVED_CODES}"))]
pub(crate) struct UnpinArgs {
    #[command(flatten)]
    dir: DirArgs,
    #[command(flatten)]
    patience: PatienceArgs,
    /// The number that pin printed
    #[arg(value_parser = whole(0..=u64::MAX))]
    id: u64,
}

/// Runs `flk wal status`.
pub(crate) fn status(args: &StatusArgs) -> CommandResult {
    Gateway::reach(args.dir.path(), args.patience.timeout)?.ask_and_print("status")
}

/// Runs `flk wal release-clock`.
pub(crate) fn release_clock(args: &ReleaseClockArgs) -> CommandResult {
    let gateway = Gateway::reach(args.dir.path(), args.patience.timeout)?;
    eprintln!("flk: counting withheld time: ids that expire by it are new from now on");
    gateway.ask_and_print("release-clock")
}

/// Runs `flk wal pin`.
pub(crate) fn pin(args: &PinArgs) -> CommandResult {
    Gateway::reach(args.dir.path(), args.patience.timeout)?.ask_and_print("pin")
}

/// Runs `flk wal unpin`.
pub(crate) fn unpin(args: &UnpinArgs) -> CommandResult {
    let command = format!("unpin {}", args.id);
    Gateway::reach(args.dir.path(), args.patience.timeout)?.ask_and_print(&command)
}

/// A connection to the gateway that serves from a directory.
pub(crate) struct Gateway {
    stream: UnixStream,
    timeout: Duration,
    deadline: Instant,
}

impl Gateway {
    /// Connects; a failure if none serves.
    pub(crate) fn reach(directory: &Path, timeout: Duration) -> Result<Self, Failure> {
        Self::find(directory, timeout).map_err(|error| match error.kind() {
            ErrorKind::TimedOut => late(timeout),
            kind => {
                let path = directory.display();
                let why = match kind {
                    // a killed gateway leaves its socket
                    ErrorKind::ConnectionRefused => "its socket has no listener".to_owned(),
                    _ => fault::why(&error),
                };
                Failure::unavailable(format!(
                    "no gateway serves from {path}: {why}; --dir or WAL_DIR names the directory, and flk wal verify looks into it without a gateway"
                ))
            }
        })
    }

    /// Whether a gateway serves from the directory, even if its listen queue is full.
    pub(super) fn serves(directory: &Path) -> bool {
        match Self::find(directory, TRY_AGAIN) {
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::TimedOut,
        }
    }

    /// Connects; `TimedOut` if the listen queue stays full.
    pub(super) fn find(directory: &Path, timeout: Duration) -> io::Result<Self> {
        let deadline = Instant::now() + timeout;
        let opened = File::open(directory)?;
        let address = SocketAddrUnix::new(socket_path(opened.as_fd(), directory, SOCKET))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let stream =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        loop {
            match rustix::net::connect(&stream, &address) {
                Ok(()) => break,
                Err(Errno::AGAIN) if Instant::now() < deadline => std::thread::sleep(TRY_AGAIN),
                Err(Errno::AGAIN) => return Err(ErrorKind::TimedOut.into()),
                Err(error) => return Err(error.into()),
            }
        }
        let stream = UnixStream::from(stream);
        stream.set_nonblocking(false)?;
        Ok(Self {
            stream,
            timeout,
            deadline,
        })
    }

    /// Sends a command and prints the answer.
    pub(super) fn ask_and_print(self, command: &str) -> CommandResult {
        let answer = self.answer(command)?;
        let mut output = Output::new();
        output.line(if answer.is_empty() { "ok" } else { &answer })?;
        output.flush()?;
        Ok(Exit::Yes)
    }

    /// Sends a command; what the gateway says behind its `ok`.
    pub(crate) fn answer(mut self, command: &str) -> Result<String, Failure> {
        let reply = self.ask(command).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => late(self.timeout),
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                Failure::unavailable("the gateway ended before it answered".to_owned())
            }
            _ => Failure::unavailable(format!(
                "the gateway did not answer: {}",
                fault::why(&error)
            )),
        })?;
        match reply.split_once(' ').unwrap_or((&reply, "")) {
            ("ok", rest) => Ok(rest.to_owned()),
            (_, why) => Err(Failure::with(Exit::No, why)),
        }
    }

    fn ask(&mut self, command: &str) -> io::Result<String> {
        let line = format!("flk1 {command}\n");
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write_all(line.as_bytes())?;
        let mut reply = Vec::new();
        let mut piece = [0; 4096];
        while !reply.contains(&b'\n') && reply.len() < REPLY_BYTES_MAX {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match self.stream.read(&mut piece)? {
                0 => break,
                read => reply.extend_from_slice(&piece[..read]),
            }
        }
        let reply = String::from_utf8_lossy(&reply);
        match reply.lines().next().unwrap_or_default().trim_end() {
            "" => Err(ErrorKind::UnexpectedEof.into()),
            reply => Ok(reply.to_owned()),
        }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(ErrorKind::TimedOut.into()),
            false => Ok(left),
        }
    }
}

fn late(timeout: Duration) -> Failure {
    let timeout = time_text(timeout);
    Failure::unavailable(format!(
        "the gateway did not answer within {timeout} (--timeout); what it was asked to do it may still do"
    ))
}
