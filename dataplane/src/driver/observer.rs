//! The thread that looks at the process from outside the shards, several times a second, and writes the process's part of the
//! statistics. It costs the shards nothing, and decides nothing.

use super::DriverError;
use super::console::Console;
use crate::stats::Stats;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Interval between looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The running thread; it ends soon after this is dropped.
#[derive(Debug)]
pub struct Observer {
    _ends: Sender<()>,
}

impl Observer {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(stats: Arc<Stats>, console: &Console) -> Result<Observer, DriverError> {
        let (ends, ended) = channel();
        let dropped = console.dropped_count();
        std::thread::Builder::new()
            .name("flk-observer".to_owned())
            .spawn(move || {
                while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                    let lines = dropped.load(Ordering::Relaxed);
                    stats.process.log_lines_dropped.set(lines);
                }
            })
            .map_err(|error| {
                DriverError::new("start the thread that observes the process", error)
            })?;
        Ok(Observer { _ends: ends })
    }
}
