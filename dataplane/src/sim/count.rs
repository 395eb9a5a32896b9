//! What seeds went through: one counter per fault and mechanism, and the share of seeds that reach it, so that a suite
//! fails when a check no longer meets what it checks. It counts; it never judges the gateway.

/// Makes the counters, their names, and the share of seeds, per 10,000, that must reach each.
macro_rules! counters {
    ($($name:ident: $share:literal, $words:literal;)*) => {
        /// Something that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Count {
            $(#[doc = $words] $name,)*
        }

        impl Count {
            /// All of them.
            pub const ALL: &'static [Count] = &[$(Count::$name,)*];

            /// In words.
            pub fn words(self) -> &'static str {
                match self { $(Count::$name => $words,)* }
            }

            /// How many of 10,000 seeds must reach it at least; 0: it may be missing.
            pub fn seeds_per_10_000_min(self) -> u64 {
                match self { $(Count::$name => $share,)* }
            }
        }
    };
}

counters! {
    Events: 9999, "events";
    Turns: 9999, "turns of shards";
    KeeperSteps: 9999, "steps of keepers";
    Runs: 9999, "starts of the process";
    Recovered: 9900, "recoveries that came to serve";
    Kills: 4000, "process kills";
    PowerCuts: 4000, "power cuts";
    CrashesInRecovery: 2000, "crashes during recovery";
    CleanStops: 7000, "graceful stops";
    HurriedStops: 1500, "graceful stops asked for under load or during recovery";
    CrashesInStop: 1500, "crashes during a graceful stop";
    ShardCountChanges: 7000, "changes of the number of shards";
    ClockJumps: 2000, "wall clock jumps";
    ClockJumpsAtStart: 1000, "wall clock jumps during recovery";
    LongSleeps: 1000, "long idle times";
    SectorsLost: 2500, "unsynced sectors lost";
    SectorsKept: 2500, "unsynced sectors kept by a power cut";
    SectorsBetween: 0, "unsynced sectors that kept what they held in between";
    NamesLost: 700, "unsynced changes of names lost";
    LogWrites: 9500, "log writes";
    LogSyncs: 3500, "log syncs";
    ShortWrites: 1000, "short log writes";
    FailedWrites: 1000, "failed log writes";
    FailedSyncs: 500, "failed log syncs";
    LostWrites: 300, "log writes acknowledged and not kept";
    SlowIo: 3000, "slow file operations";
    KeeperErrors: 900, "failed file operations of the keeper";
    KeeperShortWrites: 30, "short writes of the keeper";
    ReadErrors: 100, "failed reads of slices";
    DiskFull: 0, "writes that found the disk full";
    Damage: 600, "damaged places of files at rest";
    SlicesDamaged: 60, "of those, in slices where only look-ups read";
    ServedOverDamage: 40, "starts that served over one";
    DamagedBlocksRead: 10, "look-ups that met one";
    HeadsDamaged: 100, "first blocks of segments in use damaged at rest";
    HeadsAfterDeletion: 5, "of those, in logs whose beginning was deleted";
    ShortSegments: 40, "segments in use cut short at rest";
    ShortAlone: 30, "of those, where only their own header says how long they were";
    MisplacedSegments: 40, "segments in use under another one's name";
    Quarantines: 0, "quarantines of a damaged segment";
    StaleManifests: 200, "older manifests put back";
    Exits65: 900, "starts refused because of damage";
    Exits74: 900, "ends because of failed input or output";
    ExitsOther: 0, "other refused starts under faults";
    ExemptNewestBatch: 0, "records exempted: newest batch lost by a lying disk before any later header";
    TornTails: 600, "torn tails cut";
    Cuts: 4000, "ends of segment files cut off";
    Rolls: 4000, "segments rolled";
    TakeOvers: 2000, "batches taken over into a next segment";
    IdleMarks: 7000, "marks of idle logs";
    Seals: 4000, "seals";
    Deletions: 1500, "deletions of segments";
    Recycled: 200, "segment files written again under another salt";
    OrphanRemoved: 2000, "orphaned files removed";
    SliceReads: 1000, "look-ups suspended for a read";
    SlicesSwitched: 3500, "switches to a new set of slices";
    WithheldTime: 600, "starts that withheld time";
    Batches: 1500, "batches sent";
    Conflicts: 6000, "conflicts answered";
    Hits: 9000, "duplicates answered";
    Misses: 9500, "first outcomes answered";
    Expired: 2000, "ids that were new again after their expiry";
    Refused400: 7000, "bodies refused as malformed";
    Refused401: 7000, "bodies refused because of their signature";
    Limited429: 500, "answers 429";
    OtherParams: 300, "first outcomes by a parameter set that took effect while shards served";
    Unavailable503: 3000, "answers 503";
    Busy: 7000, "seeds in which most records were answered with an outcome or a refusal";
    Starting503: 1000, "answers 503: starting";
    LookedUp: 900, "outcomes looked up";
    LookedUpAbsent: 800, "look-ups of ids without an outcome";
    LookUps503: 100, "look-ups answered 503";
    Draining503: 0, "answers 503: draining";
    WalUnavailable503: 400, "answers 503: wal_unavailable";
    DiskFull503: 200, "answers 503: disk_full";
    DedupMemoryFull503: 100, "answers 503: dedup_memory_full";
    Deadline503: 1000, "answers 503: deadline_exceeded";
    Store503: 100, "answers 503: store_unavailable";
    LateWon: 200, "decisions for bodies given up before";
    Unanswered: 1000, "bodies given up";
    DuplicateDispositions: 9000, "bodies that repeat a decided record";
    MeshClaims: 7000, "claims at another shard";
    Withdrawn: 500, "claims withdrawn";
    Disconnects: 2000, "connections cut by clients";
    PartialRequests: 2000, "requests cut in the middle";
    Pipelined: 9000, "requests sent behind another one unanswered";
    Storms: 3500, "duplicate storms";
    Retries: 6000, "requests sent again";
    Probes: 5000, "acknowledged records asked for again";
    Replacements: 9500, "replacements of the manifest, judged";
    Audits: 6000, "audits at the end";
    Merges: 80, "merges of slices";
    SegmentsPacked: 200, "packed segments";
    SlicesExpired: 700, "slices dropped because all in them had expired";
    Hangs: 400, "file operations that hung for seconds or minutes";
    KeeperLostWrites: 5, "writes of the keeper acknowledged and not kept";
    ErrorsInStop: 5, "failed file operations of the keeper during a stop under load";
    Backups: 600, "backups that linked segments";
    Commands: 2000, "commands of an operator";
    CommandsPin: 1000, "pins";
    CommandsCompact: 1000, "compactions asked for";
    CommandsReleaseClock: 1000, "releases of withheld time";
    HoldCommands: 800, "commands on holds";
    HoldsRespected: 100, "deletions while there were holds";
    HoldReleases: 30, "segments deleted although a hold was not done with them";
    Snapshots: 2000, "snapshots published under load";
    ShareAwaited: 50, "turns that left requests waiting for a share of the log";
    SettingsChanged: 500, "starts with another configuration";
    BodiesAtLimit: 400, "bodies at their limit or a byte below";
    BodiesTooLarge: 400, "bodies above their limit";
    LargeBodies: 50, "bodies around 256 KiB and above";
    TooLarge413: 400, "bodies refused as too large";
    Pressure: 40, "times that a shard's table reached 98 % of its memory";
    PressureEnded: 30, "times that it fell below 97 % again";
    EpochsWrapped: 300, "seal epochs behind the largest number";
    CrowdedOut: 10, "times that the manifest had too many segments";
    ManifestFull: 0, "times that the manifest had no room for another segment";
    Pins: 200, "segments locked by a reader";
    SlicesTooLarge: 80, "times that slices came to take more memory than there is";
    TablesSmaller: 10, "starts whose tables gave way to slices";
    RefusedForMemory: 20, "starts refused because slices do not fit into memory";
    ShortOfMemory: 150, "starts that found more than the declared memory holds";
    ServedFromSlices: 100, "of those, that came to serve from slices";
    SpaceLow: 200, "times that the disk was nearly full";
}

/// How often each happened, and in how many seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    times: Vec<u64>,
    seeds: Vec<u64>,
    seeds_count: u64,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            times: vec![0; Count::ALL.len()],
            seeds: vec![0; Count::ALL.len()],
            seeds_count: 0,
        }
    }
}

impl Counts {
    /// Counts one.
    pub fn one(&mut self, count: Count) {
        self.add(count, 1);
    }

    /// Counts several.
    pub fn add(&mut self, count: Count, by: u64) {
        self.times[count as usize] += by;
    }

    /// How often it happened.
    pub fn of(&self, count: Count) -> u64 {
        self.times[count as usize]
    }

    /// In how many seeds it happened.
    pub fn seeds_of(&self, count: Count) -> u64 {
        self.seeds[count as usize]
    }

    /// Seeds that were added.
    pub fn seeds(&self) -> u64 {
        self.seeds_count
    }

    /// Adds what one seed went through.
    pub fn add_seed(&mut self, seed: &Counts) {
        self.seeds_count += 1;
        for (at, times) in seed.times.iter().enumerate() {
            self.times[at] += times;
            self.seeds[at] += u64::from(*times > 0);
        }
    }

    /// What too few seeds reached.
    pub fn too_rare(&self) -> Vec<String> {
        let missing = Count::ALL.iter().filter(|count| {
            let wanted = count.seeds_per_10_000_min();
            self.seeds_of(**count) * 10_000 < wanted * self.seeds_count
        });
        let say = |count: &Count| {
            format!(
                "{} ({} of {} seeds, wanted {} of 10,000)",
                count.words(),
                self.seeds_of(*count),
                self.seeds_count,
                count.seeds_per_10_000_min()
            )
        };
        missing.map(say).collect()
    }

    /// A table: how often each happened, and in which share of the seeds.
    pub fn table(&self) -> String {
        let line = |count: &Count| {
            let share = 100.0 * self.seeds_of(*count) as f64 / self.seeds_count.max(1) as f64;
            format!("{:>12} {share:>6.2} %  {}", self.of(*count), count.words())
        };
        let head = "       times   seeds".to_string();
        let lines = Count::ALL.iter().map(line);
        std::iter::once(head)
            .chain(lines)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_in_which_one_seed_does_everything_is_too_rare() {
        let mut lucky = Counts::default();
        for count in Count::ALL {
            lucky.add(*count, 1_000);
        }
        let mut all = Counts::default();
        all.add_seed(&lucky);
        assert_eq!(all.too_rare(), Vec::<String>::new());
        for _ in 0..9_999 {
            all.add_seed(&Counts::default());
        }
        let wanted = Count::ALL
            .iter()
            .filter(|count| count.seeds_per_10_000_min() > 1);
        assert_eq!(all.too_rare().len(), wanted.count());
        assert!(all.table().contains("0.01 %  events"));
    }
}
