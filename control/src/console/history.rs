//! The last hour at one second and the last day at ten of all series, in memory that is bounded. A reload of a page finds it again,
//! a start of this process does not. It takes rows and gives them out; it reads no clock and no page.

use super::catalog::Catalog;
use super::clock::STEP_MS;
use super::code::MISSING;
use super::page::Sample;
use super::ring::{Bounds, Ring, Slice};
use std::fmt;

/// Bytes that all rows may take together. Catalog and newest rows are some 4 MiB at most.
pub const BYTES_MAX: usize = 60 << 20;
/// Rows of an hour at one second; an event of a stream replays no more.
pub const ROWS_MAX: u64 = 3600;
/// Numbers that one answer may have: all rows of 512 series, or fewer rows of more.
pub const NUMBERS_MAX: u64 = 512 * ROWS_MAX;

/// It has a series for each snapshot, so each publishing would take a place for ever.
const BY_SNAPSHOT: &str = "flk_control_snapshot_suspect";

/// A distance of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One second.
    Second,
    /// Ten seconds.
    TenSeconds,
}

impl Step {
    /// Both.
    pub const ALL: [Step; 2] = [Step::Second, Step::TenSeconds];

    /// The one with this length.
    pub fn of_seconds(seconds: u64) -> Option<Step> {
        Step::ALL.into_iter().find(|it| it.seconds() == seconds)
    }

    /// Its length.
    pub const fn seconds(self) -> u64 {
        match self {
            Step::Second => 1,
            Step::TenSeconds => 10,
        }
    }

    /// How long rows are kept.
    pub const fn keeps_s(self) -> u64 {
        match self {
            Step::Second => 3600,
            Step::TenSeconds => 86_400,
        }
    }

    const fn bounds(self) -> Bounds {
        Bounds {
            rows_max: self.keeps_s() / self.seconds(),
            bytes_max: match self {
                Step::Second => BYTES_MAX / 3,
                Step::TenSeconds => BYTES_MAX / 3 * 2,
            },
        }
    }
}

/// What tells histories apart: their numbers of rows and series have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// A history.
#[derive(Debug)]
pub struct History {
    /// Its name.
    pub epoch: Epoch,
    /// When row 0 would have been, in milliseconds since 1970.
    start_ms: u64,
    /// The series.
    pub catalog: Catalog,
    seconds: Ring,
    tens: Ring,
    /// The row that is being made.
    row: Vec<f64>,
}

impl History {
    /// An empty one, whose first row of one second will have this number.
    pub fn begin(epoch: Epoch, start_ms: u64, first: u64) -> History {
        History {
            epoch,
            start_ms,
            catalog: Catalog::default(),
            seconds: Ring::new(Step::Second.bounds(), first),
            tens: Ring::new(Step::TenSeconds.bounds(), first.div_ceil(10)),
            row: Vec::new(),
        }
    }

    /// Adds a row with these samples; a series that is not among them has no number in it.
    pub fn push<'p>(&mut self, samples: impl Iterator<Item = Sample<'p>>) {
        let number = self.seconds.next();
        let mut row = std::mem::take(&mut self.row);
        row.fill(MISSING);
        let kept = samples.filter(|it| it.name() != BY_SNAPSHOT);
        self.catalog.place(kept, number, &mut row);
        let mut heavy = self.seconds.push(&row);
        if number.is_multiple_of(Step::TenSeconds.seconds()) {
            heavy = self.tens.push(&row).or(heavy);
        }
        if let Some(heavy) = heavy {
            self.catalog.lighten(&heavy);
        }
        self.row = row;
    }

    /// Adds rows without numbers.
    pub fn skip(&mut self, rows_count: u64) {
        (0..rows_count).for_each(|_| self.push(std::iter::empty()));
    }

    /// The rows of a step.
    pub fn ring(&self, step: Step) -> &Ring {
        match step {
            Step::Second => &self.seconds,
            Step::TenSeconds => &self.tens,
        }
    }

    /// When a row is, in milliseconds since 1970.
    pub fn at_ms(&self, step: Step, row: u64) -> u64 {
        self.start_ms + row * step.seconds() * STEP_MS
    }

    /// Bytes that all rows take.
    pub fn bytes(&self) -> usize {
        self.seconds.bytes() + self.tens.bytes()
    }

    /// Whether one answer may have so many columns and rows.
    pub fn is_answered(columns: usize, rows: u64) -> bool {
        rows.saturating_mul(columns as u64) <= NUMBERS_MAX
    }

    /// The newest numbers of these series.
    pub fn newest(&self, step: Step, ids: &[usize]) -> Vec<f64> {
        let row = self.ring(step).last();
        let number = |&id: &usize| match self.catalog.is_kept(id) {
            true => row.get(id).copied().unwrap_or(MISSING),
            // What stands there is no number of it.
            false => MISSING,
        };
        ids.iter().map(number).collect()
    }

    /// Rows of these series from one to before another, to be read without holding the history up.
    pub fn rows(&self, step: Step, from: u64, end: u64, ids: Vec<usize>) -> Rows {
        let slice = self.ring(step).slice(from, end);
        let since = |&id: &usize| {
            let since = self.catalog.series(id).map_or(0, |it| it.since);
            match self.catalog.is_kept(id) {
                true => (id, since.div_ceil(step.seconds())),
                false => (id, u64::MAX),
            }
        };
        Rows {
            epoch: self.epoch,
            step,
            t0_ms: self.at_ms(step, slice.from),
            since: ids.iter().map(since).collect(),
            ids,
            slice,
        }
    }
}

/// Some rows of some series.
#[derive(Debug)]
pub struct Rows {
    /// The history.
    pub epoch: Epoch,
    /// Distance of the rows.
    pub step: Step,
    /// When the first row is, in milliseconds since 1970.
    pub t0_ms: u64,
    /// The series.
    pub ids: Vec<usize>,
    since: Vec<(usize, u64)>,
    /// The rows.
    pub slice: Slice,
}

impl Rows {
    /// The numbers, by series.
    pub fn columns(&self) -> Vec<Vec<f64>> {
        self.slice.columns(&self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::SERIES_MAX;
    use super::super::page::samples;
    use super::super::ring::TooHeavy;
    use super::*;

    fn begun() -> History {
        History::begin(Epoch(7), 1_000_000, 4)
    }

    fn pushed(history: &mut History, page: &str) {
        history.push(samples(page));
    }

    fn columns(history: &History, step: Step, ids: &[usize]) -> (u64, Vec<Vec<f64>>) {
        let rows = history.rows(step, 0, u64::MAX, ids.to_vec());
        (rows.slice.from, rows.columns())
    }

    #[test]
    fn each_tenth_row_is_one_of_ten_seconds_at_the_same_time() {
        let mut history = begun();
        for number in 4..100 {
            pushed(&mut history, &format!("a {number}\n"));
        }
        let (first, tens) = columns(&history, Step::TenSeconds, &[0]);
        assert_eq!(first, 1);
        assert_eq!(
            tens,
            [(1..10).map(|it| f64::from(it * 10)).collect::<Vec<_>>()]
        );
        assert_eq!(
            history.at_ms(Step::TenSeconds, 3),
            history.at_ms(Step::Second, 30)
        );
        assert_eq!(history.newest(Step::Second, &[0, 99])[0], 99.0);
        assert!(history.newest(Step::Second, &[0, 99])[1].is_nan());
    }

    #[test]
    fn a_series_is_missing_in_the_row_of_ten_seconds_before_it_came() {
        let mut history = begun();
        (4..15).for_each(|_| pushed(&mut history, "a 5\n"));
        (15..=20).for_each(|_| pushed(&mut history, "a 5\nb 8\n"));
        let (first, tens) = columns(&history, Step::TenSeconds, &[0, 1]);
        assert_eq!((first, &tens[0][..]), (1, &[5.0, 5.0][..]));
        assert!(tens[1][0].is_nan() && tens[1][1] == 8.0, "{tens:?}");
    }

    #[test]
    fn series_that_are_too_heavy_for_the_day_alone_are_left_out_too() {
        let mut history = begun();
        let page = |row: u64| -> String {
            let number = |at: u64| (row * 1000 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
            let tenants = 0..600;
            tenants
                .map(|at| format!("t{{tenant=\"{at}\"}} {}\n", number(at)))
                .collect()
        };
        // Each number is another one in each row of ten seconds, and stays for nine of those of one.
        for number in 4..=600 {
            pushed(&mut history, &page(number / 10));
        }
        let left = history.catalog.find(&["t"]).len();
        assert_eq!(history.catalog.left_out(), 600 - left);
        assert!((300..600).contains(&left), "{left}");
    }

    #[test]
    fn a_gap_has_no_numbers_and_a_reset_is_seen_as_a_fall() {
        let mut history = begun();
        pushed(&mut history, "a 5\n");
        history.skip(2);
        pushed(&mut history, "a 1\nb 8\n");
        let (first, seconds) = columns(&history, Step::Second, &[0, 1]);
        assert_eq!((first, history.at_ms(Step::Second, first)), (4, 1_004_000));
        let shown = seconds
            .concat()
            .iter()
            .map(|it| format!("{it}"))
            .collect::<Vec<_>>();
        assert_eq!(shown, ["5", "NaN", "NaN", "1", "NaN", "NaN", "NaN", "8"]);
    }

    #[test]
    fn an_answer_has_all_series_of_a_few_rows_or_many_rows_of_a_few_series() {
        for (columns, rows, is_answered) in [
            (512, ROWS_MAX, true),
            (513, ROWS_MAX, false),
            (1, 86_400 / 10, true),
            (SERIES_MAX, 225, true),
            (SERIES_MAX, 226, false),
            (2, u64::MAX, false),
        ] {
            let found = History::is_answered(columns, rows);
            assert_eq!(found, is_answered, "{columns} columns, {rows} rows");
        }
    }

    #[test]
    fn snapshots_take_no_places_of_series() {
        let mut history = begun();
        for number in 0..10 {
            pushed(
                &mut history,
                &format!("{BY_SNAPSHOT}{{number=\"{number}\"}} 1\na 5\n"),
            );
        }
        assert_eq!(
            (history.catalog.shown().len(), history.catalog.left_out()),
            (1, 0)
        );
        assert!(
            crate::metrics::METRICS
                .iter()
                .any(|it| it.name == BY_SNAPSHOT)
        );
    }

    #[test]
    fn a_series_that_is_left_out_while_it_is_looked_at_has_no_numbers() {
        let mut history = begun();
        let page = "a 5\nk{key=\"1\"} 6\n";
        pushed(&mut history, page);
        history.catalog.lighten(&TooHeavy {
            weights: vec![1, 1],
            share_bytes: 0,
        });
        pushed(&mut history, page);
        assert_eq!(history.catalog.find(&["k"]), [0; 0]);
        let newest = history.newest(Step::Second, &[0, 1]);
        assert!(newest[0] == 5.0 && newest[1].is_nan(), "{newest:?}");
        let (_, columns) = columns(&history, Step::Second, &[0, 1]);
        assert_eq!(columns[0], [5.0, 5.0]);
        assert!(columns[1].iter().all(|it| it.is_nan()), "{columns:?}");
    }

    /// The promise of memory, at the worst: more series than have numbers, each with another number in each row. Both rings are
    /// filled by the hour's rows; those of the day are the same code with twice the bytes.
    #[test]
    fn all_rows_stay_within_their_bytes_and_break_downs_by_key_go_first() {
        let mut history = begun();
        let page = |row: u64| -> String {
            let number = |at: u64| (row * 5000 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
            let whole = (0..100).map(|at| format!("whole{at} {}\n", number(at)));
            let tenants = (100..700).map(|at| format!("t{{tenant=\"{at}\"}} {}\n", number(at)));
            let keys =
                (700..4200).map(|at| format!("k{{tenant=\"a\",key=\"{at}\"}} {}\n", number(at)));
            whole.chain(tenants).chain(keys).collect()
        };
        for row in 0..600 {
            pushed(&mut history, &page(row));
            assert!(history.bytes() <= BYTES_MAX, "{}", history.bytes());
        }
        assert!(
            history.catalog.left_out() > 3500,
            "{}",
            history.catalog.left_out()
        );
        assert_eq!(history.catalog.find(&["whole"]).len(), 100);
        assert_eq!(history.catalog.find(&["k"]).len(), 0);
        let per_row = history.seconds.bytes() as u64 / 600;
        assert!(
            per_row > 0 && !history.catalog.find(&["t"]).is_empty(),
            "{per_row}"
        );
        // What is left takes so little that an hour of it fits.
        let before = history.bytes();
        for row in 600..720 {
            pushed(&mut history, &page(row));
        }
        let grown = (history.bytes() - before) as u64;
        assert!(grown / 120 * 3600 < (BYTES_MAX / 3) as u64, "{grown}");
    }
}
