//! The keeper's flows without a server: a tool takes the lock itself, runs one job, and carries out file operations as
//! they come. Nothing here makes an installation or begins a log.

use crate::dedup::key::KeyHash;
use crate::event::{Errno, Now};
use crate::keeper::config::KeeperConfig;
use crate::keeper::files::READ;
use crate::keeper::halt::Halt;
use crate::keeper::harvest::Dictionary;
use crate::keeper::ledger::Ledger;
use crate::keeper::notice::Notice;
use crate::keeper::port::{FileOp, FileResult, KeeperEvent, KeeperOp, Port};
use crate::keeper::reading::Readable;
use crate::keeper::recover::{incarnation_of, write_whole};
use crate::keeper::serve::Service;
use crate::keeper::start::{self, Opened, Started};
use crate::keeper::{Keeper, exit, slices};
use crate::wal::batch::BatchHeader;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::{MANIFEST, NumberedFile};
use crate::wal::manifest::{Extent, Gap, LogEntry, SegmentEntry, SegmentState};
use crate::wal::name::{LogId, Place, Sequence};
use crate::wal::scan::{LogSource, ReadAt, Verdict, read_log, salvage};
use crate::wal::segment::{Predecessor, SegmentHeader};
use std::collections::BTreeMap;

/// What a tool wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Seal what is closed, then delete closed segments older than this many seconds (the configured age if none).
    Compact {
        /// Age in seconds.
        older_than_s: Option<u32>,
        /// Only say what it would free.
        dry_run: bool,
    },
    /// Give up what is damaged in a segment and keep every whole batch of it.
    Quarantine {
        /// Name of the file.
        segment: String,
        /// Without it the job only says what would be lost.
        accept_loss: bool,
    },
}

impl Keeper {
    /// A keeper that carries out one job in a directory that no server uses, and ends with [`KeeperOp::Exit`]; the
    /// reason is the report. The number of shards in the configuration does not matter.
    pub fn tool(config: KeeperConfig, job: Job) -> Keeper {
        let port = Port::default();
        let flow = {
            let port = port.clone();
            async move {
                let config = KeeperConfig {
                    shards: 0,
                    ..config
                };
                let end = run(&port, config, job).await;
                port.put(exit(end));
            }
        };
        Keeper::of(port, flow)
    }
}

/// Steps a keeper to its end, carrying out each file operation where it stands. Returns exit code and reason.
pub fn run_blocking(
    mut keeper: Keeper,
    mut now: impl FnMut() -> Now,
    mut file: impl FnMut(FileOp) -> FileResult,
    mut say: impl FnMut(Notice),
) -> (i32, String) {
    let mut events = Vec::new();
    loop {
        let ops = keeper.step(std::mem::take(&mut events).into_iter(), now());
        let idle = ops.is_empty();
        for op in ops {
            match op {
                KeeperOp::File(op) => events.push(KeeperEvent::FileDone(file(op))),
                KeeperOp::Say(notice) => say(notice),
                KeeperOp::Wake(_) => events.push(KeeperEvent::Tick),
                KeeperOp::Exit { code, reason } => return (code, reason),
                KeeperOp::ToShard(..) | KeeperOp::Reply { .. } => {}
            }
        }
        if idle {
            return (
                70,
                "the keeper waits for an event that cannot come".to_string(),
            );
        }
    }
}

async fn run(port: &Port, config: KeeperConfig, job: Job) -> Result<String, Halt> {
    let files = crate::keeper::files::Files::new(port.clone());
    if files.open_if_there(MANIFEST, READ).await?.is_none() {
        return Err(Halt::Refused(
            "WAL_DIR holds no manifest: nothing was ever started here".to_string(),
        ));
    }
    let Opened { ledger, secret, .. } = start::open(port, config).await?;
    match job {
        Job::Compact {
            older_than_s,
            dry_run,
        } => {
            let mut dictionary = Dictionary::default();
            let slices = slices::open_all(&ledger, &mut dictionary).await?;
            let mut service = Service::new(Started {
                ledger,
                dictionary,
                hash: KeyHash::new(secret.key),
                slices,
            });
            let age = older_than_s.map_or(String::new(), |age_s| format!(" --older-than {age_s}"));
            let dry = if dry_run { " --dry-run" } else { "" };
            service.command(&format!("flk1 compact{age}{dry}")).await
        }
        Job::Quarantine {
            segment,
            accept_loss,
        } => quarantine(ledger, &segment, accept_loss).await,
    }
}

/// What can be saved of a segment: each whole batch by its sequence.
struct Saved {
    batches: BTreeMap<Sequence, (u64, BatchHeader)>,
}

async fn quarantine(mut ledger: Ledger, segment: &str, accept_loss: bool) -> Result<String, Halt> {
    let (log, index) = find(&ledger, segment)?;
    let entry = log.segments[index];
    let durable_upto = damage_upto(&ledger, &log, index).await?;
    let original = Readable::segment(&ledger, &entry).await?;
    let saved = save(&original, &entry).await?;
    let before = log.segments[..index]
        .last()
        .and_then(|it| it.state.extent().copied());
    let first = expected_first(&ledger, &log, &entry, before.as_ref(), &saved);
    let last_saved = saved.batches.keys().next_back().copied();
    let last = [
        entry.state.extent().map(|it| it.last),
        last_saved,
        durable_upto,
    ]
    .into_iter()
    .flatten()
    .max()
    .unwrap_or(Sequence(first.0.saturating_sub(1)));
    let gaps = missing(log.id, first, last, &saved);
    let lost: u64 = gaps.iter().map(|gap| gap.to.0 - gap.from.0 + 1).sum();
    let mut report = format!(
        "{segment}: log {}, {} batches whole",
        log.id,
        saved.batches.len()
    );
    for gap in &gaps {
        report.push_str(&format!("; missing {} to {}", gap.from, gap.to));
    }
    if gaps.is_empty() && saved.batches.is_empty() {
        return Err(Halt::Refused(format!(
            "{report}; there is nothing to give up"
        )));
    }
    if !accept_loss {
        return Ok(format!(
            "{report}. Nothing was changed; --accept-loss gives up {lost} batches for good"
        ));
    }
    let aside = format!("quarantine-{segment}");
    let bytes = whole(&original, &ledger).await?;
    write_fresh(&ledger, &aside, false, &bytes).await?;
    let (copy, extent) = copy_of(&ledger, &log, &entry, before, &saved, &bytes)?;
    let number = ledger.number();
    let name = NumberedFile::Segment(number).to_string();
    write_fresh(&ledger, &name, ledger.config.direct, &copy).await?;
    ledger.files.sync_dir().await?;
    let mut next = ledger.draft();
    next.gaps.extend(&gaps);
    let entries = next.logs.iter_mut().filter(|it| it.id == log.id);
    for at in entries.flat_map(|it| &mut it.segments) {
        if at.file == entry.file {
            at.file = number;
            at.state = match at.state {
                SegmentState::Closed(_) => SegmentState::Closed(extent),
                SegmentState::Last(_) => SegmentState::Last(extent),
                open => open,
            };
        }
    }
    mend_end_mark(&mut next.logs, &log, index, &extent);
    ledger.replace(next).await?;
    original.close().await;
    ledger.files.unlink(segment).await?;
    Ok(format!("{report}. The original is kept as {aside}"))
}

/// The log and index of a segment by its file name.
fn find(ledger: &Ledger, segment: &str) -> Result<(LogEntry, usize), Halt> {
    for log in &ledger.manifest.logs {
        let name = |entry: &SegmentEntry| NumberedFile::Segment(entry.file).to_string();
        if let Some(index) = log.segments.iter().position(|entry| name(entry) == segment) {
            return Ok((log.clone(), index));
        }
    }
    Err(Halt::Refused(format!(
        "{segment} is no segment that the manifest names"
    )))
}

/// Reads the log from this segment on; the last sequence that is known to have been durable if that ends in damage here.
async fn damage_upto(
    ledger: &Ledger,
    log: &LogEntry,
    index: usize,
) -> Result<Option<Sequence>, Halt> {
    let mut files = Vec::new();
    for entry in &log.segments[index..] {
        files.push(Readable::segment(ledger, entry).await?);
    }
    let erased = |_: LogId, _: Place| false;
    let source = LogSource {
        manifest: &ledger.manifest,
        log,
        from: index,
        files: &files,
        erased: &erased,
    };
    let end = read_log(&source, |_, _| {}).await;
    for file in files {
        file.close().await;
    }
    match end.verdict {
        Verdict::Damage(damage) if damage.ordinal == log.segments[index].ordinal => {
            Ok(Some(damage.durable_upto))
        }
        ref sound => Err(Halt::Refused(format!(
            "this segment is not what is damaged in its log: {sound}"
        ))),
    }
}

async fn save(original: &Readable, entry: &SegmentEntry) -> Result<Saved, Halt> {
    let mut batches = BTreeMap::new();
    let read = salvage(original, entry.salt, |offset, batch| {
        batches.insert(batch.header.fields.sequence, (offset, batch.header));
    });
    read.await.map_err(|error| Halt::Io {
        doing: "reading",
        file: original.file.name.clone(),
        error,
    })?;
    Ok(Saved { batches })
}

/// The first sequence that the segment held.
fn expected_first(
    ledger: &Ledger,
    log: &LogEntry,
    entry: &SegmentEntry,
    before: Option<&Extent>,
    saved: &Saved,
) -> Sequence {
    let stated = entry.state.extent().map(|extent| extent.first);
    let after = before.map(|extent| Sequence(extent.last.0 + 1));
    let begin = (entry.ordinal == 0).then(|| Sequence(Sequence::before_first(log.id.start).0 + 1));
    let mut first = stated
        .or(after)
        .or(begin)
        .or(saved.batches.keys().next().copied())
        .unwrap_or(Sequence(Sequence::before_first(log.id.start).0 + 1));
    while let Some(gap) = ledger.manifest.gap(log.id, first) {
        first = Sequence(gap.to.0 + 1);
    }
    first
}

/// The sequences of a range that were not saved.
fn missing(log: LogId, first: Sequence, last: Sequence, saved: &Saved) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut next = first;
    let end = Sequence(last.0 + 1);
    for at in saved.batches.range(first..).map(|(at, _)| *at).chain([end]) {
        if at > next && next <= last {
            gaps.push(Gap {
                log,
                from: next,
                to: Sequence(at.0 - 1),
            });
        }
        next = Sequence(at.0 + 1);
    }
    gaps
}

async fn whole(file: &Readable, ledger: &Ledger) -> Result<Vec<u8>, Halt> {
    let bytes = file.bytes() as usize;
    let read = ledger.files.read(&file.file, 0, bytes).await;
    read.map_err(|error: Errno| Halt::Io {
        doing: "reading",
        file: file.file.name.clone(),
        error,
    })
}

/// Makes a file, replacing what an earlier attempt left of it.
async fn write_fresh(ledger: &Ledger, name: &str, direct: bool, bytes: &[u8]) -> Result<(), Halt> {
    ledger.files.unlink(name).await?;
    write_whole(&ledger.files, name, direct, bytes).await
}

/// The bytes of a segment with only the whole batches, one behind the other, and what the manifest says of it.
fn copy_of(
    ledger: &Ledger,
    log: &LogEntry,
    entry: &SegmentEntry,
    before: Option<Extent>,
    saved: &Saved,
    bytes: &[u8],
) -> Result<(Vec<u8>, Extent), Halt> {
    let rebuilt = SegmentHeader {
        installation: ledger.manifest.installation,
        incarnation: incarnation_of(&ledger.manifest, log.id),
        log: log.id,
        ordinal: entry.ordinal,
        salt: entry.salt,
        generation: entry.generation,
        predecessor: before.map(|extent| Predecessor {
            ends_after: extent.last,
            checksum: extent.last_checksum,
        }),
    };
    let header = match SegmentHeader::decode(bytes) {
        Ok((header, _)) if header.salt == entry.salt => header,
        _ => rebuilt,
    };
    let mut block = [0; BLOCK_BYTES];
    let mut last_checksum = header.encode(&mut block);
    let mut copy = block.to_vec();
    let mut extent = Extent {
        first: Sequence(0),
        last: Sequence(0),
        bytes: 0,
        last_checksum,
    };
    for (sequence, (offset, batch)) in &saved.batches {
        let start = *offset as usize;
        let part = bytes.get(start..start + batch.bytes());
        let part =
            part.ok_or_else(|| Halt::Refused("the segment changed meanwhile".to_string()))?;
        copy.extend_from_slice(part);
        if extent.first.0 == 0 {
            extent.first = *sequence;
        }
        extent.last = *sequence;
        last_checksum = batch.checksum;
    }
    extent.bytes = copy.len() as u64;
    extent.last_checksum = last_checksum;
    if saved.batches.is_empty() {
        let last = before.map_or(Sequence::before_first(log.id.start), |extent| extent.last);
        extent.first = Sequence(last.0 + 1);
        extent.last = last;
    }
    Ok((copy, extent))
}

/// An ended log whose last batches were given up ends earlier.
fn mend_end_mark(logs: &mut [LogEntry], log: &LogEntry, index: usize, extent: &Extent) {
    let is_last = index + 1 == log.segments.len();
    let found = logs.iter_mut().find(|it| it.id == log.id);
    if let Some(mark) = found
        .and_then(|it| it.ended_at.as_mut())
        .filter(|_| is_last)
    {
        mark.sequence = extent.last;
        mark.checksum = extent.last_checksum;
    }
}
