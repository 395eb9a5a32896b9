//! Every line that the data plane can say: name, level, how often, what stands in front of it as text, and its fields. Lines
//! for operators and for programs come from this table, and nothing else is said. Names never change their meaning.

use super::Lead::{Row, Words};
use super::Rate::{self, Always};

/// Of what may happen at any rate.
const OFTEN: Rate = Rate::Per10s(10);

/// Sentences of the gateway.
const FLK: super::Lead = Words("flk: ");
const WARNING: super::Lead = Words("flk: warning: ");
/// Of the program alone, before there is a gateway.
const PROGRAM: super::Lead = Words("flk-dataplane: ");

log_events! {
    /// All events of the data plane.
    Dataplane in EVENTS;

    /// An argument of the command line is wrong; the process ends with 64.
    ArgumentRefused "arguments.refused" Error Always, PROGRAM => {}
    /// A setting is wrong; the process ends with 78.
    SettingRefused "config.refused" Error Always, PROGRAM => {
        /// The variable of the setting.
        variable: &'static str,
    }
    /// A variable of the environment looks like a setting and is none, or is one of OpenTelemetry that is not read.
    VariableUnknown "config.variable_unknown" Warn Always, WARNING => {
        /// Its name.
        variable: String,
    }
    /// The gateway does not start.
    StartRefused "start.refused" Error Always, FLK => {
        /// The code that the process ends with.
        exit_code: u8,
    }
    /// A signal ended the process before the gateway served.
    StartStopped "start.stopped" Info Always, FLK => {
        /// The signal.
        signal: &'static str,
    }
    /// A start waits for another process that holds WAL_DIR and is ending.
    WalDirWaiting "start.wal_dir_waiting" Info Always, FLK => {
        /// The process.
        holder: String,
    }
    /// A start waits for the port.
    PortWaiting "start.port_waiting" Info Always, FLK => {
        /// Address and port.
        address: String,
    }
    /// The service manager passed listening sockets.
    SocketsPassed "start.sockets_passed" Info Always, Row("sockets") => {
        /// Number of sockets.
        sockets_count: usize,
    }

    /// The gateway has its port; it admits records when it has recovered.
    Listening "start.listening" Info Always, Words("") => {
        /// Address and port.
        address: String,
        /// Version of the program.
        version: &'static str,
    }
    /// How many shards run, and where.
    Shards "start.shards" Info Always, Row("shards") => {
        /// Number of shards.
        shards_count: usize,
        /// Their CPUs, with commas between them.
        cpus: String,
    }
    /// Which driver runs the shards, and why.
    DriverChosen "start.driver" Info Always, Row("driver") => {
        /// uring or portable.
        driver: &'static str,
    }
    /// What the portable driver costs.
    DriverCosts "start.driver_costs" Info Always, Row("") => {}
    /// How the log is written, and why.
    LogMethod "start.wal_dir" Info Always, Row("log") => {
        /// The directory.
        wal_dir: String,
    }
    /// Length of segments and size of the log.
    Segments "start.segments" Info Always, Row("segments") => {
        /// Bytes of a segment.
        segment_bytes: u64,
        /// Bytes that WAL_DIR may take.
        wal_bytes_max: u64,
    }
    /// The same, where the log may take so little that records will be refused at times.
    SegmentsFew "start.segments_few" Warn Always, Row("segments") => {
        /// Bytes of a segment.
        segment_bytes: u64,
        /// Bytes that WAL_DIR may take.
        wal_bytes_max: u64,
    }
    /// Time of one durable write.
    FlushTime "start.flush" Info Always, Row("flush") => {
        /// Microseconds, the median of 15.
        flush_us: f64,
    }
    /// Memory of the dedup tables.
    DedupMemory "start.dedup" Info Always, Row("dedup") => {
        /// Bytes of all tables.
        memory_bytes: u64,
        /// Ids that fit.
        keys_count: u64,
        /// How long an outcome answers duplicates, in seconds.
        ttl_s: u32,
    }
    /// Clients may ask for stored outcomes.
    LookUpsOn "start.look_ups" Info Always, Row("look-ups") => {}
    /// What the process can no longer do.
    SandboxEntered "start.sandbox" Info Always, Row("sandbox") => {
        /// Whether files and sockets are restricted.
        is_restricted: bool,
    }
    /// The configuration snapshot that a start begins with.
    SnapshotAtStart "start.snapshot" Info Always, Row("snapshot") => {
        /// Its number.
        snapshot: u32,
    }
    /// The settings differ from the snapshot in force.
    SettingsDiffer "start.settings_differ" Warn Always, Row("WARNING") => {
        /// Number of the snapshot in force.
        snapshot: u32,
    }
    /// Signatures of a tenant are not checked.
    Unsigned "start.unsigned" Warn Always, Row("WARNING") => {
        /// The tenant.
        tenant: String,
    }
    /// A key of a tenant.
    KeyLoaded "start.key" Info Always, Row("key") => {
        /// The tenant.
        tenant: String,
        /// Fingerprint of the key.
        key: String,
        /// Its signature scheme.
        scheme: String,
    }
    /// Encrypted files of keys are opened with an age identity.
    AgeIdentity "start.age_identity" Info Always, Row("age") => {}
    /// All users of the host can read the file of the age identity.
    AgeIdentityOpen "start.age_identity_open" Warn Always, Row("warning") => {}
    /// There are further tenants, whose keys are not listed.
    TenantsMore "start.tenants_more" Info Always, Row("tenants") => {
        /// How many.
        tenants_count: usize,
    }
    /// HMAC keys are shorter than advised.
    KeysShort "start.keys_short" Warn Always, Row("warning") => {
        /// How many.
        keys_count: usize,
    }
    /// A stored snapshot is damaged; the start did not need it.
    SnapshotLeftOut "start.snapshot_left_out" Warn Always, Row("WARNING") => {}
    /// A tenant is answered 503 until a snapshot mends it.
    TenantClosed "start.tenant_closed" Warn Always, Row("WARNING") => {}
    /// How many connections there are places for.
    ConnectionPlaces "start.connections" Info Always, Row("places") => {
        /// In all.
        connections_max: u64,
        /// Per shard.
        connections_per_shard_max: u32,
    }
    /// The limit of open files allows fewer connections than are wanted.
    OpenFilesLow "start.open_files_low" Warn Always, Row("warning") => {
        /// The limit.
        files_max: u64,
        /// The limit that would be enough.
        files_wanted: u64,
    }
    /// Other processes cannot map the statistics.
    StatisticsPrivate "start.statistics_private" Warn Always, Row("warning") => {
        /// The error.
        error: String,
    }

    /// A new, empty installation was made.
    Installed "wal.installed" Info Always, FLK => {}
    /// A directory of format 1 is of format 2 from now on.
    FormatRaised "wal.format_raised" Warn Always, FLK => {}
    /// Long work goes on.
    Progress "keeper.progress" Info OFTEN, FLK => {
        /// What is being done.
        what: &'static str,
        /// Units done.
        done_count: u64,
        /// Units in all.
        units_count: u64,
    }
    /// A file that no manifest names was removed; nothing in it counted.
    OrphanRemoved "wal.orphan_removed" Info OFTEN, FLK => {
        /// The file.
        file: String,
    }
    /// A file that no manifest names stays where it is.
    StrayKept "wal.stray_kept" Warn OFTEN, FLK => {
        /// The file.
        file: String,
    }
    /// An unconfirmed tail of a log was cut off.
    TornTail "log.torn_tail" Warn Always, FLK => {
        /// The log.
        log: String,
        /// The file.
        file: String,
        /// Bytes that were cut off and are not zero.
        torn_bytes: u64,
    }
    /// The log has two live decisions for one id.
    TwoOutcomes "dedup.two_outcomes" Error OFTEN, FLK => {
        /// Upper half of the keyed hash of the id, in hex.
        key_hash: String,
        /// Expiry clock of the decision that stands, in seconds.
        first_decided_at_s: u32,
        /// Expiry clock of the one that is ignored, in seconds.
        second_decided_at_s: u32,
    }
    /// Time by the wall clock is withheld from the expiry clock.
    TimeWithheld "clock.withheld" Warn Always, FLK => {
        /// Seconds withheld in all.
        withheld_s: u64,
    }
    /// Recovery is over.
    Recovered "wal.recovered" Info Always, FLK => {
        /// Live decisions that are in no slice.
        decisions_count: u64,
        /// Decisions in slices.
        sealed_count: u64,
        /// Bodies that never got a disposition.
        unanswered_count: u64,
        /// How long it took, in milliseconds.
        took_ms: u64,
        /// nothing, clean_stop or unclean_stop.
        before: &'static str,
    }
    /// Live decisions that are in no slice do not fit the declared memory: submits are answered 503 for now.
    DecisionsOverMemory "dedup.over_memory" Warn Always, FLK => {
        /// Bytes needed.
        needed_bytes: u64,
        /// Bytes declared.
        memory_bytes_max: u64,
    }
    /// What did not fit the memory is in slices, and submits are admitted.
    DecisionsInSlices "dedup.in_slices" Info Always, FLK => {
        /// Decisions in slices.
        decisions_count: u64,
    }
    /// A closed segment is damaged: nothing from there on of its log is sealed or deleted.
    SegmentDamaged "log.damaged" Error OFTEN, FLK => {
        /// The file.
        file: String,
    }
    /// A block of a slice is damaged: submits of ids that may be in it are answered 503.
    SliceDamaged "slice.damaged" Error OFTEN, FLK => {
        /// The file.
        file: String,
        /// Number of the block: its offset divided by 4 KiB.
        block_number: u32,
    }
    /// An entry of a slice was written by a newer flk, and this one cannot answer with it: submits of its id are answered 503.
    SliceNewer "slice.newer" Error OFTEN, FLK => {
        /// The file.
        file: String,
        /// Number of the block: its offset divided by 4 KiB.
        block_number: u32,
    }
    /// A file operation failed and is tried again.
    FileTrouble "keeper.file_failed" Warn OFTEN, FLK => {
        /// What was being done.
        doing: &'static str,
        /// The file.
        file: String,
        /// The error.
        error: String,
    }
    /// A slice was written.
    Sealed "slice.sealed" Info OFTEN, FLK => {
        /// Decisions in it.
        decisions_count: u64,
        /// Segments that it covers.
        segments_count: u32,
    }
    /// Segments were deleted.
    SegmentsDeleted "log.segments_deleted" Info OFTEN, FLK => {
        /// How many.
        segments_count: u32,
        /// Bytes of their files.
        freed_bytes: u64,
    }
    /// A segment that was mostly padding was packed.
    SegmentPacked "log.segment_packed" Info OFTEN, FLK => {
        /// Bytes that its file took.
        segment_bytes: u64,
        /// Bytes that it takes now.
        packed_bytes: u64,
    }
    /// There is no room for the log and nothing may be deleted: submits are answered 503.
    SpaceLow "log.space_low" Error OFTEN, FLK => {
        /// What is short: disk, cap, segments, refused or descriptors.
        shortage: &'static str,
        /// Free bytes of the file system; with a cap, bytes that WAL_DIR takes.
        bytes: u64,
        /// Free bytes below which submits are refused; with a cap, the cap.
        limit_bytes: u64,
        /// A hold that keeps what else could be deleted; empty if none does.
        hold: String,
    }
    /// Segments were deleted although a hold was not done with them.
    HoldReleased "hold.released" Warn OFTEN, WARNING => {
        /// The hold.
        hold: String,
        /// The log.
        log: String,
        /// First sequence that is gone.
        from: String,
        /// Last sequence that is gone.
        to: String,
    }
    /// There is room for the log again.
    SpaceFound "log.space_found" Info OFTEN, FLK => {
        /// Free bytes of the file system.
        bytes: u64,
    }
    /// So many segments are kept that the oldest are deleted before their time.
    SegmentsTooMany "log.segments_too_many" Warn OFTEN, FLK => {
        /// How many.
        segments_count: u64,
    }
    /// Filters and indexes of slices take more memory than there is for them.
    SlicesTooLarge "slice.memory_exceeded" Error OFTEN, FLK => {
        /// Bytes that they take.
        bytes: u64,
        /// Bytes that they may take.
        bytes_max: u64,
    }
    /// Tables are smaller than planned, since slices need the memory.
    TablesSmaller "dedup.tables_smaller" Warn OFTEN, FLK => {
        /// Bytes that the tables may take.
        bytes: u64,
        /// Bytes that they were to have.
        planned_bytes: u64,
    }
    /// A quarantine is about to give up what is damaged.
    GivingUp "quarantine.giving_up" Warn Always, FLK => {}
    /// Connections were closed to make room for new ones.
    Crowded "connections.crowded" Warn OFTEN, FLK => {
        /// How many since the last line.
        closed_count: u64,
    }
    /// Clients speak another protocol to the port.
    ForeignProtocol "connections.foreign_protocol" Warn OFTEN, FLK => {
        /// Code of the problem that they were answered.
        code: &'static str,
        /// Status of the answers.
        status: u16,
        /// How many connections since the last line.
        connections_count: u64,
    }
    /// Connections of trusted proxies ended because of what stood in front of them.
    ProxyFault "connections.proxy_fault" Warn OFTEN, FLK => {
        /// missing or malformed.
        fault: &'static str,
        /// How many connections since the last line.
        connections_count: u64,
    }
    /// A graceful stop began.
    Draining "stop.draining" Info Always, FLK => {}
    /// The gateway stopped as requested.
    Stopped "stop.done" Info Always, FLK => {}
    /// The gateway ends before its time.
    Failed "process.failed" Error Always, FLK => {
        /// The code that the process ends with.
        exit_code: u8,
        /// The shard that failed, if it was one.
        shard: Option<u16>,
    }
    /// A thread panicked; the process ends.
    Panicked "process.panicked" Error Always, FLK => {
        /// The thread.
        thread: String,
    }
    /// Nothing bounds the time of this stop.
    StopUnbounded "stop.unbounded" Warn Always, FLK => {
        /// The error.
        error: String,
    }
    /// The stop is complete, but a thread that hangs was not waited for.
    ThreadAbandoned "stop.thread_abandoned" Warn Always, FLK => {}
    /// A file operation had not ended when the time for the stop was over.
    StopCutShort "stop.cut_short" Error Always, FLK => {
        /// The code that the process ends with.
        exit_code: u8,
    }

    /// A configuration snapshot came into force.
    SnapshotInForce "snapshot.in_force" Info Always, FLK => {
        /// Its number.
        snapshot: u32,
        /// The first digits of its digest.
        digest: String,
    }
    /// An old snapshot could not be reduced to what is still needed of it.
    SnapshotNotReduced "snapshot.not_reduced" Warn OFTEN, FLK => {
        /// The error.
        error: String,
    }
    /// No further configuration is taken.
    AgentFailed "snapshot.agent_failed" Error Always, FLK => {
        /// The error.
        error: String,
    }
    /// SIGHUP was passed on to the control process that runs beside this one.
    ReloadPassedOn "signal.reload" Info OFTEN, FLK => {}
    /// A signal that means nothing to a gateway was ignored.
    SignalIgnored "signal.ignored" Info OFTEN, FLK => {
        /// The signal.
        signal: &'static str,
    }
    /// A shard has made no turn for a second or more.
    ShardStuck "shard.stuck" Warn OFTEN, WARNING => {
        /// The shard.
        shard: usize,
        /// Its CPU.
        cpu: usize,
        /// Id of its thread.
        thread_id: u64,
        /// The stage that it is in.
        stage: &'static str,
        /// For how long, in seconds.
        late_s: f64,
    }
    /// A shard that was stuck makes turns again.
    ShardMoves "shard.moves" Info OFTEN, FLK => {
        /// The shard.
        shard: usize,
        /// How long it stood still, in seconds.
        late_s: f64,
    }
    /// The kernel does not end operations of a ring; the process is aborted.
    RingStuck "driver.ring_stuck" Error Always, FLK => {
        /// The error.
        error: String,
    }

    /// Log lines could not be written, because standard error did not take them.
    LinesDropped "logs.dropped" Warn Always, FLK => {
        /// How many since the last line.
        lines_count: u64,
    }
    /// Lines of one event exceeded its rate and were left out.
    LinesLeftOut "logs.left_out" Warn Always, FLK => {
        /// Name of the event.
        of_event: &'static str,
        /// The shard that they were about, if they were about one.
        shard: Option<u64>,
        /// How many in ten seconds.
        lines_count: u64,
    }
}
