//! Progress of long work at a start, one line every two seconds.

use crate::keeper::notice::Notice;
use crate::keeper::port::Port;

/// Time between two lines, in microseconds.
const LOG_EVERY_US: u64 = 2_000_000;

/// What a line counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    One,
    /// Bytes are counted, and MiB are shown.
    Mib,
}

/// How much of some work is done.
pub(crate) struct Progress {
    port: Port,
    what: &'static str,
    unit: Unit,
    done: u64,
    of: u64,
    logged_us: u64,
}

impl Progress {
    /// Nothing yet, of so many.
    pub(crate) fn of(port: &Port, what: &'static str, of: u64, unit: Unit) -> Progress {
        Progress {
            port: port.clone(),
            what,
            unit,
            done: 0,
            of,
            logged_us: port.now().mono_us,
        }
    }

    /// So many more are done.
    pub(crate) fn add(&mut self, count: u64) {
        self.done += count;
        if self.port.now().mono_us >= self.logged_us + LOG_EVERY_US {
            self.log();
        }
    }

    /// Writes the line, unless there was nothing to do.
    pub(crate) fn log(&mut self) {
        self.logged_us = self.port.now().mono_us;
        if self.of == 0 {
            return;
        }
        let shown = |count: u64| match self.unit {
            Unit::One => count,
            Unit::Mib => count >> 20,
        };
        self.port.notify(Notice::Progress {
            what: self.what,
            done: shown(self.done),
            of: shown(self.of),
        });
    }
}
