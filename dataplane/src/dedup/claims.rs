//! The owner's arbitration: who gets a key first, and what everybody else is told. It owns the pending claims, the table
//! and the view of the sealed slices of one shard's partitions; it never reads a file or a clock, and never lets a
//! granted claim go before its decision is durable.

mod queue;
#[cfg(test)]
mod tests;

use self::queue::{Claims, PendingId, State};
use super::slice::{Candidate, Found};
use super::table::Partitions;
use super::{Decided, Key};
use crate::dedup::protocol::{Ticket, ToReceiver};
use crate::dedup::slice::SliceSet;
use crate::io::{Errno, FileId, ReadId, ShardId};
use crate::planted::{Bug, planted};
use crate::wal::Epoch;
use crate::wal::buffer::BLOCK_BYTES;
use std::ops::Range;
use std::sync::Arc;

/// What an owner is made with.
#[derive(Clone, Debug)]
pub struct OwnerConfig {
    /// The partitions it owns, `0..PARTITIONS` at most.
    pub partitions: Range<u16>,
    /// Declared memory of its table in bytes: this shard's share of the process's limit.
    pub table_bytes_max: u64,
    /// Claims that can be queued or granted here at once: the requests in flight of *all* shards, as any number of them
    /// may ask for keys of this owner. A request holds one claim from `Claim` to the last answer it waits for.
    pub claims_max: u32,
    /// Seconds that a decision answers duplicates.
    pub ttl_s: u32,
}

/// A message to a receiving shard, oneself included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The receiver.
    pub to: ShardId,
    /// `Won`, `Existing`, `Unavailable` or `Withdrawn`.
    pub message: ToReceiver,
}

/// A 4 KiB block of a slice that must be read before the owner can answer; it comes back by [`Owner::read_done`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadWanted {
    /// To be returned with the bytes.
    pub id: ReadId,
    /// The slice.
    pub file: FileId,
    /// Byte offset in the file, a multiple of 4,096.
    pub offset: u64,
}

/// What the owner did, counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerCounters {
    /// Claims received.
    pub claims: u64,
    /// Claims granted.
    pub won: u64,
    /// Claims answered with a stored outcome.
    pub existing: u64,
    /// Those of `existing` whose signing digest differs from the stored one's.
    pub conflicts: u64,
    /// Claims that queued behind another one of their key.
    pub queued: u64,
    /// Claims withdrawn from a queue.
    pub withdrawn: u64,
    /// Claims answered `Unavailable`, for whatever reason.
    pub unavailable: u64,
    /// Blocks asked for.
    pub reads: u64,
    /// Blocks that held a key, live or expired.
    pub reads_found: u64,
    /// Reads that failed.
    pub read_errors: u64,
    /// Blocks whose bytes are not what their slice says.
    pub blocks_damaged: u64,
    /// Claims beyond `claims_max`: our mistake if it is ever above 0.
    pub overflows: u64,
    /// Claims and loaded entries of partitions that this owner does not own: our mistake if it is ever above 0.
    pub misrouted: u64,
    /// Messages and reads that match nothing: late by design (`Withdraw`) or our mistake (`Durable`).
    pub strays: u64,
}

/// The owner of a contiguous range of partitions.
#[derive(Debug)]
pub struct Owner {
    table: Partitions,
    claims: Claims,
    /// Slice sets in use: the last one is current, those before only have reads outstanding.
    sets: Vec<SetInUse>,
    /// A switch that was not acknowledged yet.
    unacknowledged: Option<u64>,
    ttl_s: u32,
    refusing: bool,
    counters: OwnerCounters,
}

#[derive(Debug)]
struct SetInUse {
    set: Arc<SliceSet>,
    reads: u32,
}

/// Where a look-up in the slices goes on.
enum Seek {
    /// This block may hold the key.
    Block { slice: u32, block: u32 },
    /// No slice that is left holds the key.
    Absent,
    /// A slice says nothing about this partition.
    NotCovered,
}

/// At this part of the declared memory admission stops ...
const PRESSURE_REFUSE: f64 = 0.98;
/// ... and below this part it begins again.
const PRESSURE_ADMIT: f64 = 0.97;

impl Owner {
    /// An owner with nothing decided, nothing pending and no slices. All queues are allocated here.
    pub fn new(config: OwnerConfig) -> Owner {
        Owner {
            table: Partitions::new(config.partitions, config.table_bytes_max),
            claims: Claims::new(config.claims_max),
            sets: vec![SetInUse {
                set: Arc::new(SliceSet::default()),
                reads: 0,
            }],
            unacknowledged: None,
            ttl_s: config.ttl_s,
            refusing: false,
            counters: OwnerCounters::default(),
        }
    }

    /// A record asks for its key. Answers into `out` at once, or later when a decision is durable or a read is done.
    /// `candidate`'s `decided_at` and `expiry` are replaced by the owner's stamps.
    pub fn claim(
        &mut self,
        from: ShardId,
        ticket: Ticket,
        candidate: &Decided,
        now_s: u32,
        out: &mut Vec<Answer>,
        reads: &mut Vec<ReadWanted>,
    ) {
        self.counters.claims += 1;
        let key = candidate.key;
        if !self.table.holds(key) {
            self.counters.misrouted += 1;
            return self.unavailable(from, ticket, out);
        }
        if let Some(pending) = self.claims.find(key)
            && !(planted(Bug::TwoSuspendedLookUps) && self.claims.reading(pending))
        {
            self.counters.queued += 1;
            if !self.claims.enqueue(pending, from, ticket, candidate) {
                self.counters.overflows += 1;
                return self.unavailable(from, ticket, out);
            }
            if planted(Bug::DuplicateAnsweredTooEarly) && !self.claims.reading(pending) {
                self.answer_waiters_early(pending, out);
            }
            return;
        }
        if let Some(outcome) = self.table.get(key, now_s) {
            return self.existing(from, ticket, candidate, &outcome, out);
        }
        // The pending entry is left before anything is answered or suspended: whatever comes for this key from here on
        // finds it and queues.
        let Some(pending) = self.claims.open(from, ticket, candidate) else {
            self.counters.overflows += 1;
            return self.unavailable(from, ticket, out);
        };
        let current = self.sets.len() - 1;
        let below = self.sets[current].set.slices.len() as u32;
        self.search_older(pending, current, below, now_s, out, reads);
    }

    /// A request gave up. A queued claim is unlinked and answered `Withdrawn`; a granted one stays granted, and one that
    /// is not here has its answer on the way: both are answered nothing.
    pub fn withdraw(&mut self, from: ShardId, ticket: Ticket, key: Key, out: &mut Vec<Answer>) {
        let Some(pending) = self.claims.find(key) else {
            self.counters.strays += 1;
            return;
        };
        if planted(Bug::IdRemovedAfterFailedFlush)
            && self.claims.take_winner(pending, from, ticket).is_some()
        {
            return self.fail(pending, out);
        }
        if self.claims.unlink(pending, from, ticket) {
            self.counters.withdrawn += 1;
            out.push(Answer {
                to: from,
                message: ToReceiver::Withdrawn { ticket },
            });
        } else {
            self.counters.strays += 1;
        }
    }

    /// The winner's decision is durable, logged in a segment of this seal epoch: from here on the table answers for the
    /// key, and all who queued behind the winner are told.
    pub fn durable(
        &mut self,
        from: ShardId,
        ticket: Ticket,
        key: Key,
        epoch: Epoch,
        out: &mut Vec<Answer>,
    ) {
        let Some(pending) = self.claims.find(key) else {
            self.counters.strays += 1;
            return;
        };
        let Some(mut outcome) = self.claims.take_winner(pending, from, ticket) else {
            self.counters.strays += 1;
            return;
        };
        outcome.epoch = epoch;
        self.table.insert(&outcome);
        while let Some((from, ticket, candidate)) = self.claims.pop(pending) {
            self.existing(from, ticket, &candidate, &outcome, out);
        }
        self.claims.close(pending);
    }

    /// A read ended, with the bytes of the block or an error. An error or damage is `Unavailable` to all who queued,
    /// never a miss.
    pub fn read_done(
        &mut self,
        id: ReadId,
        result: Result<&[u8], Errno>,
        now_s: u32,
        out: &mut Vec<Answer>,
        reads: &mut Vec<ReadWanted>,
    ) {
        let Some((pending, key, version, slice, block)) = self.claims.reading_as(id) else {
            self.counters.strays += 1;
            return;
        };
        let Some(at) = self
            .sets
            .iter()
            .position(|used| used.set.version == version)
        else {
            self.counters.strays += 1;
            return;
        };
        self.sets[at].reads -= 1;
        if self.claims.queue_is_empty(pending) {
            // All who asked have withdrawn meanwhile.
            self.claims.close(pending);
            return self.retire_sets();
        }
        let found = match result {
            Ok(bytes) => self.sets[at].set.slices[slice as usize]
                .search_block(block, bytes, key)
                .map_err(|_damaged| self.counters.blocks_damaged += 1),
            Err(_) if planted(Bug::ReadErrorTakenForMiss) => Ok(Found::Absent),
            Err(_) => {
                self.counters.read_errors += 1;
                Err(())
            }
        };
        match found {
            Err(()) => self.fail(pending, out),
            Ok(Found::Before) => self.want(pending, at, slice, block - 1, reads),
            Ok(Found::Absent) => self.search_older(pending, at, slice, now_s, out, reads),
            Ok(Found::Entry(outcome)) => {
                self.counters.reads_found += 1;
                if outcome.live_at(now_s) {
                    while let Some((from, ticket, candidate)) = self.claims.pop(pending) {
                        self.existing(from, ticket, &candidate, &outcome, out);
                    }
                    self.claims.close(pending);
                } else {
                    // Expired: it answers nothing, an older slice may still.
                    self.search_older(pending, at, slice, now_s, out, reads);
                }
            }
        }
        self.retire_sets();
    }

    /// Adds decisions found at start.
    pub fn load(&mut self, entries: &[Decided]) {
        self.counters.misrouted += self.table.load(entries);
    }

    /// Uses this set of slices from now on and drops what it covers from the table: the caller must have the filters of
    /// all its slices loaded, for this owner's partitions. Look-ups that are suspended end on the set they began with,
    /// which holds the same decisions. A version that is not above the current one changes nothing.
    pub fn switch_slices(&mut self, set: Arc<SliceSet>) {
        if self
            .sets
            .last()
            .is_some_and(|used| used.set.version >= set.version)
        {
            self.counters.strays += 1;
            return;
        }
        self.table.drop_sealed(set.sealed_epoch);
        self.unacknowledged = Some(set.version);
        if !planted(Bug::SealedDroppedBeforeFilter) {
            self.sets.push(SetInUse { set, reads: 0 });
        }
        self.retire_sets();
    }

    /// The version to acknowledge to the keeper, once: the last switch, when no read is outstanding on an older set.
    pub fn take_switched(&mut self) -> Option<u64> {
        if self.sets.len() > 1 {
            return None;
        }
        self.unacknowledged.take()
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

    /// Looks into the slices before `below` of a set, newest first: suspends for the next block that may hold the key,
    /// or grants.
    fn search_older(
        &mut self,
        pending: PendingId,
        at: usize,
        below: u32,
        now_s: u32,
        out: &mut Vec<Answer>,
        reads: &mut Vec<ReadWanted>,
    ) {
        let key = self.claims.key(pending);
        match seek(&self.sets[at].set, key, below) {
            Seek::Block { slice, block } => self.want(pending, at, slice, block, reads),
            Seek::Absent => self.grant(pending, now_s, out),
            Seek::NotCovered => {
                self.counters.misrouted += 1;
                self.fail(pending, out);
            }
        }
    }

    fn want(
        &mut self,
        pending: PendingId,
        at: usize,
        slice: u32,
        block: u32,
        reads: &mut Vec<ReadWanted>,
    ) {
        let used = &mut self.sets[at];
        used.reads += 1;
        self.counters.reads += 1;
        let id = self.claims.suspend(
            pending,
            State::Reading {
                version: used.set.version,
                slice,
                block,
            },
        );
        reads.push(ReadWanted {
            id,
            file: used.set.slices[slice as usize].file,
            offset: u64::from(block) * BLOCK_BYTES as u64,
        });
    }

    /// The first in the queue wins. A clock so near its end that an expiry cannot be written down grants nothing.
    fn grant(&mut self, pending: PendingId, now_s: u32, out: &mut Vec<Answer>) {
        let Some(expiry) = now_s.checked_add(self.ttl_s) else {
            return self.fail(pending, out);
        };
        let Some((to, ticket, winner)) = self.claims.grant(pending) else {
            return self.claims.close(pending);
        };
        let decided_at = if planted(Bug::DecidedAtByReceiver) {
            winner.decided_at
        } else {
            now_s
        };
        winner.decided_at = decided_at;
        winner.expiry = expiry;
        self.counters.won += 1;
        out.push(Answer {
            to,
            message: ToReceiver::Won {
                ticket,
                decided_at,
                expiry,
            },
        });
    }

    /// `Unavailable` to all who queued; the key is free again.
    fn fail(&mut self, pending: PendingId, out: &mut Vec<Answer>) {
        while let Some((from, ticket, _)) = self.claims.pop(pending) {
            self.unavailable(from, ticket, out);
        }
        self.claims.close(pending);
    }

    fn unavailable(&mut self, to: ShardId, ticket: Ticket, out: &mut Vec<Answer>) {
        self.counters.unavailable += 1;
        out.push(Answer {
            to,
            message: ToReceiver::Unavailable { ticket },
        });
    }

    fn existing(
        &mut self,
        to: ShardId,
        ticket: Ticket,
        candidate: &Decided,
        outcome: &Decided,
        out: &mut Vec<Answer>,
    ) {
        let conflict = candidate.digest_tag != outcome.digest_tag;
        self.counters.existing += 1;
        self.counters.conflicts += u64::from(conflict);
        out.push(Answer {
            to,
            message: ToReceiver::Existing {
                ticket,
                outcome: *outcome,
                conflict,
            },
        });
    }

    /// Planted only: tells those behind a granted claim what it will be.
    fn answer_waiters_early(&mut self, pending: PendingId, out: &mut Vec<Answer>) {
        let Some(outcome) = self.claims.winner(pending) else {
            return;
        };
        while let Some((from, ticket, candidate)) = self.claims.pop_waiter(pending) {
            self.existing(from, ticket, &candidate, &outcome, out);
        }
    }

    /// Lets go of older sets that have no read outstanding.
    fn retire_sets(&mut self) {
        let current = self.sets.len() - 1;
        let mut at = 0;
        self.sets.retain(|used| {
            at += 1;
            at > current || used.reads > 0
        });
    }
}

/// The newest slice before `below` that may hold the key.
fn seek(set: &SliceSet, key: Key, below: u32) -> Seek {
    for slice in (0..below).rev() {
        match set.slices[slice as usize].candidate(key) {
            Candidate::Absent => {}
            Candidate::Block(block) => return Seek::Block { slice, block },
            Candidate::NotCovered => return Seek::NotCovered,
        }
    }
    Seek::Absent
}
