//! Reading the logs at a start: what the slices do not hold, and where every log that has not ended ends. It changes
//! nothing; damage anywhere is the end.

use crate::keeper::extract::{Dictionary, Extract};
use crate::keeper::files::READ;
use crate::keeper::halt::Halt;
#[cfg(feature = "planted-bugs")]
use crate::keeper::mistakes;
use crate::keeper::notice::Notice;
use crate::keeper::progress::{Progress, Unit};
use crate::keeper::reading::Readable;
use crate::keeper::store::ManifestStore;
use crate::planted::{Bug, planted};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::LogEntry;
use crate::wal::name::{LogId, Place, Sequence};
use crate::wal::packed::SegmentFile;
use crate::wal::scan::{
    BatchAt, Ending, LogEnd, LogSource, LogVerdict, MadeBytes, ReadAt, read_log, stated_bytes,
};

/// A log that has not ended, as it was found.
pub(crate) struct LogFound {
    pub(crate) log: LogId,
    /// Its last sequence that counts.
    pub(crate) last: Sequence,
    pub(crate) ending: Ending,
    /// The bytes of the batch that goes into the last segment.
    pub(crate) batch: Option<Vec<u8>>,
    /// Ordinals of segments that were named and never used.
    pub(crate) unused: Vec<u32>,
}

/// Reads all logs from where the slices end. Those that have not ended come back.
pub(crate) async fn read_logs(
    store: &ManifestStore,
    extract: &mut Extract,
    dictionary: &mut Dictionary,
) -> Result<Vec<LogFound>, Halt> {
    let mut found = Vec::new();
    let mut progress = progress_of(store);
    let mut lengths = made_lengths(store).await?;
    lengths.push(store.config.segment_bytes);
    let agreed = MadeBytes::agreed(lengths);
    for log in &store.manifest.logs {
        let from = store.manifest.first_uncovered(log);
        if from == log.segments.len() && log.ended_at.is_some() {
            continue;
        }
        refuse_short(store, log, agreed).await?;
        let reading = Reading {
            store,
            log,
            from,
            files: open_segments(store, log, from).await?,
        };
        let end = reading.read(extract, dictionary, &mut progress).await?;
        if log.ended_at.is_none() {
            found.push(reading.found(&end).await?);
        }
        for file in reading.files {
            file.close().await;
        }
    }
    progress.log();
    Ok(found)
}

/// A segment that is not closed counts whole, whatever is in it.
fn progress_of(store: &ManifestStore) -> Progress {
    let manifest = &store.manifest;
    let logs = manifest.logs.iter();
    let uncovered = logs.flat_map(|log| &log.segments[manifest.first_uncovered(log)..]);
    let bytes = uncovered.map(|entry| match entry.state.extent() {
        Some(extent) => extent.bytes,
        None => store.config.segment_bytes,
    });
    Progress::of(&store.port, "MiB of log read", bytes.sum(), Unit::Mib)
}

/// The lengths of the files that were made for the last run to write: segments that are not closed, and preallocated segments.
pub(crate) async fn made_lengths(store: &ManifestStore) -> Result<Vec<u64>, Halt> {
    let manifest = &store.manifest;
    let unfinished = manifest
        .segments()
        .filter(|(_, entry)| entry.state.extent().is_none());
    let files = unfinished.map(|(_, entry)| entry.file);
    let mut lengths = Vec::new();
    for file in files.chain(manifest.preallocated.iter().copied()) {
        let name = NumberedFile::Segment(file).to_string();
        if let Some(file) = store.files.open_if_there(&name, READ).await? {
            let bytes = store.files.len(&file).await;
            store.files.close(&file).await;
            lengths.push(bytes?);
        }
    }
    Ok(lengths)
}

/// A segment that may be in use and is shorter than it was made has lost what stood in the rest. Its own header states that
/// length; where that is not there, the files of the same run agree on it. After a clean stop all that was in use is closed,
/// and its length stated.
async fn refuse_short(
    store: &ManifestStore,
    log: &LogEntry,
    agreed: MadeBytes,
) -> Result<(), Halt> {
    if store.manifest.clean_stop || planted(Bug::ShortSegmentRead) {
        return Ok(());
    }
    let unfinished = log.segments.iter();
    for entry in unfinished.filter(|entry| entry.state.extent().is_none()) {
        let readable = Readable::segment(store, entry).await?;
        let stated = stated_bytes(&readable, entry.salt).await;
        let bytes = readable.bytes();
        readable.close().await;
        let stated = stated.map_err(|error| Halt::Io {
            doing: "reading",
            file: log.file_name(entry.ordinal),
            error,
        })?;
        let made = stated.map_or(agreed, MadeBytes::stated);
        if let Some(fault) = made.fault(bytes) {
            return Err(Halt::Damage {
                file: log.file_name(entry.ordinal),
                what: fault.to_string(),
            });
        }
    }
    Ok(())
}

async fn open_segments(
    store: &ManifestStore,
    log: &LogEntry,
    from: usize,
) -> Result<Vec<SegmentFile<Readable>>, Halt> {
    let mut files = Vec::new();
    for entry in &log.segments[from..] {
        files.push(Readable::segment(store, entry).await?);
    }
    Ok(files)
}

/// One log that is being read.
struct Reading<'a> {
    store: &'a ManifestStore,
    log: &'a LogEntry,
    /// Index of its first segment that is read.
    from: usize,
    /// The segments from there on.
    files: Vec<SegmentFile<Readable>>,
}

impl Reading<'_> {
    /// Reads the log and refuses what must be refused.
    async fn read(
        &self,
        extract: &mut Extract,
        dictionary: &mut Dictionary,
        progress: &mut Progress,
    ) -> Result<LogEnd, Halt> {
        let log = self.log;
        let mut misfit = None;
        let erased = |_: LogId, _: Place| false;
        let source = LogSource {
            manifest: &self.store.manifest,
            log,
            from: self.from,
            files: &self.files,
            erased: &erased,
        };
        let clock_base_s = self.store.manifest.clock_base_s(log.id);
        let end = read_log(&source, |at, batch| {
            progress.add(at.bytes as u64);
            if let Err(what) = extract.take(log.id, clock_base_s, batch, dictionary) {
                misfit.get_or_insert((at.ordinal, what));
            }
        })
        .await;
        if let Some((ordinal, what)) = misfit {
            return Err(Halt::Damage {
                file: log.file_name(ordinal),
                what: what.to_string(),
            });
        }
        self.refuse_unsound(&end)?;
        Ok(end)
    }

    /// Turns an unsound verdict into the end of the process, and reports a torn tail.
    fn refuse_unsound(&self, end: &LogEnd) -> Result<(), Halt> {
        match end.verdict {
            LogVerdict::Whole => Ok(()),
            LogVerdict::TornTail { ordinal, bytes, .. } => {
                self.store.port.notify(Notice::TornTail {
                    log: self.log.id,
                    file: self.log.file_name(ordinal),
                    last: end.last,
                    bytes,
                });
                Ok(())
            }
            LogVerdict::Damage(_) if planted(Bug::DamageTakenForTornTail) => Ok(()),
            LogVerdict::StaleManifest { .. } if planted(Bug::StaleManifestAccepted) => Ok(()),
            ref unsound => Err(self.halt_of(unsound)),
        }
    }

    /// The end of the process that an unsound verdict means.
    fn halt_of(&self, verdict: &LogVerdict) -> Halt {
        let file = |ordinal| self.log.file_name(ordinal);
        match *verdict {
            LogVerdict::Unreadable { ordinal, errno } => Halt::Io {
                doing: "reading",
                file: file(ordinal),
                error: errno,
            },
            LogVerdict::Unsupported { ordinal, .. } => {
                Halt::Refused(format!("{}: {verdict}", file(ordinal)))
            }
            LogVerdict::StaleManifest {
                ordinal,
                generation,
            } => Halt::StaleManifest {
                file: file(ordinal),
                file_generation: generation,
                manifest_generation: self.store.manifest.generation,
            },
            LogVerdict::Damage(damage) => Halt::Damage {
                file: file(damage.ordinal),
                what: damage.to_string(),
            },
            LogVerdict::Whole | LogVerdict::TornTail { .. } => {
                unreachable!("a start goes on with a log that is sound")
            }
        }
    }

    /// Decides how a sound log ends and keeps the bytes of the batch that goes into its last segment.
    async fn found(&self, end: &LogEnd) -> Result<LogFound, Halt> {
        let ending = end.ending(Sequence::before_first(self.log.id.start));
        #[cfg(feature = "planted-bugs")]
        let ending = mistakes::adopted_if_planted(ending, end);
        let batch = match ending.batch {
            Some(at) => Some(self.read_again(at).await?),
            None => None,
        };
        Ok(LogFound {
            log: self.log.id,
            last: end.last,
            ending,
            batch,
            unused: end.unused.clone(),
        })
    }

    async fn read_again(&self, at: BatchAt) -> Result<Vec<u8>, Halt> {
        let mut segments = self.log.segments[self.from..].iter().zip(&self.files);
        let Some((_, file)) = segments.find(|(entry, _)| entry.ordinal == at.ordinal) else {
            unreachable!("the last batch lies in a segment that was read")
        };
        let bytes = file.read_at(at.offset, at.bytes).await;
        bytes.map_err(|error| Halt::Io {
            doing: "reading",
            file: self.log.file_name(at.ordinal),
            error,
        })
    }
}
