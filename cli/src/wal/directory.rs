//! A log directory, opened for reading without changing it. Shared locks on its segments keep a serving gateway from
//! reusing one while it is read; a removed file stays readable while it is open.

use crate::exit::{Exit, Failure};
use crate::fault;
use crate::wal::socket::Gateway;
use flk_dataplane::driver::files::FileExecutor;
use flk_dataplane::io::{Errno, FileId};
use flk_dataplane::keeper::port::{FileOp, FileValue, OpenHow};
use flk_dataplane::wal::files::{LOCK, MANIFEST, NumberedFile};
use flk_dataplane::wal::manifest::{LogEntry, Manifest, ManifestFault, SegmentEntry};
use flk_dataplane::wal::packed::SegmentFile;
use flk_dataplane::wal::scan::ReadAt;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Existing files, for reading, through the page cache.
const READ: OpenHow = OpenHow {
    write: false,
    create: false,
    exclusive: false,
    direct: false,
    dsync: false,
    mode: 0,
};

/// How often a gateway may change its directory while it is being opened.
const OPEN_ATTEMPTS_MAX: u32 = 20;

/// A log directory.
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    files: RefCell<FileExecutor>,
    /// Process id of the gateway that serves from it.
    pub(crate) holder: Option<String>,
    /// All further reads fail: the rest is not needed.
    enough: Cell<bool>,
}

/// Why a directory cannot be read.
pub(crate) enum Unusable {
    /// The manifest is damaged or of another version.
    Manifest(ManifestFault),
    /// There is no manifest, but there are files that it should name; the first of them.
    NoManifest(String),
    /// Anything else.
    Failure(Failure),
}

impl From<Failure> for Unusable {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Unusable> for Failure {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Manifest(fault) => Self::with(Exit::Damage, format!("the manifest: {fault}")),
            Unusable::NoManifest(file) => Self::with(
                Exit::Damage,
                format!(
                    "there is no manifest, and {file} is there: restore all of the directory from one backup"
                ),
            ),
            Unusable::Failure(failure) => failure,
        }
    }
}

/// The logs of a directory at one moment.
pub(crate) struct Snapshot<'d> {
    pub(crate) manifest: Manifest,
    /// Files of each log of the manifest, in the order of its segments.
    files: Vec<Vec<Option<SegmentFile<LogFile<'d>>>>>,
}

impl<'d> Snapshot<'d> {
    /// Each log with the index of the first segment that can be read, and the files from there on. Segments before a
    /// missing file cannot be checked.
    pub(crate) fn logs(
        &self,
    ) -> impl Iterator<Item = (&LogEntry, usize, Vec<&SegmentFile<LogFile<'d>>>)> {
        self.manifest
            .logs
            .iter()
            .zip(&self.files)
            .map(|(log, files)| {
                let from = files
                    .iter()
                    .rposition(Option::is_none)
                    .map_or(0, |at| at + 1);
                (log, from, files[from..].iter().flatten().collect())
            })
    }

    /// Names of segments that the manifest names and that are not there.
    pub(crate) fn missing(&self) -> Vec<String> {
        let named = self.manifest.logs.iter().flat_map(|log| &log.segments);
        named
            .zip(self.files.iter().flatten())
            .filter(|(_, file)| file.is_none())
            .map(|(entry, _)| NumberedFile::Segment(entry.file).to_string())
            .collect()
    }

    /// Length of a segment's file.
    pub(crate) fn file_bytes(&self, log: usize, segment: usize) -> Option<u64> {
        Some(self.files.get(log)?.get(segment)?.as_ref()?.file().bytes)
    }
}

impl Directory {
    /// Opens a directory that is there.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
            true => Ok(file),
            false => Err(std::io::ErrorKind::NotADirectory.into()),
        });
        let opened = opened.map_err(|error| {
            let (path, why) = (path.display(), fault::why(&error));
            Failure::usage(format!(
                "cannot open the log directory {path}: {why}; --dir or WAL_DIR names it"
            ))
        })?;
        let mut directory = Self {
            path: path.to_owned(),
            files: RefCell::new(FileExecutor::new(opened.into())),
            holder: None,
            enough: Cell::new(false),
        };
        if directory.is_served() {
            let pid = directory.read_whole(LOCK).unwrap_or_default();
            let pid = String::from_utf8_lossy(&pid).trim().to_owned();
            directory.holder = Some(if pid.is_empty() { "?".to_owned() } else { pid });
        }
        Ok(directory)
    }

    /// Whether a gateway uses the directory. A serving one has a socket; a starting one holds the lock. The lock is taken
    /// for the duration of two calls only.
    fn is_served(&self) -> bool {
        if Gateway::serves(&self.path) {
            return true;
        }
        let Ok(lock) = self.open_file(LOCK) else {
            return false;
        };
        let taken = self.run(FileOp::LockShared(lock.id));
        let _ = self.run(FileOp::Unlock(lock.id));
        taken.is_err()
    }

    /// Opens all logs as one manifest names them.
    pub(crate) fn snapshot(&self) -> Result<Snapshot<'_>, Unusable> {
        for _ in 0..OPEN_ATTEMPTS_MAX {
            let manifest = self.manifest()?;
            let files = manifest.logs.iter().map(|log| self.open_log(log));
            let files = files.collect::<Result<Vec<_>, Failure>>()?;
            let again = self.manifest()?;
            if again.generation == manifest.generation {
                return Ok(Snapshot { manifest, files });
            }
        }
        Err(Unusable::Failure(Failure::unavailable(
            "the gateway changes its directory faster than it can be opened; try again",
        )))
    }

    /// The manifest in force.
    pub(crate) fn manifest(&self) -> Result<Manifest, Unusable> {
        let path = self.path.display();
        match self.read_whole(MANIFEST) {
            Ok(bytes) => Manifest::decode(&bytes).map_err(|fault| match fault.is_newer() {
                // Written by another flk, which is not damage.
                true => Unusable::Failure(Failure::with(Exit::Configuration, fault.to_string())),
                false => Unusable::Manifest(fault),
            }),
            Err(Errno::ENOENT) => {
                let names = self.names()?;
                let numbered = names
                    .into_iter()
                    .find(|name| NumberedFile::parse(name).is_some());
                Err(numbered.map_or_else(
                    || {
                        Unusable::Failure(Failure::usage(format!(
                            "{path} holds no {MANIFEST}: a directory in which a gateway was started has one"
                        )))
                    },
                    Unusable::NoManifest,
                ))
            }
            Err(error) => Err(Unusable::Failure(Failure::with(
                Exit::File,
                format!(
                    "cannot read {path}/{MANIFEST}: {}",
                    fault::why_number(error)
                ),
            ))),
        }
    }

    fn open_log(&self, log: &LogEntry) -> Result<Vec<Option<SegmentFile<LogFile<'_>>>>, Failure> {
        let open = |segment: &SegmentEntry| {
            let name = NumberedFile::Segment(segment.file).to_string();
            let opened = self.open_file(&name).and_then(|file| {
                self.run(FileOp::LockShared(file.id))?;
                Ok(file)
            });
            match opened {
                Ok(file) => Ok(Some(SegmentFile::new(file, segment))),
                Err(Errno::ENOENT) => Ok(None),
                Err(error) => Err(Failure::with(
                    Exit::File,
                    format!("cannot open {name}: {}", fault::why_number(error)),
                )),
            }
        };
        log.segments.iter().map(open).collect()
    }

    /// A file by its name.
    pub(crate) fn open_file(&self, name: &str) -> Result<LogFile<'_>, Errno> {
        let (name, how) = (name.to_owned(), READ);
        let FileValue::Opened(id) = self.run(FileOp::Open { name, how })? else {
            return Err(Errno::EIO);
        };
        let mut file = LogFile {
            directory: self,
            id,
            bytes: 0,
        };
        if let FileValue::Number(bytes) = self.run(FileOp::Len(id))? {
            file.bytes = bytes;
        }
        Ok(file)
    }

    /// All bytes of a file.
    pub(crate) fn read_whole(&self, name: &str) -> Result<Vec<u8>, Errno> {
        let file = self.open_file(name)?;
        let bytes = usize::try_from(file.bytes).map_err(|_| Errno::EIO)?;
        file.read(0, bytes)
    }

    /// All names in the directory but the socket's.
    pub(crate) fn names(&self) -> Result<Vec<String>, Failure> {
        match self.run(FileOp::List) {
            Ok(FileValue::Names(mut names)) => {
                names.sort();
                Ok(names)
            }
            Ok(_) => Ok(Vec::new()),
            Err(error) => {
                let (path, why) = (self.path.display(), fault::why_number(error));
                Err(Failure::usage(format!("cannot list {path}: {why}")))
            }
        }
    }

    /// Makes every further read fail, because the rest is not needed.
    pub(crate) fn stop_reading(&self) {
        self.enough.set(true);
    }

    /// Whether [`Directory::stop_reading`] was called.
    pub(crate) fn is_stopped(&self) -> bool {
        self.enough.get()
    }

    fn run(&self, op: FileOp) -> Result<FileValue, Errno> {
        self.files.borrow_mut().run(op)
    }
}

/// An open file of the directory.
pub(crate) struct LogFile<'d> {
    directory: &'d Directory,
    id: FileId,
    bytes: u64,
}

impl LogFile<'_> {
    /// Length of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, Errno> {
        if self.directory.is_stopped() {
            return Err(Errno::EIO);
        }
        let bytes = u32::try_from(bytes).map_err(|_| Errno::EIO)?;
        let file = self.id;
        match self.directory.run(FileOp::Read {
            file,
            offset,
            bytes,
        })? {
            FileValue::Bytes(bytes) => Ok(bytes),
            _ => Err(Errno::EIO),
        }
    }
}

impl ReadAt for LogFile<'_> {
    fn read_at(&self, offset: u64, bytes: usize) -> impl Future<Output = Result<Vec<u8>, Errno>> {
        std::future::ready(self.read(offset, bytes))
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for LogFile<'_> {
    fn drop(&mut self) {
        // This also releases its lock. An error changes nothing for the reader.
        let _ = self.directory.run(FileOp::Close(self.id));
    }
}
