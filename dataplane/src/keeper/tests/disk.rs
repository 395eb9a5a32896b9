//! A directory in memory for the keeper's own tests: it keeps apart what a process sees and what a power cut leaves.
//! It owns files, names and locks; it knows nothing of what is in the files.

use crate::io::{Errno, FileId};
use crate::keeper::port::{FileOp, FileResult, FileValue, OpenHow};
use crate::wal::files::MANIFEST;
use crate::wal::manifest::Manifest;
use std::collections::BTreeMap;

/// What a crash leaves of changes that were never synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Nothing is lost: the process died, the machine lives on.
    Nothing,
    /// Everything unsynced is lost.
    Everything,
    /// Each unsynced sector and each unsynced change of a name survives or not, by this seed.
    Some(u64),
}

/// What is the matter with a disk or a process: operations of some kinds fail until it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nothing can be written or made.
    Full,
    /// Nothing can be changed.
    ReadOnly,
    /// No file can be opened.
    OutOfDescriptors,
}

impl Cause {
    fn error(self) -> Errno {
        match self {
            Cause::Full => Errno::ENOSPC,
            Cause::ReadOnly => Errno(30),
            Cause::OutOfDescriptors => Errno(24),
        }
    }

    fn hits(self, op: &FileOp) -> bool {
        match (self, op) {
            (Cause::OutOfDescriptors, op) => matches!(op, FileOp::Open { .. }),
            (Cause::Full, FileOp::Open { how, .. }) => how.create,
            (Cause::ReadOnly, FileOp::Open { how, .. }) => how.create || how.write,
            (Cause::ReadOnly, FileOp::Truncate(..) | FileOp::Unlink(_)) => true,
            (_, op) => matches!(
                op,
                FileOp::Write { .. } | FileOp::Zero { .. } | FileOp::Rename { .. }
            ),
        }
    }
}

#[derive(Clone, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

struct Handle {
    inode: u64,
    direct: bool,
    dsync: bool,
}

/// The disk and the descriptors of the one process that is alive on it (others may hold locks).
#[derive(Default)]
pub(crate) struct TestDisk {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    handles: BTreeMap<i32, Handle>,
    locks: BTreeMap<u64, i32>,
    made: u64,
    opened: i32,
    /// Size of the file system.
    pub(crate) total_bytes: u64,
    /// Operations that fail: (count down, error); taken at zero.
    pub(crate) fail_at: Option<(u64, Errno)>,
    /// Reads of files whose name begins like this fail.
    pub(crate) fail_reads_of: Option<String>,
    /// Reads of this file that reach the block at this offset fail.
    pub(crate) fail_reads_at: Option<(String, u64)>,
    /// Changes that fail from then on: (count down, error).
    pub(crate) fail_from: Option<(u64, Errno)>,
    /// From then on, until it is over: (count down, cause).
    pub(crate) cause: Option<(u64, Cause)>,
    /// The file system does not say how large it is and what is free.
    pub(crate) fails_space: bool,
    /// Files cannot be made or opened for writing, for this reason.
    pub(crate) refuses: Option<Errno>,
    /// No file can be removed.
    pub(crate) fail_unlinks: bool,
    /// Nothing more can be written.
    pub(crate) full: bool,
    /// Reads of each file.
    pub(crate) reads: BTreeMap<String, u64>,
    /// Operations done so far.
    pub(crate) ops: u64,
}

const EEXIST: Errno = Errno(17);
const EINVAL: Errno = Errno(22);
const EBADF: Errno = Errno(9);
const EAGAIN: Errno = Errno(11);
const SECTOR: usize = 512;

impl TestDisk {
    pub(crate) fn new() -> TestDisk {
        TestDisk {
            total_bytes: 1 << 40,
            ..TestDisk::default()
        }
    }

    /// Names seen now.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    /// The manifest in force.
    pub(crate) fn manifest(&self) -> Manifest {
        Manifest::decode(self.bytes(MANIFEST).expect("a manifest")).expect("a whole manifest")
    }

    /// The bytes of a file as a process sees them.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        let inode = self.names.get(name)?;
        Some(&self.inodes.get(inode)?.seen)
    }

    /// Changes a file's bytes behind everybody's back, durably.
    pub(crate) fn tamper(&mut self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let inode = self.names.get(name).and_then(|at| self.inodes.get_mut(at));
        let inode = inode.expect("a file of that name");
        change(&mut inode.seen);
        inode.durable = inode.seen.clone();
    }

    /// Makes a file behind everybody's back, durably.
    pub(crate) fn plant(&mut self, name: &str, bytes: Vec<u8>) {
        self.made += 1;
        let inode = Inode {
            durable: bytes.clone(),
            seen: bytes,
        };
        self.inodes.insert(self.made, inode);
        self.names.insert(name.to_string(), self.made);
        self.durable_names.insert(name.to_string(), self.made);
    }

    /// Removes a file behind everybody's back, durably.
    pub(crate) fn remove(&mut self, name: &str) {
        self.names.remove(name);
        self.durable_names.remove(name);
    }

    /// Gives a file a second name, durably.
    pub(crate) fn link(&mut self, name: &str, second: &str) {
        let inode = self.names[name];
        self.names.insert(second.to_string(), inode);
        self.durable_names.insert(second.to_string(), inode);
    }

    /// Another process locks a file, until the next crash.
    pub(crate) fn held_by_another(&mut self, name: &str) {
        self.locks.insert(self.names[name], -1);
    }

    /// The process ends, its descriptors and locks go; the machine runs on, so everything is still seen, durable or not.
    pub(crate) fn kill(&mut self) {
        self.handles.clear();
        self.locks.clear();
    }

    /// The process ends, its descriptors and locks go; of unsynced changes stays what `lost` says.
    pub(crate) fn crash(&mut self, lost: Lost) {
        self.kill();
        let mut state = match lost {
            Lost::Some(seed) => seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            _ => 1,
        };
        let mut keep = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            match lost {
                Lost::Nothing => true,
                Lost::Everything => false,
                Lost::Some(_) => state >> 40 & 1 == 1,
            }
        };
        let all: Vec<String> = self
            .names
            .keys()
            .chain(self.durable_names.keys())
            .cloned()
            .collect();
        for name in all {
            if self.names.get(&name) != self.durable_names.get(&name) && keep() {
                match self.names.get(&name) {
                    Some(inode) => self.durable_names.insert(name, *inode),
                    None => self.durable_names.remove(&name),
                };
            }
        }
        self.names = self.durable_names.clone();
        for inode in self.inodes.values_mut() {
            let mut left = inode.durable.clone();
            if left.len() != inode.seen.len() && keep() {
                left.resize(inode.seen.len(), 0);
            }
            let sectors = left.len().div_ceil(SECTOR);
            for sector in 0..sectors {
                let end = ((sector + 1) * SECTOR)
                    .min(left.len())
                    .min(inode.seen.len());
                let range = sector * SECTOR..end;
                if range.start < end && left[range.clone()] != inode.seen[range.clone()] && keep() {
                    left[range.clone()].copy_from_slice(&inode.seen[range]);
                }
            }
            inode.durable = left.clone();
            inode.seen = left;
        }
    }

    /// Writes through a descriptor as a shard does: direct and durable at once.
    pub(crate) fn shard_write(&mut self, file: FileId, offset: u64, bytes: &[u8]) {
        let inode = self.handles[&file.0].inode;
        let inode = self.inodes.get_mut(&inode).expect("open file");
        for content in [&mut inode.seen, &mut inode.durable] {
            put(content, offset, bytes);
        }
    }

    /// How many files are open.
    pub(crate) fn open_count(&self) -> usize {
        self.handles.len()
    }

    /// The name of an open file.
    pub(crate) fn name_of(&self, file: FileId) -> String {
        let inode = self.handles[&file.0].inode;
        let found = self.names.iter().find(|(_, at)| **at == inode);
        found.map(|(name, _)| name.clone()).unwrap_or_default()
    }

    /// Carries out one operation.
    pub(crate) fn run(&mut self, op: &FileOp) -> FileResult {
        self.ops += 1;
        if let FileOp::Read { file, .. } = op {
            *self.reads.entry(self.name_of(*file)).or_default() += 1;
        }
        if let Some((count, error)) = &mut self.fail_at {
            if *count == 0 {
                let error = *error;
                self.fail_at = None;
                return Err(error);
            }
            *count -= 1;
        }
        let changes = !matches!(
            op,
            FileOp::List | FileOp::Read { .. } | FileOp::Len(_) | FileOp::Space | FileOp::Close(_)
        );
        match &mut self.fail_from {
            Some((0, error)) if changes => return Err(*error),
            Some((count, _)) => *count = count.saturating_sub(1),
            None => {}
        }
        match &mut self.cause {
            Some((0, cause)) if cause.hits(op) => return Err(cause.error()),
            Some((count, _)) => *count = count.saturating_sub(1),
            None => {}
        }
        if let (FileOp::Open { how, .. }, Some(error)) = (op, self.refuses)
            && (how.create || how.write)
        {
            return Err(error);
        }
        if let (FileOp::Read { file, .. }, Some(prefix)) = (op, &self.fail_reads_of)
            && self.name_of(*file).starts_with(prefix.as_str())
        {
            return Err(Errno::EIO);
        }
        if let (
            FileOp::Read {
                file,
                offset,
                bytes,
            },
            Some((name, bad)),
        ) = (op, &self.fail_reads_at)
            && (*offset..offset + u64::from(*bytes)).contains(bad)
            && self.name_of(*file) == *name
        {
            return Err(Errno::EIO);
        }
        self.carry_out(op)
    }

    fn carry_out(&mut self, op: &FileOp) -> FileResult {
        match op {
            FileOp::Zero { .. } => self.carry_out(&op.clone().spelled_out()),
            FileOp::List => Ok(FileValue::Names(self.names())),
            FileOp::Open { name, how } => self.open(name, *how),
            FileOp::Close(file) => {
                self.handles.remove(&file.0).ok_or(EBADF)?;
                self.unlock(*file)
            }
            FileOp::Read {
                file,
                offset,
                bytes,
            } => self.read(*file, *offset, *bytes),
            FileOp::Write {
                file,
                offset,
                bytes,
            } => self.write(*file, *offset, bytes),
            FileOp::Truncate(file, bytes) => {
                self.inode(*file)?.seen.resize(*bytes as usize, 0);
                Ok(FileValue::Done)
            }
            FileOp::Sync(file) => {
                let inode = self.inode(*file)?;
                inode.durable.clone_from(&inode.seen);
                Ok(FileValue::Done)
            }
            FileOp::SyncDir => {
                self.durable_names = self.names.clone();
                Ok(FileValue::Done)
            }
            FileOp::Rename { from, to } => {
                let inode = self.names.remove(from).ok_or(Errno::ENOENT)?;
                self.names.insert(to.clone(), inode);
                Ok(FileValue::Done)
            }
            FileOp::Unlink(_) if self.fail_unlinks => Err(Errno::EIO),
            FileOp::Unlink(name) => {
                self.names.remove(name).ok_or(Errno::ENOENT)?;
                Ok(FileValue::Done)
            }
            FileOp::Len(file) => Ok(FileValue::Number(self.inode(*file)?.seen.len() as u64)),
            FileOp::Links(file) => {
                let inode = self.handles.get(&file.0).ok_or(EBADF)?.inode;
                let links = self.names.values().filter(|at| **at == inode).count();
                Ok(FileValue::Number(links as u64))
            }
            FileOp::LockExclusive(file) | FileOp::LockShared(file) => self.lock(*file),
            FileOp::Unlock(file) => self.unlock(*file),
            FileOp::Space if self.fails_space => Err(Errno::EIO),
            FileOp::Space => Ok(FileValue::Space {
                total_bytes: self.total_bytes,
                free_bytes: self.total_bytes.saturating_sub(self.used_bytes()),
            }),
            FileOp::Random(count) => Ok(FileValue::Bytes(self.random(*count))),
        }
    }

    fn open(&mut self, name: &str, how: OpenHow) -> FileResult {
        let inode = match self.names.get(name) {
            Some(_) if how.create && how.exclusive => return Err(EEXIST),
            Some(inode) => *inode,
            None if how.create => {
                self.made += 1;
                self.inodes.insert(self.made, Inode::default());
                self.names.insert(name.to_owned(), self.made);
                self.made
            }
            None => return Err(Errno::ENOENT),
        };
        self.opened += 1;
        let handle = Handle {
            inode,
            direct: how.direct,
            dsync: how.dsync,
        };
        self.handles.insert(self.opened, handle);
        Ok(FileValue::Opened(FileId(self.opened)))
    }

    fn read(&self, file: FileId, offset: u64, bytes: u32) -> FileResult {
        let handle = self.handles.get(&file.0).ok_or(EBADF)?;
        if handle.direct && (!offset.is_multiple_of(4096) || !bytes.is_multiple_of(4096)) {
            return Err(EINVAL);
        }
        assert!(bytes <= 1 << 20, "reads are at most 1 MiB");
        let content = &self.inodes[&handle.inode].seen;
        let start = (offset as usize).min(content.len());
        let end = (start + bytes as usize).min(content.len());
        Ok(FileValue::Bytes(content[start..end].to_vec()))
    }

    fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> FileResult {
        let handle = self.handles.get(&file.0).ok_or(EBADF)?;
        if handle.direct && (!offset.is_multiple_of(4096) || !bytes.len().is_multiple_of(4096)) {
            return Err(EINVAL);
        }
        assert!(bytes.len() <= 1 << 20, "writes are at most 1 MiB");
        let growth = (offset + bytes.len() as u64)
            .saturating_sub(self.inodes[&handle.inode].seen.len() as u64);
        if self.full || self.used_bytes() + growth > self.total_bytes {
            return Err(Errno::ENOSPC);
        }
        let dsync = handle.dsync;
        let inode = self.inodes.get_mut(&handle.inode).ok_or(EBADF)?;
        put(&mut inode.seen, offset, bytes);
        if dsync {
            inode.durable.clone_from(&inode.seen);
        }
        Ok(FileValue::Written(bytes.len() as u32))
    }

    fn lock(&mut self, file: FileId) -> FileResult {
        let inode = self.handles.get(&file.0).ok_or(EBADF)?.inode;
        match self.locks.get(&inode) {
            Some(holder) if *holder != file.0 => Err(EAGAIN),
            _ => {
                self.locks.insert(inode, file.0);
                Ok(FileValue::Done)
            }
        }
    }

    fn unlock(&mut self, file: FileId) -> FileResult {
        self.locks.retain(|_, holder| *holder != file.0);
        Ok(FileValue::Done)
    }

    fn random(&self, count: u32) -> Vec<u8> {
        let seed = self.ops.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let byte = |at: u32| (seed.rotate_left(at * 7) >> 16) as u8 ^ at as u8;
        (0..count).map(byte).collect()
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        let lengths = self
            .names
            .values()
            .map(|at| self.inodes[at].seen.len() as u64);
        lengths.sum()
    }

    fn inode(&mut self, file: FileId) -> Result<&mut Inode, Errno> {
        let handle = self.handles.get(&file.0).ok_or(EBADF)?;
        self.inodes.get_mut(&handle.inode).ok_or(EBADF)
    }
}

fn put(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let start = offset as usize;
    if content.len() < start + bytes.len() {
        content.resize(start + bytes.len(), 0);
    }
    content[start..start + bytes.len()].copy_from_slice(bytes);
}
