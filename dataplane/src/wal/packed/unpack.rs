//! Reading a packed file as the segment that it stands for: the same bytes at the same offsets, zeros where padding was. What the
//! file does not hold as it was written is given out as zeros, which no reader of a closed segment takes for a batch.

use super::FRAMES_AT;
use super::frame::{FrameHead, HEAD_BYTES, expand, head_bytes};
use super::header::PackedHeader;
use crate::io::Errno;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::{PackedFile, SegmentEntry, SegmentState};
use crate::wal::scan::ReadAt;
use std::cell::Cell;

const BLOCK: u64 = BLOCK_BYTES as u64;

/// So much of a packed file is read at once, unless a frame is longer.
const CHUNK_BYTES: u64 = 256 << 10;

/// The file of a segment, read as the segment.
pub enum SegmentFile<R> {
    /// It holds the segment as it was written.
    Plain(R),
    /// It holds its batches packed.
    Packed(Unpacked<R>),
}

impl<R> SegmentFile<R> {
    /// The file of a segment as the manifest states it.
    pub fn new(file: R, entry: &SegmentEntry) -> SegmentFile<R> {
        match entry.state {
            SegmentState::Packed(extent, packed) => {
                SegmentFile::Packed(Unpacked::new(file, packed, extent.bytes))
            }
            _ => SegmentFile::Plain(file),
        }
    }

    /// The file itself.
    pub fn file(&self) -> &R {
        match self {
            SegmentFile::Plain(file) => file,
            SegmentFile::Packed(packed) => &packed.file,
        }
    }

    /// The file itself.
    pub fn into_file(self) -> R {
        match self {
            SegmentFile::Plain(file) => file,
            SegmentFile::Packed(packed) => packed.file,
        }
    }
}

impl<R: ReadAt> ReadAt for SegmentFile<R> {
    async fn read_at(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, Errno> {
        match self {
            SegmentFile::Plain(file) => file.read_at(offset, bytes).await,
            SegmentFile::Packed(packed) => packed.read_at(offset, bytes).await,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            SegmentFile::Plain(file) => file.bytes(),
            SegmentFile::Packed(packed) => packed.bytes(),
        }
    }
}

/// A packed file, read as the segment that it stands for.
pub struct Unpacked<R> {
    file: R,
    packed: PackedFile,
    segment_bytes: u64,
    /// Where the last read ended. Reading goes forward mostly; one that goes back begins anew.
    position: Cell<Option<Position>>,
}

impl<R> Unpacked<R> {
    /// As the manifest states the file, and the bytes in use of the segment.
    pub fn new(file: R, packed: PackedFile, segment_bytes: u64) -> Unpacked<R> {
        Unpacked {
            file,
            packed,
            segment_bytes,
            position: Cell::new(None),
        }
    }
}

impl<R: ReadAt> Unpacked<R> {
    /// The header of the file, and the block of the segment header behind it. Nothing if the header is not what the manifest
    /// states, or the file is shorter.
    async fn lead(&self) -> Result<Option<(PackedHeader, Vec<u8>)>, Errno> {
        let mut blocks = self.file.read_at(0, FRAMES_AT as usize).await?;
        let header = PackedHeader::decode(&blocks).ok().filter(|header| {
            header.salt == self.packed.salt
                && header.bytes == self.packed.bytes
                && header.segment_bytes == self.segment_bytes
                && self.file.bytes() >= self.packed.bytes
        });
        if blocks.len() as u64 != FRAMES_AT {
            return Ok(None);
        }
        let lead = blocks.split_off(BLOCK_BYTES);
        Ok(header.map(|header| (header, lead)))
    }

    /// The header of the file, where it is what the manifest states.
    pub async fn header(&self) -> Result<Option<PackedHeader>, Errno> {
        Ok(self.lead().await?.map(|(header, _)| header))
    }
}

impl<R: ReadAt> ReadAt for Unpacked<R> {
    async fn read_at(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, Errno> {
        let end = offset.saturating_add(bytes as u64).min(self.segment_bytes);
        let mut out = Out {
            start: offset,
            bytes: vec![0; end.saturating_sub(offset) as usize],
        };
        if offset < BLOCK
            && let Some((_, lead)) = self.lead().await?
        {
            out.take(0, &lead);
        }
        let known = self.position.take().filter(|it| it.offset <= offset);
        let mut position = known.unwrap_or_default();
        while position.offset < end {
            let Some(head) = position.head(&self.file, &self.packed).await? else {
                break;
            };
            let behind = position.offset + head.batch_bytes as u64;
            if behind > offset {
                let Some(frame) = position
                    .chunk
                    .get(&self.file, position.at, head.frame_bytes)
                    .await?
                else {
                    break;
                };
                out.take(position.offset, &expand(&head, frame));
            }
            if behind > end {
                break;
            }
            position.offset = behind;
            position.at += head.frame_bytes as u64;
        }
        self.position.set(Some(position));
        Ok(out.bytes)
    }

    fn bytes(&self) -> u64 {
        self.segment_bytes
    }
}

/// What was asked for of a segment.
struct Out {
    start: u64,
    bytes: Vec<u8>,
}

impl Out {
    /// Takes what lies in it of a part of the segment.
    fn take(&mut self, part_at: u64, part: &[u8]) {
        let part_end = part_at + part.len() as u64;
        let end = (self.start + self.bytes.len() as u64).min(part_end);
        let start = self.start.max(part_at);
        if start < end {
            let to = (start - self.start) as usize..(end - self.start) as usize;
            let from = (start - part_at) as usize..(end - part_at) as usize;
            self.bytes[to].copy_from_slice(&part[from]);
        }
    }
}

/// The beginning of a frame.
struct Position {
    /// Where its batch begins in the segment.
    offset: u64,
    /// Where it begins in the file.
    at: u64,
    chunk: Chunk,
}

impl Default for Position {
    fn default() -> Position {
        Position {
            offset: BLOCK,
            at: FRAMES_AT,
            chunk: Chunk::default(),
        }
    }
}

impl Position {
    /// The head of the frame. Nothing if there is none.
    async fn head<R: ReadAt>(
        &mut self,
        file: &R,
        packed: &PackedFile,
    ) -> Result<Option<FrameHead>, Errno> {
        let begin = self.chunk.get(file, self.at, HEAD_BYTES).await?;
        let Some(bytes) = begin.and_then(|it| head_bytes(it.first_chunk()?)) else {
            return Ok(None);
        };
        let head = self.chunk.get(file, self.at, bytes).await?;
        Ok(head.and_then(|head| FrameHead::decode(head, packed.salt)))
    }
}

/// A part of the file, by whole blocks.
#[derive(Default)]
struct Chunk {
    start: u64,
    bytes: Vec<u8>,
}

impl Chunk {
    /// Bytes of the file, or nothing if it ends before.
    async fn get<R: ReadAt>(
        &mut self,
        file: &R,
        at: u64,
        bytes: usize,
    ) -> Result<Option<&[u8]>, Errno> {
        if self.range(at, bytes).is_none() {
            self.start = at / BLOCK * BLOCK;
            let end = (at + bytes as u64).next_multiple_of(BLOCK);
            let wanted = (end - self.start).max(CHUNK_BYTES);
            let left = file.bytes().saturating_sub(self.start);
            self.bytes = file.read_at(self.start, wanted.min(left) as usize).await?;
        }
        let range = self.range(at, bytes);
        Ok(range.and_then(|range| self.bytes.get(range)))
    }

    fn range(&self, at: u64, bytes: usize) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(at.checked_sub(self.start)?).ok()?;
        let end = start.checked_add(bytes)?;
        (end <= self.bytes.len()).then_some(start..end)
    }
}
