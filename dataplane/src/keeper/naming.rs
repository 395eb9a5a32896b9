//! Naming segments: a shard that entered a segment gets the one behind it. The manifest that names it, and that states the
//! segment before as closed, is durable before the shard may write there.

use crate::io::ShardId;
use crate::keeper::due::Due;
use crate::keeper::files::File;
use crate::keeper::halt::Halt;
use crate::keeper::port::KeeperOp;
use crate::keeper::room::{Lack, refusal};
use crate::keeper::shards::LogReport;
use crate::keeper::store::{Growth, NotReplaced};
use crate::keeper::{LOOK_EVERY_US, Service};
use crate::mesh::keeper::{Shortage, ToShard};
#[cfg(feature = "planted-bugs")]
use crate::planted::{Bug, planted};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{Extent, Manifest, SegmentEntry, SegmentState};
use crate::wal::name::{ClosedSegment, LogId, NamedSegment};
use crate::wal::writer::{Entered, EpochBegun};

/// Naming that failed is tried again after this time, in microseconds.
const NAME_AGAIN_US: u64 = LOOK_EVERY_US / 10;

/// What became of an attempt to name a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    Done,
    /// The shard waits: it has to be tried again.
    Failed,
}

impl Service {
    /// Deals with the oldest report of a log; false if there is none, or if it has to wait.
    pub(crate) async fn name_one(&mut self) -> Result<bool, Halt> {
        if !self.name_due.is_over(self.store.now().mono_us) {
            return Ok(false);
        }
        match self.log_reports.pop_front() {
            None => Ok(false),
            Some(LogReport::Epoch(shard, begun)) => {
                self.begin_epoch(shard, begun);
                Ok(true)
            }
            Some(LogReport::Entered(shard, entered)) => {
                if self.name(shard, entered).await? == Naming::Done {
                    return Ok(true);
                }
                self.log_reports
                    .push_front(LogReport::Entered(shard, entered));
                self.name_due = Due::At(self.store.now().mono_us + NAME_AGAIN_US);
                self.store.port.put(KeeperOp::Wake(self.name_due.wake_us()));
                Ok(false)
            }
        }
    }

    /// The segment in use holds nothing of an earlier epoch.
    fn begin_epoch(&mut self, shard: ShardId, begun: EpochBegun) {
        self.shard(shard).epoch = begun.epoch;
        self.epochs.insert((begun.log, begun.ordinal), begun.epoch);
    }

    /// Makes the closed segment and the next one durable in the manifest, and gives the next one to the shard.
    async fn name(&mut self, shard: ShardId, entered: Entered) -> Result<Naming, Halt> {
        if let Some(why) = self.ready_for_naming().await? {
            self.lacks(why);
            return Ok(Naming::Failed);
        }
        let mut next = self.store.draft();
        let named = match self.store.name_next(&mut next, entered.ordinal + 1).await {
            Ok(Some(named)) => named,
            Ok(None) => return Ok(Naming::Failed),
            Err(halt) => return Ok(self.not_named(&halt)),
        };
        assert_eq!(named.state, SegmentState::Next, "no batch is in it yet");
        let closed_file = enter(&mut next, shard, &entered, Some(named))?;
        self.note_resolved(&mut next);
        #[cfg(feature = "planted-bugs")]
        if planted(Bug::SegmentNotYetNamed) {
            self.give_before_naming(shard, entered.log, next, &named)
                .await?;
            self.note_named(shard, &entered, closed_file).await;
            return Ok(Naming::Done);
        }
        // Before the manifest names it: a segment that is named and cannot be opened would end the process.
        let segment = match self.store.open_for_shard(&named).await {
            Ok(segment) => segment,
            // A file that is gone does not come back.
            Err(halt) if halt.is_missing() => return Err(halt),
            Err(halt) => return Ok(self.not_named(&halt)),
        };
        match self.store.grow(next, self.growth()).await {
            Ok(()) => {}
            Err(not) => {
                self.store.files.close_id(segment.file).await;
                return match not {
                    NotReplaced::Before(halt) => Ok(self.not_named(&halt)),
                    not => Err(not.into()),
                };
            }
        }
        let log = self.store.manifest.log(entered.log);
        assert_eq!(
            log.and_then(|log| log.segment(named.ordinal)),
            Some(&named),
            "a segment is named durably before its shard has it"
        );
        self.give_segment(shard, entered.log, segment);
        self.note_named(shard, &entered, closed_file).await;
        Ok(Naming::Done)
    }

    /// Takes account of what the manifest says now: the segment before is closed, and the shard has the next one.
    async fn note_named(&mut self, shard: ShardId, entered: &Entered, closed_file: Option<u64>) {
        self.after_closing(shard, entered, closed_file).await;
        self.space.naming = None;
        self.space.pace.named(self.store.config.segment_bytes);
    }

    /// Gives an open segment to its shard.
    pub(super) fn give_segment(&mut self, shard: ShardId, log: LogId, segment: NamedSegment) {
        self.store.note_open(log, &segment);
        self.store.port.send(shard, ToShard::Segment(segment));
    }

    /// In a stop the ends of logs may take the part of the manifest that was kept for them, but not before shards admit no
    /// more.
    pub(super) fn growth(&self) -> Growth {
        match self.stop.is_asked() && self.space.low == Some(Shortage::Segments) {
            true => Growth::Stopping,
            false => Growth::Serving,
        }
    }

    /// A shard waits for a segment: what may go makes room for it at once.
    fn lacks(&mut self, why: Lack) {
        self.space.naming = Some(why);
        self.look_due = Due::AtOnce;
    }

    /// A segment could not be opened, or the manifest that names it could not be made durable. Where that has no place for another
    /// one, submits wait until segments are deleted, or in a stop until its own part of the manifest is used.
    fn not_named(&mut self, halt: &Halt) -> Naming {
        let why = match halt {
            Halt::ManifestFull { .. } => Shortage::Segments,
            _ => refusal(halt),
        };
        self.naming_trouble("naming a segment", why, halt);
        self.lacks(Lack::Met(why));
        Naming::Failed
    }

    /// Looks whether there is room for the segment that a shard waits for, and makes one if no preallocated segment is at
    /// hand. What is short comes back.
    async fn ready_for_naming(&mut self) -> Result<Option<Lack>, Halt> {
        if let Some(why) = self.shortage_of_next().await? {
            // Over the cap with nothing to free, or in a stop: no more is admitted, and what is on its way may end.
            let ends = self.space.low == Some(Shortage::Cap) || self.stop.is_asked();
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
                let why = refusal(&halt);
                self.naming_trouble("making a segment ready", why, &halt);
                Ok(Some(Lack::Met(why)))
            }
        }
    }

    /// Logs that a segment could not be named: once, not at each of ten attempts a second.
    fn naming_trouble(&self, doing: &'static str, why: Shortage, halt: &Halt) {
        if self.space.naming != Some(Lack::Met(why)) {
            self.trouble(doing, halt);
        }
    }

    /// Cuts the unused tail of a closed segment off and closes its file; both are only tidiness.
    async fn after_closing(&mut self, shard: ShardId, entered: &Entered, closed_file: Option<u64>) {
        if let Some(epoch) = self.epochs.get(&(entered.log, entered.ordinal)).copied() {
            self.shard(shard).epoch = epoch;
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
}

/// Writes into a drafted manifest that a segment was entered: the one before it is closed, the one after it is named, if
/// there is to be one. The number of the closed file comes back.
pub(crate) fn enter(
    next: &mut Manifest,
    shard: ShardId,
    entered: &Entered,
    named: Option<SegmentEntry>,
) -> Result<Option<u64>, Halt> {
    let log = next.log_mut(entered.log);
    let is_last = |it: &SegmentEntry| it.ordinal == entered.ordinal;
    let Some(log) = log.filter(|log| log.segments.last().is_some_and(is_last)) else {
        return Err(Halt::Refused(format!(
            "shard {} entered segment {} of log {}, which was not named to it",
            shard.0, entered.ordinal, entered.log
        )));
    };
    let mut closed_file = None;
    if let Some(closed) = entered.closed {
        assert!(
            closed.ordinal < entered.ordinal,
            "a log goes on behind the segment that is closed"
        );
        let Some(before) = log.segment_mut(closed.ordinal) else {
            unreachable!("a segment is named until it is closed");
        };
        closed_file = Some(before.file);
        before.state = SegmentState::Closed(extent(&closed));
    }
    // One whose first write failed stays a next one: an open one without its first batch is damaged.
    if entered.durable
        && let Some(own) = log.segment_mut(entered.ordinal)
    {
        own.state = SegmentState::Open;
    }
    log.segments.extend(named);
    Ok(closed_file)
}

pub(crate) fn extent(closed: &ClosedSegment) -> Extent {
    assert!(
        closed.first.0 <= closed.last.0 + 1,
        "a segment without a batch goes on where the one before ends"
    );
    Extent {
        first: closed.first,
        last: closed.last,
        bytes: closed.bytes,
        last_checksum: closed.last_checksum,
    }
}
