//! The record path, prepared so that it can be measured without a network: each stage as one call, and whole shards that are
//! driven by hand. What is measured by it is compared with committed numbers ([`instructions`]), held against bounds (the tests
//! of this crate) or timed (the criterion benches). Nothing here is part of a release.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a measuring program: it works or says why it does not

pub mod instructions;
pub mod pipelines;
pub mod stages;

pub mod by_hand;
pub mod records;
pub mod setting;
