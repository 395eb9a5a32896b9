//! What the shards of tests are configured with. It says nothing of what a test is about: each test changes that itself.

use crate::io::ShardId;
use crate::shard::config::{ShardConfig, ShardLimits, Signing};
use crate::stats::Stats;
use flk_contract::{KeySet, Params, Scheme};
use std::sync::Arc;

/// HMAC key of the golden records.
pub(super) const KEY: &str = "testsecret";

/// The configuration of the first of so many shards.
pub(super) fn config(shards: u16, stats: Arc<Stats>) -> ShardConfig {
    let keys = KeySet::builder()
        .add("hmac".parse::<Scheme>().unwrap(), KEY)
        .unwrap()
        .build()
        .unwrap();
    ShardConfig {
        id: ShardId(0),
        shards,
        limits: ShardLimits {
            connections_max: 64,
            flights_max: 256,
            ..ShardLimits::default()
        },
        signing: Arc::new(Signing::Keys(keys)),
        params: Params::default(),
        ttl_s: 1000,
        dedup_bytes_max: 64 << 20,
        rated: false,
        metrics_auth: None,
        drain_delay_us: 0,
        stats,
    }
}
