//! The header of a batch: verifiable alone, without what follows it. That makes it evidence of what was durable when it
//! was written, even where its own batch is torn.

use super::{
    BATCH_HEADER_BYTES, BATCH_MAGIC, BATCH_RECORDS_MAX, BODIES_PART_BYTES_MAX, INDEX_PART_BYTES_MAX,
};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::{Reader, crc, put};
use crate::wal::name::Sequence;
use std::fmt;

/// Where the checksum of a batch header lies.
const CHECKSUM_AT: usize = BATCH_HEADER_BYTES - 4;

/// What the header of a batch states beside lengths and checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchFields {
    /// Salt of the segment that it is written into.
    pub salt: u64,
    /// Its position in the log.
    pub sequence: Sequence,
    /// Expiry clock of its turn, seconds since 2026-01-01 UTC.
    pub expiry_clock_s: u32,
    /// Wall clock of its turn, microseconds since the Unix epoch.
    pub wall_us: u64,
    /// Every batch up to this one was durable when this header was made.
    pub durable_upto: Sequence,
    /// Every body up to this batch has its disposition in the log.
    pub resolved_upto: Sequence,
    /// Checksum of the header of the batch before it in the segment. Ignored where the segment header leads.
    pub previous_checksum: u32,
    /// Reserved for logs that another node takes over; any number is read. 0 where one node writes alone.
    pub term: u32,
}

/// The header of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// What it states beside lengths and checksums.
    pub fields: BatchFields,
    /// Bytes of the index part.
    pub index_bytes: u32,
    /// Bytes of the bodies part.
    pub bodies_bytes: u32,
    /// Records in the index part.
    pub records: u32,
    /// CRC-32C of the index part, with the erased flags left out.
    pub index_checksum: u32,
    /// CRC-32C of the header itself: the name that the next header repeats.
    pub checksum: u32,
}

/// Why bytes are not a batch header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// Fewer bytes than a header.
    Short,
    /// The first bytes are not a batch's (zeros are not either).
    Magic,
    /// The checksum does not match.
    Checksum,
    /// The checksum matches, but a field holds what no writer writes; its name.
    Field(&'static str),
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderFault::Short => out.write_str("there is no room for a batch header"),
            HeaderFault::Magic => out.write_str("no batch begins here"),
            HeaderFault::Checksum => {
                out.write_str("the checksum of the batch header does not match")
            }
            HeaderFault::Field(name) => write!(out, "the batch header holds an impossible {name}"),
        }
    }
}

impl std::error::Error for HeaderFault {}

impl BatchHeader {
    /// Encodes the header and sets its checksum.
    pub(super) fn encode(&mut self) -> [u8; BATCH_HEADER_BYTES] {
        assert_eq!(
            self.impossible(),
            None,
            "a reader refuses a batch with this header"
        );
        let mut out = [0; BATCH_HEADER_BYTES];
        put(&mut out, 0, &BATCH_MAGIC);
        put(&mut out, 8, &self.fields.salt.to_le_bytes());
        put(&mut out, 16, &self.fields.sequence.0.to_le_bytes());
        put(&mut out, 24, &self.index_bytes.to_le_bytes());
        put(&mut out, 28, &self.bodies_bytes.to_le_bytes());
        put(&mut out, 32, &self.records.to_le_bytes());
        put(&mut out, 36, &self.fields.expiry_clock_s.to_le_bytes());
        put(&mut out, 40, &self.fields.wall_us.to_le_bytes());
        put(&mut out, 48, &self.fields.durable_upto.0.to_le_bytes());
        put(&mut out, 56, &self.fields.resolved_upto.0.to_le_bytes());
        put(&mut out, 64, &self.index_checksum.to_le_bytes());
        put(&mut out, 68, &self.fields.previous_checksum.to_le_bytes());
        put(&mut out, 72, &self.fields.term.to_le_bytes());
        self.checksum = crc(&out[..CHECKSUM_AT]);
        put(&mut out, CHECKSUM_AT, &self.checksum.to_le_bytes());
        out
    }

    /// Reads a header from the beginning of `bytes`; it is verified alone, without what follows it.
    pub fn decode(bytes: &[u8]) -> Result<BatchHeader, HeaderFault> {
        let bytes = bytes
            .first_chunk::<BATCH_HEADER_BYTES>()
            .ok_or(HeaderFault::Short)?;
        if !bytes.starts_with(&BATCH_MAGIC) {
            return Err(HeaderFault::Magic);
        }
        let mut reader = Reader::new(&bytes[BATCH_MAGIC.len()..]);
        let (header, reserved) = header_of(&mut reader).ok_or(HeaderFault::Short)?;
        if crc(&bytes[..CHECKSUM_AT]) != header.checksum {
            return Err(HeaderFault::Checksum);
        }
        let impossible = if reserved {
            Some("reserved byte")
        } else {
            header.impossible()
        };
        impossible.map_or(Ok(header), |name| Err(HeaderFault::Field(name)))
    }

    /// The name of a field that no writer gives this value.
    fn impossible(&self) -> Option<&'static str> {
        let fields = &self.fields;
        if self.records > BATCH_RECORDS_MAX {
            Some("number of records")
        } else if self.index_bytes as usize > INDEX_PART_BYTES_MAX {
            Some("length of the index part")
        } else if self.bodies_bytes as usize > BODIES_PART_BYTES_MAX {
            Some("length of the bodies part")
        } else if fields.sequence.counter() == 0 {
            Some("sequence")
        } else if fields.durable_upto >= fields.sequence {
            Some("durable sequence")
        } else if fields.resolved_upto > fields.sequence {
            Some("resolved sequence")
        } else {
            None
        }
    }

    /// Bytes of the whole batch on disk, padding included: a multiple of the block size.
    pub fn bytes(&self) -> usize {
        (BATCH_HEADER_BYTES + self.index_bytes as usize + self.bodies_bytes as usize)
            .next_multiple_of(BLOCK_BYTES)
    }

    /// Whether the batch holds no record: an idle, clock or clean-stop mark.
    pub fn is_mark(&self) -> bool {
        self.records == 0
    }
}

/// The fields behind the magic, and whether a reserved byte is set.
fn header_of(reader: &mut Reader<'_>) -> Option<(BatchHeader, bool)> {
    let salt = reader.u64()?;
    let sequence = Sequence(reader.u64()?);
    let (index_bytes, bodies_bytes, records) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let expiry_clock_s = reader.u32()?;
    let wall_us = reader.u64()?;
    let durable_upto = Sequence(reader.u64()?);
    let resolved_upto = Sequence(reader.u64()?);
    let index_checksum = reader.u32()?;
    let previous_checksum = reader.u32()?;
    let term = reader.u32()?;
    let reserved: [u8; 16] = reader.array()?;
    let header = BatchHeader {
        fields: BatchFields {
            salt,
            sequence,
            expiry_clock_s,
            wall_us,
            durable_upto,
            resolved_upto,
            previous_checksum,
            term,
        },
        index_bytes,
        bodies_bytes,
        records,
        index_checksum,
        checksum: reader.u32()?,
    };
    Some((header, reserved != [0; 16]))
}
