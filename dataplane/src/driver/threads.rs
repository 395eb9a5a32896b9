//! Runs the process: one pinned thread per shard, and the calling thread for the keeper, which also reads signals and
//! operators' commands. It starts and ends threads and carries out the keeper's operations; it decides nothing.

use super::agent::start::Start;
use super::agent::{AgentSetup, AgentThread};
use super::console::Console;
use super::doorbell::Doorbell;
use super::files::FileExecutor;
use super::group::ReadGroup;
use super::line_socket::LineSocket;
use super::links::{KeeperLinks, Links, link};
use super::listen::Listener;
use super::portable::Portable;
use super::probe::DriverKind;
use super::rate::Buckets;
use super::service_manager::ServiceManager;
use super::signal::Ends;
use super::uring::Uring;
use super::{
    DriverError, DriverLimits, Ended, Machine, ShardDriver, ShardSetup, StageProbe, affinity, clock,
};
use crate::exit::Exit;
use crate::io::{Now, ShardId};
use crate::keeper::Keeper;
use crate::keeper::notice::Notice;
use crate::keeper::port::{KeeperEvent, KeeperOp, KeeperOps};
use crate::logs::events::{Failed, Stopped};
use crate::mesh::keeper::ToShard;
use crate::planted::{Point, pass};
use crate::stats::Stats;
use crate::wal::files::SOCKET;
use rustix::event::{PollFd, PollFlags, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// Exit code if the operating system refuses a call.
const EX_OSERR: i32 = Exit::Refused as i32;
/// A command of an operator is shorter than this.
const COMMAND_BYTES_MAX: usize = 64 * 1024;

/// The keeper as a state machine, or a stub in tests.
pub trait KeeperMachine {
    /// One step.
    fn step(&mut self, events: &mut dyn Iterator<Item = KeeperEvent>, now: Now) -> KeeperOps;
}

impl KeeperMachine for Keeper {
    fn step(&mut self, events: &mut dyn Iterator<Item = KeeperEvent>, now: Now) -> KeeperOps {
        Keeper::step(self, events, now)
    }
}

impl ShardDriver for DriverKind {
    fn run<M: Machine>(self, setup: ShardSetup, mut machine: M) -> Result<Ended, DriverError> {
        match self {
            DriverKind::Uring => Uring::new(setup).map(|mut driver| driver.run(&mut machine)),
            DriverKind::Portable => Portable::new(setup).map(|mut driver| driver.run(&mut machine)),
        }
    }
}

/// What the process runs on.
pub struct Process<D> {
    /// The driver of all shards.
    pub driver: D,
    /// One CPU per shard.
    pub cores: Vec<usize>,
    /// One listening socket per shard.
    pub listeners: Vec<Listener>,
    /// The directory of the log, open.
    pub directory: OwnedFd,
    /// Its lock, held.
    pub lock: OwnedFd,
    /// The group whose members may read the log.
    pub readers: Option<ReadGroup>,
    /// The memory of the statistics, for those who ask for it on the operators' socket.
    pub statistics: Option<OwnedFd>,
    /// Its path, for the operators' socket.
    pub directory_path: PathBuf,
    /// Rates and quotas of the process.
    pub buckets: Arc<Buckets>,
    /// Sizes of each shard's driver.
    pub limits: DriverLimits,
    /// Messages that one ring of the mesh holds: [`crate::mesh::ring_messages`].
    pub ring_messages: usize,
    /// Requests to end; read since before any other thread started.
    pub ends: Arc<Ends>,
    /// Log lines.
    pub console: Console,
    /// Shards serve on for this long after the first request to end.
    pub drain_delay: Duration,
    /// After that, the process ends within this time even if threads hang.
    pub stop_bound: Duration,
    /// Told when the gateway serves, lives and stops.
    pub manager: Arc<ServiceManager>,
    /// What the configuration agent begins with; none: this process takes no configuration.
    pub configuration: Option<Configuration>,
}

/// What the configuration agent begins with.
pub struct Configuration {
    /// The snapshot in force, and those that are stored.
    pub start: Start,
    /// Where its number is shown.
    pub stats: Arc<Stats>,
}

/// Raises the soft limit of open files to the hard limit.
pub fn raise_open_files() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Only a seccomp filter refuses this; then the limit stays.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current
}

/// Runs shards and keeper until the keeper ends the process; returns its exit code. If a shard stops or a driver fails, the
/// process ends at once with its code.
///
/// Machines are made on the threads that run them. `say` gets the keeper's notices; `probes` makes the stage probe of each
/// shard.
pub fn run<M: Machine + 'static, K: KeeperMachine, D: ShardDriver>(
    process: Process<D>,
    machine: impl Fn(ShardId) -> M + Clone + Send + 'static,
    keeper: impl FnOnce() -> K,
    say: impl FnMut(Notice),
    probes: impl Fn(ShardId) -> Box<dyn StageProbe>,
) -> Result<i32, DriverError> {
    let bells = process.cores.iter().map(|_| Doorbell::new().map(Arc::new));
    let shard_bells = bells.collect::<Result<Vec<_>, _>>()?;
    let keeper_bell = Arc::new(Doorbell::new()?);
    let (links, keeper_links) = link(&shard_bells, &keeper_bell, process.ring_messages);
    let (directory, path) = (process.directory.as_fd(), &process.directory_path);
    let commands = operators_socket(directory, path, process.readers, process.statistics)?;
    let installation = Arc::new(OnceLock::new());
    let agent = match process.configuration {
        Some(Configuration { start, stats }) => {
            let setup = AgentSetup {
                start,
                mail: keeper_links.mail(),
                keeper: keeper_links.keeper_mail(),
                stats,
                console: process.console.clone(),
                installation: Arc::clone(&installation),
            };
            Some(AgentThread::start(setup, directory, path)?)
        }
        None => None,
    };
    let mut executor = KeeperExecutor {
        installation,
        keeper: keeper(),
        links: keeper_links,
        files: FileExecutor::new(process.directory)
            .with_lock(process.lock)
            .with_readers(process.readers),
        commands,
        ends: process.ends,
        console: process.console.clone(),
        drain_delay: process.drain_delay,
        stop_bound: process.stop_bound,
        manager: process.manager,
        alive_due_us: 0,
        say,
        events: Vec::new(),
        wake_at_us: u64::MAX,
    };
    let driver = process.driver;
    let console = process.console;
    let mut threads = Vec::with_capacity(process.cores.len());
    let shards = links.into_iter().zip(process.listeners).zip(process.cores);
    for (((links, listener), cpu), shard) in shards.zip(0..) {
        let setup = ShardSetup {
            shard: ShardId(shard),
            listener,
            links,
            buckets: Arc::clone(&process.buckets),
            probe: probes(ShardId(shard)),
            limits: process.limits,
        };
        let (machine, console) = (machine.clone(), console.clone());
        threads.push(start_shard(driver, cpu, setup, machine, console)?);
    }
    let ended = executor.run();
    match ended {
        Ok(0) => executor.end_cleanly(agent, threads),
        // Shards may still be writing, so the directory stays locked until the process is gone.
        _ => std::mem::forget(executor),
    }
    ended
}

/// The socket that operators and readers send commands to.
fn operators_socket(
    directory: BorrowedFd<'_>,
    path: &Path,
    readers: Option<ReadGroup>,
    statistics: Option<OwnedFd>,
) -> Result<LineSocket, DriverError> {
    let socket = LineSocket::listen(directory, path, SOCKET, COMMAND_BYTES_MAX)?;
    let mut socket = socket.open_to(readers)?;
    socket.publish(statistics);
    Ok(socket)
}

fn start_shard<M: Machine + 'static>(
    driver: impl ShardDriver,
    cpu: usize,
    setup: ShardSetup,
    machine: impl FnOnce(ShardId) -> M + Send + 'static,
    console: Console,
) -> Result<JoinHandle<()>, DriverError> {
    let shard = setup.shard;
    std::thread::Builder::new()
        .name(format!("flk-shard-{}", shard.0))
        .spawn(move || {
            if let Err(error) = affinity::pin(cpu) {
                let reason = format!("shard {}: cannot run on CPU {cpu}: {error}", shard.0);
                end_process(&console, shard, EX_OSERR, reason);
            }
            match driver.run(setup, machine(shard)) {
                Ok(Ended::Asked) => {}
                Ok(Ended::Stopped(stop)) => end_process(&console, shard, stop.code, stop.reason),
                Ok(Ended::Failed(error)) | Err(error) => {
                    let reason = format!("shard {}: {error}", shard.0);
                    end_process(&console, shard, EX_OSERR, reason);
                }
            }
        })
        .map_err(|error| DriverError::new("start a shard's thread", error))
}

/// Ends the process from any thread. It waits only for the line with the reason.
fn end_process(console: &Console, shard: ShardId, code: i32, reason: String) -> ! {
    let event = Failed {
        exit_code: exit_code(code),
        shard: Some(shard.0),
    };
    console.say(event, reason);
    console.flush();
    exit(code)
}

fn exit_code(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(1)
}

/// The keeper, and everything that its operations need.
struct KeeperExecutor<K, S> {
    keeper: K,
    links: KeeperLinks,
    /// Dropped before the files: the directory must be locked while the socket is removed.
    commands: LineSocket,
    files: FileExecutor,
    ends: Arc<Ends>,
    console: Console,
    drain_delay: Duration,
    stop_bound: Duration,
    manager: Arc<ServiceManager>,
    /// When the manager is notified next that this process lives.
    alive_due_us: u64,
    say: S,
    events: Vec<KeeperEvent>,
    wake_at_us: u64,
    /// Set for the configuration agent when recovery has read it.
    installation: Arc<OnceLock<[u8; 16]>>,
}

impl<K: KeeperMachine, S: FnMut(Notice)> KeeperExecutor<K, S> {
    /// Ends the other threads. Bytes queued to clients are sent before their sockets close.
    fn end_cleanly(self, agent: Option<AgentThread>, threads: Vec<JoinHandle<()>>) {
        self.ends.note_clean();
        self.links.tell_all_to_end();
        if let Some(agent) = agent {
            agent.end();
        }
        for thread in threads {
            // In a release build a panic has aborted the process already.
            let _ = thread.join();
        }
    }

    fn run(&mut self) -> Result<i32, DriverError> {
        loop {
            let now = clock::now();
            let mut events = std::mem::take(&mut self.events);
            let ops = self.keeper.step(&mut events.drain(..), now);
            self.events = events;
            for op in ops {
                if let Some(code) = self.carry_out(op) {
                    return Ok(code);
                }
            }
            self.wait()?;
            self.collect();
        }
    }

    /// Carries out one operation; returns the exit code if it ends the process.
    fn carry_out(&mut self, op: KeeperOp) -> Option<i32> {
        match op {
            KeeperOp::File(op) => {
                pass(Point::KeeperFile);
                let result = self.files.run(op);
                pass(Point::KeeperFileDone);
                self.events.push(KeeperEvent::FileDone(result));
            }
            KeeperOp::ToShard(shard, message) => {
                if let ToShard::Begin(begin) = &message {
                    // The first of several shards sets it; all have the same.
                    let _ = self.installation.set(begin.installation);
                }
                if matches!(message, ToShard::Serve { .. }) && shard == ShardId(0) {
                    self.manager.say_ready();
                }
                if matches!(message, ToShard::Serve { .. }) {
                    // The start is over: from now on the keeper handles requests to end.
                    let (delay, bound) = (self.drain_delay, self.stop_bound);
                    self.ends.ask(self.links.bell(), delay, bound);
                }
                self.links.tell(shard, message);
            }
            KeeperOp::Reply { id, text } => self.commands.reply(id, &text),
            KeeperOp::Notify(notice) => (self.say)(notice),
            KeeperOp::Wake(at_us) => self.wake_at_us = at_us,
            KeeperOp::Exit { code, reason } => {
                match (reason.is_empty(), exit_code(code)) {
                    (true, _) => {}
                    (false, 0) => self.console.say(Stopped {}, reason),
                    (false, exit_code) => {
                        let shard = None;
                        self.console.say(Failed { exit_code, shard }, reason);
                    }
                }
                return Some(code);
            }
        }
        None
    }

    /// Sleeps until something happens, unless a completed file operation has not been reported.
    fn wait(&mut self) -> Result<(), DriverError> {
        let now_us = clock::now().mono_us;
        self.alive_due_us = self.manager.say_alive(now_us, self.alive_due_us);
        let bell = Arc::clone(self.links.bell());
        let (links, ends) = (&mut self.links, &self.ends);
        let sleeps =
            self.events.is_empty() && bell.may_sleep(|| links.is_empty() && ends.is_none());
        let wait_us = if sleeps {
            let at_us = self.wake_at_us.min(self.commands.wake_at_us(now_us));
            let at_us = at_us.min(self.alive_due_us);
            at_us.saturating_sub(now_us).min(3_600_000_000)
        } else {
            0
        };
        let wait = clock::timespec(wait_us);
        let mut polled = vec![PollFd::from_borrowed_fd(bell.eventfd(), PollFlags::IN)];
        let all = self.commands.polled(now_us);
        polled.extend(all.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
        let polled_result = poll(&mut polled, Some(&wait));
        let rung = !polled[0].revents().is_empty();
        bell.woke_up();
        if rung {
            bell.silence();
        }
        match polled_result {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(DriverError::new("poll", error)),
        }
    }

    /// Turns messages, commands and signals into events.
    fn collect(&mut self) {
        while let Some((shard, message)) = self.links.try_take() {
            self.events.push(KeeperEvent::FromShard(shard, message));
        }
        while let Some(event) = self.links.try_take_from_agent() {
            self.events.push(event);
        }
        let mut lines = Vec::new();
        self.commands.work(clock::now().mono_us, &mut lines);
        let commands = lines.into_iter();
        self.events
            .extend(commands.map(|(id, line)| KeeperEvent::Command { id, line }));
        // Every one counts: the second request ends the drain delay.
        for _ in 0..self.ends.take_count() {
            self.manager.say_stopping();
            self.events.push(KeeperEvent::Terminate);
        }
        if self.wake_at_us <= clock::now().mono_us {
            self.wake_at_us = u64::MAX;
            self.events.push(KeeperEvent::Tick);
        }
    }
}

/// A shard's side of the links is not `Sync`; it moves to its thread once.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Links>();
};
