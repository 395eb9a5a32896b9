//! Several senders in one thread, each at a rate of its own, whatever becomes of earlier requests: a request whose connection
//! is not free yet waits, and its latency counts from when it was due. It never sends faster to catch up with more than it owes.

use std::io;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::Timespec;

use crate::arrivals::Spacing;
use crate::client::{Load, SILENCE_S_MAX};
use crate::measured::Measured;
use crate::stock::Stock;

/// Connections, what to send over them, and how often.
pub struct Sender<'a> {
    /// All of them idle.
    pub load: &'a mut Load,
    /// At least the rate times the duration.
    pub stock: &'a mut Stock,
    /// Requests per second; 0: it sends nothing.
    pub per_second: f64,
    /// How they follow each other.
    pub spacing: Spacing,
}

/// Of random spacings: the same times in every run.
const SEED: u64 = 0x5eed;

/// What one sender does.
struct Progress {
    idle: Vec<usize>,
    under_way_count: usize,
    due: Instant,
    interval: Duration,
    /// Of random spacings.
    rng: Option<Rng>,
    measured: Measured,
}

impl Progress {
    fn of(sender: &Sender<'_>, start: Instant, end: Instant) -> io::Result<Progress> {
        let connections = sender.load.open_connections();
        let sends = sender.per_second > 0.0;
        Ok(Progress {
            measured: Measured::new(connections.len())?,
            idle: connections,
            under_way_count: 0,
            due: if sends { start } else { end },
            interval: Duration::from_secs_f64(1.0 / sender.per_second.max(1e-6)),
            rng: match sender.spacing {
                Spacing::Constant => None,
                Spacing::Poisson => Some(Rng::with_seed(SEED)),
            },
        })
    }

    /// From one request to the next one.
    fn gap(&mut self) -> Duration {
        match &mut self.rng {
            None => self.interval,
            Some(rng) => self.interval.mul_f64(-(1.0 - rng.f64()).ln()),
        }
    }

    /// Sends all that is due, as far as there are free connections.
    fn send(&mut self, sender: &mut Sender<'_>, now: Instant, end: Instant) {
        while self.due <= now && self.due < end {
            let Some(index) = self.idle.pop() else {
                return;
            };
            let connection = &mut sender.load.connections[index];
            if connection.send(sender.stock, self.due, &mut self.measured) {
                self.under_way_count += 1;
            } else if !connection.open {
                sender.load.forget_closed(index).ok(); // it is counted, and used no more
            } else {
                self.due = end;
                return;
            }
            let gap = self.gap();
            self.due += gap;
        }
    }

    /// Takes the answers that have come.
    fn receive(&mut self, sender: &mut Sender<'_>, input: &mut [u8]) -> io::Result<()> {
        for index in sender.load.readable()? {
            let connection = &mut sender.load.connections[index];
            let status = connection.receive(input, &mut self.measured);
            if let Some(status) = status {
                self.measured.count(status, connection.sent_at.elapsed());
                self.idle.push(index);
                self.under_way_count -= 1;
            } else if !connection.open {
                // It may have ended without a request under way.
                let idle = self.idle.iter().position(|other| *other == index);
                match idle {
                    Some(at) => _ = self.idle.swap_remove(at),
                    None => self.under_way_count -= 1,
                }
                sender.load.forget_closed(index)?;
            }
        }
        Ok(())
    }

    /// Nothing more is to be sent, or can be, and all is answered.
    fn is_over(&self, end: Instant) -> bool {
        self.under_way_count == 0 && (self.due >= end || self.idle.is_empty())
    }

    /// When it wants to send again, if an answer need not come before.
    fn wants(&self, end: Instant) -> Option<Instant> {
        (!self.idle.is_empty() && self.due < end).then_some(self.due)
    }
}

/// Lets all of them send for so long, then waits for the answers under way.
pub fn run(senders: &mut [Sender<'_>], duration: Duration) -> io::Result<Vec<Measured>> {
    let all = epoll::create(CreateFlags::CLOEXEC)?;
    for (index, sender) in (0..).zip(senders.iter()) {
        let data = EventData::new_u64(index);
        epoll::add(&all, sender.load.poll(), data, EventFlags::IN)?;
    }
    let start = Instant::now();
    let end = start + duration;
    let progress = senders
        .iter()
        .map(|sender| Progress::of(sender, start, end));
    let mut progress = progress.collect::<io::Result<Vec<_>>>()?;
    let mut input = vec![0; crate::client::ANSWER_BYTES_MAX];
    loop {
        let now = Instant::now();
        for (sender, progress) in senders.iter_mut().zip(&mut progress) {
            progress.send(sender, now, end);
        }
        if progress.iter().all(|it| it.is_over(end)) {
            break;
        }
        let wanted = progress.iter().filter_map(|it| it.wants(end)).min();
        wait(&all, wanted)?;
        for (sender, progress) in senders.iter_mut().zip(&mut progress) {
            progress.receive(sender, &mut input)?;
        }
    }
    let elapsed = start.elapsed();
    let finish = |mut progress: Progress| {
        progress.measured.elapsed = elapsed;
        progress.measured
    };
    Ok(progress.into_iter().map(finish).collect())
}

/// Waits for an answer, or until something is to be sent.
fn wait(all: &rustix::fd::OwnedFd, wanted: Option<Instant>) -> io::Result<()> {
    let silence = Duration::from_secs(SILENCE_S_MAX as u64);
    let timeout = wanted.map_or(silence, |at| at.saturating_duration_since(Instant::now()));
    let timeout = Timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    let mut events: Vec<Event> = Vec::with_capacity(4);
    match epoll::wait(
        all,
        rustix::buffer::spare_capacity(&mut events),
        Some(&timeout),
    ) {
        Ok(0) if wanted.is_none() => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {SILENCE_S_MAX} s"),
        )),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::peer;

    /// One sender for each load, with its stock, at its rate.
    fn senders<'a>(
        loads: &'a mut [Load; 2],
        stocks: &'a mut [Stock; 2],
        rates: [f64; 2],
    ) -> Vec<Sender<'a>> {
        let all = loads.iter_mut().zip(stocks).zip(rates);
        let sender = |((load, stock), per_second)| Sender {
            load,
            stock,
            per_second,
            spacing: Spacing::Constant,
        };
        all.map(sender).collect()
    }

    #[test]
    fn each_sender_sends_what_its_rate_comes_to() {
        let mut loads = [41, 11].map(|count| Load::connect(peer("200 OK", count), 1).unwrap());
        let mut stocks = [0, 40].map(|first| Stock::sign(b"k", first, 60));
        let rates = [400.0, 100.0];
        let mut senders = senders(&mut loads, &mut stocks, rates);
        let measured = run(&mut senders, Duration::from_millis(100)).unwrap();
        let counts: Vec<_> = measured
            .iter()
            .map(|it| (it.answers_count, it.lost_count))
            .collect();
        assert_eq!(counts, [(40, 0), (10, 0)]);
    }

    #[test]
    fn independent_requests_come_at_their_rate_and_at_unequal_times() {
        let mut load = Load::connect(peer("200 OK", 41), 1).unwrap();
        let mut stock = Stock::sign(b"k", 0, 1);
        let sender = Sender {
            load: &mut load,
            stock: &mut stock,
            per_second: 1000.0,
            spacing: Spacing::Poisson,
        };
        let now = Instant::now();
        let mut progress = Progress::of(&sender, now, now).unwrap();
        let gaps: Vec<f64> = (0..10_000).map(|_| progress.gap().as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((mean * 1000.0 - 1.0).abs() < 0.05, "{mean}");
        let short = gaps.iter().filter(|it| **it < 1e-3).count() as f64;
        let share = short / gaps.len() as f64;
        assert!((share - (1.0 - (-1_f64).exp())).abs() < 0.03, "{share}");
    }

    #[test]
    fn a_connection_that_ends_while_nothing_is_sent_holds_no_run_up() {
        let mut loads = [8, 1].map(|count| Load::connect(peer("200 OK", count), 1).unwrap());
        let mut stocks = [0, 40].map(|first| Stock::sign(b"k", first, 20));
        // The peer of the second one closes after this answer.
        loads[1]
            .run(&mut stocks[1], Duration::from_millis(0))
            .unwrap();
        let mut senders = senders(&mut loads, &mut stocks, [50.0, 0.0]);
        let measured = run(&mut senders, Duration::from_millis(100)).unwrap();
        assert_eq!(
            (measured[0].answers_count, measured[1].answers_count),
            (5, 0)
        );
    }

    #[test]
    fn a_lost_connection_and_an_empty_stock_end_a_run() {
        let mut lost = Load::connect(peer("200 OK", 2), 1).unwrap();
        let mut dry = Load::connect(peer("200 OK", 4), 1).unwrap();
        let mut stocks = [0, 40].map(|first| Stock::sign(b"k", first, 3 + first as usize));
        let [few, many] = &mut stocks;
        let per_second = 1000.0;
        let mut senders = [
            Sender {
                load: &mut lost,
                stock: many,
                per_second,
                spacing: Spacing::Constant,
            },
            Sender {
                load: &mut dry,
                stock: few,
                per_second,
                spacing: Spacing::Constant,
            },
        ];
        let measured = run(&mut senders, Duration::from_secs(600)).unwrap();
        assert_eq!((measured[0].answers_count, measured[0].lost_count), (2, 1));
        assert!(measured[1].ran_dry && measured[1].answers_count == 3);
    }
}
