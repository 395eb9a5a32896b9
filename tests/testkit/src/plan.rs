//! How a gateway is to be started: its program, its arguments, its environment and nothing else, its limits.

use crate::gateway::{Gateway, Unready, address_in, free_port};
use crate::process::{Ended, Process};
use crate::records::KEY;
use crate::wait::DEADLINE;
use command_fds::{CommandFdExt as _, FdMapping};
use seccompiler::BpfProgram;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How a gateway is to be started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program.
    pub program: PathBuf,
    arguments: Vec<OsString>,
    directory: Option<PathBuf>,
    env: Vec<(String, OsString)>,
    /// What it has for standard error instead of a reader: then its address is what `PORT` says.
    stderr: Option<Arc<OwnedFd>>,
    open_files_max: Option<u32>,
    sockets: Arc<[OwnedFd]>,
    filter: Option<BpfProgram>,
    start_max: Duration,
}

impl Plan {
    /// The usual gateway: the test key, small segments, any free port, its log below `directory`.
    pub fn new(program: impl Into<PathBuf>, directory: &Path) -> Plan {
        Plan::bare(program)
            .with("PORT", "0")
            .with("WAL_DIR", directory.to_str().unwrap())
            .with("PCS_HMAC_KEY", KEY)
            .with("WAL_SEGMENT_BYTES", "4MiB")
    }

    /// Nothing is set.
    pub fn bare(program: impl Into<PathBuf>) -> Plan {
        Plan {
            program: program.into(),
            arguments: Vec::new(),
            directory: None,
            env: Vec::new(),
            stderr: None,
            open_files_max: None,
            sockets: Arc::new([]),
            filter: None,
            start_max: DEADLINE,
        }
    }

    /// Adds arguments.
    pub fn with_arguments<A: AsRef<OsStr>>(mut self, arguments: &[A]) -> Plan {
        let added = arguments
            .iter()
            .map(|argument| argument.as_ref().to_owned());
        self.arguments.extend(added);
        self
    }

    /// Starts it in this directory.
    pub fn in_directory(mut self, directory: &Path) -> Plan {
        self.directory = Some(directory.to_owned());
        self
    }

    /// Gives it another standard error and a port of its own, because no reader can tell which one it took.
    pub fn saying_to(self, stderr: OwnedFd) -> Plan {
        let mut plan = self.with("PORT", &free_port().to_string());
        plan.stderr = Some(Arc::new(stderr));
        plan
    }

    /// Sets a variable.
    pub fn with(self, name: &str, value: &str) -> Plan {
        self.with_bytes(name, value.as_bytes())
    }

    /// Sets a variable to what need not be text.
    pub fn with_bytes(mut self, name: &str, value: &[u8]) -> Plan {
        self.env.retain(|(set, _)| set != name);
        let value = OsStr::from_bytes(value).to_owned();
        self.env.push((name.to_owned(), value));
        self
    }

    /// Takes a variable away.
    pub fn without(mut self, name: &str) -> Plan {
        self.env.retain(|(set, _)| set != name);
        self
    }

    /// Lets it open so many files and no more.
    pub fn with_open_files_max(mut self, files: u32) -> Plan {
        self.open_files_max = Some(files);
        self
    }

    /// Passes it these listening sockets as a service manager does; they stay open here.
    pub fn with_sockets(mut self, sockets: Vec<OwnedFd>) -> Plan {
        let count = sockets.len().to_string();
        self.sockets = sockets.into();
        self.with("LISTEN_FDS", &count)
    }

    /// Filters its system calls.
    pub fn under(mut self, filter: BpfProgram) -> Plan {
        self.filter = Some(filter);
        self
    }

    /// Lets it take so long to listen, and as long again to be ready, instead of the usual deadline.
    pub fn with_start_max(mut self, start_max: Duration) -> Plan {
        self.start_max = start_max;
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start(&self) -> Gateway {
        match self.try_start() {
            Ok(gateway) => gateway,
            Err(ended) => panic!("the gateway did not get ready: {ended}"),
        }
    }

    /// Starts it and waits until it is ready, or has ended.
    pub fn try_start(&self) -> Result<Gateway, Box<Ended>> {
        let mut gateway = self.launch()?;
        match gateway.wait_until_ready(self.start_max) {
            Ok(()) => {}
            Err(Unready::Ended(ended)) => return Err(ended),
            Err(late) => panic!("{late}"),
        }
        if self.stderr.is_none() {
            gateway.wait_until_recovered();
        }
        Ok(gateway)
    }

    /// Starts it, does something once it has said this, and waits until it is ready.
    pub fn start_when(&self, said: &str, then: impl FnOnce()) -> Gateway {
        let process = self.spawn();
        process.wait_until_said(said);
        then();
        let mut gateway = match self.listening(process) {
            Ok(gateway) => gateway,
            Err(ended) => panic!("no start: {ended}"),
        };
        gateway.wait_until_recovered();
        match gateway.wait_until_ready(self.start_max) {
            Ok(()) => gateway,
            Err(unready) => panic!("{unready}"),
        }
    }

    /// Starts it, asks it to stop once it has said this, and returns how it did.
    pub fn end_when(&self, said: &str) -> Ended {
        let mut process = self.spawn();
        process.wait_until_said(said);
        process.stop()
    }

    /// Starts it and waits until it listens, or has ended.
    pub fn launch(&self) -> Result<Gateway, Box<Ended>> {
        self.listening(self.spawn())
    }

    /// Starts it, expects it to end by itself, and returns how it did.
    pub fn run_to_end(&self) -> Ended {
        self.spawn().ended(DEADLINE)
    }

    fn listening(&self, mut process: Process) -> Result<Gateway, Box<Ended>> {
        if self.stderr.is_some() {
            let port = self.env.iter().find(|(name, _)| name == "PORT");
            let port = port.and_then(|(_, port)| port.to_str()?.parse::<u16>().ok());
            let address = SocketAddr::from(([127, 0, 0, 1], port.expect("a port of its own")));
            return Ok(Gateway::at(address, process));
        }
        match process.lines().wait_for(self.start_max, address_in) {
            Some(address) => Ok(Gateway::at(address, process)),
            None => Err(Box::new(process.ended(DEADLINE))),
        }
    }

    /// The program itself, or a shell that prepares and becomes it.
    fn command(&self) -> Command {
        let limit = self.open_files_max.map(|it| format!("ulimit -n {it} && "));
        let id = (!self.sockets.is_empty()).then_some("LISTEN_PID=$$ ");
        if limit.is_none() && id.is_none() {
            return Command::new(&self.program);
        }
        let mut shell = Command::new("/bin/sh");
        let (limit, id) = (limit.unwrap_or_default(), id.unwrap_or_default());
        let script = format!("{limit}{id}exec \"$0\" \"$@\"");
        shell.arg("-c").arg(script).arg(&self.program);
        let passed = self
            .sockets
            .iter()
            .zip(3..)
            .map(|(socket, child_fd)| FdMapping {
                parent_fd: socket.try_clone().expect("a descriptor"),
                child_fd,
            });
        shell
            .fd_mappings(passed.collect())
            .expect("numbers that differ");
        shell
    }

    fn spawn(&self) -> Process {
        let mut command = self.command();
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(match &self.stderr {
                Some(stderr) => Stdio::from(stderr.try_clone().expect("a descriptor")),
                None => Stdio::piped(),
            });
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let started = match &self.filter {
            Some(filter) => Process::start_under(filter.clone(), command),
            None => Process::start(command),
        };
        started.unwrap_or_else(|error| panic!("{}: {error}", self.program.display()))
    }
}
