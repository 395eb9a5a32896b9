//! What a shard is started with here: one tenant with one key and no limits, and a log whose segments are files of the caller.

use crate::records::KEY;
use flk_contract::signature::VerifyingKey;
use flk_contract::{Params, ParamsVersion, Scheme};
use flk_dataplane::dedup::PARTITIONS;
use flk_dataplane::event::{Ask, Driver, Granted};
use flk_dataplane::io::{FileId, Now, ShardId, SyncMode};
use flk_dataplane::mesh::keeper::{Begin, ExpiryClock};
use flk_dataplane::shard::config::{AcceptsFrom, Proxies, ShardConfig, ShardLimits, TraceLimits};
use flk_dataplane::snapshot::{
    Document, FORMAT, KeyDocument, Limit, LimitsDocument, MissingKeys, ParamsDocument, Resolver,
    Snapshot, Source, TenantDocument,
};
use flk_dataplane::stats::Stats;
use flk_dataplane::wal::name::{LogId, NamedSegment};
use flk_dataplane::wal::segment::SegmentLabels;
use std::sync::Arc;

/// Length of a segment in bytes.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// A driver that grants everything and takes no times.
pub struct Unlimited;

impl Driver for Unlimited {
    fn charge(&mut self, _: Limit, ask: Ask, _: Now) -> Granted {
        Granted::all(ask)
    }
}

/// What the process configures for one of its shards. The tenant may fill so many percent of a batch of the log.
pub fn config(
    id: u16,
    wal_share: Option<u32>,
    traces: TraceLimits,
    stats: &Arc<Stats>,
) -> ShardConfig {
    ShardConfig {
        id: ShardId(id),
        shards: stats.shards.len() as u16,
        limits: ShardLimits::default(),
        snapshot: Arc::new(snapshot(wal_share)),
        ttl_s: 1000,
        dedup_bytes_max: 1 << 30,
        proxies: Proxies::default(),
        metrics_auth: None,
        traces,
        drain_delay_us: 0,
        accepts_from: AcceptsFrom::Start,
        stats: Arc::clone(stats),
    }
}

/// What the keeper begins with: all partitions belong to this shard.
pub fn begin(log: u16, owner: u16, first: NamedSegment, mono_us: u64) -> Begin {
    Begin {
        installation: [1; 16],
        incarnation: [2; 16],
        labels: SegmentLabels::default(),
        secret: [3; 16],
        log: LogId {
            start: 1,
            number: log,
        },
        owners: Arc::new([ShardId(owner); PARTITIONS as usize]),
        clock: ExpiryClock {
            base_s: 1,
            base_mono_us: mono_us,
        },
        first,
        sync: SyncMode::Dsync,
        params: Arc::new([ParamsVersion::ONE]),
        dedup_bytes_max: None,
        slices: Arc::default(),
    }
}

/// A segment in this file.
pub fn segment(ordinal: u32, file: FileId) -> NamedSegment {
    NamedSegment {
        file,
        ordinal,
        salt: 9,
        generation: 1,
        bytes: SEGMENT_BYTES,
    }
}

fn snapshot(wal_share: Option<u32>) -> Snapshot {
    let scheme: Scheme = "hmac".parse().unwrap();
    let verifying = VerifyingKey::from_text(scheme, KEY).unwrap();
    let key = KeyDocument {
        id: "usual".into(),
        scheme: scheme.to_string(),
        source: Source::file("key"),
        fingerprint: verifying.id().to_string(),
        not_before: None,
        not_after: None,
        revoked_at: None,
    };
    let document = Document {
        format: FORMAT,
        number: 0,
        limits: LimitsDocument::default(),
        tenants: vec![TenantDocument {
            name: "default".into(),
            enabled: true,
            unsigned: false,
            keys: vec![key],
            limits: LimitsDocument::default(),
            wal_share,
            params: vec![ParamsDocument::of(&Params::default())],
            home: None,
        }],
    };
    let load = |_: &Source| Ok(KEY.to_owned().into());
    let resolved = Resolver::default().resolve(&document, &load, MissingKeys::Refuse);
    resolved.unwrap().0
}
