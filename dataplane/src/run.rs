//! From a checked configuration to a running gateway: what the host allows is found out, said, and handed to the threads.
//! It owns the order of a start; it serves nothing itself.

mod announce;
mod log_size;
mod memory;

use crate::config::units::show_bytes;
use crate::config::{Config, warnings};
use crate::driver::affinity::{allowed_cpus, choose_cores, quota_cpus};
use crate::driver::console::{Console, last_words};
use crate::driver::descriptors::{self, Places};
use crate::driver::directory::{DirectoryError, open_directory};
use crate::driver::flush_time::flush_time;
use crate::driver::holder::Holder;
use crate::driver::listen::{PORT_WAIT, listeners, local_address};
use crate::driver::lock::{LockError, lock_directory};
use crate::driver::memory::memory_limit;
use crate::driver::probe::{WriteMethod, choose, write_method};
use crate::driver::rate::Rate;
use crate::driver::signal::{Ends, Signals};
use crate::driver::threads::{self, Process, raise_open_files};
use crate::driver::{self, DriverError, Machine, NoProbe};
use crate::event::{Driver, Inbox, Next, Outbox};
use crate::exit::Exit;
use crate::io::{Errno, Now, ShardId};
use crate::keeper::Keeper;
use crate::keeper::config::KeeperConfig;
use crate::keeper::slice_memory::MemoryRoom;
use crate::keeper::stop::{STOP_MORE_US, STOP_US};
use crate::mesh::ring_messages;
use crate::shard::Shard;
use crate::shard::config::{Limits, ShardConfig};
use crate::stats::Stats;
use crate::wal::manifest::MANIFEST_BYTES_MAX;
use announce::{Found, announce};
use flk_contract::Params;
use log_size::{LogSize, volume_bytes};
use memory::dedup_memory;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

impl Machine for Shard {
    fn turn<D: Driver>(
        &mut self,
        inbox: &mut Inbox,
        now: Now,
        driver: &mut D,
        outbox: &mut Outbox,
    ) -> Next {
        Shard::turn(self, inbox, now, driver, outbox)
    }
}

/// How much memory the dedup tables of so many shards would get, and why, in words.
///
/// # Errors
/// Why a start would refuse.
pub fn memory_plan(asked: Option<u64>, shards: u16) -> Result<String, String> {
    let plan = dedup_memory(asked, memory_limit(), shards, &Limits::default())?;
    Ok(format!(
        "{} for dedup tables: {}",
        show_bytes(plan.bytes),
        plan.why
    ))
}

/// How long segments would be and how much all of the log may take on a file system of so many bytes, in words.
///
/// # Errors
/// Why a start would refuse.
pub fn log_plan(config: &Config, volume_bytes: u64, shards: u16) -> Result<String, String> {
    let (bytes_max, segment_bytes) = (config.wal_bytes_max, config.segment_bytes);
    let size = LogSize::choose(bytes_max, segment_bytes, volume_bytes, shards)?;
    Ok(size.in_words())
}

/// What every start takes before anything else: the process's signals, and a way to say lines that cannot hold it up.
pub struct Surroundings {
    console: Console,
    ends: Arc<Ends>,
}

impl Surroundings {
    /// Takes them, on the main thread, before any other thread is started.
    ///
    /// # Errors
    /// The exit code; the reason was said.
    pub fn take() -> Result<Surroundings, ExitCode> {
        let taken = || {
            let signals = Signals::block()?;
            let console = Console::start()?;
            console.say_panics();
            let ends = signals.watch(console.clone())?;
            Ok::<_, DriverError>(Surroundings { console, ends })
        };
        taken().map_err(|error| {
            last_words(&format!("flk: {error}"));
            ExitCode::from(Exit::Refused.code())
        })
    }

    /// Warns of variables of the environment that look like settings and are none.
    fn warn_of_unknown(&self) {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for warning in warnings(&names.collect::<BTreeSet<_>>()) {
            self.say(format!("flk: warning: {warning}"));
        }
    }

    /// Says a line to the operator.
    pub fn say(&self, line: impl Into<String>) {
        self.console.say(line);
    }

    /// The end of the process where it did not come to a start, with the line that says why.
    pub fn end(&self, code: u8, reason: &str) -> ExitCode {
        self.console.say(reason);
        self.console.flush();
        ExitCode::from(code)
    }
}

/// What a program around the gateway adds to a run.
pub struct Around<'a> {
    /// Called once the directory and the port are this process's, with the address that it listens on.
    pub listening: &'a dyn Fn(SocketAddr),
    /// Variables that the user gave as options of that program, each with what was typed.
    pub typed: &'a [(&'a str, &'a str)],
}

impl Around<'_> {
    /// Names what was typed instead of the variable that it stood for.
    fn as_typed(&self, reason: String) -> String {
        let typed = self.typed.iter();
        typed.fold(reason, |reason, (variable, option)| {
            reason.replace(variable, option)
        })
    }
}

/// Why a gateway did not come to serve.
#[derive(Debug)]
struct StartError {
    exit: Exit,
    reason: String,
}

impl StartError {
    fn of(exit: Exit) -> impl Fn(&dyn Display) -> StartError {
        move |reason| StartError {
            exit,
            reason: reason.to_string(),
        }
    }
}

impl From<DriverError> for StartError {
    fn from(error: DriverError) -> StartError {
        StartError::of(Exit::Refused)(&error)
    }
}

/// Runs a gateway until it is told to stop; the exit code of the process. Start-up lines and notices go to standard error.
pub fn run(config: Config, surroundings: &Surroundings) -> ExitCode {
    let nothing = Around {
        listening: &|_| (),
        typed: &[],
    };
    run_within(config, surroundings, &nothing)
}

/// The same inside another program.
pub fn run_within(config: Config, surroundings: &Surroundings, around: &Around<'_>) -> ExitCode {
    match start(config, surroundings, around.listening) {
        Ok(code) => {
            surroundings.console.flush();
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
        Err(StartError { exit, reason }) => {
            let reason = around.as_typed(reason);
            surroundings.end(exit.code(), &format!("flk: {reason}"))
        }
    }
}

/// From a configuration to a served port, in the order in which a second gateway on the same directory or port must not
/// get further: the lock, the disk, the port, and only then the operators' socket and the shards.
fn start(
    config: Config,
    surroundings: &Surroundings,
    listening: &dyn Fn(SocketAddr),
) -> Result<i32, StartError> {
    let wrong = StartError::of(Exit::Configuration);
    let console = &surroundings.console;
    surroundings.warn_of_unknown();
    let files_max = raise_open_files();
    let files_open = descriptors::open_count();
    let allowed = allowed_cpus().map_err(|error| wrong(&error))?;
    let cores = choose_cores(config.cores.as_deref(), &allowed, quota_cpus());
    let cores = cores.map_err(|error| wrong(&error))?;
    let shards = u16::try_from(cores.len());
    let shards = shards.map_err(|_| wrong(&"FLK_CORES: more than 65535 cores"))?;
    let limit = memory_limit();
    let dedup = dedup_memory(
        config.dedup_memory_bytes_max,
        limit,
        shards,
        &Limits::default(),
    );
    let dedup = dedup.map_err(|reason| wrong(&reason))?;
    let shares = Shares {
        shards,
        dedup_bytes: dedup.bytes,
        memory: dedup.room,
    };
    let enough = descriptors::allow_files(files_max, files_open, shards);
    enough.map_err(|error| wrong(&error))?;
    let driver = choose(config.driver).map_err(|error| wrong(&error))?;
    let limits = Limits::default();
    let wanted = (limits.connections_max, limits.connections_spare);
    let places = descriptors::places(files_max, files_open, driver.kind, shards, wanted);
    let places = places.map_err(|error| wrong(&error))?;
    let directory = open_directory(&config.wal_dir).map_err(|error| no_directory(&error))?;
    let lock = lock(&config, directory.as_fd(), console)?;
    let volume_bytes = volume_bytes(directory.as_fd());
    let volume_bytes = volume_bytes.map_err(|error| disk_error("measuring", &config, &error))?;
    let log_size = LogSize::choose(
        config.wal_bytes_max,
        config.segment_bytes,
        volume_bytes,
        shards,
    );
    let log_size = log_size.map_err(|reason| wrong(&reason))?;
    let (method, flush) = probe_disk(&config, directory.as_fd())?;
    let listeners = listen(&config, cores.len(), console)?;
    let address = match listeners.first() {
        Some(listener) => local_address(listener)?,
        None => config.listen,
    };
    let found = Found {
        cores: &cores,
        address,
        driver: &driver,
        method: &method,
        log_size: &log_size,
        flush,
        dedup: &dedup,
        places: &places,
        files_max,
    };
    announce(&config, &found, console);
    listening(address);

    let mut stats = Stats::new(shards);
    stats.log_lines_dropped = console.dropped_count();
    let stats = Arc::new(stats);
    let shard_config = shard_config(&config, &places, shares, &stats);
    let limits = shard_config.limits;
    let keeper_config = keeper_config(&config, shares, &log_size, &method, &stats);
    let process = Process {
        driver: driver.kind,
        cores,
        listeners,
        directory,
        lock,
        directory_path: config.wal_dir.clone(),
        rate: Arc::new(Rate::new(config.token_rate)),
        limits: driver::DriverLimits {
            connections_max: limits.connections_table(),
            ..driver::DriverLimits::default()
        },
        ring_messages: ring_messages(limits.flights_max as usize) + PRESSURE_MESSAGES,
        ends: Arc::clone(&surroundings.ends),
        console: console.clone(),
        drain_delay: config.drain_delay,
        stop_bound: Duration::from_micros(STOP_US + STOP_MORE_US),
    };
    let machine = move |id| {
        Shard::new(ShardConfig {
            id,
            ..shard_config.clone()
        })
    };
    let code = threads::run(
        process,
        machine,
        move || Keeper::new(keeper_config),
        |notice| console.say(format!("flk: {notice}")),
        |_| Box::new(NoProbe),
    )?;
    Ok(code)
}

/// WAL_DIR could not be made or opened. Where the file system refuses or fails, the end is that of any other file operation,
/// whether the directory was there or not; the rest is a path that can be no directory.
fn no_directory(error: &DirectoryError) -> StartError {
    let failed = |errno: Errno| errno.is_refusal() || errno == Errno::ENOSPC || errno == Errno::EIO;
    let exit = match error.error.raw_os_error() {
        Some(errno) if failed(Errno(errno)) => Exit::File,
        _ => Exit::Configuration,
    };
    StartError::of(exit)(error)
}

/// Takes WAL_DIR for this process.
fn lock(
    config: &Config,
    directory: BorrowedFd<'_>,
    console: &Console,
) -> Result<OwnedFd, StartError> {
    let waiting = |holder: &Holder| {
        console.say(format!(
            "flk: WAL_DIR is in use by {holder}, which is ending: waiting up to 5 s for it"
        ));
    };
    lock_directory(directory, waiting).map_err(|error| match error {
        LockError::Held(_) => StartError::of(Exit::Locked)(&error),
        LockError::Ending(_) => StartError::of(Exit::Again)(&error),
        LockError::File(error) => disk_error("taking the lock of", config, &error),
    })
}

/// How the log is written to this disk, and how long a write takes.
fn probe_disk(
    config: &Config,
    directory: BorrowedFd<'_>,
) -> Result<(WriteMethod, Duration), StartError> {
    let probed = write_method(directory).and_then(|method| {
        let flush = flush_time(directory, &method)?;
        Ok((method, flush))
    });
    probed.map_err(|error| disk_error("writing a probe in", config, &error))
}

fn disk_error(doing: &str, config: &Config, error: &std::io::Error) -> StartError {
    let path = config.wal_dir.display();
    let check = Errno(error.raw_os_error().unwrap_or_default()).what_to_check();
    StartError::of(Exit::File)(&format!(
        "{doing} WAL_DIR {path}: {error}. {check}, then start again"
    ))
}

/// Takes the port, waiting a while where it is taken.
fn listen(config: &Config, shards: usize, console: &Console) -> Result<Vec<OwnedFd>, StartError> {
    let waiting = || {
        let address = config.listen;
        console.say(format!(
            "flk: {address} is taken: waiting up to 5 s for it (the kernel holds the port of a process that was just killed a little longer)"
        ));
    };
    listeners(config.listen, shards, PORT_WAIT, waiting).map_err(|error| {
        let exit = match error.is_taken() {
            true => Exit::Again,
            false => Exit::Configuration,
        };
        StartError::of(exit)(&error)
    })
}

/// Room in each ring for messages that belong to no request.
const PRESSURE_MESSAGES: usize = 64;

/// What is divided among the shards.
#[derive(Clone, Copy)]
struct Shares {
    shards: u16,
    dedup_bytes: u64,
    /// What all of the process may use.
    memory: Option<MemoryRoom>,
}

fn shard_config(
    config: &Config,
    places: &Places,
    shares: Shares,
    stats: &Arc<Stats>,
) -> ShardConfig {
    let Shares {
        shards,
        dedup_bytes,
        ..
    } = shares;
    let mut limits = Limits {
        connections_max: places.connections_max,
        connections_spare: places.connections_spare,
        ..Limits::default()
    };
    limits.http.body_bytes_max = config.body_bytes_max;
    limits.idle_timeout_us = config.keepalive.as_micros() as u64;
    ShardConfig {
        id: ShardId(0),
        shards,
        limits,
        signing: Arc::clone(&config.signing),
        params: Params::default(),
        ttl_s: config.dedup_ttl_s,
        dedup_bytes_max: dedup_bytes / u64::from(shards),
        rated: config.token_rate > 0,
        metrics_auth: config.metrics_auth.clone(),
        drain_delay_us: config.drain_delay.as_micros() as u64,
        stats: Arc::clone(stats),
    }
}

fn keeper_config(
    config: &Config,
    shares: Shares,
    log_size: &LogSize,
    method: &WriteMethod,
    stats: &Arc<Stats>,
) -> KeeperConfig {
    let Shares {
        shards,
        dedup_bytes,
        memory,
    } = shares;
    KeeperConfig {
        shards,
        segment_bytes: log_size.segment_bytes,
        preallocated_count: u32::from(shards),
        ttl_s: config.dedup_ttl_s,
        seal_bytes_max: 1 << 30,
        seal_every_us: 3_600_000_000,
        slices_count_max: 20,
        wal_bytes_max: config.wal_bytes_max,
        body_age_max_s: config.wal_age_max_s,
        dedup_memory_bytes_max: dedup_bytes,
        memory,
        drain_delay_us: config.drain_delay.as_micros() as u64,
        sync: method.sync,
        direct: method.direct,
        params: Params::default().version,
        manifest_bytes_max: MANIFEST_BYTES_MAX,
        stats: Arc::clone(stats),
        pid: std::process::id(),
    }
}
