//! The first block of a packed file: which segment of which log it stands for. It is written once, and verifiable alone.

use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::{Reader, crc, put};
use crate::wal::name::{LogId, Sequence};
use crate::wal::segment::START_LIMIT;
use std::fmt;

/// The first eight bytes of a packed file.
pub const PACKED_MAGIC: [u8; 8] = *b"flk-pack";

/// The format version that this code writes, and the only one so far.
const FORMAT_VERSION: u32 = 1;

/// Where the checksum lies: the last four bytes of the block.
const CHECKSUM_AT: usize = BLOCK_BYTES - 4;

/// Bytes that have a meaning.
const FIELDS_BYTES: usize = 132;

/// The header of a packed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedHeader {
    /// The installation.
    pub installation: [u8; 16],
    /// The directory.
    pub node: [u8; 16],
    /// Incarnation of the directory that wrote the log.
    pub incarnation: [u8; 16],
    /// The log.
    pub log: LogId,
    /// Position of the segment in its log.
    pub ordinal: u32,
    /// The file's own salt.
    pub salt: u64,
    /// Generation of the manifest that was in force when the file was made. A later one names it.
    pub generation: u64,
    /// First sequence of the segment.
    pub first: Sequence,
    /// Last sequence of the segment.
    pub last: Sequence,
    /// Bytes in use of the segment.
    pub segment_bytes: u64,
    /// Bytes of this file.
    pub bytes: u64,
    /// Expiry clock of the last batch: how old the segment is.
    pub newest_s: u32,
}

/// Why a block is not the header of a packed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedFault {
    /// Fewer bytes than a block.
    Short,
    /// The first bytes are not those of a packed file.
    Magic,
    /// The checksum does not match.
    Checksum,
    /// The checksum matches, but the format version is another one.
    Version(u32),
    /// The checksum matches, but a field holds what no writer writes; its name.
    Field(&'static str),
}

impl fmt::Display for PackedFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PackedFault::Short => out.write_str("the file is shorter than its header"),
            PackedFault::Magic => {
                out.write_str("the first bytes are not those of a packed segment")
            }
            PackedFault::Checksum => {
                out.write_str("the checksum of the header of the packed segment does not match")
            }
            PackedFault::Version(found) => write!(
                out,
                "the packed segment has format version {found}, this flk reads {FORMAT_VERSION}: use the flk that wrote it"
            ),
            PackedFault::Field(name) => {
                write!(
                    out,
                    "the header of the packed segment holds an impossible {name}"
                )
            }
        }
    }
}

impl std::error::Error for PackedFault {}

impl PackedHeader {
    /// The block.
    pub fn encode(&self) -> [u8; BLOCK_BYTES] {
        let mut block = [0; BLOCK_BYTES];
        put(&mut block, 0, &PACKED_MAGIC);
        put(&mut block, 8, &FORMAT_VERSION.to_le_bytes());
        put(&mut block, 12, &self.log.start.to_le_bytes());
        put(&mut block, 16, &self.log.number.to_le_bytes());
        put(&mut block, 20, &self.ordinal.to_le_bytes());
        put(&mut block, 24, &self.salt.to_le_bytes());
        put(&mut block, 32, &self.generation.to_le_bytes());
        put(&mut block, 40, &self.installation);
        put(&mut block, 56, &self.incarnation);
        put(&mut block, 72, &self.node);
        put(&mut block, 88, &self.first.0.to_le_bytes());
        put(&mut block, 96, &self.last.0.to_le_bytes());
        put(&mut block, 104, &self.segment_bytes.to_le_bytes());
        put(&mut block, 112, &self.bytes.to_le_bytes());
        put(&mut block, 120, &self.newest_s.to_le_bytes());
        let checksum = crc(&block[..CHECKSUM_AT]);
        put(&mut block, CHECKSUM_AT, &checksum.to_le_bytes());
        block
    }

    /// Reads the header from the first block of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<PackedHeader, PackedFault> {
        let block = bytes
            .first_chunk::<BLOCK_BYTES>()
            .ok_or(PackedFault::Short)?;
        if !block.starts_with(&PACKED_MAGIC) {
            return Err(PackedFault::Magic);
        }
        let stated = Reader::new(&block[CHECKSUM_AT..]).u32();
        if stated != Some(crc(&block[..CHECKSUM_AT])) {
            return Err(PackedFault::Checksum);
        }
        let mut reader = Reader::new(&block[PACKED_MAGIC.len()..]);
        let header = fields(&mut reader).ok_or(PackedFault::Short)??;
        match block[FIELDS_BYTES..CHECKSUM_AT]
            .iter()
            .all(|&byte| byte == 0)
        {
            true => Ok(header),
            false => Err(PackedFault::Field("reserved byte")),
        }
    }
}

/// The fields behind the magic of a block whose checksum matches.
fn fields(reader: &mut Reader<'_>) -> Option<Result<PackedHeader, PackedFault>> {
    let version = reader.u32()?;
    if version != FORMAT_VERSION {
        return Some(Err(PackedFault::Version(version)));
    }
    let log = LogId {
        start: reader.u32()?,
        number: reader.u16()?,
    };
    let reserved = reader.u16()?;
    let ordinal = reader.u32()?;
    let (salt, generation) = (reader.u64()?, reader.u64()?);
    let [installation, incarnation, node] = [reader.array()?, reader.array()?, reader.array()?];
    let (first, last) = (Sequence(reader.u64()?), Sequence(reader.u64()?));
    let (segment_bytes, bytes) = (reader.u64()?, reader.u64()?);
    let newest_s = reader.u32()?;
    let reserved_behind = reader.u64()?;
    let impossible = |name| Some(Err(PackedFault::Field(name)));
    if reserved != 0 || reserved_behind != 0 {
        return impossible("reserved byte");
    }
    if log.start >= START_LIMIT {
        return impossible("start number");
    }
    if first > last || first.start() != log.start || last.start() != log.start {
        return impossible("sequence");
    }
    if [segment_bytes, bytes]
        .iter()
        .any(|it| !it.is_multiple_of(BLOCK_BYTES as u64))
    {
        return impossible("length");
    }
    Some(Ok(PackedHeader {
        installation,
        node,
        incarnation,
        log,
        ordinal,
        salt,
        generation,
        first,
        last,
        segment_bytes,
        bytes,
        newest_s,
    }))
}
