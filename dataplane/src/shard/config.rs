//! What a shard is told once, before its first turn: limits, keys, parameters. Plain data, already validated.

use crate::event::ShardId;
use crate::http;
use crate::stats::Stats;
use flk_contract::signature::KeySet;
use flk_contract::verify::Params;
use std::sync::Arc;

/// How records are authenticated.
#[derive(Debug)]
pub enum Signing {
    /// Any key of the set that is active verifies.
    Keys(KeySet),
    /// Signatures are not looked at. Never the default; said loudly at start.
    Unsigned,
}

/// Credentials of `/metrics`.
#[derive(Clone)]
pub struct MetricsAuth {
    /// The whole expected value of the `Authorization` header.
    pub expected: Vec<u8>,
}

impl std::fmt::Debug for MetricsAuth {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("MetricsAuth(..)")
    }
}

/// Bounds of one shard. Memory follows from them: see [`Limits::memory_bytes`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Framing limits of one request.
    pub http: http::Limits,
    /// Open connections.
    pub connections_max: u32,
    /// Requests between admission and durable end, all connections together.
    pub flights_max: u32,
    /// Unanswered requests of one connection.
    pub pipeline_max: usize,
    /// Bytes of answers of one connection that the client has not taken.
    pub unsent_bytes_max: u32,
    /// Memory for partial heads, all connections together.
    pub head_bytes_total_max: usize,
    /// Memory for partial bodies, all connections together; at least one body of the largest size.
    pub body_bytes_total_max: usize,
    /// A request head arrives within this time of its first byte.
    pub head_timeout_us: u64,
    /// A body may be slow for this long.
    pub body_grace_us: u64,
    /// After the grace a body has arrived at this rate on average.
    pub body_bytes_per_s_min: u64,
    /// A connection without a request is closed after this time.
    pub idle_timeout_us: u64,
    /// After our FIN a connection is kept this long for the client to read the last answer.
    pub linger_us: u64,
    /// An admitted request is answered 503 after this time.
    pub deadline_us: u64,
    /// A batch may wait this long for claims outstanding at other shards; 0: never.
    pub claim_wait_us: u64,
    /// After the drain delay, connections that still send are cut after this time.
    pub drain_patience_us: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            http: http::Limits::default(),
            connections_max: 4096,
            flights_max: 2048,
            pipeline_max: 64,
            unsent_bytes_max: 256 * 1024,
            head_bytes_total_max: 8 * 1024 * 1024,
            body_bytes_total_max: 16 * 1024 * 1024,
            head_timeout_us: 5_000_000,
            body_grace_us: 3_000_000,
            body_bytes_per_s_min: 1024,
            idle_timeout_us: 60_000_000,
            linger_us: 1_000_000,
            deadline_us: 5_000_000,
            claim_wait_us: 0,
            drain_patience_us: 5_000_000,
        }
    }
}

/// What a shard is told once.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Which shard this is.
    pub id: ShardId,
    /// How many there are.
    pub shards: u16,
    /// Bounds.
    pub limits: Limits,
    /// Keys of the default tenant.
    pub signing: Arc<Signing>,
    /// The parameter set in force.
    pub params: Params,
    /// How long an outcome answers duplicates, in seconds of the expiry clock.
    pub ttl_s: u32,
    /// Most bytes of this shard's dedup tables.
    pub dedup_bytes_max: u64,
    /// Whether requests are charged to the process-wide rate.
    pub rated: bool,
    /// Credentials of `/metrics`, if it wants any.
    pub metrics_auth: Option<MetricsAuth>,
    /// At a graceful stop, keep serving for this long before the listener closes.
    pub drain_delay_us: u64,
    /// Counters of all shards; this one writes only its own.
    pub stats: Arc<Stats>,
}
