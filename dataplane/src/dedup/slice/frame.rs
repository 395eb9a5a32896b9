//! The first and the last block of a slice: its identity, and what is in it. The last one is written when all else is
//! known, so a slice is written once from front to back.

use super::error::SliceError;
use super::{SLICE_VERSION, SLICE_VERSION_MIN};
use crate::dedup::PARTITIONS;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::{Reader, crc, put};

/// The first eight bytes of a slice.
pub const SLICE_MAGIC: [u8; 8] = *b"flk-slic";

/// The first eight bytes of a slice's last block.
pub const TRAILER_MAGIC: [u8; 8] = *b"flk-sltr";

/// The checksum of the first and last block lies in its last four bytes and covers all before.
const CHECKSUM_AT: usize = BLOCK_BYTES - 4;

/// Bytes of a directory row of a partition.
pub const PARTITION_BYTES: usize = 32;

const SECTIONS_AT: usize = 64;
const SECTION_BYTES: usize = 32;
/// Sections that fit.
pub const SECTIONS_MAX: usize = (CHECKSUM_AT - SECTIONS_AT) / SECTION_BYTES;

/// What a section is; the numbers are for ever.
pub mod section {
    /// A row per partition: its blocks, its index, its filter.
    pub const PARTITIONS: u16 = 1;
    /// Upper half of the first key of each block.
    pub const INDEX: u16 = 2;
    /// The filters of the partitions.
    pub const FILTERS: u16 = 3;
    /// Names of parameter-set versions.
    pub const PARAMS: u16 = 4;
    /// What of which log the slice covers.
    pub const COVERS: u16 = 5;
    /// Counts and digests of the entries by partition and hour. Optional.
    pub const DIGESTS: u16 = 6;
}

/// The identity of a slice: its first block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Random id of the slice, repeated in every block.
    pub slice_id: u64,
    /// Generation of the manifest that the slice was written under; the one that names it is higher.
    pub generation: u64,
    /// Id of the installation.
    pub installation: [u8; 16],
    /// Id of the incarnation.
    pub incarnation: [u8; 16],
    /// Id of the secret that the keys were made with.
    pub secret: [u8; 16],
}

impl Header {
    /// The block.
    pub fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_BYTES];
        put(&mut block, 0, &SLICE_MAGIC);
        put(&mut block, 8, &SLICE_VERSION.to_le_bytes());
        put(&mut block, 16, &self.slice_id.to_le_bytes());
        put(&mut block, 24, &self.generation.to_le_bytes());
        put(&mut block, 32, &self.installation);
        put(&mut block, 48, &self.incarnation);
        put(&mut block, 64, &self.secret);
        seal(&mut block);
        block
    }

    /// Reads the block back.
    pub fn decode(bytes: &[u8]) -> Result<Header, SliceError> {
        let (_, mut reader) = checked(bytes, SLICE_MAGIC, "first block")?;
        (|| {
            reader.u32()?;
            Some(Header {
                slice_id: reader.u64()?,
                generation: reader.u64()?,
                installation: reader.array()?,
                incarnation: reader.array()?,
                secret: reader.array()?,
            })
        })()
        .ok_or(SliceError::NotASlice)
    }
}

/// Where a section lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// See [`section`].
    pub kind: u16,
    /// Whether a reader that does not know the kind may skip it.
    pub optional: bool,
    /// CRC-32C of its bytes.
    pub checksum: u32,
    /// Where it begins, a multiple of 4 KiB.
    pub offset: u64,
    /// Its length without padding.
    pub bytes: u64,
}

/// What is in a slice: its last block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trailer {
    /// Version of the format, as in the first block.
    pub version: u32,
    /// As in the first block.
    pub slice_id: u64,
    /// Number of entries.
    pub entries_count: u64,
    /// Number of entry blocks; they are blocks 1 and on.
    pub blocks_count: u32,
    /// Smallest decided-at.
    pub decided_first: u32,
    /// Largest decided-at.
    pub decided_last: u32,
    /// Largest expiry: from that second on the slice answers nothing.
    pub expiry_max: u32,
    /// Length of the file.
    pub file_bytes: u64,
    /// The sections.
    pub sections: Vec<Section>,
}

impl Trailer {
    /// The block.
    pub fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_BYTES];
        put(&mut block, 0, &TRAILER_MAGIC);
        put(&mut block, 8, &self.version.to_le_bytes());
        put(&mut block, 12, &(self.sections.len() as u32).to_le_bytes());
        put(&mut block, 16, &self.slice_id.to_le_bytes());
        put(&mut block, 24, &self.entries_count.to_le_bytes());
        put(&mut block, 32, &self.blocks_count.to_le_bytes());
        put(&mut block, 36, &self.decided_first.to_le_bytes());
        put(&mut block, 40, &self.decided_last.to_le_bytes());
        put(&mut block, 44, &self.expiry_max.to_le_bytes());
        put(&mut block, 48, &self.file_bytes.to_le_bytes());
        for (at, section) in self.sections.iter().take(SECTIONS_MAX).enumerate() {
            let at = SECTIONS_AT + at * SECTION_BYTES;
            put(&mut block, at, &section.kind.to_le_bytes());
            put(
                &mut block,
                at + 2,
                &u16::from(section.optional).to_le_bytes(),
            );
            put(&mut block, at + 4, &section.checksum.to_le_bytes());
            put(&mut block, at + 8, &section.offset.to_le_bytes());
            put(&mut block, at + 16, &section.bytes.to_le_bytes());
        }
        seal(&mut block);
        block
    }

    /// Reads the block back. Sections that may be skipped and are unknown are left out.
    pub fn decode(bytes: &[u8]) -> Result<Trailer, SliceError> {
        let (version, mut reader) = checked(bytes, TRAILER_MAGIC, "section table")?;
        let sections_count = reader.u32().ok_or(SliceError::NotASlice)? as usize;
        let mut trailer = (|| {
            Some(Trailer {
                version,
                slice_id: reader.u64()?,
                entries_count: reader.u64()?,
                blocks_count: reader.u32()?,
                decided_first: reader.u32()?,
                decided_last: reader.u32()?,
                expiry_max: reader.u32()?,
                file_bytes: reader.u64()?,
                sections: Vec::new(),
            })
        })()
        .ok_or(SliceError::NotASlice)?;
        let rows = bytes[SECTIONS_AT..CHECKSUM_AT]
            .as_chunks::<SECTION_BYTES>()
            .0
            .get(..sections_count)
            .ok_or(SliceError::Inconsistent {
                what: "number of sections",
            })?;
        for row in rows {
            trailer.sections.extend(decode_section(row)?);
        }
        trailer.check()?;
        Ok(trailer)
    }

    /// The section of a kind that a slice may be without.
    pub fn optional_section(&self, kind: u16) -> Option<&Section> {
        self.sections.iter().find(|section| section.kind == kind)
    }

    /// The section of a kind; there is one.
    pub fn section(&self, kind: u16) -> Result<&Section, SliceError> {
        let what = "a section is missing";
        self.optional_section(kind)
            .ok_or(SliceError::Inconsistent { what })
    }

    /// All that the parts of the table say about each other.
    fn check(&self) -> Result<(), SliceError> {
        let sane = |sane: bool, what| sane.then_some(()).ok_or(SliceError::Inconsistent { what });
        let blocks = self.entries_count.div_ceil(super::ENTRIES_PER_BLOCK as u64);
        sane(blocks == u64::from(self.blocks_count), "number of blocks")?;
        let mut end = (1 + u64::from(self.blocks_count)) * BLOCK_BYTES as u64;
        for section in &self.sections {
            let follows =
                section.offset >= end && section.offset.is_multiple_of(BLOCK_BYTES as u64);
            sane(follows, "place of a section")?;
            end = section.offset.saturating_add(section.bytes);
        }
        let trailer_at = self.file_bytes.saturating_sub(BLOCK_BYTES as u64);
        sane(end <= trailer_at, "length of the file")?;
        sane(
            self.file_bytes.is_multiple_of(BLOCK_BYTES as u64),
            "length of the file",
        )?;
        let mut kinds: Vec<u16> = self.sections.iter().map(|section| section.kind).collect();
        kinds.sort_unstable();
        let once = kinds.windows(2).all(|pair| pair[0] != pair[1]);
        sane(once, "a section occurs twice")?;
        for (kind, bytes) in [
            (
                section::PARTITIONS,
                usize::from(PARTITIONS) as u64 * PARTITION_BYTES as u64,
            ),
            (section::INDEX, u64::from(self.blocks_count) * 8),
        ] {
            sane(self.section(kind)?.bytes == bytes, "length of a section")?;
        }
        self.section(section::FILTERS)?;
        self.section(section::PARAMS)?;
        self.section(section::COVERS)?;
        Ok(())
    }
}

fn decode_section(row: &[u8; SECTION_BYTES]) -> Result<Option<Section>, SliceError> {
    let mut reader = Reader::new(row);
    let section = (|| {
        Some(Section {
            kind: reader.u16()?,
            optional: reader.u16()? & 1 != 0,
            checksum: reader.u32()?,
            offset: reader.u64()?,
            bytes: reader.u64()?,
        })
    })()
    .ok_or(SliceError::NotASlice)?;
    if (section::PARTITIONS..=section::DIGESTS).contains(&section.kind) {
        Ok(Some(section))
    } else if section.optional {
        Ok(None)
    } else {
        Err(SliceError::UnknownSection { kind: section.kind })
    }
}

fn seal(block: &mut [u8]) {
    let sum = crc(&block[..CHECKSUM_AT]);
    put(block, CHECKSUM_AT, &sum.to_le_bytes());
}

/// Checks magic, checksum and version of a block; the version, and a reader behind it.
fn checked<'a>(
    bytes: &'a [u8],
    magic: [u8; 8],
    part: &'static str,
) -> Result<(u32, Reader<'a>), SliceError> {
    let mut reader = Reader::new(bytes);
    if bytes.len() != BLOCK_BYTES || reader.array() != Some(magic) {
        return Err(SliceError::NotASlice);
    }
    if crc(&bytes[..CHECKSUM_AT]).to_le_bytes() != bytes[CHECKSUM_AT..] {
        return Err(SliceError::Checksum { part });
    }
    match reader.u32().unwrap_or_default() {
        version @ SLICE_VERSION_MIN..=SLICE_VERSION => Ok((version, reader)),
        found => Err(SliceError::Version { found }),
    }
}

/// The version that the first block of a slice states.
pub(super) fn version_of(first: &[u8]) -> Result<u32, SliceError> {
    let (version, _) = checked(first, SLICE_MAGIC, "first block")?;
    Ok(version)
}

/// Checksum of the section table, as the manifest names it: the last four bytes of the last block.
pub fn table_checksum(trailer: &[u8]) -> Option<u32> {
    trailer.last_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}
