//! From what is asked to what a machine needs. Pure functions of a need and the constants; `docs/capacity.md` has the formulas in
//! words, and `points.rs` how far they are off where something was measured.

use super::batches::{Batches, cpu_us};
use super::constants as c;
use super::need::Need;

const DAY_S: f64 = 86_400.0;
const MIB: f64 = 1_048_576.0;

/// Shards and the CPU that they take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cpu {
    /// Shards, one on each of as many cores.
    pub(super) shards: f64,
    /// Cores for everything else.
    pub(super) others: f64,
    /// Records that share a write at the highest rate.
    pub(super) records_per_batch: f64,
    /// CPU of a record at the highest rate, in microseconds.
    pub(super) us_per_record: f64,
    /// Share of a shard's CPU at the highest rate.
    pub(super) use_share: f64,
}

/// Bytes in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// Process and buffers of shards.
    pub(super) process: f64,
    /// Tables of what is not sealed: `DEDUP_MEMORY_MAX`.
    pub(super) tables: f64,
    /// What a seal holds besides.
    pub(super) seal: f64,
    /// Filters and indexes of slices.
    pub(super) filters: f64,
    /// What a merge holds besides.
    pub(super) merge: f64,
}

impl Memory {
    /// All of it.
    pub(super) fn all(&self) -> f64 {
        self.process + self.tables + self.seal + self.filters + self.merge
    }
}

/// Bytes on disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disk {
    /// Log for a day, as it is written.
    pub(super) log_per_day: f64,
    /// Log for as long as bodies are kept.
    pub(super) log_kept: f64,
    /// Slices of all ids that are known.
    pub(super) slices: f64,
    /// Segments that are not closed, and room for a merge.
    pub(super) open: f64,
    /// Log segments, packed or not.
    pub(super) segments_count: f64,
}

impl Disk {
    /// All files of `WAL_DIR`.
    pub(super) fn wal_dir(&self) -> f64 {
        self.log_kept + self.slices + self.open
    }

    /// For how long bodies are kept that were to be kept for so long: the manifest names so many segments and no more.
    pub(super) fn kept_by_manifest_s(&self, keep_s: f64) -> f64 {
        (keep_s * c::SEGMENTS_MAX.value / self.segments_count).min(keep_s)
    }

    /// The file system that `WAL_DIR` takes its share of.
    pub(super) fn file_system(&self) -> f64 {
        self.wal_dir() / c::CAP_SHARE.value
    }
}

/// Bytes and operations of the device in a second, at the highest rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Device {
    /// Log, with its padding.
    pub(super) log: f64,
    /// Zeros of new segments.
    pub(super) zeros: f64,
    /// Slices, each id as often as it is written.
    pub(super) slices: f64,
    /// Times that an id is written into slices.
    pub(super) slice_writes: f64,
    /// Manifests: replaced for each segment.
    pub(super) manifest: f64,
    /// Packed segments.
    pub(super) packed: f64,
    /// Read by seals and merges, and for duplicates and new ids out of slices.
    pub(super) reads: f64,
    /// Durable writes of all logs.
    pub(super) flushes: f64,
}

impl Device {
    /// Bytes written.
    pub(super) fn writes(&self) -> f64 {
        self.log + self.zeros + self.slices + self.manifest + self.packed
    }
}

/// Bits in a second at the highest rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    /// Towards the gateway.
    pub(super) bits_in: f64,
    /// Away from it.
    pub(super) bits_out: f64,
}

/// What one machine needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) cpu: Cpu,
    pub(super) memory: Memory,
    pub(super) disk: Disk,
    pub(super) device: Device,
    pub(super) network: Network,
    /// Ids that are known.
    pub(super) ids: f64,
    /// A start behind a crash, in seconds.
    pub(super) start_s: f64,
}

/// What one machine needs for this.
pub(super) fn plan(need: &Need) -> Plan {
    let cpu = cpu(need);
    let memory = memory(need, &cpu);
    let seals = Seals::of(need, &cpu, memory.tables);
    let packing = Packing::of(need, &cpu);
    let disk = disk(need, &cpu, &seals, packing);
    Plan {
        device: device(need, &cpu, &disk, &seals, packing),
        network: network(need),
        ids: need.ids(),
        start_s: start_s(need, &cpu),
        cpu,
        memory,
        disk,
    }
}

/// The batches of each of so many logs at a multiple of the average rate.
fn batches(need: &Need, shards: f64, times: f64) -> Batches {
    Batches::of(need.per_second * times / shards, need.flush_s)
}

/// CPU of a record with so many shards, in microseconds.
fn record_us(need: &Need, shards: f64) -> f64 {
    let records = batches(need, shards, need.peak_times).records();
    let crossing = match shards > 1.0 {
        true => 1.0 + c::CROSSING_SHARE.value,
        false => 1.0,
    };
    let look_up = c::LOOK_UP_US.value * (1.0 - need.duplicates);
    let signature = c::ED25519_US.value * need.ed25519;
    let own = cpu_us(records) * crossing + look_up + signature;
    own / (1.0 - c::SEALING_SHARE.value)
}

/// As few shards as take the highest rate within their share of a CPU, and within what one write at a time holds.
fn cpu(need: &Need) -> Cpu {
    let peak_per_second = need.peak_per_second();
    let bodies = (c::BATCH_BYTES.value / need.body_bytes).clamp(1.0, c::BATCH_BODIES.value);
    let by_log = peak_per_second * need.flush_s / bodies / need.use_share;
    let use_of = |shards: f64| peak_per_second * record_us(need, shards) * 1e-6 / shards;
    // With more shards batches shrink, but a record never costs more than alone.
    let most = (peak_per_second * record_us_alone(need) * 1e-6 / need.use_share).ceil();
    let (mut shards, mut enough) = (by_log.ceil().max(1.0), most.max(by_log.ceil()).max(1.0));
    while shards < enough {
        let middle = ((shards + enough) / 2.0).floor();
        match use_of(middle) <= need.use_share {
            true => enough = middle,
            false => shards = middle + 1.0,
        }
    }
    Cpu {
        shards,
        others: (shards * c::OTHERS_PER_SHARD.value).ceil(),
        records_per_batch: batches(need, shards, need.peak_times).records(),
        us_per_record: record_us(need, shards),
        use_share: use_of(shards),
    }
}

/// CPU of a record that is alone in its batch.
fn record_us_alone(need: &Need) -> f64 {
    record_us(
        &Need {
            flush_s: 0.0,
            ..*need
        },
        2.0,
    )
}

/// Bytes of log for each record at the average rate.
fn log_bytes(need: &Need, cpu: &Cpu) -> f64 {
    batches(need, cpu.shards, 1.0).bytes_per_record(need.body_bytes)
}

/// Bytes of log in a second at the average rate.
fn log_per_second(need: &Need, cpu: &Cpu) -> f64 {
    need.per_second * log_bytes(need, cpu)
}

/// Segments that are closed in a second: full ones by themselves, and by a seal that of every log, half full on average.
fn closed_per_second(need: &Need, cpu: &Cpu, seals: &Seals, log_per_second: f64) -> f64 {
    log_per_second / need.segment_bytes + seals.per_second * cpu.shards / 2.0
}

fn memory(need: &Need, cpu: &Cpu) -> Memory {
    let peak_ids_per_second = need.new_per_second() * need.peak_times;
    // What is not sealed when a seal is due: the closed log of one, and the open segments.
    let open = c::SEAL_LOG_BYTES.value + cpu.shards * need.segment_bytes;
    let of_log = open / log_bytes(need, cpu) * (1.0 - need.duplicates);
    let of_time = need.new_per_second() * c::SEAL_EVERY_S.value;
    let unsealed = of_log.min(of_time);
    // Ten seconds of new ids are the least that keeps up.
    let least = peak_ids_per_second * 10.0;
    let ids = (unsealed / c::TABLE_FULL_SHARE.value).max(least);
    let tables = (ids * c::TABLE_BYTES_PER_ID.value / MIB).ceil().max(1.0) * MIB;
    let slices = c::SLICES_COUNT.value * c::SLICE_MEMORY_BYTES.value;
    let filters = need.ids() * c::FILTER_BYTES_PER_ID.value;
    Memory {
        process: c::PROCESS_BYTES.value + cpu.shards * c::SHARD_BYTES.value,
        tables,
        seal: tables * c::SEAL_SHARE.value,
        filters: filters + slices,
        merge: filters * c::MERGE_SHARE.value,
    }
}

/// How often decisions go into slices, at the average rate.
struct Seals {
    per_second: f64,
    /// Times that an id is written into slices.
    writes: f64,
}

impl Seals {
    fn of(need: &Need, cpu: &Cpu, tables_bytes: f64) -> Seals {
        let new_per_second = need.new_per_second();
        let by_log = log_per_second(need, cpu) / c::SEAL_LOG_BYTES.value;
        let ids_of_table = tables_bytes * c::TABLE_FULL_SHARE.value / c::TABLE_BYTES_PER_ID.value;
        let by_table = new_per_second / ids_of_table;
        let per_second = by_log.max(by_table).max(1.0 / c::SEAL_EVERY_S.value);
        Seals {
            per_second,
            writes: writes(per_second, new_per_second, need.ttl_s),
        }
    }
}

/// Times that an id is written into slices: again whenever what it is in is three times as large within an hour, on average, and
/// twice as large from then on, up to the span of a slice.
pub(super) fn writes(seals_per_second: f64, new_per_second: f64, ttl_s: f64) -> f64 {
    let in_span = seals_per_second * ttl_s * c::SPAN_SHARE.value;
    let is_small = 2.0 * new_per_second / seals_per_second < c::MERGE_IDS.value;
    match is_small {
        _ if in_span <= 1.0 => 1.0,
        true => c::WRITES_OF_SMALL.value,
        false => {
            let in_hour = (seals_per_second * c::SEAL_EVERY_S.value).clamp(1.0, in_span);
            let of_hour = in_hour.log(c::MERGED_AT_ONCE.value);
            (of_hour + (in_span / in_hour).log2() + c::WRITES_BESIDE.value).max(1.0)
        }
    }
}

/// Packing of one gateway at the average rate, in bytes of a second.
#[derive(Clone, Copy, Default)]
struct Packing {
    /// Of log that is packed.
    from: f64,
    /// What becomes of it.
    to: f64,
}

impl Packing {
    fn of(need: &Need, cpu: &Cpu) -> Packing {
        let batches = batches(need, cpu.shards, 1.0);
        let Some(packed) = batches.packed_bytes_per_record(need.body_bytes) else {
            return Packing::default();
        };
        let written = batches.bytes_per_record(need.body_bytes);
        let from = (need.per_second * written).min(c::PACK_BYTES_PER_S.value);
        Packing {
            from,
            to: from * packed / written,
        }
    }
}

/// Bytes of slices with so many ids, of so many hours.
pub(super) fn slices_bytes(ids: f64, slices_count: f64, hours: f64) -> f64 {
    ids * c::SLICE_BYTES_PER_ID.value
        + slices_count * c::SLICE_FIXED_BYTES.value
        + hours * c::HOUR_BYTES.value
}

fn disk(need: &Need, cpu: &Cpu, seals: &Seals, packing: Packing) -> Disk {
    let log_per_second = log_per_second(need, cpu);
    let kept = log_per_second - packing.from + packing.to;
    let slices = slices_bytes(need.ids(), c::SLICES_COUNT.value, need.ttl_s / 3600.0);
    let open = cpu.shards * c::SEGMENTS_OPEN.value * need.segment_bytes;
    let closed_per_second = closed_per_second(need, cpu, seals, log_per_second);
    Disk {
        log_per_day: log_per_second * DAY_S,
        log_kept: kept * need.keep_s,
        slices,
        open: open + slices * c::SPAN_SHARE.value,
        segments_count: closed_per_second * need.keep_s + cpu.shards * c::SEGMENTS_OPEN.value,
    }
}

fn device(need: &Need, cpu: &Cpu, disk: &Disk, seals: &Seals, packing: Packing) -> Device {
    let peak = batches(need, cpu.shards, need.peak_times);
    let peak_per_second = need.peak_per_second();
    let log = peak_per_second * peak.bytes_per_record(need.body_bytes);
    let new_per_second = need.new_per_second() * need.peak_times;
    let once = new_per_second * c::SLICE_BYTES_PER_ID.value;
    let segments_per_second = closed_per_second(need, cpu, seals, log);
    let blocks = new_per_second * c::BLOCKS_IN_VAIN.value + peak_per_second * need.duplicates;
    let packing_reads = packing.from * c::PACK_READS.value;
    Device {
        log,
        zeros: log * c::ZEROS_TIMES.value,
        slices: once * seals.writes,
        slice_writes: seals.writes,
        manifest: segments_per_second
            * disk.segments_count.min(c::SEGMENTS_MAX.value)
            * c::MANIFEST_BYTES.value,
        packed: packing.to,
        reads: log + once * (seals.writes - 1.0) + blocks * c::BLOCK_BYTES.value + packing_reads,
        flushes: (peak.count_per_second() + peak.marks_per_second()) * cpu.shards,
    }
}

fn network(need: &Need) -> Network {
    let peak_per_second = need.peak_per_second();
    // The receiver's acknowledgement of the answer is a packet of its own.
    let request =
        packets_bytes(c::REQUEST_HEAD_BYTES.value + need.body_bytes) + c::PACKET_BYTES.value;
    let answer = packets_bytes(c::ANSWER_BYTES.value);
    Network {
        bits_in: peak_per_second * request * 8.0,
        bits_out: peak_per_second * answer * 8.0,
    }
}

/// A message on the wire.
fn packets_bytes(bytes: f64) -> f64 {
    bytes + (bytes / c::SEGMENT_BYTES.value).ceil() * c::PACKET_BYTES.value
}

/// A start behind a crash: filters, and the log behind the slices.
fn start_s(need: &Need, cpu: &Cpu) -> f64 {
    let hour = log_per_second(need, cpu) * c::SEAL_EVERY_S.value;
    let open = cpu.shards * need.segment_bytes;
    let log = hour.min(c::SEAL_LOG_BYTES.value + open);
    let gib = log / c::SEAL_LOG_BYTES.value;
    start_of_slices_s(need.ids()) + gib * c::START_S_PER_GIB.value
}

/// A start with nothing behind the slices.
pub(super) fn start_of_slices_s(ids: f64) -> f64 {
    c::START_S.value + ids * c::START_S_PER_ID.value
}
