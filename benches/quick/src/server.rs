//! The server under test as a child process: started on a free port, awaited until ready, stopped by SIGTERM.
//! It ends only the process that it started, and removes only the log directory that it made.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::scrape;

/// The key of both sides; it signs nothing outside this run.
pub(crate) const KEY: &str = "bench-quick key, of no use elsewhere";

const READY_MAX: Duration = Duration::from_secs(30);
const STOP_MAX: Duration = Duration::from_secs(15);
const POLL_EVERY: Duration = Duration::from_millis(20);

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    log_path: PathBuf,
    wal_dir: Option<PathBuf>,
}

impl Server {
    /// The bare server; it answers any path.
    pub(crate) fn floor(binary: &Path, work_dir: &Path) -> io::Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(binary);
        command.arg(address.to_string());
        Self::start(command, address, work_dir.join("floor.log"), None)
    }

    /// The gateway with an empty log and one key. It gets one CPU by the affinity which it inherits, so one shard;
    /// of our own environment only the choice of driver is passed on.
    pub(crate) fn gateway(binary: &Path, work_dir: &Path) -> io::Result<Self> {
        let address = free_address()?;
        let wal_dir = work_dir.join(format!("wal-{}", std::process::id()));
        std::fs::create_dir_all(&wal_dir)?;
        let mut command = Command::new(binary);
        command.env_clear();
        for name in ["PATH", "FLK_DRIVER", "FLK_CORES", "DEDUP_MEMORY_MAX"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("LISTEN", address.ip().to_string())
            .env("PORT", address.port().to_string())
            .env("WAL_DIR", &wal_dir)
            .env("PCS_HMAC_KEY", KEY);
        Self::start(
            command,
            address,
            work_dir.join("gateway.log"),
            Some(wal_dir),
        )
    }

    fn start(
        mut command: Command,
        address: SocketAddr,
        log_path: PathBuf,
        wal_dir: Option<PathBuf>,
    ) -> io::Result<Self> {
        let log = File::create(&log_path)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Self {
            child,
            address,
            log_path,
            wal_dir,
        };
        server.await_ready()?;
        Ok(server)
    }

    /// The process id, for its CPU time.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn await_ready(&mut self) -> io::Result<()> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failure(&format!("the server ended at once with {status}")));
            }
            let ready = scrape::get(self.address, "/readyz").is_ok_and(|(status, _)| status == 200);
            if ready {
                return Ok(());
            }
            if start.elapsed() > READY_MAX {
                return Err(self.failure(&format!(
                    "the server was not ready within {} s",
                    READY_MAX.as_secs()
                )));
            }
            std::thread::sleep(POLL_EVERY);
        }
    }

    fn failure(&self, what: &str) -> io::Error {
        let log = std::fs::read_to_string(&self.log_path).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(10)..].join("\n  ");
        io::Error::other(format!("{what}; its last lines:\n  {tail}"))
    }

    /// Asks it to stop and waits; ends it the hard way where it does not.
    pub(crate) fn stop(mut self) -> io::Result<()> {
        if let Some(id) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(id, Signal::TERM)?;
        }
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > STOP_MAX {
                return Err(self.failure(&format!(
                    "the server did not stop within {} s of SIGTERM",
                    STOP_MAX.as_secs()
                )));
            }
            std::thread::sleep(POLL_EVERY);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when the process has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(directory) = &self.wal_dir
            && let Err(error) = std::fs::remove_dir_all(directory)
        {
            eprintln!("bench-quick: {} remains: {error}", directory.display());
        }
    }
}

/// A port that was free a moment ago.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
