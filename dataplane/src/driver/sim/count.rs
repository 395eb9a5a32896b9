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
    Events: 10, "events";
    Turns: 10, "turns of shards";
    KeeperSteps: 10, "steps of keepers";
    Runs: 10, "starts of the process";
    Recovered: 10, "recoveries that came to serve";
    Kills: 10, "process kills";
    PowerCuts: 10, "power cuts";
    CrashesInRecovery: 10, "crashes during recovery";
    CleanStops: 10, "graceful stops";
    HurriedStops: 10, "graceful stops asked for under load or during recovery";
    CrashesInStop: 10, "crashes during a graceful stop";
    ShardCountChanges: 10, "changes of the number of shards";
    ClockJumps: 10, "wall clock jumps";
    ClockJumpsAtStart: 10, "wall clock jumps during recovery";
    LongSleeps: 10, "long idle times";
    SectorsLost: 10, "unsynced sectors lost";
    SectorsKept: 10, "unsynced sectors kept by a power cut";
    NamesLost: 10, "unsynced changes of names lost";
    LogWrites: 10, "log writes";
    LogSyncs: 10, "log syncs";
    ShortWrites: 10, "short log writes";
    FailedWrites: 10, "failed log writes";
    FailedSyncs: 10, "failed log syncs";
    LostWrites: 10, "log writes acknowledged and not kept";
    SlowIo: 10, "slow file operations";
    KeeperErrors: 10, "failed file operations of the keeper";
    KeeperShortWrites: 10, "short writes of the keeper";
    ReadErrors: 10, "failed reads of slices";
    DiskFull: 0, "writes that found the disk full";
    Damage: 10, "damaged places of files at rest";
    StaleManifests: 10, "older manifests put back";
    Exits65: 10, "starts refused because of damage";
    Exits74: 10, "ends because of failed input or output";
    ExitsOther: 0, "other refused starts under faults";
    ExemptNewestBatch: 10, "records exempted: newest batch lost by a lying disk before any later header";
    TornTails: 10, "torn tails cut";
    Rolls: 10, "segments rolled";
    TakeOvers: 10, "batches taken over into a next segment";
    IdleMarks: 10, "marks of idle logs";
    Seals: 10, "seals";
    Deletions: 10, "deletions of segments";
    Recycled: 10, "segment files written again under another salt";
    VoidRemoved: 10, "void files removed";
    SliceReads: 10, "look-ups suspended for a read";
    SlicesSwitched: 10, "switches to a new set of slices";
    WithheldTime: 10, "starts that withheld time";
    Conflicts: 10, "conflicts answered";
    Hits: 10, "duplicates answered";
    Misses: 10, "first outcomes answered";
    Expired: 10, "ids that were new again after their expiry";
    Refused400: 10, "bodies refused as malformed";
    Refused401: 10, "bodies refused because of their signature";
    Unavailable503: 10, "answers 503";
    Busy: 10, "seeds in which most records were answered with an outcome or a refusal";
    Starting503: 10, "answers 503: starting";
    Draining503: 10, "answers 503: draining";
    WalUnavailable503: 0, "answers 503: wal_unavailable";
    DiskFull503: 0, "answers 503: disk_full";
    DedupMemoryFull503: 0, "answers 503: dedup_memory_full";
    Deadline503: 10, "answers 503: deadline_exceeded";
    Store503: 10, "answers 503: store_unavailable";
    LateWon: 10, "decisions for bodies given up before";
    Unanswered: 10, "bodies given up";
    DuplicateFates: 10, "bodies that repeat a decided record";
    MeshClaims: 10, "claims at another shard";
    Withdrawn: 10, "claims withdrawn";
    Disconnects: 10, "connections cut by clients";
    PartialRequests: 10, "requests cut in the middle";
    Pipelined: 10, "requests sent behind another one unanswered";
    Storms: 10, "duplicate storms";
    Retries: 10, "requests sent again";
    Probes: 10, "acknowledged records asked for again";
    Replacements: 10, "replacements of the manifest, judged";
    Audits: 10, "audits at the end";
    Merges: 0, "merges of slices";
    SlicesExpired: 0, "slices dropped because all in them had expired";
    Hangs: 0, "file operations that hung for seconds or minutes";
    KeeperLostWrites: 0, "writes of the keeper acknowledged and not kept";
    ErrorsInStop: 0, "failed file operations of the keeper during a stop under load";
    Backups: 0, "backups that linked segments";
    Commands: 0, "commands of an operator";
    CommandsPin: 0, "pins";
    CommandsCompact: 0, "compactions asked for";
    CommandsReleaseClock: 0, "releases of withheld time";
    SettingsChanged: 0, "starts with another configuration";
    BodiesAtLimit: 0, "bodies at their limit or a byte below";
    BodiesTooLarge: 0, "bodies above their limit";
    LargeBodies: 0, "bodies around 256 KiB and above";
    TooLarge413: 0, "bodies refused as too large";
    Pressure: 0, "times that a shard's table was nearly full";
    Pins: 0, "segments locked by a reader";
    ShortOfMemory: 10, "starts that found more than the declared memory holds";
    ServedFromSlices: 10, "of those, that came to serve from slices";
    SpaceLow: 0, "times that the disk was nearly full";
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
