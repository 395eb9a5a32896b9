//! Carries out the keeper's file operations, one at a time, inside one directory. It owns the open files. It retries only
//! interrupted calls; every other error is returned as an error number.

use crate::io::{Errno, FileId};
use crate::keeper::port::{FileOp, FileResult, FileValue, OpenHow};
use crate::planted::{Bug, planted};
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use crate::wal::files::LOCK;
use crate::wal::files::SNAPSHOTS;
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
mod tests {
    use super::*;
    use crate::driver::directory::open_directory;
    use crate::keeper::files::{MAKE, READ_WRITE_CREATE};
    use std::path::Path;

    const DIRECT: OpenHow = OpenHow {
        direct: true,
        dsync: true,
        ..MAKE
    };
    const EXISTING: OpenHow = OpenHow {
        create: false,
        ..READ_WRITE_CREATE
    };

    fn executor(path: &Path) -> FileExecutor {
        FileExecutor::new(open_directory(path).unwrap())
    }

    fn open(files: &mut FileExecutor, name: &str, how: OpenHow) -> Result<FileId, Errno> {
        let name = name.to_owned();
        match files.run(FileOp::Open { name, how })? {
            FileValue::Opened(file) => Ok(file),
            other => panic!("unexpected {other:?}"),
        }
    }

    fn write_at(files: &mut FileExecutor, file: FileId, offset: u64, bytes: &[u8]) -> FileResult {
        let bytes = bytes.to_vec();
        files.run(FileOp::Write {
            file,
            offset,
            bytes,
        })
    }

    fn read_at(files: &mut FileExecutor, file: FileId, offset: u64, bytes: u32) -> FileResult {
        files.run(FileOp::Read {
            file,
            offset,
            bytes,
        })
    }

    #[test]
    fn a_file_lives_from_its_making_to_its_removal() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/wal");
        let mut files = executor(&path);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let file = open(&mut files, "a", MAKE).unwrap();
        assert_eq!(
            path.join("a").metadata().unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(open(&mut files, "a", MAKE), Err(Errno(libc::EEXIST)));
        let written = write_at(&mut files, file, 3, b"hello");
        assert_eq!(written, Ok(FileValue::Written(5)));
        assert_eq!(files.run(FileOp::Len(file)), Ok(FileValue::Number(8)));
        assert_eq!(files.run(FileOp::Links(file)), Ok(FileValue::Number(1)));
        let read = read_at(&mut files, file, 1, 100);
        assert_eq!(read, Ok(FileValue::Bytes(b"\0\0hello".to_vec())));
        assert_eq!(files.run(FileOp::Sync(file)), Ok(FileValue::Done));
        assert_eq!(files.run(FileOp::Truncate(file, 4)), Ok(FileValue::Done));
        assert_eq!(files.run(FileOp::Len(file)), Ok(FileValue::Number(4)));
        let (from, to) = ("a".to_owned(), "b".to_owned());
        assert_eq!(files.run(FileOp::Rename { from, to }), Ok(FileValue::Done));
        assert_eq!(files.run(FileOp::SyncDir), Ok(FileValue::Done));
        let names = Ok(FileValue::Names(vec!["b".to_owned()]));
        assert_eq!(files.run(FileOp::List), names);
        let unlink = FileOp::Unlink("b".to_owned());
        assert_eq!(files.run(unlink.clone()), Ok(FileValue::Done));
        assert_eq!(files.run(unlink), Err(Errno::ENOENT));
        assert_eq!(files.run(FileOp::Close(file)), Ok(FileValue::Done));
        assert_eq!(files.run(FileOp::Close(file)), Err(Errno(libc::EBADF)));
        assert_eq!(read_at(&mut files, file, 0, 1), Err(Errno(libc::EBADF)));
    }

    #[test]
    fn an_orderly_end_leaves_no_process_in_the_lock_file_and_no_other_file_is_touched() {
        let directory = tempfile::tempdir().unwrap();
        let text = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        let mut files = executor(directory.path());
        for name in [LOCK, "other"] {
            let file = open(&mut files, name, MAKE).unwrap();
            assert!(write_at(&mut files, file, 0, b"7\n").is_ok());
            let locked = files.run(FileOp::LockExclusive(file));
            assert_eq!(locked, Ok(FileValue::Done));
        }
        let mut refused = executor(directory.path());
        let file = open(&mut refused, LOCK, EXISTING).unwrap();
        assert!(refused.run(FileOp::LockExclusive(file)).is_err());
        drop(refused);
        assert_eq!((text(LOCK), text("other")), ("7\n".into(), "7\n".into()));
        drop(files);
        assert_eq!((text(LOCK), text("other")), (String::new(), "7\n".into()));
    }

    #[test]
    fn a_lock_that_was_taken_before_is_the_one_that_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let opened = open_directory(directory.path()).unwrap();
        let lock = crate::driver::lock::lock_directory(opened.as_fd(), |_| {}).unwrap();
        let mut files = FileExecutor::new(opened).with_lock(lock);
        let file = open(&mut files, LOCK, EXISTING).unwrap();
        let locked = files.run(FileOp::LockExclusive(file));
        assert_eq!(locked, Ok(FileValue::Done));
    }

    #[test]
    fn direct_files_take_unaligned_memory_but_only_whole_blocks() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = executor(directory.path());
        let file = match open(&mut files, "direct", DIRECT) {
            Ok(file) => file,
            Err(error) => return flk_testkit::skipped(&format!("no direct IO here: {error}")),
        };
        let block: Vec<u8> = (0..4096u32).map(|i| i as u8).collect();
        assert_eq!(
            write_at(&mut files, file, 4096, &block),
            Ok(FileValue::Written(4096))
        );
        assert_eq!(
            read_at(&mut files, file, 4096, 8192),
            Ok(FileValue::Bytes(block)),
            "shorter only where the file ends"
        );
    }

    #[test]
    fn zeros_take_the_place_of_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = executor(directory.path());
        let file = open(&mut files, "zeroed", MAKE).unwrap();
        write_at(&mut files, file, 0, &[7; 10_000]).unwrap();
        for (offset, bytes) in [(1_000, 500), (4_096, 4_096)] {
            let op = FileOp::Zero {
                file,
                offset,
                bytes,
            };
            assert_eq!(files.run(op), Ok(FileValue::Written(bytes)));
        }
        let mut expected = vec![7; 10_000];
        expected[1_000..1_500].fill(0);
        expected[4_096..8_192].fill(0);
        assert_eq!(
            read_at(&mut files, file, 0, 20_000),
            Ok(FileValue::Bytes(expected))
        );
    }

    #[test]
    fn an_exclusive_lock_shuts_out_other_descriptors_of_the_same_process() {
        let directory = tempfile::tempdir().unwrap();
        let (mut one, mut two) = (executor(directory.path()), executor(directory.path()));
        let mine = open(&mut one, "lock", MAKE).unwrap();
        let other = open(&mut two, "lock", EXISTING).unwrap();
        assert_eq!(one.run(FileOp::LockExclusive(mine)), Ok(FileValue::Done));
        let refused = Err(Errno(libc::EAGAIN));
        assert_eq!(two.run(FileOp::LockExclusive(other)), refused);
        assert_eq!(two.run(FileOp::LockShared(other)), refused);
        assert_eq!(one.run(FileOp::Unlock(mine)), Ok(FileValue::Done));
        assert_eq!(two.run(FileOp::LockShared(other)), Ok(FileValue::Done));
        assert_eq!(one.run(FileOp::LockShared(mine)), Ok(FileValue::Done));
        assert_eq!(two.run(FileOp::Close(other)), Ok(FileValue::Done));
        assert_eq!(one.run(FileOp::LockExclusive(mine)), Ok(FileValue::Done));
    }

    #[test]
    fn nothing_leads_out_of_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", directory.path().join("link")).unwrap();
        let mut files = executor(directory.path());
        for name in ["../x", "a/b", "..", ".", ""] {
            assert_eq!(
                open(&mut files, name, MAKE),
                Err(Errno(libc::EINVAL)),
                "{name}"
            );
        }
        assert_eq!(open(&mut files, "link", EXISTING), Err(Errno(libc::ELOOP)));
    }

    #[test]
    fn space_is_that_of_the_file_system_and_random_bytes_differ() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = executor(directory.path());
        match files.run(FileOp::Space) {
            Ok(FileValue::Space {
                total_bytes,
                free_bytes,
            }) => assert!(total_bytes >= free_bytes && total_bytes > 0),
            other => panic!("unexpected {other:?}"),
        }
        let one = files.run(FileOp::Random(32)).unwrap();
        assert!(matches!(&one, FileValue::Bytes(bytes) if bytes.len() == 32));
        assert_ne!(files.run(FileOp::Random(32)).unwrap(), one);
    }
}
