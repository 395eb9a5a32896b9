//! Some hundreds of simulated lives of a gateway: nothing breaks, each event is met by its share of them, and a seed is a
//! life. `make test-sim` runs thousands; that they can find something is shown in `planted.rs`.
#![cfg(feature = "sim")]

use flk_dataplane::sim::count::{Count, Counts};
use flk_dataplane::sim::runner::{replay, run};
use flk_dataplane::sim::trace::{self, Keep};

/// What less than this share of seeds meets, per 10,000, is too rare for some hundreds of them.
const RARE: u64 = 500;

#[test]
fn nothing_is_broken_in_three_hundred_lives_and_no_event_depends_on_a_lucky_one() {
    let mut all = Counts::default();
    for seed in 1..=300 {
        let (counts, result) = run(seed, Keep::Nothing);
        all.add_seed(&counts);
        if let Err(broken) = result {
            panic!(
                "{}: {}\n{}",
                broken.property.words(),
                broken.how,
                replay(seed, None)
            );
        }
    }
    for count in Count::ALL {
        let share = count.seeds_per_10_000_min();
        assert!(
            share < RARE || all.seeds_of(*count) * 10_000 >= share * all.seeds(),
            "{} of {} lives met this, wanted {share} of 10,000: {}",
            all.seeds_of(*count),
            all.seeds(),
            count.words()
        );
    }
}

#[test]
fn a_seed_is_the_same_life_twice() {
    for seed in [3, 17, 104] {
        let life = |seed| {
            let (counts, result) = run(seed, Keep::Last(1));
            (counts.of(Count::Events), result, trace::hash())
        };
        assert_eq!(life(seed), life(seed), "seed {seed}");
    }
}
