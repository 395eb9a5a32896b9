//! The audit log: one line of canonical JSON for each change, chained by hashes, synced before the change takes effect. It
//! owns `CONTROL_DIR/audit.jsonl` and only ever appends; what a crash tore off is kept beside it.

mod chain;

pub use chain::{Broken, Changes, Line, Summary, verify};

use crate::link::of_system;
use crate::tokens::Actor;
use serde_json::Value;
use std::fmt;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The file's name.
pub const FILE: &str = "audit.jsonl";

/// What a line says besides its place in the chain.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who.
    pub actor: Actor,
    /// What is done.
    pub action: Action,
    /// What it is done to.
    pub object: Value,
    /// Content digest of what is in force before.
    pub before: String,
    /// Content digest of what is to be in force.
    pub after: String,
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The content of the configuration is published.
    Publish,
    /// The content of an earlier snapshot is published.
    Rollback,
    /// What the line before says was not taken.
    Refused,
}

impl Action {
    /// As lines have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Publish => "publish",
            Action::Rollback => "rollback",
            Action::Refused => "refused",
        }
    }
}

/// Why there is no audit log. Without one nothing is changed.
#[derive(Debug)]
pub enum AuditError {
    /// A file operation failed.
    File(PathBuf, std::io::Error),
    /// The chain is broken.
    Broken(PathBuf, Broken),
    /// Another control process has it.
    Locked(PathBuf),
    /// Behind a failed append another log was found in its place.
    Moved(PathBuf),
}

impl fmt::Display for AuditError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuditError::File(path, error) => {
                write!(out, "{}: {}", path.display(), of_system(error))
            }
            AuditError::Broken(path, broken) => write!(
                out,
                "{}: {broken}: find out who changed it, then move it aside; a new one begins",
                path.display()
            ),
            AuditError::Locked(path) => write!(
                out,
                "{} is in use: another flk-control serves this directory",
                path.display()
            ),
            AuditError::Moved(path) => write!(
                out,
                "{}: it does not end with the lines that were written: bring the log back, or restart flk-control to go on with this one",
                path.display()
            ),
        }
    }
}

impl std::error::Error for AuditError {}

/// The log, open for appending. Its lock keeps a second control process out.
#[derive(Debug)]
pub struct Audit {
    file: File,
    path: PathBuf,
    /// Device and number of the file.
    place: (u64, u64),
    next_number: u64,
    last_hash: String,
    changes: Changes,
    /// Of whole lines.
    bytes: u64,
    torn: Option<PathBuf>,
    /// A line whose append failed. As much of it as is in the file must go before another line is written.
    failed: Option<Vec<u8>>,
}

impl Audit {
    /// Opens the log in a directory, or begins one; checks its chain and puts a torn last line aside.
    ///
    /// # Errors
    /// The chain is broken, another process has it, or a file operation failed. Nothing was changed then.
    pub fn open(directory: &Path) -> Result<Audit, AuditError> {
        let path = directory.join(FILE);
        let failed = |error| AuditError::File(path.clone(), error);
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.map_err(failed)?;
        let opened = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .mode(0o600)
            .open(&path);
        let mut file = opened.map_err(failed)?;
        lock(&file, &path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(failed)?;
        let broken = |broken| AuditError::Broken(path.clone(), broken);
        let Summary {
            lines,
            whole_bytes,
            last_hash,
            changes,
        } = verify(&text).map_err(broken)?;
        let torn = match text.get(whole_bytes..) {
            None | Some([]) => None,
            Some(tail) => {
                let kept = keep_aside(directory, tail).map_err(failed)?;
                file.set_len(whole_bytes as u64).map_err(failed)?;
                Some(kept)
            }
        };
        file.sync_all().map_err(failed)?;
        sync_directory(directory).map_err(failed)?;
        Ok(Audit {
            place: place(&file).map_err(failed)?,
            file,
            next_number: lines + 1,
            last_hash,
            changes,
            bytes: whole_bytes as u64,
            torn,
            path,
            failed: None,
        })
    }

    /// Appends a line and makes it durable. Behind an append that failed the log is looked at again first.
    ///
    /// # Errors
    /// It is not durable: what it says must not be done.
    pub fn append(&mut self, entry: &Entry, now: SystemTime) -> Result<(), AuditError> {
        self.recover()?;
        self.is_in_place()?;
        let line = Line {
            action: entry.action.as_str().to_owned(),
            actor: entry.actor.name.clone(),
            after: entry.after.clone(),
            before: entry.before.clone(),
            number: self.next_number,
            object: entry.object.clone(),
            previous: self.last_hash.clone(),
            role: entry.actor.role.as_str().to_owned(),
            time: humantime::format_rfc3339_millis(now).to_string(),
        };
        let bytes = line.bytes();
        assert!(!bytes.contains(&b'\n'), "a line of the log is one line");
        let mut whole = bytes.clone();
        whole.push(b'\n');
        let written = self.file.write_all(&whole);
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            // What it says is not done, so it should not be read meanwhile. If that fails it is done before the next line.
            let length = self.file.metadata().map_or(0, |it| it.len());
            if length > self.bytes {
                let _ = self.file.set_len(self.bytes);
            }
            self.failed = Some(whole);
            return Err(AuditError::File(self.path.clone(), error));
        }
        assert!(
            self.failed.is_none(),
            "nothing is appended behind a failed line"
        );
        self.bytes += whole.len() as u64;
        self.next_number += 1;
        self.last_hash = chain::hash(&bytes);
        self.changes.note(line);
        Ok(())
    }

    /// The file at the path is the one that is open, and as long as it was left: a log that was moved, replaced or cut under a
    /// running control records nothing that a reader would find.
    fn is_in_place(&self) -> Result<(), AuditError> {
        let found = std::fs::symlink_metadata(&self.path).ok();
        let is_it = |it: &Metadata| (it.dev(), it.ino()) == self.place && it.len() == self.bytes;
        match found.filter(is_it) {
            Some(_) => Ok(()),
            None => Err(AuditError::Moved(self.path.clone())),
        }
    }

    /// Makes the log sound behind an append that failed: its file is opened again, the chain of its lines is checked up to the
    /// last one that is durable, and what there is of the failed line goes. Until that succeeds nothing can be recorded.
    fn recover(&mut self) -> Result<(), AuditError> {
        let Some(line) = &self.failed else {
            return Ok(());
        };
        let failed = |error| AuditError::File(self.path.clone(), error);
        let opened = OpenOptions::new().read(true).append(true).open(&self.path);
        let mut file = opened.map_err(failed)?;
        let is_same = is_same(&file, &self.file).map_err(failed)?;
        if !is_same {
            lock(&file, &self.path)?;
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(failed)?;
        let moved = || AuditError::Moved(self.path.clone());
        let durable = usize::try_from(self.bytes).ok();
        let (whole, tail) = durable
            .and_then(|end| text.split_at_checked(end))
            .ok_or_else(moved)?;
        let summary = verify(whole).map_err(|it| AuditError::Broken(self.path.clone(), it))?;
        let is_ours = summary.last_hash == self.last_hash && line.starts_with(tail);
        if !is_ours {
            return Err(moved());
        }
        file.set_len(self.bytes).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        if let Some(directory) = self.path.parent() {
            sync_directory(directory).map_err(failed)?;
        }
        if !is_same {
            self.place = place(&file).map_err(failed)?;
            self.file = file;
        }
        self.failed = None;
        Ok(())
    }

    /// The last line of a change that was not refused.
    pub fn last_change(&self) -> Option<&Line> {
        self.changes.last()
    }

    /// Number of lines.
    pub fn lines_count(&self) -> u64 {
        self.next_number - 1
    }

    /// Where the torn end of the log is kept, if there was one.
    pub fn torn(&self) -> Option<&Path> {
        self.torn.as_deref()
    }
}

/// Whether both are one file.
fn is_same(one: &File, other: &File) -> std::io::Result<bool> {
    Ok(place(one)? == place(other)?)
}

fn place(file: &File) -> std::io::Result<(u64, u64)> {
    let found = file.metadata()?;
    Ok((found.dev(), found.ino()))
}

fn lock(file: &File, path: &Path) -> Result<(), AuditError> {
    use rustix::fs::{FlockOperation, flock};
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(AuditError::Locked(path.to_owned())),
        Err(error) => Err(AuditError::File(path.to_owned(), error.into())),
    }
}

/// Writes a torn end into a file of its own, under the first free name.
fn keep_aside(directory: &Path, tail: &[u8]) -> std::io::Result<PathBuf> {
    for at in 1.. {
        let path = directory.join(format!("audit.torn-{at}"));
        let made = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path);
        let mut file = match made {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        };
        file.write_all(tail)?;
        file.sync_all()?;
        sync_directory(directory)?;
        return Ok(path);
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn sync_directory(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
