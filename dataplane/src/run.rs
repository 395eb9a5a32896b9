//! From a checked configuration to a running gateway: asks the host, takes the directory and the port, and starts the
//! threads. It owns the order of a start; it serves nothing itself.

mod announce;
mod disk;
mod host;
mod log_size;
mod memory;
mod port;
mod published;
mod time_limits;

pub use log_size::log_plan;
pub use memory::memory_plan;
pub use time_limits::TimeLimits;

use crate::config::{Config, Flags, read_wal_secret, unread_of_otel, warnings};
use crate::driver::agent::ReadSecret;
use crate::driver::agent::start::Start;
use crate::driver::console::{Console, last_words};
use crate::driver::core_dumps::CoreDumps;
use crate::driver::observer::{Observed, Observer};
use crate::driver::passed::{Passed, PassedError};
use crate::driver::probe::DriverKind;
use crate::driver::pulse::Pulse;
use crate::driver::rate::Buckets;
use crate::driver::sandbox::{self, Accessible, Readable, Sandbox, Wanted};
use crate::driver::service_manager::ServiceManager;
use crate::driver::shard_probe::ShardProbe;
use crate::driver::signal::{Ends, Signals};
use crate::driver::threads::{self, Configuration, Process};
use crate::driver::{self, DriverError, Machine, ShardDriver, clock};
use crate::event::{Driver, Inbox, Next, Outbox};
use crate::exit::Exit;
use crate::io::{Now, ShardId};
use crate::keeper::Keeper;
use crate::keeper::config::{KeeperConfig, MergeRule, REPACK_BYTES_MIN};
use crate::logs::events::{StartRefused, VariableUnknown};
use crate::logs::{self, Event, Line};
use crate::mesh::ring_messages;
use crate::shard::Shard;
use crate::shard::config::{AcceptsFrom, ShardConfig, ShardLimits};
use crate::snapshot::{Snapshot, Source, SourceFault};
use crate::stats::Stats;
use crate::wal::manifest::MANIFEST_BYTES_MAX;
use crate::wal::secret::Secret;
use announce::announce;
use disk::Disk;
use host::Host;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
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

/// What every start sets up first: the signals of the process, and log lines that cannot block it.
pub struct Surroundings {
    console: Console,
    ends: Arc<Ends>,
    manager: Arc<ServiceManager>,
    passed: Mutex<Result<Passed, PassedError>>,
}

impl Surroundings {
    /// Sets them up. To be called on the main thread before any other thread is started.
    ///
    /// # Errors
    /// The exit code; the reason has been printed.
    pub fn take() -> Result<Surroundings, ExitCode> {
        // Before any secret is read. A setting can take it back.
        CoreDumps::Refused.apply();
        // Before anything opens a descriptor.
        let passed = Passed::take();
        let taken = || {
            let signals = Signals::block()?;
            let console = Console::start()?;
            console.say_panics();
            let ends = signals.watch(console.clone())?;
            let manager = Arc::new(ServiceManager::of_environment());
            Ok::<_, DriverError>((console, ends, manager))
        };
        let surroundings = |(console, ends, manager)| Surroundings {
            console,
            ends,
            manager,
            passed: Mutex::new(passed),
        };
        taken().map(surroundings).map_err(|error| {
            let exit_code = Exit::Refused.code();
            last_words(StartRefused { exit_code }, error.to_string());
            ExitCode::from(exit_code)
        })
    }

    /// Warns of environment variables that look like settings and are not, or are not read although other programs would.
    fn warn_of_unknown(&self) {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let names: BTreeSet<String> = names.collect();
        for warning in warnings(&names).into_iter().chain(unread_of_otel(&names)) {
            // Each begins with the name.
            let variable = warning.split(' ').next().unwrap_or_default().to_owned();
            self.say(VariableUnknown { variable }, warning);
        }
    }

    /// The sockets that the service manager passed; none are left for a second call.
    fn take_passed(&self) -> Result<Passed, PassedError> {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *passed, Ok(Passed::default()))
    }

    /// From now on SIGHUP calls this, which must not wait: another process reloads the configuration.
    pub fn on_hang_up(&self, reload: Box<dyn Fn() + Send + Sync>) {
        self.ends.on_hang_up(reload);
    }

    /// Prints a line for the operator.
    pub fn say(&self, event: impl Event, message: impl Into<String>) {
        self.console.say(event, message);
    }

    /// Ends a process that does not start, with the line that says why.
    pub fn end(&self, code: u8, reason: &Line) -> ExitCode {
        self.end_with(code, std::slice::from_ref(reason))
    }

    /// The same with several reasons.
    pub fn end_with(&self, code: u8, reasons: &[Line]) -> ExitCode {
        for reason in reasons {
            self.console.put(reason);
            // Not one of them is dropped because there are many.
            self.console.flush();
        }
        ExitCode::from(code)
    }
}

/// What a program that embeds the gateway adds to a run.
pub struct Around<'a> {
    /// Called with the address when directory and port have been taken.
    pub listening: &'a dyn Fn(SocketAddr),
    /// Variables that the user set by options of that program, each with the option.
    pub typed: &'a [(&'a str, &'a str)],
    /// The exit code for a wrong value of one of them.
    pub wrongly_typed: u8,
    /// The time limits that no setting changes: the defaults, but for tests.
    pub time_limits: TimeLimits,
}

impl Around<'_> {
    /// The exit code and the reason, with the names of options in the place of those of variables.
    fn as_typed(&self, exit: Exit, reason: &str) -> (u8, String) {
        let is_typed = |(variable, _): &(&str, &str)| {
            let value = reason.strip_prefix(variable);
            value.is_some_and(|it| it.starts_with('='))
        };
        let code = match self.typed.iter().any(is_typed) {
            true => self.wrongly_typed,
            false => exit.code(),
        };
        let name = |word: &str| {
            let known = self.typed.iter().find(|(variable, _)| *variable == word);
            known.map_or(word.to_owned(), |(_, option)| (*option).to_owned())
        };
        // Names of variables are words: PORT is no part of IMPORT.
        let is_end = |it: char| !(it.is_ascii_alphanumeric() || it == '_');
        let words = reason.split_inclusive(is_end).map(|word| {
            let end = word.rfind(is_end).unwrap_or(word.len());
            name(&word[..end]) + &word[end..]
        });
        (code, words.collect())
    }
}

/// Why a gateway did not start.
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

/// Runs a gateway until it is stopped; returns the exit code. Start-up lines and notices go to standard error, and name a
/// setting as it was given.
pub fn run(config: Config, surroundings: &Surroundings, flags: &Flags) -> ExitCode {
    let given = flags.settings.iter();
    let given = given.map(|(variable, _)| (variable.name(), format!("--{}", variable.key())));
    let given: Vec<(&str, String)> = given.collect();
    let typed = given.iter().map(|(name, key)| (*name, key.as_str()));
    let around = Around {
        listening: &|_| (),
        typed: &typed.collect::<Vec<_>>(),
        wrongly_typed: Exit::Configuration.code(),
        time_limits: TimeLimits::default(),
    };
    run_within(config, surroundings, &around)
}

/// [`run`] inside another program.
pub fn run_within(config: Config, surroundings: &Surroundings, around: &Around<'_>) -> ExitCode {
    run_under(|found| found, config, surroundings, around)
}

/// [`run_within`] under a driver of that program, which is told the one that this host allows.
pub fn run_under<D: ShardDriver>(
    driver: impl FnOnce(DriverKind) -> D,
    config: Config,
    surroundings: &Surroundings,
    around: &Around<'_>,
) -> ExitCode {
    match start(driver, config, surroundings, around) {
        Ok(code) => {
            surroundings.console.flush();
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
        Err(StartError { exit, reason }) => {
            let (exit_code, reason) = around.as_typed(exit, &reason);
            let line = Line::new(StartRefused { exit_code }, reason);
            surroundings.end(exit_code, &line)
        }
    }
}

/// Runs the gateway. The order matters where a second gateway uses the same directory or port: lock, disk, port, and only
/// then the operators' socket and the shards. Nothing of the second one is visible before it is refused. The sandbox is
/// entered as soon as the port is there, because it holds for threads that are started later.
fn start<D: ShardDriver>(
    driver: impl FnOnce(DriverKind) -> D,
    config: Config,
    surroundings: &Surroundings,
    around: &Around<'_>,
) -> Result<i32, StartError> {
    let console = &surroundings.console;
    logs::set_format(config.log_format);
    surroundings.warn_of_unknown();
    if config.core_dumps == CoreDumps::Allowed {
        CoreDumps::Allowed.apply();
    }
    let secret = given_secret(&config)?;
    let host = Host::check(&config)?;
    let disk = Disk::take(&config, host.shards, console)?;
    let readable = Arc::new(OnceLock::new());
    let configuration = first_snapshot(&config, disk.directory.as_fd(), &readable)?;
    let (listeners, address) = port::listen(&config, host.cores.len(), surroundings)?;
    let sandbox = enter_sandbox(&config, &configuration, disk.directory.as_fd(), &readable);
    let found = (&host, &disk, &configuration);
    announce(&config, found, address, sandbox.as_ref(), console);
    (around.listening)(address);

    let (stats, statistics) = published::statistics(&config, &host, console);
    stats.begin(clock::now().wall_us);
    let stats = Arc::new(stats);
    let times = &around.time_limits;
    let pulses: Arc<[Pulse]> = host.cores.iter().map(|_| Pulse::default()).collect();
    let _observer = observe(&host, &stats, &pulses, console)?;
    let snapshot = Arc::clone(&configuration.snapshot);
    let accepts_from = port::accepts_from(&listeners);
    let shard_config = shard_config(&config, &host, accepts_from, snapshot, &stats, times);
    let keeper_config = keeper_config(&config, found, secret, &stats, times);
    let limits = shard_config.limits;
    let process = Process {
        driver: driver(host.driver.kind),
        cores: host.cores,
        listeners,
        directory: disk.directory,
        lock: disk.lock,
        readers: config.wal_dir_group,
        statistics,
        directory_path: config.wal_dir.clone(),
        buckets: Arc::new(Buckets::default()),
        limits: driver::DriverLimits {
            connections_max: limits.connections_table(),
            ..driver::DriverLimits::default()
        },
        ring_messages: ring_messages(limits.flights_max as usize, limits.looks_max as usize),
        ends: Arc::clone(&surroundings.ends),
        console: console.clone(),
        drain_delay: config.drain_delay,
        stop_bound: Duration::from_micros(times.stop_us + times.stop_more_us),
        manager: Arc::clone(&surroundings.manager),
        configuration: Some(Configuration {
            start: configuration,
            stats: Arc::clone(&stats),
        }),
    };
    let code = threads::run(
        process,
        move |id| Shard::new(shard_config.clone().of(id)),
        move || Keeper::new(keeper_config),
        |notice| console.put(&notice.line()),
        |id| Box::new(ShardProbe::new(id, Arc::clone(&stats), Arc::clone(&pulses))),
    )?;
    Ok(code)
}

/// Starts the thread that looks at shards and process from outside.
fn observe(
    host: &Host,
    stats: &Arc<Stats>,
    pulses: &Arc<[Pulse]>,
    console: &Console,
) -> Result<Observer, DriverError> {
    Observer::start(Observed {
        stats: Arc::clone(stats),
        pulses: Arc::clone(pulses),
        cores: host.cores.clone(),
        console: console.clone(),
    })
}

/// Gives up all that is not needed from here on. What is read later: files of keys, and what the kernel says of this process.
fn enter_sandbox(
    config: &Config,
    start: &Start,
    wal_dir: BorrowedFd<'_>,
    readable: &OnceLock<Readable>,
) -> Option<Sandbox> {
    if config.sandbox == Wanted::Off {
        return None;
    }
    let directories = config.paths_read.iter().cloned();
    let directories: BTreeSet<PathBuf> = directories
        .chain(start.directories_of_keys())
        .filter(|path| path.exists())
        .collect();
    let of_process = ["/proc/self", "/proc/stat"].map(PathBuf::from);
    let of_process = of_process.into_iter().filter(|path| path.exists());
    let read: Vec<PathBuf> = directories.iter().cloned().chain(of_process).collect();
    let sandbox = sandbox::enter(&Accessible {
        directory: wal_dir,
        read: &read,
    });
    if sandbox.restricts_files() {
        let own = [config.wal_dir.clone()];
        let _is_set_once = readable.set(Readable::of(directories.iter().chain(&own)));
    }
    Some(sandbox)
}

/// The secret that a new directory is to begin with. It is read before anything is made.
fn given_secret(config: &Config) -> Result<Option<Secret>, StartError> {
    let path = config.wal_secret_file.as_deref();
    let read = path.map(read_wal_secret).transpose();
    read.map_err(|error| StartError::of(Exit::Configuration)(&error))
}

/// Which snapshot is in force: the newest that is stored, or what the settings say.
fn first_snapshot(
    config: &Config,
    wal_dir: BorrowedFd<'_>,
    readable: &Arc<OnceLock<Readable>>,
) -> Result<Start, StartError> {
    let (secrets, readable) = (config.secrets.clone(), Arc::clone(readable));
    let read_secret = Box::new(move || {
        let (secrets, readable, pass) = (secrets.clone(), Arc::clone(&readable), secrets.pass());
        Box::new(move |source: &Source| {
            let loaded = secrets.load_in(&pass, source);
            loaded.map_err(|fault| explained(fault, source, readable.get()))
        }) as ReadSecret
    });
    let document = config.document.clone();
    let start = Start::read(wal_dir, config.snapshot, document, read_secret);
    start.map_err(|error| {
        let exit = match error.is_damage() {
            true => Exit::Damage,
            false => Exit::Configuration,
        };
        StartError::of(exit)(&error)
    })
}

/// A file that the sandbox keeps out of reach is refused by the system as one without permission.
fn explained(fault: SourceFault, source: &Source, readable: Option<&Readable>) -> SourceFault {
    let (SourceFault::Unreadable(why), Source::File { path, .. }) = (&fault, source) else {
        return fault;
    };
    match readable.and_then(|it| it.refusal(Path::new(path))) {
        Some(refusal) => SourceFault::Unreadable(format!("{why}: {refusal}")),
        None => fault,
    }
}

fn shard_config(
    config: &Config,
    host: &Host,
    accepts_from: AcceptsFrom,
    snapshot: Arc<Snapshot>,
    stats: &Arc<Stats>,
    times: &TimeLimits,
) -> ShardConfig {
    let mut limits = ShardLimits {
        connections_max: host.places.connections_max,
        connections_spare: host.places.connections_spare,
        ..times.of_shard(ShardLimits::default().with(config.look_ups))
    };
    limits.http.body_bytes_max = config.body_bytes_max;
    limits.http.batch_bytes_max = config.batch_bytes_max;
    limits.batch_lines_max = config.batch_lines_max;
    limits.idle_timeout_us = config.keepalive.as_micros() as u64;
    ShardConfig {
        id: ShardId(0),
        shards: host.shards,
        limits,
        snapshot,
        ttl_s: config.dedup_ttl_s,
        dedup_bytes_max: host.dedup.bytes / u64::from(host.shards),
        proxies: config.proxies.clone(),
        metrics_auth: config.metrics_auth.clone(),
        traces: config.traces,
        drain_delay_us: config.drain_delay.as_micros() as u64,
        accepts_from,
        stats: Arc::clone(stats),
    }
}

fn keeper_config(
    config: &Config,
    (host, disk, start): (&Host, &Disk, &Start),
    secret: Option<Secret>,
    stats: &Arc<Stats>,
    times: &TimeLimits,
) -> KeeperConfig {
    KeeperConfig {
        shards: host.shards,
        segment_bytes: disk.log_size.segment_bytes,
        preallocated_count: u32::from(host.shards),
        ttl_s: config.dedup_ttl_s,
        seal_bytes_max: 1 << 30,
        seal_every_us: 3_600_000_000,
        slices_count_max: 20,
        merges: MergeRule::default(),
        wal_bytes_max: config.wal_bytes_max,
        body_age_max_s: config.wal_age_max_s,
        hold_limit: config.hold_limit,
        repack_bytes_min: REPACK_BYTES_MIN,
        dedup_memory_bytes_max: host.dedup.bytes,
        memory: host.dedup.room,
        drain_delay_us: config.drain_delay.as_micros() as u64,
        stop_us: times.stop_us,
        sync: disk.method.sync,
        direct: disk.method.direct,
        params: start.snapshot.versions(),
        manifest_bytes_max: MANIFEST_BYTES_MAX,
        stats: Arc::clone(stats),
        region: config.region,
        secret,
        pid: std::process::id(),
    }
}
