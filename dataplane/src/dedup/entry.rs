//! A decision as nine 64-bit words: the form in which the table holds it, and sealed slices but for the seal epoch, which
//! means nothing outside of the run. It owns the layout of the 72 bytes and nothing else.

use super::{Decided, Key};
use crate::wal::Epoch;

/// Bytes of a stored decision.
pub const ENTRY_BYTES: usize = 72;

/// A stored decision, or nothing where all words are zero: an entry's expiry, and so its eighth word, is never zero.
///
/// | word | bits | content |
/// |---|---|---|
/// | 0, 1 | | key, upper and lower half |
/// | 2 | | digest tag |
/// | 3–6 | | the four numbers, as their bits |
/// | 7 | 0–31, 32–63 | decided-at, expiry |
/// | 8 | 0–15, 16–23, 24–31, 32–39, 40–47, 48–63 | params, reason, regime, encoding, origin, epoch |
pub type Words = [u64; 9];

const _: () = assert!(size_of::<Words>() == ENTRY_BYTES);

/// The words of a decision.
pub fn pack(entry: &Decided) -> Words {
    [
        entry.key.high,
        entry.key.low,
        entry.digest_tag,
        entry.numbers[0].to_bits(),
        entry.numbers[1].to_bits(),
        entry.numbers[2].to_bits(),
        entry.numbers[3].to_bits(),
        u64::from(entry.decided_at) | u64::from(entry.expiry) << 32,
        u64::from(entry.params)
            | u64::from(entry.reason) << 16
            | u64::from(entry.regime) << 24
            | u64::from(entry.encoding) << 32
            | u64::from(entry.origin) << 40
            | u64::from(entry.epoch.bits()) << 48,
    ]
}

/// The decision of some words. Any words are a decision; whether they make sense is for a checksum to say.
pub fn unpack(words: &Words) -> Decided {
    Decided {
        key: key(words),
        digest_tag: words[2],
        numbers: [words[3], words[4], words[5], words[6]].map(f64::from_bits),
        decided_at: words[7] as u32,
        expiry: expiry(words),
        params: words[8] as u16,
        reason: (words[8] >> 16) as u8,
        regime: (words[8] >> 24) as u8,
        encoding: (words[8] >> 32) as u8,
        origin: (words[8] >> 40) as u8,
        epoch: epoch(words),
    }
}

/// The bits of the last word that are on disk: all but those of the seal epoch.
const STORED: u64 = (1 << 48) - 1;

/// The words as bytes on disk, each word little-endian.
pub fn to_bytes(words: &Words) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    for (to, word) in bytes.chunks_exact_mut(8).zip(stored(*words)) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// The words in bytes from disk. Where format 1 wrote a seal epoch there is none.
pub fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Words {
    let mut words = [0; 9];
    for (word, from) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*from);
    }
    stored(words)
}

fn stored(mut words: Words) -> Words {
    words[8] &= STORED;
    words
}

/// The key alone.
pub(super) fn key(words: &Words) -> Key {
    Key {
        high: words[0],
        low: words[1],
    }
}

/// The expiry alone.
pub(super) fn expiry(words: &Words) -> u32 {
    (words[7] >> 32) as u32
}

/// The seal epoch alone.
pub(super) fn epoch(words: &Words) -> Epoch {
    Epoch::from_bits((words[8] >> 48) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_survive_being_a_decision_and_being_bytes(words: Words) {
            prop_assert_eq!(pack(&unpack(&words)), words);
            let read = unpack(&from_bytes(&to_bytes(&words)));
            let epoch = Epoch::default();
            prop_assert_eq!(pack(&read), pack(&Decided { epoch, ..unpack(&words) }));
        }
    }

    #[test]
    fn fields_stand_where_the_table_of_the_format_says() {
        let entry = Decided {
            key: Key {
                high: 0x0102_0304_0506_0708,
                low: 9,
            },
            digest_tag: 10,
            numbers: [1.0, 2.0, 0.5, -0.0],
            decided_at: 0x1112_1314,
            expiry: 0x2122_2324,
            params: 0x3132,
            reason: 0x41,
            regime: 0x51,
            encoding: 0x61,
            origin: 0x69,
            epoch: Epoch::of(0x7172),
        };
        let bytes = to_bytes(&pack(&entry));
        assert_eq!(bytes[..8], [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(bytes[24..32], 1.0f64.to_le_bytes());
        assert_eq!(bytes[48..56], (-0.0f64).to_le_bytes());
        assert_eq!(
            bytes[56..64],
            [0x14, 0x13, 0x12, 0x11, 0x24, 0x23, 0x22, 0x21]
        );
        assert_eq!(bytes[64..], [0x32, 0x31, 0x41, 0x51, 0x61, 0x69, 0, 0]);
        assert_eq!(pack(&entry)[8] >> 48, 0x7172);
    }
}
