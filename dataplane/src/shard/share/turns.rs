//! Tenants with a share, their requests that wait for it, and whose turn it is. Requests of a tenant wait in the order in
//! which they came; tenants take turns. It never looks at a request.
//!
//! Joining, leaving and finding the next one take constant time. A new batch takes one look at each tenant that waits.

use super::super::lists::{Ends, Links};
#[cfg(debug_assertions)]
use super::audit::Audit;
use super::fill::{Fill, Room};
use crate::dedup::context::TenantId;
use crate::snapshot::Snapshot;
use crate::wal::name::Sequence;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::shard) struct Shares {
    /// Whether any tenant may fill only a part of a batch.
    is_on: bool,
    /// By [`TenantId`]: as many as there are in the snapshot.
    tenants: Vec<Sharer>,
    /// Connections by slot, each in the queue of one tenant.
    waiters: Links,
    /// Tenants that wait, each in one of the two lists behind this.
    order: Links,
    /// Those that may have something left of their share, the next one first.
    next: Ends,
    /// Those that have not, until the next batch.
    spent: Ends,
    /// The batch for which they were looked at.
    batch: Sequence,
    /// Tenants looked at, for tests of how much work there is.
    #[cfg(test)]
    pub(in crate::shard) steps: u64,
    #[cfg(debug_assertions)]
    audit: Audit,
}

/// A tenant.
#[derive(Clone, Copy, Debug)]
struct Sharer {
    percent: u8,
    fill: Fill,
    waiting: Ends,
    listed: Listed,
}

/// Where a tenant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    /// No request of it waits.
    Nowhere,
    Next,
    Spent,
}

/// Whether a tenant that begins to wait may have something of its share left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum ShareLeft {
    Some,
    Nothing,
}

/// Whose turn it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Candidates {
    /// Tenants that may have something of their share left.
    WithShareLeft,
    /// Those first, then the ones that have used theirs up: they may have what is left of a batch that goes to the disk.
    All,
}

const NEW: Sharer = Sharer {
    percent: 100,
    fill: Fill::NOTHING,
    waiting: Ends::EMPTY,
    listed: Listed::Nowhere,
};

impl Shares {
    /// What a snapshot says of shares is in force. What has been filled, and which requests wait, stays as it is: a share is
    /// not had again by publishing. Requests of tenants without a share wait for none: the slots of their connections.
    pub(in crate::shard) fn configure(&mut self, snapshot: &Snapshot) -> Vec<u32> {
        let count = snapshot.all().len().max(self.tenants.len());
        self.tenants.resize(count, NEW);
        self.order.reach(count as u32);
        for (sharer, tenant) in self.tenants.iter_mut().zip(snapshot.all()) {
            sharer.percent = tenant.wal_share;
        }
        self.is_on = snapshot.all().any(|tenant| tenant.wal_share < 100);
        #[cfg(debug_assertions)]
        self.audit.begin_anew();
        // Another share may let in what had none left.
        self.look_at_all();
        let mut freed = Vec::new();
        for at in 0..count {
            let tenant = TenantId::at(at);
            while let Some(slot) = self.first_of(tenant).filter(|_| !self.limits(tenant)) {
                self.leave(tenant, slot);
                freed.push(slot);
            }
        }
        freed
    }

    /// Whether any tenant may fill only a part of a batch.
    #[inline]
    pub(in crate::shard) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether this tenant may fill only a part of a batch.
    pub(in crate::shard) fn limits(&self, tenant: TenantId) -> bool {
        self.percent(tenant) < 100
    }

    /// How much of a batch it may fill.
    pub(in crate::shard) fn percent(&self, tenant: TenantId) -> u8 {
        self.tenants[tenant.index()].percent
    }

    /// Whether a tenant may fill so much more.
    pub(in crate::shard) fn may_take(
        &self,
        tenant: TenantId,
        room: &Room,
        body_bytes: usize,
    ) -> bool {
        let sharer = &self.tenants[tenant.index()];
        let (quota, cost) = (room.quota(sharer.percent), room.cost(body_bytes));
        sharer.fill.may_take(room, quota, cost)
    }

    /// It fills so much more.
    pub(in crate::shard) fn take(&mut self, tenant: TenantId, room: &Room, body_bytes: usize) {
        let sharer = &mut self.tenants[tenant.index()];
        let (quota, cost) = (room.quota(sharer.percent), room.cost(body_bytes));
        sharer.fill.take(room, quota, cost);
        #[cfg(debug_assertions)]
        self.audit.take(tenant, room, body_bytes, quota);
    }

    /// What it took in this batch did not go into it: others of the tenant may have its part.
    pub(in crate::shard) fn give_back(&mut self, tenant: TenantId, room: &Room, body_bytes: usize) {
        let cost = room.cost(body_bytes);
        self.tenants[tenant.index()].fill.give_back(cost);
        #[cfg(debug_assertions)]
        self.audit.give_back(tenant, body_bytes);
        if self.listed(tenant) == Listed::Spent {
            self.list(tenant, Listed::Next);
        }
    }

    /// A request of this tenant waits behind those that do. One that is the first and was not let in has no share left.
    pub(in crate::shard) fn join(&mut self, tenant: TenantId, slot: u32, left: ShareLeft) {
        self.waiters.reach(slot + 1);
        let waiting = &mut self.tenants[tenant.index()].waiting;
        self.waiters.join(waiting, slot);
        if self.listed(tenant) == Listed::Nowhere {
            let listed = match left {
                ShareLeft::Some => Listed::Next,
                ShareLeft::Nothing => Listed::Spent,
            };
            self.list(tenant, listed);
        }
    }

    /// A request of this tenant waits no longer.
    pub(in crate::shard) fn leave(&mut self, tenant: TenantId, slot: u32) {
        let waiting = &mut self.tenants[tenant.index()].waiting;
        self.waiters.leave(waiting, slot);
        if waiting.first().is_none() {
            self.list(tenant, Listed::Nowhere);
        }
    }

    /// Whether a request of this tenant waits.
    pub(in crate::shard) fn waits(&self, tenant: TenantId) -> bool {
        self.first_of(tenant).is_some()
    }

    /// The tenant whose turn it is, and the slot of the connection whose request is its first.
    pub(in crate::shard) fn next(&mut self) -> Option<(TenantId, u32)> {
        let first = self.first(Candidates::WithShareLeft)?;
        self.count_step();
        Some(first)
    }

    /// The same of these, only to look at.
    pub(in crate::shard) fn first(&self, among: Candidates) -> Option<(TenantId, u32)> {
        let first = match among {
            Candidates::WithShareLeft => self.next.first(),
            Candidates::All => self.next.first().or(self.spent.first()),
        };
        let tenant = TenantId::at(first? as usize);
        Some((tenant, self.first_of(tenant)?))
    }

    /// The tenant whose turn it is has no share left in this batch.
    pub(in crate::shard) fn spend(&mut self, tenant: TenantId) {
        self.list(tenant, Listed::Spent);
    }

    /// It has had its turn, and comes behind the others.
    pub(in crate::shard) fn rotate(&mut self, tenant: TenantId) {
        self.list(tenant, Listed::Next);
    }

    /// Whether those that wait were not looked at since this batch was opened.
    pub(in crate::shard) fn is_new(&self, batch: Sequence) -> bool {
        self.batch != batch
    }

    /// This batch is open: each tenant has its share of it, if those before have paid for what it took.
    pub(in crate::shard) fn open(&mut self, batch: Sequence) {
        if self.is_new(batch) {
            self.look_at_all();
        }
        self.batch = batch;
    }

    /// Those without a share left may have something else: they come behind the others.
    pub(in crate::shard) fn look_at_all(&mut self) {
        while let Some(tenant) = self.spent.first() {
            self.count_step();
            self.list(TenantId::at(tenant as usize), Listed::Next);
        }
    }

    fn first_of(&self, tenant: TenantId) -> Option<u32> {
        self.tenants[tenant.index()].waiting.first()
    }

    fn listed(&self, tenant: TenantId) -> Listed {
        self.tenants[tenant.index()].listed
    }

    /// Moves a tenant behind all others of a list.
    fn list(&mut self, tenant: TenantId, listed: Listed) {
        let at = tenant.index() as u32;
        match std::mem::replace(&mut self.tenants[tenant.index()].listed, listed) {
            Listed::Nowhere => {}
            Listed::Next => self.order.leave(&mut self.next, at),
            Listed::Spent => self.order.leave(&mut self.spent, at),
        }
        match listed {
            Listed::Nowhere => {}
            Listed::Next => self.order.join(&mut self.next, at),
            Listed::Spent => self.order.join(&mut self.spent, at),
        }
    }

    /// How many requests wait, counted one by one; and a tenant is in a list if and only if one of its requests waits.
    #[cfg(debug_assertions)]
    pub(in crate::shard) fn checked_count(&self) -> usize {
        let listed = |ends: &Ends| self.order.iter(ends).count();
        let waits = |sharer: &&Sharer| sharer.listed != Listed::Nowhere;
        let waiting = self.tenants.iter().filter(waits).count();
        assert_eq!(listed(&self.next) + listed(&self.spent), waiting);
        let counts = self.tenants.iter().map(|sharer| {
            let count = self.waiters.iter(&sharer.waiting).count();
            assert_eq!(count > 0, sharer.listed != Listed::Nowhere);
            count
        });
        counts.sum()
    }

    #[cfg(test)]
    fn count_step(&mut self) {
        self.steps += 1;
    }

    #[cfg(not(test))]
    fn count_step(&mut self) {}
}
