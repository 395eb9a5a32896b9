//! What tests and benches of several crates share: a gateway from outside, a client that repairs nothing, signed records,
//! chance from a seed, and child processes. Only transcripts decide whether a
//! test passes; everything else panics where it cannot go on.
#![allow(clippy::unwrap_used, clippy::expect_used)] // used by tests and benches only: what goes wrong here ends them

// What needs nothing else of this list.
pub mod dice;
pub mod golden;
pub mod hex;
pub mod records;
mod side_by_side;
mod skip;
mod stream;
mod transcript;
mod wait;

// Processes: run to their end, or watched beside the test.
pub mod child;
pub mod process;

// A gateway: how it is started, what it answers, what it counts.
pub mod batch;
pub mod client;
pub mod gateway;
pub mod metrics;
pub mod plan;

pub use dice::Dice;
pub use side_by_side::side_by_side;
pub use skip::{SKIPPED_LIST, skipped};
pub use stream::change_one;
pub use transcript::{Transcript, same_as_file};
pub use wait::{DEADLINE, comes_true, wait_until};
