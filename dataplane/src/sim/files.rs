//! What file operations of shards and keeper have in common: how long they take, and what is left of them when they fail or
//! the process ends in their middle. The operations are in [`super::shard_files`] and [`super::keeper_files`]; what files
//! are is [`super::disk`]'s.

use super::count::Count;
use super::disk::{Inode, Reach, SECTOR_BYTES};
use super::plan::HANG_US_MAX;
use super::process::Handle;
use super::queue::Happening;
use super::world::World;
use crate::io::FileId;
use crate::keeper::port::FileOp;

impl World {
    /// How long an operation takes that usually takes so long: sometimes much longer.
    pub(super) fn file_delay_us(&mut self, usual_us: u64) -> u64 {
        if self.dice.chance(self.faults.slow) {
            self.counts.one(Count::SlowIo);
            return self.dice.between(usual_us, 400_000);
        }
        if self.rare.chance(self.faults.hang) {
            self.counts.one(Count::Hangs);
            let delay_us = self.rare.between(2_000_000, HANG_US_MAX);
            self.hung_until_us = self.hung_until_us.max(self.now_us() + delay_us);
            return delay_us;
        }
        self.dice.between(usual_us / 4 + 1, usual_us * 2)
    }

    /// The file behind a descriptor of the process.
    pub(super) fn inode_of(&self, file: FileId) -> Option<Handle> {
        self.process.as_ref()?.handle(file)
    }

    /// Any part of a write reaches the file.
    pub(super) fn apply_part(&mut self, inode: Inode, offset: u64, bytes: &[u8]) {
        if !self.disk.exists(inode) {
            return;
        }
        match self.dice.below(4) {
            0 => {}
            1 => {
                self.disk.write(inode, offset, bytes, Reach::Cache);
            }
            2 => {
                let sectors = (bytes.len() / SECTOR_BYTES) as u64;
                let kept = self.dice.below(sectors + 1) as usize * SECTOR_BYTES;
                self.disk.write(inode, offset, &bytes[..kept], Reach::Cache);
            }
            _ => {
                for (at, sector) in (0..).zip(bytes.chunks(SECTOR_BYTES)) {
                    if self.dice.chance(5000) {
                        let offset = offset + at * SECTOR_BYTES as u64;
                        self.disk.write(inode, offset, sector, Reach::Cache);
                    }
                }
            }
        }
    }

    /// The process ends in the middle of this.
    pub fn interrupted(&mut self, what: Happening) {
        match what {
            Happening::LogWritten { write, blocks, .. } => {
                let (inode, offset) = {
                    let write = &self.truth.writes[write];
                    (write.inode, write.offset)
                };
                self.apply_part(inode, offset, blocks.bytes());
            }
            Happening::LogSynced { inode, moment, .. } if self.dice.chance(5000) => {
                self.disk.sync(inode, moment)
            }
            Happening::FileDone(
                FileOp::Write {
                    file,
                    offset,
                    bytes,
                },
                None,
            ) => {
                if let Some(handle) = self.inode_of(file) {
                    self.note_overwritten(handle.inode);
                    self.apply_part(handle.inode, offset, &bytes);
                }
            }
            Happening::FileDone(op, None) if self.dice.chance(5000) => {
                let _ = self.do_op(op);
            }
            _ => {}
        }
    }
}
