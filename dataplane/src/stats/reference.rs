//! `docs/metrics.md`, made from the table of metrics. A test fails when the page is another one.

use super::table::{GROUPS, Kind, Metric};
use std::fmt::Write;

/// The page.
pub fn reference() -> String {
    let mut text = "\
# Metrics

Made by `flk-dataplane --metrics-reference`; a test compares. What to watch, and how to read it, is in
[operations](operations.md#metrics).

`/metrics` answers Prometheus text 0.0.4, and OpenMetrics 1.0 to a client that asks for it with `Accept`. Names and values are the same
in both. In OpenMetrics a counter's family lacks the `_total` of its samples, and counters whose promised name has no `_total` are of
type `unknown`. Counters begin at 0 with the process. A sample without the label `shard` is the sum over all shards.
"
    .to_owned();
    for (heading, group) in GROUPS {
        let _ = writeln!(
            text,
            "\n## {heading}\n\n| name | kind | unit | labels | |\n|---|---|---|---|---|"
        );
        for metric in group {
            let _ = writeln!(text, "{}", row(metric));
        }
    }
    text
}

fn row(metric: &Metric) -> String {
    let kind = match metric.kind {
        Kind::Info => "info",
        kind => kind.name(),
    };
    let labels: Vec<String> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
    let (unit, labels, help) = (metric.unit.name(), labels.join(", "), metric.help);
    format!(
        "| `{}` | {kind} | {unit} | {labels} | {help} |",
        metric.name
    )
}
