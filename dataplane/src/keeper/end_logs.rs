//! Bringing logs to their end: last segments are written, the drafted manifest states where each log ends, and once that
//! is durable what it names no more is removed. The functions stand in the order in which a start calls them, around the
//! one replacement of the manifest.

use crate::keeper::files::{Files, MAKE, READ_WRITE_CREATE};
use crate::keeper::halt::Halt;
use crate::keeper::port::OpenHow;
use crate::keeper::read_logs::LogFound;
use crate::keeper::store::ManifestStore;
use crate::planted::{Bug, planted};
use crate::wal::batch::{Assembled, rewrite};
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{Extent, LogEndMark, LogEntry, Manifest, SegmentEntry, SegmentState};
use crate::wal::segment::SegmentHeader;
use std::collections::{BTreeMap, BTreeSet};

/// A log that is to end, and its last segment, if it needs one.
struct End {
    found: LogFound,
    last: Option<SegmentEntry>,
}

/// What becomes of the logs in the next manifest.
#[derive(Default)]
pub(crate) struct Ended {
    ends: Vec<End>,
    /// Files of unused next segments that are good enough to be used again.
    pub(crate) unused: Vec<u64>,
    /// Preallocated segments that are not: of another length, or another process reads them or has another name for them.
    pub(crate) unfit: Vec<u64>,
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
        ended.ends.push(End { found: log, last });
    }
    Ok(ended)
}

fn unused_files(manifest: &Manifest, found: &LogFound) -> Vec<u64> {
    let Some(log) = manifest.log(found.log) else {
        unreachable!("the manifest names every log that was read")
    };
    let unused = found.unused.iter().filter_map(|it| log.segment(*it));
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
        incarnation: store.manifest.incarnation_of(found.log),
        log: found.log,
        ordinal: found.ending.ordinal,
        salt,
        generation: store.manifest.generation,
        predecessor: found.ending.predecessor,
        made_bytes: Some((BLOCK_BYTES + bytes.len()) as u64),
        labels: store.labels(),
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
    let how = OpenHow {
        direct: store.config.direct,
        ..MAKE
    };
    write_whole(&store.files, &name, how, blocks.bytes()).await?;
    Ok(SegmentEntry {
        ordinal: found.ending.ordinal,
        file,
        salt,
        generation: store.manifest.generation,
        state: SegmentState::Last(extent),
    })
}

/// A batch under another segment header.
pub(super) fn rewritten(bytes: &[u8], header: &SegmentHeader) -> Result<(Blocks, Assembled), Halt> {
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
    how: OpenHow,
    bytes: &[u8],
) -> Result<(), Halt> {
    let file = files.open(name, how).await?;
    files.write(&file, 0, bytes).await?;
    files.sync(&file).await?;
    files.close(&file).await;
    Ok(())
}

/// Writes the ends into the drafted manifest. Unused segments become preallocated segments there; what held only the batch
/// that went into the last segment is named no more.
pub(crate) fn mark_ended(next: &mut Manifest, ended: &Ended) {
    for end in &ended.ends {
        let Some(log) = next.log_mut(end.found.log) else {
            unreachable!("the draft names every log that was read")
        };
        close_log(log, end);
    }
    next.preallocated.retain(|file| !ended.unfit.contains(file));
    next.preallocated.extend(&ended.unused);
    next.logs
        .retain(|log| log.ended_at.is_none() || !log.segments.is_empty());
}

/// Closes the segments of a log that hold something, adds the last one, and states where the log ends.
fn close_log(log: &mut LogEntry, end: &End) {
    assert_eq!(log.ended_at, None, "a log ends once");
    let ending = &end.found.ending;
    let closed: BTreeMap<u32, Extent> = ending.closed.iter().copied().collect();
    log.segments
        .retain(|entry| entry.state.extent().is_some() || closed.contains_key(&entry.ordinal));
    for entry in &mut log.segments {
        if entry.state.extent().is_none() {
            entry.state = SegmentState::Closed(closed[&entry.ordinal]);
        }
    }
    log.segments.extend(end.last);
    assert!(
        log.segments.is_sorted_by(|a, b| a.ordinal < b.ordinal),
        "segments of a log stand in their order"
    );
    let mut mark: LogEndMark = ending.end;
    if let Some(SegmentState::Last(extent)) = end.last.map(|last| last.state) {
        assert_eq!(
            extent.last, mark.sequence,
            "a log ends with its last segment"
        );
        mark.checksum = extent.last_checksum;
    }
    log.resolved_upto = mark.sequence;
    log.ended_at = Some(mark);
}

/// Once the manifest is durable: removes the files that it names no more, and cuts off what lies behind the ends of the
/// segments that were closed. Should this be cut short, the next start removes the rest; a tail only takes room.
pub(crate) async fn clean_up(
    store: &ManifestStore,
    before: &Manifest,
    ended: &Ended,
) -> Result<(), Halt> {
    let named: BTreeSet<u64> = store.manifest.files().into_iter().collect();
    let before = before.files().into_iter();
    for file in before.filter(|file| !named.contains(file)) {
        let name = NumberedFile::Segment(file).to_string();
        store.files.unlink(&name).await?;
    }
    for end in &ended.ends {
        for (ordinal, extent) in &end.found.ending.closed {
            let log = store.manifest.log(end.found.log);
            if let Some(entry) = log.and_then(|log| log.segment(*ordinal)) {
                let kept_bytes = kept_bytes(&end.found, *ordinal, extent);
                cut_behind(store, entry.file, kept_bytes).await?;
            }
        }
    }
    Ok(())
}

/// Bytes of a closed segment that stay. The batch that went into a last segment stays where it was: should the manifest
/// before this one be put back while nothing newer than it has been written, that is where it is looked for.
fn kept_bytes(found: &LogFound, ordinal: u32, extent: &Extent) -> u64 {
    let moved = found.ending.batch.filter(|batch| batch.ordinal == ordinal);
    match moved {
        Some(batch) if !planted(Bug::MovedLastBatchCut) => {
            extent.bytes.max(batch.offset + batch.bytes as u64)
        }
        _ => extent.bytes,
    }
}

async fn cut_behind(store: &ManifestStore, file: u64, kept_bytes: u64) -> Result<(), Halt> {
    let name = NumberedFile::Segment(file).to_string();
    let how = OpenHow {
        create: false,
        ..READ_WRITE_CREATE
    };
    let file = store.files.open(&name, how).await?;
    if store.files.len(&file).await? > kept_bytes {
        store.files.truncate(&file, kept_bytes).await?;
    }
    store.files.close(&file).await;
    Ok(())
}
