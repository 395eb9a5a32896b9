//! Pending keys, each with the queue of claims and look-ups that wait for it: two slabs and a bucket array of fixed size, linked
//! by index. It owns the order in which they stand; it never decides anything. After it was made it allocates only for a look
//! into slices that goes on behind an entry that it found.

use super::sets::BlockPosition;
use crate::dedup::protocol::{LookTicket, Ticket};
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

/// Which look-up asks: the shard that was asked, and its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looker {
    /// The shard that was asked.
    pub from: ShardId,
    /// The look-up there.
    pub ticket: LookTicket,
}

/// What waits in the queue of a key.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant)] // they lie in a slab that is made once; a box would be an allocation per claim
pub(super) enum Waiter {
    /// A claim, with what will be the outcome if it wins.
    Claim(Claimant, Decided),
    /// A look-up, which never wins.
    Look(Looker),
}

/// The name of what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Claim(Claimant),
    Look(Looker),
}

impl Waiter {
    fn name(&self) -> Name {
        match self {
            Waiter::Claim(by, _) => Name::Claim(*by),
            Waiter::Look(by) => Name::Look(*by),
        }
    }
}

impl From<&ClaimRequest<'_>> for Waiter {
    fn from(claim: &ClaimRequest<'_>) -> Waiter {
        Waiter::Claim(claim.by, *claim.candidate)
    }
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
    /// First and last in the queue; of a granted key the first is the claim that won.
    head: u32,
    tail: u32,
    /// Next pending key in the same bucket, or next free slot.
    next: u32,
    /// Changes with every read, so that a read's answer finds only what asked for it.
    generation: u32,
}

/// A place in a queue.
#[derive(Debug)]
struct Queued {
    waiter: Waiter,
    /// Next place in the queue, or next free slot.
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
    /// Room for `claims_max` claims and look-ups: a pending key that is granted or waiting holds at least one of them. Pending
    /// keys whose claims were all withdrawn wait for their read only; they get as much room again.
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

    /// Leaves a pending entry for a key with this as the first of its queue; nothing if full.
    pub(super) fn open(&mut self, key: Key, waiter: Waiter) -> Option<PendingId> {
        debug_assert!(
            self.find(key).is_none() || planted(Bug::TwoSuspendedLookUps),
            "a key is pending once"
        );
        let place = self.new_place(waiter)?;
        let bucket = self.bucket(key);
        let generation = match self.pending.get(self.pending_free as usize) {
            Some(free) => free.generation,
            None => 0,
        };
        let opened = Pending {
            key,
            state: State::Opened,
            head: place,
            tail: place,
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
            self.free_place(place);
            return None;
        };
        self.buckets[bucket] = id;
        self.pending_count += 1;
        Some(PendingId(id))
    }

    /// Queues behind all others of the key; `false` if there is no room.
    pub(super) fn enqueue(&mut self, pending: PendingId, waiter: Waiter) -> bool {
        let Some(place) = self.new_place(waiter) else {
            return false;
        };
        let pending = &mut self.pending[pending.0 as usize];
        if pending.tail == NONE {
            pending.head = place;
        } else {
            self.claims[pending.tail as usize].next = place;
        }
        pending.tail = place;
        true
    }

    /// Takes what has not won out of the queue; `false` if it is not in it. A look-up that alone waits for a read stays: its
    /// place bounds the reads that look-ups can ask for, however many of them are given up.
    pub(super) fn unlink(&mut self, pending: PendingId, name: Name) -> bool {
        let pending = &mut self.pending[pending.0 as usize];
        let is_alone = pending.head == pending.tail;
        if is_alone && matches!((name, pending.state), (Name::Look(_), State::Reading(_))) {
            return false;
        }
        let (mut before, mut at) = (NONE, pending.head);
        while at != NONE {
            let queued = &self.claims[at as usize];
            if queued.waiter.name() == name {
                break;
            }
            (before, at) = (at, queued.next);
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
        self.free_place(at);
        true
    }

    /// Takes the first of the queue.
    pub(super) fn pop(&mut self, pending: PendingId) -> Option<Waiter> {
        let pending = &mut self.pending[pending.0 as usize];
        let at = pending.head;
        let queued = self.claims.get(at as usize)?;
        let taken = queued.waiter;
        pending.head = queued.next;
        if pending.head == NONE {
            pending.tail = NONE;
        }
        self.free_place(at);
        Some(taken)
    }

    /// Takes the first of the queue if it is a look-up.
    pub(super) fn pop_look(&mut self, pending: PendingId) -> Option<Looker> {
        let head = self.pending[pending.0 as usize].head;
        let Waiter::Look(by) = self.claims.get(head as usize)?.waiter else {
            return None;
        };
        self.pop(pending);
        Some(by)
    }

    /// The claim at the head of the queue wins: its candidate, to be stamped. Nothing if the queue is empty.
    pub(super) fn grant(&mut self, pending: PendingId) -> Option<(Claimant, &mut Decided)> {
        let pending = &mut self.pending[pending.0 as usize];
        let queued = self.claims.get_mut(pending.head as usize)?;
        let Waiter::Claim(by, candidate) = &mut queued.waiter else {
            unreachable!("look-ups ahead of the first claim are answered before it wins");
        };
        pending.state = State::Granted;
        Some((*by, candidate))
    }

    /// Takes the winner out of the queue, if the key is granted to this request.
    pub(super) fn take_winner(&mut self, pending: PendingId, by: Claimant) -> Option<Decided> {
        let granted = &self.pending[pending.0 as usize];
        let head = self.claims.get(granted.head as usize)?;
        match head.waiter {
            Waiter::Claim(winner, decided) if granted.state == State::Granted && winner == by => {
                self.pop(pending);
                Some(decided)
            }
            Waiter::Claim(..) | Waiter::Look(_) => None,
        }
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

    /// For planted bugs: the stamped decision of the winner of a key that is granted, and the claim behind it.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn granted(
        &self,
        pending: PendingId,
    ) -> Option<(Decided, Option<(Claimant, Decided)>)> {
        let claim = |at: u32| match self.claims.get(at as usize)?.waiter {
            Waiter::Claim(by, candidate) => Some((by, candidate)),
            Waiter::Look(_) => None,
        };
        let pending = &self.pending[pending.0 as usize];
        let (_, winner) = claim(pending.head)?;
        let next = self.claims[pending.head as usize].next;
        (pending.state == State::Granted).then_some((winner, claim(next)))
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

    fn new_place(&mut self, waiter: Waiter) -> Option<u32> {
        let queued = Queued { waiter, next: NONE };
        if self.claims_free != NONE {
            let id = self.claims_free;
            let slot = &mut self.claims[id as usize];
            self.claims_free = slot.next;
            *slot = queued;
            return Some(id);
        }
        if self.claims.len() == self.claims_max {
            return None;
        }
        self.claims.push(queued);
        Some((self.claims.len() - 1) as u32)
    }

    fn free_place(&mut self, id: u32) {
        self.claims[id as usize].next = self.claims_free;
        self.claims_free = id;
    }
}
