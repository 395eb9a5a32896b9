//! The cells that pages of statistics are made of: a number, a histogram, a short text. Each is 64-bit words in a fixed order
//! without a pointer, so that another process can map a page. A cell has one writer, which needs no lock.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter or gauge with one writer.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Cell(AtomicU64);

impl Cell {
    /// Adds; only the owning thread calls this.
    pub fn add(&self, by: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(by),
            Ordering::Relaxed,
        );
    }

    /// Replaces the value of a gauge; only the owning thread calls this.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value; it may be slightly old.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper edges of the buckets of a kind of histogram, all but the last, ascending.
pub trait Edges {
    /// The edges.
    const EDGES: &'static [f64];
    /// The sum is kept in parts of the unit: so many make one.
    const PARTS: f64 = 1e6;
}

/// Most buckets of a histogram, the one above the last edge included.
pub const BUCKETS_MAX: usize = 24;

/// A histogram. Its edges belong to its type, and its page holds counts only.
#[derive(Debug)]
#[repr(C)]
pub struct Histogram<E> {
    buckets: [Cell; BUCKETS_MAX],
    sum_parts: Cell,
    edges: PhantomData<fn() -> E>,
}

impl<E> Default for Histogram<E> {
    fn default() -> Histogram<E> {
        Histogram {
            buckets: Default::default(),
            sum_parts: Cell::default(),
            edges: PhantomData,
        }
    }
}

impl<E: Edges> Histogram<E> {
    const FITS: () = assert!(E::EDGES.len() < BUCKETS_MAX);

    /// Counts one value. NaN and values above the last edge go to the last bucket.
    pub fn observe(&self, value: f64) {
        self.observe_all(value, 1);
    }

    /// Counts so many equal values.
    pub fn observe_all(&self, value: f64, count: u64) {
        const { Self::FITS };
        let at = E::EDGES
            .iter()
            .position(|&edge| value <= edge)
            .unwrap_or(E::EDGES.len());
        self.buckets[at].add(count);
        let parts = (value.clamp(0.0, 1e9) * E::PARTS) as u64;
        self.sum_parts.add(parts * count);
    }

    /// Counts a duration, in seconds.
    pub fn observe_us(&self, us: u64) {
        self.observe(us as f64 / 1e6);
    }

    /// What has been counted, for a reader that does not know the type.
    pub fn view(&self) -> Buckets<'_> {
        Buckets {
            edges: E::EDGES,
            counts: &self.buckets[..=E::EDGES.len()],
            parts: E::PARTS,
            sum_parts: &self.sum_parts,
        }
    }
}

/// A histogram of any kind, for reading.
#[derive(Clone, Copy, Debug)]
pub struct Buckets<'a> {
    /// Upper edges of the buckets but the last.
    pub edges: &'static [f64],
    counts: &'a [Cell],
    /// Parts of the unit in which the sum is kept.
    pub parts: f64,
    sum_parts: &'a Cell,
}

impl<'a> Buckets<'a> {
    /// Counts per bucket, not cumulative; one more than edges.
    pub fn counts(self) -> impl Iterator<Item = u64> + 'a {
        self.counts.iter().map(Cell::get)
    }

    /// Sum of all values in parts of the unit (negative values count as 0).
    pub fn sum_parts(self) -> u64 {
        self.sum_parts.get()
    }
}

/// A text of at most `8 * WORDS` bytes. A reader beside the writer of the first one has it whole, or none yet; what the writer had
/// set before is there with it.
#[derive(Debug)]
#[repr(transparent)]
pub struct Text<const WORDS: usize>([Cell; WORDS]);

impl<const WORDS: usize> Default for Text<WORDS> {
    fn default() -> Text<WORDS> {
        Text(std::array::from_fn(|_| Cell::default()))
    }
}

impl<const WORDS: usize> Text<WORDS> {
    /// Replaces the text; what does not fit is cut.
    pub fn set(&self, text: &str) {
        let mut bytes = text.bytes();
        let words = [(); WORDS].map(|()| {
            let word = std::array::from_fn(|_| bytes.next().unwrap_or(0));
            u64::from_le_bytes(word)
        });
        // The first word says that there is a text, so it comes last.
        for (cell, word) in self.0.iter().zip(words).rev() {
            cell.0.store(word, Ordering::Release);
        }
    }

    /// Whether there is a text.
    pub fn is_set(&self) -> bool {
        let first = self.0.first();
        first.is_some_and(|it| it.0.load(Ordering::Acquire) != 0)
    }

    /// Whether this is the text.
    pub fn is(&self, text: &str) -> bool {
        let mut bytes = text.bytes();
        let mut words = self.0.iter().map(|cell| cell.get().to_le_bytes());
        words.all(|word| word == std::array::from_fn(|_| bytes.next().unwrap_or(0)))
    }

    /// The text.
    pub fn get(&self) -> String {
        let words = self.0.iter().map(|cell| cell.0.load(Ordering::Acquire));
        let bytes = words.flat_map(u64::to_le_bytes);
        let bytes: Vec<u8> = bytes.take_while(|&byte| byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_was_written_or_its_beginning() {
        let text = Text::<2>::default();
        assert_eq!(text.get(), "");
        for (given, kept) in [
            ("0.1.0", "0.1.0"),
            ("", ""),
            ("12345678901234567890", "1234567890123456"),
        ] {
            text.set(given);
            assert_eq!(text.get(), kept);
        }
    }

    #[test]
    fn a_text_that_is_read_while_it_is_set_is_whole_or_none() {
        let name = "a-name.of_64-characters-".repeat(3);
        let name = &name[..64];
        let texts: Vec<Text<8>> = (0..5000).map(|_| Text::default()).collect();
        let read_count = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (number, text) in (0..).zip(&texts) {
                    while read_count.load(Ordering::Acquire) < number {
                        std::thread::yield_now();
                    }
                    text.set(name);
                }
            });
            for text in &texts {
                while !text.is_set() {
                    std::hint::spin_loop();
                }
                assert_eq!(text.get(), name);
                read_count.fetch_add(1, Ordering::Release);
            }
        });
    }

    struct OneAndTwo;

    impl Edges for OneAndTwo {
        const EDGES: &'static [f64] = &[1.0, 2.0];
    }

    #[test]
    fn a_value_at_an_edge_is_below_it_and_what_is_no_number_is_above_all() {
        let histogram = Histogram::<OneAndTwo>::default();
        for value in [-1.0, 1.0, 1.5, 2.0, 2.5, f64::NAN, f64::INFINITY] {
            histogram.observe(value);
        }
        histogram.observe_us(1_500_000);
        let view = histogram.view();
        assert_eq!(view.counts().collect::<Vec<_>>(), [2, 3, 3]);
        assert_eq!(view.edges, [1.0, 2.0]);
        let finite = 1_000_000 + 1_500_000 + 2_000_000 + 2_500_000 + 1_500_000;
        assert_eq!(view.sum_parts(), finite + 1_000_000_000_000_000);
    }
}
