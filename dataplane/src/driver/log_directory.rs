//! A log directory, opened to be read by the tail reader beside the process that serves from it, or without one. It writes
//! nothing, and takes no lock: a segment is never used for another log, so what is open stays what it is.

use crate::io::Errno;
use crate::wal::files::{MANIFEST, NumberedFile, SECRET};
use crate::wal::manifest::MANIFEST_BYTES_MAX;
use crate::wal::scan::ReadAt;
use crate::wal::tail::Source;
use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A log directory. Several threads may read from it.
#[derive(Debug)]
pub struct LogDirectory {
    fd: OwnedFd,
}

/// An open segment, read through the page cache.
#[derive(Debug)]
pub struct OpenSegment {
    fd: OwnedFd,
    bytes: u64,
}

impl LogDirectory {
    /// Opens a directory that is there.
    ///
    /// # Errors
    /// It is none, or may not be read.
    pub fn open(path: &Path) -> std::io::Result<LogDirectory> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
        Ok(LogDirectory { fd })
    }

    /// All bytes of the file of the hash key.
    ///
    /// # Errors
    /// It is not there, or may not be read.
    pub fn secret(&self) -> Result<Vec<u8>, Errno> {
        self.read_whole(SECRET)
    }

    /// Opens a file of the directory.
    ///
    /// # Errors
    /// It is not there, or may not be read.
    pub fn open_file(&self, name: &str) -> Result<OpenSegment, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| rustix::fs::openat(&self.fd, name, flags, Mode::empty()));
        let fd = fd.map_err(errno)?;
        let bytes = rustix::fs::fstat(&fd).map_err(errno)?.st_size;
        let bytes = u64::try_from(bytes).map_err(|_| Errno::EIO)?;
        Ok(OpenSegment { fd, bytes })
    }

    fn read_whole(&self, name: &str) -> Result<Vec<u8>, Errno> {
        let file = self.open_file(name)?;
        let bytes = usize::try_from(file.bytes).map_err(|_| Errno::EIO)?;
        file.read(0, bytes.min(MANIFEST_BYTES_MAX + 1))
    }
}

impl Source for LogDirectory {
    type File = OpenSegment;

    fn manifest(&self) -> impl Future<Output = Result<Vec<u8>, Errno>> {
        std::future::ready(self.read_whole(MANIFEST))
    }

    fn segment(&self, number: u64) -> impl Future<Output = Result<OpenSegment, Errno>> {
        let name = NumberedFile::Segment(number).to_string();
        std::future::ready(self.open_file(&name))
    }
}

impl OpenSegment {
    fn read(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, Errno> {
        let mut into = vec![0; bytes];
        let mut filled = 0;
        while filled < bytes {
            let (rest, at) = (&mut into[filled..], offset + filled as u64);
            match retry_on_intr(|| rustix::io::pread(&self.fd, &mut *rest, at)).map_err(errno)? {
                0 => break,
                read => filled += read,
            }
        }
        into.truncate(filled);
        Ok(into)
    }
}

impl ReadAt for OpenSegment {
    fn read_at(&self, offset: u64, bytes: usize) -> impl Future<Output = Result<Vec<u8>, Errno>> {
        std::future::ready(self.read(offset, bytes))
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno(error.raw_os_error())
}
