//! The age of closed segments: the expiry clock of the newest batch in each. It is remembered where the segment was closed
//! in this run, and read from the file where it was not.

use crate::keeper::Service;
use crate::keeper::reading::Readable;
use crate::wal::batch::{BATCH_BYTES_MAX, BatchHeader};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::{Extent, SegmentEntry};
use crate::wal::name::LogId;
use crate::wal::packed::SegmentFile;
use crate::wal::scan::ReadAt;

/// Bytes that are searched at a time, from the end backwards.
const READ_BYTES: u64 = 1 << 20;

const BLOCK: u64 = BLOCK_BYTES as u64;

impl Service {
    /// Expiry clock of the newest batch of a closed segment. What cannot be read counts as new, this time.
    pub(crate) async fn newest_s(&mut self, log: LogId, entry: &SegmentEntry) -> u32 {
        let key = (log, entry.ordinal);
        if let Some(known) = self.closed_at_s.get(&key) {
            return *known;
        }
        let Some(newest) = self.read_newest_s(entry).await else {
            return self.store.expiry_now_s();
        };
        let newest = newest.saturating_add(self.store.manifest.clock_base_s(log));
        self.closed_at_s.insert(key, newest);
        newest
    }

    async fn read_newest_s(&self, entry: &SegmentEntry) -> Option<u32> {
        let extent = entry.state.extent()?;
        let readable = Readable::segment(&self.store, entry).await.ok()?;
        let found = match &readable {
            SegmentFile::Plain(file) => find_newest(file, entry.salt, extent).await,
            // A packed file is read from its beginning on only, so that its header says it.
            SegmentFile::Packed(packed) => match packed.header().await {
                Ok(header) => header.map(|header| header.newest_s),
                Err(_) => None,
            },
        };
        readable.close().await;
        found
    }
}

/// Looks for the header of the last batch from the end of a segment backwards, no further than the longest batch reaches.
async fn find_newest(readable: &Readable, salt: u64, extent: &Extent) -> Option<u32> {
    let until = extent.bytes.saturating_sub(BATCH_BYTES_MAX as u64);
    let mut end = extent.bytes;
    while end > until {
        let start = end.saturating_sub(READ_BYTES).max(until) / BLOCK * BLOCK;
        let bytes = readable.read_at(start, (end - start) as usize).await.ok()?;
        let headers = bytes.chunks(BLOCK_BYTES).rev().map(BatchHeader::decode);
        let newest = headers
            .flatten()
            .find(|it| it.fields.salt == salt && it.fields.sequence == extent.last);
        if let Some(header) = newest {
            return Some(header.fields.expiry_clock_s);
        }
        end = start;
    }
    None
}
