//! What a shard keeps of a slice in memory: filters and block index of its partitions, about two bytes per entry. It says
//! which block to read for a key and what the block says; the reading is its caller's.

use super::block::{Absence, Block, Damaged};
use super::error::SliceError;
use crate::dedup::filter::{self, LINE_BYTES, Line, Probe};
use crate::dedup::{Decided, Key};
use crate::io::FileId;
use crate::wal::Epoch;
use std::sync::Arc;

/// A slice as a shard uses it: the open file and what is kept of it in memory. A clone shares the memory.
#[derive(Clone)]
pub struct SliceView {
    /// The open file.
    pub file: FileId,
    memory: Arc<Memory>,
}

struct Memory {
    slice_id: u64,
    first_partition: u16,
    partitions: Vec<PartitionView>,
    /// Number of the block that `index` begins with.
    first_block: u32,
    /// Upper half of the first key of each block.
    index: Box<[u64]>,
    filters: Box<[Line]>,
    /// The process's index of each params version of the slice.
    params: Vec<u16>,
    times: Times,
}

/// What a view knows of the times in its slice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// No entry of the slice was decided before this second.
    pub(super) decided_first: u32,
    /// What is added to the times of entries: a slice of format 1 has them on the clock of its installation.
    pub(super) clock_base_s: u32,
}

/// What is kept of the partitions of a slice, as it was read.
pub(super) struct Kept<'a> {
    pub(super) slice_id: u64,
    pub(super) first_partition: u16,
    pub(super) partitions: Vec<PartitionView>,
    /// Number of the block that `index` begins with.
    pub(super) first_block: u32,
    pub(super) index: &'a [u8],
    pub(super) filters: &'a [u8],
    pub(super) params: Vec<u16>,
    pub(super) times: Times,
}

/// Where index and filter of a partition lie; all zero if it has no entries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PartitionView {
    pub(super) first_block: u32,
    pub(super) blocks_count: u32,
    pub(super) first_line: u32,
    pub(super) lines_count: u32,
}

/// What a slice's filter and index say about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// The slice does not hold the key.
    Absent,
    /// If the slice holds the key, then in the block with this number.
    Block(u32),
    /// The view does not cover the key's partition: nothing is known.
    NotCovered,
}

/// What a block of a slice says about a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found {
    /// The entry, its `params` translated to the process's dictionary.
    Entry(Decided),
    /// The slice does not hold the key.
    Absent,
    /// The key sorts before this block: look into the block before it.
    Before,
}

impl SliceView {
    /// The lengths were checked by the reader.
    pub(super) fn new(file: FileId, kept: Kept<'_>) -> SliceView {
        let index = kept.index.as_chunks::<8>().0;
        let filters = kept.filters.as_chunks::<LINE_BYTES>().0;
        SliceView {
            file,
            memory: Arc::new(Memory {
                slice_id: kept.slice_id,
                first_partition: kept.first_partition,
                partitions: kept.partitions,
                first_block: kept.first_block,
                index: index.iter().map(|high| u64::from_le_bytes(*high)).collect(),
                filters: filters.iter().map(Line::from_bytes).collect(),
                params: kept.params,
                times: kept.times,
            }),
        }
    }

    /// No entry of the slice was decided before this second.
    pub fn decided_first(&self) -> u32 {
        self.memory.times.decided_first
    }

    /// Bytes that the view takes.
    pub fn memory_bytes(&self) -> u64 {
        let memory = &*self.memory;
        let read = size_of_val(&*memory.index) + size_of_val(&*memory.filters);
        SliceView::bytes_of(memory.partitions.len(), read as u64, memory.params.len())
    }

    /// Bytes that a view of so many partitions takes, of which so many are index and filters.
    pub(super) fn bytes_of(partitions: usize, read_bytes: u64, params_count: usize) -> u64 {
        let rest = size_of::<Memory>()
            + partitions * size_of::<PartitionView>()
            + params_count * size_of::<u16>();
        rest as u64 + read_bytes
    }

    /// What the view has of the partition of a key.
    #[inline]
    fn partition(&self, key: Key) -> Option<&PartitionView> {
        let at = key.partition().checked_sub(self.memory.first_partition)?;
        self.memory.partitions.get(usize::from(at))
    }

    /// The filter of a partition.
    #[inline]
    fn lines(&self, partition: &PartitionView) -> &[Line] {
        let lines = partition.first_line as usize..;
        &self.memory.filters[lines][..partition.lines_count as usize]
    }

    /// Brings the line of the filter that a question for this key reads into the cache. What it returns is good for nothing else.
    pub fn touch(&self, key: Key) -> u64 {
        let partition = self.partition(key);
        partition.map_or(0, |partition| filter::touch(self.lines(partition), key))
    }

    /// Where the key would be.
    pub fn candidate(&self, key: Key) -> Candidate {
        self.candidate_of(&Probe::of(key))
    }

    /// Where the key of a probe would be: for those who ask several slices.
    pub fn candidate_of(&self, probe: &Probe) -> Candidate {
        let (memory, key) = (&*self.memory, probe.key());
        let Some(partition) = self.partition(key) else {
            return Candidate::NotCovered;
        };
        if !filter::may_hold(self.lines(partition), probe) {
            return Candidate::Absent;
        }
        let first = partition.first_block as usize;
        let index = &memory.index[first..][..partition.blocks_count as usize];
        match index.partition_point(|&high| high <= key.high) {
            0 => Candidate::Absent,
            after => Candidate::Block(memory.first_block + (first + after - 1) as u32),
        }
    }

    /// Looks for a key in the bytes of a block.
    pub fn search_block(&self, block: u32, bytes: &[u8], key: Key) -> Result<Found, SliceError> {
        let memory = &*self.memory;
        let damaged = |what| Damaged { block, what };
        let opened = Block::open(memory.slice_id, block, bytes)?;
        match opened.on_clock(memory.times.clock_base_s).search(key) {
            Ok(mut decided) => {
                let params = memory.params.get(usize::from(decided.params));
                decided.params = *params.ok_or(damaged("unknown params version"))?;
                if let Some((part, number)) = decided.unknown_part() {
                    return Err(SliceError::UnknownPart { part, number });
                }
                Ok(Found::Entry(decided))
            }
            Err(Absence::PerhapsBefore) if block > 1 => Ok(Found::Before),
            Err(_) => Ok(Found::Absent),
        }
    }
}

impl std::fmt::Debug for SliceView {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "SliceView({:?}, {:016x}, {} blocks)",
            self.file,
            self.memory.slice_id,
            self.memory.index.len()
        )
    }
}

/// A numbered set of sealed slices.
#[derive(Debug, Default)]
pub struct SliceSet {
    /// Grows by one with each set.
    pub version: u64,
    /// Decisions logged in segments of this seal epoch and before are in the set.
    pub sealed_epoch: Epoch,
    /// The slices, oldest first.
    pub slices: Vec<SliceView>,
}
