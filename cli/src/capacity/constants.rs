//! The numbers that the model is made of, each with where it comes from: a record of this repository, a format, a rule of the
//! keeper, or an assumption that nothing measured supports yet. They are data.

/// Where a constant comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Measured; the source is a record or a page that says so.
    Measured,
    /// It follows from a format.
    Format,
    /// A rule or a bound of the gateway.
    Rule,
    /// Nothing here measured it.
    Assumed,
}

impl Kind {
    /// In one word.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Measured => "measured",
            Kind::Format => "format",
            Kind::Rule => "rule",
            Kind::Assumed => "assumed",
        }
    }
}

/// One number of the model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Constant {
    /// Its name in output and docs.
    pub(super) name: &'static str,
    /// The number.
    pub(super) value: f64,
    /// Its unit.
    pub(super) unit: &'static str,
    /// How far it can be trusted.
    pub(super) kind: Kind,
    /// Where it stands; a path of the repository where there is one.
    pub(super) source: &'static str,
}

macro_rules! constants {
    ($($(#[doc = $doc:literal])* $id:ident $name:literal $value:expr, $unit:literal $kind:ident $source:literal;)*) => {
        $($(#[doc = $doc])* pub(super) const $id: Constant = Constant {
            name: $name, value: $value, unit: $unit, kind: Kind::$kind, source: $source,
        };)*

        /// All of them, in the order in which docs and `--explain` have them.
        pub(super) const ALL: &[Constant] = &[$($id),*];
    };
}

constants! {
    /// CPU of a record whatever the batch.
    RECORD_US "CPU of a record" 10.0, "µs" Measured "docs/capacity.md: between its points of CPU";
    /// CPU of a batch: one write, its completion, wake-ups.
    BATCH_US "CPU of a batch, shared by its records" 16.0, "µs" Measured "docs/capacity.md: between its points of CPU; batches of less than eight are extrapolated";
    /// CPU of a look-up of a new id in the filters of all slices.
    LOOK_UP_US "CPU of a look-up in filters" 1.0, "µs" Measured "profiles/records/amd-epyc-2cpu/2026-11-30-99d576e-store/result.md: 1019 ns with 1e8 ids";
    /// Share of a shard's rate that seals and merges cost on the same CPU.
    SEALING_SHARE "CPU of seals and merges" 0.15, "of a shard" Measured "profiles/records/intel-xeon-processor-2cpu/2026-12-01-e28d1d3f-sealing/result.md: 22.9 % of the rate, and 7.3 % in 2026-11-30-b04a8a1-sealing, when two slices were merged at a time; 5.1 % in 2026-12-01-50e8831e-sealing with four";
    /// CPU of an Ed25519 verification, which HMAC does not have.
    ED25519_US "CPU of an Ed25519 verification" 20.0, "µs" Measured "docs/decisions/0032-tables-for-ed25519-keys.md: 51,618/s with 16 keys that have tables, on a loaded Intel Xeon; keys without a table took 54 µs";
    /// More CPU of a record where several shards exchange claims.
    CROSSING_SHARE "CPU of claims that cross shards" 0.10, "of a record" Assumed "no run with more than one shard is recorded";
    /// CPUs beside the shards, for each shard.
    OTHERS_PER_SHARD "CPUs for interrupts, keeper and flk-control" 0.125, "per shard" Assumed "records are over loopback, where the sender's CPU has the interrupts";
    /// Memory of the process without shards.
    PROCESS_BYTES "memory of the process" 16777216.0, "B" Rule "docs/operations.md, Sizing memory: 16 MiB";
    /// Buffers of a shard.
    SHARD_BYTES "memory of a shard" 17825792.0, "B" Rule "docs/operations.md, Sizing memory: 17 MiB";
    /// A key in the tables, with the room that tables keep.
    TABLE_BYTES_PER_ID "table for an id that is not sealed" 112.0, "B/id" Measured "docs/decisions/0033-memory-is-waited-for-together.md: 112 below a quarter of DEDUP_MEMORY_MAX, 96 above";
    /// A seal holds so much of the tables besides.
    SEAL_SHARE "memory of a seal" 0.25, "of the tables" Rule "docs/operations.md, Sizing memory";
    /// From this part of the tables on a seal comes early.
    TABLE_FULL_SHARE "tables are sealed from" 0.25, "of the tables" Rule "docs/decisions/0025-seals-keep-up-with-ingest.md";
    /// Filters and indexes of slices.
    FILTER_BYTES_PER_ID "filters and indexes in memory" 1.90, "B/id" Measured "profiles/records/amd-epyc-2cpu/2026-11-30-edcf998-store/result.md: 1.899 with 1e8 ids; 1.893 by the format";
    /// A merge holds the filters of its slice twice, and a slice spans a tenth of the TTL.
    MERGE_SHARE "memory of a merge" 0.20, "of the filters" Rule "docs/operations.md, Sizing memory: twice the filters of a slice, which spans a tenth of DEDUP_TTL";
    /// Beside filters and indexes.
    SLICE_MEMORY_BYTES "memory of a slice besides" 61440.0, "B" Rule "docs/storage.md: about 60 KiB";
    /// Slices of a full TTL.
    SLICES_COUNT "slices at most" 20.0, "" Rule "docs/decisions/0030-slices-of-one-size-are-merged.md";
    /// An id in slices.
    SLICE_BYTES_PER_ID "slices on disk" 75.04, "B/id" Format "docs/storage.md, How large it becomes; measured 75.16 with 1e8 ids";
    /// A slice, whatever is in it.
    SLICE_FIXED_BYTES "a slice besides" 196608.0, "B" Format "docs/storage.md: up to 192 KiB";
    /// Partitions of an hour in slices.
    HOUR_BYTES "an hour of decisions in slices" 32768.0, "B" Format "docs/storage.md: 32 KiB";
    /// Record of a body and its decision.
    BODY_RECORDS_BYTES "log of a record beside its body" 208.0, "B" Format "docs/storage.md: 48 for the body and 160 for its decision";
    /// Head of a batch.
    BATCH_HEAD_BYTES "head of a batch" 96.0, "B" Format "docs/wal-format.md, Batch header";
    /// What the log is written in.
    BLOCK_BYTES "block of the log" 4096.0, "B" Format "docs/wal-format.md";
    /// A mark follows when a log is idle.
    MARK_AFTER_S "a mark follows an idle log after" 0.010, "s" Rule "docs/ARCHITECTURE.md, The log";
    /// A frame of a packed segment, with the head of its batch.
    FRAME_BYTES "packed batch" 112.0, "B" Format "docs/storage.md: 16 bytes for each batch, and its head";
    /// Sealed segments are packed no faster.
    PACK_BYTES_PER_S "segments are packed at" 16777216.0, "B/s" Rule "docs/decisions/0027-sealed-segments-are-packed.md: 16 MiB in a second";
    /// Packing reads what it packs twice.
    PACK_READS "packing reads" 2.0, "times" Rule "docs/decisions/0027-sealed-segments-are-packed.md";
    /// Each byte of log is written once as zero.
    ZEROS_TIMES "zeros written for a byte of log" 1.0, "times" Rule "docs/decisions/0011-new-segments-are-new-files.md";
    /// Closed log that makes a seal due.
    SEAL_LOG_BYTES "a seal comes behind closed log of" 1073741824.0, "B" Rule "docs/storage.md, The life of a record: 1 GiB";
    /// Time that makes a seal due.
    SEAL_EVERY_S "a seal comes after" 3600.0, "s" Rule "docs/storage.md, The life of a record: each hour";
    /// Part of the TTL that a slice may span.
    SPAN_SHARE "a slice spans at most" 0.1, "of the TTL" Rule "docs/decisions/0030-slices-of-one-size-are-merged.md";
    /// Ids of two slices that are merged at once.
    MERGE_IDS "two slices are merged from" 131072.0, "ids" Rule "docs/decisions/0030-slices-of-one-size-are-merged.md";
    /// Writes of an id where slices are too small to be merged by size.
    WRITES_OF_SMALL "writes of an id in small slices" 10.7, "times" Measured "docs/decisions/0030-slices-of-one-size-are-merged.md: 20 slices at most";
    /// By what a slice of one hour grows with a merge, on average.
    MERGED_AT_ONCE "growth of slices of an hour with a merge" 3.0, "times" Measured "docs/decisions/0030-slices-of-one-size-are-merged.md";
    /// Writes of an id beside the growth of what it is in.
    WRITES_BESIDE "writes of an id beside merges" 0.8, "times" Measured "docs/decisions/0030-slices-of-one-size-are-merged.md: its table";
    /// Blocks that filters let pass for a new id.
    BLOCKS_IN_VAIN "blocks read in vain" 0.0233, "per new id" Measured "profiles/records/amd-epyc-2cpu/2026-11-30-99d576e-store/result.md";
    /// A closed segment in the manifest.
    MANIFEST_BYTES "manifest" 64.0, "B/segment" Format "docs/storage.md";
    /// Closed segments above which the oldest are deleted.
    SEGMENTS_MAX "segments before they are deleted early" 131072.0, "" Rule "docs/decisions/0013-segments-bound-the-manifest.md";
    /// Segments of a shard that are not closed.
    SEGMENTS_OPEN "segments in use, next and preallocated" 3.0, "per shard" Rule "docs/storage.md";
    /// A shard that is used so far works on one batch while it could take the next one.
    WORK_SHARE_MAX "work that lengthens a batch, at most" 0.95, "of a shard" Assumed "an estimate of batches has to end somewhere";
    /// What WAL_DIR may take of its file system.
    CAP_SHARE "WAL_DIR takes at most" 0.8, "of the file system" Rule "docs/operations.md, Settings: WAL_MAX_BYTES";
    /// Bodies of one write.
    BATCH_BODIES "bodies of a batch at most" 1024.0, "" Rule "docs/operations.md, Tenants";
    /// Bytes of bodies of one write.
    BATCH_BYTES "bytes of bodies of a batch at most" 262144.0, "B" Rule "docs/operations.md, Tenants";
    /// Head of a request as flk bench sends it.
    REQUEST_HEAD_BYTES "head of a request" 107.0, "B" Format "benches/load/src/stock.rs: as the benches send it; other clients send 150 to 300";
    /// An answer.
    ANSWER_BYTES "answer" 378.0, "B" Format "README.md, A tour in sixty seconds: 125 of head and 253 of body";
    /// Headers of Ethernet, IP and TCP with time stamps, preamble and gap included.
    PACKET_BYTES "a packet besides" 90.0, "B" Format "Ethernet 38, IPv4 20, TCP 32";
    /// What a packet carries.
    SEGMENT_BYTES "a packet carries" 1448.0, "B" Format "Ethernet of 1500 bytes";
    /// Start with nothing behind the slices.
    START_S "start" 0.2, "s" Measured "profiles/records/amd-epyc-2cpu/2026-11-30-99d576e-store/result.md";
    /// Reading of filters.
    START_S_PER_ID "start, for each id" 4.5e-9, "s/id" Measured "profiles/records/amd-epyc-2cpu/2026-11-30-99d576e-store/result.md: 0.45 s per 100 M ids";
    /// Reading of the log behind the slices.
    START_S_PER_GIB "start behind a crash, for each GiB of log" 3.3, "s/GiB" Measured "profiles/records/amd-epyc-2cpu/2026-11-30-99d576e-store/result.md: (3.471 - 0.570) / 0.87";
}
