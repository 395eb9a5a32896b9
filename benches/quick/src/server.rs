//! The server under test as a child process: started on a free port, awaited until ready, stopped by SIGTERM.
//! It ends only the process that it started, and removes only the log directory that it made.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flk_bench_load::cpu::CpuTime;
use flk_testkit::gateway::Gateway;
use flk_testkit::plan::Plan;

use crate::tree;

/// The key of both sides; it signs nothing outside this run.
pub(crate) const KEY: &str = "bench-quick key, of no use elsewhere";

/// A start takes no longer than this, or is given up.
const START_MAX: Duration = Duration::from_secs(900);

/// Dropped in this order: the process ends before its directory goes.
pub(crate) struct Server {
    pub(crate) running: Gateway,
    /// From the start of the process until it was ready.
    pub(crate) start: Duration,
    /// The process whose tree keeps its records, if that is another one.
    store: Option<u32>,
    _wal_dir: Option<WalDir>,
}

impl Server {
    /// The bare server; it answers any path.
    pub(crate) fn floor(binary: &Path) -> io::Result<Self> {
        let plan = Plan::bare(binary).with_arguments(&["127.0.0.1:0"]);
        Self::start(&plan)
    }

    /// The gateway with an empty log and one key. It gets one CPU by the affinity which it inherits, so one shard;
    /// of our own environment only the choice of driver is passed on.
    pub(crate) fn gateway(binary: &Path, work_dir: &Path) -> io::Result<Self> {
        Self::configured(binary, work_dir, "")
    }

    /// The same with a configuration file of this text.
    pub(crate) fn configured(binary: &Path, work_dir: &Path, text: &str) -> io::Result<Self> {
        Self::named("wal", binary, work_dir, text)
    }

    /// The same beside others, with this at the beginning of the name of its log directory.
    pub(crate) fn named(
        name: &str,
        binary: &Path,
        work_dir: &Path,
        text: &str,
    ) -> io::Result<Self> {
        let wal_dir = WalDir::make(work_dir, name)?;
        let server = Self::on(&wal_dir, binary, work_dir, text)?;
        Ok(Self {
            _wal_dir: Some(wal_dir),
            ..server
        })
    }

    /// The same on a log directory that outlives it.
    pub(crate) fn on(
        wal_dir: &WalDir,
        binary: &Path,
        work_dir: &Path,
        text: &str,
    ) -> io::Result<Self> {
        let mut plan = Self::plan(wal_dir, binary, work_dir, text)?;
        if let Some(value) = std::env::var_os("FLK_DRIVER") {
            plan = plan.with_bytes("FLK_DRIVER", value.as_encoded_bytes());
        }
        Self::start(&plan)
    }

    /// The gateway's shard under this driver or executor, on a log directory that outlives it. Executors read and open what the
    /// sandbox of the gateway forbids.
    pub(crate) fn ablation(
        wal_dir: &WalDir,
        binary: &Path,
        work_dir: &Path,
        under: &str,
    ) -> io::Result<Self> {
        let plan = Self::plan(wal_dir, binary, work_dir, "")?
            .with_arguments(&[under])
            .with("FLK_SANDBOX", "off");
        // As many connections as the portable driver allows: an executor has a descriptor for each, too.
        let plan = match under {
            "uring" => plan.with("FLK_DRIVER", "uring"),
            _ => plan.with("FLK_DRIVER", "portable"),
        };
        Self::start(&plan)
    }

    fn plan(wal_dir: &WalDir, binary: &Path, work_dir: &Path, text: &str) -> io::Result<Plan> {
        let file = work_dir.join("flk.toml");
        std::fs::write(&file, text)?;
        let mut plan = Plan::new(binary, &wal_dir.0)
            .with_start_max(START_MAX)
            .without("WAL_SEGMENT_BYTES")
            .with("LISTEN", "127.0.0.1")
            .with_bytes("FLK_CONFIG", file.as_os_str().as_encoded_bytes())
            .with("PCS_HMAC_KEY", KEY);
        for name in ["PATH", "FLK_CORES", "DEDUP_MEMORY_MAX"] {
            if let Some(value) = std::env::var_os(name) {
                plan = plan.with_bytes(name, value.as_encoded_bytes());
            }
        }
        Ok(plan)
    }

    /// A peer, with these arguments, whose records this process and its children keep.
    pub(crate) fn peer(binary: &Path, arguments: &[&str], store: Option<u32>) -> io::Result<Self> {
        let plan = Plan::bare(binary).with_arguments(arguments);
        let server = Self::start(&plan.with("PCS_HMAC_KEY", KEY))?;
        Ok(Self { store, ..server })
    }

    /// What the processes that keep its records have used so far.
    pub(crate) fn store_cpu(&self) -> io::Result<CpuTime> {
        self.store.map_or(Ok(CpuTime::default()), tree::cpu)
    }

    fn start(plan: &Plan) -> io::Result<Self> {
        let began = Instant::now();
        let mut running = plan.launch().map_err(io::Error::other)?;
        running
            .wait_until_ready(START_MAX)
            .map_err(io::Error::other)?;
        Ok(Self {
            running,
            start: began.elapsed(),
            store: None,
            _wal_dir: None,
        })
    }

    /// Asks it to stop and waits.
    pub(crate) fn stop(self) {
        self.running.stop();
    }
}

/// A log directory of this run.
pub(crate) struct WalDir(PathBuf);

impl WalDir {
    /// An empty one, with this at the beginning of its name.
    pub(crate) fn make(work_dir: &Path, name: &str) -> io::Result<Self> {
        let own = Self(work_dir.join(format!("{name}-{}", std::process::id())));
        std::fs::create_dir_all(&own.0)?;
        Ok(own)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WalDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("bench-quick: {} remains: {error}", self.0.display());
        }
    }
}
