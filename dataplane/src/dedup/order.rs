//! Which of two decisions of a key stands, and until when. Table, look-up, start, seal and merge ask here and nowhere else,
//! so that they agree, and nodes that hold the same decisions agree too.

use super::{Decided, Key};

/// The order in which decisions of a key are judged: decided-at, number of the deciding node, digest tag as its bytes.
pub fn order(decided: &Decided) -> (Key, u32, u8, [u8; 8]) {
    (
        decided.key,
        decided.decided_at,
        decided.origin,
        decided.digest_tag.to_le_bytes(),
    )
}

/// What two decisions of a key are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// They are one decision, met twice.
    Same,
    /// The first one had expired when the second one was made.
    NextLife,
    /// The second one was made while the first one was alive: a fault of a log or of its files.
    TwoOutcomes,
}

/// The decision that stands of two, and what they are to each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Stands, with the expiry up to which the key has this outcome.
    pub decided: Decided,
    /// What the two are to each other.
    pub meeting: Meeting,
}

/// Of two decisions of a key whose lives overlap the first one in [`order`] stands, and its expiry becomes the larger one. A
/// decision that was made when the other one had expired begins a new life, and stands.
///
/// Which of the two comes as `a` does not matter. Of three or more it does, where one of them bridges two lives; those
/// who have all of them give them in [`order`].
pub fn stands(a: &Decided, b: &Decided) -> Standing {
    debug_assert_eq!(a.key, b.key, "decisions of one key");
    let (first, second) = match order(a) <= order(b) {
        true => (a, b),
        false => (b, a),
    };
    let meeting = match order(a) == order(b) {
        true => Meeting::Same,
        false if first.expiry <= second.decided_at => Meeting::NextLife,
        false => Meeting::TwoOutcomes,
    };
    let decided = match meeting {
        Meeting::NextLife => *second,
        Meeting::Same | Meeting::TwoOutcomes => Decided {
            expiry: first.expiry.max(second.expiry),
            // Memory keeps it until both are in slices.
            epoch: first.epoch.later(second.epoch),
            ..*first
        },
    };
    Standing { decided, meeting }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::Epoch;
    use proptest::prelude::*;

    fn decided(decided_at: u32, origin: u8, digest_tag: u64, lives_s: u32) -> Decided {
        Decided {
            decided_at,
            origin,
            digest_tag,
            expiry: decided_at + lives_s,
            ..Decided::default()
        }
    }

    fn any() -> impl Strategy<Value = Decided> {
        (0..12u32, 0..3u8, 0..3u64, 1..8u32)
            .prop_map(|(at, origin, tag, lives_s)| decided(at, origin, tag, lives_s))
    }

    #[test]
    fn the_earlier_one_stands_until_the_later_expiry() {
        let first = decided(5, 0, 7, 10);
        let second = decided(14, 0, 8, 100);
        let Standing { decided, meeting } = stands(&second, &first);
        assert_eq!(meeting, Meeting::TwoOutcomes);
        assert_eq!(
            decided,
            Decided {
                expiry: 114,
                ..first
            }
        );
    }

    #[test]
    fn a_decision_from_the_second_of_the_expiry_on_is_a_new_life() {
        let first = decided(5, 0, 7, 10);
        let second = decided(15, 0, 8, 1);
        let standing = stands(&first, &second);
        assert_eq!(
            (standing.decided, standing.meeting),
            (second, Meeting::NextLife)
        );
    }

    #[test]
    fn of_one_second_the_lower_origin_stands_and_of_one_node_the_lower_digest() {
        let one = decided(5, 1, 9, 10);
        let two = decided(5, 2, 1, 10);
        assert_eq!(stands(&two, &one).decided, one);
        // The tag is the digest's first bytes, so its lowest byte comes first.
        let low = decided(5, 1, 0x0900_0000_0000_0001, 10);
        let high = decided(5, 1, 0x0100_0000_0000_0002, 10);
        assert_eq!(stands(&high, &low).decided, low);
    }

    #[test]
    fn what_stands_stays_in_memory_until_both_are_sealed() {
        let old = Decided {
            epoch: Epoch::of(3),
            ..decided(5, 0, 7, 10)
        };
        let new = Decided {
            epoch: Epoch::of(4),
            ..decided(6, 0, 7, 10)
        };
        assert_eq!(stands(&new, &old).decided.epoch, Epoch::of(4));
    }

    proptest! {
        #[test]
        fn which_one_comes_first_does_not_matter(a in any(), b in any()) {
            prop_assert_eq!(stands(&a, &b), stands(&b, &a));
        }

        /// At every second at which one of them is alive the key has an outcome, and nobody outlives both.
        #[test]
        fn an_outcome_ends_with_the_last_life(a in any(), b in any(), at in 0..24u32) {
            let standing = stands(&a, &b);
            let begun = at >= a.decided_at.max(b.decided_at);
            let alive = a.live_at(at) || b.live_at(at);
            prop_assert!(!begun || standing.decided.live_at(at) == alive);
        }
    }
}
