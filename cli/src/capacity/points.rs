//! What was measured, beside what the model says of it. A test holds that each number stands in the record that it names, and that the
//! model is no further off than stated here.

use super::batches::{Batches, cpu_us};
use super::model::{slices_bytes, writes};
use super::{constants as c, model};

/// What a point is about, and how far the model may be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// CPU of a record, in microseconds.
    Cpu,
    /// Bytes of log for a record.
    Log,
    /// Bytes of memory for an id.
    Memory,
    /// Bytes of slices for an id.
    Slices,
    /// Times that an id is written into slices.
    Writes,
    /// Seconds of a start.
    Start,
}

impl Topic {
    /// In words, with its unit.
    pub(super) fn name(self) -> &'static str {
        match self {
            Topic::Cpu => "CPU of a record, µs",
            Topic::Log => "log for a record, B",
            Topic::Memory => "memory for an id, B",
            Topic::Slices => "slices for an id, B",
            Topic::Writes => "writes of an id",
            Topic::Start => "a start, s",
        }
    }

    /// By how much the model is off at most, in percent: below and above what was measured.
    pub(super) fn bounds_percent(self) -> (f64, f64) {
        match self {
            Topic::Cpu => (31.0, 28.0),
            Topic::Log => (2.0, 3.0),
            Topic::Memory => (12.0, 6.0),
            Topic::Slices => (1.0, 4.0),
            Topic::Writes => (4.0, 4.0),
            Topic::Start => (4.0, 90.0),
        }
    }
}

/// A measured number and what the model says in its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) topic: Topic,
    /// Under which conditions.
    pub(super) at: &'static str,
    pub(super) measured: f64,
    pub(super) modelled: f64,
    /// The record, below `profiles/records/`, or a page.
    pub(super) record: &'static str,
    /// The number, or what it is the sum of, as the record has it.
    pub(super) texts: &'static [&'static str],
}

impl Point {
    /// How far the model is off, in percent of what was measured: above 0 it says more.
    pub(super) fn error_percent(&self) -> f64 {
        (self.modelled / self.measured - 1.0) * 100.0
    }
}

/// Records, from `profiles/records/` on.
const QUICK: &str = "amd-epyc-2cpu/2026-11-21-4a68e46-quick";
const STORE_OF_TWENTY: &str = "amd-epyc-2cpu/2026-11-30-edcf998-store";
const STORE: &str = "amd-epyc-2cpu/2026-11-30-99d576e-store";
const QUICK_OF_XEON: &str = "intel-xeon-processor-2cpu/2026-12-01-a6344cf8-quick";
const STORE_OF_XEON: &str = "intel-xeon-processor-2cpu/2026-12-01-e28d1d3f-store";

/// Records of the benches have bodies of so many bytes.
const BODY_BYTES: f64 = 645.0;
/// Half of 64 connections, whose batches alternate.
const HALF_OF_64: f64 = 32.0;
/// Hours of a full TTL.
const HOURS: f64 = 14.0 * 24.0;

/// All points.
pub(super) fn points() -> Vec<Point> {
    let parts = [
        cpu(),
        cpu_beside_slices(),
        log(),
        memory(),
        slices(),
        slice_writes(),
        starts(),
    ];
    parts.into_iter().flatten().collect()
}

fn cpu() -> Vec<Point> {
    let closed = |at, records, texts: &'static [&'static str], measured| Point {
        topic: Topic::Cpu,
        at,
        measured,
        modelled: cpu_us(records),
        record: QUICK,
        texts,
    };
    let store = |at, texts: &'static [&'static str], measured, record| Point {
        record,
        ..closed(at, HALF_OF_64, texts, measured)
    };
    let of_xeon = |at, records, texts: &'static [&'static str], measured| Point {
        record: QUICK_OF_XEON,
        ..closed(at, records, texts, measured)
    };
    vec![
        of_xeon("8 records in a batch", 8.0, &["5.14", "7.92"], 13.06),
        of_xeon("32 records in a batch", 31.9, &["5.40", "4.68"], 10.08),
        of_xeon("128 records in a batch", 127.7, &["5.72", "5.42"], 11.14),
        store("32 records in a batch", &["8.32"], 8.32, STORE_OF_XEON),
        closed("8 records in a batch", 8.0, &["4.41", "9.34"], 13.75),
        closed("32 records in a batch", 32.0, &["4.06", "6.17"], 10.23),
        closed("128 records in a batch", 127.7, &["4.15", "5.52"], 9.67),
        store("32 records in a batch", &["11.63"], 11.63, STORE_OF_TWENTY),
        store("32 records in a batch", &["10.60"], 10.60, STORE_OF_TWENTY),
        store("32 records in a batch", &["11.31"], 11.31, STORE_OF_TWENTY),
        store(
            "32 records in a batch, busy machine",
            &["12.69"],
            12.69,
            STORE,
        ),
        store(
            "32 records in a batch, busy machine",
            &["14.86"],
            14.86,
            STORE,
        ),
    ]
}

fn cpu_beside_slices() -> Vec<Point> {
    let point = |at, texts: &'static [&'static str], measured, record| Point {
        topic: Topic::Cpu,
        at,
        measured,
        modelled: cpu_us(HALF_OF_64) + c::LOOK_UP_US.value,
        record,
        texts,
    };
    vec![
        point("beside 100 M sealed ids", &["9.40"], 9.40, STORE_OF_XEON),
        point("beside 10 M sealed ids", &["12.37"], 12.37, STORE_OF_TWENTY),
        point(
            "beside 100 M sealed ids",
            &["14.15"],
            14.15,
            STORE_OF_TWENTY,
        ),
        point(
            "beside 10 M sealed ids, busy machine",
            &["13.79"],
            13.79,
            STORE,
        ),
        point(
            "beside 100 M sealed ids, busy machine",
            &["14.51"],
            14.51,
            STORE,
        ),
    ]
}

fn log() -> Vec<Point> {
    let point = |at, records: f64, texts: &'static [&'static str], measured, record| Point {
        topic: Topic::Log,
        at,
        measured,
        modelled: Batches::with(88e3, records).bytes_per_record(BODY_BYTES),
        record,
        texts,
    };
    vec![
        point(
            "8 records in a batch",
            8.0,
            &["1104"],
            1104.0,
            QUICK_OF_XEON,
        ),
        point(
            "32 records in a batch",
            31.9,
            &["924"],
            924.0,
            QUICK_OF_XEON,
        ),
        point(
            "128 records in a batch",
            127.7,
            &["869"],
            869.0,
            QUICK_OF_XEON,
        ),
        point("8 records in a batch", 8.0, &["1125"], 1125.0, QUICK),
        point("32 records in a batch", 32.0, &["915"], 915.0, QUICK),
        point("128 records in a batch", 127.7, &["871"], 871.0, QUICK),
        point(
            "32 records in a batch",
            32.0,
            &["921 bytes"],
            921.0,
            STORE_OF_TWENTY,
        ),
        point("32 records in a batch", 32.0, &["920 bytes"], 920.0, STORE),
    ]
}

fn memory() -> Vec<Point> {
    let per_id = c::FILTER_BYTES_PER_ID.value * (1.0 + c::MERGE_SHARE.value);
    let point = |at, texts: &'static [&'static str], measured, modelled, record| Point {
        topic: Topic::Memory,
        at,
        measured,
        modelled,
        record,
        texts,
    };
    let filters = c::FILTER_BYTES_PER_ID.value;
    let xeon = STORE_OF_XEON;
    vec![
        point(
            "filters and indexes, 100 M ids",
            &["1.897"],
            1.897,
            filters,
            xeon,
        ),
        point("the process, 100 M ids", &["2.33"], 2.33, per_id, xeon),
        point(
            "filters and indexes, 10 M ids",
            &["1.958"],
            1.958,
            filters,
            STORE_OF_TWENTY,
        ),
        point(
            "filters and indexes, 100 M ids",
            &["1.899"],
            1.899,
            filters,
            STORE_OF_TWENTY,
        ),
        point(
            "filters and indexes, 10 M ids",
            &["1.943"],
            1.943,
            filters,
            STORE,
        ),
        point(
            "filters and indexes, 100 M ids",
            &["1.897"],
            1.897,
            filters,
            STORE,
        ),
        point(
            "the process, 10 M ids",
            &["2.56"],
            2.56,
            per_id,
            STORE_OF_TWENTY,
        ),
        point(
            "the process, 100 M ids",
            &["2.43"],
            2.43,
            per_id,
            STORE_OF_TWENTY,
        ),
        point("the process, 10 M ids", &["2.50"], 2.50, per_id, STORE),
        point("the process, 100 M ids", &["2.18"], 2.18, per_id, STORE),
    ]
}

fn slices() -> Vec<Point> {
    let point = |at, ids: f64, count, texts: &'static [&'static str], measured, record| Point {
        topic: Topic::Slices,
        at,
        measured,
        modelled: slices_bytes(ids, count, HOURS) / ids,
        record,
        texts,
    };
    vec![
        point("100 M ids", 1e8, 12.0, &["75.16"], 75.16, STORE_OF_XEON),
        point("1 M ids", 1e6, 20.0, &["87.29"], 87.29, STORE_OF_TWENTY),
        point("10 M ids", 1e7, 20.0, &["76.35"], 76.35, STORE_OF_TWENTY),
        point("100 M ids", 1e8, 20.0, &["75.17"], 75.17, STORE_OF_TWENTY),
        point("10 M ids", 1e7, 17.0, &["76.31"], 76.31, STORE),
        point("100 M ids", 1e8, 12.0, &["75.16"], 75.16, STORE),
    ]
}

fn slice_writes() -> Vec<Point> {
    // Seals each of so many ids that slices are merged by size.
    let point = |at, every_s: f64, ttl_s, texts: &'static [&'static str], measured, record| Point {
        topic: Topic::Writes,
        at,
        measured,
        modelled: writes(1.0 / every_s, 1e6, ttl_s),
        record,
        texts,
    };
    let page = "docs/decisions/0030-slices-of-one-size-are-merged.md";
    // A span of 1,500 seals, for that is how long the run was.
    let run_s = 3000.0 / c::SPAN_SHARE.value;
    let ttl_s = HOURS * 3600.0;
    vec![
        point(
            "1,500 seals, one each 2 s",
            2.0,
            run_s,
            &["7.5 times"],
            7.5,
            page,
        ),
        point(
            "a seal each hour, 14 days",
            3600.0,
            ttl_s,
            &["5.95"],
            5.95,
            STORE,
        ),
    ]
}

fn starts() -> Vec<Point> {
    let behind =
        |ids: f64, gib: f64| model::start_of_slices_s(ids) + gib * c::START_S_PER_GIB.value;
    let point = |at, texts: &'static [&'static str], measured, modelled, record| Point {
        topic: Topic::Start,
        at,
        measured,
        modelled,
        record,
        texts,
    };
    let slices = model::start_of_slices_s;
    vec![
        point("100 M ids", &["0.447"], 0.447, slices(1e8), STORE_OF_XEON),
        point(
            "100 M ids, 0.87 GiB of log",
            &["3.433"],
            3.433,
            behind(1e8, 0.87),
            STORE_OF_XEON,
        ),
        point("10 M ids", &["0.167"], 0.167, slices(1e7), STORE),
        point("100 M ids", &["0.570"], 0.570, slices(1e8), STORE),
        point("100 M ids", &["0.346"], 0.346, slices(1e8), STORE_OF_TWENTY),
        point(
            "10 M ids, 0.94 GiB of log",
            &["2.789"],
            2.789,
            behind(1e7, 0.94),
            STORE,
        ),
        point(
            "100 M ids, 0.87 GiB of log",
            &["3.471"],
            3.471,
            behind(1e8, 0.87),
            STORE,
        ),
        point(
            "100 M ids, 1.00 GiB of log",
            &["3.039"],
            3.039,
            behind(1e8, 1.0),
            STORE_OF_TWENTY,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    const TOPICS: [Topic; 6] = [
        Topic::Cpu,
        Topic::Log,
        Topic::Memory,
        Topic::Slices,
        Topic::Writes,
        Topic::Start,
    ];

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    #[test]
    fn the_model_is_no_further_off_than_it_says() {
        for point in points() {
            let (below, above) = point.topic.bounds_percent();
            let error = point.error_percent();
            assert!(error >= -below && error <= above, "{error:.1} %: {point:?}");
        }
    }

    /// A bound that is far wider than what was measured says nothing.
    #[test]
    fn the_bounds_are_as_tight_as_the_points_allow() {
        for topic in TOPICS {
            let of_topic = points().into_iter().filter(|it| it.topic == topic);
            let errors: Vec<f64> = of_topic.map(|it| it.error_percent()).collect();
            let least = errors.iter().copied().fold(0.0, f64::min);
            let most = errors.iter().copied().fold(0.0, f64::max);
            let (below, above) = topic.bounds_percent();
            assert!(
                below + least < 5.0 && above - most < 5.0,
                "{topic:?}: {least:.1} {most:.1}"
            );
        }
    }

    #[test]
    fn each_point_stands_in_its_record() {
        for point in points() {
            let path = match point.record.ends_with(".md") {
                true => root().join(point.record),
                false => root()
                    .join("profiles/records")
                    .join(point.record)
                    .join("result.md"),
            };
            let page = std::fs::read_to_string(&path);
            let page = page.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            for text in point.texts {
                assert!(page.contains(text), "{text} is not in {}", path.display());
            }
            let numbers = point.texts.iter();
            let sum: f64 = numbers
                .filter_map(|it| it.split(' ').next()?.parse::<f64>().ok())
                .sum();
            assert!((sum - point.measured).abs() < 1e-9, "{point:?}");
        }
    }

    #[test]
    fn the_page_has_the_tables_of_points_and_constants() {
        let page = std::fs::read_to_string(root().join("docs/capacity.md")).unwrap();
        let points = points();
        let of_points = points.iter().map(super::super::show::point_row);
        let of_constants = c::ALL.iter().map(super::super::show::constant_row);
        let rows: Vec<String> = of_points.chain(of_constants).collect();
        for row in &rows {
            let all = rows.join("\n");
            assert!(page.contains(row), "docs/capacity.md should have\n{all}\n");
        }
    }

    #[test]
    fn each_source_of_a_constant_is_there() {
        for constant in c::ALL {
            let path = constant.source.split([':', ',', ';']).next().unwrap();
            if path.contains('/') {
                assert!(root().join(path).exists(), "{}: {path}", constant.name);
            }
        }
    }
}
