//! Runs seeds: one to be read, thousands to find something, and thousands with a bug planted to prove that it is found.
//! It owns the command line of `flk-sim` and prints; it knows nothing of what a seed does.

use super::count::{Count, Counts};
use super::oracle::Broken;
use super::trace::{self, Keep};
use super::world::World;
use crate::planted::Bug;

/// A seed that broke a property.
#[derive(Clone, Debug)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// What it broke.
    pub broken: Broken,
}

/// Runs one seed; gives what it went through and what it broke.
pub fn run(seed: u64, keep: Keep) -> (Counts, Result<(), Broken>) {
    trace::begin(keep);
    let mut world = World::new(seed);
    let result = world.live();
    (world.counts, result)
}

/// The command that replays a seed.
pub fn command(seed: u64, bug: Option<Bug>) -> String {
    let features = if bug.is_some() { "sim,planted-bugs" } else { "sim" };
    let bug = bug.map_or(String::new(), |bug| format!(" --bug {bug:?}"));
    format!("cargo run --release -p flk-dataplane --features {features} --bin flk-sim -- --seed {seed}{bug}")
}

/// Every counter, with its words.
pub fn totals(counts: &Counts) -> String {
    let line = |count: &Count| format!("{:>12}  {}", counts.of(*count), count.words());
    Count::ALL.iter().map(line).collect::<Vec<_>>().join("\n")
}
