//! What one run of load came to: how many answers of which status, how long they took, and how long the run was.
//! It only counts; its caller judges the figures.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies up to a minute, with three significant digits.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// The figures of one run.
pub struct Measured {
    /// How many connections were kept busy.
    pub connections_count: usize,
    /// Answers of the run, whatever their status.
    pub answers_count: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Connections that ended or sent something that is not HTTP.
    pub lost_count: u64,
    /// True where the stock of records ended before the time was up.
    pub ran_dry: bool,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    latency_ns: Histogram<u64>,
}

impl Measured {
    pub(crate) fn new(connections_count: usize) -> io::Result<Self> {
        let latency_ns = Histogram::new_with_max(LATENCY_NS_MAX, 3).map_err(io::Error::other)?;
        Ok(Self {
            connections_count,
            answers_count: 0,
            statuses: BTreeMap::new(),
            lost_count: 0,
            ran_dry: false,
            elapsed: Duration::ZERO,
            latency_ns,
        })
    }

    pub(crate) fn count(&mut self, status: u16, latency: Duration) {
        self.answers_count += 1;
        *self.statuses.entry(status).or_default() += 1;
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(LATENCY_NS_MAX);
        self.latency_ns.saturating_record(nanoseconds);
    }

    /// Takes the latencies of another run to these.
    fn add_latencies_of(&mut self, other: &Measured) {
        for value in other.latency_ns.iter_recorded() {
            self.latency_ns
                .saturating_record_n(value.value_iterated_to(), value.count_at_value());
        }
    }

    /// The latency in µs that this share of the answers of all these runs did not exceed.
    pub fn latency_of_all_us<'a>(
        runs: impl Iterator<Item = &'a Measured>,
        share: f64,
    ) -> io::Result<f64> {
        let mut all = Measured::new(0)?;
        runs.for_each(|run| all.add_latencies_of(run));
        Ok(all.latency_us(share))
    }

    /// Answers per second of the run.
    pub fn per_second(&self) -> f64 {
        self.answers_count as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The latency in µs that this share of the answers did not exceed, for example 0.99.
    pub fn latency_us(&self, share: f64) -> f64 {
        self.latency_ns.value_at_quantile(share) as f64 / 1000.0
    }

    /// How many answers had this status.
    pub fn count_of(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// How many answers had another status than 200.
    pub fn other_than_200_count(&self) -> u64 {
        self.answers_count - self.count_of(200)
    }

    /// The answers by status, and what was lost, in words.
    pub fn answers_text(&self) -> String {
        let statuses = self.statuses.iter();
        let mut text: Vec<_> = statuses
            .map(|(status, count)| format!("{count} × {status}"))
            .collect();
        text.push(format!("{} lost", self.lost_count));
        text.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latency_of_all_runs_counts_each_answer_once() {
        let mut runs = [Measured::new(1).unwrap(), Measured::new(1).unwrap()];
        (0..98).for_each(|_| runs[0].count(200, Duration::from_micros(100)));
        (0..2).for_each(|_| runs[1].count(200, Duration::from_micros(9000)));
        let of = |share| Measured::latency_of_all_us(runs.iter(), share).unwrap();
        assert_eq!(of(0.5).round(), 100.0);
        assert_eq!(of(0.98).round(), 100.0);
        assert!(of(0.99) > 8990.0);
    }
}
