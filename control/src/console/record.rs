//! The task that takes a reading each second. It is the one writer of what is shown; nothing waits for it, and what it misses is
//! a row without numbers.

use super::attention::{Attention, DISK};
use super::clock::{Clock, Due};
use super::page::samples;
use super::shown::Shown;
use super::source::Source;
use super::threads::Threads;
use crate::metrics;
use crate::view::Board;
use flk_dataplane::stats::exposition::Format;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How often the rules are judged.
const JUDGE_EVERY_MS: u64 = 10_000;
/// A row waits so long for a measuring of the file system.
const MEASURE_MAX: Duration = Duration::from_millis(500);
/// How often the file system is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

/// Bytes that are free for the gateway's user, and all bytes.
type Bytes = [u64; 2];

/// The file system under WAL_DIR, as a node exporter would measure it.
struct Disk {
    wal_dir: PathBuf,
    /// When it was measured last.
    at: Option<Instant>,
    /// What was begun and has not ended: nothing else is begun meanwhile.
    measuring: Option<JoinHandle<Option<Bytes>>>,
    threads: Threads,
    bytes: Option<Bytes>,
}

impl Disk {
    fn of(wal_dir: PathBuf, threads: Threads) -> Disk {
        Disk {
            wal_dir,
            at: None,
            measuring: None,
            threads,
            bytes: None,
        }
    }

    /// Measures it at this time, if that was long ago.
    async fn measure(
        &mut self,
        now: Instant,
        measured: impl FnOnce(&Path) -> Option<Bytes> + Send + 'static,
    ) {
        let is_measured = |at| now.saturating_duration_since(at) < MEASURE_EVERY;
        let mut wait_max = Duration::ZERO;
        if self.measuring.is_none() {
            if self.at.is_some_and(is_measured) {
                return;
            }
            self.at = Some(now);
            let (directory, threads) = (self.wal_dir.clone(), self.threads.clone());
            self.measuring = Some(tokio::spawn(async move {
                let thread = threads.place().await;
                thread.run(move || measured(&directory)).await.ok()?
            }));
            wait_max = MEASURE_MAX;
        }
        let Some(measuring) = &mut self.measuring else {
            return;
        };
        // A file system that hangs holds up one reading, and not for long.
        match timeout(wait_max, measuring).await {
            Err(_) => self.bytes = None,
            Ok(measured) => {
                self.bytes = measured.ok().flatten();
                self.measuring = None;
            }
        }
    }

    fn write(&self, page: &mut String) {
        for (name, bytes) in DISK.into_iter().zip(self.bytes.into_iter().flatten()) {
            let _ = writeln!(page, "{name} {bytes}");
        }
    }
}

fn bytes_of(directory: &Path) -> Option<Bytes> {
    let found = rustix::fs::statvfs(directory).ok()?;
    Some([found.f_bavail, found.f_blocks].map(|blocks| blocks * found.f_frsize))
}

/// The wall clock in milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| it.as_millis() as u64)
}

/// Works for as long as the process. The clock is that of the history that is shown.
pub async fn record(
    shown: Arc<Shown>,
    mut clock: Clock,
    source: Source,
    threads: Threads,
    board: Board,
) {
    let mut attention = Attention::default();
    let mut disk = Disk::of(source.wal_dir().to_owned(), threads);
    source.follow().await;
    loop {
        match clock.due(now_ms()) {
            Due::In(wait_ms) => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
            Due::NewHistory => {
                clock = Clock::begin(now_ms());
                shown.begin_again(&clock);
                // Times before and behind cannot be compared here either.
                attention = Attention::default();
            }
            Due::Row { missed } => {
                let page = source.page().await;
                let mut text = {
                    let view = board.borrow();
                    metrics::page(&view, page.as_deref().ok(), Format::Prometheus)
                };
                let by_shard = source.by_shard();
                let all = samples(&text).chain(samples(&by_shard));
                shown.take(missed, all, page.err());
                disk.measure(Instant::now(), bytes_of).await;
                disk.write(&mut text);
                let at_ms = clock.at_ms(clock.next() - 1);
                attention.take(at_ms, samples(&text));
                if at_ms.is_multiple_of(JUDGE_EVERY_MS) {
                    let matters = attention.judge(at_ms);
                    shown.attend(serde_json::to_string(&matters).unwrap_or_default());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[tokio::test]
    async fn a_file_system_that_hangs_takes_one_thread_and_is_measured_again_when_it_answers() {
        let threads = Threads::default();
        let mut disk = Disk::of(PathBuf::from("/"), threads.clone());
        let (release, held) = channel::<()>();
        let begun = Instant::now();
        let hangs = move |_: &Path| {
            let _ = held.recv();
            Some([1, 2])
        };
        disk.measure(begun, hangs).await;
        assert_eq!(disk.bytes, None);
        for minute in 1..10 {
            let unasked = |_: &Path| panic!("it still hangs");
            let now = begun + Duration::from_secs(60) * minute;
            disk.measure(now, unasked).await;
        }
        // The other thread is free.
        assert_eq!(threads.place().await.run(|| 7).await.unwrap(), 7);
        drop(release);
        while disk.measuring.is_some() {
            tokio::task::yield_now().await;
            disk.measure(begun, |_| None).await;
        }
        assert_eq!(disk.bytes, Some([1, 2]));
        disk.measure(begun + MEASURE_EVERY, |_| Some([3, 4])).await;
        assert_eq!(disk.bytes, Some([3, 4]));
    }

    #[test]
    fn free_bytes_are_no_more_than_all_bytes() {
        let [free, all] = bytes_of(Path::new("/")).unwrap();
        assert!(all > 0 && free <= all, "{free} of {all}");
        assert_eq!(bytes_of(Path::new("/no/such/directory")), None);
    }
}
