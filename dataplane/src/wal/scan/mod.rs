//! Reading one log back, segment by segment, up to its end, and telling a torn tail from damage there. It visits every
//! whole batch that counts, in order, and skips nothing: what cannot be read is part of the verdict.
//!
//! In the order of reading: `reader` goes from segment to segment, `lead` reads the header of each, `walk` its batches, and
//! `cursor` keeps where that stands. Where a walk stops, `ahead` gathers what lies behind and `judge` concludes.

mod ahead;
mod cursor;
mod judge;
mod lead;
mod length;
mod mistakes;
mod reader;
mod reading;
mod report;
#[cfg(test)]
pub(in crate::wal) mod tests;
#[cfg(test)]
mod tests_batches;
#[cfg(test)]
mod tests_evidence;
#[cfg(test)]
mod twin;
mod walk;
mod window;
#[cfg(test)]
pub(in crate::wal) mod world;

pub use length::{MadeBytes, TooShort, stated_bytes};
pub use report::{
    BatchAt, Damage, Ending, LastBatch, LogEnd, LogVerdict, SegmentRead, Unsupported, Why,
};
pub use window::{CHUNK_BYTES, InMemory, ReadAt, run_ready};

use crate::io::Errno;
use crate::wal::batch::{Batch, BatchFault, BatchHeader, read_batch_with};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::{LogEntry, Manifest};
use crate::wal::name::{LogId, Place};
use reading::{Halt, LogReader};
pub(in crate::wal) use window::Window;

/// One block, as offsets are counted.
const BLOCK: u64 = BLOCK_BYTES as u64;

/// A log to be read.
pub struct LogSource<'a, R> {
    /// The manifest that names it.
    pub manifest: &'a Manifest,
    /// The log.
    pub log: &'a LogEntry,
    /// The first segment to read, as an index into `log.segments`; what is before is trusted as the manifest states it.
    pub from: usize,
    /// The files of the segments from `from` on, in order.
    pub files: &'a [R],
    /// Whether a body is listed in a durable erasure list.
    pub erased: &'a dyn Fn(LogId, Place) -> bool,
}

/// Reads a log, calls `visit` for every whole batch that counts, in order, and says where and in which state it ends.
/// Batches before damage have been visited when the verdict says so.
pub async fn read_log<R: ReadAt, V: FnMut(&BatchAt, &Batch<'_>)>(
    source: &LogSource<'_, R>,
    visit: V,
) -> LogEnd {
    let mut reader = LogReader::new(source, visit);
    let verdict = match reader.read().await {
        Ok(verdict) | Err(Halt(verdict)) => verdict,
    };
    reader.into_end(verdict)
}

/// Reads one segment file and visits every batch with this salt whose header is whole, at whatever block it begins, with what
/// is wrong with the rest of the batch, if anything. It shows what can be saved of a damaged segment, and what it proves.
pub async fn salvage<R: ReadAt, V: FnMut(u64, &BatchHeader, Result<&Batch<'_>, BatchFault>)>(
    file: &R,
    salt: u64,
    visit: V,
) -> Result<(), Errno> {
    salvage_where(file, |it| it == salt, visit).await
}

/// The same for the batches under any salt that is wanted.
pub async fn salvage_where<R, W, V>(file: &R, wanted: W, mut visit: V) -> Result<(), Errno>
where
    R: ReadAt,
    W: Fn(u64) -> bool,
    V: FnMut(u64, &BatchHeader, Result<&Batch<'_>, BatchFault>),
{
    let mut window = Window::new(file);
    let mut offset = 0;
    while let Some(block) = window.get(offset, BLOCK_BYTES).await? {
        let header = BatchHeader::decode(block)
            .ok()
            .filter(|header| wanted(header.fields.salt));
        let mut step = BLOCK;
        if let Some(header) = header {
            let read = match window.get(offset, header.bytes()).await? {
                Some(bytes) => read_batch_with(bytes, |_, _| false),
                None => Err(BatchFault::Cut),
            };
            if read.is_ok() {
                step = header.bytes() as u64;
            }
            visit(offset, &header, read.as_ref().map_err(|fault| *fault));
        }
        offset += step;
    }
    Ok(())
}
