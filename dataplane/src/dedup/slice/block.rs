//! Entry blocks: 4 KiB that can be trusted alone. Each says which slice it belongs to and which block it is, so that a
//! misplaced or stale block is damage and never a miss.

use crate::dedup::entry::{self, ENTRY_BYTES, Words};
use crate::dedup::{Decided, Key};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::{Reader, crc, crc_more, put};
use std::fmt;

/// Bytes before the entries.
pub const BLOCK_HEADER_BYTES: usize = 64;

/// Entries of a full block; all blocks but the last are full.
pub const ENTRIES_PER_BLOCK: usize = (BLOCK_BYTES - BLOCK_HEADER_BYTES) / ENTRY_BYTES;

const _: () = assert!(BLOCK_HEADER_BYTES + ENTRIES_PER_BLOCK * ENTRY_BYTES == BLOCK_BYTES);

/// Where the checksum lies, the last field of the header.
const CHECKSUM_AT: usize = BLOCK_HEADER_BYTES - 4;

/// A block is not what its slice says: damage, never a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Number of the block: its offset in the file is this times 4 KiB.
    pub block: u32,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for Damaged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "damaged: block {}: {}", self.block, self.what)
    }
}

impl std::error::Error for Damaged {}

/// The entries of a block that was checked.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    entries: &'a [[u8; ENTRY_BYTES]],
    /// Added to their times.
    clock_base_s: u32,
}

impl<'a> Block<'a> {
    /// Checks the bytes of a block: length, checksum, slice, number and count.
    pub fn open(slice_id: u64, number: u32, bytes: &'a [u8]) -> Result<Block<'a>, Damaged> {
        let damaged = |what| Damaged {
            block: number,
            what,
        };
        let bytes: &[u8; BLOCK_BYTES] = bytes.try_into().map_err(|_| damaged("not 4,096 bytes"))?;
        let (header, body) = bytes.split_at(BLOCK_HEADER_BYTES);
        let mut reader = Reader::new(header);
        let fields = (|| Some((reader.u64()?, reader.u32()?, reader.u16()?)))();
        let (found_id, found_number, count) = fields.ok_or(damaged("no header"))?;
        if checksum(bytes).to_le_bytes() != header[CHECKSUM_AT..] {
            return Err(damaged("checksum"));
        }
        if found_id != slice_id {
            return Err(damaged("belongs to another slice"));
        }
        if found_number != number {
            return Err(damaged("belongs elsewhere in its slice"));
        }
        let entries = body
            .as_chunks::<ENTRY_BYTES>()
            .0
            .get(..usize::from(count))
            .filter(|entries| !entries.is_empty())
            .ok_or(damaged("count of entries"))?;
        Ok(Block {
            entries,
            clock_base_s: 0,
        })
    }

    /// The same with its times on a clock that began so much earlier.
    pub fn on_clock(self, clock_base_s: u32) -> Block<'a> {
        Block {
            clock_base_s,
            ..self
        }
    }

    /// The entries in key order; `params` is an index into the slice's own dictionary.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Decided> + use<'a> {
        let clock_base_s = self.clock_base_s;
        self.entries
            .iter()
            .map(move |bytes| entry::unpack(&entry::from_bytes(bytes)).on_clock(clock_base_s))
    }

    /// The entry of a key, or what the absence means.
    pub(super) fn search(&self, key: Key) -> Result<Decided, Absence> {
        match self.entries.binary_search_by_key(&key, key_of) {
            Ok(at) => {
                let found = entry::unpack(&entry::from_bytes(&self.entries[at]));
                Ok(found.on_clock(self.clock_base_s))
            }
            Err(0) if key_of(&self.entries[0]).high == key.high => Err(Absence::PerhapsBefore),
            Err(_) => Err(Absence::Certain),
        }
    }
}

/// A key is not in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// It is in no other one either.
    Certain,
    /// It sorts before the block and shares its upper half, which is all that the index has, with the first entry.
    PerhapsBefore,
}

fn key_of(bytes: &[u8; ENTRY_BYTES]) -> Key {
    entry::key(&entry::from_bytes(bytes))
}

/// Writes the block of some entries, at most [`ENTRIES_PER_BLOCK`].
pub(super) fn encode(slice_id: u64, number: u32, entries: &[Words], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + BLOCK_BYTES, 0);
    let block = &mut out[start..];
    put(block, 0, &slice_id.to_le_bytes());
    put(block, 8, &number.to_le_bytes());
    put(block, 12, &(entries.len() as u16).to_le_bytes());
    for (at, words) in entries.iter().enumerate() {
        put(
            block,
            BLOCK_HEADER_BYTES + at * ENTRY_BYTES,
            &entry::to_bytes(words),
        );
    }
    let sum = checksum(block);
    put(block, CHECKSUM_AT, &sum.to_le_bytes());
}

fn checksum(block: &[u8]) -> u32 {
    crc_more(crc(&block[..CHECKSUM_AT]), &block[BLOCK_HEADER_BYTES..])
}
