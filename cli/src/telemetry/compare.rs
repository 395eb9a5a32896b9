//! A page of metrics against what is declared: a family that is not declared, one that is missing, and one of another kind,
//! with another text or other labels are each a difference. It judges no value.

use super::{Metric, Presence, Process, metrics};
use crate::page::samples::Samples;
use flk_dataplane::stats::table::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    Undeclared(String),
    Missing(&'static str),
    Kind {
        name: String,
        found: String,
        declared: &'static str,
    },
    Help(String),
    Labels {
        name: String,
        found: BTreeSet<String>,
        declared: &'static [&'static str],
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Undeclared(name) => write!(out, "{name} is not declared"),
            Difference::Missing(name) => write!(out, "{name} is missing"),
            Difference::Kind {
                name,
                found,
                declared,
            } => write!(out, "{name} is a {found}, declared as {declared}"),
            Difference::Help(name) => write!(out, "{name} has another text than declared"),
            Difference::Labels {
                name,
                found,
                declared,
            } => {
                let found: Vec<&str> = found.iter().map(String::as_str).collect();
                let (found, declared) = (found.join(", "), declared.join(", "));
                write!(
                    out,
                    "{name} has the labels [{found}], declared with [{declared}]"
                )
            }
        }
    }
}

/// What was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Families of the page.
    pub(crate) families_count: usize,
    /// Whose metrics the page should have.
    pub(crate) processes: Vec<Process>,
    pub(crate) differences: Vec<Difference>,
}

/// Compares a page in text format 0.0.4; none: it is no page of flk.
pub(crate) fn compare(page: &str) -> Option<Compared> {
    let samples = Samples::read(page)?;
    let families = families(page);
    let processes = processes(&samples)?;
    let knows_dataplane = families.contains_key("flk_control_snapshot_number");
    let expected: Vec<Metric> = metrics()
        .filter(|it| processes.contains(&it.process))
        .collect();
    let mut differences = undeclared(&families, &samples, &expected);
    for metric in &expected {
        match families.get(metric.name) {
            Some(family) => differences.extend(differing(metric, family, &samples)),
            None if metric.presence == Presence::WithDataplane && !knows_dataplane => {}
            None => differences.push(Difference::Missing(metric.name)),
        }
    }
    differences.sort();
    Some(Compared {
        families_count: families.len(),
        processes,
        differences,
    })
}

/// Whose metrics a page should have: control's page has the data plane's if it could fetch them.
fn processes(samples: &Samples) -> Option<Vec<Process>> {
    match samples.value("flk_control_scrape_ok") {
        Some(scraped) if scraped > 0.0 => Some(vec![Process::Dataplane, Process::Control]),
        Some(_) => Some(vec![Process::Control]),
        None => samples
            .value("flk_shards")
            .map(|_| vec![Process::Dataplane]),
    }
}

/// What stands in front of a family's samples.
#[derive(Clone, Copy, Debug, Default)]
struct Family<'a> {
    kind: &'a str,
    help: &'a str,
}

fn families(page: &str) -> BTreeMap<&str, Family<'_>> {
    let mut families: BTreeMap<&str, Family<'_>> = BTreeMap::new();
    for comment in page.lines().filter_map(|line| line.strip_prefix("# ")) {
        let mut words = comment.splitn(3, ' ');
        let (what, name) = (words.next(), words.next().unwrap_or_default());
        let rest = words.next().unwrap_or_default();
        match what {
            Some("HELP") => families.entry(name).or_default().help = rest,
            Some("TYPE") => families.entry(name).or_default().kind = rest,
            _ => {}
        }
    }
    families
}

/// Families that nothing declares, and samples outside any family.
fn undeclared(
    families: &BTreeMap<&str, Family<'_>>,
    samples: &Samples,
    expected: &[Metric],
) -> Vec<Difference> {
    let names: BTreeSet<&str> = expected.iter().map(|it| it.name).collect();
    let outside = samples.names().map(|(name, _)| name).filter(|name| {
        let family = histogram_of(name).filter(|it| families.contains_key(it));
        !families.contains_key(family.unwrap_or(name))
    });
    let unknown = families
        .keys()
        .copied()
        .filter(|name| !names.contains(name));
    let all: BTreeSet<&str> = outside.chain(unknown).collect();
    all.into_iter()
        .map(|name| Difference::Undeclared(name.to_owned()))
        .collect()
}

/// The histogram that a sample would be of.
fn histogram_of(sample: &str) -> Option<&str> {
    ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| sample.strip_suffix(suffix))
}

fn differing(metric: &Metric, family: &Family<'_>, samples: &Samples) -> Vec<Difference> {
    let name = || metric.name.to_owned();
    let mut differences = Vec::new();
    if family.kind != metric.kind.name() {
        differences.push(Difference::Kind {
            name: name(),
            found: family.kind.to_owned(),
            declared: metric.kind.name(),
        });
    }
    if family.help != metric.help {
        differences.push(Difference::Help(name()));
    }
    let declared: BTreeSet<&str> = metric.labels.iter().copied().collect();
    let of_metric = samples.names().filter(|(sample, _)| match metric.kind {
        Kind::Histogram => histogram_of(sample) == Some(metric.name),
        _ => *sample == metric.name,
    });
    let found = of_metric.map(|(_, mut labels)| {
        if metric.kind == Kind::Histogram {
            labels.remove("le");
        }
        labels
    });
    if let Some(found) = found.into_iter().find(|found| *found != declared) {
        differences.push(Difference::Labels {
            name: name(),
            found: found.into_iter().map(str::to_owned).collect(),
            declared: metric.labels,
        });
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_control::metrics::page as of_control;
    use flk_control::view::View;
    use flk_dataplane::stats::Stats;
    use flk_dataplane::stats::exposition::{Format, render};

    fn dataplane() -> String {
        let mut page = String::new();
        render(&Stats::new(2).parts(), Format::Prometheus, &mut page);
        page
    }

    fn differences(page: &str) -> Vec<String> {
        let compared = compare(page).unwrap();
        compared
            .differences
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn pages_are_what_is_declared_of_the_processes_that_are_part_of_them() {
        use Process::{Control, Dataplane};
        let dataplane = dataplane();
        let both = of_control(&View::default(), Some(&dataplane), Format::Prometheus);
        let alone = of_control(&View::default(), None, Format::Prometheus);
        for (page, processes) in [
            (&dataplane, vec![Dataplane]),
            (&both, vec![Dataplane, Control]),
            (&alone, vec![Control]),
        ] {
            let compared = compare(page).unwrap();
            assert_eq!(compared.differences, []);
            assert_eq!(compared.processes, processes);
        }
        assert!(compare("up 1\n").is_none());
        assert!(compare("<html>").is_none());
    }

    #[test]
    fn one_sample_of_several_without_its_label_is_named() {
        let page = dataplane();
        let (from, to) = ("flk_shard_stuck{shard=\"0\"}", "flk_shard_stuck");
        assert!(page.contains(from));
        assert_ne!(differences(&page.replace(from, to)), [""; 0]);
    }

    #[test]
    fn each_difference_is_named() {
        let page = dataplane();
        let without_gauge = page
            .lines()
            .filter(|line| !line.contains("flk_shards"))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            compare(&without_gauge).is_none(),
            "what has no shards is no gateway"
        );
        for (from, to, expect) in [
            (
                "flk_wal_syncs",
                "flk_wal_sinks",
                &["flk_wal_sinks is not declared", "flk_wal_syncs is missing"][..],
            ),
            (
                "# TYPE flk_slices gauge",
                "# TYPE flk_slices counter",
                &["flk_slices is a counter, declared as gauge"],
            ),
            (
                "# HELP flk_slices Slices",
                "# HELP flk_slices Pieces",
                &["flk_slices has another text than declared"],
            ),
            (
                "flk_slices 0",
                "flk_slices{shard=\"0\"} 0",
                &["flk_slices has the labels [shard], declared with []"],
            ),
            (
                "flk_node_info{region=\"\",node=\"\"}",
                "flk_node_info{region=\"\"}",
                &["flk_node_info has the labels [region], declared with [region, node]"],
            ),
            (
                "http_request_duration_seconds_sum 0",
                "http_request_duration_seconds_sum{code=\"200\"} 0",
                &["http_request_duration_seconds has the labels [code], declared with []"],
            ),
            (
                "# TYPE flk_shards gauge",
                "stray 1\n# TYPE flk_shards gauge",
                &["stray is not declared"],
            ),
        ] {
            assert!(page.contains(from), "{from}");
            assert_eq!(differences(&page.replace(from, to)), expect, "{from}");
        }
    }
}
