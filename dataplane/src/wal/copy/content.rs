//! What is in one closed segment of a copy: it is read as a start would read it, and counted.

use crate::wal::batch::Batch;
use crate::wal::manifest::{LogEntry, Manifest};
use crate::wal::name::Sequence;
use crate::wal::record::{Content, Entry};
use crate::wal::scan::{BatchAt, LogSource, LogVerdict, ReadAt, read_log};
use crate::wal::tail::{Cursor, RangeName};

/// What is in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentContent {
    /// Batches, marks included.
    pub batches: u64,
    /// Log records.
    pub records: u64,
    /// Bodies.
    pub bodies: u64,
    /// Decisions.
    pub decisions: u64,
    /// Wall clock of its newest batch in microseconds; 0 without one.
    pub wall_us: u64,
    /// The first and the last batch with records.
    pub sequences: Option<(Sequence, Sequence)>,
    /// The digest of that range, as [`RangeName`] makes it.
    pub digest: [u8; 32],
}

/// Reads a segment that the manifest calls closed, checks every byte that counts, and counts.
///
/// # Errors
/// It does not hold what the manifest states.
pub async fn content_of<R: ReadAt>(
    manifest: &Manifest,
    log: &LogEntry,
    index: usize,
    file: &R,
) -> Result<SegmentContent, LogVerdict> {
    let mut content = SegmentContent::default();
    let mut name = RangeName::new(&Cursor::beginning(log));
    read_alone(manifest, log, index, file, |_, batch| {
        content.batches += 1;
        content.wall_us = content.wall_us.max(batch.header.fields.wall_us);
        if batch.header.is_mark() {
            return;
        }
        name.push(batch);
        for record in batch.records().flatten() {
            content.records += 1;
            match record.content {
                Content::Body(_) => content.bodies += 1,
                Content::Entry(Entry::Decision(_)) => content.decisions += 1,
                Content::Entry(_) | Content::Skipped => {}
            }
        }
    })
    .await?;
    content.sequences = name.sequences;
    content.digest = name.digest();
    Ok(content)
}

/// Reads a segment that the manifest calls closed, and visits its batches.
pub(super) async fn read_alone<R: ReadAt>(
    manifest: &Manifest,
    log: &LogEntry,
    index: usize,
    file: &R,
    visit: impl FnMut(&BatchAt, &Batch<'_>),
) -> Result<(), LogVerdict> {
    let alone = log.alone(index);
    let source = LogSource {
        manifest,
        log: &alone,
        from: alone.segments.len() - 1,
        files: std::slice::from_ref(file),
        erased: &|_, _| false,
    };
    let end = read_log(&source, visit).await;
    match end.verdict.is_sound() {
        true => Ok(()),
        false => Err(end.verdict),
    }
}
