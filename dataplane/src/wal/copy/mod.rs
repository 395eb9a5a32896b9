//! A copy of a directory that is taken while a process writes it. A copy has one manifest, the closed segments and slices that
//! it names, and of each log that has not ended what counts of it; in the copy that log has ended there. So every byte of a
//! copy is stated somewhere, and whatever is missing or different in it is damage.
//!
//! The functions stand in their order: where logs end ([`stop_of`]), the manifest of the copy ([`stopped`]), what is in each of
//! its segments ([`content_of`]), logs that later copies continue ([`join()`]), a cut at an
//! earlier point ([`cut()`]), and the manifest of a restored directory ([`restored`]).

mod content;
mod cut;
mod ids;
mod join;
mod stop;

pub use content::{SegmentContent, content_of};
pub use cut::{CutAt, NoCut, cut, part_of, refuse_deleted};
pub use ids::restored;
pub use join::{Hole, join};
pub use stop::{LogStop, Take, stop_of, stopped};
