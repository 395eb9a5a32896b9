//! Control's own metrics, declared once: the page in both formats, `docs/control.md` and the telemetry registry come from this
//! table. It counts nothing itself: the view has the numbers.

use crate::export::Exported;
use crate::view::{Configuration, ConsoleCosts, Dataplane, View};
use flk_dataplane::stats::exposition::{Format, OPEN_METRICS_END};
use flk_dataplane::stats::family::Family;
use flk_dataplane::stats::table::{self, Kind, Unit};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// One metric of control.
pub type Metric = table::Metric<Value>;

/// Where a value is; none: it is not known yet, and the page lacks the metric.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// Of what control shows of itself.
    Of(fn(&View) -> u64),
    /// Of traces on their way to a collector.
    Exported(fn(&Exported) -> &AtomicU64),
    /// Of what the console costs.
    Console(fn(&ConsoleCosts) -> &AtomicU64),
    /// Of the snapshot in force.
    Snapshot(fn(&Status) -> u64),
    /// Of the snapshot in force, by its number.
    ByNumber(fn(&View, u32) -> u64),
    /// Whether the data plane's metrics are part of the page.
    Scraped,
}

type Status = flk_dataplane::driver::agent::protocol::Status;

const fn gauge(name: &'static str, help: &'static str, of: fn(&View) -> u64) -> Metric {
    Metric::new(name, Kind::Gauge, help, Value::Of(of))
}

const fn count(name: &'static str, help: &'static str, of: fn(&View) -> u64) -> Metric {
    Metric::new(name, Kind::Counter, help, Value::Of(of))
}

const fn exported(
    name: &'static str,
    help: &'static str,
    of: fn(&Exported) -> &AtomicU64,
) -> Metric {
    Metric::new(name, Kind::Counter, help, Value::Exported(of))
}

const fn snapshot(name: &'static str, help: &'static str, of: fn(&Status) -> u64) -> Metric {
    Metric::new(name, Kind::Gauge, help, Value::Snapshot(of))
}

/// All of them, in the order of the page.
#[rustfmt::skip] // a table
pub const METRICS: &[Metric] = &[
    gauge("flk_control_dataplane_up", "Whether the data plane answered the last question.", |it| u64::from(it.dataplane == Dataplane::Answers)),
    gauge("flk_control_configuration_in_force", "Whether the configuration is what is in force.", |it| u64::from(it.configuration == Configuration::InForce)),
    gauge("flk_control_rollback_holds", "Whether a rollback holds against the configuration.", |it| u64::from(it.pinned.is_some())),
    gauge("flk_control_restart_needed", "Settings that differ and need a restart of the data plane.", |it| it.restart_needed.len() as u64),
    gauge("flk_control_own_restart_needed", "Settings of control itself that differ and need its restart.", |it| it.control_restart_needed.len() as u64),
    gauge("flk_control_tokens_wrong", "Whether a line of ADMIN_TOKENS_FILE is wrong, or all of it; the log and the status name it.", |it| u64::from(!it.tokens_wrong.is_empty())),
    count("flk_control_reload_failures_total", "Configurations that were wrong; a line of the log names file, line and key.", |it| it.counters.reload_failures),
    count("flk_control_snapshots_published_total", "Snapshots that came into force.", |it| it.counters.published),
    count("flk_control_snapshots_refused_total", "Snapshots that the data plane refused.", |it| it.counters.refused),
    count("flk_control_audit_lines_total", "Lines of the audit log.", |it| it.counters.audit_lines),
    count("flk_control_requests_denied_total", "Requests to the admin API without the token or role that they need.", |it| it.counters.denied),
    exported("flk_control_spans_exported_total", "Spans that a collector took.", |it| &it.spans),
    exported("flk_control_spans_refused_total", "Spans that a collector refused.", |it| &it.refused),
    exported("flk_control_spans_dropped_total", "Spans that were given up: too many waited, or all attempts to send them failed.", |it| &it.dropped),
    exported("flk_control_span_export_failures_total", "Attempts to send spans that failed.", |it| &it.failures),
    exported("flk_control_traces_overwritten_total", "Traces that a shard overwrote before they were read.", |it| &it.overwritten),
    Metric::new("flk_control_console_streams", Kind::Gauge, "Streams of the console that are open.", Value::Console(|it| &it.streams)),
    Metric::new("flk_control_console_streams_cut_total", Kind::Counter, "Streams of the console that were cut off, for their client took nothing for some seconds.", Value::Console(|it| &it.streams_cut)),
    Metric::new("flk_control_console_history_bytes", Kind::Gauge, "Memory that the history of the console takes.", Value::Console(|it| &it.history_bytes)).unit(Unit::Bytes),
    Metric::new("flk_control_console_series_left_out", Kind::Gauge, "Series whose history the console does not keep, for all together take more memory than there is for them.", Value::Console(|it| &it.series_left_out)),
    snapshot("flk_control_snapshot_number", "The snapshot in force, as the data plane said last.", |it| u64::from(it.in_force.number)),
    snapshot("flk_control_snapshot_since_seconds", "Since when it is in force, in seconds since 1970.", |it| it.in_force.since_s).unit(Unit::Seconds),
    snapshot("flk_control_tenants_closed", "Tenants that admit nothing, for a key of theirs could not be loaded.", |it| it.closed.len() as u64),
    Metric::new("flk_control_snapshot_suspect", Kind::Gauge, "Whether the share of 401, 202 or 429 answers jumped in the first minute under the snapshot in force.", Value::ByNumber(suspect)).by(&["number"]),
    Metric::new("flk_control_scrape_ok", Kind::Gauge, "Whether the data plane's metrics are part of this page.", Value::Scraped),
];

fn suspect(view: &View, number: u32) -> u64 {
    u64::from(view.suspect.iter().any(|it| it.number == number))
}

/// The page: control's metrics, and behind them the data plane's as they came in the same format.
pub fn page(view: &View, dataplane: Option<&str>, format: Format) -> String {
    let mut text = String::new();
    for metric in METRICS {
        let Some((labels, value)) = metric.value.sample(view, dataplane.is_some()) else {
            continue;
        };
        let family = Family::of(metric.name, metric.kind, format);
        family.head(metric.help, metric.unit, &mut text);
        let Family { name, suffix, .. } = family;
        let _ = writeln!(text, "{name}{suffix}{labels} {value}");
    }
    match (dataplane, format) {
        (Some(page), _) => text.push_str(page),
        (None, Format::OpenMetrics) => text.push_str(OPEN_METRICS_END),
        (None, Format::Prometheus) => {}
    }
    text
}

impl Value {
    /// Whether the page has it only once control knows the state of a data plane.
    pub fn needs_dataplane(&self) -> bool {
        matches!(self, Value::Snapshot(_) | Value::ByNumber(_))
    }

    /// Its labels as text, and its value.
    fn sample(&self, view: &View, scraped: bool) -> Option<(String, u64)> {
        let status = view.status.as_ref();
        Some(match *self {
            Value::Of(of) => (String::new(), of(view)),
            Value::Exported(of) => (String::new(), of(&view.exported).load(Ordering::Relaxed)),
            Value::Console(of) => (String::new(), of(&view.console).load(Ordering::Relaxed)),
            Value::Snapshot(of) => (String::new(), of(status?)),
            Value::ByNumber(of) => {
                let number = status?.in_force.number;
                (format!("{{number=\"{number}\"}}"), of(view, number))
            }
            Value::Scraped => (String::new(), u64::from(scraped)),
        })
    }
}

/// The table of `docs/control.md`.
pub fn reference() -> String {
    let mut text = "| metric of control | type | what |\n|---|---|---|\n".to_owned();
    for Metric {
        name, kind, help, ..
    } in METRICS
    {
        let _ = writeln!(text, "| `{name}` | {} | {help} |", kind.name());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_operators_has_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/control.md");
        let page = std::fs::read_to_string(path).unwrap();
        let table = reference();
        assert!(page.contains(&table), "docs/control.md needs:\n{table}");
    }

    #[test]
    fn each_count_of_the_export_is_shown_under_its_own_name() {
        let view = View::default();
        let counts = [
            (&view.exported.spans, "spans_exported_total 1"),
            (&view.exported.refused, "spans_refused_total 2"),
            (&view.exported.dropped, "spans_dropped_total 3"),
            (&view.exported.failures, "span_export_failures_total 4"),
            (&view.exported.overwritten, "traces_overwritten_total 5"),
        ];
        for (count, (counter, _)) in (1..).zip(counts) {
            counter.store(count, Ordering::Relaxed);
        }
        let text = page(&view, None, Format::Prometheus);
        for (_, sample) in counts {
            let line = format!("flk_control_{sample}");
            assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn both_formats_have_the_samples_and_open_metrics_has_an_end() {
        let view = View::default();
        let plain = page(&view, None, Format::Prometheus);
        assert!(plain.contains(
            "# TYPE flk_control_audit_lines_total counter\nflk_control_audit_lines_total 0\n"
        ));
        assert!(plain.ends_with("\nflk_control_scrape_ok 0\n"), "{plain}");
        let open = page(&view, None, Format::OpenMetrics);
        assert!(
            open.contains(
                "# TYPE flk_control_audit_lines counter\nflk_control_audit_lines_total 0\n"
            )
        );
        assert!(
            open.ends_with("\nflk_control_scrape_ok 0\n# EOF\n"),
            "{open}"
        );
        let behind = page(&view, Some("other 1\n# EOF\n"), Format::OpenMetrics);
        assert!(behind.ends_with("\nflk_control_scrape_ok 1\nother 1\n# EOF\n"));
    }
}
