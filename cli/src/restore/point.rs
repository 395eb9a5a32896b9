//! A point in time: the logs of a backup are cut behind a batch, and slices must hold nothing from behind the cuts.

use super::kept::Backup;
use crate::backup::index::Holds;
use crate::backup::ready;
use crate::exit::{Exit, Failure};
use crate::wal::show::time_text;
use flk_dataplane::wal::copy::{CutAt, NoCut, cut, part_of, refuse_deleted};
use flk_dataplane::wal::files::NumberedFile;
use flk_dataplane::wal::manifest::{LogEntry, LogUpto, Manifest};
use flk_dataplane::wal::name::LogId;
use std::time::UNIX_EPOCH;

/// Where a restore is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    /// The last sequence of some logs.
    pub(super) sequences: Vec<LogUpto>,
    /// The latest wall clock of a batch, in microseconds since the Unix epoch.
    pub(super) time_us: Option<u64>,
}

/// Reads `LOG:COUNTER`, such as `3.0:1204`: the log as it is shown everywhere, and the counter of the sequence.
pub(crate) fn log_end(text: &str) -> Result<LogUpto, String> {
    LogUpto::parse(text).ok_or_else(|| {
        "it must be a log and the counter of a sequence, such as 3.0:1204".to_owned()
    })
}

/// Reads an RFC 3339 time, in microseconds since the Unix epoch.
pub(crate) fn time_us(text: &str) -> Result<u64, String> {
    let time = humantime::parse_rfc3339(text)
        .ok()
        .and_then(|it| it.duration_since(UNIX_EPOCH).ok());
    let micros = time.and_then(|it| u64::try_from(it.as_micros()).ok());
    micros.ok_or_else(|| "it must be a time in UTC such as 2026-11-30T14:05:00Z".to_owned())
}

/// Why a backup cannot be cut.
pub(super) enum Uncut {
    /// Its slices reach behind a cut.
    Sealed(NoCut),
    /// Anything else.
    Failure(Failure),
}

impl From<Failure> for Uncut {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Point {
    pub(super) fn is_end(&self) -> bool {
        self.sequences.is_empty() && self.time_us.is_none()
    }

    /// The cuts in words, for what is written down of a restore.
    pub(super) fn words(&self) -> Vec<String> {
        let sequences = self.sequences.iter();
        let sequences = sequences.map(|it| format!("{} {}", it.log, it.upto));
        let time = self.time_us.map(time_text);
        sequences.chain(time).collect()
    }

    /// Where a log is cut, if it is.
    fn of(&self, log: LogId) -> Option<CutAt> {
        let named = self.sequences.iter().find(|it| it.log == log);
        named
            .map(|it| CutAt::Sequence(it.upto))
            .or(self.time_us.map(CutAt::Time))
    }

    /// The manifest with all cuts.
    pub(super) fn cut(&self, backup: &Backup<'_>) -> Result<Manifest, Uncut> {
        let mut manifest = backup.manifest.clone();
        for asked in &self.sequences {
            let log = backup.manifest.log(asked.log).and_then(|log| log.ended_at);
            match log.map(|end| end.sequence) {
                Some(end) if asked.upto <= end => {}
                Some(end) => {
                    return Err(Failure::usage(format!(
                        "log {} ends at {end} in the backup",
                        asked.log
                    ))
                    .into());
                }
                None => {
                    return Err(
                        Failure::usage(format!("the backup has no log {}", asked.log)).into(),
                    );
                }
            }
        }
        if let Some(time_us) = self.time_us {
            refuse_deleted(&manifest, time_us).map_err(Uncut::Sealed)?;
        }
        for log in &backup.manifest.logs {
            let Some(at) = self.of(log.id) else { continue };
            let Some(index) = first_behind(backup, log, at)? else {
                continue;
            };
            let name = NumberedFile::Segment(log.segments[index].file).to_string();
            let file = backup.segment(&log.segments[index])?;
            let part = ready(part_of(&backup.manifest, log, index, &file, at));
            let part = part.map_err(|verdict| {
                let read = file.file().failure();
                read.unwrap_or_else(|| Failure::with(Exit::Damage, format!("{name}: {verdict}")))
            })?;
            cut(&mut manifest, log.id, index, part).map_err(Uncut::Sealed)?;
        }
        Ok(manifest)
    }
}

/// Index of the first segment of a log that holds anything behind a cut.
fn first_behind(backup: &Backup<'_>, log: &LogEntry, at: CutAt) -> Result<Option<usize>, Failure> {
    for (index, entry) in log.segments.iter().enumerate() {
        let Some(extent) = entry.state.extent().filter(|it| it.first <= it.last) else {
            continue;
        };
        let is_behind = match at {
            CutAt::Sequence(last) => extent.last > last,
            CutAt::Time(last_us) => {
                let name = NumberedFile::Segment(entry.file).to_string();
                match &backup.named(&name)?.holds {
                    Holds::Segment(kept) => kept.newest_us > last_us,
                    Holds::Slice(_) | Holds::Snapshot => false,
                }
            }
        };
        if is_behind {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_dataplane::wal::name::Sequence;

    #[test]
    fn an_end_of_a_log_is_read_as_logs_and_sequences_are_shown() {
        let log = LogId {
            start: 3,
            number: 1,
        };
        let upto = Sequence(Sequence::before_first(3).0 + 12);
        let end = Ok(LogUpto { log, upto });
        assert_eq!(log_end("3.1:12"), end);
        assert_eq!(log_end(&format!("{log}:{upto}")), end);
        for wrong in [
            "3.1",
            "3:12",
            "3.1:",
            "3.1:4:12",
            "3.1:-1",
            "3.1:1099511627776",
        ] {
            assert!(log_end(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_in_utc() {
        assert_eq!(time_us("1970-01-01T00:00:01.5Z"), Ok(1_500_000));
        assert!(time_us("tomorrow").is_err());
    }
}
