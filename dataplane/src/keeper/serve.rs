//! Serving: naming segments for shards, and between that preallocated segments, sealing, deletion, commands and the graceful stop.
//! [`Service::poll_requests`] is called between the steps of all long work; it names and never starts long work itself.

use crate::dedup::key::KeyHash;
use crate::io::ShardId;
use crate::keeper::commands::Pins;
use crate::keeper::extract::Dictionary;
use crate::keeper::files::File;
use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::keeper::over_memory::OverMemory;
use crate::keeper::port::{CommandId, KeeperEvent, KeeperOp};
use crate::keeper::room::{Lack, Space, refusal};
use crate::keeper::seal::Sealing;
use crate::keeper::start::Started;
use crate::keeper::store::{Growth, ManifestStore, NotReplaced};
use crate::mesh::keeper::{Shortage, ToKeeper, ToShard};
use crate::planted::{Bug, planted};
use crate::wal::Epoch;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{Extent, LogEntry, Manifest, SegmentEntry, SegmentState};
use crate::wal::name::ClosedSegment;
use crate::wal::name::{LogId, Sequence};
use crate::wal::writer::{Entered, EpochBegun};
use std::collections::{BTreeMap, VecDeque};

/// How often the disk is looked at and failed work is tried again, in microseconds.
const LOOK_EVERY_US: u64 = 1_000_000;

/// What the keeper knows of a shard of this run.
#[derive(Clone, Debug)]
pub(crate) struct ShardState {
    /// The log that it writes.
    pub(crate) log: LogId,
    /// Every body up to this sequence has its disposition in the durable log.
    pub(crate) resolved: Sequence,
    /// Nothing of a seal epoch before this one is in a segment that is still open.
    pub(crate) epoch: Epoch,
    /// The newest set of slices that it uses.
    pub(crate) switched: u64,
    /// Its table is nearly full.
    pub(crate) under_pressure: bool,
    pub(crate) idle: bool,
    pub(crate) finished: bool,
    /// The segment that its log ended in.
    pub(crate) ended_in: Option<ClosedSegment>,
}

/// What shards say that must be dealt with in order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    /// Name the segment after this one.
    Entered(ShardId, Entered),
    /// It counts only once all that was closed before is in the manifest.
    Epoch(ShardId, EpochBegun),
}

/// How far a graceful stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    No,
    Draining,
    Finishing,
}

/// The keeper while shards serve.
pub(crate) struct Service {
    pub(crate) store: ManifestStore,
    pub(crate) dictionary: Dictionary,
    pub(crate) hash: KeyHash,
    pub(crate) shards: Vec<ShardState>,
    pub(crate) commands: VecDeque<(CommandId, String)>,
    pub(crate) pins: Pins,
    pub(crate) sealing: Sealing,
    /// Set where a start found more than fits, until shards answer from slices.
    pub(crate) over_memory: Option<OverMemory>,
    pub(crate) stop: Stop,
    /// Monotonic time at which the process ends whatever is missing, once a stop was asked for.
    pub(crate) stop_by_us: u64,
    /// Not said yet.
    recovered: Option<Notice>,
    pub(crate) space: Space,
    /// Expiry clock at which each closed segment was closed, where that is known.
    pub(crate) closed_at_s: BTreeMap<(LogId, u32), u32>,
    /// Seal epoch of the segments of live logs.
    pub(crate) epochs: BTreeMap<(LogId, u32), Epoch>,
    pub(crate) asked: VecDeque<Asked>,
    /// Naming failed: not before this monotonic time again.
    pub(crate) name_again_us: u64,
    look_again_us: u64,
}

impl Service {
    pub(crate) fn new(started: Started) -> Service {
        let Started {
            store,
            dictionary,
            hash,
            slices,
            over_memory,
            recovered,
        } = started;
        let start = store.manifest.start;
        let shard = |number| ShardState {
            log: LogId { start, number },
            resolved: Sequence::before_first(start),
            epoch: Epoch::earlier_runs(),
            switched: 0,
            under_pressure: false,
            idle: false,
            finished: false,
            ended_in: None,
        };
        Service {
            shards: (0..store.config.shards).map(shard).collect(),
            sealing: Sealing::new(slices, store.now().mono_us),
            store,
            dictionary,
            hash,
            commands: VecDeque::new(),
            pins: Pins::default(),
            over_memory,
            stop: Stop::No,
            stop_by_us: u64::MAX,
            recovered,
            space: Space::default(),
            closed_at_s: BTreeMap::new(),
            epochs: BTreeMap::new(),
            asked: VecDeque::new(),
            name_again_us: 0,
            look_again_us: 0,
        }
    }

    /// Serves until a graceful stop is complete, and says how it went.
    pub(crate) async fn serve(&mut self) -> Result<String, Halt> {
        self.open_to_clients().await?;
        loop {
            self.poll_requests().await?;
            if let Some((id, line)) = self.commands.pop_front() {
                let text = self.command(&line).await?;
                self.store.port.put(KeeperOp::Reply { id, text });
                continue;
            }
            if self.stop != Stop::No {
                self.free_for_stop().await?;
                if let Some(summary) = self.shutdown_step().await? {
                    return Ok(summary);
                }
            } else if self.work().await? {
                continue;
            }
            let mut again_us = self.store.now().mono_us + LOOK_EVERY_US;
            if !self.asked.is_empty() && self.stop != Stop::Finishing {
                // A shard waits for its next segment.
                again_us = again_us.min(self.name_again_us);
            }
            self.store.port.put(KeeperOp::Wake(again_us));
            let event = self.store.port.event().await;
            self.note(event);
        }
    }

    /// Recovery is over: shards serve, and know from the beginning whether there is room.
    async fn open_to_clients(&mut self) -> Result<(), Halt> {
        self.look_before_serving().await?;
        let admit = self.over_memory.is_none();
        for shard in 0..self.store.config.shards {
            let serve = ToShard::Serve { admit };
            self.store.port.tell(ShardId(shard), serve);
        }
        if let Some(recovered) = self.recovered.take() {
            self.store.port.say(recovered);
        }
        Ok(())
    }

    /// One piece of long work, by priority; false if there is none to do now.
    async fn work(&mut self) -> Result<bool, Halt> {
        if self.store.now().mono_us < self.look_again_us {
            return Ok(false);
        }
        self.look_again_us = self.store.now().mono_us + LOOK_EVERY_US;
        self.look_at_space().await?;
        if self.delete_surplus().await? {
            return Ok(true);
        }
        if self.space.seals {
            // Before all that takes room, or time: a shard may wait for it.
            return self.seal_for_room().await;
        }
        if self.admit_from_slices().await? {
            return Ok(true);
        }
        if self.tidy_slices().await? || self.delete_aged().await? {
            return Ok(true);
        }
        if self.seal_is_due() {
            self.seal().await?;
            return Ok(true);
        }
        self.refill_preallocated().await
    }

    /// A log may need a segment for its last batches: what may go makes room for it, in a stop too.
    async fn free_for_stop(&mut self) -> Result<(), Halt> {
        let now_us = self.store.now().mono_us;
        if self.space.naming.is_none() || now_us < self.look_again_us {
            return Ok(());
        }
        self.look_again_us = now_us + LOOK_EVERY_US;
        self.look_at_space().await
    }

    /// Seals what is closed, so that it may be deleted. Open segments stay: to close them would need new ones.
    async fn seal_for_room(&mut self) -> Result<bool, Halt> {
        let version_before = self.sealing.version;
        self.seal().await?;
        self.space.seals = false;
        self.note_seal_for_room(version_before);
        self.look_again_us = 0;
        Ok(true)
    }

    /// Takes the events that have come, answers commands that only ask, and names the segments that shards ask for.
    pub(crate) async fn poll_requests(&mut self) -> Result<(), Halt> {
        loop {
            while let Some(event) = self.store.port.try_event() {
                self.note(event);
            }
            self.refuse_to_stop_later()?;
            self.answer_questions().await?;
            if self.store.now().mono_us < self.name_again_us {
                return Ok(());
            }
            let (shard, entered) = match self.asked.pop_front() {
                Some(Asked::Entered(shard, entered)) => (shard, entered),
                Some(Asked::Epoch(shard, begun)) => {
                    if let Some(shard) = self.shard(shard) {
                        shard.epoch = begun.epoch;
                    }
                    // The segment holds nothing of an earlier one.
                    self.epochs.insert((begun.log, begun.ordinal), begun.epoch);
                    continue;
                }
                None => return Ok(()),
            };
            if !self.name(shard, entered).await? {
                self.asked.push_front(Asked::Entered(shard, entered));
                self.name_again_us = self.store.now().mono_us + LOOK_EVERY_US / 10;
                self.store.port.put(KeeperOp::Wake(self.name_again_us));
                return Ok(());
            }
        }
    }

    fn shard(&mut self, shard: ShardId) -> Option<&mut ShardState> {
        self.shards.get_mut(usize::from(shard.0))
    }

    /// Remembers what happened; does nothing about it yet.
    pub(crate) fn note(&mut self, event: KeeperEvent) {
        match event {
            KeeperEvent::FromShard(shard, message) => self.note_shard(shard, message),
            KeeperEvent::Command { id, line } => self.commands.push_back((id, line)),
            KeeperEvent::Terminate => self.note_terminate(),
            KeeperEvent::Tick | KeeperEvent::FileDone(_) => {}
        }
    }

    fn note_shard(&mut self, id: ShardId, message: ToKeeper) {
        match message {
            ToKeeper::Entered(entered) => {
                let segment = (entered.log, entered.ordinal);
                self.epochs.insert(segment, entered.epoch);
                self.asked.push_back(Asked::Entered(id, entered));
            }
            ToKeeper::Epoch(begun) => self.asked.push_back(Asked::Epoch(id, begun)),
            _ => {}
        }
        let Some(shard) = self.shard(id) else {
            return;
        };
        match message {
            ToKeeper::Entered(_)
            | ToKeeper::Epoch(_)
            | ToKeeper::Crowded { .. }
            | ToKeeper::Foreign { .. } => {}
            ToKeeper::Resolved { upto, .. } => shard.resolved = shard.resolved.max(upto),
            ToKeeper::Switched { version } => {
                shard.switched = shard.switched.max(version);
                if self.space.hurried || self.space.naming.is_some() {
                    self.look_again_us = 0;
                }
            }
            ToKeeper::MemoryPressure(under_pressure) => shard.under_pressure = under_pressure,
            ToKeeper::Idle(idle) => shard.idle = idle,
            ToKeeper::Finished { closed, .. } => {
                shard.finished = true;
                shard.ended_in = closed;
            }
        }
    }

    /// Makes the closed segment and the next one durable in the manifest, and gives the next one to the shard. False if
    /// that has to be tried again.
    async fn name(&mut self, shard: ShardId, entered: Entered) -> Result<bool, Halt> {
        let premature = planted(Bug::SegmentNotYetNamed);
        if let Some(why) = self.ready_for_naming().await? {
            self.lacks(why);
            return Ok(false);
        }
        let mut next = self.store.draft();
        let Some(named) = self.store.name_next(&mut next, entered.ordinal + 1).await? else {
            return Ok(false);
        };
        let closed_file = enter(&mut next, shard, &entered, Some(named))?;
        self.note_resolved(&mut next);
        if premature {
            let early = self.store.open_for_shard(entered.log, &named).await?;
            self.store.port.tell(shard, ToShard::Segment(early));
        }
        match self.store.grow(next, self.growth()).await {
            Ok(()) => {}
            Err(NotReplaced::Before(halt @ Halt::ManifestFull { .. })) if !premature => {
                self.no_room_in_manifest(&halt);
                return Ok(false);
            }
            Err(NotReplaced::Before(halt)) if !premature => {
                self.naming_trouble("naming a segment", &halt);
                self.lacks(Lack::Met(refusal(&halt)));
                return Ok(false);
            }
            Err(not) => return Err(not.into()),
        }
        if !premature {
            let segment = self.store.open_for_shard(entered.log, &named).await?;
            self.store.port.tell(shard, ToShard::Segment(segment));
        }
        self.after_closing(shard, &entered, closed_file).await;
        self.space.naming = None;
        self.space.pace.named(self.store.config.segment_bytes);
        Ok(true)
    }

    /// In a stop the ends of logs may take the part of the manifest that was kept for them, but not before shards were told
    /// to admit no more.
    fn growth(&self) -> Growth {
        match self.stop != Stop::No && self.space.low == Some(Shortage::Segments) {
            true => Growth::Stopping,
            false => Growth::Serving,
        }
    }

    /// A shard waits for a segment: what may go makes room for it at once.
    fn lacks(&mut self, why: Lack) {
        self.space.naming = Some(why);
        self.look_again_us = 0;
    }

    /// A segment that a shard waits for has no place in the manifest: submits wait until segments are deleted, or in a stop
    /// until its own part of the manifest is used.
    fn no_room_in_manifest(&mut self, halt: &Halt) {
        let why = Lack::Met(Shortage::Segments);
        if self.space.naming != Some(why) {
            self.trouble("naming a segment", halt);
        }
        self.lacks(why);
    }

    /// Looks that there is room for the segment that a shard waits for, and makes it unless there is a preallocated segment. What is short
    /// comes back.
    async fn ready_for_naming(&mut self) -> Result<Option<Lack>, Halt> {
        if let Some(why) = self.shortage_of_next().await? {
            // Over the cap with nothing to free, or in a stop: no more is admitted, and what is on its way may end.
            let ends = self.space.low == Some(Shortage::Cap) || self.stop != Stop::No;
            if why != Shortage::Cap || !ends {
                return Ok(Some(Lack::Reckoned(why)));
            }
        }
        if self.store.preallocated_count() > 0 {
            return Ok(None);
        }
        match self.store.preallocate().await {
            Ok(()) => Ok(None),
            Err(halt) => {
                self.naming_trouble("making a segment ready", &halt);
                Ok(Some(Lack::Met(refusal(&halt))))
            }
        }
    }

    /// Says that a segment could not be named: once, not at each of ten attempts a second.
    fn naming_trouble(&self, doing: &'static str, halt: &Halt) {
        if self.space.naming != Some(Lack::Met(refusal(halt))) {
            self.trouble(doing, halt);
        }
    }

    /// Cuts the unused tail of a closed segment off and closes its file; both are only tidiness.
    async fn after_closing(&mut self, shard: ShardId, entered: &Entered, closed_file: Option<u64>) {
        let epoch = self.epochs.get(&(entered.log, entered.ordinal)).copied();
        if let (Some(shard), Some(epoch)) = (self.shard(shard), epoch) {
            shard.epoch = epoch;
        }
        let (Some(closed), Some(number)) = (entered.closed, closed_file) else {
            return;
        };
        let now_s = self.store.expiry_now_s();
        self.closed_at_s
            .insert((entered.log, closed.ordinal), now_s);
        if let Some(file) = self.cut_unused(entered.log, &closed, number).await {
            self.store.files.close(&file).await;
        }
    }

    /// Cuts the unused tail of a closed segment off. The file comes back, open no longer as far as the store knows.
    pub(crate) async fn cut_unused(
        &mut self,
        log: LogId,
        closed: &ClosedSegment,
        number: u64,
    ) -> Option<File> {
        let file = File {
            id: self.store.open.remove(&(log, closed.ordinal))?,
            name: NumberedFile::Segment(number).to_string(),
            direct: self.store.config.direct,
        };
        if let Err(halt) = self.store.files.truncate(&file, closed.bytes).await {
            self.trouble("truncating", &halt);
        }
        Some(file)
    }

    /// Writes into a drafted manifest how far the bodies of this run's logs are resolved.
    pub(crate) fn note_resolved(&self, next: &mut Manifest) {
        for shard in &self.shards {
            let log = next.logs.iter_mut().find(|log| log.id == shard.log);
            if let Some(log) = log {
                log.resolved_upto = log.resolved_upto.max(shard.resolved);
            }
        }
    }

    /// Says that something failed that will be tried again.
    pub(crate) fn trouble(&self, doing: &'static str, halt: &Halt) {
        let (file, error) = match halt {
            Halt::Io { file, error, .. } => (file.clone(), error.to_string()),
            other => (String::new(), other.to_string()),
        };
        self.store
            .port
            .say(Notice::FileTrouble { doing, file, error });
    }

    /// Makes one preallocated segment if there are too few, naming between its steps.
    async fn refill_preallocated(&mut self) -> Result<bool, Halt> {
        let enough =
            self.store.preallocated_count() >= self.store.config.preallocated_count as usize;
        if enough || self.space.low.is_some() || self.shortage_of_preallocation().await?.is_some() {
            return Ok(false);
        }
        let mut preallocated = match self.store.begin_preallocation().await {
            Ok(preallocated) => preallocated,
            Err(halt) => {
                self.trouble("making a segment ready", &halt);
                return Ok(false);
            }
        };
        loop {
            match self.store.zero_some(&mut preallocated).await {
                Ok(true) => {
                    self.look_again_us = 0;
                    return Ok(true);
                }
                Ok(false) => self.poll_requests().await?,
                Err(halt) => {
                    self.trouble("making a segment ready", &halt);
                    self.store.drop_preallocation(preallocated).await;
                    return Ok(false);
                }
            }
        }
    }
}

/// Writes into a drafted manifest that a segment was entered: the one before it is closed, the one after it is named, if
/// there is to be one. The number of the closed file comes back.
pub(crate) fn enter(
    next: &mut Manifest,
    shard: ShardId,
    entered: &Entered,
    named: Option<SegmentEntry>,
) -> Result<Option<u64>, Halt> {
    let log = next.logs.iter_mut().find(|log| log.id == entered.log);
    let last = |log: &LogEntry| log.segments.last().map(|last| last.ordinal);
    let Some(log) = log.filter(|log| last(log) == Some(entered.ordinal)) else {
        return Err(Halt::Refused(format!(
            "shard {} entered segment {} of log {}, which was not named to it",
            shard.0, entered.ordinal, entered.log
        )));
    };
    let mut closed_file = None;
    for segment in &mut log.segments {
        match entered.closed {
            Some(closed) if closed.ordinal == segment.ordinal => {
                closed_file = Some(segment.file);
                segment.state = SegmentState::Closed(extent(&closed));
            }
            _ => {}
        }
        // One whose first write failed stays a next one: an open one without its first batch is damaged.
        if segment.ordinal == entered.ordinal && entered.durable {
            segment.state = SegmentState::Open;
        }
    }
    log.segments.extend(named);
    Ok(closed_file)
}

pub(crate) fn extent(closed: &ClosedSegment) -> Extent {
    Extent {
        first: closed.first,
        last: closed.last,
        bytes: closed.bytes,
        last_checksum: closed.last_checksum,
    }
}
