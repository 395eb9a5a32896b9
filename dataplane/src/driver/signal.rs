//! SIGTERM and SIGINT as something to read instead of something that interrupts. It blocks them for the process and owns
//! the descriptor that reports them.

use super::DriverError;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// The requests to end.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks both signals for the calling thread and all that it starts from now on. Call it before any thread is
    /// started: a thread that does not block them would be killed by them.
    #[allow(unsafe_code)]
    pub fn block() -> Result<Signals, DriverError> {
        let doing = "take SIGTERM and SIGINT";
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: the set is initialised by `sigemptyset` before it is used, and the other calls only read it.
        let fd = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
            let error = libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            if error != 0 {
                let error = std::io::Error::from_raw_os_error(error);
                return Err(DriverError::new(doing, error));
            }
            libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(DriverError::new(doing, std::io::Error::last_os_error()));
        }
        // SAFETY: the kernel just gave us this descriptor; nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Signals { fd })
    }

    /// How many were reported since the last call (0 or more).
    pub(super) fn take(&self) -> usize {
        let mut reports = [0; 8 * size_of::<libc::signalfd_siginfo>()];
        let bytes = rustix::io::read(&self.fd, &mut reports).unwrap_or(0);
        bytes / size_of::<libc::signalfd_siginfo>()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
