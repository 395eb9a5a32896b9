//! The numbers of a record: what the agent computes from events, and what the verifier computes again from the record.
//! All arithmetic is in doubles, left to right, without fused operations, so that every machine gives the same bits.

pub mod boxes;
pub mod budget;
pub mod coherence;
pub mod compressibility;
pub mod merkle;
pub mod regime;
pub mod theil_sen;
