//! Pending claims by key, each with its queue: two slabs and a bucket array of fixed size, linked by index. It owns the
//! order in which claims of a key stand; it never decides anything. After it was made it allocates only for a look-up that goes
//! on behind an entry that it found.

use super::sets::BlockPosition;
use crate::dedup::protocol::Ticket;
use crate::dedup::{Decided, Key};
use crate::io::{ReadId, ShardId};
use crate::planted::{Bug, planted};
use std::collections::BTreeMap;

/// "Nothing", as an index.
const NONE: u32 = u32::MAX;

/// A pending key: an index into the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PendingId(u32);

/// What a pending key waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Just opened: it neither won nor reads yet.
    Opened,
    /// The first of the queue has won; its decision is not durable yet.
    Granted,
    /// One read is outstanding, whatever number of claims queue.
    Reading(BlockPosition),
}

/// Which request claims: its receiver, and its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// The receiver.
    pub from: ShardId,
    /// The request at the receiver.
    pub ticket: Ticket,
}

/// A claim as it comes.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest<'a> {
    /// Which request claims.
    pub by: Claimant,
    /// What will be the outcome if it wins.
    pub candidate: &'a Decided,
}

/// A key whose look-up waits for a read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspended {
    pub pending: PendingId,
    pub key: Key,
    pub position: BlockPosition,
}

#[derive(Debug)]
struct Pending {
    key: Key,
    state: State,
    /// First and last claim in the queue; of a granted key the first is the winner.
    head: u32,
    tail: u32,
    /// Next pending key in the same bucket, or next free slot.
    next: u32,
    /// Changes with every read, so that a read's answer finds only what asked for it.
    generation: u32,
}

/// A claim in a queue.
#[derive(Debug)]
struct Queued {
    by: Claimant,
    candidate: Decided,
    /// Next claim in the queue, or next free slot.
    next: u32,
}

/// All pending claims of an owner.
#[derive(Debug)]
pub(super) struct Claims {
    /// Heads of chains of pending keys, a power of two of them.
    buckets: Box<[u32]>,
    pending: Vec<Pending>,
    pending_free: u32,
    pending_count: u32,
    claims: Vec<Queued>,
    claims_free: u32,
    claims_max: usize,
    /// What look-ups that go on have found so far, by pending key.
    found: BTreeMap<u32, Decided>,
}

impl Claims {
    /// Room for `claims_max` claims: a pending key that is granted or waiting holds at least one of them. Pending keys
    /// whose claims were all withdrawn wait for their read only; they get as much room again.
    pub(super) fn new(claims_max: u32) -> Claims {
        let claims_max = claims_max.clamp(1, 1 << 24) as usize;
        Claims {
            buckets: vec![NONE; claims_max.next_power_of_two()].into_boxed_slice(),
            pending: Vec::with_capacity(2 * claims_max),
            pending_free: NONE,
            pending_count: 0,
            claims: Vec::with_capacity(claims_max),
            claims_free: NONE,
            claims_max,
            found: BTreeMap::new(),
        }
    }

    pub(super) fn pending_count(&self) -> u32 {
        self.pending_count
    }

    /// The pending entry of a key.
    pub(super) fn find(&self, key: Key) -> Option<PendingId> {
        let mut at = self.buckets[self.bucket(key)];
        while at != NONE {
            let pending = &self.pending[at as usize];
            if pending.key == key {
                return Some(PendingId(at));
            }
            at = pending.next;
        }
        None
    }

    /// Leaves a pending entry for the candidate's key with this claim as the first of its queue; nothing if full.
    pub(super) fn open(&mut self, claim: &ClaimRequest<'_>) -> Option<PendingId> {
        let key = claim.candidate.key;
        debug_assert!(
            self.find(key).is_none() || planted(Bug::TwoSuspendedLookUps),
            "a key is pending once"
        );
        let claim = self.new_claim(claim)?;
        let bucket = self.bucket(key);
        let generation = match self.pending.get(self.pending_free as usize) {
            Some(free) => free.generation,
            None => 0,
        };
        let opened = Pending {
            key,
            state: State::Opened,
            head: claim,
            tail: claim,
            next: self.buckets[bucket],
            generation,
        };
        let id = if self.pending_free != NONE {
            let id = self.pending_free;
            let slot = &mut self.pending[id as usize];
            self.pending_free = slot.next;
            *slot = opened;
            id
        } else if self.pending.len() < 2 * self.claims_max {
            self.pending.push(opened);
            (self.pending.len() - 1) as u32
        } else {
            self.free_claim(claim);
            return None;
        };
        self.buckets[bucket] = id;
        self.pending_count += 1;
        Some(PendingId(id))
    }

    /// Queues a claim behind all others of its key; `false` if there is no room.
    pub(super) fn enqueue(&mut self, pending: PendingId, claim: &ClaimRequest<'_>) -> bool {
        let Some(claim) = self.new_claim(claim) else {
            return false;
        };
        let pending = &mut self.pending[pending.0 as usize];
        if pending.tail == NONE {
            pending.head = claim;
        } else {
            self.claims[pending.tail as usize].next = claim;
        }
        pending.tail = claim;
        true
    }

    /// Takes a claim that has not won out of the queue; `false` if it is not in it.
    pub(super) fn unlink(&mut self, pending: PendingId, by: Claimant) -> bool {
        let pending = &mut self.pending[pending.0 as usize];
        let (mut before, mut at) = (NONE, pending.head);
        while at != NONE {
            let claim = &self.claims[at as usize];
            if claim.by == by {
                break;
            }
            (before, at) = (at, claim.next);
        }
        if at == NONE || (before == NONE && pending.state == State::Granted) {
            return false;
        }
        let next = self.claims[at as usize].next;
        if before == NONE {
            pending.head = next;
        } else {
            self.claims[before as usize].next = next;
        }
        if next == NONE {
            pending.tail = before;
        }
        self.free_claim(at);
        true
    }

    /// Takes the first claim of the queue.
    pub(super) fn pop(&mut self, pending: PendingId) -> Option<(Claimant, Decided)> {
        let pending = &mut self.pending[pending.0 as usize];
        let at = pending.head;
        let claim = self.claims.get(at as usize)?;
        let taken = (claim.by, claim.candidate);
        pending.head = claim.next;
        if pending.head == NONE {
            pending.tail = NONE;
        }
        self.free_claim(at);
        Some(taken)
    }

    /// The first claim of the queue wins: its candidate, to be stamped. Nothing if the queue is empty.
    pub(super) fn grant(&mut self, pending: PendingId) -> Option<(Claimant, &mut Decided)> {
        let pending = &mut self.pending[pending.0 as usize];
        let claim = self.claims.get_mut(pending.head as usize)?;
        pending.state = State::Granted;
        Some((claim.by, &mut claim.candidate))
    }

    /// Takes the winner out of the queue, if the key is granted to this request.
    pub(super) fn take_winner(&mut self, pending: PendingId, by: Claimant) -> Option<Decided> {
        let granted = &self.pending[pending.0 as usize];
        let claim = self.claims.get(granted.head as usize)?;
        let won = granted.state == State::Granted && claim.by == by;
        if !won {
            return None;
        }
        self.pop(pending).map(|(_, decided)| decided)
    }

    /// Removes a pending key whose queue is empty (what is still queued is dropped with it).
    pub(super) fn close(&mut self, pending: PendingId) {
        while self.pop(pending).is_some() {}
        self.found.remove(&pending.0);
        let bucket = self.bucket(self.pending[pending.0 as usize].key);
        let next = self.pending[pending.0 as usize].next;
        if self.buckets[bucket] == pending.0 {
            self.buckets[bucket] = next;
        } else {
            let mut at = self.buckets[bucket];
            while at != NONE {
                let before = &mut self.pending[at as usize];
                if before.next == pending.0 {
                    before.next = next;
                    break;
                }
                at = before.next;
            }
        }
        let slot = &mut self.pending[pending.0 as usize];
        slot.state = State::Opened;
        slot.generation = slot.generation.wrapping_add(1);
        slot.next = self.pending_free;
        self.pending_free = pending.0;
        self.pending_count -= 1;
    }

    /// Keeps what stands of the entries that the look-up of a key has found so far: it goes on.
    pub(super) fn keep_found(&mut self, pending: PendingId, standing: &Decided) {
        self.found.insert(pending.0, *standing);
    }

    /// What stands of the entries that the look-up of a key had found when it went on.
    pub(super) fn take_found(&mut self, pending: PendingId) -> Option<Decided> {
        self.found.remove(&pending.0)
    }

    /// Waits for a read under a new name.
    pub(super) fn suspend(&mut self, pending: PendingId, position: BlockPosition) -> ReadId {
        let slot = &mut self.pending[pending.0 as usize];
        slot.state = State::Reading(position);
        slot.generation = slot.generation.wrapping_add(1);
        ReadId(u64::from(slot.generation) << 32 | u64::from(pending.0))
    }

    /// What waits for this read.
    pub(super) fn suspended_by(&self, id: ReadId) -> Option<Suspended> {
        let at = id.0 as u32;
        let pending = self.pending.get(at as usize)?;
        match pending.state {
            State::Reading(position) if u64::from(pending.generation) == id.0 >> 32 => {
                Some(Suspended {
                    pending: PendingId(at),
                    key: pending.key,
                    position,
                })
            }
            _ => None,
        }
    }

    /// For planted bugs: the winner of a key that is granted, with its stamped decision, and the claim behind it.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn granted(
        &self,
        pending: PendingId,
    ) -> Option<(Decided, Option<ClaimRequest<'_>>)> {
        let pending = &self.pending[pending.0 as usize];
        let winner = self.claims.get(pending.head as usize)?;
        let behind = self.claims.get(winner.next as usize);
        let behind = behind.map(|claim| ClaimRequest {
            by: claim.by,
            candidate: &claim.candidate,
        });
        (pending.state == State::Granted).then_some((winner.candidate, behind))
    }

    /// For a planted bug: whether the key waits for a read.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn is_reading(&self, pending: PendingId) -> bool {
        matches!(self.pending[pending.0 as usize].state, State::Reading(_))
    }

    pub(super) fn key(&self, pending: PendingId) -> Key {
        self.pending[pending.0 as usize].key
    }

    pub(super) fn queue_is_empty(&self, pending: PendingId) -> bool {
        self.pending[pending.0 as usize].head == NONE
    }

    fn bucket(&self, key: Key) -> usize {
        key.low as usize & (self.buckets.len() - 1)
    }

    fn new_claim(&mut self, claim: &ClaimRequest<'_>) -> Option<u32> {
        let claim = Queued {
            by: claim.by,
            candidate: *claim.candidate,
            next: NONE,
        };
        if self.claims_free != NONE {
            let id = self.claims_free;
            let slot = &mut self.claims[id as usize];
            self.claims_free = slot.next;
            *slot = claim;
            return Some(id);
        }
        if self.claims.len() == self.claims_max {
            return None;
        }
        self.claims.push(claim);
        Some((self.claims.len() - 1) as u32)
    }

    fn free_claim(&mut self, id: u32) {
        self.claims[id as usize].next = self.claims_free;
        self.claims_free = id;
    }
}
