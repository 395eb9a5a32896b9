//! What lies behind the last batch that counts, for a reader that will not ask again: damage there must not look like the end.
//! The judgement is that of a start ([`crate::wal::scan`]).

use super::standing::unreadable;
use super::{LogTail, Source, TailDamage, TailError, read_manifest};
use crate::wal::files::NumberedFile;
use crate::wal::manifest::LogEntry;
use crate::wal::name::{LogId, Place, Sequence};
use crate::wal::record::ErasedBody;
use crate::wal::scan::{LogSource, LogVerdict, read_log};
use std::sync::Arc;

/// How often the end of a log in use is read before damage is believed.
const ATTEMPTS_MAX: u32 = 5;

impl<S: Source> LogTail<S> {
    /// Whether the log is sound behind the cursor, too. It reads the segments that are not closed once more. What comes back are
    /// the first and last whole batch with records that nothing says yet were durable; none if there is none.
    ///
    /// # Errors
    /// A start would refuse the log.
    pub async fn check_rest(&mut self) -> Result<Option<(Sequence, Sequence)>, TailError> {
        let mut before = None;
        for _ in 0..ATTEMPTS_MAX {
            // Between two reads a batch may become whole, and the next one may state that it was durable. Damage stays.
            let found = self.judge_rest().await;
            match found {
                Ok(left_out) => return Ok(left_out),
                Err(error) if before.as_ref() == Some(&error) => return Err(error),
                Err(error) => before = Some(error),
            }
            self.manifest = read_manifest(&self.source).await?;
            self.at = None;
        }
        Err(before.unwrap_or(TailError::Changing))
    }

    async fn judge_rest(&self) -> Result<Option<(Sequence, Sequence)>, TailError> {
        let manifest = Arc::clone(&self.manifest);
        let Some(log) = manifest.log(self.cursor.log) else {
            return Ok(None);
        };
        let closed = log
            .segments
            .iter()
            .take_while(|it| it.state.extent().is_some());
        let from = closed.count();
        let mut files = Vec::new();
        for entry in &log.segments[from..] {
            let file = self.source.segment(entry.file).await;
            files.push(file.map_err(|errno| unreadable(entry, errno))?);
        }
        let erased = |log: LogId, body: Place| self.erased.contains(&ErasedBody { log, body });
        let source = LogSource {
            manifest: &manifest,
            log,
            from,
            files: &files,
            erased: &erased,
        };
        let mut left_out = None;
        let end = read_log(&source, |_, batch| {
            let at = batch.header.fields.sequence;
            if at > self.cursor.sequence && !batch.header.is_mark() {
                left_out = Some((left_out.map_or(at, |(first, _)| first), at));
            }
        })
        .await;
        verdict(log, &end.verdict).map(|()| left_out)
    }
}

fn verdict(log: &LogEntry, verdict: &LogVerdict) -> Result<(), TailError> {
    let file = |ordinal| {
        let entry = log.segment(ordinal);
        NumberedFile::Segment(entry.map_or(0, |entry| entry.file))
    };
    Err(match *verdict {
        LogVerdict::Whole | LogVerdict::TornTail { .. } => return Ok(()),
        LogVerdict::Damage(damage) => TailError::Damage(TailDamage {
            file: file(damage.ordinal),
            offset: damage.offset,
            log: log.id,
            sequence: damage.expected,
            why: damage.why,
        }),
        LogVerdict::Unreadable { ordinal, errno } => {
            TailError::Unreadable(file(ordinal).to_string(), errno)
        }
        LogVerdict::Unsupported { ordinal, what, .. } => TailError::Newer(file(ordinal), what),
        LogVerdict::StaleManifest { ordinal, .. } => TailError::StaleManifest(file(ordinal)),
    })
}
