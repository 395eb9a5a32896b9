//! Sealed slices: immutable files of decisions, sorted by key.

/// A slice as a shard uses it: the open file and what is kept of it in memory.
#[derive(Clone, Debug)]
pub struct SliceView {
    /// The open file.
    pub file: crate::event::FileId,
}
