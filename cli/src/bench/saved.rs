//! A run as a document: everything that its table, its page and a comparison show, and histograms for other tools. It is made once
//! from what was counted; nothing else computes figures.

use super::thresholds::Metric;
use crate::exit::Failure;
use crate::input;
use flk_bench_load::expected::wanted;
use flk_bench_load::hdr;
use flk_bench_load::limit::{Limit, Symptoms, limits};
use flk_bench_load::mix::Kind;
use flk_bench_load::run::{RunResult, Second};
use flk_bench_load::tally::{Counts, Latencies};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

/// The form of the document. Members may be added without a new one.
const FORMAT: &str = "flk-bench-1";
/// How far out the curve of percentiles goes: 99.9999 %.
const DECADES: i32 = 6;
const STEPS_PER_DECADE: i32 = 12;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) format: String,
    /// Version of this program.
    pub(super) flk: String,
    /// When it began, RFC 3339.
    pub(super) began: String,
    /// As they were typed.
    pub(super) arguments: Vec<String>,
    pub(super) target: Target,
    pub(super) machine: Machine,
    pub(super) settings: Settings,
    pub(super) figures: Figures,
    pub(super) generator: Generator,
    pub(super) seconds: Vec<Point>,
    pub(super) hdr: Hdr,
}

/// What was sent to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) url: String,
    pub(super) address: String,
    /// What the gateway answered at `/version`; null where it did not.
    pub(super) version: serde_json::Value,
}

/// Where the generator ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cpus_count: usize,
    pub(super) kernel: String,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    /// `open` or `closed`.
    pub(super) r#loop: String,
    /// `constant` or `poisson`; empty in a closed loop.
    pub(super) arrivals: String,
    /// Records per second at the beginning and at the end; none in a closed loop.
    pub(super) rate: Option<[f64; 2]>,
    pub(super) duration_s: f64,
    pub(super) warm_up_s: f64,
    pub(super) connections: usize,
    /// Records of each request; none: one, as a submission.
    #[serde(default)]
    pub(super) batch: Option<u32>,
    /// Most requests under way on a connection.
    #[serde(default = "one")]
    pub(super) pipeline: u32,
    pub(super) threads: usize,
    pub(super) cpus: Vec<usize>,
    pub(super) timeout_s: f64,
    pub(super) seed: u64,
    pub(super) body_bytes: usize,
    pub(super) duplicates: f64,
    pub(super) bad_signatures: f64,
    pub(super) malformed: f64,
    pub(super) ed25519: f64,
    pub(super) tenants: usize,
}

/// Requests under way on a connection of a run that does not say it.
fn one() -> u32 {
    1
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    /// How much of the measurement passed.
    pub(super) measured_s: f64,
    /// Whether the user ended it.
    pub(super) interrupted: bool,
    pub(super) asked_per_s: Option<f64>,
    /// Answers as expected: a refusal is no achievement.
    pub(super) achieved_per_s: f64,
    pub(super) due: u64,
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) statuses: BTreeMap<String, u64>,
    pub(super) dedup: BTreeMap<String, u64>,
    pub(super) kinds: Vec<OfKind>,
    /// Answers that the contract does not allow, of warm-up and measurement.
    pub(super) wrong: Vec<WrongAnswer>,
    pub(super) lost: u64,
    pub(super) foreign: u64,
    pub(super) timed_out: u64,
    pub(super) unsent: u64,
    pub(super) unconnected: u64,
    pub(super) waited_for_connection: u64,
    pub(super) errors_share: f64,
    pub(super) signed_ahead: u64,
    pub(super) signed_on_the_fly: u64,
    pub(super) warm_up: WarmUp,
    pub(super) from_due: Spread,
    pub(super) from_sent: Spread,
    pub(super) lag: Spread,
}

/// Requests of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct OfKind {
    pub(super) kind: String,
    pub(super) expected: String,
    pub(super) sent: u64,
    pub(super) as_expected: u64,
    pub(super) unjudged: u64,
    pub(super) wrong: u64,
}

/// An answer that the contract does not allow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct WrongAnswer {
    pub(super) kind: String,
    pub(super) status: u16,
    pub(super) dedup: String,
    pub(super) count: u64,
}

/// What was sent before the measurement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct WarmUp {
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) errors: u64,
    pub(super) wrong: u64,
}

/// Latencies in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    pub(super) count: u64,
    pub(super) mean_ns: f64,
    pub(super) p50_ns: u64,
    pub(super) p90_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) p99_9_ns: u64,
    pub(super) p99_99_ns: u64,
    pub(super) max_ns: u64,
    /// Parts of the answers, and the latency that each did not exceed.
    pub(super) percentiles: Vec<(f64, u64)>,
}

/// What sending took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Generator {
    pub(super) threads: Vec<Thread>,
    pub(super) was_limit: bool,
    /// Why it was, in words.
    pub(super) reasons: Vec<String>,
}

/// A sending thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Thread {
    pub(super) pinned_to: Option<usize>,
    /// The part of one CPU that it used.
    pub(super) cpu_share: f64,
}

/// One second, warm-up included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Point {
    pub(super) second: u64,
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) errors: u64,
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) max_ns: u64,
}

/// Histograms of nanoseconds as HdrHistogram V2, compressed, as base64.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hdr {
    pub(super) from_due: String,
    pub(super) from_sent: String,
    pub(super) lag: String,
}

/// What is known beside what was counted.
pub(super) struct Context {
    pub(super) arguments: Vec<String>,
    pub(super) target: Target,
    pub(super) machine: Machine,
    pub(super) settings: Settings,
    pub(super) asked_per_s: Option<f64>,
    /// Whether the user ended it.
    pub(super) interrupted: bool,
}

impl Saved {
    /// A run that has ended.
    pub(super) fn of(context: Context, outcome: &RunResult) -> io::Result<Saved> {
        let figures = Figures::of(&context, outcome);
        let generator = Generator::of(&context.settings, &figures, outcome);
        let total = &outcome.total;
        Ok(Saved {
            format: FORMAT.to_owned(),
            flk: env!("CARGO_PKG_VERSION").to_owned(),
            began: humantime::format_rfc3339_seconds(outcome.began).to_string(),
            arguments: context.arguments,
            target: context.target,
            machine: context.machine,
            settings: context.settings,
            figures,
            generator,
            seconds: outcome.seconds.iter().map(Point::of).collect(),
            hdr: Hdr {
                from_due: hdr::compressed(&total.from_due)?,
                from_sent: hdr::compressed(&total.from_sent)?,
                lag: hdr::compressed(&total.lag)?,
            },
        })
    }

    /// Reads one that was saved.
    pub(super) fn read(path: &Path) -> Result<Saved, Failure> {
        let text = input::read_text(path)?;
        let saved: Option<Saved> = serde_json::from_str(&text).ok();
        saved.filter(|it| it.format == FORMAT).ok_or_else(|| {
            let name = input::name(path);
            Failure::usage(format!(
                "{name} is not a run that flk bench --save of this version has written"
            ))
        })
    }

    /// A figure of it; none where it is a percentile that is not kept.
    pub(super) fn figure(&self, metric: Metric) -> Option<f64> {
        let (figures, due) = (&self.figures, &self.figures.from_due);
        let kept = [
            (0.5, due.p50_ns),
            (0.9, due.p90_ns),
            (0.99, due.p99_ns),
            (0.999, due.p99_9_ns),
            (0.9999, due.p99_99_ns),
        ];
        match metric {
            Metric::Quantile(at) => {
                let near = kept.iter().find(|(kept, _)| (kept - at).abs() < 1e-9);
                near.map(|(_, ns)| *ns as f64)
            }
            Metric::Max => Some(due.max_ns as f64),
            Metric::Mean => Some(due.mean_ns),
            Metric::Lag => Some(figures.lag.p99_ns as f64),
            Metric::Errors => Some(figures.errors_share),
            Metric::Rate => Some(figures.achieved_per_s),
        }
    }
}

impl Figures {
    fn of(context: &Context, outcome: &RunResult) -> Figures {
        let (total, counts) = (&outcome.total, &outcome.total.measured);
        let measured_s = outcome.measured.as_secs_f64();
        let unanswered = counts.unanswered;
        let mut all = total.warm_up.clone();
        all.add(counts);
        let text = |(status, count): (u16, u64)| (status.to_string(), count);
        Figures {
            measured_s: rounded(measured_s),
            interrupted: context.interrupted,
            asked_per_s: context.asked_per_s.map(rounded),
            achieved_per_s: match measured_s > 0.0 {
                true => rounded(counts.expected_in_time as f64 / measured_s),
                false => 0.0,
            },
            due: counts.due(),
            sent: counts.sent(),
            answered: counts.answered(),
            statuses: counts.statuses().into_iter().map(text).collect(),
            dedup: {
                let names = counts.dedups().into_iter();
                names
                    .map(|(it, count)| (it.name().to_owned(), count))
                    .collect()
            },
            kinds: kinds(counts),
            wrong: wrong(&all),
            lost: unanswered.lost,
            foreign: unanswered.foreign,
            timed_out: unanswered.timed_out,
            unsent: unanswered.unsent,
            unconnected: counts.unconnected,
            waited_for_connection: counts.waited_for_connection,
            errors_share: part(counts.errors(), counts.due()),
            signed_ahead: all.signed_ahead,
            signed_on_the_fly: all.signed_on_the_fly,
            warm_up: WarmUp {
                sent: total.warm_up.sent(),
                answered: total.warm_up.answered(),
                errors: total.warm_up.errors(),
                wrong: total.warm_up.wrong(),
            },
            from_due: Spread::of(&total.from_due),
            from_sent: Spread::of(&total.from_sent),
            lag: Spread::of(&total.lag),
        }
    }
}

fn kinds(counts: &Counts) -> Vec<OfKind> {
    let all = Kind::ALL.iter().zip(counts.kinds);
    let row = |(kind, of): (&Kind, flk_bench_load::tally::OfKind)| OfKind {
        kind: kind.name().to_owned(),
        expected: wanted(*kind).to_owned(),
        sent: of.sent,
        as_expected: of.as_expected,
        unjudged: of.unjudged,
        wrong: of.wrong,
    };
    all.map(row).filter(|it| it.sent > 0).collect()
}

fn wrong(counts: &Counts) -> Vec<WrongAnswer> {
    use flk_bench_load::expected::{Worth, worth};
    let answers = counts.answers.iter();
    let is_wrong = |((kind, status, dedup), _): &(&(Kind, u16, _), &u64)| {
        worth(*kind, *status, *dedup) == Worth::Wrong
    };
    let row =
        |((kind, status, dedup), count): (&(Kind, u16, flk_bench_load::answer::Dedup), &u64)| {
            WrongAnswer {
                kind: kind.name().to_owned(),
                status: *status,
                dedup: dedup.name().to_owned(),
                count: *count,
            }
        };
    answers.filter(is_wrong).map(row).collect()
}

/// What a number of all is, as a part of 1.
fn part(count: u64, all: u64) -> f64 {
    match all {
        0 => 0.0,
        _ if count == 0 || count >= all => count as f64 / all as f64,
        // Some are neither none nor all.
        _ => {
            let billionths = (count as f64 / all as f64 * 1e9).round();
            billionths.clamp(1.0, 1e9 - 1.0) / 1e9
        }
    }
}

/// Short numbers survive any reader.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

impl Spread {
    fn of(latencies: &Latencies) -> Spread {
        let at = |quantile| latencies.value_at_quantile(quantile);
        let steps = 0..=DECADES * STEPS_PER_DECADE;
        let quantile = |step| 1.0 - 10_f64.powf(-f64::from(step) / f64::from(STEPS_PER_DECADE));
        let count = latencies.len();
        // Beyond the last answer there is nothing but that answer.
        let is_known = |quantile: &f64| (1.0 - quantile) * count as f64 >= 1.0;
        let quantiles = steps.map(quantile).filter(is_known);
        Spread {
            count,
            mean_ns: rounded(latencies.mean()),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p99_9_ns: at(0.999),
            p99_99_ns: at(0.9999),
            max_ns: latencies.max(),
            percentiles: quantiles
                .map(|it| ((it * 1e9).round() / 1e9, at(it)))
                .collect(),
        }
    }
}

impl Generator {
    fn of(settings: &Settings, figures: &Figures, outcome: &RunResult) -> Generator {
        let cpus = &settings.cpus;
        let thread = |(at, used): (usize, &flk_bench_load::cpu::CpuUse)| Thread {
            pinned_to: cpus.get(at % cpus.len().max(1)).copied(),
            cpu_share: rounded(used.share()),
        };
        let threads: Vec<Thread> = outcome.threads.iter().enumerate().map(thread).collect();
        let reasons = limits(&Symptoms {
            cpu_share_max: threads.iter().map(|it| it.cpu_share).fold(0.0, f64::max),
            lag_p99: Duration::from_nanos(figures.lag.p99_ns),
            latency_p99: Duration::from_nanos(figures.from_due.p99_ns),
        });
        Generator {
            threads,
            was_limit: !reasons.is_empty(),
            reasons: reasons.iter().map(Limit::to_string).collect(),
        }
    }
}

impl Point {
    fn of(second: &Second) -> Point {
        Point {
            second: second.second,
            sent: second.sent,
            answered: second.answered,
            errors: second.errors,
            p50_ns: second.p50_ns,
            p99_ns: second.p99_ns,
            max_ns: second.max_ns,
        }
    }
}

#[cfg(test)]
#[path = "saved_tests.rs"]
pub(super) mod tests;
