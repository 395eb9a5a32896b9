//! File operations of shards: writes and syncs of a log, reads of slices.

use super::count::Count;
use super::disk::{Inode, Reach};
use super::oracle::Property;
use super::queue::Happening;
use super::world::World;
use crate::event::Event;
use crate::io::{Errno, FileId, ReadId};
use crate::sim_trace;
use crate::wal::buffer::{BLOCK_BYTES, Blocks};

impl World {
    /// A shard writes to its log.
    pub fn log_write(&mut self, shard: u16, file: FileId, offset: u64, blocks: Box<Blocks>) {
        self.counts.one(Count::LogWrites);
        self.log_op_begins(shard);
        let Some(handle) = self.inode_of(file) else {
            return self.fail(
                Property::Assertion,
                format!("shard {shard} writes to {file:?}, which is not open"),
            );
        };
        let write = self.note_log_write(shard, handle.inode, offset, blocks.bytes());
        let full = blocks.len() as u32;
        let result = if self.dice.chance(self.faults.write_error) {
            self.counts.one(Count::FailedWrites);
            Err(self.dice.pick(&[Errno::EIO, Errno::ENOSPC]))
        } else if self.dice.chance(self.faults.short_write) {
            self.counts.one(Count::ShortWrites);
            Ok(self.dice.below(u64::from(full)) as u32 / 512 * 512)
        } else {
            Ok(full)
        };
        if result != Ok(full) {
            self.truth.log_errors += 1;
        } else if self.dice.chance(self.faults.lost_write) {
            self.truth.writes[write].lied = true;
            self.counts.one(Count::LostWrites);
        }
        let delay_us = self.file_delay_us(80);
        self.later(
            delay_us,
            Happening::LogWritten {
                shard,
                write,
                blocks,
                result,
            },
        );
    }

    /// A log write ends: its bytes are there, as far as it says.
    pub fn log_written(
        &mut self,
        shard: u16,
        write: usize,
        blocks: Box<Blocks>,
        result: Result<u32, Errno>,
    ) {
        self.log_op_ends(shard);
        let (inode, offset, lied) = {
            let write = &self.truth.writes[write];
            (write.inode, write.offset, write.lied || write.sick)
        };
        if result != Ok(blocks.len() as u32) {
            self.note_sick(inode);
        }
        let reach = match self.is_dsync() && !lied {
            true => Reach::Medium,
            false => Reach::Cache,
        };
        match result {
            Ok(bytes) => {
                self.disk
                    .write(inode, offset, &blocks.bytes()[..bytes as usize], reach);
                if lied {
                    self.disk.forget_range(inode, offset, bytes as usize);
                }
                if bytes as usize == blocks.len() {
                    self.truth.writes[write].applied = Some(self.disk.moment());
                    if self.is_dsync() {
                        self.note_confirmed(inode, self.disk.moment());
                    }
                }
            }
            Err(_) => self.apply_part(inode, offset, blocks.bytes()),
        }
        sim_trace!(
            self.now_us(),
            "log write {write} of shard {shard} ends: {result:?}{}",
            if lied { ", a lie" } else { "" }
        );
        self.to_shard(shard, Event::Written(blocks, result));
    }

    /// A shard wants completed writes durable.
    pub fn log_sync(&mut self, shard: u16, file: FileId) {
        self.counts.one(Count::LogSyncs);
        self.log_op_begins(shard);
        let Some(handle) = self.inode_of(file) else {
            return self.fail(
                Property::Assertion,
                format!("shard {shard} syncs {file:?}, which is not open"),
            );
        };
        let result = if self.dice.chance(self.faults.sync_error) {
            self.counts.one(Count::FailedSyncs);
            self.truth.log_errors += 1;
            Err(Errno::EIO)
        } else {
            Ok(())
        };
        let moment = self.disk.moment();
        let delay_us = self.file_delay_us(120);
        self.later(
            delay_us,
            Happening::LogSynced {
                shard,
                inode: handle.inode,
                moment,
                result,
            },
        );
    }

    /// A log sync ends.
    pub fn log_synced(&mut self, shard: u16, inode: Inode, moment: u64, result: Result<(), Errno>) {
        self.log_op_ends(shard);
        if result.is_err() {
            self.note_sick(inode);
        }
        match result {
            Ok(()) => {
                self.disk.sync(inode, moment);
                self.note_confirmed(inode, moment);
            }
            // Like a real kernel: the next sync succeeds, whether or not the data was dropped.
            Err(_) if self.dice.chance(6000) => self.disk.forget(inode, moment),
            Err(_) => {}
        }
        sim_trace!(self.now_us(), "log sync of shard {shard} ends: {result:?}");
        self.to_shard(shard, Event::Synced(result));
    }

    /// A shard reads a block of a slice.
    pub fn slice_read_begins(&mut self, shard: u16, id: ReadId, file: FileId, offset: u64) {
        self.counts.one(Count::SliceReads);
        let Some(handle) = self.inode_of(file) else {
            return self.fail(
                Property::Assertion,
                format!("shard {shard} reads {file:?}, which is not open"),
            );
        };
        let fails = self.dice.chance(self.faults.read_error);
        let delay_us = self.dice.delay_us(150, 300_000, 300);
        sim_trace!(
            self.now_us(),
            "shard {shard} reads a slice at {offset}, {id:?}"
        );
        self.later(
            delay_us,
            Happening::SliceRead {
                shard,
                id,
                inode: handle.inode,
                offset,
                fails,
            },
        );
    }

    /// A block read ends.
    pub fn slice_read(&mut self, shard: u16, id: ReadId, inode: Inode, offset: u64, fails: bool) {
        let start = offset as usize;
        if self.is_damaged_block(inode, start) {
            self.counts.one(Count::DamagedBlocksRead);
            self.truth.damaged_block_read = true;
        }
        let block = self
            .disk
            .seen(inode)
            .get(start..start + BLOCK_BYTES)
            .map(<[u8]>::to_vec);
        let result = match block {
            Some(block) if !fails => Ok(block),
            _ => {
                self.counts.one(Count::ReadErrors);
                Err(Errno::EIO)
            }
        };
        self.read_done(shard, id, result);
    }
}
