//! The flk data plane: the path of a record, stage by stage, in the order a record meets them.

pub mod config;

pub mod driver;
pub mod event;

pub mod http;
pub mod shard;

pub mod wal;

pub mod dedup;
pub mod mesh;

pub mod keeper;

pub mod exit;
pub mod planted;
pub mod run;
pub mod stats;
