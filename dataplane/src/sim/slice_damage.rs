//! Damage of slices at rest: of what every start reads, which must end the next one, or of an entry block, which only look-ups
//! meet. Those may answer 503 for as long as faults last, and never "new"; what follows is judged by the oracle.

use super::disk::Inode;
use super::world::World;
use crate::dedup::slice::frame::{Section, Trailer, section};
use crate::sim_trace;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::files::{MANIFEST, NumberedFile};
use crate::wal::manifest::Manifest;
use std::ops::Range;

/// Who reads what was damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// Every start.
    Starts,
    /// Look-ups, if anything does.
    LookUps,
}

/// Where the entry blocks of a slice lie.
fn entry_blocks(slice: &[u8]) -> Range<usize> {
    let blocks = trailer(slice).map_or(0, |trailer| trailer.blocks_count as usize);
    BLOCK_BYTES..(1 + blocks) * BLOCK_BYTES
}

fn trailer(slice: &[u8]) -> Option<Trailer> {
    Trailer::decode(slice.last_chunk::<BLOCK_BYTES>()?).ok()
}

/// Whether every start reads this byte of a slice: first and last block, and the sections that it finds entries by.
fn is_read_at_start(slice: &[u8], at: usize) -> bool {
    let Some(trailer) = trailer(slice) else {
        return false;
    };
    let is_in = |section: &Section| {
        let range = section.offset..section.offset + section.bytes;
        let is_read = ![section::COVERS, section::DIGESTS].contains(&section.kind);
        is_read && range.contains(&(at as u64))
    };
    let ends = at < BLOCK_BYTES || at >= slice.len() - BLOCK_BYTES;
    ends || trailer.sections.iter().any(is_in)
}

impl World {
    /// Damages a slice: what a start reads of it, or an entry block, which only a look-up reads. `false`: there is none.
    pub(super) fn damage_slice(&mut self) -> bool {
        let names = self.disk.names().map(|(name, _)| name.to_string());
        let slices: Vec<String> = names.filter(|name| name.starts_with("slice-")).collect();
        if slices.is_empty() {
            return false;
        }
        let name = self.rare.pick(&slices.iter().collect::<Vec<_>>()).clone();
        let bytes = self.disk.find(&name).map(|it| self.disk.seen(it).to_vec());
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
            return false;
        };
        let blocks = entry_blocks(&bytes);
        let at = match self.rare.chance(6000) && !blocks.is_empty() {
            true => self
                .rare
                .between(blocks.start as u64, blocks.end as u64 - 1),
            false => self.rare.below(bytes.len() as u64),
        } as usize;
        let reads = match self.is_named_slice(&name) && is_read_at_start(&bytes, at) {
            true => Reads::Starts,
            false => Reads::LookUps,
        };
        self.flip_bit(&name, at, reads);
        true
    }

    fn is_named_slice(&self, name: &str) -> bool {
        let manifest = self.disk.find(MANIFEST).map(|it| self.disk.seen(it));
        let manifest = manifest.and_then(|bytes| Manifest::decode(bytes).ok());
        let mut slices = manifest.iter().flat_map(|it| &it.slices);
        slices.any(|slice| NumberedFile::Slice(slice.file).to_string() == name)
    }

    /// Faults end: what only look-ups meet can be read again. Whoever has the file open sees it as it was.
    pub fn heal(&mut self) {
        let Some(undo) = self.truth.undo.take_if(|undo| undo.passes.is_some()) else {
            return;
        };
        let there = self.disk.find(&undo.name);
        if let Some(inode) = there.filter(|inode| undo.passes == Some(*inode)) {
            sim_trace!(self.now_us(), "{} is as it was", undo.name);
            self.disk.tamper(inode, 0, &undo.bytes);
        }
    }

    /// Whether a shard reads a block that is damaged.
    pub fn is_damaged_block(&self, inode: Inode, start: usize) -> bool {
        let undo = self.truth.undo.as_ref();
        undo.is_some_and(|undo| {
            let block = start..start + BLOCK_BYTES;
            undo.passes == Some(inode)
                && undo.bytes.get(block.clone()) != self.disk.seen(inode).get(block)
        })
    }
}
