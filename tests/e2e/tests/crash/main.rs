//! `kill -9` under load, again and again on one directory: at random moments, at named points, with another number of
//! shards each time. The clients' own list of acknowledgements is the judge. `make test-crash` and `make chaos` run it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)] // helpers of tests may unwrap as tests do

mod cycles;
mod judge;
mod load;

use cycles::{Cycles, Death, run};
use flk_e2e::setting::Setting;

/// Cycles of each of the two tests below; together at least 50 in `make test`, thousands in `make chaos`.
fn cycles_count() -> u32 {
    std::env::var("CYCLES").map_or(26, |text| text.parse().expect("CYCLES is a number"))
}

/// The first seed; each cycle has the next one.
fn first_seed() -> u64 {
    std::env::var("SEED").map_or(1, |text| text.parse().expect("SEED is a number"))
}

/// Then a new directory: all that was ever acknowledged is looked at again and again.
const CYCLES_PER_DIRECTORY: u32 = 50;

fn survives(setting: Setting) {
    if !setting.is_available() {
        return;
    }
    let mut left = cycles_count();
    let mut seed = first_seed();
    while left > 0 {
        let cycles = Cycles {
            setting,
            count: left.min(CYCLES_PER_DIRECTORY),
            seed,
            bug: None,
            deaths: &Death::ALL,
        };
        match run(&cycles) {
            Ok(report) => println!("{setting:?} from seed {seed}: {report}"),
            Err(difference) => panic!("{difference}"),
        }
        left -= cycles.count;
        seed += u64::from(cycles.count);
    }
}

#[test]
fn nothing_acknowledged_is_lost_under_io_uring() {
    survives(Setting::Uring);
}

#[test]
fn nothing_acknowledged_is_lost_under_the_portable_driver() {
    survives(Setting::Portable);
}

/// The judge can find what it is there for: each of these bugs shows within the stated number of cycles.
fn is_found(bug: &'static str, cycles_max: u32, deaths: &'static [Death]) {
    let setting = if Setting::Uring.is_available() {
        Setting::Uring
    } else {
        Setting::Portable
    };
    let cycles = Cycles {
        setting,
        count: cycles_max,
        seed: first_seed(),
        bug: Some(bug),
        deaths,
    };
    match run(&cycles) {
        Ok(report) => panic!("{bug} was not found: {report}"),
        Err(difference) => println!("{bug}: {difference}"),
    }
}

#[test]
fn an_answer_before_its_write_is_found() {
    is_found("AckBeforeWrite", 20, &Death::ALL);
}

#[test]
fn swapped_replies_are_found() {
    is_found("ReplyOrderSwapped", 20, &Death::ALL);
}

#[test]
fn records_routed_to_the_wrong_owner_are_found() {
    is_found("WrongOwnerAfterShardChange", 20, &Death::ALL);
}
