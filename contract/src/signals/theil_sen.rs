//! D̂: the upper median of all pairwise slopes of log2 N_j over log2 scale (Theil 1950, Sen 1968).
//! The differences of log2 depend on `scales` only, so they are cached per list of scales, for at most 64 lists because
//! clients choose them. Tests compare the cache bit by bit with a twin that has none.

use crate::{
    number::round9,
    record::{Record, SCALES_COUNT_MAX},
};

/// Most lists of scales that are cached; others are computed each time.
pub const TABLES_COUNT_MAX: usize = 64;
/// Logarithms of the integers below this are cached.
const LOGS_COUNT: usize = 4096;
/// Pairs with closer abscissas are skipped.
const DX_MIN: f64 = 1e-9;
const PAIRS_COUNT_MAX: usize = SCALES_COUNT_MAX * (SCALES_COUNT_MAX - 1) / 2;

/// One usable pair of scales.
#[derive(Clone, Copy, Debug)]
struct Pair {
    i: u8,
    j: u8,
    dx: f64,
}

/// The usable pairs of one list of scales, `i < j` in the order of the list.
#[derive(Debug, Default)]
pub struct SlopeTable {
    scales: Vec<u32>,
    pairs: Vec<Pair>,
}

impl SlopeTable {
    fn fill(&mut self, scales: &[u32]) {
        self.scales.clear();
        self.scales.extend_from_slice(scales);
        self.pairs.clear();
        for (i, a) in scales.iter().enumerate() {
            for (j, b) in scales.iter().enumerate().skip(i + 1) {
                let dx = libm::log2(f64::from(*b)) - libm::log2(f64::from(*a));
                if dx.abs() >= DX_MIN {
                    self.pairs.push(Pair {
                        i: i as u8,
                        j: j as u8,
                        dx,
                    });
                }
            }
        }
    }
}

/// Slope tables of the lists of scales seen so far, logarithms of small integers, and buffers for one record.
#[derive(Debug)]
pub struct SlopeCache {
    tables: Vec<SlopeTable>,
    /// The table used last: most streams use one list of scales.
    latest: usize,
    /// For lists that are not cached.
    spare: SlopeTable,
    logs: Vec<f64>,
    slopes: Vec<f64>,
}

impl SlopeCache {
    /// An empty cache; about 100 KiB at most.
    pub fn new() -> Self {
        Self {
            tables: Vec::with_capacity(TABLES_COUNT_MAX),
            latest: 0,
            spare: SlopeTable {
                scales: Vec::with_capacity(SCALES_COUNT_MAX),
                pairs: Vec::with_capacity(PAIRS_COUNT_MAX),
            },
            logs: (0..LOGS_COUNT).map(|n| log2_count(n as u64)).collect(),
            slopes: Vec::with_capacity(PAIRS_COUNT_MAX),
        }
    }

    /// Number of cached lists of scales.
    pub fn tables_count(&self) -> usize {
        self.tables.len()
    }

    /// D̂ of cells counted per scale, rounded to nine decimals; 0.0 if no pair is usable.
    pub fn d_hat(&mut self, scales: &[u32], n_j: &[u64]) -> f64 {
        let at = self.find_or_make(scales);
        let Self {
            tables,
            spare,
            logs,
            slopes,
            ..
        } = self;
        let table = at.and_then(|at| tables.get(at)).unwrap_or(spare);
        let log = |n: u64| match logs.get(n as usize) {
            Some(log) if n < LOGS_COUNT as u64 => *log,
            _ => log2_count(n),
        };
        let mut y = [0.0; SCALES_COUNT_MAX];
        for (y, n) in y.iter_mut().zip(n_j) {
            *y = log(*n);
        }
        slopes.clear();
        slopes.extend(
            table
                .pairs
                .iter()
                .map(|p| (y[usize::from(p.j)] - y[usize::from(p.i)]) / p.dx),
        );
        round9(upper_median(slopes))
    }

    /// D̂ of a record's own scales and counts.
    pub fn recompute(&mut self, record: &Record<'_>) -> f64 {
        self.d_hat(record.scales, record.n_j)
    }

    /// Index of the table of `scales`; none if it is not cached.
    fn find_or_make(&mut self, scales: &[u32]) -> Option<usize> {
        if self
            .tables
            .get(self.latest)
            .is_some_and(|t| t.scales == scales)
        {
            return Some(self.latest);
        }
        if let Some(at) = self.tables.iter().position(|t| t.scales == scales) {
            self.latest = at;
            return Some(at);
        }
        if self.tables.len() < TABLES_COUNT_MAX {
            let mut table = SlopeTable::default();
            table.fill(scales);
            self.tables.push(table);
            self.latest = self.tables.len() - 1;
            return Some(self.latest);
        }
        self.spare.fill(scales);
        None
    }
}

impl Default for SlopeCache {
    fn default() -> Self {
        Self::new()
    }
}

fn log2_count(n: u64) -> f64 {
    libm::log2(n.max(1) as f64)
}

/// The element at index ⌊n/2⌋ of the slopes sorted ascending by a stable sort; 0.0 for no slopes.
///
/// Found by selection. Only zeros can be equal and yet differ (in sign): a stable sort leaves them in their order,
/// so where the median is a zero its sign is that of the zero at the same rank in the unsorted list.
fn upper_median(slopes: &mut [f64]) -> f64 {
    let middle = slopes.len() / 2;
    if slopes.is_empty() {
        return 0.0;
    }
    let negative_count = slopes.iter().filter(|s| **s < 0.0).count();
    let zero_of_rank = middle
        .checked_sub(negative_count)
        .and_then(|rank| slopes.iter().filter(|s| **s == 0.0).nth(rank).copied());
    zero_of_rank.unwrap_or_else(|| *slopes.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// The same value without cache and selection, as the definition says.
pub fn d_hat_naive(scales: &[u32], n_j: &[u64]) -> f64 {
    let mut slopes = Vec::new();
    for i in 0..scales.len() {
        for j in i + 1..scales.len() {
            let x = |k: usize| libm::log2(f64::from(scales[k]));
            let y = |k: usize| libm::log2(n_j[k].max(1) as f64);
            let dx = x(j) - x(i);
            if dx.abs() < DX_MIN {
                continue;
            }
            slopes.push((y(j) - y(i)) / dx);
        }
    }
    slopes.sort_by(|a: &f64, b: &f64| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    round9(slopes.get(slopes.len() / 2).copied().unwrap_or(0.0))
}
