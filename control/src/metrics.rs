//! Control's own metrics as text (format 0.0.4), each family once. It counts nothing itself: the view has the numbers.

use crate::view::{Configuration, Dataplane, View};
use std::fmt::Write;

/// The page: control's metrics, and behind them the data plane's as they came.
pub fn page(view: &View, dataplane: Option<&str>) -> String {
    let mut text = own(view);
    let scraped = u64::from(dataplane.is_some());
    family(
        &mut text,
        "flk_control_scrape_ok",
        "gauge",
        "Whether the data plane's metrics are part of this page.",
        &[("", scraped)],
    );
    text.push_str(dataplane.unwrap_or_default());
    text
}

fn own(view: &View) -> String {
    let mut text = String::new();
    let mut add = |name, kind, help, value| family(&mut text, name, kind, help, &[("", value)]);
    add(
        "flk_control_dataplane_up",
        "gauge",
        "Whether the data plane answered the last question.",
        u64::from(view.dataplane == Dataplane::Answers),
    );
    add(
        "flk_control_configuration_in_force",
        "gauge",
        "Whether the configuration is what is in force.",
        u64::from(view.configuration == Configuration::InForce),
    );
    add(
        "flk_control_rollback_holds",
        "gauge",
        "Whether a rollback holds against the configuration.",
        u64::from(view.pinned.is_some()),
    );
    add(
        "flk_control_restart_needed",
        "gauge",
        "Settings that differ and need a restart of the data plane.",
        view.restart_needed.len() as u64,
    );
    let counters = view.counters;
    for (name, help, value) in [
        (
            "flk_control_reload_failures_total",
            "Configurations that were wrong; a line of the log names file, line and key.",
            counters.reload_failures,
        ),
        (
            "flk_control_snapshots_published_total",
            "Snapshots that came into force.",
            counters.published,
        ),
        (
            "flk_control_snapshots_refused_total",
            "Snapshots that the data plane refused.",
            counters.refused,
        ),
        (
            "flk_control_audit_lines_total",
            "Lines of the audit log.",
            counters.audit_lines,
        ),
        (
            "flk_control_requests_denied_total",
            "Requests to the admin API without the token or role that they need.",
            counters.denied,
        ),
    ] {
        add(name, "counter", help, value);
    }
    snapshot(&mut text, view);
    text
}

/// What is known of the snapshot in force.
fn snapshot(text: &mut String, view: &View) {
    let Some(status) = &view.status else {
        return;
    };
    let number = status.in_force.number;
    for (name, help, value) in [
        (
            "flk_control_snapshot_number",
            "The snapshot in force, as the data plane said last.",
            u64::from(number),
        ),
        (
            "flk_control_snapshot_since_seconds",
            "Since when it is in force, in seconds since the Unix epoch.",
            status.in_force.since_s,
        ),
        (
            "flk_control_tenants_closed",
            "Tenants that admit nothing, for a key of theirs could not be loaded.",
            status.closed.len() as u64,
        ),
    ] {
        family(text, name, "gauge", help, &[("", value)]);
    }
    let label = format!("{{number=\"{number}\"}}");
    let is_suspect = view.suspect.iter().any(|it| it.number == number);
    family(
        text,
        "flk_control_snapshot_suspect",
        "gauge",
        "Whether the share of 401, 202 or 429 answers jumped in the first minute under the snapshot in force.",
        &[(&label, u64::from(is_suspect))],
    );
}

fn family(text: &mut String, name: &str, kind: &str, help: &str, samples: &[(&str, u64)]) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}
