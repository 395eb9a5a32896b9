//! What the shards of tests are configured with. It says nothing of what a test is about: each test changes that itself.

use super::snapshots;
use crate::io::ShardId;
use crate::shard::config::{AcceptsFrom, Proxies, ShardConfig, ShardLimits, TraceLimits};
use crate::stats::Stats;
use std::sync::Arc;

/// HMAC key of the golden records.
pub(super) const KEY: &str = "testsecret";

/// The configuration of the first of so many shards.
pub(super) fn config(shards: u16, stats: Arc<Stats>) -> ShardConfig {
    ShardConfig {
        id: ShardId(0),
        shards,
        limits: ShardLimits {
            connections_max: 64,
            flights_max: 256,
            ..ShardLimits::default()
        },
        snapshot: snapshots::usual(),
        ttl_s: 1000,
        dedup_bytes_max: 64 << 20,
        proxies: Proxies::default(),
        metrics_auth: None,
        traces: TraceLimits::default(),
        drain_delay_us: 0,
        accepts_from: AcceptsFrom::Start,
        stats,
    }
}
