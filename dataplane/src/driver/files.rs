//! Carries out the keeper's file operations, one at a time, inside one directory. It owns the open files. It retries only
//! interrupted calls; every other error is returned as an error number.

use super::group::ReadGroup;
use crate::io::{Errno, FileId};
use crate::keeper::port::{FileOp, FileResult, FileValue, OpenHow};
use crate::planted::{Bug, planted};
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use crate::wal::files::{LOCK, SECRET, SNAPSHOTS};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::retry_on_intr;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// An open file and whether it bypasses the page cache.
struct Open {
    fd: OwnedFd,
    direct: bool,
}

/// The executor. A [`FileId`] is the descriptor's number, valid for all threads of the process until [`FileOp::Close`].
pub struct FileExecutor {
    directory: OwnedFd,
    /// The group that may read new files.
    readers: Option<ReadGroup>,
    files: HashMap<FileId, Open>,
    /// The lock file, if the process has taken the lock before.
    lock: Option<OwnedFd>,
    /// The open lock file, and whether its lock is held; if so, the file is emptied when this executor is dropped.
    lock_file: Option<(FileId, bool)>,
    /// Zeros to fill new segments with; as long as the longest such write so far.
    zeros: Blocks,
}

impl FileExecutor {
    /// Works in this directory.
    pub fn new(directory: OwnedFd) -> FileExecutor {
        FileExecutor {
            directory,
            readers: None,
            files: HashMap::new(),
            lock: None,
            lock_file: None,
            zeros: Blocks::default(),
        }
    }

    /// The process holds the directory's lock: opening the lock file returns this one.
    pub fn with_lock(mut self, lock: OwnedFd) -> FileExecutor {
        self.lock = Some(lock);
        self
    }

    /// Members of this group may read all files made from now on, but lock and secret.
    pub fn with_readers(mut self, readers: Option<ReadGroup>) -> FileExecutor {
        self.readers = readers;
        self
    }

    /// Carries out one operation and waits for its end.
    pub fn run(&mut self, op: FileOp) -> FileResult {
        self.carry_out(op)
            .map_err(|error| Errno(error.raw_os_error()))
    }

    fn carry_out(&mut self, op: FileOp) -> rustix::io::Result<FileValue> {
        match op {
            FileOp::List => self.list(),
            FileOp::Open { name, how } => self.open(&name, how),
            FileOp::Close(file) => {
                let open = self.files.remove(&file);
                open.map(|_| FileValue::Done).ok_or(rustix::io::Errno::BADF)
            }
            FileOp::Read {
                file,
                offset,
                bytes,
            } => read(self.file(file)?, offset, bytes as usize),
            FileOp::Write {
                file,
                offset,
                bytes,
            } => write(self.file(file)?, offset, &bytes),
            FileOp::Zero {
                file,
                offset,
                bytes,
            } => self.write_zeros(file, offset, bytes as usize),
            FileOp::Truncate(file, bytes) => {
                retry_on_intr(|| rustix::fs::ftruncate(self.fd(file)?, bytes)).map(done)
            }
            FileOp::Sync(file) => retry_on_intr(|| rustix::fs::fsync(self.fd(file)?)).map(done),
            FileOp::SyncDir => retry_on_intr(|| rustix::fs::fsync(&self.directory)).map(done),
            FileOp::Rename { from, to } => {
                let directory = &self.directory;
                rustix::fs::renameat(directory, plain(&from)?, directory, plain(&to)?).map(done)
            }
            FileOp::Unlink(name) => {
                rustix::fs::unlinkat(&self.directory, plain(&name)?, AtFlags::empty()).map(done)
            }
            FileOp::Len(file) => {
                let length = rustix::fs::fstat(self.fd(file)?)?.st_size;
                Ok(FileValue::Number(u64::try_from(length).unwrap_or(0)))
            }
            FileOp::Links(file) => {
                let links = rustix::fs::fstat(self.fd(file)?)?.st_nlink;
                #[allow(clippy::useless_conversion)] // 32 bits wide on some architectures
                Ok(FileValue::Number(u64::from(links)))
            }
            FileOp::LockExclusive(file) => {
                let done = lock(self.fd(file)?, libc::F_WRLCK)?;
                if let Some((lock_file, is_held)) = &mut self.lock_file {
                    *is_held |= *lock_file == file;
                }
                Ok(done)
            }
            FileOp::LockShared(file) => lock(self.fd(file)?, libc::F_RDLCK),
            FileOp::Unlock(file) => lock(self.fd(file)?, libc::F_UNLCK),
            FileOp::Space => {
                let space = rustix::fs::fstatvfs(&self.directory)?;
                Ok(FileValue::Space {
                    total_bytes: space.f_blocks * space.f_frsize,
                    free_bytes: space.f_bavail * space.f_frsize,
                })
            }
            FileOp::Random(bytes) => random(bytes as usize).map(FileValue::Bytes),
        }
    }

    fn file(&self, file: FileId) -> rustix::io::Result<&Open> {
        self.files.get(&file).ok_or(rustix::io::Errno::BADF)
    }

    fn fd(&self, file: FileId) -> rustix::io::Result<BorrowedFd<'_>> {
        self.file(file).map(|open| open.fd.as_fd())
    }

    fn write_zeros(
        &mut self,
        file: FileId,
        offset: u64,
        bytes: usize,
    ) -> rustix::io::Result<FileValue> {
        if self.zeros.len() < bytes {
            self.zeros.reset(bytes);
        }
        let open = self.file(file)?;
        let zeros = &self.zeros.bytes()[..bytes];
        retry_on_intr(|| rustix::io::pwrite(&open.fd, zeros, offset)).map(written)
    }

    fn list(&self) -> rustix::io::Result<FileValue> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            // The sockets and the stored snapshots are in the directory too and are no files of the log.
            let is_socket = entry.file_type() == rustix::fs::FileType::Socket;
            if ![".", "..", SNAPSHOTS].contains(&&*name) && !is_socket {
                names.push(name.into_owned());
            }
        }
        Ok(FileValue::Names(names))
    }

    fn open(&mut self, name: &str, how: OpenHow) -> rustix::io::Result<FileValue> {
        let mut flags = OFlags::CLOEXEC | OFlags::NOFOLLOW;
        flags |= if how.write {
            OFlags::RDWR
        } else {
            OFlags::RDONLY
        };
        flags.set(OFlags::CREATE, how.create);
        flags.set(OFlags::EXCL, how.create && how.exclusive);
        flags.set(OFlags::DIRECT, how.direct);
        // Without the flag a completed write is only in the disk's cache, and the shard would count it as durable.
        let forgets = planted(Bug::DriverSyncSkipped) || planted(Bug::DriverSyncEarly);
        flags.set(OFlags::DSYNC, how.dsync && !forgets);
        let mode = Mode::from_raw_mode(how.mode);
        let name = plain(name)?;
        let held = (name == LOCK).then(|| self.lock.take()).flatten();
        let fd = match held {
            Some(held) => held,
            None => retry_on_intr(|| rustix::fs::openat(&self.directory, name, flags, mode))?,
        };
        if let Some(readers) = self.readers.filter(|_| how.create && !is_private(name)) {
            readers.give_file(&fd)?;
        }
        let file = FileId(fd.as_raw_fd());
        let direct = how.direct;
        self.files.insert(file, Open { fd, direct });
        if name == LOCK {
            self.lock_file = Some((file, false));
        }
        Ok(FileValue::Opened(file))
    }
}

impl Drop for FileExecutor {
    /// Empties the lock file: one that names a process means that it was killed.
    fn drop(&mut self) {
        if let Some((lock_file, true)) = self.lock_file
            && let Some(open) = self.files.get(&lock_file)
        {
            // The text is only informative, so a failure is ignored.
            let _ = rustix::fs::ftruncate(&open.fd, 0);
        }
    }
}

fn done((): ()) -> FileValue {
    FileValue::Done
}

/// Whether a file is its owner's alone, whatever the rights of the others are. With a lock on the lock file a reader could keep
/// a gateway from starting.
fn is_private(name: &str) -> bool {
    [LOCK, SECRET].contains(&name)
}

/// Names must be those of files in the directory; a name that leads out of it is refused.
fn plain(name: &str) -> rustix::io::Result<&str> {
    let is_plain = !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != "..";
    is_plain.then_some(name).ok_or(rustix::io::Errno::INVAL)
}

fn read(open: &Open, offset: u64, bytes: usize) -> rustix::io::Result<FileValue> {
    // One call may return less than the file has, so read until it ends.
    let fill = |into: &mut [u8]| {
        let mut filled = 0;
        while filled < into.len() {
            let rest = &mut into[filled..];
            let read =
                retry_on_intr(|| rustix::io::pread(&open.fd, &mut *rest, offset + filled as u64))?;
            filled += read;
            // A direct read ends within a block only at the end of the file.
            if read == 0 || (open.direct && !read.is_multiple_of(BLOCK_BYTES)) {
                break;
            }
        }
        Ok::<usize, rustix::io::Errno>(filled)
    };
    let mut plain = Vec::new();
    if open.direct {
        let mut blocks = Blocks::default();
        blocks.reset(bytes);
        let filled = fill(blocks.bytes_mut())?;
        plain.extend_from_slice(&blocks.bytes()[..filled.min(bytes)]);
    } else {
        plain.resize(bytes, 0);
        let filled = fill(&mut plain)?;
        plain.truncate(filled);
    }
    Ok(FileValue::Bytes(plain))
}

fn write(open: &Open, offset: u64, bytes: &[u8]) -> rustix::io::Result<FileValue> {
    let count = if open.direct {
        // Only the memory is aligned here; a length that is not a multiple of a block is the caller's mistake.
        let mut blocks = Blocks::default();
        blocks.reset(bytes.len());
        blocks.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        let aligned = &blocks.bytes()[..bytes.len()];
        retry_on_intr(|| rustix::io::pwrite(&open.fd, aligned, offset))?
    } else {
        retry_on_intr(|| rustix::io::pwrite(&open.fd, bytes, offset))?
    };
    Ok(written(count))
}

fn written(bytes: usize) -> FileValue {
    FileValue::Written(u32::try_from(bytes).unwrap_or(u32::MAX))
}

/// Random bytes of the kernel, fit for secrets.
fn random(bytes: usize) -> rustix::io::Result<Vec<u8>> {
    let mut all = vec![0; bytes];
    let mut filled = 0;
    while filled < bytes {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += retry_on_intr(|| rustix::rand::getrandom(&mut all[filled..], flags))?;
    }
    Ok(all)
}

/// Sets an open-file-description lock over the whole file. Unlike a process lock it is not lost when the process closes
/// another descriptor of the same file.
#[allow(unsafe_code)]
fn lock(fd: BorrowedFd<'_>, kind: i32) -> rustix::io::Result<FileValue> {
    let request = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open for the length of the borrow, and the kernel only reads the structure.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &request) };
    if result == 0 {
        Ok(FileValue::Done)
    } else {
        let error = std::io::Error::last_os_error();
        Err(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))
    }
}

#[cfg(test)]
mod tests;
