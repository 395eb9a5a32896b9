//! What one shard counts: requests, outcomes, its log, its table, and how long stages take. Only the shard's thread writes
//! it, its driver's part included. Its layout is part of the layout version of the page.

use super::cell::{Cell, Edges, Histogram};
use super::refusals::Refusals;
use super::tenants::TenantPages;

macro_rules! edges {
    ($($(#[$doc:meta])* $name:ident in $parts:literal: $edges:expr;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name;

            impl Edges for $name {
                const EDGES: &'static [f64] = &$edges;
                const PARTS: f64 = $parts;
            }
        )+
    };
}

edges! {
    /// Seconds of whole requests; the SLO limits 0.1, 0.15, 0.2 and 0.5 are edges.
    Latency in 1e6: [
        0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.5, 1.0, 2.0, 5.0,
    ];
    /// D-hat.
    Dimension in 1e6: [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0];
    /// Differences of D-hat.
    Deviation in 1e6: [0.0, 1e-9, 1e-6, 0.001, 0.01, 0.05, 0.1, 0.15, 0.3, 1.0];
    /// Shares of one.
    Fraction in 1e6: [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.05];
    /// Seconds of stages of a turn and of waits.
    StageTime in 1e9: [
        1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0,
    ];
    /// Records of a batch.
    BatchRecords in 1.0: [0.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];
    /// Bytes of a batch.
    BatchBytes in 1.0: [
        4096.0, 8192.0, 16384.0, 32768.0, 65536.0, 131072.0, 262144.0, 524288.0, 1048576.0, 2097152.0, 4194304.0, 8388608.0,
    ];
}

/// Statuses that are answered, in the order of [`ShardStats::answers`].
pub const STATUSES: [u16; 16] = [
    200, 202, 400, 401, 404, 405, 408, 411, 413, 415, 417, 429, 431, 501, 503, 505,
];

/// Headers of the PROXY protocol, and connections that should have had one.
#[derive(Debug, Default)]
#[repr(C)]
pub struct ProxyHeaders {
    /// It named the client.
    pub taken: Cell,
    /// It named none: the connection is the proxy's own, or the proxy does not know.
    pub without_address: Cell,
    /// Nothing was in front of a connection that must have one.
    pub missing: Cell,
    /// A trusted proxy sent what is none.
    pub malformed: Cell,
    /// Answered by name: not from a trusted network, behind another header, or switched off.
    pub refused: Cell,
}

/// Look-ups of stored outcomes, by what was answered.
#[derive(Debug, Default)]
#[repr(C)]
pub struct LookUpStats {
    /// The stored outcome.
    pub found: Cell,
    /// That there is none.
    pub not_found: Cell,
    /// That there are too many requests: 429.
    pub limited: Cell,
    /// That it cannot be said now: 503.
    pub unavailable: Cell,
    /// Those that wait for an answer.
    pub waiting: Cell,
}

/// Batches: requests of many records.
#[derive(Debug, Default)]
#[repr(C)]
pub struct BatchStats {
    /// Answered line by line.
    pub answered: Cell,
    /// Refused as a whole, for good.
    pub refused: Cell,
    /// Refused as a whole for now: 503.
    pub unavailable: Cell,
    /// Records of those that were answered line by line.
    pub records: Histogram<BatchRecords>,
}

/// One shard's page.
#[derive(Debug, Default)]
#[repr(C, align(128))]
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
    pub latency_s: Histogram<Latency>,
    /// Claimed D̂ of first outcomes.
    pub d_hat: Histogram<Dimension>,
    /// |claimed − recomputed D̂| of first outcomes.
    pub d_hat_deviation: Histogram<Deviation>,
    /// coh★ of first outcomes.
    pub coh_star: Histogram<Fraction>,
    /// r of first outcomes.
    pub r: Histogram<Fraction>,
    /// Claimed budget of first outcomes.
    pub budget: Histogram<Fraction>,
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
    /// Look-ups of stored outcomes.
    pub look_ups: LookUpStats,
    /// Headers of the PROXY protocol.
    pub proxy_headers: ProxyHeaders,
    /// Turns taken.
    pub turns: Cell,
    /// Times that the driver found more completions than its queue holds.
    pub completions_overflowed: Cell,
    /// Times that the driver entered the kernel through its ring.
    pub ring_entered: Cell,
    /// Framing, of a measured turn.
    pub frame_s: Histogram<StageTime>,
    /// Parsing, of a measured turn.
    pub parse_s: Histogram<StageTime>,
    /// Checking signatures, of a measured turn.
    pub signature_s: Histogram<StageTime>,
    /// Checking identities and verifying, of a measured turn.
    pub verify_s: Histogram<StageTime>,
    /// Writing answers, of a measured turn.
    pub reply_s: Histogram<StageTime>,
    /// From the append of a batch's first body until it is durable.
    pub wal_wait_s: Histogram<StageTime>,
    /// From a claim to the owner's answer.
    pub owner_hop_s: Histogram<StageTime>,
    /// From a batch's first decision until it is durable.
    pub decision_wait_s: Histogram<StageTime>,
    /// From handing a batch over until it is durable.
    pub flush_s: Histogram<StageTime>,
    /// Records of durable batches.
    pub batch_records: Histogram<BatchRecords>,
    /// Bytes of durable batches.
    pub batch_bytes: Histogram<BatchBytes>,
    /// Answers that wait for the log.
    pub log_waiting: Cell,
    /// Requests that wait for room in the open batch.
    pub room_waiting: Cell,
    /// Of those, the ones whose tenant has a share of it.
    pub share_waiting: Cell,
    /// Requests that wait for memory.
    pub memory_waiting: Cell,
    /// Bytes of requests that have not come whole.
    pub request_bytes: Cell,
    /// Bytes of answers that clients have not taken.
    pub unsent_bytes: Cell,
    /// Messages of other shards that the last turn found.
    pub mailbox: Cell,
    /// The most that any turn found.
    pub mailbox_max: Cell,
    /// Number of the configuration snapshot that this shard judges under.
    pub snapshot: Cell,
    /// Records that were traced.
    pub traces: Cell,
    /// Batches.
    pub batches: BatchStats,
    /// Records that were not, though they should have been: there were too many.
    pub traces_limited: Cell,
    /// Records that were to be traced while too many others were not complete.
    pub traces_unplaced: Cell,
    /// Counters by tenant, key and parameter set.
    pub tenants: TenantPages,
    /// What it refused last.
    pub refusals: Refusals,
}

impl ShardStats {
    /// Counts one answer.
    pub fn answered(&self, status: u16) {
        if let Some(at) = STATUSES.iter().position(|&known| known == status) {
            self.answers[at].add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_a_problem_is_counted() {
        for problem in crate::http::Problem::ALL {
            assert!(STATUSES.contains(&problem.status()), "{problem:?}");
        }
    }
}
