//! The naive twin of the accounts of shares: the list of what each tenant took of the open batch, added up anew at each step.
//! It is there in builds with debug assertions, so in every test of a shard and in the simulator's.

use super::fill::Room;
use crate::dedup::context::TenantId;
use crate::wal::batch::BATCH_BODIES_MAX;
use crate::wal::name::Sequence;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Audit {
    batch: Sequence,
    /// Tenants and bytes of bodies.
    taken: Vec<(TenantId, usize)>,
}

impl Audit {
    /// Other shares are in force: what was taken before may be above them.
    pub(super) fn begin_anew(&mut self) {
        self.taken.clear();
    }

    /// A tenant takes so much, and may take that quota.
    pub(super) fn take(&mut self, tenant: TenantId, room: &Room, body_bytes: usize, quota: usize) {
        if self.batch != room.batch {
            self.batch = room.batch;
            self.taken.clear();
        }
        self.taken.push((tenant, body_bytes));
        let of_tenant = self.taken.iter().filter(|(of, _)| *of == tenant);
        let (count, bytes) = (
            of_tenant.clone().count(),
            of_tenant.map(|(_, bytes)| bytes).sum::<usize>(),
        );
        if count > 1 {
            assert!(bytes <= quota, "{tenant:?} has {bytes} bytes of {quota}");
            let all = count * room.bytes;
            let records_max = quota * BATCH_BODIES_MAX as usize;
            assert!(all <= records_max, "{tenant:?} has {count} bodies");
        }
    }

    /// One of those that it took did not go into the batch.
    pub(super) fn give_back(&mut self, tenant: TenantId, body_bytes: usize) {
        let is_it = |taken: &(TenantId, usize)| *taken == (tenant, body_bytes);
        if let Some(at) = self.taken.iter().rposition(is_it) {
            self.taken.remove(at);
        }
    }
}
