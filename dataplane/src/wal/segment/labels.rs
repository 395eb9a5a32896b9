//! The list of fields of a segment header: where the segment was written. It is for readers of a segment without its directory;
//! nothing that a start decides depends on it.

use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::{Reader, put};
use std::fmt;

/// Where the list begins, with its own length.
pub(super) const LABELS_AT: usize = 92;

/// Bytes that its fields may take: up to the checksum of the block.
const FIELDS_BYTES_MAX: usize = BLOCK_BYTES - 4 - LABELS_AT - 2;

/// The name of a region is at most this long.
pub const REGION_BYTES_MAX: usize = 64;

/// The kinds of fields; the numbers are for ever.
const NODE: u16 = 1;
const GROUP: u16 = 2;
const REGION: u16 = 3;

/// The name of a region: 1 to 64 visible characters of ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Region {
    text: [u8; REGION_BYTES_MAX],
    bytes: usize,
}

impl Region {
    /// The region of this name, if it can be one.
    pub fn new(name: &str) -> Option<Region> {
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        let mut text = [0; REGION_BYTES_MAX];
        let place = text.get_mut(..name.len()).filter(|_| is_name)?;
        place.copy_from_slice(name.as_bytes());
        let bytes = name.len();
        Some(Region { text, bytes })
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        let text = std::str::from_utf8(&self.text[..self.bytes]);
        text.unwrap_or_else(|_| unreachable!("a region is ASCII"))
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(out)
    }
}

/// Where a segment was written, as far as its header says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentLabels {
    /// The directory.
    pub node: Option<[u8; 16]>,
    /// All directories that share its secret.
    pub group: Option<[u8; 16]>,
    /// Where it runs.
    pub region: Option<Region>,
}

impl SegmentLabels {
    /// Writes the list into a block of zeros.
    pub(super) fn fill(&self, block: &mut [u8; BLOCK_BYTES]) {
        let mut at = LABELS_AT + 2;
        let mut field = |kind: u16, value: &[u8]| {
            put(block, at, &kind.to_le_bytes());
            put(block, at + 2, &(value.len() as u16).to_le_bytes());
            put(block, at + 4, value);
            at += 4 + value.len().next_multiple_of(4);
        };
        if let Some(node) = &self.node {
            field(NODE, node);
        }
        if let Some(group) = &self.group {
            field(GROUP, group);
        }
        if let Some(region) = &self.region {
            field(REGION, region.as_str().as_bytes());
        }
        let bytes = (at - LABELS_AT - 2) as u16;
        put(block, LABELS_AT, &bytes.to_le_bytes());
    }

    /// Reads the list. Nothing: it has a form that no writer gives it.
    pub(super) fn read(block: &[u8; BLOCK_BYTES]) -> Option<SegmentLabels> {
        let mut reader = Reader::new(&block[LABELS_AT..BLOCK_BYTES - 4]);
        let bytes = usize::from(reader.u16()?);
        let mut fields = Reader::new(reader.take(bytes)?);
        if reader.rest().iter().any(|&byte| byte != 0) {
            return None;
        }
        let mut labels = SegmentLabels::default();
        let mut kind_before = 0;
        while !fields.rest().is_empty() {
            let kind = fields.u16()?;
            let bytes = usize::from(fields.u16()?);
            let value = fields.take(bytes)?;
            let padding = fields.take(bytes.next_multiple_of(4) - bytes)?;
            if kind <= kind_before || padding.iter().any(|&byte| byte != 0) {
                return None;
            }
            kind_before = kind;
            match kind {
                NODE => labels.node = Some(value.try_into().ok()?),
                GROUP => labels.group = Some(value.try_into().ok()?),
                REGION => labels.region = Some(Region::new(std::str::from_utf8(value).ok()?)?),
                // A later flk knows what it says. Nothing is judged by it.
                _ => {}
            }
        }
        Some(labels)
    }
}

const _: () = assert!(
    2 * (4 + 16) + 4 + REGION_BYTES_MAX <= FIELDS_BYTES_MAX,
    "all fields of this version fit"
);
