//! The first block of a segment: which log and position it is, and where the segment before it ends.
//! It is written once, in the same write as the segment's first batch, and is never changed.

use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::{Reader, crc, put};
use crate::wal::name::{LogId, Sequence};
use std::fmt;

/// The first eight bytes of a segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"flk-segm";

/// The format version that this code writes and the only one that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// Start numbers are below this: they take 24 bits.
pub const START_LIMIT: u32 = 1 << 24;

/// Where the checksum of a segment header lies: the last four bytes of its block.
const CHECKSUM_AT: usize = BLOCK_BYTES - 4;

/// Bytes of a segment header that carry fields; zeros follow up to the checksum.
const FIELDS_BYTES: usize = 92;

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
                "the segment has format version {found}, this flk reads {FORMAT_VERSION}: use the flk that wrote it"
            ),
            SegmentFault::Field(name) => {
                write!(out, "the segment header holds an impossible {name}")
            }
        }
    }
}

impl std::error::Error for SegmentFault {}

impl SegmentHeader {
    /// Writes the header into a block and returns its checksum.
    pub fn encode(&self, block: &mut [u8; BLOCK_BYTES]) -> u32 {
        assert!(
            self.made_bytes.is_none_or(is_segment_length),
            "no segment is made with {:?} bytes",
            self.made_bytes
        );
        self.fill(block)
    }

    /// The checksum that the encoded header carries, whether or not a header like this one may be written.
    pub fn checksum(&self) -> u32 {
        self.fill(&mut [0; BLOCK_BYTES])
    }

    fn fill(&self, block: &mut [u8; BLOCK_BYTES]) -> u32 {
        block.fill(0);
        put(block, 0, &SEGMENT_MAGIC);
        put(block, 8, &FORMAT_VERSION.to_le_bytes());
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
        let checksum = crc(&block[..CHECKSUM_AT]);
        put(block, CHECKSUM_AT, &checksum.to_le_bytes());
        checksum
    }

    /// Reads the header from the first block of `bytes` and returns it with its checksum.
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
        let header = fields(&block[SEGMENT_MAGIC.len()..]).ok_or(SegmentFault::Short)??;
        if block[FIELDS_BYTES..CHECKSUM_AT]
            .iter()
            .any(|&byte| byte != 0)
        {
            return Err(SegmentFault::Field("reserved byte"));
        }
        Ok((header, checksum))
    }
}

/// The fields behind the magic, of a block whose checksum matches.
fn fields(bytes: &[u8]) -> Option<Result<SegmentHeader, SegmentFault>> {
    let mut reader = Reader::new(bytes);
    let version = reader.u32()?;
    if version != FORMAT_VERSION {
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
    Some(Ok(SegmentHeader {
        installation,
        incarnation,
        log,
        ordinal,
        salt,
        generation,
        predecessor,
        made_bytes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            installation: [1; 16],
            incarnation: [2; 16],
            log: LogId {
                start: 3,
                number: 4,
            },
            ordinal: 5,
            salt: 6,
            generation: 7,
            predecessor: Some(Predecessor {
                ends_after: Sequence(Sequence::before_first(3).0 + 8),
                checksum: 9,
            }),
            made_bytes: Some(64 << 20),
        }
    }

    fn block(header: &SegmentHeader) -> [u8; BLOCK_BYTES] {
        let mut block = [0xAA; BLOCK_BYTES];
        header.encode(&mut block);
        block
    }

    #[test]
    fn a_header_reads_back_with_and_without_predecessor_and_length() {
        let first = SegmentHeader {
            ordinal: 0,
            predecessor: None,
            ..header()
        };
        let of = |made_bytes| SegmentHeader {
            made_bytes,
            ..header()
        };
        let least = 2 * BLOCK_BYTES as u64;
        let most = u64::MAX - u64::MAX % BLOCK_BYTES as u64;
        for header in [header(), first, of(None), of(Some(least)), of(Some(most))] {
            assert_eq!(
                SegmentHeader::decode(&block(&header)),
                Ok((header, header.checksum()))
            );
        }
    }

    #[test]
    fn a_header_from_before_the_length_was_written_reads_as_one_of_unknown_length() {
        // Zeros from byte 84 up to the checksum, as every header had them.
        let old = block(&SegmentHeader {
            made_bytes: None,
            ..header()
        });
        assert!(old[84..CHECKSUM_AT].iter().all(|&byte| byte == 0));
        let (read, _) = SegmentHeader::decode(&old).unwrap();
        assert_eq!(read.made_bytes, None);
    }

    #[test]
    fn refuses_a_length_that_no_segment_is_made_with() {
        let block_bytes = BLOCK_BYTES as u64;
        for made_bytes in [
            1,
            block_bytes - 1,
            block_bytes,
            block_bytes + 1,
            2 * block_bytes - 1,
            2 * block_bytes + 512,
            u64::MAX,
        ] {
            let mut block = block(&header());
            put(&mut block, 84, &made_bytes.to_le_bytes());
            let checksum = crc(&block[..CHECKSUM_AT]);
            put(&mut block, CHECKSUM_AT, &checksum.to_le_bytes());
            let found = SegmentHeader::decode(&block);
            assert_eq!(found, Err(SegmentFault::Field("length")), "{made_bytes}");
        }
    }

    #[test]
    #[should_panic(expected = "no segment is made with")]
    fn never_writes_a_length_that_no_segment_is_made_with() {
        block(&SegmentHeader {
            made_bytes: Some(BLOCK_BYTES as u64),
            ..header()
        });
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let whole = block(&header());
        for bit in 0..BLOCK_BYTES * 8 {
            let mut flipped = whole;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn refuses_by_name_what_no_writer_writes() {
        let reseal_of = |header: SegmentHeader, offset: usize, byte: u8| {
            let mut block = block(&header);
            block[offset] = byte;
            let checksum = crc(&block[..CHECKSUM_AT]);
            put(&mut block, CHECKSUM_AT, &checksum.to_le_bytes());
            SegmentHeader::decode(&block)
        };
        let reseal = |offset, byte| reseal_of(header(), offset, byte);
        assert_eq!(reseal(8, 2), Err(SegmentFault::Version(2)));
        assert_eq!(reseal(15, 1), Err(SegmentFault::Field("start number")));
        assert_eq!(reseal(18, 0), Err(SegmentFault::Field("predecessor")));
        assert_eq!(reseal(18, 2), Err(SegmentFault::Field("predecessor")));
        let first = SegmentHeader {
            ordinal: 0,
            predecessor: None,
            ..header()
        };
        // An end of a predecessor that it says not to have; one to have and an end in another start's log; an ordinal of
        // which one of both cannot be.
        for (header, offset, byte) in [
            (first, 72, 1),
            (first, 80, 1),
            (header(), 12, 4),
            (first, 20, 1),
            (header(), 20, 0),
        ] {
            let found = reseal_of(header, offset, byte);
            assert_eq!(found, Err(SegmentFault::Field("predecessor")), "{offset}");
        }
        assert_eq!(reseal(19, 1), Err(SegmentFault::Field("reserved byte")));
        for offset in [FIELDS_BYTES, CHECKSUM_AT - 1] {
            assert_eq!(reseal(offset, 1), Err(SegmentFault::Field("reserved byte")));
        }
        assert_eq!(SegmentHeader::decode(&[0; 4096]), Err(SegmentFault::Zeros));
        assert_eq!(SegmentHeader::decode(&[0; 4095]), Err(SegmentFault::Short));
        assert_eq!(SegmentHeader::decode(&[7; 4096]), Err(SegmentFault::Magic));
    }
}
