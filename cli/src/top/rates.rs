//! What happened between two readings: rates, quantiles and means, for each shard and each tenant. It never turns the first
//! reading into a rate, and leaves a value out where it cannot be known.

use super::source::Reading;
use crate::page::samples::{Bucket, Samples};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Number,
    /// A part of one, shown in percent.
    Share,
    Seconds,
    /// Yes if it is not 0.
    Mark,
}

/// A column of a table: its name in JSON, its title, and the unit of its values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: Unit,
}

const fn column(name: &'static str, title: &'static str, unit: Unit) -> Column {
    Column { name, title, unit }
}

/// Columns of shards.
pub(super) const SHARDS: &[Column] = &[
    column("requests_per_s", "REQ/S", Unit::Number),
    column("cpu", "CPU", Unit::Share),
    column("p50_s", "P50", Unit::Seconds),
    column("p99_s", "P99", Unit::Seconds),
    column("wal_wait_p99_s", "WAL WAIT", Unit::Seconds),
    column("batch_records", "BATCH", Unit::Number),
    column("queue", "QUEUE", Unit::Number),
    column("dedup_keys", "KEYS", Unit::Number),
    column("stuck", "STUCK", Unit::Mark),
];

/// Columns of tenants.
pub(super) const TENANTS: &[Column] = &[
    column("requests_per_s", "REQ/S", Unit::Number),
    column("accepted_per_s", "ACCEPTED/S", Unit::Number),
    column("escalated_per_s", "ESCALATED/S", Unit::Number),
    column("unauthorized_per_s", "401/S", Unit::Number),
    column("hits_per_s", "HITS/S", Unit::Number),
];

/// Counters behind the columns of tenants.
const TENANT_COUNTERS: [&str; 5] = [
    "flk_ingest_by_tenant",
    "flk_accepted_by_tenant",
    "flk_escalated_by_tenant",
    "flk_signature_errors_by_tenant",
    "flk_dedup_hits_by_tenant",
];

/// One line of a table, with a value for each column if there is one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) values: Vec<Option<f64>>,
}

/// Everything that is shown.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    /// Time between both readings.
    pub(super) interval_s: f64,
    /// All shards together.
    pub(super) all: Row,
    pub(super) shards: Vec<Row>,
    /// The source adds shards up, so that little is known of each.
    pub(super) is_added_up: bool,
    pub(super) tenants: Vec<Row>,
}

/// Takes readings in turn and compares each with the one before.
#[derive(Debug, Default)]
pub(super) struct Meter {
    earlier: Option<Reading>,
    cpu: BTreeMap<String, CpuTrack>,
}

impl Meter {
    /// Compares a reading with the one before; `None` after the first one of a gateway, which says nothing about rates.
    pub(super) fn take(&mut self, later: Reading) -> Option<View> {
        let started = |it: &Reading| it.whole.value("process_start_time_seconds");
        let earlier = self.earlier.take();
        let earlier = earlier.filter(|it| started(it) == started(&later));
        if earlier.is_none() {
            self.cpu.clear();
        }
        for (shard, cpu_s) in later.whole.by("flk_shard_cpu_seconds_total", "shard") {
            let track = self.cpu.entry(shard.to_owned()).or_default();
            track.observe(later.at, cpu_s);
        }
        let view = earlier.map(|earlier| self.view(&earlier, &later));
        self.earlier = Some(later);
        view
    }

    fn view(&self, earlier: &Reading, later: &Reading) -> View {
        let seconds = (later.at.saturating_sub(earlier.at)).as_secs_f64();
        let step = |earlier, later| Interval {
            earlier,
            later,
            seconds,
        };
        let stuck = |shard: &str| later.whole.value_by("flk_shard_stuck", "shard", shard);
        let names = later.whole.by("flk_shard_stuck", "shard");
        let names: Vec<String> = names.map(|(name, _)| name.to_owned()).collect();
        let shards = names.iter().enumerate().map(|(at, name)| {
            let cpu = self.cpu.get(name).and_then(CpuTrack::share);
            match (earlier.shards.get(at), later.shards.get(at)) {
                (Some(earlier), Some(later)) => {
                    shard_row(name, &step(earlier, later), cpu, stuck(name))
                }
                // The sum over one shard is that shard.
                _ if names.len() == 1 => {
                    shard_row(name, &step(&earlier.whole, &later.whole), cpu, stuck(name))
                }
                _ => Row {
                    name: name.clone(),
                    values: SHARDS
                        .iter()
                        .map(|column| match column.name {
                            "cpu" => cpu,
                            "stuck" => stuck(name),
                            _ => None,
                        })
                        .collect(),
                },
            }
        });
        let shards: Vec<Row> = shards.collect();
        // Like top: two busy shards are 200 %.
        let cpu: Option<f64> = names
            .iter()
            .map(|name| self.cpu.get(name)?.share())
            .sum::<Option<f64>>()
            .filter(|_| !names.is_empty());
        let any = names.iter().filter_map(|name| stuck(name)).reduce(f64::max);
        let whole = step(&earlier.whole, &later.whole);
        View {
            interval_s: seconds,
            all: shard_row("all", &whole, cpu, any),
            is_added_up: shards.len() > 1 && later.shards.is_empty(),
            shards,
            tenants: tenant_rows(&whole),
        }
    }
}

/// Two pages and the time between them.
struct Interval<'a> {
    earlier: &'a Samples,
    later: &'a Samples,
    seconds: f64,
}

impl Interval<'_> {
    /// Growth of a counter.
    fn grown(&self, name: &str) -> Option<f64> {
        growth(self.earlier.value(name)?, self.later.value(name)?)
    }

    fn rate(&self, growth: Option<f64>) -> Option<f64> {
        Some(growth? / self.seconds).filter(|it| it.is_finite())
    }

    /// A quantile of the values that a histogram counted in between.
    fn quantile(&self, of: f64, name: &str, with: Option<(&str, &str)>) -> Option<f64> {
        let earlier = self.earlier.buckets(name, with);
        let later = self.later.buckets(name, with);
        if earlier.len() != later.len() {
            return None;
        }
        let pairs = earlier.iter().zip(&later);
        let grown =
            pairs.map(|((_, earlier), (edge, later))| Some((*edge, growth(*earlier, *later)?)));
        quantile(of, &grown.collect::<Option<Vec<_>>>()?)
    }
}

/// A counter that fell was begun anew: how much it grew is not known.
fn growth(earlier: f64, later: f64) -> Option<f64> {
    (later >= earlier).then_some(later - earlier)
}

/// As `histogram_quantile` of Prometheus: linear between the edges of a bucket, from 0 in the first one; in the last, which has
/// no upper edge, its lower one.
pub(super) fn quantile(of: f64, buckets: &[Bucket]) -> Option<f64> {
    let (_, total) = *buckets.last()?;
    if total <= 0.0 {
        return None;
    }
    let rank = of * total;
    let at = buckets.iter().position(|(_, below)| *below >= rank)?;
    let (upper, below) = buckets[at];
    let (lower, before) = match at.checked_sub(1) {
        Some(at) => buckets[at],
        None => (0.0, 0.0),
    };
    if upper.is_infinite() || upper <= 0.0 {
        return Some(if upper.is_infinite() { lower } else { upper });
    }
    Some(lower + (upper - lower) * (rank - before) / (below - before))
}

fn shard_row(name: &str, step: &Interval<'_>, cpu: Option<f64>, stuck: Option<f64>) -> Row {
    let latency = "http_request_duration_seconds";
    let now = |name| step.later.value(name);
    let mean_batch = || {
        let (records, batches) = (step.grown("flk_wal_records")?, step.grown("flk_wal_syncs")?);
        (batches > 0.0).then_some(records / batches)
    };
    let queue = || {
        let waiting = ["flk_log_waiting", "flk_room_waiting", "flk_memory_waiting"];
        waiting.into_iter().map(now).sum()
    };
    let value = |column: &Column| match column.name {
        "requests_per_s" => step.rate(step.grown("flk_ingest_total")),
        "cpu" => cpu,
        "p50_s" => step.quantile(0.5, latency, None),
        "p99_s" => step.quantile(0.99, latency, None),
        "wal_wait_p99_s" => step.quantile(0.99, "flk_stage_seconds", Some(("stage", "wal_wait"))),
        "batch_records" => mean_batch(),
        "queue" => queue(),
        "dedup_keys" => now("flk_dedup_keys"),
        _ => stuck,
    };
    Row {
        name: name.to_owned(),
        values: SHARDS.iter().map(value).collect(),
    }
}

fn tenant_rows(step: &Interval<'_>) -> Vec<Row> {
    let tenants = step.later.by(TENANT_COUNTERS[0], "tenant");
    let row = |name: &str| {
        let grown = |counter| {
            let later = step.later.value_by(counter, "tenant", name)?;
            // A tenant appears with its first request; until then its counters were 0.
            let earlier = step.earlier.value_by(counter, "tenant", name);
            growth(earlier.unwrap_or(0.0), later)
        };
        Row {
            name: name.to_owned(),
            values: TENANT_COUNTERS.map(|it| step.rate(grown(it))).to_vec(),
        }
    };
    tenants.map(|(name, _)| row(name)).collect()
}

/// How many observations of CPU time are kept.
const OBSERVATIONS_MAX: usize = 7;

/// CPU time of a thread. A gateway observes it every 5 s only, so that two readings in between show the same value, and the next
/// one all of 5 s at once. What is divided is therefore the time between changes.
#[derive(Debug, Default)]
struct CpuTrack {
    last: Option<f64>,
    /// When a new value was seen, and the value; the first one that was seen may be old and is not among them.
    changes: VecDeque<(Duration, f64)>,
}

impl CpuTrack {
    fn observe(&mut self, at: Duration, cpu_s: f64) {
        if self.last.is_some_and(|last| last != cpu_s) {
            self.changes.push_back((at, cpu_s));
            if self.changes.len() > OBSERVATIONS_MAX {
                self.changes.pop_front();
            }
        }
        self.last = Some(cpu_s);
    }

    /// The share of a CPU that it used; `None` until two changes were seen.
    fn share(&self) -> Option<f64> {
        let (first_at, first_s) = self.changes.front()?;
        let (last_at, last_s) = self.changes.back()?;
        let seconds = last_at.saturating_sub(*first_at).as_secs_f64();
        let share = (last_s - first_s) / seconds;
        // Changes are seen up to a reading late, and a thread uses one CPU at most.
        (seconds > 0.0 && share >= 0.0).then_some(share.min(1.0))
    }
}

#[cfg(test)]
#[path = "rates_tests.rs"]
mod tests;
