//! What the path of an output names: standard output, a device or pipe that takes bytes, or the place of a file. It decides what
//! may be written there and writes nothing: not into the log directory, and not over a file unless that is asked for.

use crate::exit::{Exit, Failure};
use crate::fault;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// See the module.
#[derive(Debug)]
pub(crate) enum Place {
    /// Standard output.
    Standard,
    /// A device, pipe or other thing that is no file. It is written as it is, and stays what it is.
    Stream(File),
    /// A file that is made.
    File(FilePlace),
}

/// Where a file is made.
#[derive(Debug)]
pub(crate) struct FilePlace {
    /// Its directory, without symbolic links.
    pub(crate) directory: PathBuf,
    /// Its path in that directory.
    pub(crate) path: PathBuf,
    /// What becomes of a file that is there already.
    pub(crate) existing: Existing,
}

/// What becomes of a file that is there already when another one is to have its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays, and the other one is refused.
    Kept,
    Replaced,
}

impl Place {
    /// What a path names; `-` is standard output. A symbolic link is followed.
    pub(crate) fn of(
        path: &Path,
        log_directory: &Path,
        existing: Existing,
    ) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self::Standard);
        }
        match fs::metadata(path) {
            Ok(it) if it.is_dir() => Err(failed(path, &ErrorKind::IsADirectory.into())),
            Ok(it) if it.is_file() => {
                let real = path.canonicalize().map_err(|error| failed(path, &error))?;
                refuse_inside(path, &real, log_directory)?;
                match existing {
                    Existing::Replaced => FilePlace::of(path, real, existing).map(Self::File),
                    Existing::Kept => Err(is_there(path)),
                }
            }
            Ok(_) => {
                refuse_inside(path, &real_parent(path)?, log_directory)?;
                let opened = OpenOptions::new().write(true).open(path);
                Ok(Self::Stream(opened.map_err(|error| failed(path, &error))?))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                FilePlace::vacant(path, log_directory, existing).map(Self::File)
            }
            Err(error) => Err(failed(path, &error)),
        }
    }
}

impl FilePlace {
    /// The place of a file that is not there yet, and is none of the log directory.
    pub(crate) fn vacant(
        path: &Path,
        log_directory: &Path,
        existing: Existing,
    ) -> Result<Self, Failure> {
        if path.is_symlink() {
            let shown = path.display();
            return Err(Failure::usage(format!(
                "--out {shown}: it is a symbolic link to a file that is not there: name that file"
            )));
        }
        if path.as_os_str().as_bytes().ends_with(b"/") {
            // The name of a directory, and none is there.
            return Err(failed(path, &ErrorKind::NotFound.into()));
        }
        let directory = real_parent(path)?;
        refuse_inside(path, &directory, log_directory)?;
        let name = path.file_name().unwrap_or_default();
        Self::of(path, directory.join(name), existing)
    }

    fn of(typed: &Path, path: PathBuf, existing: Existing) -> Result<Self, Failure> {
        let Some(directory) = path.parent().map(Path::to_owned) else {
            return Err(failed(typed, &ErrorKind::IsADirectory.into()));
        };
        Ok(Self {
            directory,
            path,
            existing,
        })
    }
}

/// The directory of a path, without symbolic links.
fn real_parent(path: &Path) -> Result<PathBuf, Failure> {
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    let real = parent.unwrap_or(Path::new(".")).canonicalize();
    real.map_err(|error| failed(path, &error))
}

/// A file of the log directory would be lost, and a start refuses a file that it does not know.
fn refuse_inside(path: &Path, real: &Path, log_directory: &Path) -> Result<(), Failure> {
    let directory = match log_directory.canonicalize() {
        Ok(directory) => directory,
        // A directory that is not there, or that this user does not reach, has no file that is at a real place.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied
            ) =>
        {
            return Ok(());
        }
        Err(error) => return Err(failed(log_directory, &error)),
    };
    match real.starts_with(&directory) {
        false => Ok(()),
        true => Err(Failure::usage(format!(
            "--out {}: it is in the log directory {}: name a file elsewhere",
            path.display(),
            log_directory.display()
        ))),
    }
}

/// A file is there that nothing said may be replaced.
pub(crate) fn is_there(path: &Path) -> Failure {
    let path = path.display();
    Failure::usage(format!(
        "--out {path}: the file is there already: name another one, or replace it with --force"
    ))
}

/// A place that cannot be written.
pub(crate) fn failed(path: &Path, error: &io::Error) -> Failure {
    let (path, why) = (path.display(), fault::why(error));
    Failure::with(Exit::File, format!("cannot write {path}: {why}"))
}
