//! The lock of WAL_DIR, taken at the beginning of a start, before anything of the process is visible from outside. It takes
//! the lock or names the process that holds it. The keeper owns everything else in the directory.

use super::holder::{Holder, process};
use crate::wal::files::LOCK;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Interval between checks of a process that is ending.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Number of checks: five seconds.
const LOOKS_MAX: u32 = 500;

/// Why the lock could not be taken.
#[derive(Debug)]
pub enum LockError {
    /// A running process holds it.
    Held(Holder),
    /// The process that holds it is ending, or cannot be seen from here.
    Ending(Holder),
    /// The file could not be opened, or locked.
    File(std::io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held(holder) => write!(
                out,
                "WAL_DIR is in use by {holder}: stop that process or give this one a WAL_DIR of its own"
            ),
            LockError::Ending(holder) => write!(
                out,
                "WAL_DIR is in use by {holder}, which is ending or cannot be seen from here, and which kept it for 5 s: start again when it is gone"
            ),
            LockError::File(error) => write!(out, "opening lock: {error}"),
        }
    }
}

impl std::error::Error for LockError {}

impl From<Errno> for LockError {
    fn from(error: Errno) -> LockError {
        LockError::File(error.into())
    }
}

/// Takes the lock. If its holder is ending, as right after a `kill -9`, it waits up to five seconds and calls `waiting`
/// once.
///
/// # Errors
/// Another process holds it, or the file cannot be used.
pub fn lock_directory(
    directory: BorrowedFd<'_>,
    mut waiting: impl FnMut(&Holder),
) -> Result<OwnedFd, LockError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = retry_on_intr(|| rustix::fs::openat(directory, LOCK, flags, mode))?;
    let mut looks = 0;
    while !try_lock(&file)? {
        let holder = holder_of(&file);
        if !holder.is_ending() {
            return Err(LockError::Held(holder));
        }
        if looks == 0 {
            waiting(&holder);
        }
        looks += 1;
        if looks > LOOKS_MAX {
            return Err(LockError::Ending(holder));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    // Another start that finds the lock taken must not read the id of an earlier process.
    let id = format!("{}\n", std::process::id());
    rustix::fs::ftruncate(&file, 0)?;
    rustix::io::pwrite(&file, id.as_bytes(), 0)?;
    Ok(file)
}

/// The running process that holds the lock of a directory, if there is one and it can be seen. It changes nothing.
pub fn holder_of_directory(directory: BorrowedFd<'_>) -> Option<Holder> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = retry_on_intr(|| rustix::fs::openat(directory, LOCK, flags, Mode::empty())).ok()?;
    let mut whole = lock_of_whole(libc::F_RDLCK);
    let asked = lock_command(&file, libc::F_OFD_GETLK, &mut whole);
    let is_held = asked.is_ok() && i32::from(whole.l_type) != libc::F_UNLCK;
    is_held.then(|| holder_of(&file))
}

/// An open-file-description lock: it is released when the last descriptor of this open file is closed.
fn try_lock(file: &OwnedFd) -> Result<bool, Errno> {
    let mut whole = lock_of_whole(libc::F_WRLCK);
    match lock_command(file, libc::F_OFD_SETLK, &mut whole) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(error) => Err(error),
    }
}

#[allow(unsafe_code)]
fn lock_of_whole(kind: libc::c_int) -> libc::flock {
    // SAFETY: all bytes zero are a valid `flock`.
    let mut whole: libc::flock = unsafe { std::mem::zeroed() };
    whole.l_type = kind as libc::c_short;
    whole.l_whence = libc::SEEK_SET as libc::c_short;
    whole
}

#[allow(unsafe_code)]
fn lock_command(file: &OwnedFd, command: libc::c_int, lock: &mut libc::flock) -> Result<(), Errno> {
    // SAFETY: the descriptor is open, and the kernel reads and writes no more than the structure.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, std::ptr::from_mut(lock)) };
    match result {
        0 => Ok(()),
        _ => {
            let error = std::io::Error::last_os_error().raw_os_error();
            Err(Errno::from_raw_os_error(error.unwrap_or(libc::EIO)))
        }
    }
}

fn holder_of(file: &OwnedFd) -> Holder {
    let mut text = [0; 16];
    let bytes = rustix::io::pread(file, &mut text, 0).unwrap_or(0);
    let text = std::str::from_utf8(&text[..bytes]).unwrap_or_default();
    process(text.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::directory::open_directory;
    use std::os::fd::AsFd;

    #[test]
    fn a_second_start_is_refused_at_once_and_names_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let opened = open_directory(directory.path()).unwrap();
        let never = |_: &Holder| panic!("a living holder is not waited for");
        let first = lock_directory(opened.as_fd(), never).unwrap();
        let refused = lock_directory(opened.as_fd(), never).unwrap_err();
        let me = format!("process {} (", std::process::id());
        assert!(refused.to_string().contains(&me), "{refused}");
        drop(first);
        lock_directory(opened.as_fd(), never).unwrap();
    }

    #[test]
    fn a_holder_that_is_gone_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let opened = open_directory(directory.path()).unwrap();
        let first = lock_directory(opened.as_fd(), |_| {}).unwrap();
        // What a start reads while a killed process lets go of its files: the id of no living process.
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        let id = gone.id();
        gone.wait().unwrap();
        std::fs::write(directory.path().join(LOCK), format!("{id}\n")).unwrap();
        let mut first = Some(first);
        let mut told = 0;
        lock_directory(opened.as_fd(), |holder| {
            assert!(holder.to_string().contains(&id.to_string()), "{holder}");
            told += 1;
            drop(first.take());
        })
        .unwrap();
        assert_eq!(told, 1);
    }
}
