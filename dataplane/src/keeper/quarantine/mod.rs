//! Quarantine: a damaged segment is replaced by one that holds its whole batches, and what is missing becomes a gap in
//! the manifest. It never gives up a batch that can be read, and never touches another segment than the one named.
//!
//! Everything is worked out first ([`Plan`]); then the original is kept aside and the new segment is made, read back as the
//! next start will read it, and only then named by the manifest. Cut short anywhere, it can simply be run again.

mod bounds;
mod held;
mod plan;
mod report;

use crate::keeper::end_logs::write_whole;
use crate::keeper::files::MAKE;
use crate::keeper::halt::Halt;
use crate::keeper::notice::{Notice, counted};
use crate::keeper::port::OpenHow;
use crate::keeper::reading::Readable;
use crate::keeper::store::ManifestStore;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{LogEntry, Manifest, SegmentEntry};
use crate::wal::name::{LogId, Place, Sequence};
use crate::wal::scan::{LogSource, LogVerdict, read_log};
use held::Contents;
use plan::Plan;

/// What an operator asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// What would be lost. Nothing is changed.
    Shown,
    /// It is given up.
    Accepted,
}

/// Gives up what cannot be read of a segment, or only reports what that would be. The answer is for the operator.
pub(crate) async fn quarantine(
    mut store: ManifestStore,
    segment: &str,
    loss: Loss,
) -> Result<String, Halt> {
    let aside = format!("quarantine-{segment}");
    let Some((log, index)) = find(&store.manifest, segment) else {
        return match preallocated(&store.manifest, segment) {
            Some(number) => give_up_preallocated(store, number, segment, loss).await,
            None => unnamed(&store, segment, &aside).await,
        };
    };
    let plan = Plan::make(&store, &log, index).await?;
    if !plan.changes_anything() {
        return Err(not_damaged(&store, &log, segment).await);
    }
    if loss == Loss::Shown {
        let lost = counted(plan.lost_count(), "batch");
        let lost = match plan.may_lose_more() {
            true => format!("{lost}, and those that nothing is known of,"),
            false => lost,
        };
        return Ok(format!(
            "{plan}. Nothing was changed. --accept-loss gives up {lost} for good: it writes the whole batches to a new segment and keeps what can be read of the original as {aside}{}",
            plan.lost_ids()
        ));
    }
    store.port.notify(Notice::GivingUp(plan.to_string()));
    if !plan.held.contents.missing {
        write_fresh(&store, &aside, MAKE, plan.held.contents.of_file()).await?;
    }
    let number = store.number();
    let name = NumberedFile::Segment(number).to_string();
    let how = OpenHow {
        direct: store.config.direct,
        ..MAKE
    };
    let copy = plan.copy(store.config.segment_bytes)?;
    write_fresh(&store, &name, how, &copy).await?;
    store.files.sync_dir().await?;
    let next = plan.manifest(&store, number);
    plan.read_back(&store, &next).await?;
    store.replace(next).await?;
    remove(&store, segment).await?;
    let ids = plan.lost_ids();
    Ok(match plan.held.contents.missing {
        true => format!("{plan}. Given up; there was no original to keep{ids}"),
        false => format!("{plan}. Given up; the original is kept as {aside}{ids}"),
    })
}

/// The log and index of a segment by its file name.
fn find(manifest: &Manifest, segment: &str) -> Option<(LogEntry, usize)> {
    manifest.logs.iter().find_map(|log| {
        let name = |entry: &SegmentEntry| NumberedFile::Segment(entry.file).to_string();
        let index = log.segments.iter().position(|it| name(it) == segment)?;
        Some((log.clone(), index))
    })
}

/// The number of a preallocated segment by its file name.
fn preallocated(manifest: &Manifest, segment: &str) -> Option<u64> {
    let mut preallocated = manifest.preallocated.iter().copied();
    preallocated.find(|number| NumberedFile::Segment(*number).to_string() == segment)
}

/// A preallocated segment holds nothing that could be lost; but while the manifest names one that is not there, no start is possible.
async fn give_up_preallocated(
    mut store: ManifestStore,
    number: u64,
    segment: &str,
    loss: Loss,
) -> Result<String, Halt> {
    let contents = Contents::read(&store, number).await?;
    if !contents.missing && contents.unreadable_bytes == 0 {
        return Err(Halt::Refused(format!(
            "{segment} is a preallocated segment that was never used, and it can be read: there is nothing to give up. Nothing was changed"
        )));
    }
    let what =
        format!("{segment} is a preallocated segment that was never used: nothing is lost with it");
    if loss == Loss::Shown {
        return Ok(format!(
            "{what}. Nothing was changed. --accept-loss takes it out of the manifest"
        ));
    }
    store.port.notify(Notice::GivingUp(what.clone()));
    let mut next = store.draft();
    next.clock = store.manifest.clock;
    next.preallocated
        .retain(|preallocated| *preallocated != number);
    store.replace(next).await?;
    remove(&store, segment).await?;
    Ok(format!("{what}. The manifest names it no more"))
}

/// A name that the manifest does not know: perhaps it was given up before, and only the answer was lost.
async fn unnamed(store: &ManifestStore, segment: &str, aside: &str) -> Result<String, Halt> {
    if store.files.list().await?.iter().any(|name| name == aside) {
        return Ok(format!(
            "{segment} was given up before: the manifest names it no more, and its original is kept as {aside}. Nothing was changed"
        ));
    }
    Err(Halt::Refused(format!(
        "{segment} is no segment that the manifest names: `flk wal verify` lists those that are damaged. Nothing was changed"
    )))
}

/// Why nothing is given up, and which file it is that is damaged, if any is.
async fn not_damaged(store: &ManifestStore, log: &LogEntry, segment: &str) -> Halt {
    let elsewhere = match verdict(store, log).await {
        Ok(LogVerdict::Damage(damage)) => {
            let file = log.file_name(damage.ordinal);
            format!("; what is damaged in its log is {file} ({damage})")
        }
        Ok(sound @ LogVerdict::TornTail { .. }) => {
            format!("; its log has a {sound}, which the next start cuts")
        }
        Ok(LogVerdict::Whole) | Err(_) => String::new(),
        Ok(other) => format!("; of its log: {other}"),
    };
    Halt::Refused(format!(
        "{segment} holds all that it must hold: there is nothing to give up{elsewhere}. Nothing was changed"
    ))
}

async fn verdict(store: &ManifestStore, log: &LogEntry) -> Result<LogVerdict, Halt> {
    read_as(store, &store.manifest, log, 0, |_| {}).await
}

/// Reads a log from one of its segments on, as a start would.
async fn read_as(
    store: &ManifestStore,
    manifest: &Manifest,
    log: &LogEntry,
    from: usize,
    mut visit: impl FnMut(Sequence),
) -> Result<LogVerdict, Halt> {
    let mut files = Vec::new();
    for entry in &log.segments[from..] {
        files.push(Readable::segment(store, entry).await?);
    }
    let erased = |_: LogId, _: Place| false;
    let source = LogSource {
        manifest,
        log,
        from,
        files: &files,
        erased: &erased,
    };
    let end = read_log(&source, |_, batch| visit(batch.header.fields.sequence)).await;
    for file in files {
        file.close().await;
    }
    Ok(end.verdict)
}

/// Removes what the manifest names no more, so that no power cut brings it back: the next start would look through it and might
/// refuse because of batches that were given up with it.
async fn remove(store: &ManifestStore, name: &str) -> Result<(), Halt> {
    store.files.unlink(name).await?;
    store.files.sync_dir().await
}

/// Makes a file, replacing what an earlier attempt left of it.
async fn write_fresh(
    store: &ManifestStore,
    name: &str,
    how: OpenHow,
    bytes: &[u8],
) -> Result<(), Halt> {
    store.files.unlink(name).await?;
    write_whole(&store.files, name, how, bytes).await
}
