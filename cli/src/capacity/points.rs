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

/// A point; what was measured is the number of its texts, or their sum.
fn point(
    topic: Topic,
    at: &'static str,
    texts: &'static [&'static str],
    modelled: f64,
    record: &'static str,
) -> Point {
    let numbers = texts.iter().filter_map(|it| it.split(' ').next());
    let sum: f64 = numbers.filter_map(|it| it.parse::<f64>().ok()).sum();
    Point {
        topic,
        at,
        // Records have three digits behind the point, or fewer.
        measured: (sum * 1e6).round() / 1e6,
        modelled,
        record,
        texts,
    }
}

fn cpu() -> Vec<Point> {
    let of = |at, records, texts, record| point(Topic::Cpu, at, texts, cpu_us(records), record);
    let of_32 = |texts, record| of("32 records in a batch", HALF_OF_64, texts, record);
    let of_busy = |texts| {
        of(
            "32 records in a batch, busy machine",
            HALF_OF_64,
            texts,
            STORE,
        )
    };
    vec![
        of(
            "8 records in a batch",
            8.0,
            &["5.14", "7.92"],
            QUICK_OF_XEON,
        ),
        of(
            "32 records in a batch",
            31.9,
            &["5.40", "4.68"],
            QUICK_OF_XEON,
        ),
        of(
            "128 records in a batch",
            127.7,
            &["5.72", "5.42"],
            QUICK_OF_XEON,
        ),
        of_32(&["8.32"], STORE_OF_XEON),
        of("8 records in a batch", 8.0, &["4.41", "9.34"], QUICK),
        of_32(&["4.06", "6.17"], QUICK),
        of("128 records in a batch", 127.7, &["4.15", "5.52"], QUICK),
        of_32(&["11.63"], STORE_OF_TWENTY),
        of_32(&["10.60"], STORE_OF_TWENTY),
        of_32(&["11.31"], STORE_OF_TWENTY),
        of_busy(&["12.69"]),
        of_busy(&["14.86"]),
    ]
}

fn cpu_beside_slices() -> Vec<Point> {
    let modelled = cpu_us(HALF_OF_64) + c::LOOK_UP_US.value;
    let of = |at, texts, record| point(Topic::Cpu, at, texts, modelled, record);
    vec![
        of("beside 100 M sealed ids", &["9.40"], STORE_OF_XEON),
        of("beside 10 M sealed ids", &["12.37"], STORE_OF_TWENTY),
        of("beside 100 M sealed ids", &["14.15"], STORE_OF_TWENTY),
        of("beside 10 M sealed ids, busy machine", &["13.79"], STORE),
        of("beside 100 M sealed ids, busy machine", &["14.51"], STORE),
    ]
}

fn log() -> Vec<Point> {
    let of = |at, records: f64, texts, record| {
        let modelled = Batches::with(88e3, records).bytes_per_record(BODY_BYTES);
        point(Topic::Log, at, texts, modelled, record)
    };
    vec![
        of("8 records in a batch", 8.0, &["1104"], QUICK_OF_XEON),
        of("32 records in a batch", 31.9, &["924"], QUICK_OF_XEON),
        of("128 records in a batch", 127.7, &["869"], QUICK_OF_XEON),
        of("8 records in a batch", 8.0, &["1125"], QUICK),
        of("32 records in a batch", 32.0, &["915"], QUICK),
        of("128 records in a batch", 127.7, &["871"], QUICK),
        of(
            "32 records in a batch",
            32.0,
            &["921 bytes"],
            STORE_OF_TWENTY,
        ),
        of("32 records in a batch", 32.0, &["920 bytes"], STORE),
    ]
}

fn memory() -> Vec<Point> {
    let filters = c::FILTER_BYTES_PER_ID.value;
    let process = filters * (1.0 + c::MERGE_SHARE.value);
    let of = |at, texts, modelled, record| point(Topic::Memory, at, texts, modelled, record);
    let of_10 = |texts, record| of("filters and indexes, 10 M ids", texts, filters, record);
    let of_100 = |texts, record| of("filters and indexes, 100 M ids", texts, filters, record);
    let process_of_10 = |texts, record| of("the process, 10 M ids", texts, process, record);
    let process_of_100 = |texts, record| of("the process, 100 M ids", texts, process, record);
    vec![
        of_100(&["1.897"], STORE_OF_XEON),
        process_of_100(&["2.33"], STORE_OF_XEON),
        of_10(&["1.958"], STORE_OF_TWENTY),
        of_100(&["1.899"], STORE_OF_TWENTY),
        of_10(&["1.943"], STORE),
        of_100(&["1.897"], STORE),
        process_of_10(&["2.56"], STORE_OF_TWENTY),
        process_of_100(&["2.43"], STORE_OF_TWENTY),
        process_of_10(&["2.50"], STORE),
        process_of_100(&["2.18"], STORE),
    ]
}

fn slices() -> Vec<Point> {
    let of = |at, ids: f64, count, texts, record| {
        let modelled = slices_bytes(ids, count, HOURS) / ids;
        point(Topic::Slices, at, texts, modelled, record)
    };
    vec![
        of("100 M ids", 1e8, 12.0, &["75.16"], STORE_OF_XEON),
        of("1 M ids", 1e6, 20.0, &["87.29"], STORE_OF_TWENTY),
        of("10 M ids", 1e7, 20.0, &["76.35"], STORE_OF_TWENTY),
        of("100 M ids", 1e8, 20.0, &["75.17"], STORE_OF_TWENTY),
        of("10 M ids", 1e7, 17.0, &["76.31"], STORE),
        of("100 M ids", 1e8, 12.0, &["75.16"], STORE),
    ]
}

fn slice_writes() -> Vec<Point> {
    // Seals each of so many ids that slices are merged by size.
    let of = |at, every_s: f64, ttl_s, texts, record| {
        let modelled = writes(1.0 / every_s, 1e6, ttl_s);
        point(Topic::Writes, at, texts, modelled, record)
    };
    let page = "docs/decisions/0030-slices-of-one-size-are-merged.md";
    // A span of 1,500 seals, for that is how long the run was.
    let run_s = 3000.0 / c::SPAN_SHARE.value;
    let ttl_s = HOURS * 3600.0;
    vec![
        of(
            "1,500 seals, one each 2 s",
            2.0,
            run_s,
            &["7.5 times"],
            page,
        ),
        of("a seal each hour, 14 days", 3600.0, ttl_s, &["5.95"], STORE),
    ]
}

fn starts() -> Vec<Point> {
    let of = |at, ids: f64, gib: f64, texts, record| {
        let modelled = model::start_of_slices_s(ids) + gib * c::START_S_PER_GIB.value;
        point(Topic::Start, at, texts, modelled, record)
    };
    let of_100 = |texts, record| of("100 M ids", 1e8, 0.0, texts, record);
    let with_087 = |texts, record| of("100 M ids, 0.87 GiB of log", 1e8, 0.87, texts, record);
    vec![
        of_100(&["0.447"], STORE_OF_XEON),
        with_087(&["3.433"], STORE_OF_XEON),
        of("10 M ids", 1e7, 0.0, &["0.167"], STORE),
        of_100(&["0.570"], STORE),
        of_100(&["0.346"], STORE_OF_TWENTY),
        of("10 M ids, 0.94 GiB of log", 1e7, 0.94, &["2.789"], STORE),
        with_087(&["3.471"], STORE),
        of(
            "100 M ids, 1.00 GiB of log",
            1e8,
            1.0,
            &["3.039"],
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
            // Each text has a number: none of them counts for nothing.
            let number = |it: &&str| it.split(' ').next().and_then(|it| it.parse::<f64>().ok());
            assert!(
                point.texts.iter().all(|it| number(it) > Some(0.0)),
                "{point:?}"
            );
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
