//! The decisions of one closed segment, read while shards are served. What cannot be read blocks its log for sealing: for a
//! while where it may pass, for good where it is damaged. Service goes on.

use crate::io::Errno;
use crate::keeper::Service;
use crate::keeper::extract::Extract;
use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::keeper::reading::{Interrupted, NotRead};
use crate::wal::manifest::LogEntry;
use crate::wal::name::{LogId, Sequence};
use crate::wal::scan::LogVerdict;

/// A log of which something could not be read for a reason that may pass is tried again after this time, in microseconds.
const READ_AGAIN_US: u64 = 10_000_000;

/// A log that is not sealed further.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocked {
    /// The first ordinal that is neither sealed nor deleted.
    pub(crate) from: u32,
    why: WhyBlocked,
}

#[derive(Clone, Copy, Debug)]
enum WhyBlocked {
    /// A file operation failed: sealing is tried again at this monotonic time, in microseconds.
    Trouble { until_us: u64 },
    /// Only an operator can help.
    Damage,
}

impl Blocked {
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self.why, WhyBlocked::Damage)
    }

    pub(crate) fn is_over(&self, now_us: u64) -> bool {
        match self.why {
            WhyBlocked::Trouble { until_us } => until_us <= now_us,
            WhyBlocked::Damage => false,
        }
    }
}

/// Why a segment was not sealed.
enum Unsealed {
    /// A file operation failed: it may succeed another time.
    Trouble(Halt),
    /// What is there cannot be right.
    Damage(String),
    /// Something else came first.
    Interrupted(Interrupted),
}

impl Service {
    /// Takes the decisions of one segment; the sequence up to which they were taken. Nothing if that has to wait.
    pub(crate) async fn extract_segment(
        &mut self,
        id: LogId,
        index: usize,
        extract: &mut Extract,
    ) -> Result<Option<Sequence>, Halt> {
        if extract.decisions.len() >= self.store.config.held_count_max() {
            // Where no more may be held, the rest is for the next seal.
            self.sealing.wanted = true;
            return Ok(None);
        }
        let Some(log) = self.store.manifest.log(id).cloned() else {
            unreachable!("a seal deletes no log that it has chosen segments of")
        };
        let part = LogEntry {
            ended_at: None,
            segments: log.segments[..=index].to_vec(),
            ..log
        };
        let from = part.segments[index].ordinal;
        let why = match self.read_part(&part, extract).await {
            Ok(last) => return Ok(Some(last)),
            Err(Unsealed::Interrupted(Interrupted::End(halt))) => return Err(halt),
            Err(Unsealed::Interrupted(Interrupted::Stopping)) => return Ok(None),
            Err(Unsealed::Trouble(halt)) => {
                self.trouble("sealing", &halt);
                let until_us = self.store.now().mono_us + READ_AGAIN_US;
                WhyBlocked::Trouble { until_us }
            }
            Err(Unsealed::Damage(what)) => {
                let file = part.file_name(from);
                let notice = Notice::DamageWhileSealing { file, what };
                self.store.port.notify(notice);
                WhyBlocked::Damage
            }
        };
        self.sealing.blocked.insert(id, Blocked { from, why });
        Ok(None)
    }

    /// Reads the last segment of a part of a log, serving shards in between.
    async fn read_part(
        &mut self,
        part: &LogEntry,
        extract: &mut Extract,
    ) -> Result<Sequence, Unsealed> {
        let manifest = self.store.manifest.clone();
        let mut dictionary = std::mem::take(&mut self.dictionary);
        let taken_before = extract.decisions.len();
        let mut misfit = None;
        let clock_base_s = manifest.clock_base_s(part.id);
        let read = self.read_last_segment(&manifest, part, |_, batch| {
            if let Err(what) = extract.take(part.id, clock_base_s, batch, &mut dictionary) {
                misfit = Some(what);
            }
        });
        let read = read.await;
        self.dictionary = dictionary;
        let end = match read {
            Ok(end) => end,
            Err(NotRead::Unopened(halt)) => {
                return Err(match halt {
                    // A name that is gone does not come back.
                    Halt::Io { error, .. } if error != Errno::ENOENT => Unsealed::Trouble(halt),
                    other => Unsealed::Damage(other.to_string()),
                });
            }
            Err(NotRead::Interrupted(interrupted)) => {
                extract.decisions.truncate(taken_before);
                return Err(Unsealed::Interrupted(interrupted));
            }
        };
        let sound = end.verdict.is_sound() && misfit.is_none();
        if !sound {
            extract.decisions.truncate(taken_before);
            return Err(match (misfit, end.verdict) {
                (Some(what), _) => Unsealed::Damage(what.to_string()),
                (None, LogVerdict::Unreadable { ordinal, errno }) => Unsealed::Trouble(Halt::Io {
                    doing: "reading",
                    file: part.file_name(ordinal),
                    error: errno,
                }),
                (None, verdict) => Unsealed::Damage(verdict.to_string()),
            });
        }
        Ok(end.last)
    }
}
