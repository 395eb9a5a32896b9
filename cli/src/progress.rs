//! The progress line on standard error: often on a terminal, every few seconds in a log, never for short inputs.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Shows the progress of a long input.
pub(crate) struct Progress {
    begun: Instant,
    next: Instant,
    pause: Duration,
    /// The line is overwritten in place.
    in_place: bool,
    /// What the command prints meanwhile shows its progress.
    is_quiet: bool,
    shown: bool,
}

impl Progress {
    /// Beside output that goes to a terminal, too: then that shows the progress. Nothing is shown in the first two seconds.
    pub(crate) fn new() -> Self {
        Self::beside(io::stdout().is_terminal())
    }

    /// Of a command that prints nothing before its end.
    pub(crate) fn alone() -> Self {
        Self::beside(false)
    }

    /// The same for hours: in a log a line each minute.
    pub(crate) fn every_minute() -> Self {
        let alone = Self::alone();
        let pause = match alone.in_place {
            true => alone.pause,
            false => Duration::from_secs(60),
        };
        Self {
            next: alone.begun + pause,
            pause,
            ..alone
        }
    }

    fn beside(is_quiet: bool) -> Self {
        let begun = Instant::now();
        let in_place = io::stderr().is_terminal() && !is_quiet;
        Self {
            begun,
            next: begun + Duration::from_secs(2),
            pause: match in_place {
                true => Duration::from_millis(500),
                false => Duration::from_secs(5),
            },
            in_place,
            is_quiet,
            shown: false,
        }
    }

    /// Since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Shows `text` if the last one was long enough ago.
    pub(crate) fn tick(&mut self, text: impl FnOnce(Duration) -> String) {
        let now = Instant::now();
        if now < self.next || self.is_quiet {
            return;
        }
        self.next = now + self.pause;
        self.shown = true;
        let text = text(now - self.begun);
        let _ = match self.in_place {
            true => write!(io::stderr(), "\r\x1b[K{text}"),
            false => writeln!(io::stderr(), "{text}"),
        };
    }

    /// Clears the line for other output.
    pub(crate) fn clear(&mut self) {
        if self.shown && self.in_place {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
