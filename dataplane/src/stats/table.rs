//! Every metric, declared once: name, kind, unit, labels, help, and where its value is. Both formats of the page and
//! `docs/metrics.md` come from this table; a metric that is not in it does not exist.

use super::cell::{Buckets, Cell};
use super::page::Parts;
use super::series::tenants::{
    keys_begin, keys_end, keys_seen, keys_verified, params, params_reasons, tenants,
};
use super::series::{self, Series, holds};
use super::{KeeperStats, ObservedStats, ProcessStats, ShardStats};

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows from 0 with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts of values below edges, and their sum.
    Histogram,
    /// The constant 1; its labels are the information.
    Info,
}

impl Kind {
    /// As in the page of metrics, format 0.0.4.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge | Kind::Info => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// What a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things that are counted, or a share.
    One,
    /// Bytes.
    Bytes,
    /// Seconds. Their cells hold microseconds.
    Seconds,
}

impl Unit {
    /// As in documentation, and at the end of names.
    pub fn name(self) -> &'static str {
        match self {
            Unit::One => "",
            Unit::Bytes => "bytes",
            Unit::Seconds => "seconds",
        }
    }
}

/// The place of a histogram in a shard's part.
type HistogramOf = fn(&ShardStats) -> Buckets<'_>;

/// Where the value of a metric of the data plane is.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// The sum over all shards.
    Shards(fn(&ShardStats) -> &Cell),
    /// The keeper's.
    Keeper(fn(&KeeperStats) -> &Cell),
    /// The process's.
    Process(fn(&ProcessStats) -> &Cell),
    /// One sample per shard, of what is observed of it from outside.
    Observed(fn(&ObservedStats) -> &Cell),
    /// A histogram, added up over all shards.
    Histogram(HistogramOf),
    /// The same, with the newest trace of each bucket.
    Latency(HistogramOf),
    /// Histograms by the value of one label, each added up over all shards.
    HistogramsBy(&'static [(&'static str, HistogramOf)]),
    /// Samples of their own making.
    Series(fn(&Parts<'_>, &mut Series<'_>)),
}

/// One metric, of the data plane or of another process, which has its values elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Metric<V = Value> {
    /// Name in format 0.0.4.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Unit.
    pub unit: Unit,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
    /// Where its value is.
    pub value: V,
}

impl<V: Copy> Metric<V> {
    /// One without unit and labels.
    pub const fn new(name: &'static str, kind: Kind, help: &'static str, value: V) -> Metric<V> {
        Metric {
            name,
            kind,
            unit: Unit::One,
            labels: &[],
            help,
            value,
        }
    }

    /// Measured in this.
    pub const fn unit(mut self, unit: Unit) -> Metric<V> {
        self.unit = unit;
        self
    }

    /// With these labels.
    pub const fn by(mut self, labels: &'static [&'static str]) -> Metric<V> {
        self.labels = labels;
        self
    }
}

const fn count(name: &'static str, help: &'static str, of: fn(&ShardStats) -> &Cell) -> Metric {
    Metric::new(name, Kind::Counter, help, Value::Shards(of))
}

const fn gauge(name: &'static str, help: &'static str, of: fn(&ShardStats) -> &Cell) -> Metric {
    Metric::new(name, Kind::Gauge, help, Value::Shards(of))
}

const fn histogram(name: &'static str, help: &'static str, of: HistogramOf) -> Metric {
    Metric::new(name, Kind::Histogram, help, Value::Histogram(of))
}

const fn series(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
    of: fn(&Parts<'_>, &mut Series<'_>),
) -> Metric {
    Metric::new(name, kind, help, Value::Series(of)).by(labels)
}

const fn by_tenant(
    name: &'static str,
    help: &'static str,
    of: fn(&Parts<'_>, &mut Series<'_>),
) -> Metric {
    series(name, Kind::Counter, &["tenant"], help, of)
}

const fn keeper(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    of: fn(&KeeperStats) -> &Cell,
) -> Metric {
    Metric::new(name, kind, help, Value::Keeper(of))
}

const fn process(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    of: fn(&ProcessStats) -> &Cell,
) -> Metric {
    Metric::new(name, kind, help, Value::Process(of))
}

const fn observed(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    of: fn(&ObservedStats) -> &Cell,
) -> Metric {
    Metric::new(name, kind, help, Value::Observed(of)).by(&["shard"])
}

/// The groups of metrics, each with its heading in the reference.
pub const GROUPS: [(&str, &[Metric]); 10] = [
    ("Requests and outcomes", REQUESTS),
    ("Signed values of first outcomes", VALUES),
    ("Stages and queues", STAGES),
    ("Log", LOG),
    ("Dedup", DEDUP),
    ("Configuration", CONFIGURATION),
    ("Tenants, keys and parameter sets", TENANTS),
    ("Connections and shards", SHARDS),
    ("Traces", TRACES),
    ("Process", PROCESS),
];

/// All metrics, in the order of the page.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    GROUPS.iter().flat_map(|(_, group)| group.iter())
}

#[rustfmt::skip] // a table
const TRACES: &[Metric] = &[
    count("flk_traces_total", "Records that were traced.", |page| &page.traces),
    count("flk_traces_limited_total", "Records that were to be traced and were not, for TRACES_PER_SECOND_MAX allows no more.", |page| &page.traces_limited),
    count("flk_traces_unplaced_total", "Records that were to be traced and were not, for 256 traced records of their shard had no answer yet.", |page| &page.traces_unplaced),
];

#[rustfmt::skip] // a table
const TENANTS: &[Metric] = &[
    by_tenant("flk_ingest_by_tenant", "Submissions, whatever their answer; each record of a batch is one. 64 tenants have samples of their own, all others are `other`.", |it, put| tenants(it, put, |row| &row.ingest)),
    by_tenant("flk_accepted_by_tenant", "First outcomes that accept.", |it, put| tenants(it, put, |row| &row.accepted)),
    by_tenant("flk_escalated_by_tenant", "First outcomes that escalate.", |it, put| tenants(it, put, |row| &row.escalated)),
    by_tenant("flk_signature_errors_by_tenant", "Records refused because of their signature.", |it, put| tenants(it, put, |row| &row.signature_errors)),
    by_tenant("flk_dedup_hits_by_tenant", "Duplicates answered with the stored outcome.", |it, put| tenants(it, put, |row| &row.dedup_hits)),
    by_tenant("flk_rate_limited_by_tenant", "Requests over a rate.", |it, put| tenants(it, put, |row| &row.rate_limited)),
    by_tenant("flk_quota_exceeded_by_tenant", "Requests over a quota of bytes.", |it, put| tenants(it, put, |row| &row.quota_exceeded)),
    series("flk_key_verified_total", Kind::Counter, &["tenant", "key"], "Signatures that a key verified. 256 keys have samples of their own, all others are `other`.", keys_verified),
    series("flk_key_last_seen_seconds", Kind::Gauge, &["tenant", "key"], "When a key verified last, since 1970; 0: not since the start.", keys_seen).unit(Unit::Seconds),
    series("flk_key_begins_seconds", Kind::Gauge, &["tenant", "key"], "From when a key in force verifies, since 1970; its age is the time since then. 0: no begin is set, or it is not in force.", keys_begin).unit(Unit::Seconds),
    series("flk_key_ends_seconds", Kind::Gauge, &["tenant", "key"], "Until when a key in force verifies, since 1970. 0: no end is set, or it is not in force.", keys_end).unit(Unit::Seconds),
    series("flk_accepted_by_params", Kind::Counter, &["tenant", "params"], "First outcomes that accept, by the parameter set that judged. 128 pairs have samples of their own.", |it, put| params(it, put, |row| &row.accepted)),
    series("flk_escalated_by_params", Kind::Counter, &["tenant", "params"], "First outcomes that escalate, by the parameter set that judged.", |it, put| params(it, put, |row| &row.escalated)),
    series("flk_escalated_by_params_and_reason", Kind::Counter, &["tenant", "params", "reason"], "The same by reason.", params_reasons),
];

#[rustfmt::skip] // a table
const REQUESTS: &[Metric] = &[
    count("flk_ingest_total", "POST requests observed, whatever their answer; each record of a batch counts as one.", |it| &it.ingest),
    count("flk_dedup_hits", "Duplicates answered with the stored outcome.", |it| &it.dedup_hits),
    count("flk_dedup_conflicts", "Duplicates whose signed content differs from the first: an agent signs different contents under one id.", |it| &it.dedup_conflicts),
    count("flk_accepted", "First outcomes that accept.", |it| &it.accepted),
    count("flk_escalated", "First outcomes that escalate.", |it| &it.escalated),
    series("flk_escalated_by_reason_total", Kind::Counter, &["reason"], "First outcomes that escalate, by reason.", series::reasons),
    series("flk_outcomes_by_regime_total", Kind::Counter, &["regime"], "First outcomes, by regime.", series::regimes),
    count("flk_signature_errors", "Records refused because of their signature.", |it| &it.signature_errors),
    count("flk_signature_err", "Alias of flk_signature_errors.", |it| &it.signature_errors),
    series("http_requests_total", Kind::Counter, &["code"], "Answers, by status code; each record of a batch counts as one, the batch itself in flk_batch_requests_total.", series::answers),
    series("http_requests_errors_total", Kind::Counter, &[], "Answers with a status other than 2xx.", series::errors),
    Metric::new("http_request_duration_seconds", Kind::Histogram, "From the whole request to its answer; in OpenMetrics with the trace of one request of each bucket.", Value::Latency(|it| it.latency_s.view())).unit(Unit::Seconds),
    series("flk_batch_requests_total", Kind::Counter, &["result"], "Batches: `answered` line by line, `refused` as a whole (4xx) or `unavailable` as a whole (503).", series::batches),
    histogram("flk_batch_records", "Records of batches that were answered line by line.", |it| it.batches.records.view()),
    gauge("flk_requests_in_flight", "Admitted requests without a durable end.", |it| &it.flights),
];

#[rustfmt::skip] // a table
const VALUES: &[Metric] = &[
    histogram("flk_claimed_d_hat", "Claimed D-hat of first outcomes.", |it| it.d_hat.view()),
    histogram("flk_d_hat_deviation", "Absolute difference of claimed and recomputed D-hat.", |it| it.d_hat_deviation.view()),
    histogram("flk_coh_star", "Coherence of first outcomes.", |it| it.coh_star.view()),
    histogram("flk_r", "Compressibility of first outcomes.", |it| it.r.view()),
    histogram("flk_budget", "Claimed budget of first outcomes.", |it| it.budget.view()),
];

#[rustfmt::skip] // a table
const STAGE_TIMES: &[(&str, HistogramOf)] = &[
    ("framing", |it| it.frame_s.view()),
    ("wal_wait", |it| it.wal_wait_s.view()),
    ("parse", |it| it.parse_s.view()),
    ("signature", |it| it.signature_s.view()),
    ("owner_hop", |it| it.owner_hop_s.view()),
    ("verify", |it| it.verify_s.view()),
    ("decision_wait", |it| it.decision_wait_s.view()),
    ("reply", |it| it.reply_s.view()),
];

#[rustfmt::skip] // a table
const STAGES: &[Metric] = &[
    Metric::new("flk_stage_seconds", Kind::Histogram, "Time by stage. framing, parse, signature, verify, reply: of one turn in 17, for all its requests together. wal_wait and decision_wait: from the first body, the first decision of a batch until it is durable. owner_hop: of each claim until its answer, 0 within a turn.", Value::HistogramsBy(STAGE_TIMES)).unit(Unit::Seconds).by(&["stage"]),
    gauge("flk_log_waiting", "Answers that wait for the log.", |it| &it.log_waiting),
    gauge("flk_room_waiting", "Whole requests that wait for room in the open batch or among the requests in flight.", |it| &it.room_waiting),
    gauge("flk_share_waiting", "Of those in flk_room_waiting, the ones of tenants with a wal_share: they wait for their share, or for room.", |it| &it.share_waiting),
    gauge("flk_memory_waiting", "Requests that wait for memory for the rest of them.", |it| &it.memory_waiting),
    gauge("flk_request_bytes", "Memory held for requests that have not come whole or wait for room.", |it| &it.request_bytes).unit(Unit::Bytes),
    gauge("flk_unsent_bytes", "Bytes of answers that clients have not taken.", |it| &it.unsent_bytes).unit(Unit::Bytes),
    gauge("flk_mailbox_messages", "Messages of other shards that the last turns found, one turn of each shard.", |it| &it.mailbox),
    gauge("flk_mailbox_messages_max", "The most messages that a turn found, added up over the shards.", |it| &it.mailbox_max),
];

#[rustfmt::skip] // a table
const LOG: &[Metric] = &[
    histogram("flk_wal_flush_seconds", "From handing a batch to the driver until it is durable, as turns see it.", |it| it.flush_s.view()).unit(Unit::Seconds),
    histogram("flk_wal_batch_records", "Records of durable batches; a mark has none.", |it| it.batch_records.view()),
    histogram("flk_wal_batch_bytes", "Bytes of durable batches.", |it| it.batch_bytes.view()).unit(Unit::Bytes),
    count("flk_wal_errors", "Failed log writes and syncs: any growth means a failing disk.", |it| &it.wal_errors),
    count("flk_wal_bytes_written", "Bytes of durable log batches.", |it| &it.wal_bytes).unit(Unit::Bytes),
    count("flk_wal_syncs", "Durable log batches, one flush each.", |it| &it.wal_syncs),
    count("flk_wal_records", "Log records in durable batches.", |it| &it.wal_records),
    keeper("flk_wal_segments", Kind::Gauge, "Log segments that are kept.", |it| &it.segments),
    keeper("flk_wal_segments_crowded_out_total", Kind::Counter, "Log segments deleted before their time because there were too many.", |it| &it.segments_crowded_out),
    keeper("flk_wal_segments_packed_total", Kind::Counter, "Log segments that were packed, because more than half of their bytes was padding.", |it| &it.segments_packed),
    keeper("flk_wal_packed_saved_bytes_total", Kind::Counter, "Bytes that the files of packed log segments take less than before.", |it| &it.packed_saved_bytes).unit(Unit::Bytes),
    keeper("flk_wal_horizon_seconds", Kind::Gauge, "Age of the oldest batch in the log: so far back bodies are kept. By the expiry clock, as WAL_MAX_AGE; 0 while there is none.", |it| &it.horizon_us).unit(Unit::Seconds),
    keeper("flk_wal_horizon_seconds_max", Kind::Gauge, "WAL_MAX_AGE.", |it| &it.horizon_us_max).unit(Unit::Seconds),
    keeper("flk_clock_withheld_seconds", Kind::Gauge, "Time that passed by the wall clock and is withheld from expiry, until flk wal release-clock lets it count.", |it| &it.withheld_us).unit(Unit::Seconds),
    keeper("flk_wal_holds", Kind::Gauge, "Holds: readers outside of the process that keep segments until they are done with them.", |it| &it.holds),
    series("flk_wal_hold_kept_bytes", Kind::Gauge, &["hold"], "Bytes of segments that a hold keeps although WAL_MAX_AGE is over for them. 64 names have samples of their own.", holds::kept_bytes).unit(Unit::Bytes),
    series("flk_wal_hold_behind_bytes", Kind::Gauge, &["hold"], "Bytes of closed segments that a hold is not done with.", holds::behind_bytes).unit(Unit::Bytes),
    series("flk_wal_hold_age_seconds", Kind::Gauge, &["hold"], "Time since a hold moved, by the expiry clock.", holds::ages).unit(Unit::Seconds),
    keeper("flk_wal_hold_releases_total", Kind::Counter, "Ranges of sequences that were deleted although a hold was not done with them: its reader has lost them.", |it| &it.hold_releases),
    keeper("flk_wal_space_errors_total", Kind::Counter, "Times that the file system under WAL_DIR could not be measured.", |it| &it.space_errors),
    keeper("flk_manifest_bytes", Kind::Gauge, "Bytes of the manifest.", |it| &it.manifest_bytes).unit(Unit::Bytes),
    keeper("flk_manifest_bytes_max", Kind::Gauge, "Bytes that the manifest may take.", |it| &it.manifest_bytes_max).unit(Unit::Bytes),
];

#[rustfmt::skip] // a table
const DEDUP: &[Metric] = &[
    series("flk_look_ups_total", Kind::Counter, &["result"], "Look-ups of stored outcomes: `found`, `not_found`, `limited` by a rate (429), or `unavailable` (503). Those with a wrong id or tenant are counted by their status only.", series::look_ups),
    gauge("flk_look_ups_waiting", "Look-ups that wait for an answer.", |it| &it.look_ups.waiting),
    gauge("flk_dedup_keys", "Keys in the dedup tables.", |it| &it.dedup_keys),
    gauge("flk_dedup_bytes", "Bytes of the dedup tables.", |it| &it.dedup_bytes).unit(Unit::Bytes),
    gauge("flk_dedup_bytes_max", "Declared limit of the dedup tables.", |it| &it.dedup_bytes_max).unit(Unit::Bytes),
    count("flk_slice_reads_total", "Blocks of slices read to answer duplicates.", |it| &it.slice_reads),
    count("flk_slice_read_errors_total", "Reads of slices that failed: answered 503.", |it| &it.slice_read_errors),
    count("flk_slice_blocks_damaged_total", "Blocks of slices that are not what they were: answered 503.", |it| &it.slice_blocks_damaged),
    count("flk_claim_faults_total", "Claims that should never have come: a mistake of flk if above 0.", |it| &it.claim_faults),
    keeper("flk_slices", Kind::Gauge, "Slices that are kept.", |it| &it.slices),
    keeper("flk_slice_memory_bytes", Kind::Gauge, "Bytes of filters and indexes of slices.", |it| &it.slice_memory_bytes).unit(Unit::Bytes),
    keeper("flk_slice_memory_bytes_max", Kind::Gauge, "Bytes that there are for them; 0: no limit is known.", |it| &it.slice_memory_bytes_max).unit(Unit::Bytes),
    keeper("flk_slice_memory_exceeded_total", Kind::Counter, "Sets of slices put in force that take more than that.", |it| &it.slice_memory_exceeded),
];

#[rustfmt::skip] // a table
const CONFIGURATION: &[Metric] = &[
    keeper("flk_snapshot_number", Kind::Gauge, "Number of the configuration snapshot in force; 0: what the process was started with.", |it| &it.snapshot),
    keeper("flk_snapshot_since_seconds", Kind::Gauge, "When it came into force, in seconds since 1970.", |it| &it.snapshot_since_us).unit(Unit::Seconds),
    keeper("flk_tenants_closed", Kind::Gauge, "Tenants that admit nothing because a key could not be loaded at the start.", |it| &it.tenants_closed),
];

#[rustfmt::skip] // a table
const SHARDS: &[Metric] = &[
    gauge("flk_connections", "Open connections.", |it| &it.connections),
    gauge("flk_connections_max", "Connections that stay open at a time.", |it| &it.connections_max),
    count("flk_connections_evicted_total", "Connections without a whole request, closed to make room for new ones.", |it| &it.connections_evicted),
    series("flk_proxy_headers_total", Kind::Counter, &["result"], "Headers of the PROXY protocol in front of connections: `taken` named the client, `without_address` named none; `missing` and `malformed` ended the connection of a trusted proxy; `refused` came from elsewhere, behind another one or with PROXY_PROTOCOL=off, and was answered 400.", series::proxy_headers),
    count("flk_turns_total", "Turns of all shards.", |it| &it.turns),
    count("flk_uring_enters_total", "Times that a shard entered the kernel through io_uring, about once a turn; 0 under the portable driver.", |it| &it.ring_entered),
    count("flk_uring_cq_overflows_total", "Times that a shard found more completions than its completion queue holds; none is lost.", |it| &it.completions_overflowed),
    series("flk_shards", Kind::Gauge, &[], "Shards of this process.", series::shards),
    observed("flk_shard_stuck", Kind::Gauge, "1 while the shard has made no turn for more than 1 s although one is due; /readyz is 503 then.", |it| &it.stuck),
    observed("flk_shard_stuck_times_total", Kind::Counter, "Times that the shard became stuck.", |it| &it.stuck_times),
    observed("flk_shard_cpu_seconds_total", Kind::Counter, "CPU time of the shard's thread; at most 5 s old, as all that is observed from outside.", |it| &it.cpu_us).unit(Unit::Seconds),
    observed("flk_shard_involuntary_switches_total", Kind::Counter, "Times that the kernel took the CPU from the shard's thread for another one.", |it| &it.involuntary_switches),
    observed("flk_shard_steal_seconds_total", Kind::Counter, "Time that the hypervisor gave the shard's CPU to others since the host started.", |it| &it.steal_us).unit(Unit::Seconds),
];

#[rustfmt::skip] // a table
const PROCESS: &[Metric] = &[
    series("flk_build_info", Kind::Info, &["version", "arch", "wal_format", "stats_layout"], "What this program is.", series::build_info),
    series("flk_node_info", Kind::Info, &["region", "node"], "Where it runs: REGION_ID, empty until it is set; NODE_ID is reserved and empty.", series::node_info),
    process("flk_driver_fallback", Kind::Gauge, "1 where FLK_DRIVER=auto had to take the portable driver because io_uring does not work here; 0 where the driver is the one that is wanted.", |it| &it.driver_is_fallback),
    process("flk_log_lines_dropped_total", Kind::Counter, "Log lines dropped because standard error could not take them.", |it| &it.log_lines_dropped),
    process("flk_log_lines_left_out_total", Kind::Counter, "Log lines left out because there were more of their event in ten seconds than are written.", |it| &it.log_lines_left_out),
    process("process_cpu_seconds_total", Kind::Counter, "CPU time of the process, user and system; at most 5 s old, as all of the process.", |it| &it.cpu_us).unit(Unit::Seconds),
    process("process_resident_memory_bytes", Kind::Gauge, "Memory of the process that is resident.", |it| &it.resident_bytes).unit(Unit::Bytes),
    process("process_virtual_memory_bytes", Kind::Gauge, "Address space of the process.", |it| &it.virtual_bytes).unit(Unit::Bytes),
    process("process_open_fds", Kind::Gauge, "Open descriptors.", |it| &it.open_fds),
    process("process_max_fds", Kind::Gauge, "Limit of open descriptors.", |it| &it.max_fds),
    series("process_start_time_seconds", Kind::Gauge, &[], "When the process began to count, in seconds since 1970.", series::start_time).unit(Unit::Seconds),
];
