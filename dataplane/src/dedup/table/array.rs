//! Decisions of one partition in one run of slots, in key order, with gaps: linear probing whose runs are kept sorted.
//! It owns places only; when to grow, what is live and which claim may ask are decided elsewhere.

use super::super::Key;
use super::super::entry::{self, Words};

/// Slots with entries in ascending key order. The home of a key is its share of the key space times `homes`; an entry
/// stands at its home or as soon behind it as the smaller keys allow, so a look-up goes from the home to the first larger
/// key or gap, whichever is first: short also for absent keys at nine tenths full. Behind the homes lies a tail for what
/// the last run needs; nothing ever wraps.
///
/// The slots lie in pages that come when they are first written and go when they were moved away. All pages but the last
/// are of one size, so that what one partition gives back serves any other: arrays of ever larger sizes, each freed for a
/// slightly larger one, cost a sixth more resident memory than they held.
#[derive(Debug, Default)]
pub(super) struct Array {
    /// Empty where nothing was written yet or all was moved away.
    pages: Vec<Box<[Words]>>,
    slots_count: usize,
    slots_present: usize,
    homes: u32,
    len: u32,
}

/// Slots of a page: 4.5 KiB.
const PAGE_SLOTS: usize = 64;

/// Slots from its home on that a look-up will most likely see, one of two: a slot is little more than a line of the cache.
const TOUCHED: [usize; 3] = [0, 2, 4];

/// There is no gap left behind the place where an entry belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoGap;

/// Whether an entry that a sweep meets can be taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    Now,
    /// It belongs to a run that an earlier call has begun: the next sweep can.
    Later,
}

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
    /// All gaps.
    pub(super) fn new(homes: u32, tail: usize) -> Array {
        let slots_count = if homes == 0 { 0 } else { homes as usize + tail };
        let pages_count = slots_count.div_ceil(PAGE_SLOTS);
        Array {
            pages: (0..pages_count).map(|_| Box::default()).collect(),
            slots_count,
            slots_present: 0,
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
        self.slots_count
    }

    pub(super) fn bytes(&self) -> u64 {
        let pages = self.pages.capacity() * size_of::<Box<[Words]>>();
        (self.slots_present * size_of::<Words>() + pages) as u64
    }

    /// A slot that was written; nothing where it is a gap in a page that is not there.
    fn slot(&self, at: usize) -> Option<&Words> {
        self.pages[at / PAGE_SLOTS].get(at % PAGE_SLOTS)
    }

    fn is_gap(&self, at: usize) -> bool {
        self.slot(at).is_none_or(is_empty)
    }

    /// A slot to be written: its page comes if it is not there.
    fn slot_mut(&mut self, at: usize) -> &mut Words {
        let number = at / PAGE_SLOTS;
        let page = &mut self.pages[number];
        if page.is_empty() {
            let slots = PAGE_SLOTS.min(self.slots_count - number * PAGE_SLOTS);
            self.slots_present += slots;
            *page = vec![EMPTY; slots].into_boxed_slice();
        }
        &mut page[at % PAGE_SLOTS]
    }

    /// Takes what is in a slot that is there.
    fn take(&mut self, at: usize) -> Option<Words> {
        let slot = self.pages[at / PAGE_SLOTS].get_mut(at % PAGE_SLOTS)?;
        let words = std::mem::replace(slot, EMPTY);
        (!is_empty(&words)).then_some(words)
    }

    /// Moves the slots from `at` up to the gap one up. The gap's page is there.
    fn shift_up(&mut self, at: usize, gap: usize) {
        let mut to = gap;
        while to > at {
            let page_start = to - to % PAGE_SLOTS;
            let from = page_start.max(at);
            let page = &mut self.pages[to / PAGE_SLOTS];
            page.copy_within(from % PAGE_SLOTS..to % PAGE_SLOTS, from % PAGE_SLOTS + 1);
            if from == at {
                return;
            }
            // The last slot of the page before moves into the first of this one.
            let carried = self.pages[to / PAGE_SLOTS - 1][PAGE_SLOTS - 1];
            self.pages[to / PAGE_SLOTS][0] = carried;
            to = page_start - 1;
        }
    }

    /// The home of a key. Its partition bits are the same for all and say nothing here.
    fn home(&self, high: u64) -> usize {
        ((u128::from(high << 10) * u128::from(self.homes)) >> 64) as usize
    }

    /// Where the key is, or else where it belongs: the first slot at or behind its home (and `from`) that is a gap or
    /// holds a larger key.
    fn find(&self, key: Key, from: usize) -> Result<usize, usize> {
        let mut at = self.home(key.high).max(from);
        while at < self.slots_count {
            let Some(slot) = self.slot(at) else {
                return Err(at);
            };
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

    /// The entry of a key. Slots before `from` do not count.
    pub(super) fn get(&self, key: Key, from: usize) -> Option<&Words> {
        self.find(key, from).ok().and_then(|at| self.slot(at))
    }

    /// Reads the slots at which a look-up of the key begins, and so brings them into the cache. What it returns is good for
    /// nothing else.
    pub(super) fn touch(&self, key: Key, from: usize) -> u64 {
        let home = self.home(key.high).max(from);
        // Not by `slot`: the count of slots would be read and compared for each of them.
        TOUCHED.iter().fold(0, |sum, ahead| {
            let at = home + ahead;
            let page = self.pages.get(at / PAGE_SLOTS);
            sum ^ page
                .and_then(|page| page.get(at % PAGE_SLOTS))
                .map_or(0, |slot| slot[0])
        })
    }

    /// The entry of a key, or its new place, filled with `words`.
    pub(super) fn get_or_insert(
        &mut self,
        words: &Words,
        from: usize,
    ) -> Result<Option<&mut Words>, NoGap> {
        match self.find(entry::key(words), from) {
            Ok(at) => Ok(Some(self.slot_mut(at))),
            Err(at) => {
                let gap = (at..self.slots_count)
                    .find(|&gap| self.is_gap(gap))
                    .ok_or(NoGap)?;
                self.slot_mut(gap);
                self.shift_up(at, gap);
                *self.slot_mut(at) = *words;
                self.len += 1;
                Ok(None)
            }
        }
    }

    /// Appends an entry whose key is larger than all others, in slots from `free` on; the next free slot.
    pub(super) fn append(&mut self, words: &Words, free: usize) -> Result<usize, NoGap> {
        let at = self.home(words[0]).max(free);
        if at >= self.slots_count {
            return Err(NoGap);
        }
        *self.slot_mut(at) = *words;
        self.len += 1;
        Ok(at + 1)
    }

    /// Takes the first entry at or behind `*from` out, looking at no more than `*budget` slots, and moves both on. Pages
    /// that were left behind are given back: a pass that begins here never comes back for what lies before.
    pub(super) fn take_next(&mut self, from: &mut usize, budget: &mut usize) -> Option<Words> {
        while *budget > 0 && *from < self.slots_count {
            let taken = self.take(*from);
            *from += 1;
            *budget -= 1;
            if from.is_multiple_of(PAGE_SLOTS) {
                let page = std::mem::take(&mut self.pages[*from / PAGE_SLOTS - 1]);
                self.slots_present -= page.len();
            }
            if taken.is_some() {
                self.len -= 1;
                return taken;
            }
        }
        None
    }

    /// The entries in key order, from slot `from` on.
    pub(super) fn entries(&self, from: usize) -> impl Iterator<Item = &Words> {
        (from..self.slots_count)
            .filter_map(|at| self.slot(at))
            .filter(|slot| !is_empty(slot))
    }

    /// Shows each entry of about `slots_max` slots from `from` on to `keep` and takes out those that it does not want,
    /// closing the gaps. Returns where to go on. Inserts between two calls do no harm.
    pub(super) fn sweep(
        &mut self,
        from: usize,
        slots_max: usize,
        mut keep: impl FnMut(&Words, Removal) -> bool,
    ) -> usize {
        // A run may stretch over `from` since the last call. Its rest stays where it is: moving only a part of a run
        // would leave a gap before entries that a look-up must still reach.
        let mut at = from;
        while at < self.slots_count && !self.run_begins(at) {
            if let Some(slot) = self.slot(at) {
                keep(slot, Removal::Later);
            }
            at += 1;
        }
        let end = at.saturating_add(slots_max);
        let mut free = at;
        while at < self.slots_count && !(at >= end && self.run_begins(at)) {
            if let Some(words) = self.take(at) {
                if keep(&words, Removal::Now) {
                    free = self.home(words[0]).max(free);
                    *self.slot_mut(free) = words;
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
        self.slot(at)
            .is_none_or(|slot| is_empty(slot) || self.home(slot[0]) == at)
    }

    /// What must hold between two calls: keys ascend, no entry stands before its home or behind a gap, `len` is right.
    #[cfg(test)]
    pub(super) fn check(&self, from: usize) {
        let mut last = None;
        let mut run_from = from;
        let mut count = 0;
        let present: usize = self.pages.iter().map(|page| page.len()).sum();
        assert_eq!(present, self.slots_present);
        for at in from..self.slots_count {
            let Some(slot) = self.slot(at).filter(|slot| !is_empty(slot)) else {
                run_from = at + 1;
                continue;
            };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_partition_are_at_home_all_over_the_array_in_their_order() {
        let array = Array::new(1000, tail_slots(1000));
        for partition in [0, 7, 1023u64] {
            // The lowest and the highest key of each thousandth; above them are the bits of the partition.
            let lowest = |part: u64| partition << 54 | (part << 54).div_ceil(1000);
            let highest = |part: u64| partition << 54 | ((part << 54 | ((1 << 54) - 1)) / 1000);
            assert!((0..1000).map(|part| array.home(lowest(part))).eq(0..1000));
            assert!((0..1000).map(|part| array.home(highest(part))).eq(0..1000));
        }
    }
}
