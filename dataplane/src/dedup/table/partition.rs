//! The decided table of one partition: an array and, while it changes size, the one before it. It owns the moving from
//! the old to the new array in bounded pieces; how much memory there may be is decided by its caller.

use super::super::entry::{self, Words};
use super::super::{Decided, Key, order};
use super::array::{Array, NoGap, Removal, tail_slots};
use crate::wal::Epoch;

/// Slots that one call may move or look through: 64 KiB.
pub(super) const PIECE_SLOTS: usize = 64 * 1024 / size_of::<Words>();

/// Slots moved with each insert into a partition that is moving: more than the 9 / 0.8 that make sure that it has moved
/// before it must grow again.
const MOVED_PER_INSERT: usize = 16;

/// Which entries are of no use any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dead {
    /// Entries that expire by then.
    pub(super) now_s: u32,
    /// Entries of this seal epoch and before it.
    pub(super) sealed: Option<Epoch>,
}

impl Dead {
    /// Nothing.
    pub(super) const NONE: Dead = Dead {
        now_s: 0,
        sealed: None,
    };

    fn covers(&self, words: &Words) -> bool {
        let sealed = self
            .sealed
            .is_some_and(|sealed| entry::epoch(words).is_sealed_with(sealed));
        sealed || entry::expiry(words) <= self.now_s
    }
}

/// How much larger the next array of a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// An eighth: little memory lies empty, and an entry moves nine times.
    Lean,
    /// A half: an entry moves twice, and arrays are seven tenths full on average, so that look-ups and inserts are shorter.
    Roomy,
}

/// What became of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The key had no entry.
    New,
    /// This decision stands instead of the key's entry: that had expired when this one was made, or came later.
    Replaced,
    /// The entry that was there stands, at least until the expiry of this decision.
    Kept,
}

#[derive(Debug, Default)]
pub(super) struct Partition {
    array: Array,
    moving: Option<Box<Moving>>,
    /// Entries per 65,536 homes at which the array must grow.
    threshold: u32,
    /// No entry expires before this second.
    expiry_min: u32,
    /// Where the sweep in progress goes on, the smallest expiry that it left, and whether it had to leave a dead entry.
    swept_upto: usize,
    swept_min: u32,
    swept_left: bool,
    /// Entries may have been sealed since the last whole sweep began.
    sealed_pending: bool,
    /// Stands in the caller's list of moving partitions.
    pub(super) listed: bool,
}

/// The array before. Its keys up to `frontier` are in the new array; the slots before `next` do not count.
#[derive(Debug)]
struct Moving {
    old: Array,
    next: usize,
    frontier: Option<Key>,
}

impl Moving {
    fn has(&self, key: Key) -> bool {
        self.frontier.is_none_or(|frontier| key > frontier)
    }
}

impl Partition {
    /// Empty, without memory; grows at `threshold` entries per 65,536 homes.
    pub(super) fn new(threshold: u32) -> Partition {
        Partition {
            threshold,
            expiry_min: u32::MAX,
            swept_min: u32::MAX,
            ..Partition::default()
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.array.len() + self.moving.as_ref().map_or(0, |moving| moving.old.len())
    }

    pub(super) fn bytes(&self) -> u64 {
        let moving = self
            .moving
            .as_ref()
            .map_or(0, |moving| moving.old.bytes() + size_of::<Moving>() as u64);
        self.array.bytes() + moving
    }

    pub(super) fn is_moving(&self) -> bool {
        self.moving.is_some()
    }

    /// The entry of a key, live or not.
    pub(super) fn get(&self, key: Key) -> Option<&Words> {
        match &self.moving {
            Some(moving) if moving.has(key) => moving.old.get(key, moving.next),
            _ => self.array.get(key, 0),
        }
    }

    /// See [`Array::touch`].
    pub(super) fn touch(&self, key: Key) -> u64 {
        match &self.moving {
            Some(moving) if moving.has(key) => moving.old.touch(key, moving.next),
            _ => self.array.touch(key, 0),
        }
    }

    /// Bytes that the array takes more once it has grown for the next insert, if it must: what was moved is given back
    /// page by page, so old and new together take little more than the new one.
    pub(super) fn growth_wanted(&self, growth: Growth) -> Option<u64> {
        let full = u64::from(self.len()) + 1 > self.entries_max(self.threshold);
        full.then(|| {
            let homes = homes_after(self.array.homes(), growth) as usize;
            let slots = homes + tail_slots(homes as u32) + PIECE_SLOTS;
            ((slots - self.array.slots_count().min(slots)) * size_of::<Words>()) as u64
        })
    }

    /// Whether the next insert cannot do without a larger array.
    pub(super) fn growth_needed(&self) -> bool {
        u64::from(self.len()) + 1 > self.entries_max(65_536 * 97 / 100)
    }

    fn entries_max(&self, per_65536: u32) -> u64 {
        u64::from(self.array.homes()) * u64::from(per_65536) / 65_536
    }

    /// Begins to move into a larger array.
    pub(super) fn grow(&mut self, growth: Growth) {
        self.finish(Dead::NONE);
        self.move_to(homes_after(self.array.homes(), growth));
    }

    /// Begins to move into a smaller array if this one is much too large; for no entries any array is.
    pub(super) fn shrink(&mut self) {
        let lean = (self.entries_max(self.threshold) * 5 / 8).max(1);
        if self.moving.is_none() && self.array.homes() > 0 && u64::from(self.len()) < lean {
            self.move_to(self.homes_for(u64::from(self.len())));
        }
    }

    fn move_to(&mut self, homes: u32) {
        let old = std::mem::replace(&mut self.array, Array::new(homes, tail_slots(homes)));
        self.moving = Some(Box::new(Moving {
            old,
            next: 0,
            frontier: None,
        }));
        self.sweep_again();
        if self.moving_slots() <= PIECE_SLOTS {
            self.finish(Dead::NONE);
        }
    }

    fn moving_slots(&self) -> usize {
        self.moving
            .as_ref()
            .map_or(0, |moving| moving.old.slots_count() - moving.next)
    }

    fn finish(&mut self, dead: Dead) {
        self.advance(usize::MAX, dead);
    }

    /// Moves what is in the next `slots_max` slots of the old array, dropping what is dead. Returns the slots looked at.
    pub(super) fn advance(&mut self, slots_max: usize, dead: Dead) -> usize {
        let mut budget = slots_max;
        while let Some(moving) = &mut self.moving {
            let Some(words) = moving.old.take_next(&mut moving.next, &mut budget) else {
                break;
            };
            moving.frontier = Some(entry::key(&words));
            if !dead.covers(&words) && self.array.get_or_insert(&words, 0) == Err(NoGap) {
                self.lay_out_with(&words);
            }
        }
        if self.moving.is_some() && self.moving_slots() == 0 {
            self.moving = None;
        }
        slots_max - budget
    }

    /// Adds a decision. Of two decisions of a key the one stands that [`order::stands`] names.
    pub(super) fn insert(&mut self, words: &Words) -> Inserted {
        self.advance(MOVED_PER_INSERT, Dead::NONE);
        let key = entry::key(words);
        let place = match &mut self.moving {
            Some(moving) if moving.has(key) => moving.old.get_or_insert(words, moving.next),
            _ => self.array.get_or_insert(words, 0),
        };
        let inserted = match place {
            Ok(Some(standing)) => merge(standing, words),
            Ok(None) => Inserted::New,
            Err(NoGap) => {
                self.lay_out_with(words);
                Inserted::New
            }
        };
        if inserted != Inserted::Kept {
            let expiry = entry::expiry(words);
            self.expiry_min = self.expiry_min.min(expiry);
            self.swept_min = self.swept_min.min(expiry);
        }
        inserted
    }

    /// Lays decisions out in an array of the right size: the way in at a start. Inserted one by one in key order they
    /// would crowd at the front of arrays that are still small, each behind all before it. False, and nothing is done,
    /// where there are entries already or the keys do not ascend.
    pub(super) fn lay_out(&mut self, decisions: &[Decided]) -> bool {
        let ascend = decisions.is_sorted_by(|a, b| a.key < b.key);
        if self.len() > 0 || !ascend || decisions.iter().any(|it| it.expiry == 0) {
            return false;
        }
        self.array = filled(self.homes_for(decisions.len() as u64), |array| {
            let mut packed = decisions.iter().map(entry::pack);
            packed.try_fold(0, |free, words| array.append(&words, free))
        });
        self.moving = None;
        let expiry_min = decisions.iter().map(|it| it.expiry).min();
        self.expiry_min = expiry_min.unwrap_or(u32::MAX).min(self.expiry_min);
        self.sweep_again();
        true
    }

    /// Homes for that many entries, with room for a sixteenth more before the array must grow.
    fn homes_for(&self, entries: u64) -> u32 {
        let homes = (entries * 17 / 16 * 65_536).div_ceil(u64::from(self.threshold));
        u32::try_from(homes).unwrap_or(u32::MAX)
    }

    /// Lays everything and one more entry out anew in one larger array: the way out where a run reaches the end.
    fn lay_out_with(&mut self, words: &Words) {
        let homes = homes_after(self.array.homes(), Growth::Lean);
        self.array = filled(homes, |array| self.fill(array, words));
        self.moving = None;
        self.sweep_again();
    }

    /// Appends everything and one more entry; the next free slot.
    fn fill(&self, array: &mut Array, extra: &Words) -> Result<usize, NoGap> {
        let mut free = 0;
        let mut extra = Some(extra);
        let old = self
            .moving
            .iter()
            .flat_map(|moving| moving.old.entries(moving.next));
        for words in self.array.entries(0).chain(old) {
            if let Some(before) = extra.take_if(|extra| entry::key(extra) < entry::key(words)) {
                free = array.append(before, free)?;
            }
            free = array.append(words, free)?;
        }
        match extra {
            Some(last) => array.append(last, free),
            None => Ok(free),
        }
    }

    /// All entries are to be looked at for a new seal epoch.
    pub(super) fn sealed(&mut self) {
        self.sealed_pending = true;
        self.sweep_again();
    }

    fn sweep_again(&mut self) {
        self.swept_upto = 0;
        self.swept_min = u32::MAX;
        self.swept_left = false;
    }

    /// Whether a sweep would find something to drop that expired at least `slack_s` ago, or is under way.
    pub(super) fn sweep_due(&self, now_s: u32, slack_s: u32) -> bool {
        let expired = self.expiry_min.saturating_add(slack_s) <= now_s;
        self.moving.is_none() && (self.swept_upto > 0 || self.sealed_pending || expired)
    }

    /// Looks through about `slots_max` slots and drops what is dead; `true` when the whole array was seen.
    pub(super) fn sweep(&mut self, slots_max: usize, dead: Dead) -> bool {
        let (kept_min, left) = (&mut self.swept_min, &mut self.swept_left);
        self.swept_upto = self
            .array
            .sweep(self.swept_upto, slots_max, |words, removal| {
                let covered = dead.covers(words);
                let keep = !covered || removal == Removal::Later;
                if keep {
                    *kept_min = entry::expiry(words).min(*kept_min);
                    *left |= covered;
                }
                keep
            });
        let done = self.swept_upto >= self.array.slots_count();
        if done {
            self.expiry_min = self.swept_min;
            self.sealed_pending &= self.swept_left;
            self.sweep_again();
        }
        done
    }

    /// The entries in key order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Decided> {
        let old = self
            .moving
            .iter()
            .flat_map(|moving| moving.old.entries(moving.next));
        self.array.entries(0).chain(old).map(entry::unpack)
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        self.array.check(0);
        if let Some(moving) = &self.moving {
            moving.old.check(moving.next);
            assert!(
                self.array
                    .entries(0)
                    .all(|words| !moving.has(entry::key(words)))
            );
            assert!(
                moving
                    .old
                    .entries(moving.next)
                    .all(|words| moving.has(entry::key(words)))
            );
        }
    }
}

/// An array with these homes that took all of what is appended in ascending order, with as long a tail as that needs.
fn filled(homes: u32, append_all: impl Fn(&mut Array) -> Result<usize, NoGap>) -> Array {
    let mut tail = tail_slots(homes);
    loop {
        let mut array = Array::new(homes, tail);
        if append_all(&mut array).is_ok() {
            return array;
        }
        tail *= 2; // ends at the latest when there are as many slots as entries behind the last home
    }
}

/// Homes of the array after this one.
fn homes_after(homes: u32, growth: Growth) -> u32 {
    let more = match growth {
        Growth::Lean => homes / 8,
        Growth::Roomy => homes / 2,
    };
    homes.saturating_add(more.max(8))
}

fn merge(standing: &mut Words, words: &Words) -> Inserted {
    let before = entry::unpack(standing);
    let stands = order::stands(&before, &entry::unpack(words)).decided;
    *standing = entry::pack(&stands);
    match order::order(&stands) == order::order(&before) {
        true => Inserted::Kept,
        false => Inserted::Replaced,
    }
}
