//! The task that takes a reading each second. It is the one writer of what is shown; nothing waits for it, and what it misses is
//! a row without numbers.

use super::attention::{Attention, DISK};
use super::clock::{Clock, Due};
use super::page::samples;
use super::shown::Shown;
use super::source::Source;
use crate::metrics;
use crate::view::Board;
use flk_dataplane::stats::exposition::Format;
use rustix::fs::StatVfs;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinHandle;

/// How often the rules are judged.
const JUDGE_EVERY_MS: u64 = 10_000;
/// A measuring of the file system that takes longer is given up.
const MEASURE_MAX: Duration = Duration::from_millis(500);
/// How often the file system is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

/// The file system under WAL_DIR, as a node exporter would measure it.
struct Disk {
    wal_dir: PathBuf,
    /// When it was measured last.
    at: Option<Instant>,
    /// Bytes that are free for the gateway's user, and all bytes.
    bytes: Option<[u64; 2]>,
    under_way: Option<JoinHandle<rustix::io::Result<StatVfs>>>,
}

impl Disk {
    fn of(wal_dir: PathBuf) -> Disk {
        Disk {
            wal_dir,
            at: None,
            bytes: None,
            under_way: None,
        }
    }

    /// Measures it, if that was long ago.
    async fn measure(&mut self) {
        if self.at.is_some_and(|it| it.elapsed() < MEASURE_EVERY) {
            return;
        }
        self.at = Some(Instant::now());
        // A file system that hangs holds up no reading for long, and one thread: it is not asked again before it has answered.
        let mut measured = self.under_way.take().unwrap_or_else(|| {
            let directory = self.wal_dir.clone();
            tokio::task::spawn_blocking(move || rustix::fs::statvfs(&directory))
        });
        self.bytes = match tokio::time::timeout(MEASURE_MAX, &mut measured).await {
            Ok(Ok(Ok(it))) => Some([it.f_bavail, it.f_blocks].map(|blocks| blocks * it.f_frsize)),
            Ok(_) => None,
            Err(_) => {
                self.under_way = Some(measured);
                None
            }
        };
    }

    fn write(&self, page: &mut String) {
        for (name, bytes) in DISK.into_iter().zip(self.bytes.into_iter().flatten()) {
            let _ = writeln!(page, "{name} {bytes}");
        }
    }
}

/// The wall clock in milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| it.as_millis() as u64)
}

/// Works for as long as the process. The clock is that of the history that is shown.
pub async fn record(shown: Arc<Shown>, mut clock: Clock, source: Source, board: Board) {
    let mut attention = Attention::default();
    let mut disk = Disk::of(source.wal_dir().to_owned());
    source.look().await;
    tokio::spawn(source.clone().follow());
    loop {
        match clock.due(now_ms()) {
            Due::In(wait_ms) => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
            Due::NewHistory => {
                clock = Clock::begin(now_ms());
                shown.begin_again(&clock);
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
                disk.measure().await;
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
