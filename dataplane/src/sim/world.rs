//! The world of one seed: its clock, the queue of what will happen, and the runs of the process from first start to last
//! stop. What happens is spread over the files beside it: [`super::process`] hosts shards and keeper, [`super::files`]
//! carries out file operations, [`super::network`] moves bytes, [`super::clients`] asks, [`super::answers`] has answers judged,
//! [`super::truth`] knows what was lost.

use super::clients::{Client, Wanted};
use super::count::{Count, Counts};
use super::dice::Dice;
use super::disk::{Disk, Inode};
use super::network::Conn;
use super::operator::Operator;
use super::oracle::{Broken, Oracle, Property, Rules, broken};
use super::plan::{Cap, Ending, Faults, Hurry, Scenario, Settings};
use super::process::{Exit, Process};
use super::truth::Truth;
use crate::event::Event;
use crate::io::{Errno, Now};
use crate::keeper::port::{FileOp, KeeperEvent};
use crate::keeper::stop::STOP_US;
use crate::sim_trace;
use crate::wal::buffer::Blocks;
use crate::wal::epoch::origin;
use std::collections::BTreeMap;

/// Something that will happen.
pub enum Happening {
    /// A shard takes a turn.
    Turn(u16, u64),
    /// The keeper steps.
    KeeperStep,
    /// A log write ends.
    LogWritten {
        /// Whose.
        shard: u16,
        /// Its number in [`Truth::writes`].
        write: usize,
        /// The memory.
        blocks: Box<Blocks>,
        /// Bytes that are written, or the error.
        result: Result<u32, Errno>,
    },
    /// A log sync ends.
    LogSynced {
        /// Whose.
        shard: u16,
        /// The segment.
        inode: Inode,
        /// What was written up to here is covered.
        moment: u64,
        /// How it ends.
        result: Result<(), Errno>,
    },
    /// An event for a shard that carries no bytes.
    ToShard(u16, Event),
    /// A block read for a shard.
    SliceRead {
        /// Whose.
        shard: u16,
        /// Its name for it.
        id: crate::io::ReadId,
        /// The slice.
        inode: Inode,
        /// Where.
        offset: u64,
        /// Whether it fails.
        fails: bool,
    },
    /// An event for the keeper.
    ToKeeper(KeeperEvent),
    /// The time that the keeper asked for has come, if its token is still this.
    KeeperTick(u64),
    /// The keeper's file operation ends.
    FileDone(FileOp, Option<Errno>),
    /// A client acts, if its token is still this.
    Client(usize, u64),
    /// Every shard has heard that so much withheld time was released.
    ClockReleased(i64),
    /// Bytes reach the server.
    BytesToServer(u64, Vec<u8>),
    /// The client's FIN reaches the server.
    FinToServer(u64),
    /// The client's reset reaches the server.
    ResetToServer(u64),
    /// The kernel takes queued bytes of a connection.
    Drain(u64),
    /// Bytes reach a client.
    BytesToClient(usize, u64, Vec<u8>),
    /// The end of the server's bytes reaches a client.
    EofToClient(usize, u64),
}

struct Queued {
    /// The run that it belongs to; nothing: it survives the process.
    run: Option<u32>,
    what: Happening,
}

/// How a seed is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// More events than this in one run without an end are a failure.
    pub events_max: u64,
}

/// The world.
pub struct World {
    /// The only source of chance.
    pub dice: Dice,
    /// A stream of its own for what few seeds meet, so that the others live as they did without: little memory, long runs,
    /// hurry, short writes of the keeper, clocks that jump in a start.
    pub rare: Dice,
    /// What this seed is about.
    pub scenario: Scenario,
    /// What the run is configured with.
    pub settings: Settings,
    /// Who types commands.
    pub operator: Operator,
    /// Faults in force.
    pub faults: Faults,
    /// The disk.
    pub disk: Disk,
    /// The judge.
    pub oracle: Oracle,
    /// What happened how often.
    pub counts: Counts,
    /// What is on disk and what was acknowledged of it.
    pub truth: Truth,
    /// The process, while it lives.
    pub process: Option<Process>,
    /// Connections by number.
    pub conns: BTreeMap<u64, Conn>,
    /// Numbers given out to connections.
    pub conns_made: u64,
    /// Clients.
    pub clients: Vec<Client>,
    /// Requests without an answer that somebody will repeat.
    pub unresolved: Vec<Wanted>,
    /// Acknowledged records to be asked for again.
    pub probes: Vec<Wanted>,
    /// The id that everybody sends now.
    pub hot: Option<(u32, u32)>,
    /// Clients are silent until then.
    pub silent_until_us: u64,
    /// The run ends then, if it is to end from outside.
    pub end_at_us: u64,
    /// The gateway is told to stop in the middle of everything, before the run is ended from outside.
    hurry: Option<Hurry>,
    /// When the operation of this run that hung longest ends.
    pub hung_until_us: u64,
    /// Faults are off and clients only finish.
    pub calm: bool,
    /// Number of the run.
    pub run: u32,
    /// Why the world ends.
    pub failure: Option<Broken>,
    /// Shards of the run before.
    pub shards_before: u16,
    now_us: u64,
    boot_us: u64,
    wall_offset_us: i64,
    /// The most that the wall clock was ever ahead by.
    wall_offset_max_us: i64,
    queue: BTreeMap<(u64, u64), Queued>,
    queued: u64,
    /// Events of this run, as [`Ending`] counts them.
    run_events: u64,
    counts_recovery: bool,
    /// The wall clock jumped while the process was starting.
    pub jumped_at_start: bool,
}

/// What clients may expect of a run.
fn rules(scenario: &Scenario, settings: &Settings) -> Rules {
    Rules {
        ttl_us: i64::from(settings.ttl_s) * 1_000_000,
        params: settings.params,
        signers: settings.signers,
        body_bytes_max: scenario.limits.http.body_bytes_max,
        // What waits behind a write that hangs gets the outcome of what was written, however long that took.
        flight_us_max: match scenario.faults.hang {
            0 => 60_000_000,
            _ => 60_000_000 + 2 * super::plan::HANG_US_MAX as i64,
        },
    }
}

/// A run that goes on for so many events after it should have ended never ends. A shard with work left in its tables turns a
/// thousand times a second, for minutes where an operation hangs.
const EVENTS_MORE_MAX: u64 = 2_000_000;

/// A graceful stop on a disk that works takes no longer.
pub const STOP_QUIET_US: u64 = 10_000_000;

/// Begins in 2026.
const WALL_START_US: u64 = 1_790_000_000_000_000;

impl World {
    /// The world of a seed, before the first start.
    pub fn new(seed: u64) -> World {
        let (mut dice, mut rare) = (Dice::new(seed), Dice::new(!seed));
        let scenario = Scenario::draw(&mut dice, &mut rare);
        let settings = scenario.settings(&mut rare);
        origin::set(scenario.epoch_origin);
        sim_trace!(0, "{scenario:?}");
        World {
            faults: scenario.faults,
            disk: Disk::new(scenario.disk_bytes),
            oracle: Oracle::new(scenario.ids, rules(&scenario, &settings)),
            operator: Operator::default(),
            settings,
            counts: Counts::default(),
            truth: Truth::default(),
            process: None,
            conns: BTreeMap::new(),
            conns_made: 0,
            clients: (0..scenario.clients).map(|_| Client::default()).collect(),
            unresolved: Vec::new(),
            probes: Vec::new(),
            hot: None,
            silent_until_us: 0,
            end_at_us: u64::MAX,
            hurry: None,
            hung_until_us: 0,
            calm: false,
            run: 0,
            failure: None,
            shards_before: 0,
            now_us: 1_000_000,
            boot_us: 0,
            wall_offset_us: 0,
            wall_offset_max_us: 0,
            queue: BTreeMap::new(),
            queued: 0,
            run_events: 0,
            counts_recovery: false,
            jumped_at_start: false,
            rare,
            dice,
            scenario,
        }
    }

    /// Time since the world began, in microseconds.
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// The wall clock.
    pub fn wall_us(&self) -> u64 {
        (WALL_START_US + self.now_us).saturating_add_signed(self.wall_offset_us)
    }

    /// What shards and keeper read as clocks.
    pub fn clocks(&self) -> Now {
        Now {
            mono_us: self.now_us - self.boot_us,
            wall_us: self.wall_us(),
        }
    }

    /// A monotonic time as the world counts.
    pub fn at_mono(&self, mono_us: u64) -> u64 {
        self.boot_us.saturating_add(mono_us)
    }

    /// Lets something happen after a delay, in this run of the process only.
    pub fn later(&mut self, delay_us: u64, what: Happening) {
        self.at(self.now_us.saturating_add(delay_us), Some(self.run), what);
    }

    /// Lets something happen after a delay, whatever becomes of the process.
    pub fn later_anyway(&mut self, delay_us: u64, what: Happening) {
        self.at(self.now_us.saturating_add(delay_us), None, what);
    }

    /// Lets something happen at a time.
    pub fn at(&mut self, at_us: u64, run: Option<u32>, what: Happening) {
        self.queued += 1;
        self.queue
            .insert((at_us.max(self.now_us), self.queued), Queued { run, what });
    }

    /// Notes that a property is broken; the first one counts.
    pub fn fail(&mut self, property: Property, how: String) {
        if self.failure.is_none() {
            self.failure = Some(broken(property, how));
        }
    }

    /// Goes on as the oracle says.
    pub fn check<T>(&mut self, result: Result<T, Broken>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(found) => {
                if self.failure.is_none() {
                    self.failure = Some(found);
                }
                None
            }
        }
    }

    /// The whole seed.
    pub fn live(&mut self) -> Result<(), Broken> {
        for run in 0..self.scenario.runs {
            let ending = Ending::draw(&mut self.dice);
            let early = ending.early(&mut self.dice);
            let ending =
                early.unwrap_or_else(|| ending.stretched(&mut self.rare, self.scenario.stretch));
            self.counts_recovery = early.is_some();
            self.hurry = Hurry::draw(&mut self.rare, ending);
            if !self.one_run(ending, false) {
                return self.verdict();
            }
            let _ = run;
            self.between_runs();
        }
        self.hurry = None;
        self.counts_recovery = false;
        self.faults = Faults::default();
        self.scenario.damage = 0;
        self.scenario.memory = None;
        let ending = Ending::Stop(self.dice.between(20, 200));
        if self.one_run(ending, true) {
            self.check_bodies();
            self.audit();
        }
        self.verdict()
    }

    fn verdict(&mut self) -> Result<(), Broken> {
        let answered = [Count::Misses, Count::Expired, Count::Hits, Count::Conflicts]
            .into_iter()
            .chain([Count::Refused400, Count::Refused401])
            .map(|count| self.counts.of(count))
            .sum::<u64>();
        if answered > self.counts.of(Count::Unavailable503) {
            self.counts.one(Count::Busy);
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    /// One run of the process, from its start to its end. `false`: the seed ends here.
    fn one_run(&mut self, ending: Ending, last: bool) -> bool {
        self.run += 1;
        self.run_events = 0;
        self.end_at_us = u64::MAX;
        self.calm = false;
        if !last {
            self.faults = self.scenario.faults;
        }
        let before = self.settings;
        self.settings = self.scenario.settings(&mut self.rare);
        if self.run > 1 && self.settings != before {
            self.counts.one(Count::SettingsChanged);
        }
        self.oracle.obeys(rules(&self.scenario, &self.settings));
        self.operator.sits_down();
        self.start_process(match ending {
            Ending::Stop(_) => Cap::Enough,
            Ending::Kill(_) | Ending::PowerCut(_) => Cap::Tight,
        });
        self.counts.one(Count::Runs);
        sim_trace!(
            self.now_us,
            "run {} begins with {} shards, to end by {ending:?}",
            self.run,
            self.shards_before
        );
        for client in 0..self.clients.len() {
            self.wake_client(client, 10);
        }
        let exit = self.run_until_end(ending, last);
        if self.failure.is_some() {
            return false;
        }
        self.end_run(exit, last)
    }

    /// Lets things happen until the process ends or is ended.
    fn run_until_end(&mut self, ending: Ending, last: bool) -> Exit {
        let (Ending::Kill(events_max) | Ending::PowerCut(events_max) | Ending::Stop(events_max)) =
            ending;
        let mut terminated_us = None;
        let mut calm_since_us = None;
        loop {
            if self.failure.is_some() {
                return Exit::Killed;
            }
            if let Some(exit) = self
                .process
                .as_mut()
                .and_then(|process| process.exit.take())
            {
                return exit;
            }
            if self
                .hurry
                .is_some_and(|hurry| self.run_events >= hurry.at_event)
            {
                self.hurry = None;
                self.stop_in_a_hurry();
            }
            let from_outside = !matches!(ending, Ending::Stop(_));
            if self.run_events >= events_max || (from_outside && self.now_us >= self.end_at_us) {
                match ending {
                    Ending::Kill(_) => return Exit::Killed,
                    Ending::PowerCut(_) => return Exit::PowerCut,
                    Ending::Stop(_) => {}
                }
                match calm_since_us {
                    None => {
                        calm_since_us = Some(self.now_us);
                        self.become_calm(last);
                    }
                    Some(since_us) if terminated_us.is_none() => {
                        if self.is_resolved() && self.operator.is_resolved() {
                            terminated_us = Some(self.now_us);
                            sim_trace!(self.now_us, "terminate");
                            self.later(1, Happening::ToKeeper(KeeperEvent::Terminate));
                        } else if self.now_us > since_us + 120_000_000 + self.hang_us_max() {
                            self.not_resolved();
                        }
                    }
                    Some(_) => {}
                }
                let stop_us_max = match self.scenario.faults.hang {
                    0 => STOP_QUIET_US,
                    _ => STOP_US + 1_000_000,
                };
                if terminated_us.is_some_and(|since_us| self.now_us > since_us + stop_us_max) {
                    let how = format!("a graceful stop took more than {stop_us_max} us");
                    self.fail(Property::Liveness, how);
                }
            }
            if self.run_events > events_max + EVENTS_MORE_MAX {
                self.fail(
                    Property::Liveness,
                    format!(
                        "{EVENTS_MORE_MAX} events and no end, {} queued",
                        self.queue.len()
                    ),
                );
            }
            self.happen();
        }
    }

    /// The next thing happens.
    fn happen(&mut self) {
        let Some(((at_us, _), queued)) = self.queue.pop_first() else {
            return self.fail(
                Property::Liveness,
                "nothing will ever happen again".to_string(),
            );
        };
        // What was to happen while the process was down happens now.
        let at_us = at_us.max(self.now_us);
        let passed_us = (at_us - self.now_us) as i64;
        self.now_us = at_us;
        self.oracle.pass(passed_us, passed_us);
        if queued.run.is_some_and(|run| run != self.run) {
            return;
        }
        self.counts.one(Count::Events);
        self.run_events += u64::from(self.counts_recovery || self.is_recovered());
        if self
            .process
            .as_ref()
            .is_some_and(|process| process.recovered)
            && self.dice.chance(20)
            && self.dice.chance(self.scenario.clock_jumps)
        {
            self.jump_wall();
        }
        let starting = |process: &Process| !process.recovered;
        if self.process.as_ref().is_some_and(starting)
            && self.rare.chance(20)
            && self.rare.chance(self.scenario.clock_jumps)
        {
            self.counts.one(Count::ClockJumpsAtStart);
            self.jumped_at_start = true;
            self.jump_wall();
            self.clock_resumes();
        }
        if self.is_recovered() && !self.calm && self.rare.chance(self.scenario.commands) {
            self.type_command();
        }
        self.carry_out(queued.what);
    }

    /// How long an operation that hangs may still take when faults end.
    fn hang_us_max(&self) -> u64 {
        match self.scenario.faults.hang {
            0 => 0,
            _ => 2 * super::plan::HANG_US_MAX,
        }
    }

    /// Whether the process serves.
    pub fn is_recovered(&self) -> bool {
        self.process
            .as_ref()
            .is_some_and(|process| process.recovered)
    }

    /// SIGTERM under load, faults included, or during recovery.
    fn stop_in_a_hurry(&mut self) {
        self.counts.one(Count::HurriedStops);
        sim_trace!(self.now_us, "terminate, under load");
        if let Some(process) = self.process.as_mut() {
            process.terminated = true;
        }
        // A supervisor waits for a stop that long.
        self.end_at_us = self.end_at_us.min(self.now_us + 90_000_000);
        self.later(1, Happening::ToKeeper(KeeperEvent::Terminate));
    }

    fn carry_out(&mut self, what: Happening) {
        match what {
            Happening::Turn(shard, token) => self.turn(shard, token),
            Happening::KeeperStep => self.keeper_step(),
            Happening::LogWritten {
                shard,
                write,
                blocks,
                result,
            } => self.log_written(shard, write, blocks, result),
            Happening::LogSynced {
                shard,
                inode,
                moment,
                result,
            } => self.log_synced(shard, inode, moment, result),
            Happening::ToShard(shard, event) => self.to_shard(shard, event),
            Happening::SliceRead {
                shard,
                id,
                inode,
                offset,
                fails,
            } => self.slice_read(shard, id, inode, offset, fails),
            Happening::ToKeeper(event) => self.to_keeper(event),
            Happening::KeeperTick(token) => self.keeper_tick(token),
            Happening::FileDone(op, error) => self.file_done(op, error),
            Happening::Client(client, token) => self.client_acts(client, token),
            Happening::ClockReleased(by_us) => self.oracle.released(by_us),
            Happening::BytesToServer(conn, bytes) => self.bytes_to_server(conn, bytes),
            Happening::FinToServer(conn) => self.fin_to_server(conn),
            Happening::ResetToServer(conn) => self.reset_to_server(conn),
            Happening::Drain(conn) => self.drain(conn),
            Happening::BytesToClient(client, conn, bytes) => {
                self.bytes_to_client(client, conn, &bytes)
            }
            Happening::EofToClient(client, conn) => self.eof_to_client(client, conn),
        }
    }

    /// The wall clock is set, by a little or by a lot.
    pub fn jump_wall(&mut self) {
        let by_us = self
            .dice
            .pick(&[-86_400, -600, -10, 10, 600, 18_000, 2_592_000])
            * 1_000_000;
        self.wall_offset_us = (self.wall_offset_us + by_us).max(-1_000_000_000_000_000);
        self.wall_offset_max_us = self.wall_offset_max_us.max(self.wall_offset_us);
        self.counts.one(Count::ClockJumps);
        sim_trace!(
            self.now_us,
            "the wall clock jumps by {} s",
            by_us / 1_000_000
        );
    }

    /// What was under way in this run, and happens no more.
    pub fn take_under_way(&mut self) -> Vec<Happening> {
        let queue = std::mem::take(&mut self.queue);
        let (gone, stays): (BTreeMap<_, _>, BTreeMap<_, _>) = queue
            .into_iter()
            .partition(|(_, queued)| queued.run.is_some());
        self.queue = stays;
        gone.into_values()
            .filter(|queued| queued.run == Some(self.run))
            .map(|queued| queued.what)
            .collect()
    }

    /// Time passes in which nothing happens.
    pub fn pass(&mut self, by_us: u64) {
        self.now_us += by_us;
    }

    /// The machine has power again, and its monotonic clock starts anew.
    pub fn booted(&mut self) {
        self.boot_us = self.now_us - self.dice.below(1_000_000);
    }

    /// Whether the wall clock shows less than it would had it never been set back.
    pub fn wall_is_behind(&self) -> bool {
        self.wall_offset_us < self.wall_offset_max_us
    }
}
