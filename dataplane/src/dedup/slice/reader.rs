//! Reading a slice: from its first and last block to where everything lies, each part checked before it is believed. It
//! asks for byte ranges and is given bytes; it never panics, whatever they are.

use super::block::Block;
use super::digests::{self, DigestRow};
use super::frame::{self, Header, PARTITION_BYTES, Section, Trailer, section};
use super::view::{Kept, PartitionView, SliceView, Times};
use super::{SLICE_VERSION_MIN, SliceError};
use crate::dedup::PARTITIONS;
use crate::dedup::filter::{LINE_BYTES, lines_for};
use crate::io::FileId;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::{Reader, crc};
use crate::wal::manifest::Cover;
use crate::wal::name::{LogId, Sequence};
use flk_contract::params::ParamsVersion;
use std::ops::Range;

/// A slice whose first and last block are right.
#[derive(Clone, Debug)]
pub struct SliceReader {
    header: Header,
    trailer: Trailer,
    /// What is added to its times.
    clock_base_s: u32,
}

/// The directory of a slice: what it has of each partition.
#[derive(Clone, Debug)]
pub struct Directory {
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) first_block: u32,
    pub(super) blocks_count: u32,
    pub(super) entries_count: u32,
    pub(super) lines_count: u32,
    pub(super) filter_offset: u64,
    filter_checksum: u32,
    index_checksum: u32,
}

/// Byte ranges of the file that a view of some partitions is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewParts {
    /// Part of the index.
    pub index: Range<u64>,
    /// Part of the filters.
    pub filters: Range<u64>,
}

impl SliceReader {
    /// From the first and the last 4 KiB of a file and its length.
    pub fn open(first: &[u8], last: &[u8], file_bytes: u64) -> Result<SliceReader, SliceError> {
        let header = Header::decode(first)?;
        let trailer = Trailer::decode(last)?;
        if trailer.slice_id != header.slice_id {
            let what = "first and last block are of different slices";
            return Err(SliceError::Inconsistent { what });
        }
        if trailer.version != frame::version_of(first)? {
            let what = "first and last block are of different formats";
            return Err(SliceError::Inconsistent { what });
        }
        if trailer.file_bytes != file_bytes {
            let what = "length of the file";
            return Err(SliceError::Inconsistent { what });
        }
        Ok(SliceReader {
            header,
            trailer,
            clock_base_s: 0,
        })
    }

    /// The same, where the clock of format 1 began so many seconds after the clock of now. A slice of a later format has the
    /// clock of now.
    pub fn with_clock_base(self, of_format_1_s: u32) -> SliceReader {
        let clock_base_s = match self.trailer.version {
            SLICE_VERSION_MIN => of_format_1_s,
            _ => 0,
        };
        SliceReader {
            clock_base_s,
            ..self
        }
    }

    /// The slice's identity.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What is in it.
    pub fn trailer(&self) -> &Trailer {
        &self.trailer
    }

    /// Numbers of the entry blocks; the offset of a block is its number times 4 KiB.
    pub fn blocks(&self) -> Range<u32> {
        1..1 + self.trailer.blocks_count
    }

    /// Where the directory, the params dictionary and the covers lie, in this order, to be read whole.
    pub fn small_sections(&self) -> Result<[Range<u64>; 3], SliceError> {
        Ok([
            self.range(section::PARTITIONS)?,
            self.range(section::PARAMS)?,
            self.range(section::COVERS)?,
        ])
    }

    /// Checks the bytes of one entry block.
    pub fn block<'a>(&self, number: u32, bytes: &'a [u8]) -> Result<Block<'a>, SliceError> {
        let block = Block::open(self.header.slice_id, number, bytes)?;
        Ok(block.on_clock(self.clock_base_s))
    }

    /// Reads the directory.
    pub fn directory(&self, bytes: &[u8]) -> Result<Directory, SliceError> {
        self.checked(section::PARTITIONS, bytes, "directory")?;
        let filter_bytes = self.trailer.section(section::FILTERS)?.bytes;
        let what = "directory";
        let inconsistent = SliceError::Inconsistent { what };
        let rows: Option<Vec<Row>> = bytes
            .as_chunks::<PARTITION_BYTES>()
            .0
            .iter()
            .map(decode_row)
            .collect();
        let rows = rows.ok_or(inconsistent.clone())?;
        let (mut entries, mut filters, mut block) = (0, 0, 1);
        for row in rows.iter().filter(|row| row.entries_count > 0) {
            let end = u64::from(row.first_block) + u64::from(row.blocks_count);
            let sane = row.blocks_count > 0
                && row.first_block >= block
                && end <= u64::from(self.trailer.blocks_count) + 1
                && row.lines_count == lines_for(row.entries_count)
                && row.filter_offset == filters;
            if !sane {
                return Err(inconsistent);
            }
            entries += u64::from(row.entries_count);
            filters += u64::from(row.lines_count) * LINE_BYTES as u64;
            block = (end - 1) as u32;
        }
        if entries != self.trailer.entries_count || filters != filter_bytes {
            return Err(inconsistent);
        }
        Ok(Directory { rows })
    }

    /// Reads the params dictionary: the names that the entries' `params` index into.
    pub fn params(&self, bytes: &[u8]) -> Result<Vec<ParamsVersion>, SliceError> {
        self.checked(section::PARAMS, bytes, "params dictionary")?;
        let mut reader = Reader::new(bytes);
        let names = reader.u16().and_then(|count| {
            let mut name = || {
                let len = usize::from(reader.u8()?);
                let text = std::str::from_utf8(reader.take(len)?).ok()?;
                ParamsVersion::new(text).ok()
            };
            (0..count).map(|_| name()).collect()
        });
        let what = "params dictionary";
        names.ok_or(SliceError::Inconsistent { what })
    }

    /// Reads what the slice covers.
    pub fn covers(&self, bytes: &[u8]) -> Result<Vec<Cover>, SliceError> {
        self.checked(section::COVERS, bytes, "covers")?;
        let rows = bytes.as_chunks::<16>().0.iter();
        rows.map(decode_cover)
            .collect::<Option<Vec<_>>>()
            .filter(|covers| covers.len() * 16 == bytes.len())
            .ok_or(SliceError::Inconsistent { what: "covers" })
    }

    /// Where the digests lie, if the slice has them.
    pub fn digests_at(&self) -> Option<Range<u64>> {
        let section = self.trailer.optional_section(section::DIGESTS)?;
        Some(section.offset..section.offset.saturating_add(section.bytes))
    }

    /// Reads the digests.
    pub fn digests(&self, bytes: &[u8]) -> Result<Vec<DigestRow>, SliceError> {
        self.checked(section::DIGESTS, bytes, "digests")?;
        let what = "digests";
        digests::decode(bytes).ok_or(SliceError::Inconsistent { what })
    }

    /// Entry blocks that hold anything of some partitions; the first and the last may hold others' entries too.
    pub fn blocks_of(&self, directory: &Directory, partitions: Range<u16>) -> Range<u32> {
        let rows = directory.used(partitions);
        match (rows.first(), rows.last()) {
            (Some((_, first)), Some((_, last))) => {
                first.first_block..last.first_block + last.blocks_count
            }
            _ => 1..1,
        }
    }

    /// What to read for a view of some partitions.
    pub fn view_parts(
        &self,
        directory: &Directory,
        partitions: Range<u16>,
    ) -> Result<ViewParts, SliceError> {
        let blocks = self.blocks_of(directory, partitions.clone());
        let index = self.trailer.section(section::INDEX)?.offset;
        let filters = self.trailer.section(section::FILTERS)?.offset;
        let rows = directory.used(partitions);
        let lines = match (rows.first(), rows.last()) {
            (Some((_, first)), Some((_, last))) => first.filter_offset..last.filter_end(),
            _ => 0..0,
        };
        Ok(ViewParts {
            index: index + u64::from(blocks.start - 1) * 8..index + u64::from(blocks.end - 1) * 8,
            filters: filters + lines.start..filters + lines.end,
        })
    }

    /// Bytes that the view of some partitions will take in memory.
    pub fn view_bytes(
        &self,
        directory: &Directory,
        partitions: Range<u16>,
        params_count: usize,
    ) -> Result<u64, SliceError> {
        let ViewParts { index, filters } = self.view_parts(directory, partitions.clone())?;
        let read_bytes = index.end - index.start + (filters.end - filters.start);
        let bytes = SliceView::bytes_of(partitions.len(), read_bytes, params_count);
        Ok(bytes)
    }

    /// Makes the view of some partitions from the bytes of [`SliceReader::view_parts`]. `params` gives the process's
    /// index for each index of the slice's dictionary.
    pub fn view(
        &self,
        file: FileId,
        directory: &Directory,
        partitions: Range<u16>,
        index: &[u8],
        filters: &[u8],
        params: Vec<u16>,
    ) -> Result<SliceView, SliceError> {
        let parts = self.view_parts(directory, partitions.clone())?;
        let fits = |range: &Range<u64>, bytes: &[u8]| range.end - range.start == bytes.len() as u64;
        if !fits(&parts.index, index) || !fits(&parts.filters, filters) {
            let what = "not the bytes of the view";
            return Err(SliceError::Inconsistent { what });
        }
        let rows = directory.used(partitions.clone());
        let (first_block, first_line) = rows.first().map_or((1, 0), |(_, row)| {
            (row.first_block, row.filter_offset / LINE_BYTES as u64)
        });
        let mut views = vec![PartitionView::default(); partitions.len()];
        for (partition, row) in rows {
            let view = PartitionView {
                first_block: row.first_block - first_block,
                blocks_count: row.blocks_count,
                first_line: (row.filter_offset / LINE_BYTES as u64 - first_line) as u32,
                lines_count: row.lines_count,
            };
            let sum = |bytes: &[u8], first: u32, count: u32, size: usize| {
                let first = first as usize * size;
                crc(&bytes[first..first + count as usize * size])
            };
            if sum(index, view.first_block, view.blocks_count, 8) != row.index_checksum {
                return Err(SliceError::Checksum { part: "index" });
            }
            if sum(filters, view.first_line, view.lines_count, LINE_BYTES) != row.filter_checksum {
                return Err(SliceError::Checksum { part: "filters" });
            }
            views[usize::from(partition - partitions.start)] = view;
        }
        let kept = Kept {
            slice_id: self.header.slice_id,
            first_partition: partitions.start,
            partitions: views,
            first_block,
            index,
            filters,
            params,
            times: self.times(),
        };
        Ok(SliceView::new(file, kept))
    }

    fn times(&self) -> Times {
        let clock_base_s = self.clock_base_s;
        Times {
            decided_first: self.trailer.decided_first.saturating_add(clock_base_s),
            clock_base_s,
        }
    }

    fn range(&self, kind: u16) -> Result<Range<u64>, SliceError> {
        let Section { offset, bytes, .. } = *self.trailer.section(kind)?;
        Ok(offset..offset + bytes)
    }

    fn checked(&self, kind: u16, bytes: &[u8], part: &'static str) -> Result<(), SliceError> {
        let section = self.trailer.section(kind)?;
        if section.bytes != bytes.len() as u64 || section.checksum != crc(bytes) {
            return Err(SliceError::Checksum { part });
        }
        Ok(())
    }
}

impl Row {
    fn filter_end(&self) -> u64 {
        self.filter_offset + u64::from(self.lines_count) * LINE_BYTES as u64
    }
}

impl Directory {
    /// Bytes that it takes.
    pub fn memory_bytes(&self) -> u64 {
        size_of_val(&*self.rows) as u64
    }

    /// Entries of a partition.
    pub fn entries_count(&self, partition: u16) -> u32 {
        self.rows
            .get(usize::from(partition))
            .map_or(0, |row| row.entries_count)
    }

    /// The rows of those of some partitions that have entries.
    fn used(&self, partitions: Range<u16>) -> Vec<(u16, Row)> {
        let end = partitions.end.min(PARTITIONS);
        (partitions.start.min(end)..end)
            .map(|partition| (partition, self.rows[usize::from(partition)]))
            .filter(|(_, row)| row.entries_count > 0)
            .collect()
    }
}

fn decode_row(bytes: &[u8; PARTITION_BYTES]) -> Option<Row> {
    let mut reader = Reader::new(bytes);
    Some(Row {
        first_block: reader.u32()?,
        blocks_count: reader.u32()?,
        entries_count: reader.u32()?,
        lines_count: reader.u32()?,
        filter_offset: reader.u64()?,
        filter_checksum: reader.u32()?,
        index_checksum: reader.u32()?,
    })
}

fn decode_cover(bytes: &[u8; 16]) -> Option<Cover> {
    let mut reader = Reader::new(bytes);
    let start = reader.u32()?;
    let number = reader.u16()?;
    reader.u16()?;
    Some(Cover {
        log: LogId { start, number },
        upto: Sequence(reader.u64()?),
    })
}

/// Part of a file that lies in memory as a whole.
fn part(bytes: &[u8], range: Range<u64>) -> Result<&[u8], SliceError> {
    let what = "length of the file";
    let range = usize::try_from(range.start)
        .ok()
        .zip(usize::try_from(range.end).ok());
    range
        .and_then(|(start, end)| bytes.get(start..end))
        .ok_or(SliceError::Inconsistent { what })
}

/// The view of some partitions of a slice that lies in memory as a whole, params untranslated.
pub fn view_whole(
    reader: &SliceReader,
    directory: &Directory,
    file: FileId,
    partitions: Range<u16>,
    bytes: &[u8],
    params_count: usize,
) -> Result<SliceView, SliceError> {
    let parts = reader.view_parts(directory, partitions.clone())?;
    let (index, filters) = (part(bytes, parts.index)?, part(bytes, parts.filters)?);
    let params = (0..params_count as u16).collect();
    reader.view(file, directory, partitions, index, filters, params)
}

/// Everything that reads slices, over any bytes: the entry point for fuzzing. Returns the number of entries.
pub fn read_anything(bytes: &[u8]) -> Result<u64, SliceError> {
    let mut entries = 0;
    // A block alone, as a look-up reads it.
    for (number, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
        let id = Reader::new(block).u64().unwrap_or_default();
        if let Ok(block) = Block::open(id, number as u32, block) {
            let found = block
                .entries()
                .filter(|entry| block.search(entry.key).is_ok());
            entries += found.count() as u64;
        }
    }
    super::verify_whole(bytes, |_| {})?;
    Ok(entries)
}
