//! The flk data plane. The modules are listed in the order in which a record meets them; docs/ARCHITECTURE.md describes
//! the path and has a table of which module may use which.

// From the socket to the shard: a driver turns bytes into events.
pub mod driver;
pub mod event;

// Framing, and the stages of a request (`shard::pipeline` has their order).
pub mod http;
pub mod shard;

// What a request is admitted and judged under: tenants, keys, limits, parameters.
pub mod snapshot;

// What a body is worth, for the shard at receipt and for a replay of what is stored.
pub mod verdict;

// The body and its disposition go into the log of the shard that received it.
pub mod wal;

// The owner of the key decides whether the record is the first.
pub mod dedup;
pub mod mesh;

// Everything durable besides appends: recovery, the manifest, sealing, retention.
pub mod keeper;

// A start.
pub mod config;
pub mod run;

// Used by all.
pub mod exit;
pub mod io;
pub mod logs;
pub mod planted;
pub mod stats;
pub mod throttle;

#[cfg(feature = "sim")]
pub mod sim;
