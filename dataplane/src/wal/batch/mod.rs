//! Batches: what one write carries — header, index part, bodies — assembled from an open batch and read back whole.
//! A batch is verifiable alone; whether it is the expected one is for the reader of the log to decide.

mod header;
mod open;
mod read;
#[cfg(test)]
mod tests;

pub use header::{BatchFields, BatchHeader, HeaderFault};
pub use open::{Ahead, Assembled, BatchLimits, OpenBatch, rewrite};
pub(crate) use read::verified;
pub use read::{Batch, BatchFault, read_batch, read_batch_with, read_index};

use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::record::{RECORD_BYTES_MAX, RECORD_HEADER_BYTES, TENANT_BYTES_MAX};

/// The first eight bytes of a batch.
pub const BATCH_MAGIC: [u8; 8] = *b"flkbatch";

/// Bytes of a batch header.
pub const BATCH_HEADER_BYTES: usize = 96;

/// Records per batch, bodies and others together.
pub const BATCH_RECORDS_MAX: u32 = 4096;

/// Bodies per batch. The other records are dispositions: one for each body of the batch, and those of earlier bodies.
pub const BATCH_BODIES_MAX: u32 = 1024;

/// Bodies of one batch come to at most this many bytes, unless it is a single larger one.
pub const BATCH_BODIES_BYTES: usize = 256 << 10;

/// The largest single body that a writer takes: 1 MiB and some room for what is stored around it.
pub const BODY_BYTES_MAX: usize = (1 << 20) + (64 << 10);

/// A reader refuses an index part that is larger.
pub const INDEX_PART_BYTES_MAX: usize = 1 << 20;

/// A reader refuses a bodies part that is larger.
pub const BODIES_PART_BYTES_MAX: usize = 2 << 20;

/// No batch is larger: what a reader must be able to hold.
pub const BATCH_BYTES_MAX: usize =
    (BATCH_HEADER_BYTES + INDEX_PART_BYTES_MAX + BODIES_PART_BYTES_MAX)
        .next_multiple_of(BLOCK_BYTES);

const _: () = {
    assert!(
        BATCH_RECORDS_MAX as usize * RECORD_BYTES_MAX <= INDEX_PART_BYTES_MAX,
        "a batch full of the largest records fits the index part"
    );
    assert!(
        BATCH_BODIES_BYTES <= BODIES_PART_BYTES_MAX && BODY_BYTES_MAX <= BODIES_PART_BYTES_MAX,
        "what a writer takes fits the bodies part"
    );
    assert!(
        BATCH_BODIES_MAX * 2 < BATCH_RECORDS_MAX,
        "every body of a batch can have its disposition in the same batch, beside dispositions of earlier bodies"
    );
    assert!(
        RECORD_HEADER_BYTES + TENANT_BYTES_MAX < RECORD_BYTES_MAX,
        "a body record is not the largest one"
    );
};
