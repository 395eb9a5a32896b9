//! Reads signals instead of being interrupted by them. It blocks them for the process and owns the thread that reads them.
//! Its only decision is to end a start at once.

use super::DriverError;
use super::console::Console;
use super::doorbell::Doorbell;
use super::sandbox;
use super::stop_watch::StopWatch;
use crate::logs::events::{ReloadPassedOn, SignalIgnored, StartStopped};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::exit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Signals that are read. The first two request the end. The others would terminate a process by default, which is not what
/// their sender wants.
const READ: [(i32, &str); 5] = [
    (libc::SIGTERM, "SIGTERM"),
    (libc::SIGINT, "SIGINT"),
    (libc::SIGHUP, "SIGHUP"),
    (libc::SIGUSR1, "SIGUSR1"),
    (libc::SIGUSR2, "SIGUSR2"),
];

/// Signals that are ignored because a failed write reports the same: a closed pipe, a file-size limit, a terminal that only
/// the foreground may write to.
const IGNORED: [i32; 3] = [libc::SIGPIPE, libc::SIGXFSZ, libc::SIGTTOU];

/// Lets the calling thread receive SIGTERM, SIGINT and SIGHUP, in a process that a gateway started with its signals blocked and
/// that handles these three itself. What came meanwhile is received now.
///
/// # Errors
/// The system refuses.
#[allow(unsafe_code)]
pub fn unblock() -> Result<(), DriverError> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the set is initialised by `sigemptyset` before it is used, and the other calls only read it.
    let error = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut())
    };
    match error {
        0 => Ok(()),
        error => {
            let error = std::io::Error::from_raw_os_error(error);
            Err(DriverError::new("unblock the signals", error))
        }
    }
}

/// Lets a write fail that would make a file longer than this process may make one: the error says why, and the signal would end the
/// process without a word.
#[allow(unsafe_code)]
pub fn ignore_long_files() {
    // SAFETY: `signal` with SIG_IGN installs no handler.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// The signals of the process, blocked and not yet read.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks them for the calling thread and all threads that it starts. To be called before any thread is started: a
    /// thread that does not block them would be killed by them.
    ///
    /// # Errors
    /// The system refuses.
    #[allow(unsafe_code)]
    pub fn block() -> Result<Signals, DriverError> {
        let doing = "take the signals";
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: the set is initialised by `sigemptyset` before it is used, and the other calls only read it; `signal`
        // with SIG_IGN installs no handler.
        let fd = unsafe {
            for signal in IGNORED {
                libc::signal(signal, libc::SIG_IGN);
            }
            libc::sigemptyset(set.as_mut_ptr());
            for (signal, _) in READ {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            let error = libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            if error != 0 {
                let error = std::io::Error::from_raw_os_error(error);
                return Err(DriverError::new(doing, error));
            }
            libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC)
        };
        if fd < 0 {
            return Err(DriverError::new(doing, std::io::Error::last_os_error()));
        }
        // SAFETY: the kernel just returned this descriptor; nothing else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Signals { fd })
    }

    /// Starts the thread that reads them. Until the keeper asks for them, a request to end ends the process at once: nothing
    /// has been served, and a start may be interrupted anywhere.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn watch(self, console: Console) -> Result<Arc<Ends>, DriverError> {
        let ends = Arc::new(Ends::default());
        let watched = Arc::clone(&ends);
        std::thread::Builder::new()
            .name("flk-signals".to_owned())
            .spawn(move || {
                sandbox::give_up_files();
                loop {
                    watched.take(self.next(), &console);
                }
            })
            .map_err(|error| DriverError::new("start the thread that reads signals", error))?;
        Ok(ends)
    }

    /// Waits for the next signal.
    fn next(&self) -> i32 {
        // `ssi_signo` is the first member, 32 bits wide.
        let mut report = [0_u8; size_of::<libc::signalfd_siginfo>()];
        loop {
            if let Ok(bytes) = rustix::io::read(&self.fd, &mut report)
                && bytes == report.len()
            {
                return i32::from_ne_bytes([report[0], report[1], report[2], report[3]]);
            }
        }
    }
}

/// What SIGHUP is passed on to.
type Reload = Box<dyn Fn() + Send + Sync>;

/// The requests to end so far, and what reloads.
#[derive(Default)]
pub struct Ends {
    count: AtomicUsize,
    asking: OnceLock<Asking>,
    watch: Arc<StopWatch>,
    reload: OnceLock<Reload>,
}

/// How a request is handled once the gateway serves.
#[derive(Debug)]
struct Asking {
    bell: Arc<Doorbell>,
    delay: Duration,
    bound: Duration,
}

impl Ends {
    /// From now on each request is counted and rings this bell, and the process ends within `delay` plus `bound` even if
    /// threads hang.
    pub(super) fn ask(&self, bell: &Arc<Doorbell>, delay: Duration, bound: Duration) {
        let bell = Arc::clone(bell);
        let _only_the_first_counts = self.asking.set(Asking { bell, delay, bound });
    }

    /// From now on SIGHUP calls this.
    pub fn on_hang_up(&self, reload: Reload) {
        let _only_the_first_counts = self.reload.set(reload);
    }

    /// The stop is complete except for the end of the threads.
    pub(super) fn note_clean(&self) {
        self.watch.note_clean();
    }

    /// The number of requests since the last call.
    pub(super) fn take_count(&self) -> usize {
        self.count.swap(0, Ordering::AcqRel)
    }

    pub(super) fn is_none(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    fn take(&self, signal: i32, console: &Console) {
        let name = READ.iter().find(|(known, _)| *known == signal);
        let signal_name = name.map_or("a signal", |(_, name)| *name);
        if signal == libc::SIGHUP
            && let Some(reload) = self.reload.get()
        {
            reload();
            let message = "SIGHUP: flk-control is told to reload the configuration";
            return console.say(ReloadPassedOn {}, message);
        }
        if signal != libc::SIGTERM && signal != libc::SIGINT {
            let event = SignalIgnored {
                signal: signal_name,
            };
            return console.say(
                event,
                format!(
                    "{signal_name} ignored: flk-control reloads the configuration, send it SIGHUP"
                ),
            );
        }
        match self.asking.get() {
            Some(asking) => {
                self.watch.asked(asking.delay, asking.bound, console);
                self.count.fetch_add(1, Ordering::AcqRel);
                asking.bell.ring_if_asleep();
            }
            None => {
                let event = StartStopped {
                    signal: signal_name,
                };
                console.say(event, format!("stopped by {signal_name} during the start"));
                console.flush();
                exit(0);
            }
        }
    }
}
