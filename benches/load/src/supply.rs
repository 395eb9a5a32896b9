//! What one thread sends next: orders of the mix turned into records, most of them signed before the run. It repeats only records
//! whose answer it was told, so that what a gateway has to say of a duplicate is certain.

use std::sync::Arc;

use fastrand::Rng;

use crate::arrivals::thread_seed;
use crate::mix::{Kind, Mix, Order, Orders};
use crate::record::{RECORDS_MAX, Recipe, Records, Signed};

/// Answered records that may be repeated: the newest ones of a thread, shared by its tenants.
const ANSWERED_MAX: usize = 4_096;

/// Bytes of one record that was signed ahead.
pub const SIGNED_BYTES: u64 = size_of::<Signed>() as u64;

/// Where a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was signed before the run.
    Ahead,
    /// It was signed when it was due.
    OnTheFly,
    /// It needed no signature, or had one.
    Unsigned,
}

/// Records of a tenant that were answered, the newest ones; the oldest one stands at `at` once all places are taken.
#[derive(Clone, Default)]
struct Answered {
    records: Vec<Signed>,
    at: usize,
}

/// The records of one thread.
pub struct Supply {
    recipe: Arc<Recipe>,
    orders: Orders,
    /// Of each request.
    records: u32,
    /// The number of the next record of an order.
    number: u64,
    /// The number of the last record in place of a duplicate; they go downwards.
    substitute: u64,
    /// New records in the order in which they are needed.
    ahead: std::vec::IntoIter<Signed>,
    /// Of each tenant.
    answered: Vec<Answered>,
    /// Which of them is repeated.
    choice: Rng,
}

impl Supply {
    /// The records of a mix, so many in a request, of thread `thread` of `threads_count`; none of them is signed yet.
    pub fn new(
        recipe: Arc<Recipe>,
        (mix, records): (Mix, u32),
        seed: u64,
        thread: u64,
        threads_count: u64,
    ) -> Self {
        let room = RECORDS_MAX / threads_count.max(1);
        Self {
            recipe,
            orders: Orders::new(mix, records, seed, thread),
            records,
            number: thread * room,
            substitute: (thread + 1) * room,
            ahead: Vec::new().into_iter(),
            answered: vec![Answered::default(); usize::from(mix.tenants_count.max(1))],
            choice: Rng::with_seed(thread_seed(seed.rotate_left(17), thread)),
        }
    }

    /// Signs what the next so many orders need, with all CPUs, and says how many records that were.
    pub fn sign_ahead(&mut self, orders_count: u64) -> u64 {
        let (mut orders, mut number) = (self.orders.clone(), self.number);
        let mut wanted: Vec<(Order, u64)> = Vec::new();
        for _ in 0..orders_count {
            let order = orders.next_order();
            if order.kind == Kind::New {
                wanted.push((order, number));
            }
            number += u64::from(order.kind != Kind::Duplicate);
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = wanted.len().div_ceil(threads).max(1);
        let recipe = &self.recipe;
        let signed: Vec<Signed> = std::thread::scope(|scope| {
            let sign = |chunk: &'_ [(Order, u64)]| {
                let records = chunk
                    .iter()
                    .map(|(order, number)| recipe.make(*order, *number));
                records.collect::<Vec<_>>()
            };
            let workers: Vec<_> = wanted
                .chunks(share)
                .map(|chunk| scope.spawn(move || sign(chunk)))
                .collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<Signed>>| match worker.join()
            {
                Ok(records) => records,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            workers.into_iter().flat_map(join).collect()
        });
        let count = signed.len() as u64;
        self.ahead = signed.into_iter();
        count
    }

    /// The next record, and where it comes from. In place of a duplicate of nothing there is a new record.
    pub fn next_record(&mut self) -> (Signed, Source) {
        let order = self.orders.next_order();
        if order.kind == Kind::Duplicate {
            return self.duplicate(order);
        }
        let number = self.number;
        self.number += 1;
        if order.kind != Kind::New {
            return (self.recipe.make(order, number), Source::Unsigned);
        }
        match self.ahead.next() {
            Some(signed) => (signed, Source::Ahead),
            None => (self.recipe.make(order, number), Source::OnTheFly),
        }
    }

    /// The records of the next request, and how many of them come from where.
    pub fn next_records(&mut self, mut from: impl FnMut(&Signed, Source)) -> Records {
        let count = self.records;
        let mut next = || {
            let (signed, source) = self.next_record();
            from(&signed, source);
            signed
        };
        let first = next();
        let rest = (1..count).map(|_| next()).collect();
        Records { first, rest }
    }

    fn duplicate(&mut self, order: Order) -> (Signed, Source) {
        let answered = &self.answered[usize::from(order.tenant)].records;
        if answered.is_empty() {
            self.substitute -= 1;
            let order = Order {
                kind: Kind::New,
                ..order
            };
            return (self.recipe.make(order, self.substitute), Source::OnTheFly);
        }
        let at = self.choice.usize(..answered.len());
        (answered[at].again(), Source::Unsigned)
    }

    /// A gateway has answered that it keeps this record: it may be repeated from now on.
    pub fn was_kept(&mut self, signed: &Signed) {
        if signed.order().kind != Kind::New {
            return;
        }
        let places = (ANSWERED_MAX / self.answered.len()).max(1);
        let Answered { records, at } = &mut self.answered[usize::from(signed.order().tenant)];
        match records.len() < places {
            true => records.push(signed.clone()),
            false => records[*at % places] = signed.clone(),
        }
        *at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::recipe;
    use std::collections::BTreeSet;

    const MIX: Mix = Mix {
        duplicates: 0.3,
        bad_signatures: 0.1,
        malformed: 0.1,
        second_key: 0.5,
        tenants_count: 3,
    };

    fn supply(thread: u64) -> Supply {
        let recipe = Arc::new(recipe(&["a", "b", "c"], 0));
        Supply::new(recipe, (MIX, 1), 9, thread, 2)
    }

    fn bytes(signed: &Signed) -> Vec<u8> {
        let mut out = Vec::new();
        recipe(&["a", "b", "c"], 0).write(&Records::from(signed.clone()), &mut out);
        out
    }

    #[test]
    fn what_is_signed_ahead_is_what_would_be_signed_on_the_fly() {
        let (mut ahead, mut late) = (supply(0), supply(0));
        let count = ahead.sign_ahead(500);
        let mut found = 0;
        for at in 0..600 {
            let (one, source) = ahead.next_record();
            let (other, _) = late.next_record();
            assert_eq!(bytes(&one), bytes(&other), "{at}");
            found += u64::from(source == Source::Ahead);
            for (supply, signed) in [(&mut ahead, &one), (&mut late, &other)] {
                supply.was_kept(signed);
            }
        }
        assert_eq!(found, count);
    }

    #[test]
    fn only_answered_records_are_repeated_and_nothing_else_twice() {
        let mut sent = BTreeSet::new();
        let mut kept = BTreeSet::new();
        let mut supplies = [supply(0), supply(1)];
        for at in 0..4_000 {
            let supply = &mut supplies[at % 2];
            let (signed, _) = supply.next_record();
            let bytes = bytes(&signed);
            match signed.order().kind {
                Kind::Duplicate => assert!(kept.contains(&bytes)),
                _ => assert!(sent.insert(bytes.clone()), "twice"),
            }
            // Each third answer is that of a gateway that may not have kept it.
            if signed.order().kind == Kind::New && at % 3 > 0 {
                supply.was_kept(&signed);
                kept.insert(bytes);
            }
        }
        assert!(kept.len() > 1_000);
    }

    #[test]
    fn a_duplicate_is_of_the_tenant_that_it_was_ordered_for() {
        let mut supply = supply(0);
        let mut orders = supply.orders.clone();
        for _ in 0..2_000 {
            let (signed, _) = supply.next_record();
            assert_eq!(signed.order().tenant, orders.next_order().tenant);
            supply.was_kept(&signed);
        }
    }

    #[test]
    fn before_anything_is_answered_a_duplicate_is_a_new_record() {
        let mut supply = supply(0);
        for _ in 0..100 {
            assert_ne!(supply.next_record().0.order().kind, Kind::Duplicate);
        }
    }

    #[test]
    fn only_the_newest_answered_records_are_kept() {
        let mut supply = supply(0);
        let order = supply.next_record().0.order();
        for number in 0..2 * ANSWERED_MAX as u64 {
            let order = Order {
                kind: Kind::New,
                ..order
            };
            let signed = supply.recipe.make(order, 1_000_000 + number);
            supply.was_kept(&signed);
        }
        let of_tenant = &supply.answered[usize::from(order.tenant)].records;
        assert_eq!(of_tenant.len(), ANSWERED_MAX / 3);
    }
}
