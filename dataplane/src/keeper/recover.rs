//! Recovery of logs: reading what the slices do not hold, and bringing every log that has not ended to its end. Reading
//! changes nothing; what a start changes of logs is in [`write_last_segments`], [`mark_ended`] and [`clean_up`], in this
//! order around the one replacement of the manifest.

use crate::keeper::extract::{Dictionary, Extract};
use crate::keeper::files::{Files, MAKE, READ, READ_WRITE_CREATE};
use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::keeper::port::OpenHow;
use crate::keeper::reading::Readable;
use crate::keeper::store::ManifestStore;
use crate::planted::{Bug, planted};
use crate::wal::batch::{Assembled, rewrite};
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{Extent, LogEntry, Manifest, SegmentEntry, SegmentState};
use crate::wal::name::{LogId, Place, Sequence};
use crate::wal::scan::{
    BatchAt, Ending, LogEnd, LogSource, MadeBytes, ReadAt, Verdict, read_log, stated_bytes,
};
use crate::wal::segment::SegmentHeader;
use std::collections::BTreeMap;

/// A log that has not ended, as it was found.
pub(crate) struct LogFound {
    pub(crate) log: LogId,
    /// Its last sequence that counts.
    pub(crate) last: Sequence,
    ending: Ending,
    /// The bytes of the batch that goes into the last segment.
    batch: Option<Vec<u8>>,
    /// Ordinals of segments that were named and never used.
    unused: Vec<u32>,
}

/// What becomes of the logs in the next manifest.
#[derive(Default)]
pub(crate) struct Ended {
    ends: Vec<(LogFound, Option<SegmentEntry>)>,
    /// Files of unused next segments that are good enough to be used again.
    pub(crate) unused: Vec<u64>,
    /// Preallocated segments that are not: of another length, or another process reads them or has another name for them.
    pub(crate) unfit: Vec<u64>,
}

/// How far the slices hold a log's decisions.
pub(crate) fn covered_upto(manifest: &Manifest, log: LogId) -> Option<Sequence> {
    manifest.covered_upto(log)
}

/// Index of the first segment whose decisions are not in a slice.
pub(crate) fn first_uncovered(manifest: &Manifest, log: &LogEntry) -> usize {
    let covered = covered_upto(manifest, log.id);
    let in_slices = |entry: &&SegmentEntry| match (entry.state.extent(), covered) {
        (Some(extent), Some(covered)) => extent.last <= covered,
        _ => false,
    };
    log.segments.iter().take_while(in_slices).count()
}

/// Reads all logs from where the slices end. Those that have not ended come back; damage anywhere is the end.
pub(crate) async fn read_logs(
    store: &ManifestStore,
    extract: &mut Extract,
    dictionary: &mut Dictionary,
) -> Result<Vec<LogFound>, Halt> {
    let mut found = Vec::new();
    let mut progress = Progress::of(store);
    let mut lengths = made_lengths(store).await?;
    lengths.push(store.config.segment_bytes);
    let agreed = MadeBytes::agreed(lengths);
    for log in &store.manifest.logs {
        let from = first_uncovered(&store.manifest, log);
        if from == log.segments.len() && log.ended_at.is_some() {
            continue;
        }
        refuse_short(store, log, agreed).await?;
        let (end, files) = read_one(store, log, from, extract, dictionary, &mut progress).await?;
        if log.ended_at.is_none() {
            found.push(found_of(log, from, &end, &files).await?);
        }
        for file in files {
            file.close().await;
        }
    }
    progress.say(store);
    Ok(found)
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

/// A segment that may be in use and is shorter than it was made has lost what stood in the rest. Its own header
/// states that length; where that is not there, the files of the same run agree on it. After a clean stop all
/// that was in use is closed, and its length stated.
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
            file: file_name(log, entry.ordinal),
            error,
        })?;
        let made = stated.map_or(agreed, MadeBytes::stated);
        if let Some(fault) = made.fault(bytes) {
            return Err(Halt::Damage {
                file: file_name(log, entry.ordinal),
                what: fault.to_string(),
            });
        }
    }
    Ok(())
}

/// Time between two progress lines, in microseconds.
pub(crate) const PROGRESS_EVERY_US: u64 = 2_000_000;

/// How much of the logs was read.
struct Progress {
    read_bytes: u64,
    of_bytes: u64,
    said_us: u64,
}

impl Progress {
    /// Nothing yet. A segment that is not closed counts whole, whatever is in it.
    fn of(store: &ManifestStore) -> Progress {
        let manifest = &store.manifest;
        let logs = manifest.logs.iter();
        let uncovered = logs.flat_map(|log| &log.segments[first_uncovered(manifest, log)..]);
        let bytes = uncovered.map(|entry| match entry.state.extent() {
            Some(extent) => extent.bytes,
            None => store.config.segment_bytes,
        });
        Progress {
            read_bytes: 0,
            of_bytes: bytes.sum(),
            said_us: store.now().mono_us,
        }
    }

    fn batch(&mut self, store: &ManifestStore, bytes: usize) {
        self.read_bytes += bytes as u64;
        if store.now().mono_us >= self.said_us + PROGRESS_EVERY_US {
            self.say(store);
        }
    }

    fn say(&mut self, store: &ManifestStore) {
        self.said_us = store.now().mono_us;
        if self.of_bytes > 0 {
            store.port.say(Notice::Progress {
                what: "MiB of log read",
                done: self.read_bytes >> 20,
                of: self.of_bytes >> 20,
            });
        }
    }
}

/// Reads one log and refuses what must be refused.
async fn read_one(
    store: &ManifestStore,
    log: &LogEntry,
    from: usize,
    extract: &mut Extract,
    dictionary: &mut Dictionary,
    progress: &mut Progress,
) -> Result<(LogEnd, Vec<Readable>), Halt> {
    let mut files = Vec::new();
    for entry in &log.segments[from..] {
        files.push(Readable::segment(store, entry).await?);
    }
    let mut misfit = None;
    let erased = |_: LogId, _: Place| false;
    let source = LogSource {
        manifest: &store.manifest,
        log,
        from,
        files: &files,
        erased: &erased,
    };
    let end = read_log(&source, |at, batch| {
        progress.batch(store, at.bytes);
        if let Err(what) = extract.take(log.id, batch, dictionary) {
            misfit.get_or_insert((at.ordinal, what));
        }
    })
    .await;
    if let Some((ordinal, what)) = misfit {
        return Err(Halt::Damage {
            file: file_name(log, ordinal),
            what: what.to_string(),
        });
    }
    refuse_unsound(store, log, &end)?;
    Ok((end, files))
}

/// Name of the file of a segment.
pub(crate) fn file_name(log: &LogEntry, ordinal: u32) -> String {
    log.segments
        .iter()
        .find(|entry| entry.ordinal == ordinal)
        .map(|entry| NumberedFile::Segment(entry.file).to_string())
        .unwrap_or_default()
}

/// Turns an unsound verdict into the end of the process, and reports a torn tail.
fn refuse_unsound(store: &ManifestStore, log: &LogEntry, end: &LogEnd) -> Result<(), Halt> {
    match end.verdict {
        Verdict::Whole => Ok(()),
        Verdict::TornTail { ordinal, bytes, .. } => {
            store.port.say(Notice::TornTail {
                log: log.id,
                file: file_name(log, ordinal),
                last: end.last,
                bytes,
            });
            Ok(())
        }
        Verdict::Damage(_) if planted(Bug::DamageTakenForTornTail) => Ok(()),
        Verdict::StaleManifest { .. } if planted(Bug::StaleManifestAccepted) => Ok(()),
        ref unsound => Err(halt_of(store, log, unsound)),
    }
}

/// The end of the process that an unsound verdict means.
pub(crate) fn halt_of(store: &ManifestStore, log: &LogEntry, verdict: &Verdict) -> Halt {
    match *verdict {
        Verdict::Unreadable { ordinal, errno } => Halt::Io {
            doing: "reading",
            file: file_name(log, ordinal),
            error: errno,
        },
        Verdict::Unsupported { ordinal, .. } => {
            Halt::Refused(format!("{}: {verdict}", file_name(log, ordinal)))
        }
        Verdict::StaleManifest {
            ordinal,
            generation,
        } => Halt::StaleManifest {
            file: file_name(log, ordinal),
            file_generation: generation,
            manifest_generation: store.manifest.generation,
        },
        Verdict::Damage(damage) => Halt::Damage {
            file: file_name(log, damage.ordinal),
            what: damage.to_string(),
        },
        Verdict::Whole | Verdict::TornTail { .. } => Halt::Refused(verdict.to_string()),
    }
}

/// Decides how a sound log ends and keeps the bytes of the batch that goes into its last segment.
async fn found_of(
    log: &LogEntry,
    from: usize,
    end: &LogEnd,
    files: &[Readable],
) -> Result<LogFound, Halt> {
    let mut ending = end.ending(Sequence::before_first(log.id.start));
    if planted(Bug::AdoptedTailNotSyncedAgain) {
        ending.batch = None;
        ending.end.sequence = end.last;
        ending.end.checksum = end.checksum.unwrap_or(0);
        let holds = end
            .segments
            .iter()
            .filter(|it| it.extent.first <= it.extent.last);
        ending.closed = holds.map(|it| (it.ordinal, it.extent)).collect();
    }
    let batch = match ending.batch {
        Some(at) => Some(read_again(log, from, at, files).await?),
        None => None,
    };
    Ok(LogFound {
        log: log.id,
        last: end.last,
        ending,
        batch,
        unused: end.unused.clone(),
    })
}

async fn read_again(
    log: &LogEntry,
    from: usize,
    at: BatchAt,
    files: &[Readable],
) -> Result<Vec<u8>, Halt> {
    let index = log.segments[from..]
        .iter()
        .position(|entry| entry.ordinal == at.ordinal);
    let failed = |error| Halt::Io {
        doing: "reading",
        file: file_name(log, at.ordinal),
        error,
    };
    match index.and_then(|index| files.get(index)) {
        Some(file) => file.read_at(at.offset, at.bytes).await.map_err(failed),
        None => Err(failed(crate::io::Errno::ENOENT)),
    }
}

/// Gives every log that needs one its last segment, durable but for its name; and looks which unused segments can serve
/// again. The header names the manifest in force: should this start be cut short, the file is an orphan and not a sign of a
/// later manifest.
pub(crate) async fn write_last_segments(
    store: &mut ManifestStore,
    found: Vec<LogFound>,
) -> Result<Ended, Halt> {
    let mut ended = Ended::default();
    for file in store.manifest.preallocated.clone() {
        if !may_serve_again(store, file).await? {
            ended.unfit.push(file);
        }
    }
    for log in found {
        for file in unused_files(&store.manifest, &log) {
            if may_serve_again(store, file).await? {
                ended.unused.push(file);
            }
        }
        let last = match &log.batch {
            Some(bytes) => Some(write_last(store, &log, bytes).await?),
            None => None,
        };
        ended.ends.push((log, last));
    }
    Ok(ended)
}

fn unused_files(manifest: &Manifest, found: &LogFound) -> Vec<u64> {
    let log = manifest.logs.iter().find(|log| log.id == found.log);
    let segments = log.map_or(&[][..], |log| &log.segments);
    let unused = segments
        .iter()
        .filter(|entry| found.unused.contains(&entry.ordinal));
    unused.map(|entry| entry.file).collect()
}

/// A file may become a segment if no other process reads it or has another name for it, and it has the length that all
/// segments of a run have.
async fn may_serve_again(store: &ManifestStore, file: u64) -> Result<bool, Halt> {
    let name = NumberedFile::Segment(file).to_string();
    let open = store.files.open(&name, store.segment_how()).await?;
    let good = store.files.lock(&open).await?
        && (store.files.links(&open).await? == 1 || planted(Bug::LinkedSegmentReused))
        && store.files.len(&open).await? == store.config.segment_bytes;
    store.files.close(&open).await;
    Ok(good)
}

async fn write_last(
    store: &mut ManifestStore,
    found: &LogFound,
    bytes: &[u8],
) -> Result<SegmentEntry, Halt> {
    let file = store.number();
    let salt = u64::from_le_bytes(store.files.random().await?);
    let header = SegmentHeader {
        installation: store.manifest.installation,
        incarnation: incarnation_of(&store.manifest, found.log),
        log: found.log,
        ordinal: found.ending.ordinal,
        salt,
        generation: store.manifest.generation,
        predecessor: found.ending.predecessor,
        made_bytes: Some((BLOCK_BYTES + bytes.len()) as u64),
    };
    let (blocks, assembled) = rewritten(bytes, &header)?;
    assert_eq!(
        header.made_bytes,
        Some(assembled.bytes as u64),
        "a last segment is its header and one batch"
    );
    let extent = Extent {
        first: found.ending.end.sequence,
        last: found.ending.end.sequence,
        bytes: assembled.bytes as u64,
        last_checksum: assembled.checksum,
    };
    let name = NumberedFile::Segment(file).to_string();
    write_whole(&store.files, &name, store.config.direct, blocks.bytes()).await?;
    Ok(SegmentEntry {
        ordinal: found.ending.ordinal,
        file,
        salt,
        generation: store.manifest.generation,
        state: SegmentState::Last(extent),
    })
}

/// The incarnation that a log was begun under.
pub(crate) fn incarnation_of(manifest: &Manifest, log: LogId) -> [u8; 16] {
    let entry = manifest.logs.iter().find(|entry| entry.id == log);
    entry.map_or(manifest.incarnation, |entry| entry.incarnation)
}

/// A batch under another segment header.
fn rewritten(bytes: &[u8], header: &SegmentHeader) -> Result<(Blocks, Assembled), Halt> {
    let mut blocks = Blocks::default();
    blocks.reset(bytes.len());
    blocks.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
    let assembled = rewrite(&mut blocks, header).map_err(|fault| Halt::Damage {
        file: format!("log {}", header.log),
        what: fault.to_string(),
    })?;
    Ok((blocks, assembled))
}

/// Makes a file with these bytes, synced; its name is not.
pub(crate) async fn write_whole(
    files: &Files,
    name: &str,
    direct: bool,
    bytes: &[u8],
) -> Result<(), Halt> {
    let file = files.open(name, OpenHow { direct, ..MAKE }).await?;
    files.write(&file, 0, bytes).await?;
    files.sync(&file).await?;
    files.close(&file).await;
    Ok(())
}

/// Writes the ends into the drafted manifest. Unused segments become preallocated segments there; what held only the batch that went
/// into the last segment is named no more.
pub(crate) fn mark_ended(next: &mut Manifest, ended: &Ended) {
    for (found, last) in &ended.ends {
        let Some(log) = next.logs.iter_mut().find(|log| log.id == found.log) else {
            continue;
        };
        let closed: BTreeMap<u32, Extent> = found.ending.closed.iter().copied().collect();
        log.segments.retain_mut(|entry| {
            if entry.state.extent().is_some() {
                return true;
            }
            match closed.get(&entry.ordinal) {
                Some(extent) => {
                    entry.state = SegmentState::Closed(*extent);
                    true
                }
                None => false,
            }
        });
        log.segments.extend(last);
        let mut end = found.ending.end;
        if let Some(SegmentState::Last(extent)) = last.map(|last| last.state) {
            end.checksum = extent.last_checksum;
        }
        log.resolved_upto = end.sequence;
        log.ended_at = Some(end);
    }
    next.preallocated
        .retain(|preallocated| !ended.unfit.contains(preallocated));
    next.preallocated.extend(&ended.unused);
    next.logs
        .retain(|log| log.ended_at.is_none() || !log.segments.is_empty());
}

/// Once the manifest is durable: removes the files that it names no more, and cuts off what lies behind the ends of the
/// segments that were closed. Should this be cut short, the next start removes the rest; a tail only takes room.
pub(crate) async fn clean_up(
    store: &ManifestStore,
    before: &Manifest,
    ended: &Ended,
) -> Result<(), Halt> {
    let named: std::collections::BTreeSet<u64> = store.manifest.files().into_iter().collect();
    for file in before.files() {
        if !named.contains(&file) {
            let name = NumberedFile::Segment(file).to_string();
            store.files.unlink(&name).await?;
        }
    }
    for (found, _) in &ended.ends {
        let log = store.manifest.logs.iter().find(|log| log.id == found.log);
        for (ordinal, extent) in &found.ending.closed {
            let entry = log.and_then(|log| log.segments.iter().find(|it| it.ordinal == *ordinal));
            let Some(entry) = entry else { continue };
            let name = NumberedFile::Segment(entry.file).to_string();
            let how = OpenHow {
                create: false,
                ..READ_WRITE_CREATE
            };
            // The batch that went into a last segment stays where it was: should the manifest before this one be put back
            // while nothing newer than it has been written, that is where it is looked for.
            let moved = found.ending.batch.filter(|batch| batch.ordinal == *ordinal);
            let moved_end = moved.map_or(0, |batch| batch.offset + batch.bytes as u64);
            let kept_bytes = match planted(Bug::MovedLastBatchCut) {
                true => extent.bytes,
                false => extent.bytes.max(moved_end),
            };
            let file = store.files.open(&name, how).await?;
            if store.files.len(&file).await? > kept_bytes {
                store.files.truncate(&file, kept_bytes).await?;
            }
            store.files.close(&file).await;
        }
    }
    Ok(())
}

/// The mistake of [`Bug::LastSegmentRewrittenAlways`]: last segments of logs that ended long ago are written again, in
/// place and under a new salt.
pub(crate) async fn rewrite_last_segments(
    store: &ManifestStore,
    next: &mut Manifest,
) -> Result<(), Halt> {
    for log in &mut next.logs {
        let Some(mark) = log.ended_at.as_mut() else {
            continue;
        };
        let Some(entry) = log.segments.last_mut() else {
            continue;
        };
        let SegmentState::Last(extent) = &mut entry.state else {
            continue;
        };
        let name = NumberedFile::Segment(entry.file).to_string();
        let file = store.files.open(&name, store.segment_how()).await?;
        let read = store.files.read(&file, 0, extent.bytes as usize).await;
        let bytes = read.unwrap_or_default();
        if let Ok((header, _)) = SegmentHeader::decode(&bytes) {
            let salt = u64::from_le_bytes(store.files.random().await?);
            let (blocks, assembled) = rewritten(&bytes, &SegmentHeader { salt, ..header })?;
            store.files.write(&file, 0, blocks.bytes()).await?;
            store.files.sync(&file).await?;
            entry.salt = salt;
            extent.last_checksum = assembled.checksum;
            mark.checksum = assembled.checksum;
        }
        store.files.close(&file).await;
    }
    Ok(())
}
