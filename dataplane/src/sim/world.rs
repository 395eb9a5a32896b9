//! The world of one seed: the runs of the process from first start to last stop. What happens is spread over the files beside
//! it: [`super::queue`] holds what will happen, [`super::process`] hosts shards and keeper, [`super::files`] carries out file
//! operations, [`super::network`] moves bytes, [`super::clients`] asks, [`super::answers`] has answers judged,
//! [`super::truth`] knows what was lost.

use super::batches::Batches;
use super::clients::{Client, Wanted};
use super::clocks::Clocks;
use super::count::{Count, Counts};
use super::dice::Dice;
use super::disk::Disk;
use super::holders::Holders;

use super::looks::LookUps;
use super::network::Conn;
use super::operator::Operator;
use super::oracle::{Broken, Oracle, Property, Rules, broken};
use super::plan::{Cap, Ending, Faults, Hurry, Scenario, Settings};
use super::process::{Exit, Process};
use super::queue::{Happening, Queue};
use super::snapshots::Publisher;
use super::truth::Truth;
use crate::keeper::port::KeeperEvent;
use crate::keeper::stop::STOP_US;
use crate::sim_trace;
use crate::wal::epoch::origin;
use std::collections::BTreeMap;

/// Where a run stands among those of its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunPlace {
    /// Others follow.
    Earlier,
    /// The last one: without faults, and everything is asked for again.
    Last,
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
    /// Who publishes snapshots.
    pub publisher: Publisher,
    /// Who types commands.
    pub operator: Operator,
    /// Who holds segments.
    pub holders: Holders,
    /// What WAL_DIR may take in this run.
    pub wal_bytes_max_now: u64,
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
    /// What clients look up.
    pub look_ups: LookUps,
    /// What clients send several at a time.
    pub batches: Batches,
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
    /// Its clocks.
    pub(super) clocks: Clocks,
    /// What will happen.
    pub(super) queue: Queue,
    /// Events of this run, as [`Ending`] counts them.
    run_events: u64,
    counts_recovery: bool,
    /// The wall clock jumped while the process was starting.
    pub jumped_at_start: bool,
}

/// How far a graceful stop is.
#[derive(Clone, Copy, Debug, Default)]
struct Stopping {
    /// Faults are off and clients only finish.
    calm_since_us: Option<u64>,
    /// The process was told to stop.
    terminated_us: Option<u64>,
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

impl World {
    /// The world of a seed, before the first start.
    pub fn new(seed: u64) -> World {
        let (mut dice, mut rare) = (Dice::new(seed), Dice::new(!seed));
        let mut scenario = Scenario::draw(&mut dice, &mut rare);
        let (look_ups, looks_max) = LookUps::draw(seed);
        scenario.limits.looks_max = looks_max;
        let batches = Batches::draw(seed, &mut scenario.limits);
        let settings = scenario.settings(&mut rare);
        let publisher = Publisher::draw(seed);
        let keys_count = publisher.keys_count(scenario.ids);
        origin::set(scenario.epoch_origin);
        sim_trace!(0, "{scenario:?}");
        World {
            faults: scenario.faults,
            disk: Disk::new(scenario.disk_bytes),
            oracle: Oracle::new(keys_count, rules(&scenario, &settings)),
            publisher,
            operator: Operator::default(),
            holders: Holders::draw(seed),
            wal_bytes_max_now: 0,
            settings,
            counts: Counts::default(),
            truth: Truth::default(),
            process: None,
            conns: BTreeMap::new(),
            conns_made: 0,
            clients: (0..scenario.clients).map(|_| Client::default()).collect(),
            unresolved: Vec::new(),
            probes: Vec::new(),
            look_ups,
            batches,
            hot: None,
            silent_until_us: 0,
            end_at_us: u64::MAX,
            hurry: None,
            hung_until_us: 0,
            calm: false,
            run: 0,
            failure: None,
            shards_before: 0,
            clocks: Clocks::default(),
            queue: Queue::default(),
            run_events: 0,
            counts_recovery: false,
            jumped_at_start: false,
            rare,
            dice,
            scenario,
        }
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
        for _ in 0..self.scenario.runs {
            let ending = Ending::draw(&mut self.dice);
            let early = ending.early(&mut self.dice);
            let ending =
                early.unwrap_or_else(|| ending.stretched(&mut self.rare, self.scenario.stretch));
            self.counts_recovery = early.is_some();
            self.hurry = Hurry::draw(&mut self.rare, ending);
            if !self.one_run(ending, RunPlace::Earlier) {
                return self.verdict();
            }
            self.between_runs();
        }
        self.hurry = None;
        self.counts_recovery = false;
        self.faults = Faults::default();
        self.scenario.damage = 0;
        self.scenario.memory = None;
        let ending = Ending::Stop(self.dice.between(20, 200));
        if self.one_run(ending, RunPlace::Last) {
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
    fn one_run(&mut self, ending: Ending, place: RunPlace) -> bool {
        self.run += 1;
        self.run_events = 0;
        self.end_at_us = u64::MAX;
        self.calm = false;
        if place == RunPlace::Earlier {
            self.faults = self.scenario.faults;
        }
        let before = self.settings;
        self.settings = self.scenario.settings(&mut self.rare);
        if self.run > 1 && self.settings != before {
            self.counts.one(Count::SettingsChanged);
        }
        self.oracle.obeys(rules(&self.scenario, &self.settings));
        self.operator.sits_down();
        self.holders.sit_down();
        self.start_process(match ending {
            Ending::Stop(_) => Cap::Enough,
            Ending::Kill(_) | Ending::PowerCut(_) => Cap::Tight,
        });
        self.counts.one(Count::Runs);
        sim_trace!(
            self.now_us(),
            "run {} begins with {} shards, to end by {ending:?}",
            self.run,
            self.shards_before
        );
        for client in 0..self.clients.len() {
            self.wake_client(client, 10);
        }
        let exit = self.run_until_end(ending, place);
        if self.failure.is_some() {
            return false;
        }
        self.end_run(exit, place)
    }

    /// Whether this is the run that ends with its first durable batch.
    pub fn is_young(&self) -> bool {
        self.scenario.dies_young && self.run == 1
    }

    /// Lets things happen until the process ends or is ended.
    fn run_until_end(&mut self, ending: Ending, place: RunPlace) -> Exit {
        let (Ending::Kill(events_max) | Ending::PowerCut(events_max) | Ending::Stop(events_max)) =
            ending;
        let from_outside = !matches!(ending, Ending::Stop(_));
        let mut stopping = Stopping::default();
        loop {
            if self.failure.is_some() {
                return Exit::Killed;
            }
            let exit = self.process.as_mut().and_then(|it| it.exit.take());
            if let Some(exit) = exit {
                return exit;
            }
            if self.is_young() && self.truth.writes.iter().any(|write| write.confirmed) {
                return Exit::Killed;
            }
            let hurries = |hurry: &mut Hurry| self.run_events >= hurry.at_event;
            if self.hurry.take_if(hurries).is_some() {
                self.stop_in_a_hurry();
            }
            if self.run_events >= events_max || (from_outside && self.now_us() >= self.end_at_us) {
                match ending {
                    Ending::Kill(_) => return Exit::Killed,
                    Ending::PowerCut(_) => return Exit::PowerCut,
                    Ending::Stop(_) => self.stop_gracefully(&mut stopping, place),
                }
            }
            if self.run_events > events_max + EVENTS_MORE_MAX {
                let queued = self.queue.len();
                let how = format!("{EVENTS_MORE_MAX} events and no end, {queued} queued");
                self.fail(Property::Liveness, how);
            }
            self.happen();
        }
    }

    /// Faults end; once everything is answered the process is told to stop, which takes no longer than it may.
    fn stop_gracefully(&mut self, stopping: &mut Stopping, place: RunPlace) {
        let now_us = self.now_us();
        match (stopping.calm_since_us, stopping.terminated_us) {
            (None, _) => {
                stopping.calm_since_us = Some(now_us);
                self.become_calm(place);
            }
            (Some(since_us), None) => {
                if self.is_resolved() && self.operator.is_resolved() {
                    stopping.terminated_us = Some(now_us);
                    sim_trace!(now_us, "terminate");
                    self.later(1, Happening::ToKeeper(KeeperEvent::Terminate));
                } else if now_us > since_us + 120_000_000 + self.hang_us_max() {
                    self.not_resolved();
                }
            }
            (Some(_), Some(since_us)) => {
                let stop_us_max = match self.scenario.faults.hang {
                    0 => STOP_QUIET_US,
                    _ => STOP_US + 1_000_000,
                };
                if now_us > since_us + stop_us_max {
                    let how = format!("a graceful stop took more than {stop_us_max} us");
                    self.fail(Property::Liveness, how);
                }
            }
        }
    }

    /// The next thing happens.
    fn happen(&mut self) {
        let Some(due) = self.queue.pop() else {
            return self.fail(
                Property::Liveness,
                "nothing will ever happen again".to_string(),
            );
        };
        // What was to happen while the process was down happens now.
        let passed_us = due.at_us.saturating_sub(self.now_us());
        self.pass(passed_us);
        self.oracle.pass(passed_us as i64, passed_us as i64);
        self.oracle.wall.shows(self.wall_us() / 1_000_000);
        if due.run.is_some_and(|run| run != self.run) {
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
        if self.is_recovered() && !self.calm {
            self.hold_at_times();
            self.publish_at_times();
        }
        self.carry_out(due.what);
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
        sim_trace!(self.now_us(), "terminate, under load");
        if let Some(process) = self.process.as_mut() {
            process.terminated = true;
        }
        // A supervisor waits for a stop that long.
        self.end_at_us = self.end_at_us.min(self.now_us() + 90_000_000);
        self.later(1, Happening::ToKeeper(KeeperEvent::Terminate));
    }
}
