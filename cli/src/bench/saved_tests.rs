//! A run of known figures, for the tests of everything that shows one; and that a saved run is read as it was written.

use super::*;
use flk_bench_load::answer::Dedup;
use flk_bench_load::cpu::CpuUse;
use flk_bench_load::tally::Tally;
use std::time::SystemTime;

/// 1,000 answers between 1 and 10 ms, of which one is wrong, and ten errors.
pub(in crate::bench) fn saved() -> Saved {
    let mut total = Tally::new().unwrap();
    let counts = &mut total.measured;
    counts.kinds[Kind::New as usize] = flk_bench_load::tally::OfKind {
        sent: 1_009,
        as_expected: 999,
        unjudged: 0,
        wrong: 1,
    };
    counts.answers.insert((Kind::New, 200, Dedup::Miss), 999);
    counts.answers.insert((Kind::New, 200, Dedup::Hit), 1);
    counts.expected_in_time = 1_000;
    counts.unanswered.lost = 9;
    counts.unanswered.unsent = 1;
    for at in 1..=1_000 {
        total.from_due.record(1_000_000 + at * 9_000).unwrap();
        total.from_sent.record(1_000_000 + at * 4_000).unwrap();
        total.lag.record(5_000 + at).unwrap();
    }
    let outcome = RunResult {
        total,
        seconds: vec![
            Second {
                second: 0,
                sent: 500,
                answered: 490,
                errors: 1,
                p50_ns: 2_000_000,
                p99_ns: 8_000_000,
                max_ns: 9_000_000,
            },
            Second {
                second: 1,
                sent: 509,
                answered: 510,
                errors: 9,
                p50_ns: 3_000_000,
                p99_ns: 9_000_000,
                max_ns: 10_000_000,
            },
        ],
        threads: vec![CpuUse {
            cpu: Duration::from_millis(800),
            wall: Duration::from_secs(2),
        }],
        log: Vec::new(),
        began: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        measured: Duration::from_secs(2),
    };
    Saved::of(context(), &outcome).unwrap()
}

fn context() -> Context {
    Context {
        arguments: vec!["bench".to_owned(), "--rate".to_owned(), "505".to_owned()],
        target: Target {
            url: "http://127.0.0.1:8080/v1/pcs/submit".to_owned(),
            address: "127.0.0.1:8080".to_owned(),
            version: serde_json::json!({"version": "0.2.0"}),
        },
        machine: Machine {
            cpu: "a CPU".to_owned(),
            cpus_count: 2,
            kernel: "6.1".to_owned(),
        },
        settings: Settings {
            r#loop: "open".to_owned(),
            arrivals: "constant".to_owned(),
            rate: Some([505.0, 505.0]),
            duration_s: 2.0,
            connections: 64,
            threads: 1,
            cpus: vec![1],
            seed: 1,
            tenants: 1,
            ..Settings::default()
        },
        asked_per_s: Some(505.0),
        interrupted: false,
    }
}

#[test]
fn a_saved_run_is_read_as_it_was_written() {
    let run = saved();
    let text = serde_json::to_string_pretty(&run).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.json");
    std::fs::write(&path, &text).unwrap();
    assert_eq!(Saved::read(&path).unwrap(), run);
    for wrong in [
        "",
        "{}",
        "[1]",
        &text.replace(FORMAT, "flk-bench-9"),
        &text[..text.len() / 2],
    ] {
        std::fs::write(&path, wrong).unwrap();
        let refused = Saved::read(&path).unwrap_err();
        assert!(refused.text().contains("is not a run"), "{refused:?}");
    }
}

#[test]
fn a_part_is_nothing_or_all_only_where_it_is() {
    for (count, all, expect) in [
        (0, 7, 0.0),
        (0, 0, 0.0),
        (7, 7, 1.0),
        (1, 3, 0.333_333_333),
        (1, u64::MAX, 1e-9),
        (u64::MAX - 1, u64::MAX, 0.999_999_999),
    ] {
        assert_eq!(part(count, all), expect, "{count} of {all}");
    }
}

#[test]
fn figures_are_those_that_were_counted() {
    let run = saved();
    let figures = &run.figures;
    assert_eq!(
        (figures.due, figures.sent, figures.answered),
        (1_010, 1_009, 1_000)
    );
    assert_eq!(figures.achieved_per_s, 500.0);
    assert!((figures.errors_share - 10.0 / 1_010.0).abs() < 1e-8);
    assert_eq!(
        figures.statuses,
        BTreeMap::from([("200".to_owned(), 1_000)])
    );
    assert_eq!(figures.wrong.len(), 1);
    assert_eq!(
        (figures.wrong[0].dedup.as_str(), figures.wrong[0].count),
        ("hit", 1)
    );
    assert_eq!(run.generator.threads[0].cpu_share, 0.4);
    assert!(!run.generator.was_limit);
    let p99 = run.figure(Metric::Quantile(0.99)).unwrap();
    assert!((p99 - 9_910_000.0).abs() < 10_000.0, "{p99}");
    assert_eq!(run.figure(Metric::Quantile(0.98)), None);
    let last = figures.from_due.percentiles.last().unwrap();
    assert!((0.998..=0.999).contains(&last.0), "{last:?}");
}
