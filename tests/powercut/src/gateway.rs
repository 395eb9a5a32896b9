//! The real gateway as a child process. It is started, watched until it takes records, and killed; its lines are kept
//! for whoever reads a failure.

use crate::client::is_ready;
use crate::records::KEY;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// A start that takes longer has failed.
const START_MAX: Duration = Duration::from_secs(60);

/// The system call openat; its third argument holds the flags.
#[cfg(target_arch = "x86_64")]
const OPENAT: i64 = 257;
#[cfg(not(target_arch = "x86_64"))]
const OPENAT: i64 = 56;

/// How a gateway begins its refusal of `FLK_DRIVER=uring` on a machine that does not allow io_uring.
const URING_REFUSED: &str = "FLK_DRIVER=uring:";

/// This machine cannot run the gateway as asked, for example because io_uring is not allowed here.
#[derive(Debug)]
pub(crate) struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl Error for Refused {}

/// How gateways are started.
pub(crate) struct Setup<'a> {
    /// The program.
    pub(crate) program: &'a Path,
    /// `uring` or `portable`.
    pub(crate) driver: &'a str,
    /// Whether direct writes are refused, so that the log falls back to buffered writes and syncs.
    pub(crate) buffered: bool,
    /// The planted bug, if any.
    pub(crate) bug: Option<&'a str>,
}

/// A running gateway; dropping it kills it.
pub(crate) struct Gateway {
    child: Child,
    address: SocketAddr,
    lines: Receiver<String>,
    said: Vec<String>,
    /// Keeps the thread that started it, with which it would die.
    _outlived: Sender<()>,
}

impl Gateway {
    /// Starts one with so many shards on this directory and waits until it listens. It may still be reading its log.
    pub(crate) fn start(
        setup: &Setup<'_>,
        directory: &Path,
        cores: u64,
    ) -> Result<Gateway, Box<dyn Error>> {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(setup.program)
            .env_clear()
            .envs([("PORT", "0"), ("WAL_SEGMENT_BYTES", "4MiB")])
            .env("FLK_CORES", cores.to_string())
            .env("FLK_DRIVER", setup.driver)
            .env("PCS_HMAC_KEY", KEY)
            .env("WAL_DIR", directory.join("wal"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(bug) = setup.bug {
            command.env("FLK_PLANT", bug);
        }
        let (outlived, parent) = channel();
        let spawned = if setup.buffered {
            spawn_without_direct(command, parent)
        } else {
            command.spawn().map_err(Into::into)
        };
        let mut child = spawned.map_err(|error| format!("{}: {error}", setup.program.display()))?;
        let lines = read_lines(child.stderr.take());
        let mut gateway = Gateway {
            child,
            address: ([127, 0, 0, 1], 0).into(),
            lines,
            said: Vec::new(),
            _outlived: outlived,
        };
        gateway.address = gateway.wait_for_address()?;
        Ok(gateway)
    }

    fn wait_for_address(&mut self) -> Result<SocketAddr, Box<dyn Error>> {
        let deadline = Instant::now() + START_MAX;
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    let address = line
                        .split_once("http://")
                        .and_then(|(_, rest)| rest.trim().parse().ok());
                    self.said.push(line);
                    if let Some(address) = address {
                        return Ok(address);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err("the gateway did not say where it listens".into());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let ended = self.ended();
                    let refused = ended.contains(URING_REFUSED);
                    return Err(if refused {
                        Refused(ended).into()
                    } else {
                        ended.into()
                    });
                }
            }
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it takes records; what is wrong if it never does.
    pub(crate) fn wait_until_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_MAX;
        while !is_ready(self.address) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return Err(self.ended());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "not ready after {START_MAX:?}; it said:\n{}",
                    self.said()
                ));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Kills it, as a power cut ends all processes.
    pub(crate) fn kill(&mut self) -> Option<ExitStatus> {
        let _ = self.child.kill();
        self.child.wait().ok()
    }

    /// All that it has said so far.
    pub(crate) fn said(&mut self) -> String {
        self.said.extend(self.lines.try_iter());
        self.said.join("\n")
    }

    fn ended(&mut self) -> String {
        let status = self.kill();
        // Its last lines are on their way until the pipe is closed.
        self.said.extend(self.lines.iter());
        let status = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
        format!(
            "the gateway ended by itself ({status}); it said:\n{}",
            self.said.join("\n")
        )
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a program to which opening a file for direct access is refused with EINVAL, as by file systems without it.
/// The filter holds for the thread that installs it and for what that thread starts, so nothing else is filtered.
/// The child dies with its starting thread, so that thread stays until its side of `parent` is dropped.
fn spawn_without_direct(
    mut command: Command,
    parent: Receiver<()>,
) -> Result<Child, Box<dyn Error>> {
    let direct = u64::from(rustix::fs::OFlags::DIRECT.bits());
    let opens_direct = SeccompCondition::new(
        2,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(direct),
        direct,
    )?;
    let rules = [(OPENAT, vec![SeccompRule::new(vec![opens_direct])?])];
    let refuse = SeccompAction::Errno(rustix::io::Errno::INVAL.raw_os_error() as u32);
    let machine = std::env::consts::ARCH.try_into()?;
    let filter: BpfProgram =
        SeccompFilter::new(rules.into(), SeccompAction::Allow, refuse, machine)?.try_into()?;
    let (spawned, child) = channel();
    std::thread::spawn(move || {
        let result = apply_filter(&filter)
            .map_err(|error| error.to_string())
            .and_then(|()| command.spawn().map_err(|error| error.to_string()));
        let _ = spawned.send(result);
        let _ = parent.recv();
    });
    Ok(child.recv()??)
}

fn read_lines(stderr: Option<ChildStderr>) -> Receiver<String> {
    let (send, receive) = channel();
    if let Some(stderr) = stderr {
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
    }
    receive
}
