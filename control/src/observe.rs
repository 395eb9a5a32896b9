//! The task that watches answers after a new snapshot: it fetches the data plane's counters and shows what is suspect. It
//! changes nothing.

use crate::events::SnapshotSuspect;
use crate::say::say;
use crate::scrape::Scraper;
use crate::suspect::{Counts, Judge};
use crate::view::Board;
use flk_dataplane::run::TimeLimits;
use flk_dataplane::stats::exposition::Format;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Works until nothing publishes any more.
pub async fn observe(scraper: Scraper, mut published: watch::Receiver<Option<u32>>, board: Board) {
    let start = Instant::now();
    let every = Duration::from_micros(TimeLimits::of_process().observe_us);
    let mut judge = Judge::default();
    loop {
        if let Ok(page) = scraper.page(Format::Prometheus).await {
            for suspicion in judge.sample(start.elapsed(), Counts::read(&page)) {
                let share = |thousandths: u64| thousandths as f64 / 1e3;
                let event = SnapshotSuspect {
                    snapshot: suspicion.number,
                    status: suspicion.status,
                    share_before: share(suspicion.before_thousandths),
                    share: share(suspicion.after_thousandths),
                };
                say(event, suspicion.to_string());
                board.send_modify(|view| view.suspect.push(suspicion));
            }
        }
        match tokio::time::timeout(every, published.changed()).await {
            Err(_) => {}
            Ok(Err(_)) => return,
            Ok(Ok(())) => {
                let number = *published.borrow_and_update();
                if let Some(number) = number {
                    judge.published(number, start.elapsed());
                }
            }
        }
    }
}
