//! Packed segments: the batches of a closed segment in a file of their own kind, one behind the other without alignment and
//! without bodies that are zeros. A reader is given the bytes of the segment as they were ([`SegmentFile`]), so that nothing
//! else knows of it. It is read from its beginning on and never searched.

mod frame;
mod header;
mod pack;
#[cfg(test)]
pub(in crate::wal) mod tests;
#[cfg(test)]
mod tests_pieces;
mod unpack;

pub use frame::frame_bytes;
pub use header::{PACKED_MAGIC, PackedFault, PackedHeader};
pub use pack::{PackFault, Packer};
pub use unpack::{SegmentFile, Unpacked};

use crate::wal::buffer::BLOCK_BYTES;

/// Where the first batch begins in a packed file: behind its own header and the header of the segment.
pub const FRAMES_AT: u64 = 2 * BLOCK_BYTES as u64;

/// Bytes of the file of a segment whose batches take so many when they are packed.
pub const fn packed_bytes(frames_bytes: u64) -> u64 {
    (FRAMES_AT + frames_bytes).next_multiple_of(BLOCK_BYTES as u64)
}
