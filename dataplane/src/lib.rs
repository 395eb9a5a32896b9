//! The flk data plane: the path of a record, stage by stage, in the order in which a record meets them. Which module may
//! use which other one is a table in docs/ARCHITECTURE.md.

pub mod driver;
pub mod event;

pub mod http;
pub mod shard;

pub mod wal;

pub mod dedup;
pub mod mesh;

pub mod keeper;

pub mod config;
pub mod run;

pub mod exit;
pub mod io;
pub mod planted;
pub mod stats;
pub mod throttle;

#[cfg(feature = "sim")]
pub mod sim;
