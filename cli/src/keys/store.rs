//! A configuration file held against other changes, and replaced whole: a new file is written beside it, synced and renamed.
//! It never writes into the file itself, and knows nothing of what stands in it.

use crate::exit::{Exit, Failure};
use crate::fault;
use flk_dataplane::config::{shown_path, text_of_file};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// A file that no other `flk keys` changes at the same time.
pub(super) struct Held {
    /// As the user named it.
    pub(super) named: PathBuf,
    /// Behind all links.
    path: PathBuf,
    /// Locked; open as long as this is.
    directory: File,
    pub(super) text: String,
}

/// Why a file was not replaced.
pub(super) enum Unwritten {
    /// It cannot be changed from here, in words.
    ReadOnly(String),
    Failed(Failure),
}

impl Held {
    /// Waits until no other command changes files of this directory, and reads the file.
    pub(super) fn open(named: &Path) -> Result<Held, Failure> {
        let unreadable = |error: io::Error| {
            let (path, why) = (named.display(), fault::why(&error));
            Failure::with(Exit::Configuration, format!("cannot read {path}: {why}"))
        };
        let path = std::fs::canonicalize(named).map_err(unreadable)?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        let directory = File::open(parent).map_err(unreadable)?;
        directory.lock().map_err(unreadable)?;
        let text = text_of_file(&path).map_err(|error| {
            let (path, why) = (shown_path(named), fault::why_unread(&error));
            Failure::with(Exit::Configuration, format!("cannot read {path}: {why}"))
        })?;
        Ok(Held {
            named: named.to_owned(),
            path,
            directory,
            text,
        })
    }

    /// Puts another text in its place, with the same owner and mode.
    pub(super) fn replace(&self, text: &str) -> Result<(), Unwritten> {
        // A directory that may be written does not make a file that may not.
        rustix::fs::access(&self.path, rustix::fs::Access::WRITE_OK)
            .map_err(|error| self.refused(error.into()))?;
        let name = self.path.file_name().unwrap_or_default();
        let name = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        let beside = self.path.with_file_name(name);
        let replaced = self.write(&beside, text);
        let replaced = replaced.and_then(|()| std::fs::rename(&beside, &self.path));
        if let Err(error) = replaced {
            // It may not be there at all; what matters is the error above.
            std::fs::remove_file(&beside).ok();
            return Err(self.refused(error));
        }
        self.directory
            .sync_all()
            .map_err(|error| self.refused(error))
    }

    fn write(&self, beside: &Path, text: &str) -> io::Result<()> {
        let old = std::fs::metadata(&self.path)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(beside)?;
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(std::fs::Permissions::from_mode(old.mode() & 0o7777))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    fn refused(&self, error: io::Error) -> Unwritten {
        let (path, why) = (self.named.display(), fault::why(&error));
        match error.kind() {
            ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::ResourceBusy => {
                Unwritten::ReadOnly(format!("{path} cannot be changed here: {why}"))
            }
            _ => Unwritten::Failed(Failure::with(
                Exit::File,
                format!("cannot write {path}: {why}; nothing was changed"),
            )),
        }
    }
}

/// Writes a file that is not there yet, and syncs it.
pub(super) fn create(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        });
    let shown = path.display();
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::usage(format!(
            "{shown} is there already, and a key is never overwritten: name another file with --out"
        )),
        _ => Failure::with(
            Exit::File,
            format!("cannot write {shown}: {}", fault::why(&error)),
        ),
    })
}
