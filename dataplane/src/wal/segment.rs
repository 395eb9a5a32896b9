//! The first block of a segment: which log and position it is, and where the segment before it ends.
//! It is written once, in the same write as the segment's first batch, and is never changed.

mod labels;
#[cfg(test)]
mod tests;

pub use labels::{REGION_BYTES_MAX, Region, SegmentLabels};

use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::{Reader, crc, put};
use crate::wal::name::{LogId, Sequence};
use std::fmt;

/// The first eight bytes of a segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"flk-segm";

/// The format version that this code writes. It reads all up to this one.
pub const FORMAT_VERSION: u32 = 2;

/// The first version, without a list of fields.
const WITHOUT_LABELS: u32 = 1;

/// Start numbers are below this: they take 24 bits.
pub const START_LIMIT: u32 = 1 << 24;

/// Where the checksum of a segment header lies: the last four bytes of its block.
const CHECKSUM_AT: usize = BLOCK_BYTES - 4;

/// Whether a segment file can be made with this length: whole blocks, one for its header and at least one for a batch.
pub const fn is_segment_length(bytes: u64) -> bool {
    bytes.is_multiple_of(BLOCK_BYTES as u64) && bytes >= 2 * BLOCK_BYTES as u64
}

/// Where the segment before this one ends. What lies behind that end is never trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// The last sequence of the log before this segment.
    pub ends_after: Sequence,
    /// Checksum of that batch's header, wherever it lies (the first write into the segment before may have failed); 0 if
    /// the log has no batch yet.
    pub checksum: u32,
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Random id of the installation.
    pub installation: [u8; 16],
    /// Random id of the directory's incarnation.
    pub incarnation: [u8; 16],
    /// The log.
    pub log: LogId,
    /// Position of the segment in its log, from 0.
    pub ordinal: u32,
    /// Repeated by every batch header of this segment.
    pub salt: u64,
    /// Generation of the manifest that named this segment.
    pub generation: u64,
    /// The end of the segment before; none for the first segment of a log, and for no other.
    pub predecessor: Option<Predecessor>,
    /// Bytes that the file was made with: one that is not closed and has fewer lost its end. Not known of a header that was
    /// written before the field existed, or made anew from what was left.
    pub made_bytes: Option<u64>,
    /// Where the segment was written. Nothing is judged by it.
    pub labels: SegmentLabels,
}

/// Why a block is not a segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentFault {
    /// Fewer bytes than a block.
    Short,
    /// The block is all zeros: never written.
    Zeros,
    /// The first bytes are not a segment's.
    Magic,
    /// The checksum does not match: torn, or changed since it was written.
    Checksum,
    /// The checksum matches, but the format version is another one.
    Version(u32),
    /// The checksum matches, but a field holds what no writer writes; its name.
    Field(&'static str),
}

impl fmt::Display for SegmentFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SegmentFault::Short => out.write_str("the file is shorter than a segment header"),
            SegmentFault::Zeros => out.write_str("the segment header is all zeros"),
            SegmentFault::Magic => out.write_str("the first bytes are not those of a segment"),
            SegmentFault::Checksum => {
                out.write_str("the checksum of the segment header does not match")
            }
            SegmentFault::Version(found) => write!(
                out,
                "the segment has format version {found}, this flk reads {FORMAT_VERSION} and older ones: use the flk that wrote it"
            ),
            SegmentFault::Field(name) => {
                write!(out, "the segment header holds an impossible {name}")
            }
        }
    }
}

impl std::error::Error for SegmentFault {}

impl SegmentHeader {
    /// Writes the header into a block and returns the checksum that the first batch repeats.
    pub fn encode(&self, block: &mut [u8; BLOCK_BYTES]) -> u32 {
        assert!(
            self.made_bytes.is_none_or(is_segment_length),
            "no segment is made with {:?} bytes",
            self.made_bytes
        );
        let chained = self.fill_first_version(block);
        put(block, 8, &FORMAT_VERSION.to_le_bytes());
        self.labels.fill(block);
        let checksum = crc(&block[..CHECKSUM_AT]);
        put(block, CHECKSUM_AT, &checksum.to_le_bytes());
        chained
    }

    /// The checksum that the first batch of the segment repeats: that of the header as the first version writes it. So it is the
    /// same in all versions and whatever the list of fields holds, and a header that is lost can be made anew without them.
    pub fn chained_checksum(&self) -> u32 {
        self.fill_first_version(&mut [0; BLOCK_BYTES])
    }

    /// All but the list of fields and the checksum, which it returns.
    fn fill_first_version(&self, block: &mut [u8; BLOCK_BYTES]) -> u32 {
        block.fill(0);
        put(block, 0, &SEGMENT_MAGIC);
        put(block, 8, &WITHOUT_LABELS.to_le_bytes());
        put(block, 12, &self.log.start.to_le_bytes());
        put(block, 16, &self.log.number.to_le_bytes());
        block[18] = u8::from(self.predecessor.is_some());
        put(block, 20, &self.ordinal.to_le_bytes());
        put(block, 24, &self.salt.to_le_bytes());
        put(block, 32, &self.generation.to_le_bytes());
        put(block, 40, &self.installation);
        put(block, 56, &self.incarnation);
        if let Some(before) = self.predecessor {
            put(block, 72, &before.ends_after.0.to_le_bytes());
            put(block, 80, &before.checksum.to_le_bytes());
        }
        put(block, 84, &self.made_bytes.unwrap_or(0).to_le_bytes());
        crc(&block[..CHECKSUM_AT])
    }

    /// Reads the header from the first block of `bytes` and returns it with the checksum that its first batch repeats.
    pub fn decode(bytes: &[u8]) -> Result<(SegmentHeader, u32), SegmentFault> {
        let block = bytes
            .first_chunk::<BLOCK_BYTES>()
            .ok_or(SegmentFault::Short)?;
        if block.iter().all(|&byte| byte == 0) {
            return Err(SegmentFault::Zeros);
        }
        if !block.starts_with(&SEGMENT_MAGIC) {
            return Err(SegmentFault::Magic);
        }
        let checksum = Reader::new(&block[CHECKSUM_AT..])
            .u32()
            .ok_or(SegmentFault::Short)?;
        if crc(&block[..CHECKSUM_AT]) != checksum {
            return Err(SegmentFault::Checksum);
        }
        let (version, header) =
            fields(&block[SEGMENT_MAGIC.len()..]).ok_or(SegmentFault::Short)??;
        if version == WITHOUT_LABELS {
            let reserved = &block[labels::LABELS_AT..CHECKSUM_AT];
            return match reserved.iter().all(|&byte| byte == 0) {
                true => Ok((header, checksum)),
                false => Err(SegmentFault::Field("reserved byte")),
            };
        }
        let labels = SegmentLabels::read(block).ok_or(SegmentFault::Field("list of fields"))?;
        let header = SegmentHeader { labels, ..header };
        Ok((header, header.chained_checksum()))
    }
}

/// Format version and fields behind the magic, of a block whose checksum matches; without the list of fields.
fn fields(bytes: &[u8]) -> Option<Result<(u32, SegmentHeader), SegmentFault>> {
    let mut reader = Reader::new(bytes);
    let version = reader.u32()?;
    if !(WITHOUT_LABELS..=FORMAT_VERSION).contains(&version) {
        return Some(Err(SegmentFault::Version(version)));
    }
    let log = LogId {
        start: reader.u32()?,
        number: reader.u16()?,
    };
    let has_predecessor = reader.u8()?;
    let reserved = reader.u8()?;
    let ordinal = reader.u32()?;
    let salt = reader.u64()?;
    let generation = reader.u64()?;
    let installation = reader.array()?;
    let incarnation = reader.array()?;
    let before = Predecessor {
        ends_after: Sequence(reader.u64()?),
        checksum: reader.u32()?,
    };
    let made_bytes = reader.u64()?;
    let impossible = |name| Some(Err(SegmentFault::Field(name)));
    if log.start >= START_LIMIT {
        return impossible("start number");
    }
    if reserved != 0 {
        return impossible("reserved byte");
    }
    let predecessor = match has_predecessor {
        0 if before.ends_after.0 == 0 && before.checksum == 0 => None,
        1 if before.ends_after.start() == log.start => Some(before),
        _ => return impossible("predecessor"),
    };
    if predecessor.is_some() != (ordinal > 0) {
        return impossible("predecessor");
    }
    let made_bytes = match made_bytes {
        0 => None,
        bytes if is_segment_length(bytes) => Some(bytes),
        _ => return impossible("length"),
    };
    let header = SegmentHeader {
        installation,
        incarnation,
        log,
        ordinal,
        salt,
        generation,
        predecessor,
        made_bytes,
        labels: SegmentLabels::default(),
    };
    Some(Ok((version, header)))
}
