//! The decided table compared with a map, under growth, expiry, epochs and crowded keys; and what it costs per key.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// The obvious table: a map, with the one rule about a second decision of a key.
#[derive(Default)]
struct Twin {
    entries: HashMap<Key, Decided>,
    sealed: Option<Epoch>,
}

impl Twin {
    fn insert(&mut self, new: &Decided) -> Inserted {
        let Some(old) = self.entries.get_mut(&new.key) else {
            self.entries.insert(new.key, *new);
            return Inserted::New;
        };
        let overlap = old.decided_at < new.expiry && new.decided_at < old.expiry;
        let rank = |it: &Decided| (it.decided_at, it.origin, it.digest_tag.swap_bytes());
        let replaced = match overlap {
            true => rank(new) < rank(old),
            false => old.decided_at < new.decided_at,
        };
        let (expiry, epoch) = (old.expiry.max(new.expiry), old.epoch.later(new.epoch));
        if replaced {
            *old = *new;
        }
        if overlap {
            (old.expiry, old.epoch) = (expiry, epoch);
        }
        match replaced {
            true => Inserted::Replaced,
            false => Inserted::Kept,
        }
    }

    fn is_sealed(&self, entry: &Decided) -> bool {
        self.sealed
            .is_some_and(|sealed| entry.epoch.is_sealed_with(sealed))
    }

    fn get(&self, key: Key, now_s: u32) -> Option<Decided> {
        self.entries
            .get(&key)
            .copied()
            .filter(|entry| entry.live_at(now_s))
    }
}

fn scrambled(number: u64) -> Key {
    let high = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Key {
        high: high ^ (high >> 29),
        low: number.wrapping_mul(0xD134_2543_DE82_EF95),
    }
}

/// Keys of few partitions. Some crowd together at the end or share all that places depend on, as keyed hashes never do.
fn key_of(choice: u16) -> Key {
    let mut key = scrambled(u64::from(choice));
    key.high = (key.high >> 10) | u64::from(choice % 3 + 7) << 54;
    match choice % 11 {
        0 => key.high |= 0x003F_FFFF_FFFF_F000,
        1 => key.high = key.high >> 54 << 54,
        _ => {}
    }
    key
}

#[derive(Clone, Debug)]
enum Step {
    Insert {
        choice: u16,
        ttl: u8,
        epochs_ahead: u8,
    },
    Burst {
        from: u16,
        count: u16,
    },
    Get {
        choice: u16,
    },
    Work,
    Time {
        seconds: u16,
    },
    Seal,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..600u16, 1..200u8, 0..2u8).prop_map(|(choice, ttl, epochs_ahead)| Step::Insert { choice, ttl, epochs_ahead }),
        2 => (0..9000u16, 1..3000u16).prop_map(|(from, count)| Step::Burst { from, count }),
        4 => (0..600u16).prop_map(|choice| Step::Get { choice }),
        6 => Just(Step::Work),
        2 => (0..100u16).prop_map(|seconds| Step::Time { seconds }),
        1 => Just(Step::Seal),
    ]
}

fn decided(key: Key, decided_at: u32, expiry: u32, epoch: Epoch) -> Decided {
    Decided {
        key,
        digest_tag: key.low ^ u64::from(decided_at),
        decided_at,
        expiry,
        epoch,
        ..Decided::default()
    }
}

fn compare(table: &Partitions, twin: &Twin, key: Key, now_s: u32) -> Result<(), TestCaseError> {
    let (got, expected) = (table.get(key, now_s), twin.get(key, now_s));
    let may_be_gone = expected.is_some_and(|entry| twin.is_sealed(&entry));
    prop_assert!(
        got == expected || (got.is_none() && may_be_gone),
        "{got:?} {expected:?}"
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn answers_as_a_plain_map_does_whatever_moves_meanwhile(
        steps in prop::collection::vec(step(), 1..120),
        bytes_max in prop_oneof![Just(u64::MAX), Just(100_000u64)],
    ) {
        let mut table = Partitions::new(6..11, bytes_max);
        let mut twin = Twin::default();
        let (mut now_s, mut epoch) = (1_000u32, Epoch::of(u16::MAX - 2)); // epochs wrap on the way
        for step in steps {
            match step {
                Step::Insert { choice, ttl, epochs_ahead } => {
                    let key = key_of(choice);
                    // A sealed entry may be gone already; its owner would find it in a slice and ask for no second one.
                    if !twin.get(key, now_s).is_some_and(|entry| twin.is_sealed(&entry)) {
                        let epoch = if epochs_ahead == 0 { epoch } else { epoch.next() };
                        let new = decided(key, now_s, now_s + u32::from(ttl), epoch);
                        let alive = twin.get(key, now_s).is_some();
                        let (got, expected) = (table.insert(&new), twin.insert(&new));
                        prop_assert_eq!(got == Inserted::Kept, expected == Inserted::Kept);
                        prop_assert_eq!(got == Inserted::Kept, alive);
                    }
                    compare(&table, &twin, key, now_s)?;
                }
                Step::Burst { from, count } => for choice in from..from + count {
                    let key = key_of(choice);
                    if twin.get(key, now_s).is_none() {
                        let new = decided(key, now_s, now_s + 50 + u32::from(choice % 90), epoch);
                        table.insert(&new);
                        twin.insert(&new);
                    }
                },
                Step::Get { choice } => compare(&table, &twin, key_of(choice), now_s)?,
                Step::Work => table.step(now_s),
                Step::Time { seconds } => now_s += u32::from(seconds),
                Step::Seal => {
                    table.drop_sealed(epoch);
                    twin.sealed = Some(epoch);
                    epoch = epoch.next();
                }
            }
            table.check();
        }
        for choice in 0..12_000 {
            compare(&table, &twin, key_of(choice), now_s)?;
        }
        // With enough work nothing dead is left and nothing live is gone.
        for _ in 0..200 {
            table.step(now_s);
        }
        table.check();
        let long_dead = |entry: &Decided| twin.is_sealed(entry) || entry.expiry + SWEEP_SLACK_S <= now_s;
        prop_assert_eq!(table.moving_count(), 0);
        prop_assert!(!table.entries().any(|entry| long_dead(&entry)));
        for entry in twin.entries.values().filter(|entry| entry.live_at(now_s) && !twin.is_sealed(entry)) {
            prop_assert_eq!(table.get(entry.key, now_s), Some(*entry));
        }
    }

    #[test]
    fn what_is_loaded_at_once_answers_as_if_inserted_one_by_one(
        choices in prop::collection::vec((0..9_000u16, 0..3u32), 0..400),
        sorted: bool,
        standing in prop::option::of(0..9_000u16),
    ) {
        let mut all: Vec<Decided> = choices
            .iter()
            .map(|&(choice, later)| decided(key_of(choice), 10 + later * 10, 25 + later * 10, Epoch::earlier_runs()))
            .collect();
        if sorted {
            all.sort_by_key(|it| (it.key, it.decided_at));
            all.dedup_by_key(|it| it.key);
        }
        let (mut loaded, mut inserted) = (Partitions::new(6..9, u64::MAX), Partitions::new(6..9, u64::MAX));
        if let Some(choice) = standing {
            let first = decided(key_of(choice), 1, 12, Epoch::earlier_runs());
            loaded.insert(&first);
            inserted.insert(&first);
        }
        let elsewhere = all.iter().filter(|it| !loaded.holds(it.key)).count() as u64;
        prop_assert_eq!(loaded.load(&all), elsewhere);
        for each in &all {
            inserted.insert(each);
        }
        loaded.check();
        prop_assert_eq!(loaded.entries().collect::<Vec<_>>(), inserted.entries().collect::<Vec<_>>());
        prop_assert_eq!(loaded.len(), inserted.len());
    }

    #[test]
    fn loading_in_any_order_leaves_the_latest_of_decisions_that_followed_each_other(
        order in Just(vec![(10u32, 20u32), (25, 40), (45, 60)]).prop_shuffle(),
    ) {
        let mut table = Partitions::new(0..1024, u64::MAX);
        for (from, to) in order {
            table.insert(&decided(scrambled(1), from, to, Epoch::earlier_runs()));
        }
        prop_assert_eq!(table.get(scrambled(1), 45).map(|entry| entry.decided_at), Some(45));
        prop_assert_eq!(table.len(), 1);
    }
}

#[test]
fn the_first_of_two_decisions_alive_at_once_stands_in_either_order() {
    for order in [[10, 12], [12, 10]] {
        let mut table = Partitions::new(0..1024, u64::MAX);
        for decided_at in order {
            table.insert(&decided(
                scrambled(1),
                decided_at,
                decided_at + 20,
                Epoch::earlier_runs(),
            ));
        }
        assert_eq!(
            table.get(scrambled(1), 15).map(|entry| entry.decided_at),
            Some(10)
        );
    }
}

#[test]
fn an_entry_answers_up_to_the_second_before_its_expiry() {
    let mut table = Partitions::new(0..1024, u64::MAX);
    table.insert(&decided(scrambled(1), 10, 20, Epoch::earlier_runs()));
    assert!(table.get(scrambled(1), 19).is_some());
    assert!(table.get(scrambled(1), 20).is_none());
}

#[test]
fn a_key_takes_at_most_96_bytes_while_the_table_grows() {
    // So little that it is spent sparingly from 40,000 keys on.
    let (mean, worst) = bytes_per_key(20 << 20);
    assert!(
        mean <= BYTES_PER_KEY as f64,
        "{mean} bytes per key on average"
    );
    assert!(worst <= 100.0, "{worst} bytes per key at worst");
}

#[test]
fn with_memory_to_spare_a_key_takes_at_most_144_bytes() {
    let (mean, worst) = bytes_per_key(u64::MAX);
    assert!(
        (96.0..116.0).contains(&mean),
        "{mean} bytes per key on average"
    );
    // 72 of an array that is 0.8 full and grows by a half, and the old one's rest.
    assert!(worst <= 144.0, "{worst} bytes per key at worst");
}

/// What the keys of a table take while it grows from 60,000 to 200,000: on average, and at worst.
fn bytes_per_key(bytes_max: u64) -> (f64, f64) {
    let mut table = Partitions::new(100..164, bytes_max);
    let (mut sum, mut samples, mut worst) = (0.0, 0, 0.0f64);
    let keys = (0..)
        .map(scrambled)
        .filter(|key| (100..164).contains(&key.partition()));
    for (count, key) in keys.take(200_000).enumerate() {
        table.insert(&decided(key, 1, 2, Epoch::earlier_runs()));
        if count % 64 == 0 {
            table.step(1);
        }
        if count >= 60_000 && count % 500 == 0 {
            let per_key = table.memory_bytes() as f64 / table.len() as f64;
            sum += per_key;
            samples += 1;
            worst = worst.max(per_key);
        }
    }
    assert_eq!(table.len(), 200_000);
    assert_eq!(table.growth_forced_count(), 0);
    (sum / f64::from(samples), worst)
}

#[test]
fn decisions_of_one_partition_that_do_not_ascend_are_inserted_one_by_one() {
    let keys = (0..).map(scrambled).filter(|key| key.partition() == 7);
    let mut all: Vec<Decided> = keys
        .take(20)
        .map(|key| decided(key, 1, 50, Epoch::earlier_runs()))
        .collect();
    all.sort_by_key(|it| it.key);
    let descending: Vec<Decided> = all.iter().rev().copied().collect();
    let twice: Vec<Decided> = all.iter().flat_map(|it| [*it, *it]).collect();
    for decisions in [descending, twice] {
        let mut table = Partitions::new(0..16, u64::MAX);
        assert_eq!(table.load(&decisions), 0);
        table.check();
        assert_eq!(table.len(), 20);
        assert!(table.entries().eq(all.iter().copied()));
        assert!(all.iter().all(|it| table.get(it.key, 49) == Some(*it)));
    }
}

#[test]
fn what_is_loaded_in_key_order_is_laid_out_once_and_may_grow_and_expire_like_the_rest() {
    let mut table = Partitions::new(0..16, u64::MAX);
    let keys = (0..).map(scrambled).filter(|key| key.partition() < 16);
    let mut all: Vec<Decided> = keys
        .take(100_000)
        .map(|key| decided(key, 1, 50, Epoch::earlier_runs()))
        .collect();
    all.sort_unstable_by_key(|it| it.key);
    assert_eq!(table.load(&all), 0);
    table.check();
    assert_eq!((table.len(), table.moving_count()), (100_000, 0));
    let per_key = table.memory_bytes() as f64 / table.len() as f64;
    assert!(per_key <= BYTES_PER_KEY as f64, "{per_key} bytes per key");
    let more = (100_000_000..)
        .map(scrambled)
        .filter(|key| key.partition() < 16);
    for key in more.take(20_000) {
        table.insert(&decided(key, 1, 500, Epoch::earlier_runs()));
    }
    table.check();
    assert!(all.iter().all(|it| table.get(it.key, 49) == Some(*it)));
    for _ in 0..600 {
        table.step(50 + SWEEP_SLACK_S);
    }
    assert_eq!(table.len(), 20_000);
}

#[test]
fn a_declared_limit_is_kept_by_whoever_stops_at_98_percent() {
    let mut table = Partitions::new(0..256, 16 << 20);
    let keys = (0..).map(scrambled).filter(|key| key.partition() < 256);
    for (count, key) in keys.enumerate() {
        if table.pressure() >= 0.98 {
            break;
        }
        table.insert(&decided(key, 1, 1_000, Epoch::earlier_runs()));
        if count % 64 == 0 {
            table.step(1);
        }
        assert!(table.memory_bytes() <= 16 << 20);
    }
    assert!(
        table.len() >= table.keys_max() * 95 / 100,
        "{} of {}",
        table.len(),
        table.keys_max()
    );
    assert_eq!(table.growth_forced_count(), 0);
}

#[test]
fn beyond_the_limit_a_decision_is_kept_all_the_same() {
    let mut table = Partitions::new(0..1024, 1);
    for number in 0..20_000 {
        assert_eq!(
            table.insert(&decided(scrambled(number), 1, 2, Epoch::earlier_runs())),
            Inserted::New
        );
    }
    assert!((0..20_000).all(|number| table.get(scrambled(number), 1).is_some()));
    assert!(table.growth_forced_count() > 0 && table.pressure() > 1.0);
}

#[test]
fn memory_comes_back_when_all_is_sealed_or_expired() {
    let mut table = Partitions::new(0..64, u64::MAX);
    let empty = table.memory_bytes();
    assert!(empty < 64 * 300);
    for key in (0..200_000)
        .map(scrambled)
        .filter(|key| key.partition() < 64)
    {
        table.insert(&decided(key, 1, 100, Epoch::of((key.low & 1) as u16)));
    }
    table.drop_sealed(Epoch::of(0));
    for _ in 0..400 {
        table.step(50);
    }
    assert!(table.entries().all(|entry| entry.epoch == Epoch::first()) && !table.is_empty());
    for _ in 0..400 {
        table.step(100 + SWEEP_SLACK_S);
    }
    assert!(table.is_empty());
    assert_eq!(table.memory_bytes(), empty);
}

#[test]
fn an_empty_table_of_all_partitions_takes_less_than_a_mebibyte() {
    assert!(Partitions::new(0..PARTITIONS, u64::MAX).memory_bytes() < 1 << 20);
}

#[test]
fn thresholds_differ_evenly_between_eight_and_nine_tenths() {
    for start in [0u16, 341, 512, 682] {
        let mut thresholds: Vec<u32> = (start..start + 341).map(threshold).collect();
        thresholds.sort_unstable();
        let (low, high) = (thresholds[0], thresholds[340]);
        assert!((52_428..52_600).contains(&low) && (58_800..58_983).contains(&high));
        let widest = thresholds.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(widest < Some(65), "{widest:?}");
    }
}

#[test]
fn a_partition_that_became_empty_holds_no_memory_however_few_entries_it_had() {
    for entries in 1..40 {
        let keys: Vec<Key> = (0..entries)
            .map(|at| Key {
                high: at << 40,
                low: 1,
            })
            .collect();
        for loaded in [false, true] {
            let mut table = Partitions::new(0..1, 1 << 20);
            let fixed_bytes = table.memory_bytes();
            let decisions: Vec<Decided> = keys
                .iter()
                .map(|key| decided(*key, 1, 1_000, Epoch::first()))
                .collect();
            match loaded {
                true => assert_eq!(table.load(&decisions), 0),
                false => decisions.iter().for_each(|it| {
                    table.insert(it);
                }),
            }
            assert!(table.memory_bytes() > fixed_bytes);
            table.drop_sealed(Epoch::first());
            for _ in 0..8 {
                table.step(2);
            }
            assert!(table.is_empty());
            assert_eq!(table.memory_bytes(), fixed_bytes, "{entries} {loaded}");
        }
    }
}
