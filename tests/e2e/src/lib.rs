//! What only the end-to-end and crash tests need beside the test kit: the host that a gateway believes to be on, the golden
//! conversations, and the log as it lies on disk. Nothing here repairs what it reads; a difference is an error.
#![allow(clippy::unwrap_used, clippy::expect_used)] // used by tests only: what goes wrong here ends the test

pub mod cage;
pub mod setting;
pub mod volume;

pub mod golden;

pub mod log;
