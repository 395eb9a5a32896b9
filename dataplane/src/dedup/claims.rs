//! The owner's arbitration: which claim gets a key first, and what every other claim of it is answered. It owns the pending
//! claims, the table and the view of the sealed slices of one shard's partitions; it never reads a file or a clock, and
//! never lets a granted claim go before its decision is durable.

mod effects;
mod looks;
mod mistakes;
mod queue;
mod sets;
#[cfg(test)]
mod tests;

pub use self::effects::{
    BlockFault, ClaimAnswer, Effects, LookAnswer, OwnerCounters, ReadWanted, UnusableBlock,
};
pub use self::queue::{ClaimRequest, Claimant, Looker};
use self::queue::{Claims, Name, PendingId, Waiter};
use self::sets::{Cursor, Seek, SetIndex, SetsInUse, Switch};
use super::order::stands;
use super::slice::{Found, SliceSet};
use super::table::Partitions;
use super::{Decided, Key};
use crate::dedup::protocol::{Stored, Ticket, ToReceiver};
use crate::io::{Errno, ReadId, ShardId};
use crate::planted::{Bug, planted};
use crate::wal::Epoch;
use std::ops::Range;
use std::sync::Arc;

/// What an owner is made with.
#[derive(Clone, Debug)]
pub struct OwnerConfig {
    /// The partitions it owns, `0..PARTITIONS` at most.
    pub partitions: Range<u16>,
    /// Declared memory of its table in bytes: this shard's share of the process's limit.
    pub table_bytes_max: u64,
    /// Claims and look-ups that can be queued or granted here at once: the requests in flight and the look-ups of *all*
    /// shards, as any number of them may ask for keys of this owner. A request holds one claim from `Claim` to the last
    /// answer it waits for, a look-up one place until it is answered.
    pub claims_max: u32,
    /// Seconds that a decision answers duplicates.
    pub ttl_s: u32,
}

/// How full the declared memory of an owner is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryUse {
    /// Nothing need be done.
    #[default]
    Plenty,
    /// What is in it should be sealed, so that it may leave.
    Filling,
    /// Nearly nothing is left: nothing is admitted.
    Full,
}

/// The owner of a contiguous range of partitions.
#[derive(Debug)]
pub struct Owner {
    table: Partitions,
    claims: Claims,
    sets: SetsInUse,
    ttl_s: u32,
    refusing: bool,
    counters: OwnerCounters,
}

/// From this part of the declared memory on what is in it should go into a slice: while that is written, three times as much may come.
const FILLING: f64 = 0.25;
/// At this part of the declared memory admission stops ...
const PRESSURE_REFUSE: f64 = 0.98;
/// ... and below this part it begins again.
const PRESSURE_ADMIT: f64 = 0.97;

impl Owner {
    /// An owner that knows what is in these slices, with nothing else decided and nothing pending. The caller has the
    /// filters of all slices loaded, for this owner's partitions. All queues are allocated here.
    pub fn new(config: OwnerConfig, slices: Arc<SliceSet>) -> Owner {
        Owner {
            table: Partitions::new(config.partitions, config.table_bytes_max),
            claims: Claims::new(config.claims_max),
            sets: SetsInUse::of(slices),
            ttl_s: config.ttl_s,
            refusing: false,
            counters: OwnerCounters::default(),
        }
    }

    /// These keys will be claimed next: their places in the table and in the filters of slices are brought into the cache, all at the
    /// same time. One after the other, each of them would wait for memory, several times.
    pub fn expect_claims(&self, keys: impl Iterator<Item = Key>) {
        wait_for(keys.map(|key| self.table.touch(key) ^ self.sets.touch(key)));
    }

    /// The decisions of these keys become durable next: see [`Owner::expect_claims`].
    pub fn expect_durable(&self, keys: impl Iterator<Item = Key>) {
        wait_for(keys.map(|key| self.table.touch(key)));
    }

    /// A record asks for its key. It is answered at once, or later when a decision is durable or a read is done. The
    /// candidate's `decided_at` and `expiry` are replaced by the owner's stamps.
    pub fn claim(&mut self, claim: ClaimRequest<'_>, now_s: u32, effects: &mut Effects) {
        self.counters.claims += 1;
        let ClaimRequest { by, candidate } = claim;
        let key = candidate.key;
        if !self.table.holds(key) {
            self.counters.misrouted += 1;
            return self.unavailable(by, effects);
        }
        let pending = self.claims.find(key);
        #[cfg(feature = "planted-bugs")]
        let pending = pending.filter(|&pending| !self.claims.is_overlooked(pending));
        if let Some(pending) = pending {
            self.counters.queued += 1;
            if !self.claims.enqueue(pending, Waiter::from(&claim)) {
                self.counters.overflows += 1;
                return self.unavailable(by, effects);
            }
            #[cfg(feature = "planted-bugs")]
            self.answer_waiters_if_planted(pending, effects);
            return;
        }
        if let Some(outcome) = self.table.get(key, now_s) {
            return self.existing(by, candidate, &outcome, effects);
        }
        // The pending entry is left before anything is answered or suspended: whatever comes for this key from here on
        // finds it and queues.
        let Some(pending) = self.claims.open(key, Waiter::from(&claim)) else {
            self.counters.overflows += 1;
            return self.unavailable(by, effects);
        };
        self.search(pending, self.sets.oldest(), None, now_s, effects);
    }

    /// A request gave up. A queued claim is unlinked and answered `Withdrawn`; a granted one stays granted, and one that
    /// is not here has its answer on the way: both are answered nothing.
    pub fn withdraw(&mut self, from: ShardId, ticket: Ticket, key: Key, effects: &mut Effects) {
        let by = Claimant { from, ticket };
        let Some(pending) = self.claims.find(key) else {
            self.counters.strays += 1;
            return;
        };
        if planted(Bug::IdRemovedAfterFailedFlush) && self.claims.take_winner(pending, by).is_some()
        {
            return self.fail(pending, effects);
        }
        if self.claims.unlink(pending, Name::Claim(by)) {
            self.counters.withdrawn += 1;
            let message = ToReceiver::Withdrawn { ticket };
            effects.answers.push(ClaimAnswer { to: from, message });
        } else {
            self.counters.strays += 1;
        }
    }

    /// The winner's decision is durable, logged in a segment of this seal epoch: from here on the table answers for the
    /// key, and all claims that queued behind the winner are answered.
    pub fn durable(
        &mut self,
        from: ShardId,
        ticket: Ticket,
        key: Key,
        epoch: Epoch,
        effects: &mut Effects,
    ) {
        let Some(pending) = self.claims.find(key) else {
            self.counters.strays += 1;
            return;
        };
        let by = Claimant { from, ticket };
        let Some(mut outcome) = self.claims.take_winner(pending, by) else {
            self.counters.strays += 1;
            return;
        };
        // What goes into the table was stamped by this owner: what is not live answers nothing.
        debug_assert!(outcome.key == key && outcome.decided_at < outcome.expiry);
        outcome.epoch = epoch;
        self.table.insert(&outcome);
        self.answer_all(pending, &outcome, effects);
    }

    /// A read ended, with the bytes of the block or an error. An error or damage is `Unavailable` to all claims in the
    /// queue, never a miss.
    pub fn read_done(
        &mut self,
        id: ReadId,
        result: Result<&[u8], Errno>,
        now_s: u32,
        effects: &mut Effects,
    ) {
        let Some(suspended) = self.claims.suspended_by(id) else {
            self.counters.strays += 1;
            return;
        };
        let (pending, position) = (suspended.pending, suspended.position);
        let Some(set) = self.sets.end_read(position) else {
            self.counters.strays += 1;
            return;
        };
        if self.claims.queue_is_empty(pending) {
            // All requests that asked have withdrawn meanwhile.
            self.claims.close(pending);
            return self.sets.retire();
        }
        let found = match result {
            Ok(bytes) => self
                .sets
                .search(set, position, bytes, suspended.key)
                .map_err(|unusable| {
                    self.counters.blocks_damaged +=
                        u64::from(unusable.fault == BlockFault::Damaged);
                    effects.unusable = Some(unusable);
                }),
            Err(_) if planted(Bug::ReadErrorTakenForMiss) => Ok(Found::Absent),
            Err(_) => {
                self.counters.read_errors += 1;
                Err(())
            }
        };
        let newer = Cursor {
            set,
            slice: position.slice + 1,
        };
        match found {
            Err(()) => self.fail(pending, effects),
            Ok(Found::Before) => {
                self.want(pending, set, position.slice, position.block - 1, effects);
            }
            Ok(Found::Absent) => {
                let before = self.claims.take_found(pending);
                self.search(pending, newer, before.as_ref(), now_s, effects);
            }
            Ok(Found::Entry(entry)) => {
                self.counters.reads_found += 1;
                let standing = match self.claims.take_found(pending) {
                    Some(before) => stands(&before, &entry).decided,
                    None => entry,
                };
                self.search(pending, newer, Some(&standing), now_s, effects);
            }
        }
        self.sets.retire();
    }

    /// Adds decisions that a start found and no slice has.
    pub fn load(&mut self, entries: &[Decided]) {
        self.counters.misrouted += self.table.load(entries);
    }

    /// Uses this set of slices from now on and drops what it covers from the table: the caller must have the filters of
    /// all its slices loaded, for this owner's partitions. Look-ups that are suspended end on the set they began with,
    /// which holds the same decisions. A version that is not above the current one changes nothing.
    pub fn switch_slices(&mut self, set: Arc<SliceSet>) {
        let sealed_epoch = set.sealed_epoch;
        match self.sets.switch(set) {
            Switch::Done => self.table.drop_sealed(sealed_epoch),
            Switch::Stale => self.counters.strays += 1,
        }
    }

    /// The version to acknowledge to the keeper, once: the last switch, when no read is outstanding on an older set.
    pub fn take_switched(&mut self) -> Option<u64> {
        self.sets.take_switched()
    }

    /// Background work of one turn, bounded: growth, expiry, dropping what is sealed.
    pub fn step(&mut self, now_s: u32) {
        self.table.step(now_s);
    }

    /// How much of the declared memory is used, 1.0 = all.
    pub fn pressure(&self) -> f64 {
        self.table.pressure()
    }

    /// Whether new requests may be admitted: not from 98 % of the declared memory on until it is below 97 %. Keys are
    /// spread evenly over partitions, so that each shard's own table speaks for all; what is in flight when admission
    /// stops still gets its place.
    pub fn admit(&mut self) -> bool {
        let pressure = self.table.pressure();
        if pressure >= PRESSURE_REFUSE {
            self.refusing = true;
        } else if pressure < PRESSURE_ADMIT && !planted(Bug::PressureNeverEnds) {
            self.refusing = false;
        }
        !self.refusing
    }

    /// How full the declared memory is, as far as anyone acts on it.
    pub fn memory_use(&mut self) -> MemoryUse {
        match self.admit() {
            false => MemoryUse::Full,
            true if self.table.keys_share() >= FILLING => MemoryUse::Filling,
            true => MemoryUse::Plenty,
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> OwnerCounters {
        self.counters
    }

    /// The table, for figures.
    pub fn table(&self) -> &Partitions {
        &self.table
    }

    /// Keys with a claim pending: granted and not yet durable, or suspended for a read.
    pub fn pending_count(&self) -> u32 {
        self.claims.pending_count()
    }

    /// Looks into slices, oldest first: suspends for the next block that may hold something that counts, answers with what
    /// stands of all that was `found`, or grants.
    fn search(
        &mut self,
        pending: PendingId,
        from: Cursor,
        found: Option<&Decided>,
        now_s: u32,
        effects: &mut Effects,
    ) {
        let key = self.claims.key(pending);
        let live = found.filter(|found| found.live_at(now_s));
        match self.sets.seek(key, from, live) {
            Seek::Block { slice, block } => {
                if let Some(found) = found {
                    self.claims.keep_found(pending, found);
                }
                self.want(pending, from.set, slice, block, effects);
            }
            Seek::Absent => match live {
                Some(outcome) => self.answer_all(pending, outcome, effects),
                None => self.grant(pending, now_s, effects),
            },
            Seek::NotCovered => {
                self.counters.misrouted += 1;
                self.fail(pending, effects);
            }
        }
    }

    fn want(
        &mut self,
        pending: PendingId,
        set: SetIndex,
        slice: u32,
        block: u32,
        effects: &mut Effects,
    ) {
        self.counters.reads += 1;
        let (position, file, offset) = self.sets.begin_read(set, slice, block);
        let id = self.claims.suspend(pending, position);
        effects.reads.push(ReadWanted { id, file, offset });
    }

    /// The key has no outcome: look-ups at the head of the queue are answered that, then the first claim wins. A clock so near its
    /// end that an expiry cannot be written down grants nothing.
    fn grant(&mut self, pending: PendingId, now_s: u32, effects: &mut Effects) {
        while let Some(by) = self.claims.pop_look(pending) {
            looks::answer(by, Stored::Absent, effects);
        }
        let Some(expiry) = now_s.checked_add(self.ttl_s) else {
            return self.fail(pending, effects);
        };
        let Some((winner, candidate)) = self.claims.grant(pending) else {
            return self.claims.close(pending);
        };
        let decided_at = if planted(Bug::DecidedAtByReceiver) {
            candidate.decided_at
        } else {
            now_s
        };
        candidate.decided_at = decided_at;
        candidate.expiry = expiry;
        self.counters.won += 1;
        effects.answers.push(ClaimAnswer {
            to: winner.from,
            message: ToReceiver::Won {
                ticket: winner.ticket,
                decided_at,
                expiry,
            },
        });
    }

    /// The key has an outcome: all in its queue are answered with it, and nothing is pending any more.
    fn answer_all(&mut self, pending: PendingId, outcome: &Decided, effects: &mut Effects) {
        while let Some(waiter) = self.claims.pop(pending) {
            match waiter {
                Waiter::Claim(by, candidate) => self.existing(by, &candidate, outcome, effects),
                Waiter::Look(by) => looks::answer(by, Stored::Outcome(*outcome), effects),
            }
        }
        self.claims.close(pending);
    }

    /// `Unavailable` to all in the queue; the key is free again.
    fn fail(&mut self, pending: PendingId, effects: &mut Effects) {
        while let Some(waiter) = self.claims.pop(pending) {
            match waiter {
                Waiter::Claim(by, _) => self.unavailable(by, effects),
                Waiter::Look(by) => looks::answer(by, Stored::Unavailable, effects),
            }
        }
        self.claims.close(pending);
    }

    fn unavailable(&mut self, by: Claimant, effects: &mut Effects) {
        self.counters.unavailable += 1;
        let Claimant { from, ticket } = by;
        let message = ToReceiver::Unavailable { ticket };
        effects.answers.push(ClaimAnswer { to: from, message });
    }

    fn existing(
        &mut self,
        by: Claimant,
        candidate: &Decided,
        outcome: &Decided,
        effects: &mut Effects,
    ) {
        debug_assert_eq!(candidate.key, outcome.key);
        let conflict = candidate.digest_tag != outcome.digest_tag;
        self.counters.existing += 1;
        self.counters.conflicts += u64::from(conflict);
        effects.answers.push(ClaimAnswer {
            to: by.from,
            message: ToReceiver::Existing {
                ticket: by.ticket,
                outcome: *outcome,
                conflict,
            },
        });
    }
}

/// Waits for reads that were begun, all together: their sum is the first that needs them.
fn wait_for(touched: impl Iterator<Item = u64>) {
    std::hint::black_box(touched.fold(0, |sum, it| sum ^ it));
}
