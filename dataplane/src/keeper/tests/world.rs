//! The keeper's tests run it on a [`TestDisk`] with shards that only do what the protocol between the two asks for:
//! write batches into the segments that were named to them, and answer.

use crate::dedup::slice::verify_whole;
use crate::dedup::{Decided, Key};
use crate::io::{Now, ShardId, SyncMode};
use crate::keeper::Keeper;
use crate::keeper::config::{HoldLimit, KeeperConfig, MergeRule};
use crate::keeper::notice::{Before, Notice};
use crate::keeper::port::{CommandId, FileOp, KeeperEvent, KeeperOp};
use crate::keeper::stop::STOP_US;
use crate::keeper::tests::disk::{Lost, TestDisk};
use crate::keeper::tests::shard::FakeShard;
use crate::keeper::tests::transcript::Transcript;
use crate::mesh::keeper::{Shortage, ToKeeper, ToShard};
use crate::stats::Stats;
use crate::wal::manifest::Manifest;
use crate::wal::manifest::{CLOCK_BEGIN_US, MANIFEST_BYTES_MAX};
use crate::wal::name::{Place, Sequence};
use crate::wal::record::Decision;
use flk_contract::params::ParamsVersion;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Monotonic and wall time at which worlds begin: the expiry clock begins at 0.
pub(crate) const BEGIN: Now = Now {
    mono_us: 1_000_000,
    wall_us: CLOCK_BEGIN_US,
};

pub(crate) fn config(shards: u16) -> KeeperConfig {
    KeeperConfig {
        shards,
        segment_bytes: 256 << 10,
        preallocated_count: 0,
        ttl_s: 14 * 86_400,
        seal_bytes_max: 1 << 40,
        seal_every_us: u64::MAX,
        slices_count_max: 20,
        merges: MergeRule::NEVER,
        wal_bytes_max: None,
        body_age_max_s: 14 * 86_400,
        hold_limit: HoldLimit::Release,
        repack_bytes_min: u64::MAX,
        dedup_memory_bytes_max: 1 << 30,
        memory: None,
        drain_delay_us: 0,
        stop_us: STOP_US,
        sync: SyncMode::Dsync,
        direct: true,
        params: vec![ParamsVersion::new("1").expect("a name")],
        manifest_bytes_max: MANIFEST_BYTES_MAX,
        stats: Arc::new(Stats::new(shards)),
        region: None,
        secret: None,
        pid: 4711,
    }
}

/// Looks at the disk before an operation and says yes or no.
type Ask = Box<dyn FnMut(&TestDisk, &FileOp) -> bool>;

/// Looks at the disk before an operation.
type Watch = Box<dyn FnMut(&TestDisk, &FileOp)>;

/// The manifest in force.
pub(crate) fn manifest(world: &World) -> Manifest {
    world.disk.manifest()
}

/// A disk, a keeper on it, and shards.
pub(crate) struct World {
    pub(crate) disk: TestDisk,
    pub(crate) shards: Vec<FakeShard>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) replies: Vec<(CommandId, String)>,
    pub(crate) exit: Option<(i32, String)>,
    pub(crate) now: Now,
    pub(crate) config: KeeperConfig,
    keeper: Keeper,
    events: Vec<KeeperEvent>,
    wake_us: Option<u64>,
    /// Shards do not become idle by themselves.
    pub(crate) busy: bool,
    /// Shards do not tell that bodies are resolved.
    pub(crate) unresolved: bool,
    /// Shards do not tell that they use new slices.
    pub(crate) slow_to_switch: bool,
    /// What shards tell of segments whose first batch is durable has not reached the keeper.
    pub(crate) slow_to_enter: bool,
    /// The process died at a file operation.
    pub(crate) dead: bool,
    /// Records decided in this life.
    pub(crate) decided: u32,
    /// How long each file operation takes, in microseconds.
    pub(crate) op_us: u64,
    /// How long a sync takes besides.
    pub(crate) sync_us: u64,
    /// The operation with this number of the disk takes so many microseconds besides.
    pub(crate) slow_op: Option<(u64, u64)>,
    /// The process is asked to end when the disk has done so many operations.
    pub(crate) terminate_at: Option<u64>,
    /// File operations until the process dies in the middle of things.
    pub(crate) ops_left: Option<u64>,
    /// File operations until one does not end.
    pub(crate) hangs_in: Option<u64>,
    /// Asked before each file operation whether a command comes in now: for the status, if nothing else is said.
    pub(crate) ask_at: Option<Ask>,
    /// The command that comes in then.
    pub(crate) ask_line: &'static str,
    /// Called before each file operation.
    pub(crate) watch: Option<Watch>,
    /// Where everything is written down.
    pub(crate) transcript: Option<Transcript>,
}

impl World {
    /// A keeper that was not stepped yet.
    pub(crate) fn new(disk: TestDisk, config: KeeperConfig) -> World {
        World::with(disk, config.clone(), Keeper::new(config))
    }

    /// Any keeper.
    pub(crate) fn with(disk: TestDisk, config: KeeperConfig, keeper: Keeper) -> World {
        World {
            disk,
            shards: Vec::new(),
            notices: Vec::new(),
            replies: Vec::new(),
            exit: None,
            now: BEGIN,
            keeper,
            config,
            events: Vec::new(),
            wake_us: None,
            busy: false,
            unresolved: false,
            slow_to_switch: false,
            slow_to_enter: false,
            dead: false,
            decided: 0,
            op_us: 0,
            sync_us: 0,
            slow_op: None,
            ask_at: None,
            ask_line: "flk1 status",
            terminate_at: None,
            ops_left: None,
            hangs_in: None,
            watch: None,
            transcript: None,
        }
    }

    /// Starts on this disk and serves.
    pub(crate) fn started(disk: TestDisk, config: KeeperConfig) -> World {
        let mut world = World::new(disk, config);
        world.run();
        world.assert_serving();
        world
    }

    /// Starts again on what a crash leaves, at a later time.
    pub(crate) fn restarted(self, lost: Lost, shards: u16, later_s: u64) -> World {
        let World {
            mut disk,
            now,
            config,
            op_us,
            transcript,
            ..
        } = self;
        disk.crash(lost);
        let mut world = World::new(disk, KeeperConfig { shards, ..config });
        if transcript.is_some() {
            (world.op_us, world.transcript) = (op_us, transcript);
        }
        world.now = Now {
            mono_us: BEGIN.mono_us,
            wall_us: now.wall_us + later_s * 1_000_000,
        };
        world.run();
        world
    }

    pub(crate) fn assert_serving(&self) {
        assert_eq!(self.exit, None, "notices: {:?}", self.notices);
        assert_eq!(self.shards.len(), usize::from(self.config.shards));
        assert!(self.shards.iter().all(|shard| shard.serving.is_some()));
    }

    /// Steps until nothing is left to do. False if the process died in between.
    pub(crate) fn run(&mut self) -> bool {
        loop {
            let events = std::mem::take(&mut self.events);
            let ops = self.keeper.step(events.into_iter(), self.now);
            for op in ops {
                if let Some(transcript) = &mut self.transcript {
                    transcript.note(self.now, &self.disk, &op);
                }
                match op {
                    KeeperOp::File(op) => {
                        if self.ops_left == Some(0) {
                            self.dead = true;
                            return false;
                        }
                        self.ops_left = self.ops_left.map(|left| left - 1);
                        let hangs = self.hangs_in == Some(0);
                        self.hangs_in = self.hangs_in.map(|left| left.saturating_sub(1));
                        if hangs {
                            continue;
                        }
                        if let Some(watch) = &mut self.watch {
                            watch(&self.disk, &op);
                        }
                        if let Some(ask) = &mut self.ask_at
                            && ask(&self.disk, &op)
                        {
                            let line = self.ask_line.to_string();
                            let id = CommandId(7);
                            self.events.push(KeeperEvent::Command { id, line });
                        }
                        let result = self.disk.run(&op);
                        if let Some(transcript) = &mut self.transcript {
                            transcript.note_end(&self.disk, &op, &result);
                        }
                        let slow = self.slow_op.filter(|(at, _)| *at == self.disk.ops);
                        let is_sync = matches!(op, FileOp::Sync(_) | FileOp::SyncDir);
                        let sync_us = if is_sync { self.sync_us } else { 0 };
                        let slow_us = slow.map_or(0, |(_, us)| us) + sync_us;
                        self.set_mono(self.now.mono_us + self.op_us + slow_us);
                        self.events.push(KeeperEvent::FileDone(result));
                        if self
                            .terminate_at
                            .take_if(|at| *at <= self.disk.ops)
                            .is_some()
                        {
                            self.events.push(KeeperEvent::Terminate);
                        }
                    }
                    KeeperOp::ToShard(shard, message) => self.shard_takes(shard, message),
                    KeeperOp::Reply { id, text } => self.replies.push((id, text)),
                    KeeperOp::Notify(notice) => self.notices.push(notice),
                    KeeperOp::Wake(at_us) => self.wake_us = Some(at_us),
                    KeeperOp::Exit { code, reason } => {
                        self.exit = Some((code, reason));
                        return true;
                    }
                }
            }
            if self.events.is_empty() {
                return true;
            }
        }
    }

    /// Lets time pass in seconds, waking the keeper when it asked for it.
    pub(crate) fn pass_s(&mut self, seconds: u64) {
        self.pass_us(seconds * 1_000_000);
    }

    /// The same in microseconds.
    pub(crate) fn pass_us(&mut self, time_us: u64) {
        let until_us = self.now.mono_us + time_us;
        // A long time is passed in some fifty strides: a wake-up may be late.
        let stride_us = time_us / 50;
        while let Some(at_us) = self.wake_us.take() {
            if at_us > until_us || self.exit.is_some() || self.dead {
                self.wake_us = Some(at_us);
                break;
            }
            self.set_mono(at_us.max(self.now.mono_us + stride_us).min(until_us));
            self.events.push(KeeperEvent::Tick);
            self.run();
        }
        self.set_mono(until_us);
    }

    /// File operations that take time may have brought it further already.
    fn set_mono(&mut self, mono_us: u64) {
        let mono_us = mono_us.max(self.now.mono_us);
        self.now.wall_us += mono_us - self.now.mono_us;
        self.now.mono_us = mono_us;
    }

    fn shard_takes(&mut self, id: ShardId, message: ToShard) {
        let index = usize::from(id.0);
        if let ToShard::Begin(begin) = message {
            assert_eq!(self.shards.len(), index, "shards begin in order");
            self.shards.push(FakeShard::new(begin));
            return;
        }
        let shard = &mut self.shards[index];
        match message {
            ToShard::Begin(_) => {}
            ToShard::Load(decisions) => {
                assert_eq!(shard.serving, None, "loading comes before serving");
                for decided in &decisions {
                    let owner = shard.begin.owners[usize::from(decided.key.partition())];
                    assert_eq!(owner, id, "decisions are loaded by their owner");
                }
                shard.loaded.extend(decisions);
                let mut keys: Vec<Key> = shard.loaded.iter().map(|it| it.key).collect();
                keys.dedup();
                assert!(keys.is_sorted(), "in key order, each key in one message");
                assert_eq!(keys.len(), shard.loaded.len(), "a key is loaded once");
            }
            ToShard::Serve { admit } => shard.serving = Some(admit),
            ToShard::Segment(named) => {
                let told = shard.offer(named, &mut self.disk, self.now);
                self.tell_all(id, told);
            }
            ToShard::Roll(epoch) => {
                let told = shard.roll(epoch, &mut self.disk, self.now);
                self.tell_all(id, told);
            }
            ToShard::Clock(clock) => {
                let (before, now_us) = (shard.begin.clock, self.now.mono_us);
                assert!(
                    clock.at(now_us) >= before.at(now_us),
                    "time never goes back"
                );
                shard.begin.clock = clock;
            }
            ToShard::SpaceLow(why) => shard.space_low = why,
            ToShard::Slices(set) => {
                let version = set.version;
                shard.set = set;
                if !self.slow_to_switch {
                    self.tell(id, ToKeeper::Switched { version });
                }
            }
            ToShard::Drain => {
                shard.draining = true;
                if !self.busy {
                    self.tell(id, ToKeeper::Idle(true));
                }
            }
            ToShard::Params(versions) => {
                let known = shard.begin.params.len();
                assert_eq!(shard.begin.params[..], versions[..known], "numbers stay");
                shard.begin.params = versions;
            }
            ToShard::Configure(_) => unreachable!("the keeper configures nothing"),
            ToShard::Finish => {
                let told = shard.finish(&mut self.disk, self.now);
                self.tell_all(id, told);
            }
        }
    }

    fn tell_all(&mut self, from: ShardId, messages: Vec<ToKeeper>) {
        for message in messages {
            self.tell(from, message);
        }
    }

    /// A shard says something; the keeper hears it in its next step.
    pub(crate) fn tell(&mut self, from: ShardId, message: ToKeeper) {
        if self.slow_to_enter && matches!(message, ToKeeper::Entered(entered) if entered.durable) {
            return;
        }
        self.events.push(KeeperEvent::FromShard(from, message));
    }

    /// Something else happens.
    pub(crate) fn happen(&mut self, event: KeeperEvent) {
        self.events.push(event);
        self.run();
    }

    /// Logs a body and its decision for the record of this number, durably, and tells the keeper what it must know.
    pub(crate) fn decide(&mut self, shard: u16, record: u32, ttl_s: u32) {
        self.decide_sized(shard, record, ttl_s, 700);
    }

    /// A request comes: it waits at most 5 s for room in the log. What refused it comes back: a shortage that the keeper
    /// told, or its deadline.
    pub(crate) fn offer(
        &mut self,
        shard: u16,
        record: u32,
        ttl_s: u32,
        body_bytes: usize,
    ) -> Result<(), Option<Shortage>> {
        for _ in 0..500 {
            let state = &self.shards[usize::from(shard)];
            if state.space_low.is_some() {
                return Err(state.space_low);
            }
            if state.has_room_for(body_bytes) {
                self.decide_sized(shard, record, ttl_s, body_bytes);
                return Ok(());
            }
            self.pass_us(10_000);
            if self.exit.is_some() || self.dead {
                break;
            }
        }
        Err(None)
    }

    /// As [`World::decide`], with a body of this length.
    pub(crate) fn decide_sized(&mut self, shard: u16, record: u32, ttl_s: u32, body_bytes: usize) {
        let state = &mut self.shards[usize::from(shard)];
        let now_s = state.begin.clock.at(self.now.mono_us);
        let body = vec![b'x'; body_bytes];
        let sequence = state.push(&body, decision(record, now_s, ttl_s));
        let told = state.commit(&mut self.disk, self.now);
        assert_eq!(state.last(), sequence, "the next segment was named in time");
        let resolved = state.resolved();
        if !self.unresolved {
            self.tell(ShardId(shard), resolved);
        }
        self.decided += 1;
        self.tell_all(ShardId(shard), told);
        self.run();
    }

    /// Begins to write a batch that never becomes durable: only `blocks` of its blocks reach the disk.
    pub(crate) fn tear(&mut self, shard: u16, record: u32, blocks: usize) {
        let state = &mut self.shards[usize::from(shard)];
        for record in [record].into_iter().chain(record..record + 8) {
            state.push(&[b'x'; 700], decision(record, 0, 100));
        }
        state.tear(blocks, &mut self.disk, self.now);
    }

    /// An empty batch, as after 10 ms of nothing.
    pub(crate) fn mark(&mut self, shard: u16) {
        let state = &mut self.shards[usize::from(shard)];
        let told = state.mark(&mut self.disk, self.now);
        self.tell_all(ShardId(shard), told);
        self.run();
    }

    /// Records that the shards answer duplicates of, sorted: what they loaded, and what is alive in the slices that they look
    /// into.
    pub(crate) fn known(&self) -> Vec<u32> {
        let mut records = BTreeSet::new();
        for (id, shard) in (0..).map(ShardId).zip(&self.shards) {
            let now_s = shard.begin.clock.at(self.now.mono_us);
            let mut know = |decided: &Decided| {
                let is_own = shard.begin.owners[usize::from(decided.key.partition())] == id;
                if is_own && decided.live_at(now_s) {
                    records.insert(decided.numbers[3] as u32);
                }
            };
            shard.loaded.iter().for_each(&mut know);
            for view in &shard.set.slices {
                let file = self.disk.name_of(view.file);
                let bytes = self.disk.bytes(&file).expect("a slice in use is there");
                verify_whole(bytes, |decided| know(&decided)).expect("a whole slice");
            }
        }
        records.into_iter().collect()
    }

    /// What each recovery said that was before it.
    pub(crate) fn before(&self) -> Vec<Before> {
        let before = |notice: &Notice| match notice {
            Notice::Recovered { before, .. } => Some(*before),
            _ => None,
        };
        self.notices.iter().filter_map(before).collect()
    }

    /// The file that a shard writes.
    pub(crate) fn current_file(&self, shard: u16) -> String {
        self.disk
            .name_of(self.shards[usize::from(shard)].current.file)
    }
}

/// The decision for the record of this number; where its body lies is for the log to say.
fn decision(record: u32, now_s: u32, ttl_s: u32) -> Decision<'static> {
    let mut pcs_id = [0; 32];
    pcs_id[..4].copy_from_slice(&record.to_le_bytes());
    Decision {
        body: Place {
            sequence: Sequence(0),
            index: 0,
        },
        tenant: "default",
        pcs_id,
        digest: [record as u8; 32],
        key_id: [0; 8],
        params: "1",
        decided_at: now_s,
        expiry: now_s + ttl_s,
        encoding: 1,
        reason: 0,
        regime: 1,
        numbers: [1.0, 2.0, 3.0, f64::from(record)],
        origin: 0,
    }
}
