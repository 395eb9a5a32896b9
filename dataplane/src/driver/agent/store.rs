//! Stored configuration snapshots: one file each in WAL_DIR/snapshots. The last ten are whole; of every older one the form
//! without sources stays for ever. A file gets its name when it is whole and synced. It holds no key.

use crate::snapshot::{Digest, Document, Fault};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Snapshots that can be published again.
pub const KEPT_COUNT: usize = 10;
/// A stored snapshot is shorter than this.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// A first line is shorter than this.
const HEAD_BYTES_MAX: u64 = 256;
/// What the first line of a file begins with; the digest follows.
const MAGIC: &str = "flk-snapshot 1 ";
/// What that of any version begins with.
const FAMILY: &str = "flk-snapshot ";
const WHOLE: &str = ".json";
const WITHOUT_SOURCES: &str = ".kept.json";
const UNFINISHED: &str = "unfinished";

/// The directory.
#[derive(Debug)]
pub struct SnapshotStore {
    directory: OwnedFd,
    /// Whole ones, ascending by number.
    kept: Vec<Kept>,
    /// Those that have a whole one's name and are none, ascending by number.
    damaged: Vec<(u32, StoreError)>,
}

/// A stored snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub number: u32,
    /// The digest of its document.
    pub digest: Digest,
    /// When its file was written, in seconds since the Unix epoch.
    pub stored_s: u64,
}

/// Why a stored snapshot cannot be used.
#[derive(Debug)]
pub enum StoreError {
    /// A file operation failed.
    Io {
        /// The file, or the directory.
        file: String,
        /// The error of the system.
        error: std::io::Error,
    },
    /// A file was written by a newer flk.
    Newer {
        /// The file.
        file: String,
    },
    /// A file is not what was written.
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        fault: Box<Fault>,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Io { file, error } => write!(out, "WAL_DIR/snapshots/{file}: {error}"),
            StoreError::Newer { file } => write!(
                out,
                "WAL_DIR/snapshots/{file} was written by a newer flk: start that one, or set FLK_SNAPSHOT=environment to start without stored snapshots"
            ),
            StoreError::Damaged { file, fault } => write!(
                out,
                "WAL_DIR/snapshots/{file} is damaged: {fault}. Restore it from a backup, or set FLK_SNAPSHOT=environment to start without stored snapshots and move it away"
            ),
        }
    }
}

impl std::error::Error for StoreError {}

impl SnapshotStore {
    /// Opens the directory below WAL_DIR and makes it where it is missing. What an interrupted write left is removed.
    ///
    /// # Errors
    /// A file operation failed. A file that is damaged is no error yet: it may not be needed.
    pub fn open(wal_dir: BorrowedFd<'_>, name: &str) -> Result<SnapshotStore, StoreError> {
        let here = |error: Errno| io(".", error);
        match rustix::fs::mkdirat(wal_dir, name, Mode::RWXU) {
            Ok(()) => retry_on_intr(|| rustix::fs::fsync(wal_dir)).map_err(here)?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(here(error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let directory = rustix::fs::openat(wal_dir, name, flags, Mode::empty()).map_err(here)?;
        let mut store = SnapshotStore {
            directory,
            kept: Vec::new(),
            damaged: Vec::new(),
        };
        match rustix::fs::unlinkat(&store.directory, UNFINISHED, rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(io(UNFINISHED, error)),
        }
        for number in store.numbers().map_err(here)? {
            match store.look_at(number) {
                Ok(kept) => store.kept.push(kept),
                Err(error) if error.is_of_content() => store.damaged.push((number, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(store)
    }

    /// Those that have the name of a whole one and are none.
    pub fn damaged(&self) -> &[(u32, StoreError)] {
        &self.damaged
    }

    /// The highest number that a file has, damaged or not: no other content may get it.
    pub fn last_number(&self) -> u32 {
        let kept = self.kept.last().map_or(0, |kept| kept.number);
        let damaged = self.damaged.last().map_or(0, |(number, _)| *number);
        kept.max(damaged)
    }

    /// The whole ones, ascending by number.
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// The document of a number, if it is kept whole.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub fn read(&self, number: u32) -> Result<Option<Document>, StoreError> {
        if !self.kept.iter().any(|kept| kept.number == number) {
            return Ok(None);
        }
        let file = whole_name(number);
        let (said, bytes) = self.read_file(&file)?;
        let damaged = |fault| StoreError::Damaged {
            file: file.clone(),
            fault: Box::new(fault),
        };
        let document = Document::read(&bytes).map_err(damaged)?;
        let found = document.digest();
        match found == said && document.number == number {
            true => Ok(Some(document)),
            false => Err(damaged(Fault::Digest { said, found })),
        }
    }

    /// Calls this with every snapshot that was ever stored, whole or without sources, in no order; those that are damaged are
    /// added to a list.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn every(
        &self,
        damaged: &mut Vec<StoreError>,
        mut look: impl FnMut(&serde_json::Value),
    ) -> Result<(), StoreError> {
        let entries = rustix::fs::Dir::read_from(&self.directory).map_err(|it| io(".", it))?;
        for entry in entries {
            let name = entry.map_err(|it| io(".", it))?;
            let name = name.file_name().to_string_lossy().into_owned();
            if name.ends_with(WHOLE) {
                match self.form(name) {
                    Ok(form) => look(&form),
                    Err(error) if error.is_of_content() => damaged.push(error),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn form(&self, name: String) -> Result<serde_json::Value, StoreError> {
        let (_, bytes) = self.read_file(&name)?;
        let form = serde_json::from_slice(&bytes);
        form.map_err(|error| StoreError::Damaged {
            file: name,
            fault: Box::new(Fault::NotADocument(error.to_string())),
        })
    }

    /// Stores a document durably.
    ///
    /// # Errors
    /// A file operation failed: the document is not stored, and no start finds it.
    pub fn add(&mut self, document: &Document) -> Result<(), StoreError> {
        let digest = document.digest();
        let name = whole_name(document.number);
        let stored_s = self.write(&name, digest, &document.bytes())?;
        let kept = Kept {
            number: document.number,
            digest,
            stored_s,
        };
        self.kept.retain(|it| it.number != kept.number);
        self.kept.push(kept);
        self.kept.sort_by_key(|it| it.number);
        Ok(())
    }

    /// Leaves only the form without sources of those that are too many. What cannot be reduced stays whole until the next
    /// time: it is reported, and holds nothing else up.
    pub fn reduce_old(&mut self) -> Vec<StoreError> {
        let too_many = self.kept.len().saturating_sub(KEPT_COUNT);
        let mut failed = Vec::new();
        let oldest: Vec<Kept> = self.kept.iter().take(too_many).copied().collect();
        for old in oldest {
            match self.reduce(old) {
                Ok(()) => self.kept.retain(|it| it.number != old.number),
                Err(error) => failed.push(error),
            }
        }
        failed
    }

    /// Replaces a whole document by its form without sources.
    fn reduce(&self, kept: Kept) -> Result<(), StoreError> {
        let Some(document) = self.read(kept.number)? else {
            return Ok(());
        };
        let form = document.without_sources().to_string();
        let name = format!("{:08}{WITHOUT_SOURCES}", kept.number);
        let _written_s = self.write(&name, kept.digest, form.as_bytes())?;
        let whole = whole_name(kept.number);
        rustix::fs::unlinkat(&self.directory, &whole, rustix::fs::AtFlags::empty())
            .map_err(|error| io(&whole, error))
    }

    /// Writes a file under another name, syncs it, names it and syncs the name; when it was written. What fails half-way is
    /// taken back: a name without an acknowledgement would come into force with the next start.
    fn write(&self, name: &str, digest: Digest, bytes: &[u8]) -> Result<u64, StoreError> {
        let written = self.write_unfinished(digest, bytes);
        let directory = self.directory.as_fd();
        let named = written.and_then(|stored_s| {
            rustix::fs::renameat(directory, UNFINISHED, directory, name)?;
            Ok(stored_s)
        });
        let no_flags = rustix::fs::AtFlags::empty();
        match named {
            Ok(stored_s) => match retry_on_intr(|| rustix::fs::fsync(directory)) {
                Ok(()) => Ok(stored_s),
                Err(error) => {
                    // Whether the name is durable is not known, and the error says so.
                    let _ = rustix::fs::unlinkat(directory, name, no_flags);
                    Err(io(name, error))
                }
            },
            Err(error) => {
                // It would keep its room until the next one; a start removes it, too.
                let _ = rustix::fs::unlinkat(directory, UNFINISHED, no_flags);
                Err(io(name, error))
            }
        }
    }

    fn write_unfinished(&self, digest: Digest, bytes: &[u8]) -> std::io::Result<u64> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(&self.directory, UNFINISHED, flags, mode)?;
        let mut file = File::from(file);
        file.write_all(format!("{MAGIC}{digest}\n").as_bytes())?;
        file.write_all(bytes)?;
        file.sync_all()?;
        let mtime = rustix::fs::fstat(&file)?.st_mtime;
        Ok(u64::try_from(mtime).unwrap_or_default())
    }

    fn numbers(&self) -> rustix::io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.directory)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let number = name.strip_suffix(WHOLE).and_then(|it| it.parse().ok());
            numbers.extend(number.filter(|&number| whole_name(number) == name));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn look_at(&self, number: u32) -> Result<Kept, StoreError> {
        let file = whole_name(number);
        // What follows is read when all are searched for parameter sets, or when it is published.
        let bytes = self.read_bytes(&file, HEAD_BYTES_MAX)?;
        let (digest, _) = head(&file, &bytes)?;
        let stored_s = self.stored_s(&file)?;
        Ok(Kept {
            number,
            digest,
            stored_s,
        })
    }

    fn stored_s(&self, name: &str) -> Result<u64, StoreError> {
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        let status = rustix::fs::statat(&self.directory, name, flags);
        let status = status.map_err(|error| io(name, error))?;
        Ok(u64::try_from(status.st_mtime).unwrap_or_default())
    }

    /// The digest of the first line, and what follows it.
    fn read_file(&self, name: &str) -> Result<(Digest, Vec<u8>), StoreError> {
        let mut bytes = self.read_bytes(name, FILE_BYTES_MAX)?;
        let (digest, end) = head(name, &bytes)?;
        Ok((digest, bytes.split_off(end)))
    }

    fn read_bytes(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::empty());
        let file = File::from(file.map_err(|error| io(name, error))?);
        let mut bytes = Vec::new();
        let read = file.take(bytes_max).read_to_end(&mut bytes);
        read.map_err(|error| StoreError::Io {
            file: name.to_owned(),
            error,
        })?;
        Ok(bytes)
    }
}

/// The digest that a file begins with, and where what it is of begins.
fn head(name: &str, bytes: &[u8]) -> Result<(Digest, usize), StoreError> {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let line = end.and_then(|end| std::str::from_utf8(&bytes[..end]).ok());
    let is_newer = |line: &str| line.starts_with(FAMILY) && !line.starts_with(MAGIC);
    if line.is_some_and(is_newer) {
        let file = name.to_owned();
        return Err(StoreError::Newer { file });
    }
    let digest = line
        .and_then(|line| line.strip_prefix(MAGIC))
        .and_then(Digest::from_hex);
    match (digest, end) {
        (Some(digest), Some(end)) => Ok((digest, end + 1)),
        _ => Err(StoreError::Damaged {
            file: name.to_owned(),
            fault: Box::new(Fault::NotADocument(
                "its first line is not that of a snapshot".to_owned(),
            )),
        }),
    }
}

fn whole_name(number: u32) -> String {
    format!("{number:08}{WHOLE}")
}

fn io(file: &str, error: impl Into<std::io::Error>) -> StoreError {
    StoreError::Io {
        file: file.to_owned(),
        error: error.into(),
    }
}

impl StoreError {
    /// Whether a file cannot be used for what is in it: a start that needs no stored snapshot goes on.
    fn is_of_content(&self) -> bool {
        self.is_damage() || matches!(self, StoreError::Newer { .. })
    }

    /// Whether files are damaged rather than out of reach.
    pub fn is_damage(&self) -> bool {
        match self {
            StoreError::Damaged { .. } => true,
            StoreError::Newer { .. } => false,
            StoreError::Io { error, .. } => error.kind() == ErrorKind::InvalidData,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{FORMAT, LimitsDocument};
    use std::path::Path;

    fn document(number: u32, rate: u32) -> Document {
        Document {
            format: FORMAT,
            number,
            limits: LimitsDocument {
                rate,
                ..LimitsDocument::default()
            },
            tenants: Vec::new(),
        }
    }

    fn open(path: &Path) -> Result<SnapshotStore, StoreError> {
        let directory = File::open(path).unwrap();
        SnapshotStore::open(directory.as_fd(), "snapshots")
    }

    fn names(path: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(path.join("snapshots")).unwrap();
        let mut names: Vec<String> = entries
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_stored_is_found_by_the_next_start() {
        let root = tempfile::tempdir().unwrap();
        let mut store = open(root.path()).unwrap();
        assert!(store.kept().is_empty());
        store.add(&document(1, 10)).unwrap();
        store.add(&document(2, 20)).unwrap();
        let store = open(root.path()).unwrap();
        let numbers: Vec<u32> = store.kept().iter().map(|it| it.number).collect();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(store.read(2).unwrap(), Some(document(2, 20)));
        assert_eq!(store.read(3).unwrap(), None);
    }

    #[test]
    fn of_those_before_the_last_ten_the_form_without_sources_stays() {
        let root = tempfile::tempdir().unwrap();
        let mut store = open(root.path()).unwrap();
        for number in 1..=12 {
            store.add(&document(number, number)).unwrap();
            assert!(store.reduce_old().is_empty());
        }
        let names = names(root.path());
        assert_eq!(names.len(), 12, "{names:?}");
        assert_eq!(
            names[..3],
            ["00000001.kept.json", "00000002.kept.json", "00000003.json"]
        );
        assert_eq!(open(root.path()).unwrap().kept().len(), 10);
    }

    #[test]
    fn a_write_that_was_interrupted_leaves_nothing_that_counts() {
        let root = tempfile::tempdir().unwrap();
        open(root.path()).unwrap().add(&document(1, 10)).unwrap();
        let unfinished = root.path().join("snapshots").join(UNFINISHED);
        std::fs::write(&unfinished, "flk-snapshot 1 ").unwrap();
        assert_eq!(open(root.path()).unwrap().kept().len(), 1);
        assert!(!unfinished.exists());
    }

    #[test]
    fn a_file_that_is_not_what_was_written_is_damage() {
        let root = tempfile::tempdir().unwrap();
        open(root.path()).unwrap().add(&document(1, 10)).unwrap();
        let file = root.path().join("snapshots/00000001.json");
        let whole = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, whole.replace("\"rate\":10", "\"rate\":11")).unwrap();
        let error = open(root.path()).unwrap().read(1).unwrap_err();
        assert!(error.is_damage(), "{error}");
        std::fs::write(&file, whole.replace("flk-snapshot 1 ", "flk-snapshot 2 ")).unwrap();
        let store = open(root.path()).unwrap();
        let error = &store.damaged()[0].1;
        assert!(!error.is_damage() && error.to_string().contains("a newer flk"));
        std::fs::write(&file, &whole[..20]).unwrap();
        let store = open(root.path()).unwrap();
        assert!(store.damaged()[0].1.is_damage() && store.kept().is_empty());
        assert_eq!(store.last_number(), 1, "its number stays used");
    }

    #[test]
    fn a_write_that_fails_leaves_neither_a_name_nor_its_bytes() {
        let root = tempfile::tempdir().unwrap();
        let mut store = open(root.path()).unwrap();
        store.add(&document(1, 10)).unwrap();
        std::fs::create_dir(root.path().join("snapshots/00000002.json")).unwrap();
        store.add(&document(2, 20)).unwrap_err();
        assert_eq!(store.kept().len(), 1);
        assert_eq!(names(root.path()), ["00000001.json", "00000002.json"]);
    }
}
