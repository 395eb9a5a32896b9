//! One log, read from a cursor on. It owns the cursor and where reading stands, and what becomes of a disagreement: the manifest
//! is read again, and only what still disagrees with the new one is an error.

use super::enter::Entered;
use super::standing::{Depth, Found, LogTail};
use super::step::Passed;
use super::{Cursor, Source, TailDamage, TailError, TailStep, read_manifest};
use crate::wal::batch::{BATCH_HEADER_BYTES, Batch, BatchHeader, verified};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::NumberedFile;
use crate::wal::manifest::{LogEntry, Manifest, SegmentEntry};
use crate::wal::name::Sequence;
use crate::wal::record::ErasedBody;
use crate::wal::scan::Why;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How often the directory may change while one step is taken.
const ATTEMPTS_MAX: u32 = 20;

impl<S: Source> LogTail<S> {
    /// Reads behind a cursor, by this manifest as long as nothing disagrees with it.
    pub fn new(source: S, manifest: Arc<Manifest>, cursor: Cursor, depth: Depth) -> LogTail<S> {
        LogTail {
            source,
            manifest,
            cursor,
            depth,
            erased: Arc::default(),
            at: None,
            durable_upto: Sequence::default(),
        }
    }

    /// These bodies were erased: their zeros are no damage.
    pub fn know_erased(&mut self, erased: Arc<BTreeSet<ErasedBody>>) {
        self.erased = erased;
    }

    /// How far it was read.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Takes the next step. After an error it may be called again; nothing was passed over.
    ///
    /// # Errors
    /// The log cannot be read on, and the manifest as it is now does not explain why.
    pub async fn next(&mut self) -> Result<TailStep<'_>, TailError> {
        let before = self.cursor.sequence;
        let found = self.find().await?;
        assert!(self.cursor.sequence >= before, "a log is read forward");
        if let Found::Missing(missing) = &found {
            assert!(missing.from <= missing.to, "a gap has sequences");
        }
        Ok(match found {
            Found::Batch => TailStep::Batch(self.given()),
            Found::Missing(missing) => TailStep::Missing(missing),
            Found::NotYet => TailStep::NotYet,
            Found::End => TailStep::End,
        })
    }

    fn given(&self) -> Batch<'_> {
        let batch = self.at.as_ref().and_then(|at| {
            let (offset, header) = at.given?;
            verified(at.window.kept(offset, self.bytes_read(&header))?, header)
        });
        let Some(batch) = batch else {
            unreachable!("the batch that was found is kept until the next step")
        };
        batch
    }

    /// How many bytes of a batch are read.
    pub(super) fn bytes_read(&self, header: &BatchHeader) -> usize {
        match self.depth {
            Depth::Whole => header.bytes(),
            Depth::Index => {
                (BATCH_HEADER_BYTES + header.index_bytes as usize).next_multiple_of(BLOCK_BYTES)
            }
        }
    }

    async fn find(&mut self) -> Result<Found, TailError> {
        for _ in 0..ATTEMPTS_MAX {
            let found = self.attempt().await;
            if let Ok(Found::Batch | Found::Missing(_)) = found {
                return found;
            }
            // Nothing, or nothing that fits: perhaps because the manifest is another one by now.
            if !self.read_manifest_again().await? {
                return found;
            }
        }
        Err(TailError::Changing)
    }

    async fn attempt(&mut self) -> Result<Found, TailError> {
        loop {
            if self.at.is_none() {
                match self.enter().await? {
                    Entered::Segment => {}
                    Entered::Other(found) => return Ok(found),
                }
            }
            match self.step().await? {
                Passed::Batch | Passed::Segment => {}
                Passed::Stop(found) => return Ok(found),
            }
        }
    }

    /// Whether there is another manifest now. Reading goes on in the same file where that manifest names it, too.
    async fn read_manifest_again(&mut self) -> Result<bool, TailError> {
        let manifest = read_manifest(&self.source).await?;
        if manifest.generation == self.manifest.generation {
            return Ok(false);
        }
        self.manifest = manifest;
        let now = self.at.as_ref().and_then(|at| {
            let log = self.log()?;
            let same = |it: &&SegmentEntry| it.file == at.entry.file && it.salt == at.entry.salt;
            log.segments.iter().find(same).copied()
        });
        match (now, &mut self.at) {
            (Some(entry), Some(at)) => at.entry = entry,
            _ => self.at = None,
        }
        Ok(true)
    }

    /// The log, as long as the manifest names it.
    pub(super) fn log(&self) -> Option<&LogEntry> {
        let log = self.manifest.log(self.cursor.log)?;
        (log.incarnation == self.cursor.incarnation).then_some(log)
    }

    /// Damage of a segment.
    pub(super) fn damage(
        &self,
        entry: &SegmentEntry,
        offset: u64,
        sequence: Sequence,
        why: Why,
    ) -> TailError {
        TailError::Damage(TailDamage {
            file: NumberedFile::Segment(entry.file),
            offset,
            log: self.cursor.log,
            sequence,
            why,
        })
    }
}
