//! How much of the batches of a log a tenant fills: a bucket that leaks one share of a batch with each batch (GCRA with
//! batches for a clock). It knows no queue and no clock but the number of the open batch.

use crate::wal::batch::BATCH_BODIES_MAX;
use crate::wal::name::Sequence;

/// What tenants share: the bodies of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) struct Room {
    /// The open batch.
    pub batch: Sequence,
    /// What its bodies may come to.
    pub bytes: usize,
}

impl Room {
    /// What a body takes of it. A batch is full by its bytes or by the count of its bodies, so none takes less than one of
    /// so many parts: a share of the bytes is one of the records, too.
    pub(in crate::shard) fn cost(&self, body_bytes: usize) -> usize {
        body_bytes.max(self.bytes / BATCH_BODIES_MAX as usize)
    }

    /// So many percent of it.
    pub(in crate::shard) fn quota(&self, percent: u8) -> usize {
        (self.bytes * usize::from(percent) / 100).max(1)
    }
}

/// What a tenant has filled and not paid for. It is the same under another snapshot, whatever the share is then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fill {
    /// Of the time of this batch.
    batch: Sequence,
    bytes: usize,
}

impl Fill {
    pub(super) const NOTHING: Fill = Fill {
        batch: Sequence(0),
        bytes: 0,
    };

    /// What is left of it in this batch, when each one since has paid for a quota.
    fn left(&self, room: &Room, quota: usize) -> usize {
        let batches = room.batch.0.saturating_sub(self.batch.0);
        let paid = batches.saturating_mul(quota as u64);
        (self.bytes as u64).saturating_sub(paid) as usize
    }

    /// Whether so much more may be taken. What is above a quota by itself goes when all before is paid for, and is paid for
    /// by the batches behind it.
    pub(super) fn may_take(&self, room: &Room, quota: usize, cost: usize) -> bool {
        let left = self.left(room, quota);
        left == 0 || left + cost <= quota
    }

    pub(super) fn take(&mut self, room: &Room, quota: usize, cost: usize) {
        let bytes = self.left(room, quota) + cost;
        let batch = room.batch;
        *self = Fill { batch, bytes };
    }

    /// What was taken in this batch did not go into it.
    pub(super) fn give_back(&mut self, cost: usize) {
        assert!(self.bytes >= cost, "what is given back was taken");
        self.bytes -= cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BYTES: usize = 256 * 1024;

    fn room(batch: u64) -> Room {
        Room {
            batch: Sequence(batch),
            bytes: BYTES,
        }
    }

    proptest! {
        #[test]
        fn no_batch_holds_more_than_a_share_and_a_body_above_it_is_paid_for(
            percent in 1u8..100,
            sizes in proptest::collection::vec(prop_oneof![0usize..600, 0usize..40_000, 0usize..1_100_000], 1..200),
        ) {
            let quota = room(0).quota(percent);
            let (mut fill, mut batch, mut of_batch, mut all) = (Fill::NOTHING, 1, Vec::new(), 0);
            for bytes in sizes {
                let cost = room(0).cost(bytes);
                while !fill.may_take(&room(batch), quota, cost) {
                    (batch, of_batch) = (batch + 1, Vec::new());
                }
                fill.take(&room(batch), quota, cost);
                of_batch.push(cost);
                all += cost;
                let sum: usize = of_batch.iter().sum();
                prop_assert!(of_batch.len() == 1 || sum <= quota, "{sum} of {quota}");
                prop_assert!(of_batch.len() <= 1 + quota / room(0).cost(0));
                // The last one may be ahead by itself.
                prop_assert!(all <= batch as usize * quota + cost.saturating_sub(quota));
            }
        }
    }

    #[test]
    fn a_body_of_many_shares_waits_until_it_is_paid_for_and_no_longer() {
        let quota = room(0).quota(10);
        let mut fill = Fill::NOTHING;
        fill.take(&room(1), quota, 5 * quota / 2);
        for (batch, takes_small, takes_large) in [
            (1, false, false),
            (2, false, false),
            (3, true, false),
            (4, true, true),
        ] {
            let may_take = |cost| fill.may_take(&room(batch), quota, cost);
            assert_eq!(may_take(room(0).cost(0)), takes_small, "{batch}");
            assert_eq!(may_take(5 * quota / 2), takes_large, "{batch}");
        }
    }
}
