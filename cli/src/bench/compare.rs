//! A run beside an earlier one: their figures, the ratio of each, and in what the runs themselves differ. It judges nothing.

use super::amounts::{latency_text, rate_text, share_text};
use super::saved::Saved;
use super::thresholds::{Metric, ratio};

/// Figures that are compared.
const ROWS: [(&str, Metric); 10] = [
    ("rate", Metric::Rate),
    ("errors", Metric::Errors),
    ("p50", Metric::Quantile(0.5)),
    ("p90", Metric::Quantile(0.9)),
    ("p99", Metric::Quantile(0.99)),
    ("p99.9", Metric::Quantile(0.999)),
    ("p99.99", Metric::Quantile(0.9999)),
    ("max", Metric::Max),
    ("mean", Metric::Mean),
    ("lag p99", Metric::Lag),
];

/// Its lines: a figure each, then what makes the runs unlike.
pub(super) fn lines(now: &Saved, then: &Saved) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<10}{:>12}{:>12}{:>8}",
        "",
        then_text(then),
        "this run",
        "ratio"
    )];
    for row in rows(now, then) {
        let [name, before, after, ratio] = row;
        lines.push(format!("{name:<10}{before:>12}{after:>12}{ratio:>8}"));
    }
    lines.extend(differences(now, then));
    lines
}

fn then_text(then: &Saved) -> String {
    then.began.chars().take(10).collect()
}

/// Name, both values and their ratio, as texts.
pub(super) fn rows(now: &Saved, then: &Saved) -> Vec<[String; 4]> {
    let row = |(name, metric): &(&str, Metric)| {
        let (after, before) = (now.figure(*metric)?, then.figure(*metric)?);
        let text = |value, run: &Saved| match metric {
            Metric::Errors => share_text(value),
            Metric::Rate => format!("{}/s", rate_text(value)),
            _ if run.figures.from_due.count == 0 => "-".to_owned(),
            _ => latency_text(value),
        };
        let ratio = match ratio(after, before) {
            it if it.is_finite() => format!("{it:.2}"),
            _ => "-".to_owned(),
        };
        Some([
            (*name).to_owned(),
            text(before, then),
            text(after, now),
            ratio,
        ])
    };
    ROWS.iter().filter_map(row).collect()
}

/// What was not the same in both, so that a ratio may say something of that.
pub(super) fn differences(now: &Saved, then: &Saved) -> Vec<String> {
    let (after, before) = (&now.settings, &then.settings);
    let version = |run: &Saved| run.target.version.to_string();
    let parts = [
        ("the loop", after.r#loop != before.r#loop),
        ("arrivals", after.arrivals != before.arrivals),
        ("the rate", after.rate != before.rate),
        ("connections", after.connections != before.connections),
        ("records of a request", after.batch != before.batch),
        (
            "requests under way on a connection",
            after.pipeline != before.pipeline,
        ),
        (
            "sending threads",
            (after.threads, &after.cpus) != (before.threads, &before.cpus),
        ),
        (
            "the length of bodies",
            after.body_bytes != before.body_bytes,
        ),
        ("the mix", mix(after) != mix(before)),
        ("the machine", now.machine != then.machine),
        ("the version of the gateway", version(now) != version(then)),
        ("the version of flk bench", now.flk != then.flk),
    ];
    let unlike = parts.iter().filter(|(_, differs)| *differs);
    let unlike: Vec<&str> = unlike.map(|(name, _)| *name).collect();
    let mut lines = Vec::new();
    if !unlike.is_empty() {
        lines.push(format!("not the same in both runs: {}", unlike.join(", ")));
    }
    if now.generator.was_limit || then.generator.was_limit {
        lines.push("the generator was the limit of a run: the ratios are its own".to_owned());
    }
    lines
}

fn mix(settings: &super::saved::Settings) -> ([f64; 4], usize) {
    let shares = [
        settings.duplicates,
        settings.bad_signatures,
        settings.malformed,
        settings.ed25519,
    ];
    (shares, settings.tenants)
}

#[cfg(test)]
mod tests {
    use super::super::saved::tests::saved;
    use super::*;

    #[test]
    fn figures_stand_beside_each_other_with_their_ratio() {
        let then = saved();
        let mut now = saved();
        now.figures.achieved_per_s = 250.0;
        now.figures.from_due.p99_ns = then.figures.from_due.p99_ns * 3;
        let text = lines(&now, &then).join("\n");
        for part in [
            "2027-01-15    this run   ratio",
            "rate             500/s       250/s    0.50",
            "    3.00\n",
            "    1.00\n",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(!text.contains("not the same"), "{text}");
    }

    #[test]
    fn a_run_without_an_answer_has_no_latency_to_compare() {
        let (mut now, then) = (saved(), saved());
        now.figures = super::super::saved::Figures::default();
        let text = lines(&now, &then).join("\n");
        assert!(!text.contains(" ns"), "{text}");
    }

    #[test]
    fn what_makes_runs_unlike_is_said() {
        let (mut now, then) = (saved(), saved());
        now.settings.connections = 1;
        now.machine.kernel = "6.2".to_owned();
        now.generator.was_limit = true;
        let text = lines(&now, &then).join("\n");
        assert!(
            text.contains("not the same in both runs: connections, the machine\n"),
            "{text}"
        );
        assert!(text.contains("the ratios are its own"), "{text}");
    }
}
