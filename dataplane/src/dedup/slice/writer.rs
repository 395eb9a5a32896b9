//! Writing a slice: sorted decisions in, bytes out from front to back, each byte once. It owns what must be known at the
//! end (index, filters, sums: about two bytes per entry) and no file.

use super::block::{self, ENTRIES_PER_BLOCK};
use super::digests::{self, DIGESTS_MAX, Digests};
use super::frame::{Header, PARTITION_BYTES, Section, Trailer, section, table_checksum};
use super::{SLICE_VERSION, SliceError};
use crate::dedup::entry::{self, Words};
use crate::dedup::{Decided, Key, PARTITIONS, filter};
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::checksum::{crc, put};
use crate::wal::manifest::{Cover, SliceEntry};
use flk_contract::params::ParamsVersion;

/// The identity of the slice that will be written.
pub type SliceMeta = Header;

/// What the manifest says about a finished slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SliceSummary {
    /// Number of entries.
    pub entries_count: u64,
    /// Smallest decided-at.
    pub decided_first: u32,
    /// Largest decided-at.
    pub decided_last: u32,
    /// Largest expiry.
    pub expiry_max: u32,
    /// Length of the file.
    pub file_bytes: u64,
    /// CRC-32C of the section table.
    pub checksum: u32,
}

impl SliceSummary {
    /// What the manifest says of the slice in this file.
    pub fn entry(&self, file: u64, id: u64, covers: Vec<Cover>) -> SliceEntry {
        SliceEntry {
            file,
            id,
            decided_first: self.decided_first,
            decided_last: self.decided_last,
            expiry_max: self.expiry_max,
            entries: self.entries_count,
            bytes: self.file_bytes,
            checksum: self.checksum,
            covers,
        }
    }
}

/// The end of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The bytes that were not taken yet, to the end of the file.
    pub bytes: Vec<u8>,
    /// What to write into the manifest.
    pub summary: SliceSummary,
}

/// A slice that is being written.
#[derive(Debug)]
pub struct SliceWriter {
    meta: SliceMeta,
    out: Vec<u8>,
    /// Bytes that were taken before those in `out`.
    taken_bytes: u64,
    block: Vec<Words>,
    /// Keys of the partition that is being written, for its filter.
    keys: Vec<Key>,
    last: Option<Key>,
    index: Vec<u64>,
    filters: Vec<u8>,
    rows: Vec<Row>,
    /// The dictionary that the entries' `params` index into.
    params: Vec<ParamsVersion>,
    digests: Digests,
    summary: SliceSummary,
}

/// What the directory says of a partition.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    first_block: u32,
    blocks_count: u32,
    entries_count: u32,
    lines_count: u32,
    filter_offset: u64,
    filter_checksum: u32,
}

impl SliceWriter {
    /// Begins with the first block. `params` is the dictionary that the entries' `params` index into.
    pub fn new(meta: SliceMeta, params: &[ParamsVersion]) -> SliceWriter {
        SliceWriter {
            out: meta.encode(),
            meta,
            taken_bytes: 0,
            block: Vec::with_capacity(ENTRIES_PER_BLOCK),
            keys: Vec::new(),
            last: None,
            index: Vec::new(),
            filters: Vec::new(),
            rows: vec![Row::default(); usize::from(PARTITIONS)],
            params: params.to_vec(),
            digests: Digests::new(DIGESTS_MAX),
            summary: SliceSummary {
                decided_first: u32::MAX,
                ..SliceSummary::default()
            },
        }
    }

    /// Adds the next entry. Keys must ascend: of several decisions of a key the caller gives the one that stands.
    pub fn push(&mut self, decided: &Decided) -> Result<(), SliceError> {
        let key = decided.key;
        let params = self.acceptable(decided)?;
        self.digests.add(decided, params);
        if self
            .last
            .is_some_and(|last| last.partition() != key.partition())
        {
            self.end_partition();
        }
        if self.block.is_empty() {
            self.index.push(key.high);
        }
        let row = &mut self.rows[usize::from(key.partition())];
        let number = self.index.len() as u32;
        if row.entries_count == 0 {
            row.first_block = number;
        }
        row.entries_count += 1;
        row.blocks_count = number + 1 - row.first_block;
        self.keys.push(key);
        self.last = Some(key);
        self.summary.entries_count += 1;
        self.summary.decided_first = self.summary.decided_first.min(decided.decided_at);
        self.summary.decided_last = self.summary.decided_last.max(decided.decided_at);
        self.summary.expiry_max = self.summary.expiry_max.max(decided.expiry);
        self.block.push(entry::pack(decided));
        if self.block.len() == ENTRIES_PER_BLOCK {
            self.end_block();
        }
        Ok(())
    }

    /// The params version of an entry that may come next.
    fn acceptable(&self, decided: &Decided) -> Result<ParamsVersion, SliceError> {
        let inconsistent = |what| Err(SliceError::Inconsistent { what });
        match self.params.get(usize::from(decided.params)) {
            _ if self.last >= Some(decided.key) => inconsistent("entries do not ascend by key"),
            _ if self.index.len() >= u32::MAX as usize - 2 => inconsistent("too many entries"),
            _ if decided.expiry == 0 => inconsistent("an entry without expiry"),
            None => inconsistent("an entry with an unknown params version"),
            Some(params) => Ok(*params),
        }
    }

    /// Bytes that are ready, a multiple of 4 KiB.
    pub fn ready_bytes(&self) -> usize {
        self.out.len()
    }

    /// Takes what is ready: the next bytes of the file.
    pub fn take_ready(&mut self) -> Vec<u8> {
        assert!(
            self.out.len().is_multiple_of(BLOCK_BYTES),
            "a slice is written in whole blocks"
        );
        self.taken_bytes += self.out.len() as u64;
        std::mem::take(&mut self.out)
    }

    /// Ends the slice. `covers` is what of which log is in this slice or an earlier one.
    pub fn finish(mut self, covers: &[Cover]) -> Result<Sealed, SliceError> {
        if !self.block.is_empty() {
            self.end_block();
        }
        self.end_partition();
        if self.summary.entries_count == 0 {
            self.summary.decided_first = 0;
        }
        let rows = self.rows.iter().map(|row| u64::from(row.entries_count));
        assert_eq!(
            rows.sum::<u64>(),
            self.summary.entries_count,
            "each entry is in one partition"
        );
        let index: Vec<u8> = self
            .index
            .iter()
            .flat_map(|high| high.to_le_bytes())
            .collect();
        let partitions = self.directory(&index);
        let params = encode_params(&self.params)?;
        let covers: Vec<u8> = covers.iter().flat_map(encode_cover).collect();
        let filters = std::mem::take(&mut self.filters);
        let digests = self.digests.finish();
        let mut sections = [
            (section::PARTITIONS, &partitions),
            (section::INDEX, &index),
            (section::FILTERS, &filters),
            (section::PARAMS, &params),
            (section::COVERS, &covers),
        ]
        .map(|(kind, bytes)| self.section(kind, bytes))
        .to_vec();
        if let Some(rows) = digests {
            let section = self.section(section::DIGESTS, &digests::encode(&rows));
            sections.push(Section {
                optional: true,
                ..section
            });
        }
        self.summary.file_bytes = self.file_bytes() + BLOCK_BYTES as u64;
        let trailer = Trailer {
            version: SLICE_VERSION,
            slice_id: self.meta.slice_id,
            entries_count: self.summary.entries_count,
            blocks_count: self.index.len() as u32,
            decided_first: self.summary.decided_first,
            decided_last: self.summary.decided_last,
            expiry_max: self.summary.expiry_max,
            file_bytes: self.summary.file_bytes,
            sections,
        }
        .encode();
        self.summary.checksum = table_checksum(&trailer).unwrap_or_default();
        self.out.extend_from_slice(&trailer);
        Ok(Sealed {
            bytes: self.out,
            summary: self.summary,
        })
    }

    fn file_bytes(&self) -> u64 {
        self.taken_bytes + self.out.len() as u64
    }

    fn end_block(&mut self) {
        let number = self.index.len() as u32;
        assert!(number > 0, "the index has the first key of each block");
        block::encode(self.meta.slice_id, number, &self.block, &mut self.out);
        self.block.clear();
    }

    fn end_partition(&mut self) {
        let Some(last) = self.last else {
            return;
        };
        let lines = filter::build(&self.keys);
        let keys_count = self.keys.len();
        self.keys.clear();
        let offset = self.filters.len();
        self.filters
            .extend(lines.iter().flat_map(|line| line.to_bytes()));
        let row = &mut self.rows[usize::from(last.partition())];
        assert_eq!(
            row.entries_count as usize, keys_count,
            "the filter of a partition has all of its keys"
        );
        row.lines_count = lines.len() as u32;
        row.filter_offset = offset as u64;
        row.filter_checksum = crc(&self.filters[offset..]);
    }

    fn directory(&self, index: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; self.rows.len() * PARTITION_BYTES];
        for (row, out) in self
            .rows
            .iter()
            .zip(bytes.chunks_exact_mut(PARTITION_BYTES))
        {
            let first = row.first_block.saturating_sub(1) as usize * 8;
            let part = &index[first..first + row.blocks_count as usize * 8];
            put(out, 0, &row.first_block.to_le_bytes());
            put(out, 4, &row.blocks_count.to_le_bytes());
            put(out, 8, &row.entries_count.to_le_bytes());
            put(out, 12, &row.lines_count.to_le_bytes());
            put(out, 16, &row.filter_offset.to_le_bytes());
            put(out, 24, &row.filter_checksum.to_le_bytes());
            put(out, 28, &crc(part).to_le_bytes());
        }
        bytes
    }

    fn section(&mut self, kind: u16, bytes: &[u8]) -> Section {
        let offset = self.file_bytes();
        self.out.extend_from_slice(bytes);
        let padded = self.out.len().next_multiple_of(BLOCK_BYTES);
        self.out.resize(padded, 0);
        Section {
            kind,
            optional: false,
            checksum: crc(bytes),
            offset,
            bytes: bytes.len() as u64,
        }
    }
}

/// Count, then each name behind its length.
fn encode_params(params: &[ParamsVersion]) -> Result<Vec<u8>, SliceError> {
    let count = u16::try_from(params.len()).map_err(|_| SliceError::Inconsistent {
        what: "too many parameter-set versions",
    })?;
    let mut bytes = count.to_le_bytes().to_vec();
    for version in params {
        let name = version.as_str();
        bytes.push(name.len() as u8);
        bytes.extend_from_slice(name.as_bytes());
    }
    Ok(bytes)
}

fn encode_cover(cover: &Cover) -> [u8; 16] {
    let mut bytes = [0; 16];
    put(&mut bytes, 0, &cover.log.start.to_le_bytes());
    put(&mut bytes, 4, &cover.log.number.to_le_bytes());
    put(&mut bytes, 8, &cover.upto.0.to_le_bytes());
    bytes
}
