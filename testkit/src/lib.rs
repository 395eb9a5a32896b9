//! What tests of several crates share. It never decides whether a test passes.

mod skip;

pub use skip::{SKIPPED_LIST, skipped};
