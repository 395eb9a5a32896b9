//! The name of a range of a log for readers outside: log, sequences and a digest of what its records state. It names content,
//! so it stays the same when a batch is written again elsewhere, a segment is replaced, or a body is erased.

use super::Cursor;
use crate::wal::batch::Batch;
use crate::wal::name::{LogId, Sequence};
use sha2::{Digest, Sha256};

/// A range of a log while it is read. Marks are no part of it: the last one of a log may be dropped.
#[derive(Clone, Debug)]
pub struct RangeName {
    /// Incarnation of the directory that wrote the log.
    pub incarnation: [u8; 16],
    /// The log.
    pub log: LogId,
    /// The first and the last batch with records; none if there is no such batch.
    pub sequences: Option<(Sequence, Sequence)>,
    hash: Sha256,
}

impl RangeName {
    /// Nothing of the log of this cursor.
    pub fn new(cursor: &Cursor) -> RangeName {
        RangeName {
            incarnation: cursor.incarnation,
            log: cursor.log,
            sequences: None,
            hash: Sha256::new(),
        }
    }

    /// Takes the next batch.
    pub fn push(&mut self, batch: &Batch<'_>) {
        let sequence = batch.header.fields.sequence;
        let first = self.sequences.map_or(sequence, |(first, _)| first);
        self.sequences = Some((first, sequence));
        self.hash.update(sequence.0.to_le_bytes());
        self.hash.update(batch.header.index_bytes.to_le_bytes());
        batch.content(|piece| self.hash.update(piece));
    }

    /// SHA-256 over each batch's sequence (u64), bytes of its index part (u32) and index part with the erased flags as 0.
    pub fn digest(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }
}
