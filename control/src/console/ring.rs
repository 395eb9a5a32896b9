//! Rows of numbers at equal distances, the newest of them, within a bound of memory. Rows lie in blocks, each of which can be read
//! alone; the oldest block goes when there are enough younger rows, or when the bytes are used up. It knows no series.

use super::code::{self, MISSING};
use std::collections::VecDeque;
use std::sync::Arc;

/// Rows of a block.
const BLOCK_ROWS: u64 = 60;

/// How much a ring keeps.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Rows that are kept, if their bytes allow it.
    pub rows_max: u64,
    /// Bytes that all blocks may take.
    pub bytes_max: usize,
}

impl Bounds {
    /// Bytes that a block may take so that all rows can be kept.
    pub fn share_bytes(self) -> usize {
        // One is being written, and one goes only when all of its rows may.
        self.bytes_max / (self.rows_max.div_ceil(BLOCK_ROWS) as usize + 2)
    }
}

/// Rows that follow each other.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Number of the first row.
    first: u64,
    rows: u64,
    bytes: Vec<u8>,
}

impl Block {
    fn end(&self) -> u64 {
        self.first + self.rows
    }
}

/// The rows.
#[derive(Debug)]
pub struct Ring {
    bounds: Bounds,
    closed: VecDeque<Arc<Block>>,
    closed_bytes: usize,
    open: Block,
    /// The newest row.
    last: Vec<f64>,
    /// Bytes that each series takes in the open block.
    weights: Vec<u32>,
}

/// A block that takes more than its share.
#[derive(Debug, PartialEq)]
pub struct TooHeavy {
    /// The bytes of each series.
    pub weights: Vec<u32>,
    /// The bytes that all together may take.
    pub share_bytes: usize,
}

impl Ring {
    /// An empty one, whose first row will have this number.
    pub fn new(bounds: Bounds, first: u64) -> Ring {
        Ring {
            bounds,
            closed: VecDeque::new(),
            closed_bytes: 0,
            open: Block {
                first,
                ..Block::default()
            },
            last: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// Adds a row; the block that it ends, if that takes more than its share.
    pub fn push(&mut self, row: &[f64]) -> Option<TooHeavy> {
        if self.open.rows == 0 {
            // A block can be read without the one before.
            self.last.clear();
            self.weights.clear();
        }
        self.weights.resize(row.len().max(self.weights.len()), 0);
        code::write(&mut self.last, row, &mut self.open.bytes, &mut self.weights);
        self.open.rows += 1;
        let ended = (self.open.rows == BLOCK_ROWS).then(|| self.close());
        while self.closed.front().is_some_and(|oldest| {
            let rows = self.open.end() - oldest.end();
            rows >= self.bounds.rows_max || self.bytes() > self.bounds.bytes_max
        }) {
            let oldest = self.closed.pop_front();
            self.closed_bytes -= oldest.map_or(0, |it| it.bytes.capacity());
        }
        ended.flatten()
    }

    fn close(&mut self) -> Option<TooHeavy> {
        let first = self.open.end();
        let next = Block {
            first,
            ..Block::default()
        };
        let mut ended = std::mem::replace(&mut self.open, next);
        ended.bytes.shrink_to_fit();
        let share_bytes = self.bounds.share_bytes();
        let too_heavy = (ended.bytes.len() > share_bytes).then(|| TooHeavy {
            weights: self.weights.clone(),
            share_bytes,
        });
        self.closed_bytes += ended.bytes.capacity();
        self.closed.push_back(Arc::new(ended));
        too_heavy
    }

    /// Bytes of all blocks.
    pub fn bytes(&self) -> usize {
        self.closed_bytes + self.open.bytes.capacity()
    }

    /// Number of the oldest row that is kept; that of the next row where none is.
    pub fn oldest(&self) -> u64 {
        self.closed.front().map_or(self.open.first, |it| it.first)
    }

    /// Number of the next row.
    pub fn next(&self) -> u64 {
        self.open.end()
    }

    /// The newest row.
    pub fn last(&self) -> &[f64] {
        &self.last
    }

    /// The rows from one to before another, to be read without holding the ring up: those before are not kept, those behind are
    /// not there yet.
    pub fn slice(&self, from: u64, end: u64) -> Slice {
        let from = from.max(self.oldest()).min(self.next());
        let end = end.min(self.next()).max(from);
        let meets = |block: &&Arc<Block>| block.first < end && block.end() > from;
        let mut blocks: Vec<Arc<Block>> = self.closed.iter().filter(meets).cloned().collect();
        if self.open.first < end {
            blocks.push(Arc::new(self.open.clone()));
        }
        Slice { from, end, blocks }
    }
}

/// Some rows of a ring.
#[derive(Debug)]
pub struct Slice {
    /// Number of the first.
    pub from: u64,
    /// The number behind the last.
    pub end: u64,
    blocks: Vec<Arc<Block>>,
}

impl Slice {
    /// Number of rows.
    pub fn rows_count(&self) -> u64 {
        self.end - self.from
    }

    /// The numbers of these series, by series: each from the row on from which the series is there.
    pub fn columns(&self, series: &[(usize, u64)]) -> Vec<Vec<f64>> {
        let rows = self.rows_count() as usize;
        let mut columns: Vec<Vec<f64>> = series.iter().map(|_| Vec::with_capacity(rows)).collect();
        for block in &self.blocks {
            let (mut row, mut rest) = (Vec::new(), &block.bytes[..]);
            for number in block.first..block.end().min(self.end) {
                let Some(behind) = code::read(&mut row, rest) else {
                    unreachable!("a block is what was written");
                };
                rest = behind;
                if number < self.from {
                    continue;
                }
                for (column, &(at, since)) in columns.iter_mut().zip(series) {
                    column.push(match number < since {
                        true => MISSING,
                        false => row.get(at).copied().unwrap_or(0.0),
                    });
                }
            }
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bounds(rows_max: u64, bytes_max: usize) -> Bounds {
        Bounds {
            rows_max,
            bytes_max,
        }
    }

    #[test]
    fn as_many_rows_are_kept_as_were_promised_and_no_more_than_a_block_beyond() {
        let mut ring = Ring::new(bounds(200, 1 << 20), 7);
        for number in 7..2000_u64 {
            ring.push(&[number as f64, 5.0]);
            let kept = ring.next() - ring.oldest();
            assert!(kept <= 200 + 2 * BLOCK_ROWS, "{kept}");
            assert!(kept >= 200.min(number - 6), "{kept}");
        }
        let slice = ring.slice(0, u64::MAX);
        assert_eq!((slice.from, slice.end), (ring.oldest(), 2000));
        let expected: Vec<f64> = (slice.from..2000).map(|it| it as f64).collect();
        assert_eq!(slice.columns(&[(0, 0)]), [expected]);
        assert_eq!(ring.last(), [1999.0, 5.0]);
    }

    #[test]
    fn bytes_are_never_above_their_bound_and_a_block_above_its_share_is_told() {
        let bounds = bounds(600, 32 << 10);
        let mut ring = Ring::new(bounds, 0);
        let mut told = 0;
        for number in 0..3000_u64 {
            // Numbers without any likeness: the worst that there is.
            let row: Vec<f64> = (0..50)
                .map(|at| f64::from_bits((number * 50 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
                .collect();
            if let Some(heavy) = ring.push(&row) {
                told += 1;
                assert_eq!(heavy.weights.len(), 50);
                assert_eq!(heavy.share_bytes, bounds.share_bytes());
            }
            // The open block alone may take more: it ends within a minute.
            let allowed = bounds.bytes_max.max(ring.open.bytes.capacity());
            assert!(ring.bytes() <= allowed, "{}", ring.bytes());
        }
        assert_eq!(told, 3000 / BLOCK_ROWS);
        assert!(ring.next() - ring.oldest() < 600, "the oldest rows went");
        ring.push(&[1.0; 50]);
        let newest = ring.slice(3000, 3001).columns(&[(49, 0)]);
        assert_eq!(newest, [[1.0]]);
    }

    #[test]
    fn a_series_is_missing_before_it_was_there() {
        let mut ring = Ring::new(bounds(100, 1 << 20), 0);
        ring.push(&[1.0]);
        ring.push(&[1.0, 8.0]);
        let columns = ring.slice(0, 9).columns(&[(0, 0), (1, 1)]);
        assert_eq!(columns[0], [1.0, 1.0]);
        assert!(columns[1][0].is_nan());
        assert_eq!(columns[1][1], 8.0);
    }

    #[test]
    fn rows_that_are_not_kept_or_not_there_yet_are_left_out() {
        let mut ring = Ring::new(bounds(60, 1 << 20), 100);
        let nothing = ring.slice(0, 500);
        assert_eq!(
            (nothing.rows_count(), nothing.columns(&[(0, 0)])),
            (0, vec![vec![]])
        );
        for number in 0..10 {
            ring.push(&[f64::from(number)]);
        }
        assert_eq!(ring.slice(0, 102).columns(&[(0, 0)]), [[0.0, 1.0]]);
        assert_eq!(ring.slice(108, 500).columns(&[(0, 0)]), [[8.0, 9.0]]);
        assert_eq!(ring.slice(110, 500).rows_count(), 0);
        assert_eq!(ring.slice(105, 105).rows_count(), 0);
        let behind_all = ring.slice(u64::MAX, u64::MAX);
        assert_eq!((behind_all.from, behind_all.end), (110, 110));
        assert_eq!(behind_all.columns(&[(0, 0)]), [[0.0; 0]]);
    }

    proptest! {
        /// A ring against a list of all rows.
        #[test]
        fn a_slice_has_the_rows_that_were_pushed(
            rows in prop::collection::vec(prop::collection::vec(-3_i8..3, 3), 1..400),
            from in 0_u64..500,
            length in 0_u64..300,
        ) {
            let mut ring = Ring::new(bounds(120, 1 << 20), 0);
            let rows: Vec<Vec<f64>> =
                rows.iter().map(|row| row.iter().map(|&it| f64::from(it)).collect()).collect();
            for row in &rows {
                ring.push(row);
            }
            let slice = ring.slice(from, from + length);
            let columns = slice.columns(&[(0, 0), (1, 0), (2, 0)]);
            for (at, column) in columns.iter().enumerate() {
                let there = (slice.from..slice.end).map(|number| rows[number as usize][at]);
                prop_assert_eq!(column, &there.collect::<Vec<_>>());
            }
            let kept = (from.max(ring.oldest())..(from + length).min(rows.len() as u64)).count();
            prop_assert_eq!(slice.rows_count() as usize, kept);
        }
    }
}
