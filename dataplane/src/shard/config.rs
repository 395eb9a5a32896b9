//! The configuration that a shard gets once, before its first turn: bounds, and the snapshot that it begins with. Plain data,
//! already validated.

use super::received::{BUFFER_KEPT_BYTES_MAX, BUFFERS_KEPT_MAX};
use crate::http;
use crate::http::chunked::FRAMING_BEHIND_BYTES_MAX;
use crate::http::{LookUps, Networks};
use crate::io::ShardId;
use crate::snapshot::Snapshot;
use crate::stats::Stats;
use std::sync::Arc;

/// Credentials of `/metrics`.
#[derive(Clone)]
pub struct MetricsAuth {
    /// What follows the scheme in the expected `Authorization` header: base64 of `user:password`.
    pub expected: zeroize::Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for MetricsAuth {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("MetricsAuth(..)")
    }
}

/// Whether a trusted proxy says in front of a connection whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// It does not: a header is refused like any other protocol.
    #[default]
    Off,
    /// It may.
    Optional,
    /// It must: without a header the connection ends.
    Required,
}

/// Whose word on the address of a client counts.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// What comes in front of connections from those networks.
    pub protocol: ProxyProtocol,
    /// Networks of proxies.
    pub trusted: Networks,
}

/// Which records are traced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceLimits {
    /// Share of the records without a `traceparent` that begin a trace of their own.
    pub sample: f64,
    /// Most traces that begin in a second, all shards together.
    pub per_s_max: u32,
}

impl Default for TraceLimits {
    fn default() -> TraceLimits {
        TraceLimits {
            sample: 0.0,
            per_s_max: 100,
        }
    }
}

/// Bounds of one shard. Memory follows from them: see [`ShardLimits::memory_at_start_bytes`].
#[derive(Clone, Copy, Debug)]
pub struct ShardLimits {
    /// Framing limits of one request.
    pub http: http::HttpLimits,
    /// Connections that stay open. For more, others are closed.
    pub connections_max: u32,
    /// Places above that for connections that have just come, so that a probe is served although all others are busy.
    pub connections_spare: u32,
    /// Requests between admission and durable end, all connections together.
    pub flights_max: u32,
    /// Look-ups that wait for an answer, all connections together; 0: outcomes cannot be looked up.
    pub looks_max: u32,
    /// Unanswered requests of one connection.
    pub pipeline_max: usize,
    /// Bytes of answers of one connection that the client has not taken; one more answer may come on top.
    pub unsent_bytes_max: u32,
    /// The same for all connections together: above it, a connection gets its next answer when it took all before.
    pub unsent_bytes_total_max: usize,
    /// Lines of a batch.
    pub batch_lines_max: u16,
    /// Memory for the answers to batches of one connection that have not left; one more batch may come on top.
    pub batch_reply_bytes_max: usize,
    /// The same for all connections together, with nothing on top: what is beyond is refused.
    pub batch_reply_bytes_total_max: usize,
    /// Memory for partial heads, all connections together.
    pub head_bytes_total_max: usize,
    /// Memory for partial bodies, all connections together; at least one body of the largest size.
    pub body_bytes_total_max: usize,
    /// Memory beyond those two, all connections together, for what had come before reading could stop.
    pub unread_bytes_total_max: usize,
    /// A request head arrives within this time of its first byte.
    pub head_timeout_us: u64,
    /// A body may be slow for this long.
    pub body_grace_us: u64,
    /// After the grace a body has arrived at this rate on average.
    pub body_bytes_per_s_min: u64,
    /// A connection without a request is closed after this time.
    pub idle_timeout_us: u64,
    /// A connection whose client takes nothing of its answers is closed after this time.
    pub stalled_timeout_us: u64,
    /// After our FIN a connection is kept this long for the client to read the last answer.
    pub linger_us: u64,
    /// A whole request is answered 503 after this time, wherever it waits; one that waits for memory, too.
    pub deadline_us: u64,
    /// From the beginning of a stop an idle connection is kept this long, and its next request answered.
    pub drain_linger_us: u64,
    /// After the drain delay, connections that still send are cut after this time.
    pub drain_patience_us: u64,
    /// `/readyz` fails when something has waited for the log for this long and nothing of it became durable.
    pub stall_us: u64,
}

/// Look-ups that wait for an answer, where they are switched on.
const LOOKS_MAX: u32 = 512;

/// Requests in flight by default.
pub(super) const FLIGHTS_MAX: u32 = 2048;

impl Default for ShardLimits {
    fn default() -> ShardLimits {
        ShardLimits {
            http: http::HttpLimits::default(),
            connections_max: 4096,
            connections_spare: 64,
            flights_max: FLIGHTS_MAX,
            looks_max: 0,
            pipeline_max: 64,
            unsent_bytes_max: 256 * 1024,
            unsent_bytes_total_max: 16 * 1024 * 1024,
            batch_lines_max: 4096,
            batch_reply_bytes_max: 2 * 1024 * 1024,
            batch_reply_bytes_total_max: 16 * 1024 * 1024,
            head_bytes_total_max: 8 * 1024 * 1024,
            body_bytes_total_max: 16 * 1024 * 1024,
            unread_bytes_total_max: 16 * 1024 * 1024,
            head_timeout_us: 5_000_000,
            body_grace_us: 3_000_000,
            body_bytes_per_s_min: 1024,
            idle_timeout_us: 75_000_000,
            stalled_timeout_us: 60_000_000,
            linger_us: 1_000_000,
            deadline_us: 5_000_000,
            drain_linger_us: 2_000_000,
            drain_patience_us: 5_000_000,
            stall_us: 2_000_000,
        }
    }
}

impl ShardLimits {
    /// The same with or without look-ups.
    pub fn with(self, look_ups: LookUps) -> ShardLimits {
        let looks_max = match look_ups {
            LookUps::Off => 0,
            LookUps::On => LOOKS_MAX,
        };
        ShardLimits { looks_max, ..self }
    }

    /// Places for connections: what the driver's table holds. Further ones wait in the listen queue.
    pub fn connections_table(&self) -> u32 {
        self.connections_max + self.connections_spare
    }

    /// Most bytes of receive buffers between two turns: partial heads and bodies, what had come before reading stopped, and
    /// the empty buffers that are kept for the next connections.
    pub fn kept_bytes_max(&self) -> usize {
        self.head_bytes_total_max
            + self.body_bytes_total_max
            + self.unread_bytes_total_max
            + BUFFERS_KEPT_MAX * BUFFER_KEPT_BYTES_MAX
    }

    /// Most bytes that any chunked record takes until it is cut out.
    pub fn chunked_bytes_max(&self) -> usize {
        self.chunked_bytes(self.http.head_bytes_max, self.http.body_bytes_max)
    }

    /// The same for one with this head.
    pub fn chunked_bytes_max_behind(&self, head: &http::Head) -> usize {
        self.chunked_bytes(head.head_len, self.http.of(head.target).body_bytes_max)
    }

    /// What stands behind the content may arrive with its last byte, and is kept with the request while that waits for room.
    fn chunked_bytes(&self, head_bytes: usize, content_bytes: u64) -> usize {
        let body_bytes = content_bytes as usize + FRAMING_BEHIND_BYTES_MAX;
        (head_bytes + body_bytes).min(self.body_bytes_total_max)
    }
}

/// When a shard accepts its first client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptsFrom {
    /// At once: who comes before the log is recovered is told so.
    Start,
    /// Once records are admitted. Clients wait in a queue that was there before the process.
    Serving,
}

/// Capacity that the buffer of the batch in flight begins with; a batch of the usual size never outgrows it.
pub(super) const BATCH_BLOCKS_BYTES: usize = 512 * 1024;

/// The configuration of a shard.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Which shard this is.
    pub id: ShardId,
    /// How many there are.
    pub shards: u16,
    /// Bounds.
    pub limits: ShardLimits,
    /// What records are judged under until the first [`crate::mesh::keeper::ToShard::Configure`].
    pub snapshot: Arc<Snapshot>,
    /// How long an outcome answers duplicates, in seconds of the expiry clock.
    pub ttl_s: u32,
    /// Most bytes of this shard's dedup tables.
    pub dedup_bytes_max: u64,
    /// Whose word on the address of a client counts.
    pub proxies: Proxies,
    /// Credentials of `/metrics`, if it wants any.
    pub metrics_auth: Option<MetricsAuth>,
    /// Which records are traced.
    pub traces: TraceLimits,
    /// At a graceful stop, keep serving for this long before the listener closes.
    pub drain_delay_us: u64,
    /// When clients are accepted first.
    pub accepts_from: AcceptsFrom,
    /// Counters of all shards; this one writes only its own.
    pub stats: Arc<Stats>,
}

impl ShardConfig {
    /// The same for another shard.
    pub fn of(self, id: ShardId) -> ShardConfig {
        ShardConfig { id, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_paces_are_those_that_the_documentation_promises() {
        let limits = ShardLimits::default();
        let seconds = |us: u64| us as f64 / 1e6;
        assert_eq!(seconds(limits.head_timeout_us), 5.0);
        assert_eq!(seconds(limits.body_grace_us), 3.0);
        assert_eq!(limits.body_bytes_per_s_min, 1024);
        assert_eq!(seconds(limits.idle_timeout_us), 75.0);
        assert_eq!(seconds(limits.stalled_timeout_us), 60.0);
        assert_eq!(seconds(limits.linger_us), 1.0);
        assert_eq!(seconds(limits.deadline_us), 5.0);
        assert_eq!(seconds(limits.drain_linger_us), 2.0);
        assert_eq!(seconds(limits.drain_patience_us), 5.0);
        assert_eq!(seconds(limits.stall_us), 2.0);
        let counts = (limits.connections_max, limits.pipeline_max);
        assert_eq!(counts, (4096, 64));
    }

    #[test]
    fn bounds_of_memory_are_those_of_the_table_for_sizing() {
        let limits = ShardLimits::default();
        let kib = |bytes: usize| bytes / 1024;
        assert_eq!(kib(limits.unsent_bytes_max as usize), 256);
        let totals = [
            limits.unsent_bytes_total_max,
            limits.head_bytes_total_max,
            limits.body_bytes_total_max,
            limits.unread_bytes_total_max,
            limits.batch_reply_bytes_total_max,
        ];
        assert_eq!(totals.map(kib), [16, 8, 16, 16, 16].map(|mib| mib * 1024));
    }
}
