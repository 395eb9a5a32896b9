//! Buckets of a room: units that are left, by the test, and what was charged; and the traces that are complete. A stand-in for
//! the driver's; no time refills them, unless the room has the real ones.

use crate::event::{Ask, Driver, Granted};
use crate::io::Now;
use crate::snapshot::Limit;
use crate::stats::Trace;
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Buckets {
    /// Units that are left, by word; no entry: no end of them.
    pub(super) left: BTreeMap<u32, u64>,
    /// Units that were taken, by word.
    pub(super) taken: BTreeMap<u32, u64>,
    /// When there is more, for those who come too late.
    pub(super) retry_after_us: u64,
    /// The driver's, which take the place of all this.
    pub(super) real: Option<crate::driver::rate::Buckets>,
    /// Traces that are complete.
    pub(super) traces: Vec<Trace>,
    /// Slots of traced records that were judged.
    pub(super) judged: Vec<u16>,
}

impl Buckets {
    /// Requests that are left of the rate of all.
    pub(super) fn rate(&self) -> u64 {
        self.left.get(&0).copied().unwrap_or(u64::MAX)
    }
}

impl Driver for Buckets {
    fn judges_traced(&mut self, slot: u16) {
        self.judged.push(slot);
    }

    fn traced(&mut self, _: u16, trace: &Trace) {
        self.traces.push(*trace);
    }

    fn charge(&mut self, limit: Limit, ask: Ask, now: Now) -> Granted {
        if let Some(real) = &self.real {
            return real.charge(limit, ask, now);
        }
        let all = Granted::all(ask);
        if limit.per_s == 0 {
            return all;
        }
        let Some(left) = self.left.get_mut(&limit.word) else {
            *self.taken.entry(limit.word).or_default() += all.count;
            return all;
        };
        let count = match ask {
            Ask::UpTo(wanted) => wanted.min(*left),
            Ask::Whole(_) if *left == 0 => 0,
            Ask::Whole(wanted) | Ask::Owed(wanted) => wanted,
        };
        let is_short = count < all.count || (*left == 0 && matches!(ask, Ask::Whole(_)));
        *left = left.saturating_sub(count);
        *self.taken.entry(limit.word).or_default() += count;
        Granted {
            count,
            retry_after_us: match is_short {
                true => self.retry_after_us.max(1),
                false => 0,
            },
        }
    }
}
