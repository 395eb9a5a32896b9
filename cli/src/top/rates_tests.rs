//! Rates of fixed readings.

use super::*;

const INF: f64 = f64::INFINITY;

/// A page of one shard, or of all: submissions, CPU time, values up to 10 ms and above, batches.
fn page(ingest: u64, cpu_s: f64, fast: u64, slow: u64, batches: u64) -> String {
    let all = fast + slow;
    let records = batches * 4;
    format!(
        "process_start_time_seconds 1700000000\nflk_shards 1\nflk_ingest_total {ingest}\n\
         flk_shard_cpu_seconds_total{{shard=\"0\"}} {cpu_s}\nflk_shard_stuck{{shard=\"0\"}} 0\n\
         http_request_duration_seconds_bucket{{le=\"0.01\"}} {fast}\nhttp_request_duration_seconds_bucket{{le=\"0.02\"}} {all}\n\
         http_request_duration_seconds_bucket{{le=\"+Inf\"}} {all}\n\
         flk_stage_seconds_bucket{{stage=\"parse\",le=\"0.5\"}} 0\nflk_stage_seconds_bucket{{stage=\"parse\",le=\"+Inf\"}} 9\n\
         flk_stage_seconds_bucket{{stage=\"wal_wait\",le=\"0.5\"}} {batches}\n\
         flk_stage_seconds_bucket{{stage=\"wal_wait\",le=\"+Inf\"}} {batches}\n\
         flk_wal_records {records}\nflk_wal_syncs {batches}\nflk_dedup_keys 12\n\
         flk_log_waiting 1\nflk_room_waiting 2\nflk_memory_waiting 3\n"
    )
}

fn reading(at_s: u64, page: &str, with_shards: bool) -> Reading {
    let whole = Samples::read(page).unwrap();
    let shards = with_shards.then(|| whole.clone()).into_iter().collect();
    let at = Duration::from_secs(at_s);
    Reading { at, whole, shards }
}

fn value(row: &Row, columns: &[Column], name: &str) -> Option<f64> {
    row.values[columns.iter().position(|it| it.name == name).unwrap()]
}

#[test]
fn the_first_reading_says_nothing_and_the_second_the_difference() {
    let mut meter = Meter::default();
    assert_eq!(
        meter.take(reading(1, &page(1000, 5.0, 10, 0, 3), true)),
        None
    );
    let view = meter
        .take(reading(3, &page(1300, 5.0, 20, 10, 8), true))
        .unwrap();
    assert_eq!(view.interval_s, 2.0);
    assert_eq!(view.shards.len(), 1);
    assert_eq!(view.shards[0].name, "0");
    for row in [&view.all, &view.shards[0]] {
        let value = |name| value(row, SHARDS, name);
        assert_eq!(value("requests_per_s"), Some(150.0));
        // 10 values up to 10 ms and 10 up to 20 ms
        assert_eq!(value("p50_s"), Some(0.01));
        assert!((value("p99_s").unwrap() - 0.0198).abs() < 1e-12);
        assert!((value("wal_wait_p99_s").unwrap() - 0.495).abs() < 1e-12);
        assert_eq!(value("batch_records"), Some(4.0));
        assert_eq!(value("queue"), Some(6.0));
        assert_eq!(value("dedup_keys"), Some(12.0));
        assert_eq!(value("stuck"), Some(0.0));
        assert_eq!(value("cpu"), None);
    }
}

#[test]
fn an_interval_without_requests_has_a_rate_of_0_and_no_quantile() {
    let mut meter = Meter::default();
    let same = page(1000, 5.0, 10, 0, 3);
    meter.take(reading(1, &same, true));
    let view = meter.take(reading(2, &same, true)).unwrap();
    assert_eq!(value(&view.all, SHARDS, "requests_per_s"), Some(0.0));
    for name in ["p50_s", "p99_s", "wal_wait_p99_s", "batch_records"] {
        assert_eq!(value(&view.all, SHARDS, name), None, "{name}");
    }
    // and two readings at the same moment have no rate at all
    let view = meter.take(reading(2, &same, true)).unwrap();
    assert_eq!(value(&view.all, SHARDS, "requests_per_s"), None);
}

#[test]
fn without_parts_of_shards_only_what_is_observed_from_outside_is_known() {
    let of_two = |ingest| {
        let second = "flk_shard_cpu_seconds_total{shard=\"1\"} 5\nflk_shard_stuck{shard=\"1\"} 0\n";
        page(ingest, 5.0, 10, 0, 3) + second
    };
    let mut meter = Meter::default();
    meter.take(reading(1, &of_two(1000), false));
    let view = meter.take(reading(2, &of_two(1100), false)).unwrap();
    assert_eq!(value(&view.all, SHARDS, "requests_per_s"), Some(100.0));
    assert!(view.is_added_up);
    for column in SHARDS {
        let expect = (column.name == "stuck").then_some(0.0);
        assert_eq!(
            value(&view.shards[0], SHARDS, column.name),
            expect,
            "{}",
            column.name
        );
    }
}

#[test]
fn the_sum_over_one_shard_is_that_shard() {
    let mut meter = Meter::default();
    meter.take(reading(1, &page(1000, 5.0, 10, 0, 3), false));
    let view = meter
        .take(reading(2, &page(1100, 5.0, 20, 0, 4), false))
        .unwrap();
    assert!(!view.is_added_up);
    assert_eq!(view.shards[0].values, view.all.values);
    assert_eq!(
        value(&view.shards[0], SHARDS, "requests_per_s"),
        Some(100.0)
    );
}

#[test]
fn a_restart_is_measured_anew() {
    let mut meter = Meter::default();
    meter.take(reading(1, &page(1000, 5.0, 10, 0, 3), true));
    let again = page(7, 5.0, 0, 0, 0).replace("1700000000", "1700000100");
    assert_eq!(meter.take(reading(2, &again, true)), None);
    let later = again.replace("flk_ingest_total 7", "flk_ingest_total 9");
    let view = meter.take(reading(3, &later, true)).unwrap();
    assert_eq!(value(&view.all, SHARDS, "requests_per_s"), Some(2.0));
}

#[test]
fn a_counter_that_fell_gives_no_rate() {
    let mut meter = Meter::default();
    meter.take(reading(1, &page(1000, 5.0, 10, 0, 3), true));
    let view = meter
        .take(reading(2, &page(7, 5.0, 4, 0, 3), true))
        .unwrap();
    assert_eq!(value(&view.all, SHARDS, "requests_per_s"), None);
    assert_eq!(value(&view.all, SHARDS, "p50_s"), None);
}

#[test]
fn cpu_is_known_after_two_changes_and_never_above_one_cpu() {
    let mut meter = Meter::default();
    let mut shown = Vec::new();
    for (at_s, cpu_s) in [
        (0, 1.0),
        (1, 1.5),
        (2, 1.5),
        (5, 1.5),
        (6, 4.0),
        (7, 4.0),
        (11, 14.0),
    ] {
        let view = meter.take(reading(at_s, &page(0, cpu_s, 0, 0, 0), true));
        shown.push(view.and_then(|it| value(&it.shards[0], SHARDS, "cpu")));
    }
    // 2.5 s in 5 s; then more than there is
    assert_eq!(
        shown,
        [None, None, None, None, Some(0.5), Some(0.5), Some(1.0)]
    );
}

#[test]
fn quantiles_are_those_of_prometheus() {
    let buckets = [(1.0, 10.0), (2.0, 30.0), (4.0, 40.0), (INF, 50.0)];
    for (of, expect) in [(0.0, 0.0), (0.1, 0.5), (0.4, 1.5), (0.7, 3.0), (0.99, 4.0)] {
        assert_eq!(quantile(of, &buckets), Some(expect), "{of}");
    }
    assert_eq!(quantile(0.5, &[(1.0, 0.0), (INF, 0.0)]), None);
    assert_eq!(quantile(0.5, &[]), None);
    assert_eq!(quantile(0.5, &[(0.0, 5.0), (INF, 5.0)]), Some(0.0));
}

#[test]
fn a_tenant_that_appears_counted_from_0() {
    let base = page(0, 0.0, 0, 0, 0);
    let tenants = |tenants: &[(&str, u64)]| {
        let mut page = base.clone();
        for (name, count) in tenants {
            for counter in TENANT_COUNTERS {
                page += &format!("{counter}{{tenant=\"{name}\"}} {count}\n");
            }
        }
        page
    };
    let mut meter = Meter::default();
    meter.take(reading(0, &tenants(&[("old", 10)]), true));
    let view = meter
        .take(reading(2, &tenants(&[("old", 14), ("new", 6)]), true))
        .unwrap();
    let rows: Vec<_> = view
        .tenants
        .iter()
        .map(|it| (it.name.as_str(), it.values.clone()))
        .collect();
    assert_eq!(
        rows,
        [("old", vec![Some(2.0); 5]), ("new", vec![Some(3.0); 5])]
    );
    assert_eq!(TENANT_COUNTERS.len(), TENANTS.len());
}
