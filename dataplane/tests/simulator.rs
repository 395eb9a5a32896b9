//! Some hundreds of simulated lives of a gateway: nothing breaks, and a seed is a life. `make test-sim` runs thousands;
//! that they can find something is shown in `planted.rs`.
#![cfg(feature = "sim")]

use flk_dataplane::driver::sim::count::{Count, Counts};
use flk_dataplane::driver::sim::runner::{replay, run};
use flk_dataplane::driver::sim::trace::{self, Keep};

#[test]
fn nothing_is_broken_in_three_hundred_lives() {
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
    for count in [
        Count::Kills,
        Count::PowerCuts,
        Count::TornTails,
        Count::TakeOvers,
        Count::Rolls,
        Count::Exits65,
    ] {
        assert!(all.of(count) > 0, "never reached: {}", count.words());
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
