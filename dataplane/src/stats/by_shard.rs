//! Some numbers of each shard alone, in text format 0.0.4 under the names that their sums have on the page, with the label
//! `shard`: what tells a shard that is slow or busy from the others. It is no part of `/metrics`.

use super::cell::Buckets;
use super::page::Parts;
use super::{Cell, ShardStats};
use std::fmt::Write;

/// A number of a shard, or a histogram.
#[derive(Clone, Copy)]
enum Of {
    /// Grows from 0.
    Counter(fn(&ShardStats) -> &Cell),
    /// Goes up and down.
    Gauge(fn(&ShardStats) -> &Cell),
    /// Buckets, sum and count.
    Histogram(fn(&ShardStats) -> Buckets<'_>),
}

/// Names on the page, and where the numbers are.
const ALL: [(&str, Of); 9] = [
    ("flk_ingest_total", Of::Counter(|it| &it.ingest)),
    ("flk_turns_total", Of::Counter(|it| &it.turns)),
    ("flk_connections", Of::Gauge(|it| &it.connections)),
    ("flk_requests_in_flight", Of::Gauge(|it| &it.flights)),
    ("flk_mailbox_messages", Of::Gauge(|it| &it.mailbox)),
    ("flk_dedup_keys", Of::Gauge(|it| &it.dedup_keys)),
    ("flk_dedup_bytes", Of::Gauge(|it| &it.dedup_bytes)),
    (
        "flk_wal_flush_seconds",
        Of::Histogram(|it| it.flush_s.view()),
    ),
    (
        "flk_wal_batch_records",
        Of::Histogram(|it| it.batch_records.view()),
    ),
];

/// Claims that went to another shard or came back within the turn.
const HOPS: &str = "flk_stage_seconds_count";

/// Appends them.
pub(crate) fn render(parts: &Parts<'_>, out: &mut String) {
    for (name, of) in ALL {
        let kind = match of {
            Of::Counter(_) => "counter",
            Of::Gauge(_) => "gauge",
            Of::Histogram(_) => "histogram",
        };
        let _ = writeln!(out, "# TYPE {name} {kind}");
        for (shard, page) in parts.shards.iter().enumerate() {
            match of {
                Of::Counter(of) | Of::Gauge(of) => {
                    let _ = writeln!(out, "{name}{{shard=\"{shard}\"}} {}", of(page).get());
                }
                Of::Histogram(of) => histogram(name, shard, of(page), out),
            }
        }
    }
    let _ = writeln!(out, "# TYPE flk_stage_seconds histogram");
    for (shard, page) in parts.shards.iter().enumerate() {
        let count: u64 = page.owner_hop_s.view().counts().sum();
        let _ = writeln!(
            out,
            "{HOPS}{{shard=\"{shard}\",stage=\"owner_hop\"}} {count}"
        );
    }
}

fn histogram(name: &str, shard: usize, of: Buckets<'_>, out: &mut String) {
    let edges = of.edges.iter().map(f64::to_string);
    let mut below = 0;
    for (edge, count) in edges.chain(["+Inf".to_owned()]).zip(of.counts()) {
        below += count;
        let _ = writeln!(
            out,
            "{name}_bucket{{shard=\"{shard}\",le=\"{edge}\"}} {below}"
        );
    }
    let sum = of.sum_parts() as f64 / of.parts;
    let _ = writeln!(
        out,
        "{name}_sum{{shard=\"{shard}\"}} {sum}\n{name}_count{{shard=\"{shard}\"}} {below}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Stats;
    use crate::stats::exposition::{self, Format};

    #[test]
    fn the_numbers_of_shards_add_up_to_those_of_the_page() {
        let stats = Stats::new(3);
        for (number, page) in (1..).zip(stats.shards.iter()) {
            page.ingest.add(number);
            page.connections.set(10 * number);
            page.flush_s.observe_all(0.002, number);
            page.batch_records.observe(number as f64);
            page.owner_hop_s.observe_all(0.0, number);
        }
        let (mut alone, mut together) = (String::new(), String::new());
        render(&stats.parts(), &mut alone);
        exposition::render(&stats.parts(), Format::Prometheus, &mut together);
        let number = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
        let mut compared = 0;
        for line in together.lines().filter(|line| !line.starts_with('#')) {
            let (key, sum) = line.rsplit_once(' ').unwrap();
            let with_shard = |shard: u16| match key.split_once('{') {
                Some((name, labels)) => format!("{name}{{shard=\"{shard}\",{labels} "),
                None => format!("{key}{{shard=\"{shard}\"}} "),
            };
            let of_shards: Vec<f64> = (0..3)
                .filter_map(|shard| {
                    let begin = with_shard(shard);
                    let found = alone.lines().find(|line| line.starts_with(&begin));
                    found.map(number)
                })
                .collect();
            if !of_shards.is_empty() {
                compared += 1;
                assert_eq!(of_shards.len(), 3, "{key}");
                assert_eq!(
                    of_shards.iter().sum::<f64>(),
                    sum.parse::<f64>().unwrap(),
                    "{key}"
                );
            }
        }
        let lines = alone.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(compared * 3, lines, "each is one of the page");
    }

    #[test]
    fn each_number_has_the_label_of_the_shard_that_it_is_of() {
        let stats = Stats::new(2);
        let page = &stats.shards[1];
        page.ingest.add(5);
        page.connections.set(6);
        page.flush_s.observe_all(0.002, 7);
        page.owner_hop_s.observe_all(0.0, 8);
        let mut alone = String::new();
        render(&stats.parts(), &mut alone);
        for (name, more, number) in [
            ("flk_ingest_total", "", 5),
            ("flk_connections", "", 6),
            ("flk_wal_flush_seconds_count", "", 7),
            ("flk_wal_flush_seconds_bucket", ",le=\"+Inf\"", 7),
            (HOPS, ",stage=\"owner_hop\"", 8),
        ] {
            for (shard, expected) in [(0, 0), (1, number)] {
                let line = format!("{name}{{shard=\"{shard}\"{more}}} {expected}");
                assert!(alone.lines().any(|it| it == line), "{line}\n{alone}");
            }
        }
    }
}
