//! Counters and histograms. Each shard writes only its own page, with plain stores; any thread may read all pages at any
//! time without slowing a shard. No decision about a record uses them.

pub mod exposition;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter or gauge with one writer.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

impl Cell {
    /// Adds; only the owning shard calls this.
    pub fn add(&self, by: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(by),
            Ordering::Relaxed,
        );
    }

    /// Replaces the value of a gauge; only the owning shard calls this.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value; it may be slightly old.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Most buckets of a histogram, the one above the last edge included.
const BUCKETS_MAX: usize = 24;

/// A histogram with fixed edges.
#[derive(Debug)]
pub struct Histogram {
    edges: &'static [f64],
    buckets: [Cell; BUCKETS_MAX],
    /// Sum in millionths of the unit.
    sum_millionths: Cell,
}

impl Histogram {
    fn new(edges: &'static [f64]) -> Histogram {
        assert!(edges.len() < BUCKETS_MAX);
        Histogram {
            edges,
            buckets: Default::default(),
            sum_millionths: Cell::default(),
        }
    }

    /// Counts one value. NaN and values above the last edge go to the last bucket.
    pub fn observe(&self, value: f64) {
        let at = self
            .edges
            .iter()
            .position(|&edge| value <= edge)
            .unwrap_or(self.edges.len());
        self.buckets[at].add(1);
        self.sum_millionths
            .add((value.clamp(0.0, 1e9) * 1e6) as u64);
    }

    /// Upper edges of the buckets but the last.
    pub fn edges(&self) -> &'static [f64] {
        self.edges
    }

    /// Counts per bucket, not cumulative; one more than edges.
    pub fn counts(&self) -> impl Iterator<Item = u64> + '_ {
        self.buckets[..=self.edges.len()].iter().map(Cell::get)
    }

    /// Sum of all values (negative ones count as 0), exact to a millionth.
    pub fn sum(&self) -> f64 {
        self.sum_millionths.get() as f64 / 1e6
    }
}

/// Seconds; the SLO limits 0.1, 0.15, 0.2 and 0.5 are edges.
const LATENCY_EDGES_S: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.5,
    1.0, 2.0, 5.0,
];
const DIMENSION_EDGES: &[f64] = &[
    0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0,
];
const DEVIATION_EDGES: &[f64] = &[0.0, 1e-9, 1e-6, 0.001, 0.01, 0.05, 0.1, 0.15, 0.3, 1.0];
const FRACTION_EDGES: &[f64] = &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.05];

/// Statuses that are answered, in the order of [`ShardStats::answers`].
pub const STATUSES: [u16; 16] = [
    200, 202, 400, 401, 404, 405, 408, 411, 413, 415, 417, 429, 431, 501, 503, 505,
];

/// One shard's page.
#[derive(Debug)]
#[repr(align(128))]
pub struct ShardStats {
    /// Every POST observed, whatever its answer.
    pub ingest: Cell,
    /// Duplicates answered with a stored outcome.
    pub dedup_hits: Cell,
    /// Of those, with another signing digest than the first.
    pub dedup_conflicts: Cell,
    /// First outcomes that accept.
    pub accepted: Cell,
    /// First outcomes that escalate.
    pub escalated: Cell,
    /// Records refused because of their signature.
    pub signature_errors: Cell,
    /// Failed log writes and syncs.
    pub wal_errors: Cell,
    /// Bytes of durable batches, padding included.
    pub wal_bytes: Cell,
    /// Durable batches: one flush each.
    pub wal_syncs: Cell,
    /// Records in durable batches.
    pub wal_records: Cell,
    /// Escalations by the reason's number, from 1.
    pub reasons: [Cell; 5],
    /// First outcomes by regime: sticky, mixed, non_sticky.
    pub regimes: [Cell; 3],
    /// Answers by [`STATUSES`].
    pub answers: [Cell; STATUSES.len()],
    /// From the whole request to its answer, in seconds.
    pub latency_s: Histogram,
    /// Claimed D̂ of first outcomes.
    pub d_hat: Histogram,
    /// |claimed − recomputed D̂| of first outcomes.
    pub d_hat_deviation: Histogram,
    /// coh★ of first outcomes.
    pub coh_star: Histogram,
    /// r of first outcomes.
    pub r: Histogram,
    /// Claimed budget of first outcomes.
    pub budget: Histogram,
    /// Open connections.
    pub connections: Cell,
    /// Connections kept open; above this number others are closed.
    pub connections_max: Cell,
    /// Connections closed for want of places.
    pub connections_evicted: Cell,
    /// Requests in flight.
    pub flights: Cell,
    /// Keys in the dedup tables.
    pub dedup_keys: Cell,
    /// Bytes of the dedup tables.
    pub dedup_bytes: Cell,
    /// Declared limit of those bytes.
    pub dedup_bytes_max: Cell,
    /// Blocks of slices read for look-ups.
    pub slice_reads: Cell,
    /// Those reads that failed.
    pub slice_read_errors: Cell,
    /// Damaged blocks among them.
    pub slice_blocks_damaged: Cell,
    /// Claims that the protocol does not allow; above 0 means a bug of flk.
    pub claim_faults: Cell,
    /// Turns taken.
    pub turns: Cell,
    /// Number of the configuration snapshot that this shard judges under.
    pub snapshot: Cell,
}

impl Default for ShardStats {
    fn default() -> ShardStats {
        ShardStats {
            ingest: Cell::default(),
            dedup_hits: Cell::default(),
            dedup_conflicts: Cell::default(),
            accepted: Cell::default(),
            escalated: Cell::default(),
            signature_errors: Cell::default(),
            wal_errors: Cell::default(),
            wal_bytes: Cell::default(),
            wal_syncs: Cell::default(),
            wal_records: Cell::default(),
            reasons: Default::default(),
            regimes: Default::default(),
            answers: Default::default(),
            latency_s: Histogram::new(LATENCY_EDGES_S),
            d_hat: Histogram::new(DIMENSION_EDGES),
            d_hat_deviation: Histogram::new(DEVIATION_EDGES),
            coh_star: Histogram::new(FRACTION_EDGES),
            r: Histogram::new(FRACTION_EDGES),
            budget: Histogram::new(FRACTION_EDGES),
            connections: Cell::default(),
            connections_max: Cell::default(),
            connections_evicted: Cell::default(),
            flights: Cell::default(),
            dedup_keys: Cell::default(),
            dedup_bytes: Cell::default(),
            dedup_bytes_max: Cell::default(),
            slice_reads: Cell::default(),
            slice_read_errors: Cell::default(),
            slice_blocks_damaged: Cell::default(),
            claim_faults: Cell::default(),
            turns: Cell::default(),
            snapshot: Cell::default(),
        }
    }
}

impl ShardStats {
    /// Counts one answer.
    pub fn answered(&self, status: u16) {
        if let Some(at) = STATUSES.iter().position(|&known| known == status) {
            self.answers[at].add(1);
        }
    }
}

/// The keeper's page.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct KeeperStats {
    /// Log segments that the manifest names.
    pub segments: Cell,
    /// Segments deleted before `WAL_MAX_AGE` because there were too many.
    pub segments_crowded_out: Cell,
    /// Times that the file system could not be measured.
    pub space_errors: Cell,
    /// Slices that the manifest names.
    pub slices: Cell,
    /// Bytes of filters and indexes of slices.
    pub slice_memory_bytes: Cell,
    /// Memory for them; 0 if no limit is known.
    pub slice_memory_bytes_max: Cell,
    /// Slice sets that needed more than that.
    pub slice_memory_exceeded: Cell,
    /// Bytes of the manifest.
    pub manifest_bytes: Cell,
    /// Bytes that it may take.
    pub manifest_bytes_max: Cell,
    /// Number of the configuration snapshot in force. Written by the configuration agent.
    pub snapshot: Cell,
    /// Since when it is in force, in seconds since the Unix epoch. Written by the configuration agent.
    pub snapshot_since_s: Cell,
    /// Tenants that admit nothing because a key is missing. Written by the configuration agent.
    pub tenants_closed: Cell,
}

/// The pages of all shards and the keeper's.
#[derive(Debug)]
pub struct Stats {
    /// One page per shard.
    pub shards: Box<[ShardStats]>,
    /// The keeper's page.
    pub keeper: KeeperStats,
    /// Log lines that could not be written.
    pub log_lines_dropped: Arc<AtomicU64>,
}

impl Stats {
    /// Zeroed pages.
    pub fn new(shards: u16) -> Stats {
        Stats {
            shards: (0..shards).map(|_| ShardStats::default()).collect(),
            keeper: KeeperStats::default(),
            log_lines_dropped: Arc::default(),
        }
    }
}

const _: () = assert!(
    align_of::<ShardStats>() >= 64,
    "pages of two shards share no cache line"
);
