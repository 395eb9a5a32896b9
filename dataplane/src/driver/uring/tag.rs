//! The user data of an io_uring operation: kind, generation and slot in one word, by which its completion is dispatched.
//! It owns the layout of that word and nothing else.

use crate::event::ConnId;

/// What kind of operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// The completion is ignored (cancellations, closes).
    Forgotten,
    /// An accept.
    Accept,
    /// A connection's multishot receive.
    Receive,
    /// A connection's send.
    Send,
    /// A connection's shutdown.
    Shutdown,
    /// The log write.
    Write,
    /// The log sync.
    Sync,
    /// A block read.
    Read,
    /// The read of the doorbell's eventfd.
    Doorbell,
    /// Another shard woke this one.
    Rung,
    /// Waking another shard failed (success posts no completion here).
    Ring,
    /// The cancellation of all operations at the end.
    CancelAll,
}

const KINDS: [Kind; 12] = [
    Kind::Forgotten,
    Kind::Accept,
    Kind::Receive,
    Kind::Send,
    Kind::Shutdown,
    Kind::Write,
    Kind::Sync,
    Kind::Read,
    Kind::Doorbell,
    Kind::Rung,
    Kind::Ring,
    Kind::CancelAll,
];

/// Generations have 24 bits: one repeats only if its slot is reused 16 million times while an operation is in flight.
const GENERATION_MASK: u32 = 0x00FF_FFFF;

/// Kind, generation and slot of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) kind: Kind,
    /// Of the connection; 0 for other operations.
    pub(super) generation: u32,
    /// Of the connection, the read or the other shard; 0 where there is only one.
    pub(super) slot: u32,
}

impl Tag {
    /// An operation of a connection.
    pub(super) fn of(kind: Kind, conn: ConnId) -> Tag {
        Tag {
            kind,
            generation: conn.generation,
            slot: conn.slot,
        }
    }

    /// Any other operation.
    pub(super) fn plain(kind: Kind, slot: u32) -> Tag {
        Tag {
            kind,
            generation: 0,
            slot,
        }
    }

    /// The connection of the operation.
    pub(super) fn conn(self) -> ConnId {
        ConnId {
            slot: self.slot,
            generation: self.generation,
        }
    }

    /// As one word.
    pub(super) fn word(self) -> u64 {
        (self.kind as u64) << 56
            | u64::from(self.generation & GENERATION_MASK) << 32
            | u64::from(self.slot)
    }

    /// From one word that [`Tag::word`] made.
    pub(super) fn from_word(word: u64) -> Tag {
        let index = (word >> 56) as usize;
        assert!(index < KINDS.len(), "a completion of no kind: {word:#x}");
        Tag {
            kind: KINDS[index],
            generation: (word >> 32) as u32 & GENERATION_MASK,
            slot: word as u32,
        }
    }
}

/// The generation after this one.
pub(super) fn next_generation(generation: u32) -> u32 {
    (generation + 1) & GENERATION_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_back_from_its_word() {
        for kind in KINDS {
            assert_eq!(KINDS[kind as usize], kind);
            for (generation, slot) in [(0, 0), (GENERATION_MASK, u32::MAX), (1, 7)] {
                let tag = Tag {
                    kind,
                    generation,
                    slot,
                };
                assert_eq!(Tag::from_word(tag.word()), tag);
            }
        }
        assert_eq!(next_generation(GENERATION_MASK), 0);
    }
}
