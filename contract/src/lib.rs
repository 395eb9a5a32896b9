//! The record contract of flk: what a Proof-of-Computation Summary is, which bytes are signed, and how it is judged.
pub mod verify;
