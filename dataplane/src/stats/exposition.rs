//! The statistics as Prometheus text, format version 0.0.4. It does not use a client library because those append `_total` to
//! counters, and deployed dashboards query these names without it.

use super::{Cell, Histogram, KeeperStats, STATUSES, ShardStats, Stats};
use flk_contract::record::Regime;
use flk_contract::verify::Reason;
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// Content type of [`render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric of one kind: name, help, and its place in a shard's page.
type Row<T> = (&'static str, &'static str, fn(&ShardStats) -> &T);

#[rustfmt::skip] // a table
const COUNTERS: [Row<Cell>; 17] = [
    ("flk_ingest_total", "POST requests observed, whatever their answer.", |page| &page.ingest),
    ("flk_dedup_hits", "Duplicates answered with the stored outcome.", |page| &page.dedup_hits),
    ("flk_dedup_conflicts", "Duplicates whose signed content differs from the first.", |page| &page.dedup_conflicts),
    ("flk_accepted", "First outcomes that accept.", |page| &page.accepted),
    ("flk_escalated", "First outcomes that escalate.", |page| &page.escalated),
    ("flk_signature_errors", "Records refused because of their signature.", |page| &page.signature_errors),
    ("flk_signature_err", "Alias of flk_signature_errors.", |page| &page.signature_errors),
    ("flk_wal_errors", "Failed log writes and syncs.", |page| &page.wal_errors),
    ("flk_wal_bytes_written", "Bytes of durable log batches.", |page| &page.wal_bytes),
    ("flk_wal_syncs", "Durable log batches, one flush each.", |page| &page.wal_syncs),
    ("flk_wal_records", "Log records in durable batches.", |page| &page.wal_records),
    ("flk_slice_reads_total", "Blocks of slices read to answer duplicates.", |page| &page.slice_reads),
    ("flk_slice_read_errors_total", "Reads of slices that failed: answered 503.", |page| &page.slice_read_errors),
    ("flk_slice_blocks_damaged_total", "Blocks of slices that are not what they were: answered 503.", |page| &page.slice_blocks_damaged),
    ("flk_claim_faults_total", "Claims that should never have come: a mistake of flk if above 0.", |page| &page.claim_faults),
    ("flk_connections_evicted_total", "Connections without a whole request, closed to make room for new ones.", |page| &page.connections_evicted),
    ("flk_turns_total", "Turns of all shards.", |page| &page.turns),
];

#[rustfmt::skip] // a table
const HISTOGRAMS: [Row<Histogram>; 6] = [
    ("http_request_duration_seconds", "From the whole request to its answer.", |page| &page.latency_s),
    ("flk_claimed_d_hat", "Claimed D-hat of first outcomes.", |page| &page.d_hat),
    ("flk_d_hat_deviation", "Absolute difference of claimed and recomputed D-hat.", |page| &page.d_hat_deviation),
    ("flk_coh_star", "Coherence of first outcomes.", |page| &page.coh_star),
    ("flk_r", "Compressibility of first outcomes.", |page| &page.r),
    ("flk_budget", "Claimed budget of first outcomes.", |page| &page.budget),
];

#[rustfmt::skip] // a table
const GAUGES: [Row<Cell>; 6] = [
    ("flk_connections", "Open connections.", |page| &page.connections),
    ("flk_connections_max", "Connections that stay open at a time.", |page| &page.connections_max),
    ("flk_requests_in_flight", "Admitted requests without a durable end.", |page| &page.flights),
    ("flk_dedup_keys", "Keys in the dedup tables.", |page| &page.dedup_keys),
    ("flk_dedup_bytes", "Bytes of the dedup tables.", |page| &page.dedup_bytes),
    ("flk_dedup_bytes_max", "Declared limit of the dedup tables.", |page| &page.dedup_bytes_max),
];

/// A metric of the keeper: name, help, kind, and its place.
type KeeperRow = (
    &'static str,
    &'static str,
    &'static str,
    fn(&KeeperStats) -> &Cell,
);

#[rustfmt::skip] // a table
const KEEPER: [KeeperRow; 12] = [
    ("flk_wal_segments", "Log segments that are kept.", "gauge", |page| &page.segments),
    ("flk_wal_segments_crowded_out_total", "Log segments deleted before their time because there were too many.", "counter", |page| &page.segments_crowded_out),
    ("flk_wal_space_errors_total", "Times that the file system under WAL_DIR could not be measured.", "counter", |page| &page.space_errors),
    ("flk_slices", "Slices that are kept.", "gauge", |page| &page.slices),
    ("flk_slice_memory_bytes", "Bytes of filters and indexes of slices.", "gauge", |page| &page.slice_memory_bytes),
    ("flk_slice_memory_bytes_max", "Bytes that there are for them; 0: no limit is known.", "gauge", |page| &page.slice_memory_bytes_max),
    ("flk_slice_memory_exceeded_total", "Sets of slices put in force that take more than that.", "counter", |page| &page.slice_memory_exceeded),
    ("flk_manifest_bytes", "Bytes of the manifest.", "gauge", |page| &page.manifest_bytes),
    ("flk_manifest_bytes_max", "Bytes that the manifest may take.", "gauge", |page| &page.manifest_bytes_max),
    ("flk_snapshot_number", "Number of the configuration snapshot in force; 0: what the process was started with.", "gauge", |page| &page.snapshot),
    ("flk_snapshot_since_seconds", "When it came into force, in seconds since the Unix epoch.", "gauge", |page| &page.snapshot_since_s),
    ("flk_tenants_closed", "Tenants that admit nothing because a key could not be loaded at the start.", "gauge", |page| &page.tenants_closed),
];

/// Renders all metrics.
pub fn render(stats: &Stats, out: &mut String) {
    let text = &mut Text { stats, out };
    for (name, help, cell) in COUNTERS {
        text.summed(name, help, "counter", cell);
    }
    let name = "flk_log_lines_dropped_total";
    text.head(
        name,
        "Log lines dropped because standard error could not take them.",
        "counter",
    );
    text.sample(name, stats.log_lines_dropped.load(Ordering::Relaxed));
    render_labelled(text);
    for (name, help, of) in HISTOGRAMS {
        text.histogram(name, help, of);
    }
    for (name, help, cell) in GAUGES {
        text.summed(name, help, "gauge", cell);
    }
    for (name, help, kind, cell) in KEEPER {
        text.head(name, help, kind);
        text.sample(name, cell(&stats.keeper).get());
    }
    text.head("flk_shards", "Shards of this process.", "gauge");
    text.sample("flk_shards", stats.shards.len() as u64);
}

/// Counters by reason, regime and status, and the errors among the statuses.
fn render_labelled(text: &mut Text<'_>) {
    text.head(
        "flk_escalated_by_reason_total",
        "First outcomes that escalate, by reason.",
        "counter",
    );
    for (at, reason) in (1..).zip(0..5) {
        if let Some(name) = Reason::from_code(at) {
            text.labelled(
                "flk_escalated_by_reason_total",
                "reason",
                name.as_str(),
                |page| &page.reasons[reason],
            );
        }
    }
    text.head(
        "flk_outcomes_by_regime_total",
        "First outcomes, by regime.",
        "counter",
    );
    for (at, regime) in [Regime::Sticky, Regime::Mixed, Regime::NonSticky]
        .into_iter()
        .enumerate()
    {
        text.labelled(
            "flk_outcomes_by_regime_total",
            "regime",
            regime.as_str(),
            |page| &page.regimes[at],
        );
    }
    text.head("http_requests_total", "Answers, by status code.", "counter");
    for (at, status) in STATUSES.into_iter().enumerate() {
        text.labelled("http_requests_total", "code", &status.to_string(), |page| {
            &page.answers[at]
        });
    }
    text.head(
        "http_requests_errors_total",
        "Answers with a status other than 2xx.",
        "counter",
    );
    let errors = text
        .stats
        .shards
        .iter()
        .flat_map(|page| page.answers.iter().zip(STATUSES));
    let errors: u64 = errors
        .filter(|(_, status)| status / 100 != 2)
        .map(|(cell, _)| cell.get())
        .sum();
    text.sample("http_requests_errors_total", errors);
}

struct Text<'a> {
    stats: &'a Stats,
    out: &'a mut String,
}

impl Text<'_> {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, value: u64) {
        let _ = writeln!(self.out, "{name} {value}");
    }

    fn sum(&self, cell: impl Fn(&ShardStats) -> &Cell) -> u64 {
        self.stats.shards.iter().map(|page| cell(page).get()).sum()
    }

    fn summed(&mut self, name: &str, help: &str, kind: &str, cell: impl Fn(&ShardStats) -> &Cell) {
        self.head(name, help, kind);
        let value = self.sum(cell);
        self.sample(name, value);
    }

    fn labelled(
        &mut self,
        name: &str,
        label: &str,
        value: &str,
        cell: impl Fn(&ShardStats) -> &Cell,
    ) {
        let sum = self.sum(cell);
        let _ = writeln!(self.out, "{name}{{{label}=\"{value}\"}} {sum}");
    }

    fn histogram(&mut self, name: &str, help: &str, of: impl Fn(&ShardStats) -> &Histogram) {
        self.head(name, help, "histogram");
        let Some(first) = self.stats.shards.first() else {
            return;
        };
        let edges = of(first).edges();
        let mut counts = vec![0; edges.len() + 1];
        let mut sum = 0.0;
        for page in &self.stats.shards {
            sum += of(page).sum();
            for (total, count) in counts.iter_mut().zip(of(page).counts()) {
                *total += count;
            }
        }
        let mut below = 0;
        for (edge, count) in edges.iter().zip(&counts) {
            below += count;
            let _ = writeln!(self.out, "{name}_bucket{{le=\"{edge}\"}} {below}");
        }
        let all: u64 = counts.iter().sum();
        let _ = writeln!(
            self.out,
            "{name}_bucket{{le=\"+Inf\"}} {all}\n{name}_sum {sum}\n{name}_count {all}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_a_problem_is_counted() {
        for problem in crate::http::Problem::ALL {
            assert!(STATUSES.contains(&problem.status()), "{problem:?}");
        }
    }

    #[test]
    fn promised_names_are_unlabelled_integer_samples_summed_over_shards() {
        let stats = Stats::new(2);
        stats.shards[0].ingest.add(2);
        stats.shards[1].ingest.add(3);
        let mut text = String::new();
        render(&stats, &mut text);
        for line in [
            "flk_ingest_total 5",
            "flk_dedup_hits 0",
            "flk_accepted 0",
            "flk_escalated 0",
            "flk_signature_errors 0",
            "flk_signature_err 0",
            "flk_wal_errors 0",
            "http_requests_errors_total 0",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is missing in\n{text}"
            );
        }
    }

    #[test]
    fn latency_buckets_are_cumulative_and_have_the_edges_of_the_objectives() {
        let stats = Stats::new(1);
        for value in [0.05, 0.12, 0.3, 9.0] {
            stats.shards[0].latency_s.observe(value);
        }
        let mut text = String::new();
        render(&stats, &mut text);
        for (edge, count) in [("0.1", 1), ("0.15", 2), ("0.2", 2), ("0.5", 3), ("+Inf", 4)] {
            let line = format!("http_request_duration_seconds_bucket{{le=\"{edge}\"}} {count}");
            assert!(text.contains(&line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("http_request_duration_seconds_sum 9.47\n"));
    }
}
