//! The keeper: everything that touches files beyond appending — start and recovery, spare segments and their naming, the
//! manifest, sealing, deletion. It reads closed segments, never a shard's memory.

pub mod messages;
