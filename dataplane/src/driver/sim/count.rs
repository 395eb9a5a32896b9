//! What a run went through: one counter per fault and mechanism, so that a suite that no longer reaches one fails.

/// Makes the counters, their names, and whether a suite must reach each.
macro_rules! counters {
    ($($name:ident: $must:literal, $words:literal;)*) => {
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

            /// Whether a suite of 1,000 seeds or more must reach it.
            pub fn must_be_reached(self) -> bool {
                match self { $(Count::$name => $must,)* }
            }
        }
    };
}

counters! {
    Events: true, "events";
    Turns: true, "turns of shards";
    KeeperSteps: true, "steps of keepers";
    Runs: true, "starts of the process";
    Recovered: true, "recoveries that came to serve";
    Kills: true, "process kills";
    PowerCuts: true, "power cuts";
    CrashesInRecovery: true, "crashes during recovery";
    CleanStops: true, "graceful stops";
    HurriedStops: true, "graceful stops asked for under load or during recovery";
    CrashesInStop: true, "crashes during a graceful stop";
    ShardCountChanges: true, "changes of the number of shards";
    ClockJumps: true, "wall clock jumps";
    ClockJumpsAtStart: true, "wall clock jumps during recovery";
    LongSleeps: true, "long idle times";
    SectorsLost: true, "unsynced sectors lost";
    SectorsKept: true, "unsynced sectors kept by a power cut";
    NamesLost: true, "unsynced changes of names lost";
    LogWrites: true, "log writes";
    LogSyncs: true, "log syncs";
    ShortWrites: true, "short log writes";
    FailedWrites: true, "failed log writes";
    FailedSyncs: true, "failed log syncs";
    LostWrites: true, "log writes acknowledged and not kept";
    SlowIo: true, "slow file operations";
    KeeperErrors: true, "failed file operations of the keeper";
    KeeperShortWrites: true, "short writes of the keeper";
    ReadErrors: true, "failed reads of slices";
    DiskFull: false, "writes that found the disk full";
    Damage: true, "damaged places of files at rest";
    StaleManifests: true, "older manifests put back";
    Exits65: true, "starts refused because of damage";
    Exits74: true, "ends because of failed input or output";
    ExitsOther: false, "other refused starts under faults";
    ExemptNewestBatch: true, "records exempted: newest batch lost by a lying disk before any later header";
    TornTails: true, "torn tails cut";
    Rolls: true, "segments rolled";
    TakeOvers: true, "batches taken over into a next segment";
    IdleMarks: true, "marks of idle logs";
    Seals: true, "seals";
    Deletions: true, "deletions of segments";
    Recycled: true, "segment files written again under another salt";
    VoidRemoved: true, "void files removed";
    SliceReads: true, "look-ups suspended for a read";
    SlicesSwitched: true, "switches to a new set of slices";
    WithheldTime: true, "starts that withheld time";
    Conflicts: true, "conflicts answered";
    Hits: true, "duplicates answered";
    Misses: true, "first outcomes answered";
    Expired: true, "ids that were new again after their expiry";
    Refused400: true, "bodies refused as malformed";
    Refused401: true, "bodies refused because of their signature";
    Unavailable503: true, "answers 503";
    LateWon: true, "decisions for bodies given up before";
    Unanswered: true, "bodies given up";
    DuplicateFates: true, "bodies that repeat a decided record";
    MeshClaims: true, "claims at another shard";
    Withdrawn: true, "claims withdrawn";
    Disconnects: true, "connections cut by clients";
    PartialRequests: true, "requests cut in the middle";
    Pipelined: true, "requests sent behind another one unanswered";
    Storms: true, "duplicate storms";
    Retries: true, "requests sent again";
    Probes: true, "acknowledged records asked for again";
    Pins: false, "segments locked by a reader";
    ShortOfMemory: true, "starts that found more than the declared memory holds";
    ServedFromSlices: true, "of those, that came to serve from slices";
    SpaceLow: false, "times that the disk was nearly full";
}

/// How often each happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts(Vec<u64>);

impl Default for Counts {
    fn default() -> Counts {
        Counts(vec![0; Count::ALL.len()])
    }
}

impl Counts {
    /// Counts one.
    pub fn one(&mut self, count: Count) {
        self.add(count, 1);
    }

    /// Counts several.
    pub fn add(&mut self, count: Count, by: u64) {
        self.0[count as usize] += by;
    }

    /// How often it happened.
    pub fn of(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// Adds another run's.
    pub fn merge(&mut self, other: &Counts) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }

    /// As one line of numbers, for a process that runs part of a suite.
    pub fn spell(&self) -> String {
        let words: Vec<String> = self.0.iter().map(u64::to_string).collect();
        words.join(" ")
    }

    /// Reads what [`Counts::spell`] wrote.
    pub fn read(line: &str) -> Option<Counts> {
        let counts: Vec<u64> = line
            .split_whitespace()
            .map_while(|word| word.parse().ok())
            .collect();
        (counts.len() == Count::ALL.len()).then_some(Counts(counts))
    }

    /// What a large suite must reach and did not.
    pub fn unreached(&self) -> Vec<&'static str> {
        let missing = Count::ALL
            .iter()
            .filter(|count| count.must_be_reached() && self.of(**count) == 0);
        missing.map(|count| count.words()).collect()
    }
}
