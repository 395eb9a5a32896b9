//! WAL_DIR as a start takes it: opened, locked, measured, and tried with a write. It decides how the log is written and
//! how long its segments are; the keeper owns the files.

use super::StartError;
use super::log_size::{LogSize, volume_bytes};
use crate::config::Config;
use crate::driver::console::Console;
use crate::driver::directory::{DirectoryError, open_directory};
use crate::driver::flush_time::flush_time;
use crate::driver::group::ReadGroup;
use crate::driver::holder::Holder;
use crate::driver::lock::{LockError, lock_directory};
use crate::driver::probe::{WriteMethod, write_method};
use crate::exit::Exit;
use crate::io::Errno;
use crate::logs::events::WalDirWaiting;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The directory of the log, which belongs to this process.
pub(super) struct Disk {
    pub(super) directory: OwnedFd,
    pub(super) lock: OwnedFd,
    pub(super) log_size: LogSize,
    /// How segments are opened and written.
    pub(super) method: WriteMethod,
    /// Time of one durable write.
    pub(super) flush: Duration,
}

impl Disk {
    /// Opens and locks the directory first: a second gateway must not get further on the same one.
    ///
    /// # Errors
    /// Another process has it, a file operation failed, or the settings do not fit it.
    pub(super) fn take(
        config: &Config,
        shards: u16,
        console: &Console,
    ) -> Result<Disk, StartError> {
        let directory = open_directory(&config.wal_dir).map_err(|error| no_directory(&error))?;
        let lock = lock(config, directory.as_fd(), console)?;
        if let Some(readers) = config.wal_dir_group {
            let given = readers.give_all(directory.as_fd());
            given.map_err(|error| not_given(config, readers, error))?;
        }
        let volume_bytes = volume_bytes(directory.as_fd());
        let volume_bytes = volume_bytes.map_err(|error| disk_error("measuring", config, &error))?;
        let log_size = LogSize::choose(
            config.wal_bytes_max,
            config.segment_bytes,
            volume_bytes,
            shards,
        );
        let wrong = StartError::of(Exit::Configuration);
        let log_size = log_size.map_err(|reason| wrong(&config.with_profile(&reason)))?;
        let (method, flush) = try_writes(config, directory.as_fd())?;
        Ok(Disk {
            directory,
            lock,
            log_size,
            method,
            flush,
        })
    }
}

/// WAL_DIR could not be made or opened. A refusal or failure of the file system ends like that of any other file
/// operation; everything else is a path that cannot be a directory.
fn no_directory(error: &DirectoryError) -> StartError {
    let failed = |errno: Errno| errno.is_refusal() || errno == Errno::ENOSPC || errno == Errno::EIO;
    let exit = match error.error.raw_os_error() {
        Some(errno) if failed(Errno(errno)) => Exit::File,
        _ => Exit::Configuration,
    };
    StartError::of(exit)(error)
}

/// Takes the lock of WAL_DIR.
fn lock(
    config: &Config,
    directory: BorrowedFd<'_>,
    console: &Console,
) -> Result<OwnedFd, StartError> {
    let waiting = |holder: &Holder| {
        let message =
            format!("WAL_DIR is in use by {holder}, which is ending: waiting up to 5 s for it");
        let holder = holder.to_string();
        console.say(WalDirWaiting { holder }, message);
    };
    lock_directory(directory, waiting).map_err(|error| match error {
        LockError::Held(_) => StartError::of(Exit::Locked)(&error),
        LockError::Ending(_) => StartError::of(Exit::Again)(&error),
        LockError::File(error) => disk_error("taking the lock of", config, &error),
    })
}

/// The directory could not be given to the group that is to read it.
fn not_given(config: &Config, readers: ReadGroup, error: rustix::io::Errno) -> StartError {
    if error != rustix::io::Errno::PERM {
        return disk_error("giving a group", config, &error.into());
    }
    let (path, number) = (config.wal_dir.display(), readers.number());
    StartError::of(Exit::Configuration)(&format!(
        "WAL_DIR_GROUP: this process may not give {path} and its files to group {number}: it must own them and be a member of that group (systemd: SupplementaryGroups={number}; Kubernetes: supplementalGroups)"
    ))
}

/// How the log is written to this disk, and the time of one durable write.
fn try_writes(
    config: &Config,
    directory: BorrowedFd<'_>,
) -> Result<(WriteMethod, Duration), StartError> {
    let tried = write_method(directory).and_then(|method| {
        let flush = flush_time(directory, &method)?;
        Ok((method, flush))
    });
    tried.map_err(|error| disk_error("writing a probe in", config, &error))
}

fn disk_error(doing: &str, config: &Config, error: &std::io::Error) -> StartError {
    let path = config.wal_dir.display();
    let check = Errno(error.raw_os_error().unwrap_or_default()).what_to_check();
    StartError::of(Exit::File)(&format!(
        "{doing} WAL_DIR {path}: {error}. {check}, then start again"
    ))
}
