//! What the end-to-end and crash tests are made of: a gateway process, a strict client, signed records, the host that a
//! gateway believes to be on, and the log as it lies on disk. Nothing here repairs what it reads; a difference is an error.
#![allow(clippy::unwrap_used, clippy::expect_used)] // used by tests only: what goes wrong here ends the test

pub mod setting;
pub mod volume;

pub mod gateway;

pub mod cage;
pub mod client;
pub mod records;

pub mod golden;
pub mod metrics;

pub mod log;
