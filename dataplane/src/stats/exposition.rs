//! The statistics as text: Prometheus format 0.0.4 by default, OpenMetrics 1.0 on request. It renders the table of metrics and
//! knows none of them. It does not use a client library because those append `_total` to counters, and deployed dashboards
//! query these names without it.

use super::cell::Buckets;
use super::family::Family;
use super::format::Number;
use super::page::Parts;
use super::table::{Metric, Unit, Value, metrics};
use super::traces::Exemplar;
use super::{Cell, ShardStats, Traces};
use std::fmt::{self, Display, Write};

pub use super::format::Format;

/// The last line of a page of OpenMetrics.
pub const OPEN_METRICS_END: &str = "# EOF\n";

/// Renders all metrics.
pub fn render(parts: &Parts<'_>, format: Format, out: &mut String) {
    for metric in metrics() {
        let family = Family::of(metric.name, metric.kind, format);
        let mut text = Text {
            metric,
            family,
            format,
            out,
        };
        family.head(metric.help, metric.unit, text.out);
        text.samples(parts);
    }
    if format == Format::OpenMetrics {
        out.push_str(OPEN_METRICS_END);
    }
}

struct Text<'a> {
    metric: &'static Metric,
    family: Family,
    format: Format,
    out: &'a mut String,
}

impl Text<'_> {
    fn samples(&mut self, parts: &Parts<'_>) {
        let sum = |cell: fn(&ShardStats) -> &Cell| {
            Number(parts.shards.iter().map(|page| cell(page).get()).sum())
        };
        match self.metric.value {
            Value::Shards(cell) => self.sample(&[], sum(cell)),
            Value::Keeper(cell) => self.sample(&[], Number(cell(parts.keeper).get())),
            Value::Process(cell) => self.sample(&[], Number(cell(parts.process).get())),
            Value::Observed(cell) => {
                for (shard, page) in parts.observed.iter().enumerate() {
                    self.sample(&[&shard.to_string()], Number(cell(page).get()));
                }
            }
            Value::Histogram(of) => self.histogram(&[], parts.shards, &[], of),
            Value::Latency(of) => self.histogram(&[], parts.shards, parts.traces, of),
            Value::HistogramsBy(each) => {
                for (label, of) in each {
                    self.histogram(&[label], parts.shards, &[], of);
                }
            }
            Value::Series(of) => of(parts, &mut |labels, number| self.sample(labels, number)),
        }
    }

    fn sample(&mut self, labels: &[&str], number: Number) {
        let Family { name, suffix, .. } = self.family;
        let labels = Labels(self.metric.labels, labels, None);
        let _ = match self.metric.unit {
            Unit::Seconds => {
                let seconds = number.0 as f64 / 1e6;
                writeln!(self.out, "{name}{suffix}{labels} {seconds}")
            }
            Unit::One | Unit::Bytes => {
                writeln!(self.out, "{name}{suffix}{labels} {}", number.0)
            }
        };
    }

    fn histogram(
        &mut self,
        labels: &[&str],
        shards: &[ShardStats],
        traces: &[Traces],
        of: impl Fn(&ShardStats) -> Buckets<'_>,
    ) {
        let Some(first) = shards.first() else {
            return;
        };
        let Buckets { edges, parts, .. } = of(first);
        let mut counts = vec![0; edges.len() + 1];
        let mut sum_parts = 0;
        for page in shards {
            sum_parts += of(page).sum_parts();
            for (total, count) in counts.iter_mut().zip(of(page).counts()) {
                *total += count;
            }
        }
        let name = self.family.name;
        let mut below = 0;
        let edges = edges.iter().map(|&edge| Edge(edge, self.format));
        let edges = edges.chain([Edge(f64::INFINITY, self.format)]);
        for (bucket, (edge, count)) in edges.zip(counts).enumerate() {
            below += count;
            let labels = Labels(self.metric.labels, labels, Some(edge));
            let newest = match self.format {
                Format::Prometheus => None,
                Format::OpenMetrics => newest(traces, bucket),
            };
            let _ = match newest {
                None => writeln!(self.out, "{name}_bucket{labels} {below}"),
                Some(newest) => writeln!(self.out, "{name}_bucket{labels} {below} # {newest}"),
            };
        }
        let labels = Labels(self.metric.labels, labels, None);
        let sum = sum_parts as f64 / parts;
        let _ = writeln!(
            self.out,
            "{name}_sum{labels} {sum}\n{name}_count{labels} {below}"
        );
    }
}

/// The newest trace of a bucket, of all shards.
fn newest(traces: &[Traces], bucket: usize) -> Option<Exemplar> {
    let of_shards = traces.iter().filter_map(|it| it.exemplar(bucket));
    of_shards.max_by_key(|it| it.wall_us)
}

impl Display for Exemplar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace_id = u128::from_be_bytes(self.trace_id);
        let value_s = self.value_us as f64 / 1e6;
        let (wall_s, part_us) = (self.wall_us / 1_000_000, self.wall_us % 1_000_000);
        write!(
            out,
            "{{trace_id=\"{trace_id:032x}\"}} {value_s} {wall_s}.{part_us:06}"
        )
    }
}

/// Names and values of labels as text, the edge of a bucket behind them.
struct Labels<'a>(&'a [&'a str], &'a [&'a str], Option<Edge>);

impl Display for Labels<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Labels(names, values, edge) = self;
        debug_assert_eq!(names.len(), values.len(), "each label has its value");
        let mut before = '{';
        for (name, value) in names.iter().zip(*values) {
            write!(out, "{before}{name}=\"")?;
            for character in value.chars() {
                match character {
                    '\n' => out.write_str("\\n")?,
                    '"' | '\\' => write!(out, "\\{character}")?,
                    other => out.write_char(other)?,
                }
            }
            out.write_char('"')?;
            before = ',';
        }
        if let Some(edge) = edge {
            write!(out, "{before}le=\"{edge}\"")?;
            before = ',';
        }
        match before {
            '{' => Ok(()),
            _ => out.write_char('}'),
        }
    }
}

/// The edge of a bucket. OpenMetrics has one way to write each number, which is that of Go.
#[derive(Clone, Copy, Debug)]
struct Edge(f64, Format);

impl Display for Edge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Edge(edge, _) if edge.is_infinite() => out.write_str("+Inf"),
            Edge(edge, Format::Prometheus) => write!(out, "{edge}"),
            Edge(edge, Format::OpenMetrics) if *edge != 0.0 && *edge < 1e-4 => {
                let scientific = format!("{edge:e}");
                let (digits, exponent) = scientific.split_once("e-").unwrap_or((&scientific, "0"));
                write!(out, "{digits}e-{exponent:0>2}")
            }
            Edge(edge, Format::OpenMetrics) => write!(out, "{edge:?}"),
        }
    }
}
