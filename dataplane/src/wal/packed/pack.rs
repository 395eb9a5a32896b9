//! Packing: the batches of a closed segment, read in order and given out as pieces of a packed file. It writes no file, and takes
//! nothing but whole batches; that they are the ones that count, a reader of logs has said before and says of the result.

use super::FRAMES_AT;
use super::frame::put_frame;
use super::header::PackedHeader;
use crate::io::Errno;
use crate::wal::batch::{BATCH_HEADER_BYTES, BatchHeader, read_batch};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::scan::{ReadAt, Window};

/// A piece is about this long, and so much of the segment is read for it.
const PIECE_BYTES: usize = 1 << 20;

/// Why a segment was not packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackFault {
    /// It cannot be read.
    Unreadable(Errno),
    /// It does not hold what the manifest states, or not any more.
    Changed,
}

impl From<Errno> for PackFault {
    fn from(errno: Errno) -> PackFault {
        PackFault::Unreadable(errno)
    }
}

/// A segment that is being packed.
pub struct Packer<R> {
    header: PackedHeader,
    segment: Window<R>,
    /// Where the next batch begins in the segment; none before its header was taken.
    offset: Option<u64>,
    /// What was taken and is not given out yet.
    ready: Vec<u8>,
    given_bytes: u64,
    /// All of the segment was taken.
    is_taken: bool,
}

impl<R: ReadAt> Packer<R> {
    /// Nothing is read yet. The header says what the file is to hold and how long it will be.
    pub fn new(header: PackedHeader, segment: R) -> Packer<R> {
        Packer {
            header,
            segment: Window::new(segment),
            offset: None,
            ready: Vec::new(),
            given_bytes: 0,
            is_taken: false,
        }
    }

    /// The next piece, a whole number of blocks; nothing behind the last one. It is empty where much of the segment is padding, so
    /// that its caller has its turn as often as it reads.
    ///
    /// # Errors
    /// Nothing is lost by it: the segment stays what it is.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, PackFault> {
        if self.is_taken && self.ready.is_empty() {
            return match self.given_bytes == self.header.bytes {
                true => Ok(None),
                false => Err(PackFault::Changed),
            };
        }
        let end = self.offset.unwrap_or_default() + PIECE_BYTES as u64;
        while self.ready.len() < PIECE_BYTES && self.offset.is_none_or(|offset| offset < end) {
            if !self.take_some().await? {
                self.is_taken = true;
                self.ready
                    .resize(self.ready.len().next_multiple_of(BLOCK_BYTES), 0);
                break;
            }
        }
        let whole = self.ready.len() / BLOCK_BYTES * BLOCK_BYTES;
        let rest = self.ready.split_off(whole);
        let piece = std::mem::replace(&mut self.ready, rest);
        self.given_bytes += piece.len() as u64;
        Ok(Some(piece))
    }

    /// Takes the headers, or the next batch; false if there is no more.
    async fn take_some(&mut self) -> Result<bool, PackFault> {
        let Some(offset) = self.offset else {
            self.ready.extend_from_slice(&self.header.encode());
            let lead = self.segment.get(0, BLOCK_BYTES).await?;
            self.ready
                .extend_from_slice(lead.ok_or(PackFault::Changed)?);
            assert_eq!(self.ready.len() as u64, FRAMES_AT);
            self.offset = Some(BLOCK_BYTES as u64);
            return Ok(true);
        };
        if offset >= self.header.segment_bytes {
            return Ok(false);
        }
        let block = self.segment.get(offset, BLOCK_BYTES).await?;
        let header = BatchHeader::decode(block.ok_or(PackFault::Changed)?);
        let header = header.map_err(|_| PackFault::Changed)?;
        let bytes = self.segment.get(offset, header.bytes()).await?;
        let bytes = bytes.ok_or(PackFault::Changed)?;
        let batch = read_batch(bytes).map_err(|_| PackFault::Changed)?;
        put_frame(
            &mut self.ready,
            self.header.salt,
            &bytes[..BATCH_HEADER_BYTES],
            &batch,
        );
        self.offset = Some(offset + header.bytes() as u64);
        match self.given_bytes + self.ready.len() as u64 <= self.header.bytes {
            true => Ok(true),
            false => Err(PackFault::Changed),
        }
    }
}
