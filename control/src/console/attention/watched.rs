//! The numbers that rules are judged by: each as it is now, and how far counters had grown at each minute, as far back as a rule
//! looks. A counter that begins again goes on from there. It keeps no other series, and no more than a bounded number.

use super::evaluate::Known;
use super::expression::{Growth, Selector};
use super::labels::Labels;
use crate::console::page::Sample;
use crate::metrics::METRICS;
use flk_dataplane::stats::table::metrics;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// What control measures of the disk under WAL_DIR, by the names that the rules know it by.
pub const DISK: [&str; 2] = [
    "node_filesystem_avail_bytes{mountpoint=\"/var/lib/flk\"}",
    "node_filesystem_size_bytes{mountpoint=\"/var/lib/flk\"}",
];

/// Distance of what is kept of counters.
const MARK_MS: u64 = 60_000;
/// A rate over less than this says nothing.
const RATE_MS_MIN: u64 = 10_000;
/// Series that are watched.
const SERIES_MAX: usize = 2048;

/// A counter at a time.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at_ms: u64,
    grown: f64,
    changes: f64,
}

/// A series.
#[derive(Debug)]
struct Series {
    labels: Labels,
    /// None: it is not there now.
    value: Option<f64>,
    /// The last number that was there, and when.
    last: f64,
    last_ms: u64,
    grown: f64,
    changes: f64,
    marks: VecDeque<Mark>,
    window_ms: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Watched {
    /// Metrics that rules name, with the longest time that they are looked at over.
    windows: BTreeMap<String, u64>,
    series: Vec<Series>,
    /// By the key of a page. Keys that no rule asks for are not kept: there may be others in each page.
    places: HashMap<Box<str>, usize>,
    by_name: HashMap<String, Vec<usize>>,
    now_ms: u64,
}

/// Whether a metric is one of the gateway, of control, or of the disk.
pub(super) fn is_known(name: &str) -> bool {
    let of_histogram = ["_bucket", "_sum", "_count"];
    let family = of_histogram.iter().find_map(|it| name.strip_suffix(it));
    let is_it = |found: &str| found == name || family == Some(found);
    let mut of_disk = DISK.iter().filter_map(|it| it.split('{').next());
    let is_of_gateway = metrics().any(|it| is_it(it.name));
    let is_of_control = METRICS.iter().any(|it| is_it(it.name));
    is_of_gateway || is_of_control || of_disk.any(is_it)
}

impl Watched {
    pub(super) fn of(windows: BTreeMap<String, u64>) -> Watched {
        Watched {
            windows,
            series: Vec::new(),
            places: HashMap::new(),
            by_name: HashMap::new(),
            now_ms: 0,
        }
    }

    /// Takes the numbers of a time.
    pub(super) fn take<'p>(&mut self, now_ms: u64, samples: impl Iterator<Item = Sample<'p>>) {
        self.now_ms = now_ms;
        self.series.iter_mut().for_each(|it| it.value = None);
        for sample in samples.filter(|it| it.value.is_finite()) {
            if let Some(at) = self.place(&sample) {
                self.series[at].take(now_ms, sample.value);
            }
        }
    }

    fn place(&mut self, sample: &Sample<'_>) -> Option<usize> {
        if let Some(known) = self.places.get(sample.key) {
            return Some(*known);
        }
        let window_ms = *self.windows.get(sample.name())?;
        let at = self.series.len();
        if at >= SERIES_MAX {
            return None;
        }
        let (name, labels) = sample.split();
        self.series.push(Series {
            labels: labels.into_iter().collect(),
            value: None,
            last: sample.value,
            last_ms: self.now_ms,
            grown: 0.0,
            changes: 0.0,
            marks: VecDeque::new(),
            window_ms,
        });
        self.by_name.entry(name.to_owned()).or_default().push(at);
        self.places.insert(sample.key.into(), at);
        Some(at)
    }

    fn found<'s>(&'s self, selector: &'s Selector) -> impl Iterator<Item = &'s Series> {
        let places = self
            .by_name
            .get(&selector.name)
            .map_or(&[][..], Vec::as_slice);
        let named = places.iter().map(|&at| &self.series[at]);
        named.filter(|it| {
            selector
                .matchers
                .iter()
                .all(|matcher| matcher.fits(&it.labels))
        })
    }
}

impl Series {
    fn take(&mut self, now_ms: u64, value: f64) {
        // A counter that fell has begun again from 0.
        self.grown += if value < self.last {
            value
        } else {
            value - self.last
        };
        self.changes += f64::from(value != self.last);
        (self.last, self.last_ms, self.value) = (value, now_ms, Some(value));
        if self.window_ms == 0 {
            return;
        }
        let newest = self.marks.back().map(|it| it.at_ms);
        if newest.is_none_or(|it| now_ms >= it + MARK_MS || now_ms < it) {
            self.marks.push_back(Mark {
                at_ms: now_ms,
                grown: self.grown,
                changes: self.changes,
            });
        }
        // One mark behind the window stays: it is what the window begins with.
        let is_spare = |mark: &Mark| mark.at_ms + self.window_ms <= now_ms;
        while self.marks.get(1).is_some_and(is_spare) {
            self.marks.pop_front();
        }
    }

    /// How far it has grown over a time, and how long that was.
    fn since(&self, now_ms: u64, window_ms: u64) -> Option<(Mark, u64)> {
        // One that was not there in all that time has not grown in it.
        if self.last_ms + window_ms <= now_ms {
            return None;
        }
        let is_before = |mark: &&Mark| mark.at_ms + window_ms <= now_ms;
        let first = self
            .marks
            .iter()
            .rev()
            .find(is_before)
            .or(self.marks.front())?;
        Some((*first, now_ms.saturating_sub(first.at_ms)))
    }
}

impl Known for Watched {
    fn now_s(&self) -> f64 {
        self.now_ms as f64 / 1e3
    }

    fn numbers(&self, selector: &Selector) -> Vec<(Labels, f64)> {
        let there = self
            .found(selector)
            .filter_map(|it| Some((it.labels.clone(), it.value?)));
        there.collect()
    }

    fn growth(&self, growth: Growth, selector: &Selector, window_ms: u64) -> Vec<(Labels, f64)> {
        let grown = self.found(selector).filter_map(|it| {
            let (first, over_ms) = it.since(self.now_ms, window_ms)?;
            let grown = it.grown - first.grown;
            let number = match growth {
                Growth::Rate if over_ms < RATE_MS_MIN => return None,
                Growth::Rate => grown / (over_ms as f64 / 1e3),
                Growth::Increase => grown,
                Growth::Changes => it.changes - first.changes,
            };
            Some((it.labels.clone(), number))
        });
        grown.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::page::samples;

    #[test]
    fn keys_that_no_rule_asks_for_are_not_kept_and_take_no_place_of_another() {
        let windows = BTreeMap::from([("wanted".to_owned(), 0)]);
        let mut watched = Watched::of(windows);
        for number in 0..3 * SERIES_MAX {
            watched.take(
                number as u64,
                samples(&format!("other{{number=\"{number}\"}} 1\n")),
            );
        }
        assert!(watched.places.is_empty());
        watched.take(9, samples("wanted{shard=\"1\"} 7\n"));
        assert_eq!(
            (watched.places.len(), watched.series[0].value),
            (1, Some(7.0))
        );
    }

    #[test]
    fn a_rate_over_a_moment_says_nothing_and_growth_over_it_does() {
        let windows = BTreeMap::from([("wanted".to_owned(), 300_000)]);
        let mut watched = Watched::of(windows);
        let selector = Selector {
            name: "wanted".to_owned(),
            matchers: Vec::new(),
        };
        let mut at = |now_ms: u64, value: u64| {
            watched.take(now_ms, samples(&format!("wanted {value}\n")));
            let of = |growth| {
                let found = watched.growth(growth, &selector, 300_000);
                found.first().map(|it| it.1)
            };
            (of(Growth::Rate), of(Growth::Increase))
        };
        assert_eq!(at(1_000, 50), (None, Some(0.0)));
        assert_eq!(at(10_999, 70), (None, Some(20.0)));
        assert_eq!(at(11_000, 80), (Some(3.0), Some(30.0)));
    }
}
