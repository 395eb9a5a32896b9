//! Decisions of one partition in one run of slots, in key order, with gaps: linear probing whose runs are kept sorted.
//! It owns places only; when to grow, what is live and who may ask are not its business.

use super::super::Key;
use super::super::entry::{self, Words};

/// Slots with entries in ascending key order. The home of a key is its share of the key space times `homes`; an entry
/// stands at its home or as soon behind it as the smaller keys allow, so a look-up goes from the home to the first larger
/// key or gap, whichever is first: short also for absent keys at nine tenths full. Behind the homes lies a tail for what the last
/// run needs; nothing ever wraps.
#[derive(Debug, Default)]
pub(super) struct Array {
    slots: Vec<Words>,
    homes: u32,
    len: u32,
}

/// There is no gap left behind the place where an entry belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoGap;

const EMPTY: Words = [0; 9];

fn is_empty(slot: &Words) -> bool {
    // The first word decides but for one key in 2^54; the second look stays off the common path.
    slot[0] == 0 && slot[7] == 0
}

/// Slots behind the homes. At nine tenths full the last run reaches over the end by more than x with probability
/// e^(-0.2 x); the rare partition that needs more is laid out anew.
pub(super) fn tail_slots(homes: u32) -> usize {
    8 + homes as usize / 96
}

impl Array {
    /// All gaps. Memory comes zeroed from the system, so a large array costs nothing before it is used.
    pub(super) fn new(homes: u32, tail: usize) -> Array {
        Array {
            slots: vec![EMPTY; if homes == 0 { 0 } else { homes as usize + tail }],
            homes,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn homes(&self) -> u32 {
        self.homes
    }

    pub(super) fn slots_count(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.slots.capacity() * size_of::<Words>()) as u64
    }

    /// The home of a key. Its partition bits are the same for all and say nothing here.
    fn home(&self, high: u64) -> usize {
        ((u128::from(high << 10) * u128::from(self.homes)) >> 64) as usize
    }

    /// Where the key is, or else where it belongs: the first slot at or behind its home (and `from`) that is a gap or
    /// holds a larger key.
    fn find(&self, key: Key, from: usize) -> Result<usize, usize> {
        let mut at = self.home(key.high).max(from);
        while let Some(slot) = self.slots.get(at) {
            if slot[0] >= key.high {
                if slot[0] > key.high || slot[1] > key.low {
                    return Err(at);
                }
                if slot[1] == key.low {
                    return if is_empty(slot) { Err(at) } else { Ok(at) };
                }
            }
            if is_empty(slot) {
                return Err(at);
            }
            at += 1;
        }
        Err(at)
    }

    /// The entry of a key. Slots before `from` are void.
    pub(super) fn get(&self, key: Key, from: usize) -> Option<&Words> {
        self.find(key, from).ok().map(|at| &self.slots[at])
    }

    /// The entry of a key, or its new place, filled with `words`.
    pub(super) fn get_or_insert(
        &mut self,
        words: &Words,
        from: usize,
    ) -> Result<Option<&mut Words>, NoGap> {
        match self.find(entry::key(words), from) {
            Ok(at) => Ok(Some(&mut self.slots[at])),
            Err(at) => {
                let gap = self.slots[at..].iter().position(is_empty).ok_or(NoGap)?;
                self.slots.copy_within(at..at + gap, at + 1);
                self.slots[at] = *words;
                self.len += 1;
                Ok(None)
            }
        }
    }

    /// Appends an entry whose key is larger than all others, in slots from `free` on; the next free slot.
    pub(super) fn append(&mut self, words: &Words, free: usize) -> Result<usize, NoGap> {
        let at = self.home(words[0]).max(free);
        *self.slots.get_mut(at).ok_or(NoGap)? = *words;
        self.len += 1;
        Ok(at + 1)
    }

    /// Takes the first entry at or behind `*from` out, looking at no more than `*budget` slots, and moves both on.
    pub(super) fn take_next(&mut self, from: &mut usize, budget: &mut usize) -> Option<Words> {
        while *budget > 0 && *from < self.slots.len() {
            let slot = &mut self.slots[*from];
            *from += 1;
            *budget -= 1;
            if !is_empty(slot) {
                self.len -= 1;
                return Some(std::mem::replace(slot, EMPTY));
            }
        }
        None
    }

    /// The entries in key order, from slot `from` on.
    pub(super) fn entries(&self, from: usize) -> impl Iterator<Item = &Words> {
        self.slots[from.min(self.slots.len())..]
            .iter()
            .filter(|slot| !is_empty(slot))
    }

    /// Shows each entry of about `slots_max` slots from `from` on to `keep` and takes out those that it does not want,
    /// closing the gaps. Returns where to go on. Inserts between two calls do no harm. The second argument of `keep` says
    /// whether the entry can be taken out this time.
    pub(super) fn sweep(
        &mut self,
        from: usize,
        slots_max: usize,
        mut keep: impl FnMut(&Words, bool) -> bool,
    ) -> usize {
        // A run may stretch over `from` since the last call. Its rest stays where it is: moving only a part of a run
        // would leave a gap before entries that a look-up must still reach.
        let mut at = from;
        while at < self.slots.len() && !self.run_begins(at) {
            keep(&self.slots[at], false);
            at += 1;
        }
        let end = at.saturating_add(slots_max);
        let mut free = at;
        while at < self.slots.len() && !(at >= end && self.run_begins(at)) {
            let slot = std::mem::replace(&mut self.slots[at], EMPTY);
            if !is_empty(&slot) {
                if keep(&slot, true) {
                    free = self.home(slot[0]).max(free);
                    self.slots[free] = slot;
                    free += 1;
                } else {
                    self.len -= 1;
                }
            }
            at += 1;
        }
        at
    }

    /// Whether no entry from this slot on belongs before it.
    fn run_begins(&self, at: usize) -> bool {
        is_empty(&self.slots[at]) || self.home(self.slots[at][0]) == at
    }

    /// What must hold between two calls: keys ascend, nobody stands before home or behind a gap, `len` is right.
    #[cfg(test)]
    pub(super) fn check(&self, from: usize) {
        let mut last = None;
        let mut run_from = from;
        let mut count = 0;
        for (at, slot) in self.slots.iter().enumerate().skip(from) {
            if is_empty(slot) {
                run_from = at + 1;
                continue;
            }
            let key = entry::key(slot);
            assert!(last < Some(key), "keys ascend");
            let home = self.home(key.high);
            assert!(home <= at, "nobody stands before home");
            assert!(home.max(from) >= run_from, "no gap between home and place");
            last = Some(key);
            count += 1;
        }
        assert_eq!(count, self.len);
    }
}
