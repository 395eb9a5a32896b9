//! The graceful stop as the keeper sees it: shards drain, finish their logs, and the manifest states where each ends. It has
//! a bound: what is not done by then is left to the next start, as after a crash.

use crate::keeper::Service;
use crate::keeper::halt::Halt;
use crate::keeper::naming::{enter, extent};
use crate::keeper::notice::{Notice, counted};
use crate::keeper::port::{KeeperOp, Port};
use crate::keeper::shards::{LogReport, ShardState};
use crate::keeper::store::NotReplaced;
use crate::mesh::keeper::ToShard;
use crate::wal::manifest::{Manifest, SegmentEntry, SegmentState};
use crate::wal::name::ClosedSegment;
use crate::wal::name::LogId;

/// A graceful stop ends within this time after its drain delay, in microseconds: 5 s for clients that still send, and 10 s
/// for logs and manifest on a slow disk.
pub const STOP_US: u64 = 15_000_000;

/// Where the keeper cannot end the process itself, the driver does so this much later, in microseconds.
pub const STOP_MORE_US: u64 = 5_000_000;

/// How far a graceful stop is. By when it ends, whatever is missing, is [`Port::stop_by_us`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GracefulStop {
    NotAsked,
    /// Shards answer what they have.
    Draining,
    /// Logs get their marks, and the manifest states where they end.
    Finishing,
}

impl GracefulStop {
    pub(crate) fn is_asked(self) -> bool {
        self != GracefulStop::NotAsked
    }

    pub(crate) fn is_finishing(self) -> bool {
        self == GracefulStop::Finishing
    }
}

/// By when a stop that is asked for now ends. Where one was asked for before, the drain delay is over.
pub(crate) fn stop_by_us(
    before_us: Option<u64>,
    now_us: u64,
    drain_delay_us: u64,
    stop_us: u64,
) -> u64 {
    match before_us {
        None => now_us + drain_delay_us + stop_us,
        Some(by_us) => by_us.min(now_us + stop_us),
    }
}

/// While a file operation is under way, when the flow cannot look at the time itself: ends the process if the time of a stop
/// is over, and else asks to be stepped when it is.
pub(crate) fn end_in_time(port: &Port) -> bool {
    let Some(by_us) = port.stop_by_us() else {
        return false;
    };
    if port.now().mono_us < by_us {
        port.put(KeeperOp::Wake(by_us));
        return false;
    }
    let missing = "a file operation had not ended".to_string();
    let halt = Halt::StopCutShort { missing };
    port.put(KeeperOp::Exit {
        code: halt.code(),
        reason: halt.to_string(),
    });
    true
}

impl Service {
    /// The process was asked to end.
    pub(crate) fn note_terminate(&mut self) {
        match self.stop {
            GracefulStop::NotAsked => self.store.port.notify(Notice::Draining),
            GracefulStop::Draining => {}
            // There is no delay left that could be over.
            GracefulStop::Finishing => return,
        }
        assert!(
            self.store.port.stop_by_us().is_some(),
            "a stop is asked for by an event of a step"
        );
        self.stop = GracefulStop::Draining;
        self.send_all(|| ToShard::Drain);
    }

    /// Ends the process where a stop takes longer than it may.
    pub(crate) fn refuse_to_stop_later(&self) -> Result<(), Halt> {
        let now_us = self.store.now().mono_us;
        let by_us = self.store.port.stop_by_us();
        if !self.stop.is_asked() || by_us.is_none_or(|by_us| now_us < by_us) {
            return Ok(());
        }
        let missing = |is_done: fn(&ShardState) -> bool| {
            let shards = self.shards.iter();
            shards.filter(|shard| !is_done(shard)).count()
        };
        let missing = match (self.stop.is_finishing(), missing(|it| it.finished)) {
            (false, _) => match missing(|it| it.idle) {
                1 => "1 shard is still busy".to_string(),
                busy => format!("{busy} shards are still busy"),
            },
            (true, 0) => "the manifest could not be written".to_string(),
            (true, 1) => "1 log has no mark at its end".to_string(),
            (true, unfinished) => format!("{unfinished} logs have no mark at their end"),
        };
        Err(Halt::StopCutShort { missing })
    }

    /// Goes on with a graceful stop; its summary once it is complete.
    pub(crate) async fn shutdown_step(&mut self) -> Result<Option<String>, Halt> {
        if self.stop == GracefulStop::Draining && self.shards.iter().all(|shard| shard.idle) {
            self.stop = GracefulStop::Finishing;
            self.send_all(|| ToShard::Finish);
        }
        let finished = self.shards.iter().all(|shard| shard.finished);
        if !self.stop.is_finishing() || !finished {
            return Ok(None);
        }
        let mut last = self.store.draft();
        last.clean_stop = true;
        let mut closed = self.enter_last_segments(&mut last)?;
        self.note_resolved(&mut last);
        closed.extend(self.close_last_segments(&mut last));
        match self.store.replace(last).await {
            Ok(()) => {}
            Err(NotReplaced::Before(halt)) => {
                // It may pass before the time is over.
                self.trouble("stopping:", &halt);
                return Ok(None);
            }
            Err(not) => return Err(not.into()),
        }
        for (log, closed, file) in closed {
            // It stays open: its shard may still write a mark that no reader expects.
            let _ = self.cut_unused(log, &closed, file).await;
        }
        Ok(Some(format!(
            "stopped cleanly: {} finished, manifest generation {}",
            counted(self.shards.len() as u64, "log"),
            self.store.manifest.generation
        )))
    }

    /// Writes into a drafted manifest which segments were entered without having been followed by another one: the logs have
    /// ended, so none is needed. Those that this closed come back with the numbers of their files.
    fn enter_last_segments(
        &self,
        next: &mut Manifest,
    ) -> Result<Vec<(LogId, ClosedSegment, u64)>, Halt> {
        let mut all = Vec::new();
        for report in &self.log_reports {
            let LogReport::Entered(shard, entered) = report else {
                continue;
            };
            let file = enter(next, *shard, entered, None)?;
            if let (Some(closed), Some(file)) = (entered.closed, file) {
                all.push((entered.log, closed, file));
            }
        }
        Ok(all)
    }

    /// Writes into a drafted manifest that the segments in use are closed: whatever is missing of them later was durable.
    /// They come back with the numbers of their files.
    fn close_last_segments(&self, next: &mut Manifest) -> Vec<(LogId, ClosedSegment, u64)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let log = next.logs.iter_mut().find(|log| log.id == shard.log);
            let (Some(log), Some(closed)) = (log, shard.ended_in) else {
                continue;
            };
            let is_it = |it: &&mut SegmentEntry| {
                it.ordinal == closed.ordinal && it.state == SegmentState::Open
            };
            if let Some(segment) = log.segments.iter_mut().find(is_it) {
                segment.state = SegmentState::Closed(extent(&closed));
                all.push((shard.log, closed, segment.file));
            }
        }
        all
    }
}
