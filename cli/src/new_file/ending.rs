//! The signals that end a process, for a file that must not outlive it: the file is removed, then the process ends with the code that
//! a shell shows for the signal. It cannot remove anything on SIGKILL.

use std::io;
use std::path::PathBuf;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a shell adds to the number of a signal.
const SHELL_CODE_BASE: i32 = 128;

/// The signals, caught from the moment on that this is there.
pub(super) struct Ending {
    runtime: Runtime,
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Ending {
    /// Catches the signals.
    pub(super) fn catch() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let [hangup, interrupt, terminate] = [
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::terminate(),
        ]
        .map(signal);
        drop(inside);
        Ok(Self {
            runtime,
            hangup: hangup?,
            interrupt: interrupt?,
            terminate: terminate?,
        })
    }

    /// From now on a caught signal removes this file and ends the process. One that came before does so at once.
    pub(super) fn removes(mut self, path: PathBuf) -> io::Result<()> {
        std::thread::Builder::new().spawn(move || {
            let kind = self.runtime.block_on(async {
                tokio::select! {
                    _ = self.hangup.recv() => SignalKind::hangup(),
                    _ = self.interrupt.recv() => SignalKind::interrupt(),
                    _ = self.terminate.recv() => SignalKind::terminate(),
                }
            });
            // It is not there any more if it has just become whole.
            let _ = std::fs::remove_file(path);
            std::process::exit(SHELL_CODE_BASE + kind.as_raw_value());
        })?;
        Ok(())
    }
}
