//! Sealed slices: immutable files of decisions, sorted by key and complete in themselves. Here are their bytes and what a
//! shard keeps of them in memory; files, manifest and when to seal or merge are the keeper's. `docs/slice-format.md`
//! draws the layout.

pub mod block;
pub mod digests;
pub mod error;
pub mod frame;
pub mod reader;
#[cfg(test)]
mod tests;
mod verify;
pub mod view;
pub mod writer;

pub use self::block::{Block, Damaged, ENTRIES_PER_BLOCK};
pub use self::error::SliceError;
pub use self::reader::{SliceReader, read_anything};
pub(crate) use self::verify::part;
pub use self::verify::{Unverified, verify, verify_whole};
pub use self::view::{Candidate, Found, SliceSet, SliceView};
pub use self::writer::{Sealed, SliceMeta, SliceSummary, SliceWriter};

/// Version of the slice format that this code writes.
pub const SLICE_VERSION: u32 = 2;

/// The oldest version that it reads. Its clock counts from the installation, and it has no digests.
pub const SLICE_VERSION_MIN: u32 = 1;
