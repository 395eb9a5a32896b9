//! Words in a page that are written while others read them. The writer waits for no reader; a reader sees when what it read was
//! overwritten meanwhile.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Words that are written while others read them (a sequence lock): the version is odd during a write, and a reader that
/// finds another version behind its reading than before it has read nothing.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Versioned<const N: usize> {
    version: AtomicU64,
    words: [AtomicU64; N],
}

impl<const N: usize> Default for Versioned<N> {
    fn default() -> Versioned<N> {
        Versioned {
            version: AtomicU64::new(0),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl<const N: usize> Versioned<N> {
    /// Replaces all words; only the owning thread calls this. Versions are even, and differ from that before.
    pub(super) fn write(&self, version: u64, words: &[u64; N]) {
        debug_assert!(version.is_multiple_of(2));
        self.version.store(version | 1, Ordering::Relaxed);
        // Readers that see one of the words see that the version was odd.
        fence(Ordering::Release);
        for (place, word) in self.words.iter().zip(words) {
            place.store(*word, Ordering::Relaxed);
        }
        self.version.store(version, Ordering::Release);
    }

    /// The version, for the owning thread.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// The words and their version; `None`: they are being written, or were never.
    pub(super) fn read(&self) -> Option<(u64, [u64; N])> {
        let version = self.version.load(Ordering::Acquire);
        let words = std::array::from_fn(|at| self.words[at].load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        let is_same = self.version.load(Ordering::Relaxed) == version;
        let is_whole = version > 0 && version.is_multiple_of(2);
        (is_same && is_whole).then_some((version, words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_written_is_not_there() {
        let versioned = Versioned::<2>::default();
        assert_eq!(versioned.read(), None);
        versioned.write(2, &[7, 8]);
        assert_eq!(versioned.read(), Some((2, [7, 8])));
    }

    #[test]
    fn what_is_overwritten_while_it_is_read_is_never_given_out() {
        // So many words that most readings meet a write.
        const WORDS: usize = 4096;
        let versioned = Box::<Versioned<WORDS>>::default();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for number in 1..20_000 {
                    versioned.write(2 * number, &[number; WORDS]);
                }
            });
            while !writer.is_finished() {
                if let Some((version, words)) = versioned.read() {
                    assert!(words.iter().all(|&word| 2 * word == version));
                }
            }
        });
        let (version, _) = versioned.read().unwrap();
        assert_eq!(version, 2 * 19_999);
    }
}
