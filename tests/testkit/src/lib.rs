//! What tests of several crates share. It never decides whether a test passes.

mod skip;
mod stream;

pub use skip::{SKIPPED_LIST, skipped};
pub use stream::change_one;
