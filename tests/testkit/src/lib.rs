//! What tests of several crates share. Only transcripts say by themselves that a test fails.

mod skip;
mod stream;
mod transcript;

pub use skip::{SKIPPED_LIST, skipped};
pub use stream::change_one;
pub use transcript::{Transcript, same_as_file};
