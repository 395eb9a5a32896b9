//! The directory of the log as others may read it: the manifest, its files, and what the gateway says of its room. It changes
//! nothing and holds nothing open. Reading waits for the disk, so it is done by threads that may wait.

use flk_dataplane::driver::line_socket::socket_path;
use flk_dataplane::io::Errno;
use flk_dataplane::wal::files::{MANIFEST, NumberedFile, SECRET, SOCKET};
use flk_dataplane::wal::manifest::{MANIFEST_BYTES_MAX, Manifest};
use flk_dataplane::wal::scan::ReadAt;
use flk_dataplane::wal::secret::Secret;
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A serving gateway says within this time what room it has.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A longer answer is none of this version.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// See the module.
#[derive(Clone, Debug)]
pub struct WalDir(PathBuf);

/// What a gateway says of its room.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Room {
    /// Bytes that the directory may take; 0: no bound but the file system's.
    pub cap_bytes: u64,
    /// Free bytes of the file system.
    pub free_bytes: u64,
    /// Bytes that the directory takes.
    pub used_bytes: u64,
    /// Age of the oldest batch in the log.
    pub horizon_s: Option<u64>,
    /// `WAL_MAX_AGE`.
    pub horizon_s_max: u64,
}

impl WalDir {
    /// At this path.
    pub fn at(path: impl Into<PathBuf>) -> WalDir {
        WalDir(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The manifest in force.
    ///
    /// # Errors
    /// It cannot be read, in words.
    pub fn manifest(&self) -> Result<Manifest, String> {
        let bytes = self.read(MANIFEST, MANIFEST_BYTES_MAX as u64);
        let bytes = bytes.map_err(|error| format!("the manifest: {}", of_system(&error)))?;
        Manifest::decode(&bytes).map_err(|fault| format!("the manifest: {fault}"))
    }

    /// The secret that ids are hashed under.
    ///
    /// # Errors
    /// It cannot be read, in words.
    pub fn secret(&self) -> Result<Secret, String> {
        let bytes = self.read(SECRET, 4096);
        let bytes = bytes.map_err(|error| format!("the secret: {}", of_system(&error)))?;
        Secret::decode(&bytes).map_err(|fault| fault.to_string())
    }

    fn read(&self, name: &str, bytes_max: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(self.0.join(name))?;
        file.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A file of the log, for reading.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&self, file: NumberedFile) -> Result<FileAt, Errno> {
        let opened = File::open(self.0.join(file.to_string())).map_err(|it| errno(&it))?;
        let bytes = opened.metadata().map_err(|it| errno(&it))?.len();
        Ok(FileAt {
            file: opened,
            bytes,
        })
    }

    /// Asks the gateway for its room; none: it does not serve.
    pub fn room(&self) -> Option<Room> {
        let directory = File::open(&self.0).ok()?;
        let socket = socket_path(directory.as_fd(), &self.0, SOCKET);
        let mut stream = UnixStream::connect(socket).ok()?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
        stream.set_write_timeout(Some(ANSWER_WITHIN)).ok()?;
        stream.write_all(b"flk1 status\n").ok()?;
        let mut line = String::new();
        let answer = stream.take(ANSWER_BYTES_MAX);
        BufReader::new(answer).read_line(&mut line).ok()?;
        serde_json::from_str(line.strip_prefix("ok ")?).ok()
    }
}

/// A file that is read at any place.
#[derive(Debug)]
pub struct FileAt {
    file: File,
    bytes: u64,
}

impl FileAt {
    /// Up to so many bytes from a place; fewer only where the file ends.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, Errno> {
        let mut buffer = vec![0; bytes];
        let mut filled = 0;
        while filled < bytes {
            match self
                .file
                .read_at(&mut buffer[filled..], offset + filled as u64)
            {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(errno(&error)),
            }
        }
        buffer.truncate(filled);
        Ok(buffer)
    }
}

impl ReadAt for FileAt {
    fn read_at(&self, offset: u64, bytes: usize) -> impl Future<Output = Result<Vec<u8>, Errno>> {
        std::future::ready(self.read(offset, bytes))
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno)
}

fn of_system(error: &std::io::Error) -> String {
    crate::link::of_system(error)
}
