//! The table of metrics and both formats of the page, read by a checker that accepts nothing doubtful.

use super::exposition::{Format, render};
use super::table::{Kind, Unit, Value, metrics};
use super::*;
use std::collections::{BTreeMap, BTreeSet};

fn page(stats: &Stats, format: Format) -> String {
    let mut text = String::new();
    render(&stats.parts(), format, &mut text);
    text
}

/// Statistics in which nearly nothing is 0.
fn busy() -> Stats {
    let stats = Stats::new(2);
    for (shard, page) in stats.shards.iter().enumerate() {
        page.ingest.add(2 + shard as u64);
        page.reasons[0].add(1);
        page.answered(200);
        page.answered(503);
        for value in [0.05, 0.12, 0.3, 9.0] {
            page.latency_s.observe(value);
        }
        page.d_hat_deviation.observe(1e-7);
        let tenant = page.tenants.tenant_row(0, "default");
        page.tenants.key_row(tenant, "2026-11");
        page.tenants.params_row(tenant, "1");
    }
    stats.keeper.hold_rows.show(&[holds::ShownHold {
        name: "backup",
        kept_bytes: 0,
        behind_bytes: 4096,
        age_s: 7,
    }]);
    for (shard, value_us) in [(0, 120_000), (1, 119_000), (1, 9_000_000)] {
        stats.traces[shard].note(&traces::Exemplar {
            trace_id: [0xa0 + shard as u8; 16],
            value_us,
            wall_us: 1_700_000_000_000_020 + shard as u64,
        });
    }
    stats.process.cpu_us.set(1_250_000);
    stats.observed[1].cpu_us.set(750_000);
    stats.parts().header.region.set("a\"b\\c\nd");
    stats
}

#[test]
fn promised_names_are_unlabelled_integer_samples_summed_over_shards() {
    let text = page(&busy(), Format::Prometheus);
    for line in [
        "flk_ingest_total 5",
        "flk_dedup_hits 0",
        "flk_accepted 0",
        "flk_escalated 0",
        "flk_signature_errors 0",
        "flk_signature_err 0",
        "flk_wal_errors 0",
        "http_requests_errors_total 2",
        "http_requests_total{code=\"200\"} 2",
        "process_cpu_seconds_total 1.25",
        "flk_shard_cpu_seconds_total{shard=\"1\"} 0.75",
        "flk_node_info{region=\"a\\\"b\\\\c\\nd\",node=\"\"} 1",
        "# TYPE flk_dedup_hits counter",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is missing in\n{text}"
        );
    }
}

#[test]
fn a_hold_has_samples_for_as_long_as_it_is_there_and_a_row_of_its_own_for_ever() {
    let stats = Stats::new(1);
    let names: Vec<String> = (0..70).map(|number| format!("hold-{number}")).collect();
    let shown = |name: &str, page: &Stats| {
        let line = format!("flk_wal_hold_age_seconds{{hold=\"{name}\"}} 7\n");
        super::tests::page(page, Format::Prometheus).contains(&line)
    };
    let hold = |name| holds::ShownHold {
        name,
        kept_bytes: 1,
        behind_bytes: 2,
        age_s: 7,
    };
    stats
        .keeper
        .hold_rows
        .show(&[hold(&names[0]), hold(&names[1])]);
    assert!(shown("hold-0", &stats) && shown("hold-1", &stats));
    stats.keeper.hold_rows.show(&[hold(&names[1])]);
    assert!(!shown("hold-0", &stats) && shown("hold-1", &stats));
    for name in &names {
        stats.keeper.hold_rows.show(&[hold(name)]);
    }
    assert!(!shown("hold-69", &stats), "there are 64 rows");
    stats.keeper.hold_rows.show(&[hold(&names[0])]);
    assert!(shown("hold-0", &stats), "it has its row again");
}

#[test]
fn latency_buckets_are_cumulative_and_have_the_edges_of_the_objectives() {
    let text = page(&busy(), Format::Prometheus);
    for (edge, count) in [("0.1", 2), ("0.15", 4), ("0.2", 4), ("0.5", 6), ("+Inf", 8)] {
        let line = format!("http_request_duration_seconds_bucket{{le=\"{edge}\"}} {count}\n");
        assert!(text.contains(&line), "{line} is missing in\n{text}");
    }
    assert!(text.contains("http_request_duration_seconds_sum 18.94\n"));
    assert!(text.contains("flk_d_hat_deviation_bucket{le=\"0.000001\"} 2\n"));
}

#[test]
fn the_table_names_each_metric_once_and_well() {
    let mut seen = BTreeSet::new();
    for metric in metrics() {
        let name = metric.name;
        assert!(seen.insert(name), "{name} is there twice");
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(name.bytes().all(fits), "{name}");
        let help = metric.help;
        assert!(
            help.ends_with('.') && !help.contains(['\n', '\\', '"', '|']),
            "{name}: {help}"
        );
        if metric.kind == Kind::Gauge {
            assert!(!name.ends_with("_total"), "{name} is no counter");
        }
        let says_unit = |unit: &str| name.split('_').any(|word| word == unit);
        assert_eq!(metric.unit == Unit::Seconds, says_unit("seconds"), "{name}");
        assert_eq!(metric.unit == Unit::Bytes, says_unit("bytes"), "{name}");
        let by_shard = matches!(metric.value, Value::Observed(_));
        assert_eq!(by_shard, metric.labels == ["shard"], "{name}");
    }
}

#[test]
fn both_formats_hold_exactly_the_metrics_of_the_table() {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let text = page(&busy(), format);
        let families = check(&text, format);
        let declared = metrics()
            .map(|it| (it.name, it))
            .collect::<BTreeMap<_, _>>();
        assert_eq!(families.len(), declared.len());
        for (family, found) in &families {
            let names = [
                family.clone(),
                format!("{family}_total"),
                format!("{family}_info"),
            ];
            let metric = names.iter().find_map(|name| declared.get(name.as_str()));
            let metric = metric.unwrap_or_else(|| panic!("{family} is not in the table"));
            let mut labels: BTreeSet<&str> = metric.labels.iter().copied().collect();
            if metric.kind == Kind::Histogram {
                labels.insert("le");
            }
            let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
            assert_eq!(found, labels, "{family}");
        }
    }
}

/// Samples have the same names and values in both formats; only the way to write an edge differs.
#[test]
fn a_sample_is_the_same_in_both_formats() {
    let samples = |format| -> Vec<String> {
        let text = page(&busy(), format);
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.contains("le="));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(samples(Format::Prometheus), samples(Format::OpenMetrics));
}

#[test]
fn the_checker_refuses_what_is_not_valid() {
    let text = page(&busy(), Format::OpenMetrics);
    for (from, to) in [
        ("# EOF\n", ""),
        ("# EOF\n", "# EOF\n# EOF\n"),
        ("# TYPE flk_turns counter\n", ""),
        ("\nflk_turns_total ", "\nflk_turns "),
        ("# TYPE flk_accepted unknown", "# TYPE flk_accepted counter"),
        ("le=\"1.0\"", "le=\"1\""),
        ("} 0.119 ", "} 0.09 "),
        ("flk_shards 2\n", "flk_shards 2 # {trace_id=\"a\"} 1 1\n"),
        ("le=\"0.15\"} 4", "le=\"0.15\"} 1"),
        (
            "http_request_duration_seconds_count 8",
            "http_request_duration_seconds_count 9",
        ),
        ("flk_shards 2\n", "flk_shards 2\nflk_shards 2\n"),
        ("flk_shards 2\n", "flk_shards 2\nflk_turns_total 1\n"),
    ] {
        assert!(text.contains(from), "{from}");
        let wrong = text.replacen(from, to, 1);
        let checked = std::panic::catch_unwind(|| check(&wrong, Format::OpenMetrics));
        assert!(checked.is_err(), "{from:?} as {to:?} was accepted");
    }
}

/// Reads a page and returns the names of labels by family. It panics at the first line that is not as the format wants it:
/// each family once and in one piece, HELP, TYPE and UNIT before the samples, no sample twice, buckets ascending up to the
/// count, and in OpenMetrics suffixes by kind, canonical numbers, and the end.
fn check(text: &str, format: Format) -> BTreeMap<String, BTreeSet<String>> {
    let open = format == Format::OpenMetrics;
    let text = match open {
        true => text.strip_suffix("# EOF\n").expect("the end is marked"),
        false => text,
    };
    let mut checker = Checker {
        open,
        ..Checker::default()
    };
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(comment) => checker.comment(comment),
            None => checker.sample(line),
        }
    }
    checker.families
}

#[derive(Default)]
struct Checker {
    open: bool,
    families: BTreeMap<String, BTreeSet<String>>,
    samples: BTreeSet<String>,
    /// Name and kind of the family that the lines belong to.
    family: (String, String),
    buckets: Vec<(f64, u64)>,
}

impl Checker {
    fn comment(&mut self, line: &str) {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let [what, name, value] = words[..] else {
            panic!("{line}")
        };
        if what == "HELP" {
            self.family = (name.to_owned(), String::new());
            let before = self.families.insert(name.to_owned(), BTreeSet::new());
            assert!(before.is_none(), "twice: {line}");
        }
        assert_eq!(name, self.family.0, "{line}");
        match what {
            "HELP" => {}
            "TYPE" => self.family.1 = value.to_owned(),
            "UNIT" => assert!(self.open && name.ends_with(&format!("_{value}")), "{line}"),
            _ => panic!("{line}"),
        }
    }

    fn sample(&mut self, line: &str) {
        let (line, exemplar) = match line.split_once(" # ") {
            Some((line, exemplar)) => (line, Some(exemplar)),
            None => (line, None),
        };
        let (sample, value) = line.rsplit_once(' ').expect("a sample has a value");
        assert!(self.samples.insert(sample.to_owned()), "twice: {line}");
        assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let suffix = name
            .strip_prefix(&self.family.0)
            .expect("samples follow their family");
        let suffixes: &[&str] = match (self.family.1.as_str(), self.open) {
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            ("counter", true) => &["_total"],
            ("info", true) => &["_info"],
            ("gauge" | "unknown", true) | ("counter" | "gauge", false) => &[""],
            (kind, _) => panic!("{kind:?} is no kind: {line}"),
        };
        assert!(suffixes.contains(&suffix), "{line}");
        let labels = labels_of(labels);
        if suffix == "_bucket" {
            let edge = labels.iter().find(|(name, _)| name == "le");
            let edge = &edge.expect("a bucket has an edge").1;
            let canonical = edge.contains(['.', 'e', 'I']);
            assert!(!self.open || canonical, "{line}");
            let edge = edge.replace("+Inf", "inf").parse().unwrap();
            self.buckets.push((edge, value.parse().unwrap()));
            if let Some(exemplar) = exemplar {
                self.exemplar(exemplar);
            }
            let ascends = |pair: &[(f64, u64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
            assert!(self.buckets.windows(2).all(ascends), "{line}");
        }
        assert!(
            exemplar.is_none() || (suffix == "_bucket" && self.open),
            "{line}"
        );
        if suffix == "_count" {
            let last = self.buckets.drain(..).next_back();
            let (edge, count) = last.expect("buckets come first");
            assert!(edge.is_infinite() && count.to_string() == value, "{line}");
        }
        let known = self.families.get_mut(&self.family.0);
        let names = labels.into_iter().map(|(name, _)| name);
        known.expect("a sample has a family").extend(names);
    }

    /// `{trace_id="…"} value time`, of the bucket that was read last.
    fn exemplar(&mut self, text: &str) {
        let words: Vec<&str> = text.split(' ').collect();
        let [labels, value, time] = words[..] else {
            panic!("{text}")
        };
        let labels = labels_of(labels.strip_prefix('{').expect("labels"));
        let characters: usize = labels.iter().map(|(name, it)| name.len() + it.len()).sum();
        assert!(characters <= 128, "{text}");
        let value: f64 = value.parse().unwrap();
        let [.., (below, _), (edge, _)] = [&[(f64::MIN, 0)], &self.buckets[..]].concat()[..] else {
            panic!("a bucket comes first")
        };
        assert!(below < value && value <= edge, "{text} in {below}..{edge}");
        assert!(time.parse::<f64>().is_ok_and(f64::is_finite), "{text}");
    }
}

#[test]
fn buckets_of_latencies_name_their_newest_trace_in_openmetrics_only() {
    let stats = busy();
    let open = page(&stats, Format::OpenMetrics);
    let bucket = |edge: &str, rest: &str| {
        let line = format!("http_request_duration_seconds_bucket{{le=\"{edge}\"}} {rest}");
        assert!(open.lines().any(|it| it == line), "{line} in {open}");
    };
    let of = |byte: &str| byte.repeat(16);
    // Both shards have one below 0.15 s; that of the second is newer.
    bucket(
        "0.15",
        &format!("4 # {{trace_id=\"{}\"}} 0.119 1700000000.000021", of("a1")),
    );
    bucket(
        "+Inf",
        &format!("8 # {{trace_id=\"{}\"}} 9 1700000000.000021", of("a1")),
    );
    bucket("0.2", "4");
    assert!(!page(&stats, Format::Prometheus).contains("trace_id"));
}

/// Reads `name="value",…}`.
fn labels_of(text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let mut rest = text.strip_suffix('}').unwrap_or(text);
    while !rest.is_empty() {
        let (name, behind) = rest.split_once("=\"").expect("a label has a value");
        let mut value = String::new();
        let mut characters = behind.char_indices();
        let end = loop {
            match characters.next().expect("the value ends") {
                (at, '"') => break at,
                (_, '\\') => value.push(characters.next().expect("something is escaped").1),
                (_, character) => value.push(character),
            }
        };
        labels.push((name.to_owned(), value));
        rest = behind[end + 1..].trim_start_matches(',');
    }
    labels
}
