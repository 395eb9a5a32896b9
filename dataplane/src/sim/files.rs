//! File operations of shards and keeper: how long they take, how they fail, and what is left of them when the process
//! ends in their middle. What files are is [`super::disk`]'s.

use super::count::Count;
use super::disk::Inode;
use super::plan::HANG_US_MAX;
use super::process::Handle;
use super::world::{Happening, World};
use crate::event::Event;
use crate::io::{Errno, FileId};
use crate::keeper::port::{FileOp, FileResult, FileValue, KeeperEvent};
use crate::sim_trace;
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use std::collections::BTreeSet;

const EMFILE: Errno = Errno(24);
const EEXIST: Errno = Errno(17);
const EBADF: Errno = Errno(9);
const EAGAIN: Errno = Errno(11);

impl World {
    fn file_delay_us(&mut self, usual_us: u64) -> u64 {
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

    fn inode_of(&self, file: FileId) -> Option<Handle> {
        self.process.as_ref()?.handle(file)
    }

    /// A shard writes to its log.
    pub fn log_write(&mut self, shard: u16, file: FileId, offset: u64, blocks: Box<Blocks>) {
        self.counts.one(Count::LogWrites);
        self.log_op_begins(shard);
        let Some(handle) = self.inode_of(file) else {
            return self.fail(
                super::oracle::Property::Assertion,
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
        let durable = self.is_dsync() && !lied;
        match result {
            Ok(bytes) => {
                self.disk
                    .write(inode, offset, &blocks.bytes()[..bytes as usize], durable);
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

    /// Any part of a write reaches the file.
    fn apply_part(&mut self, inode: Inode, offset: u64, bytes: &[u8]) {
        if !self.disk.exists(inode) {
            return;
        }
        match self.dice.below(4) {
            0 => {}
            1 => {
                self.disk.write(inode, offset, bytes, false);
            }
            2 => {
                let sectors = self.dice.below(bytes.len() as u64 / 512 + 1) as usize;
                self.disk
                    .write(inode, offset, &bytes[..sectors * 512], false);
            }
            _ => {
                for (at, sector) in bytes.chunks(512).enumerate() {
                    if self.dice.chance(5000) {
                        self.disk
                            .write(inode, offset + at as u64 * 512, sector, false);
                    }
                }
            }
        }
    }

    /// A shard wants completed writes durable.
    pub fn log_sync(&mut self, shard: u16, file: FileId) {
        self.counts.one(Count::LogSyncs);
        self.log_op_begins(shard);
        let Some(handle) = self.inode_of(file) else {
            return self.fail(
                super::oracle::Property::Assertion,
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
    pub fn slice_read_begins(
        &mut self,
        shard: u16,
        id: crate::io::ReadId,
        file: FileId,
        offset: u64,
    ) {
        self.counts.one(Count::SliceReads);
        let Some(handle) = self.inode_of(file) else {
            return self.fail(
                super::oracle::Property::Assertion,
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
    pub fn slice_read(
        &mut self,
        shard: u16,
        id: crate::io::ReadId,
        inode: Inode,
        offset: u64,
        fails: bool,
    ) {
        let start = offset as usize;
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

    /// The keeper begins a file operation.
    pub fn file_begins(&mut self, mut op: FileOp) {
        sim_trace!(self.now_us(), "keeper: {}", brief(&op));
        let error = match op {
            FileOp::Close(_)
            | FileOp::Random(_)
            | FileOp::Unlock(_)
            | FileOp::List
            | FileOp::Space => None,
            FileOp::LockExclusive(file)
                if self.dice.chance(self.faults.pin) && self.is_segment(file) =>
            {
                self.counts.one(Count::Pins);
                Some(EAGAIN)
            }
            _ if self.dice.chance(self.faults.keeper_error) => {
                self.counts.one(Count::KeeperErrors);
                self.truth.keeper_errors += 1;
                if self.process.as_ref().is_some_and(|it| it.terminated) {
                    self.counts.one(Count::ErrorsInStop);
                }
                Some(match op {
                    FileOp::Open { .. } => self.dice.pick(&[Errno::EIO, Errno::ENOSPC, EMFILE]),
                    _ => self.dice.pick(&[Errno::EIO, Errno::ENOSPC]),
                })
            }
            _ => None,
        };
        let error = error.filter(|_| !self.is_cut_short(&mut op));
        let usual_us = match op {
            FileOp::Sync(_) | FileOp::SyncDir => 120,
            FileOp::Read { .. } | FileOp::Write { .. } => 60,
            _ => 5,
        };
        let delay_us = self.file_delay_us(usual_us);
        self.later(delay_us, Happening::FileDone(op, error));
    }

    /// Whether a write that was to fail is carried out in part instead.
    fn is_cut_short(&mut self, op: &mut FileOp) -> bool {
        let FileOp::Write { bytes, .. } = op else {
            return false;
        };
        let kept = self.rare.below(bytes.len() as u64) as usize / 512 * 512;
        let short = self.rare.chance(3000);
        if short {
            bytes.truncate(kept);
            self.counts.one(Count::KeeperShortWrites);
        }
        short
    }

    fn is_segment(&self, file: FileId) -> bool {
        let Some(handle) = self.inode_of(file) else {
            return false;
        };
        self.disk
            .names()
            .any(|(name, inode)| inode == handle.inode && name.starts_with("segment-"))
    }

    /// The keeper's file operation ends.
    pub fn file_done(&mut self, op: FileOp, error: Option<Errno>) {
        let result = match error {
            Some(error) => {
                self.fail_op(&op);
                Err(error)
            }
            None => self.do_op(op),
        };
        if let Err(error) = result {
            sim_trace!(self.now_us(), "keeper's operation fails: {error}");
        }
        self.to_keeper(KeeperEvent::FileDone(result));
    }

    /// What is left of a failed operation.
    fn fail_op(&mut self, op: &FileOp) {
        match op {
            FileOp::Write {
                file,
                offset,
                bytes,
            } => {
                if let Some(handle) = self.inode_of(*file) {
                    self.apply_part(handle.inode, *offset, bytes);
                }
            }
            FileOp::Sync(file) => {
                if let Some(handle) = self.inode_of(*file)
                    && self.dice.chance(6000)
                {
                    let moment = self.disk.moment();
                    self.disk.forget(handle.inode, moment);
                }
            }
            _ => {}
        }
    }

    /// Carries out an operation of the keeper.
    pub fn do_op(&mut self, op: FileOp) -> FileResult {
        match op {
            FileOp::Zero { .. } => self.do_op(op.spelled_out()),
            FileOp::List => Ok(FileValue::Names(
                self.disk
                    .names()
                    .map(|(name, _)| name.to_string())
                    .collect(),
            )),
            FileOp::Open { name, how } => {
                let inode = match self.disk.find(&name) {
                    Some(_) if how.create && how.exclusive => return Err(EEXIST),
                    Some(inode) => inode,
                    None if how.create => self.disk.make(&name),
                    None => return Err(Errno::ENOENT),
                };
                if name == "manifest.new" {
                    let fast_us = self.oracle.furthest_us();
                    let wall_us = self.wall_us();
                    self.truth.mark(fast_us, wall_us);
                }
                let process = self.process.as_mut().ok_or(EBADF)?;
                Ok(FileValue::Opened(process.open(Handle { inode, how })))
            }
            FileOp::Close(file) => {
                let process = self.process.as_mut().ok_or(EBADF)?;
                process.handles.remove(&file.0);
                self.reap();
                Ok(FileValue::Done)
            }
            FileOp::Read {
                file,
                offset,
                bytes,
            } => {
                let handle = self.inode_of(file).ok_or(EBADF)?;
                let seen = self.disk.seen(handle.inode);
                let start = (offset as usize).min(seen.len());
                let end = (start + bytes as usize).min(seen.len());
                Ok(FileValue::Bytes(seen[start..end].to_vec()))
            }
            FileOp::Write {
                file,
                offset,
                bytes,
            } => {
                let handle = self.inode_of(file).ok_or(EBADF)?;
                self.note_overwritten(handle.inode);
                let lost = self.rare.chance(self.faults.keeper_lost_write);
                let written =
                    self.disk
                        .write(handle.inode, offset, &bytes, handle.how.dsync && !lost);
                if lost {
                    self.counts.one(Count::KeeperLostWrites);
                    self.disk.forget_range(handle.inode, offset, bytes.len());
                    let lie = (handle.inode, offset as usize, bytes.len());
                    self.truth.keeper_lies.push(lie);
                }
                if written < bytes.len() {
                    self.counts.one(Count::DiskFull);
                    self.truth.keeper_errors += 1;
                }
                if written == 0 && !bytes.is_empty() {
                    Err(Errno::ENOSPC)
                } else {
                    Ok(FileValue::Written(written as u32))
                }
            }
            FileOp::Truncate(file, bytes) => {
                let handle = self.inode_of(file).ok_or(EBADF)?;
                self.note_cut(handle.inode, bytes);
                self.disk.truncate(handle.inode, bytes);
                Ok(FileValue::Done)
            }
            FileOp::Sync(file) => {
                let handle = self.inode_of(file).ok_or(EBADF)?;
                self.disk.sync(handle.inode, self.disk.moment());
                Ok(FileValue::Done)
            }
            FileOp::SyncDir => {
                self.disk.sync_names();
                self.reap();
                Ok(FileValue::Done)
            }
            FileOp::Rename { from, to } => {
                if to == "manifest"
                    && let Some(inode) = self.disk.find(&from)
                {
                    let bytes = self.disk.seen(inode).to_vec();
                    self.judge_replacement(&bytes);
                    self.truth.manifests.push(bytes);
                }
                if self.disk.rename(&from, &to) {
                    Ok(FileValue::Done)
                } else {
                    Err(Errno::ENOENT)
                }
            }
            FileOp::Unlink(name) => {
                if let Some(inode) = self.disk.find(&name) {
                    self.note_removed(&name, inode);
                }
                if self.disk.unlink(&name) {
                    Ok(FileValue::Done)
                } else {
                    Err(Errno::ENOENT)
                }
            }
            FileOp::Len(file) => {
                let handle = self.inode_of(file).ok_or(EBADF)?;
                Ok(FileValue::Number(self.disk.seen(handle.inode).len() as u64))
            }
            FileOp::Links(file) => {
                let handle = self.inode_of(file).ok_or(EBADF)?;
                Ok(FileValue::Number(self.disk.links(handle.inode)))
            }
            FileOp::LockExclusive(_) | FileOp::LockShared(_) | FileOp::Unlock(_) => {
                Ok(FileValue::Done)
            }
            FileOp::Space => Ok(FileValue::Space {
                total_bytes: self.disk.total_bytes,
                free_bytes: self.disk.free_bytes(),
            }),
            FileOp::Random(count) => Ok(FileValue::Bytes(self.dice.bytes(count as usize))),
        }
    }

    /// The keeper writes into a file that held a log: it is used for something else now.
    fn note_overwritten(&mut self, inode: Inode) {
        if self
            .truth
            .writes
            .iter()
            .any(|write| write.inode == inode && !write.gone)
        {
            self.counts.one(Count::Recycled);
            self.note_gone(inode, false);
        }
    }

    fn reap(&mut self) {
        let Some(process) = self.process.as_ref() else {
            return;
        };
        let open: BTreeSet<Inode> = process
            .handles
            .values()
            .map(|handle| handle.inode)
            .collect();
        self.disk.reap(&open);
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

/// An operation without its bytes.
fn brief(op: &FileOp) -> String {
    match op {
        FileOp::Write {
            file,
            offset,
            bytes,
        } => format!("Write {} bytes at {offset} of {file:?}", bytes.len()),
        other => format!("{other:?}"),
    }
}
