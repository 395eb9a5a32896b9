//! Makes and opens WAL_DIR, and makes its name durable. It owns no file in it.

use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The directory of the log could not be made or opened.
#[derive(Debug)]
pub struct DirectoryError {
    /// The directory.
    pub path: PathBuf,
    /// The error of the system.
    pub error: std::io::Error,
}

impl std::fmt::Display for DirectoryError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, error) = (self.path.display(), &self.error);
        write!(
            out,
            "WAL_DIR {path}: {error}; it must be a directory that this user may write to"
        )
    }
}

impl std::error::Error for DirectoryError {}

/// Opens the directory of the log. Missing directories of its path are made (mode 0700), and their names are made durable:
/// otherwise a power cut could remove the whole directory, whatever was synced inside it.
pub fn open_directory(path: &Path) -> Result<OwnedFd, DirectoryError> {
    make_directory(path, sync_directory)
        .and_then(|()| Ok(open_for_reading(path)?))
        .map_err(|error| DirectoryError {
            path: path.to_owned(),
            error,
        })
}

/// Makes a directory and its missing parents, and calls `sync` for every parent to make its entries durable, also for those
/// that existed: an interrupted start may have made them without syncing.
fn make_directory(
    path: &Path,
    mut sync: impl FnMut(&Path) -> std::io::Result<()>,
) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let path = std::path::absolute(path)?;
    let there = |path: &&Path| path.exists();
    let above = path.ancestors().find(there).unwrap_or(&path).to_owned();
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(&path)?;
    for parent in path.ancestors().skip(1) {
        match sync(parent) {
            // A parent that this process may not open, or that cannot be synced, was made by another user.
            Err(error) if !parent.starts_with(&above) && is_closed_to_us(&error) => {}
            synced => synced?,
        }
    }
    Ok(())
}

fn is_closed_to_us(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::ReadOnlyFilesystem
    )
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    let directory = open_for_reading(path)?;
    Ok(retry_on_intr(|| rustix::fs::fsync(&directory))?)
}

fn open_for_reading(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parent_of_the_directory_is_synced_and_a_failure_is_told_where_a_name_was_made() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("one/two/wal");
        let mut synced = Vec::new();
        let fails = |failing: &Path, error| {
            let failing = failing.to_owned();
            move |parent: &Path| match parent == failing {
                true => Err(std::io::Error::from_raw_os_error(error)),
                false => Ok(()),
            }
        };
        assert!(make_directory(&path, fails(&root.path().join("one"), libc::EACCES)).is_err());
        std::fs::remove_dir_all(root.path().join("one")).unwrap();
        assert!(make_directory(&path, fails(root.path(), libc::EIO)).is_err());
        // A start that was killed there: the next one finds the directory, and syncs all the same.
        make_directory(&path, |parent| {
            assert!(path.exists(), "names are synced when they are there");
            synced.push(parent.to_owned());
            Ok(())
        })
        .unwrap();
        for parent in ["one/two", "one", ""] {
            assert!(
                synced.contains(&root.path().join(parent)),
                "{parent}: {synced:?}"
            );
        }
        // Nothing was made: a parent that may not be opened is no reason not to start.
        make_directory(&path, fails(Path::new("/"), libc::EACCES)).unwrap();
        assert!(make_directory(&path, fails(root.path(), libc::EIO)).is_err());
        open_directory(&path).unwrap();
    }
}
