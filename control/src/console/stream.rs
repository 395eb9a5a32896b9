//! The stream of a page: one event for each row, by server-sent events. A stream asks the history for what it has not sent, so
//! nothing is queued for it: it goes on behind a gap with the rows that are still kept, none twice. A client that takes nothing
//! for some seconds is cut off, and may come again with the number of its last row.

use super::history::{Epoch, NUMBERS_MAX, ROWS_MAX, Step};
use super::shown::{Shown, Tick};
use super::threads::Threads;
use super::{held, numbers};
use axum::body::Bytes;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

/// The times of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A line is sent at least so often, so that proxies and clients know that the stream lives.
    pub alive_every: Duration,
    /// A client that takes nothing for so long is cut off.
    pub take_max: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            alive_every: Duration::from_secs(15),
            take_max: Duration::from_secs(10),
        }
    }
}

/// Events that wait for a client; the system keeps some for it, too.
pub const EVENTS_MAX: usize = 4;
/// What browsers wait before they come again, in milliseconds.
const AGAIN_MS: u32 = 2000;

/// What is asked for.
#[derive(Debug)]
pub struct Asked {
    /// Distance of the rows.
    pub step: Step,
    /// The series, and the history that they are of.
    pub ids: Vec<usize>,
    /// That history.
    pub epoch: Epoch,
    /// The revision of the catalog in which they were found.
    pub revision: u64,
    /// The last row that the client has; none: it has none.
    pub last: Option<Last>,
    /// The times.
    pub pace: Pace,
}

/// The last row that a client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// Its history.
    pub epoch: Epoch,
    /// Its number.
    pub row: u64,
}

impl Last {
    /// Reads `EPOCH:ROW`. Anything else is no row of ours.
    pub fn read(text: &str) -> Option<Last> {
        let (epoch, row) = text.split_once(':')?;
        let is_ours = epoch.len() == 16;
        let epoch = u64::from_str_radix(epoch, 16).ok().filter(|_| is_ours)?;
        Some(Last {
            epoch: Epoch(epoch),
            row: row.parse().ok()?,
        })
    }
}

/// Whether a stream may go on; asked every few seconds.
pub type StillAllowed = Box<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send>;

/// One stream.
struct Stream {
    shown: Arc<Shown>,
    threads: Threads,
    asked: Asked,
    to: mpsc::Sender<Bytes>,
    /// The place of its one replay that its client has not taken: it holds up no rows of others with more.
    untaken: Arc<Semaphore>,
    /// The number of the next row to send.
    next: u64,
    /// What was said last of the data plane.
    is_away: bool,
    is_growth_told: bool,
}

/// The client is gone, or takes nothing.
struct CutOff;

/// Sends events until the client goes, or may not go on. The place is free again then.
pub async fn stream(
    shown: Arc<Shown>,
    threads: Threads,
    asked: Asked,
    to: mpsc::Sender<Bytes>,
    allowed: StillAllowed,
    place: OwnedSemaphorePermit,
) {
    let stream = Stream {
        shown,
        threads,
        asked,
        to,
        untaken: Arc::new(Semaphore::new(1)),
        next: 0,
        is_away: false,
        is_growth_told: false,
    };
    let costs = Arc::clone(&stream.shown.costs);
    costs.streams.fetch_add(1, Ordering::Relaxed);
    // Why it ended is the client's business.
    let _ = stream.run(allowed).await;
    costs.streams.fetch_sub(1, Ordering::Relaxed);
    drop(place);
}

impl Stream {
    async fn run(mut self, allowed: StillAllowed) -> Result<(), CutOff> {
        let mut ticks = self.shown.ticks();
        let mut attention = self.shown.attention();
        let mut alive = alive(self.asked.pace.alive_every);
        self.greet(&ticks).await?;
        self.attention(&mut attention).await?;
        loop {
            let tick = ticks.borrow_and_update().clone();
            if tick.epoch != self.asked.epoch {
                // Numbers of series mean others now: the client comes again and is greeted anew.
                return Ok(());
            }
            self.news(&tick).await?;
            self.rows(&tick).await?;
            tokio::select! {
                () = self.to.closed() => return Err(CutOff),
                _ = alive.tick() => {
                    if !allowed().await {
                        return Ok(());
                    }
                    self.send(": alive\n\n").await?;
                }
                changed = ticks.changed() => changed.map_err(|_| CutOff)?,
                changed = attention.changed() => {
                    changed.map_err(|_| CutOff)?;
                    self.attention(&mut attention).await?;
                }
            }
        }
    }

    /// Says what follows, and where the rows begin: behind the client's last one, or at the newest.
    async fn greet(&mut self, ticks: &watch::Receiver<Tick>) -> Result<(), CutOff> {
        let newest = ticks.borrow().newest(self.asked.step);
        let resumed = self.asked.last.filter(|it| it.epoch == self.asked.epoch);
        self.next = match resumed {
            // A row that is not there yet is none of ours.
            Some(last) => last
                .row
                .saturating_add(1)
                .min(newest.map_or(0, |it| it + 1)),
            None => newest.unwrap_or(0),
        };
        let (epoch, next) = (self.asked.epoch, newest.map_or(0, |it| it + 1));
        let mut data = format!("{{\"epoch\":\"{epoch}\",\"next_seq\":{next},\"series\":");
        numbers::ids(&self.asked.ids, &mut data);
        data.push('}');
        let hello = format!("retry: {AGAIN_MS}\n{}", event("hello", &data));
        self.send(hello).await
    }

    async fn attention(&mut self, of: &mut watch::Receiver<Arc<str>>) -> Result<(), CutOff> {
        let text = Arc::clone(&of.borrow_and_update());
        self.send(event("attention", &text)).await
    }

    /// Says that the data plane went or came, and that there are other series.
    async fn news(&mut self, tick: &Tick) -> Result<(), CutOff> {
        match (&tick.away, self.is_away) {
            (Some(why), false) => {
                let data = serde_json::json!({ "why": &**why }).to_string();
                self.send(event("away", &data)).await?;
            }
            (None, true) => self.send(event("back", "{}")).await?,
            (Some(_), true) | (None, false) => {}
        }
        self.is_away = tick.away.is_some();
        if tick.revision != self.asked.revision && !self.is_growth_told {
            self.is_growth_told = true;
            self.send(event("series", "{}")).await?;
        }
        Ok(())
    }

    /// Sends what was not sent yet: the newest row as such, more of them together, in as many events as they need.
    async fn rows(&mut self, tick: &Tick) -> Result<(), CutOff> {
        let step = self.asked.step;
        let Some(newest) = tick.newest(step).filter(|&it| it >= self.next) else {
            return Ok(());
        };
        let one = match newest == self.next {
            true => self.newest_row(newest),
            false => None,
        };
        if let Some(text) = one {
            self.next = newest + 1;
            return self.send(text).await;
        }
        self.next = self.next.max(self.shown.history().ring(step).oldest());
        let rows_max = replayed_max(self.asked.ids.len());
        while self.next <= newest {
            let last = newest.min(self.next + rows_max - 1);
            let event = self.replay(last).await?;
            self.next = last + 1;
            if let Some(event) = event {
                self.send(event).await?;
            }
        }
        Ok(())
    }

    /// The newest row; none: a newer one came meanwhile.
    fn newest_row(&self, row: u64) -> Option<String> {
        let Asked {
            step, ids, epoch, ..
        } = &self.asked;
        let history = self.shown.history();
        let ring = history.ring(*step);
        if history.epoch != *epoch || ring.next() != row + 1 || ring.oldest() > row {
            return None;
        }
        let t_ms = history.at_ms(*step, row);
        let mut data = format!("{{\"seq\":{row},\"t_ms\":{t_ms},\"values\":");
        numbers::list(history.newest(*step, ids), &mut data);
        data.push('}');
        Some(format!("id: {epoch}:{row}\n{}", event("sample", &data)))
    }

    /// The rows up to this one that are kept. Numbers are read by another thread, a few answers at a time.
    async fn replay(&self, newest: u64) -> Result<Option<Bytes>, CutOff> {
        let Asked {
            step, ids, epoch, ..
        } = &self.asked;
        let from = self.next;
        // A client that takes nothing loses its connection, and with it what waits here.
        let own = Arc::clone(&self.untaken).acquire_owned().await;
        let own = own.map_err(|_| CutOff)?;
        let turn = Arc::clone(&self.shown.answers).acquire_owned();
        let place = timeout(self.asked.pace.take_max, turn)
            .await
            .map_err(|_| CutOff)?;
        let place = place.map_err(|_| CutOff)?;
        let rows = {
            let history = self.shown.history();
            if history.epoch != *epoch {
                return Ok(None);
            }
            history.rows(*step, from, newest + 1, ids.clone())
        };
        if rows.slice.rows_count() == 0 {
            return Ok(None);
        }
        let (epoch, last) = (*epoch, rows.slice.end - 1);
        let thread = timeout(self.asked.pace.take_max, self.threads.place_for_rows());
        let thread = thread.await.map_err(|_| CutOff)?;
        // The place is the thread's: a client that goes does not let another one's rows be made beside these.
        let made = thread.run(move || {
            let data = numbers::rows(&rows);
            let text = format!("id: {epoch}:{last}\n{}", event("replay", &data));
            held::bytes(text, (place, own))
        });
        made.await.map(Some).map_err(|_| CutOff)
    }

    async fn send(&self, event: impl Into<Bytes>) -> Result<(), CutOff> {
        match timeout(self.asked.pace.take_max, self.to.send(event.into())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(CutOff),
            Err(_) => {
                let cut = &self.shown.costs.streams_cut;
                cut.fetch_add(1, Ordering::Relaxed);
                Err(CutOff)
            }
        }
    }
}

/// Rows of so many columns that one event may replay: never more numbers than an answer may have.
fn replayed_max(columns: usize) -> u64 {
    (NUMBERS_MAX / columns.max(1) as u64).clamp(1, ROWS_MAX)
}

fn alive(every: Duration) -> Interval {
    let mut alive = interval_at(Instant::now() + every, every);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    alive
}

/// An event; its data is one line.
fn event(name: &str, data: &str) -> String {
    let mut text = String::with_capacity(name.len() + data.len() + 20);
    let _ = write!(text, "event: {name}\ndata: {data}\n\n");
    text
}

#[cfg(test)]
mod tests;
