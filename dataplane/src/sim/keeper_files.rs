//! File operations of the keeper: which fail, what is left of those that do, and how the others change the disk.

use super::bodies::GoneBodies;
use super::count::Count;
use super::disk::{Inode, Reach};
use super::process::Handle;
use super::queue::Happening;
use super::world::World;
use crate::io::{Errno, FileId};
use crate::keeper::port::{FileOp, FileResult, FileValue, KeeperEvent, OpenHow};
use crate::sim_trace;
use crate::wal::files::{MANIFEST, MANIFEST_NEW};
use std::collections::BTreeSet;

const EAGAIN: Errno = Errno(11);
const EBADF: Errno = Errno(9);
const EEXIST: Errno = Errno(17);
const EMFILE: Errno = Errno(24);

impl World {
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
            FileOp::Zero { .. } => return self.do_op(op.spelled_out()),
            FileOp::List => return Ok(FileValue::Names(self.file_names())),
            FileOp::Open { name, how } => return self.open_file(&name, how),
            FileOp::Close(file) => {
                let process = self.process.as_mut().ok_or(EBADF)?;
                process.handles.remove(&file.0);
                self.reap();
            }
            FileOp::Read {
                file,
                offset,
                bytes,
            } => return self.read_file(file, offset, bytes),
            FileOp::Write {
                file,
                offset,
                bytes,
            } => return self.write_file(file, offset, &bytes),
            FileOp::Truncate(file, bytes) => {
                let handle = self.inode_of(file).ok_or(EBADF)?;
                self.note_cut(handle.inode, bytes);
                self.disk.truncate(handle.inode, bytes);
            }
            FileOp::Sync(file) => {
                let handle = self.inode_of(file).ok_or(EBADF)?;
                self.disk.sync(handle.inode, self.disk.moment());
            }
            FileOp::SyncDir => {
                self.disk.sync_names();
                self.reap();
            }
            FileOp::Rename { from, to } => return self.rename_file(&from, &to),
            FileOp::Unlink(name) => return self.unlink_file(&name),
            FileOp::Len(file) => {
                let handle = self.inode_of(file).ok_or(EBADF)?;
                let bytes = self.disk.seen(handle.inode).len() as u64;
                return Ok(FileValue::Number(bytes));
            }
            FileOp::Links(file) => {
                let handle = self.inode_of(file).ok_or(EBADF)?;
                return Ok(FileValue::Number(self.disk.links(handle.inode)));
            }
            FileOp::LockExclusive(_) | FileOp::LockShared(_) | FileOp::Unlock(_) => {}
            FileOp::Space => {
                return Ok(FileValue::Space {
                    total_bytes: self.disk.total_bytes,
                    free_bytes: self.disk.free_bytes(),
                });
            }
            FileOp::Random(count) => {
                return Ok(FileValue::Bytes(self.dice.bytes(count as usize)));
            }
        }
        Ok(FileValue::Done)
    }

    fn file_names(&self) -> Vec<String> {
        self.disk.names().map(|(name, _)| name.to_owned()).collect()
    }

    fn open_file(&mut self, name: &str, how: OpenHow) -> FileResult {
        let inode = match self.disk.find(name) {
            Some(_) if how.create && how.exclusive => return Err(EEXIST),
            Some(inode) => inode,
            None if how.create => self.disk.make(name),
            None => return Err(Errno::ENOENT),
        };
        if name == MANIFEST_NEW {
            let fast_us = self.oracle.furthest_us();
            let wall_us = self.wall_us();
            self.truth.mark(fast_us, wall_us);
        }
        let process = self.process.as_mut().ok_or(EBADF)?;
        Ok(FileValue::Opened(process.open(Handle { inode, how })))
    }

    fn read_file(&mut self, file: FileId, offset: u64, bytes: u32) -> FileResult {
        let handle = self.inode_of(file).ok_or(EBADF)?;
        let seen = self.disk.seen(handle.inode);
        let start = (offset as usize).min(seen.len());
        let end = (start + bytes as usize).min(seen.len());
        Ok(FileValue::Bytes(seen[start..end].to_vec()))
    }

    fn write_file(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> FileResult {
        let Handle { inode, how } = self.inode_of(file).ok_or(EBADF)?;
        self.note_overwritten(inode);
        let lost = self.rare.chance(self.faults.keeper_lost_write);
        let reach = match how.dsync && !lost {
            true => Reach::Medium,
            false => Reach::Cache,
        };
        let written = self.disk.write(inode, offset, bytes, reach);
        if lost {
            self.counts.one(Count::KeeperLostWrites);
            self.disk.forget_range(inode, offset, bytes.len());
            let lie = (inode, offset as usize, bytes.len());
            self.truth.keeper_lies.push(lie);
        }
        if written < bytes.len() {
            self.counts.one(Count::DiskFull);
            self.truth.keeper_errors += 1;
        }
        match written == 0 && !bytes.is_empty() {
            true => Err(Errno::ENOSPC),
            false => Ok(FileValue::Written(written as u32)),
        }
    }

    fn rename_file(&mut self, from: &str, to: &str) -> FileResult {
        let manifest = self.disk.find(from).filter(|_| to == MANIFEST);
        if let Some(inode) = manifest {
            let bytes = self.disk.seen(inode).to_vec();
            self.judge_replacement(&bytes);
            self.truth.manifests.push(bytes);
        }
        match self.disk.rename(from, to) {
            true => Ok(FileValue::Done),
            false => Err(Errno::ENOENT),
        }
    }

    fn unlink_file(&mut self, name: &str) -> FileResult {
        if let Some(inode) = self.disk.find(name) {
            self.note_removed(name, inode);
        }
        match self.disk.unlink(name) {
            true => Ok(FileValue::Done),
            false => Err(Errno::ENOENT),
        }
    }

    /// The keeper writes into a file that held a log: it is used for something else now.
    pub(super) fn note_overwritten(&mut self, inode: Inode) {
        if self
            .truth
            .writes
            .iter()
            .any(|write| write.inode == inode && !write.gone)
        {
            self.counts.one(Count::Recycled);
            self.note_gone(inode, GoneBodies::Elsewhere);
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
