//! What a seed is about: sizes, limits, how many runs, how each ends, and how likely each fault is. Everything is drawn
//! once; nothing here happens yet.

use super::dice::Dice;
use super::memory;
use super::merges::merge_rule;
use super::records::{KEYS_COUNT, params};
use crate::io::SyncMode;
use crate::keeper::config::{HoldLimit, KeeperConfig};
use crate::keeper::memory_room::MemoryRoom;
use crate::keeper::stop::STOP_US;
use crate::shard::config::ShardLimits;
use crate::stats::Stats;
use crate::wal::manifest::MANIFEST_BYTES_MAX;
use std::sync::Arc;

/// Sizes and settings that hold for a whole seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How long an outcome lives, in seconds.
    pub ttl_s: u32,
    /// Length of a segment.
    pub segment_bytes: u64,
    /// preallocated segments.
    pub preallocated_count: u32,
    /// Seal at this many closed bytes.
    pub seal_bytes_max: u64,
    /// Seal at this age.
    pub seal_every_us: u64,
    /// Merge above this many slices.
    pub slices_count_max: u32,
    /// Delete segments above what is in use and this many more.
    pub segments_more: u64,
    /// Delete segments above this age.
    pub body_age_max_s: u32,
    /// Whether TTL, segment size, parameters and keys change between runs.
    pub changes: bool,
    /// Lengths of bodies to choose from; 0: as long as the record is.
    pub body_bytes: &'static [u32],
    /// Most bytes of each shard's table.
    pub table_bytes_max: u64,
    /// How likely an operator types a command, per 10,000 events.
    pub commands: u32,
    /// How likely a backup links the files of logs between two runs, per 10,000.
    pub links: u32,
    /// Runs go on for this many times as long.
    pub stretch: u64,
    /// How writes become durable.
    pub sync: SyncMode,
    /// Segments bypass the page cache.
    pub direct: bool,
    /// Limits of each shard.
    pub limits: ShardLimits,
    /// Clients.
    pub clients: usize,
    /// Distinct ids in play.
    pub ids: u32,
    /// Size of the disk.
    pub disk_bytes: u64,
    /// Most delay between two shards, in the rare case.
    pub mesh_rare_us: u64,
    /// Runs before the last one.
    pub runs: u32,
    /// Whether and how files are damaged between runs, per 10,000 runs.
    pub damage: u32,
    /// Whether the wall clock jumps, per 10,000 chances.
    pub clock_jumps: u32,
    /// Whether clients fall silent for long, per 10,000 chances.
    pub sleeps: u32,
    /// How long they do.
    pub sleep_us_max: u64,
    /// What the declared memory holds at a start; what is more is answered from slices.
    pub dedup_memory_bytes_max: u64,
    /// What the process may use, where slices have little of it.
    pub memory: Option<MemoryRoom>,
    /// Tables are so small that a few dozen ids fill them.
    pub tight: bool,
    /// Number of the seal epoch before the first one of each run.
    pub epoch_origin: u16,
    /// The first run has one shard and ends with its first durable batch, before a second segment is made.
    pub dies_young: bool,
    /// Longest manifest.
    pub manifest_bytes_max: usize,
    /// How likely what fails is.
    pub faults: Faults,
}

/// The longest that an operation hangs.
pub const HANG_US_MAX: u64 = 180_000_000;

/// What the process is configured with in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an outcome lives, in seconds.
    pub ttl_s: u32,
    /// Length of a new segment.
    pub segment_bytes: u64,
    /// The parameter set.
    pub params: u8,
    /// Which keys verify.
    pub signers: [bool; 2],
}

/// What WAL_DIR may take in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cap {
    /// Less than a gateway with many shards asks for: it refuses records at times, and for good where slices that live long
    /// take the rest.
    Tight,
    /// At least what it asks for: four segments of each shard, and slices until they are merged.
    Enough,
}

/// A slice takes at most this many bytes more than its entries.
const SLICE_BYTES: u64 = 64 * 1024;

/// Lengths of bodies around a limit of 4 KiB and around blocks.
const BODIES_OF_PAGES: &[u32] = &[0, 0, 0, 0, 900, 2_000, 4_095, 4_096, 4_097];
/// Lengths of bodies around a limit of 20,000 bytes.
const BODIES_OF_MANY_PAGES: &[u32] = &[0, 0, 0, 4_096, 8_192, 16_385, 19_999, 20_000, 20_001];
/// Lengths of bodies around what fits into a turn, and around the largest limit.
const BODIES_LARGE: &[u32] = &[
    0, 0, 0, 0, 0, 65_536, 262_143, 262_144, 262_145, 1_048_575, 1_048_576, 1_048_577,
];

/// How likely each fault is, per 10,000 operations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A log write writes less than all.
    pub short_write: u32,
    /// A log write fails.
    pub write_error: u32,
    /// A log sync fails.
    pub sync_error: u32,
    /// A log write is acknowledged and forgotten.
    pub lost_write: u32,
    /// A read of a slice fails.
    pub read_error: u32,
    /// An operation of the keeper fails.
    pub keeper_error: u32,
    /// An operation takes very long.
    pub slow: u32,
    /// An operation takes seconds or minutes.
    pub hang: u32,
    /// A write of the keeper is acknowledged and forgotten.
    pub keeper_lost_write: u32,
    /// Clients cut connections.
    pub disconnect: u32,
    /// A shard's turn comes very late.
    pub stall: u32,
    /// A reader holds a lock on a segment.
    pub pin: u32,
}

/// How a run ends. Events count from the first moment of serving on, or from the start of the process if the run is to end
/// early: then mostly during recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// SIGKILL after that many events.
    Kill(u64),
    /// The machine loses power after that many events.
    PowerCut(u64),
    /// SIGTERM after that many events, and everything answered.
    Stop(u64),
}

/// SIGTERM while everything goes on, in a run that is ended from outside: the crash comes at any step of the stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hurry {
    /// After that many events.
    pub at_event: u64,
}

impl Scenario {
    /// Draws the scenario of a seed; `rare` decides what few seeds meet.
    pub fn draw(dice: &mut Dice, rare: &mut Dice) -> Scenario {
        let ttl_s = dice.pick(&[4, 6, 30, 120, 3_000, 7_200, 1_209_600]);
        let segment_bytes = dice.pick(&[48, 64, 64, 96, 192]) * 1024;
        let deadline_us = dice.pick(&[40_000, 200_000, 1_000_000, 5_000_000]);
        let limits = ShardLimits {
            connections_max: dice.pick(&[4, 8, 32]),
            connections_spare: 1,
            flights_max: dice.between(4, 20) as u32,
            pipeline_max: dice.pick(&[2, 8, 64]),
            deadline_us,
            ..ShardLimits::default()
        };
        let quiet = dice.chance(1500);
        let mut scenario = Scenario {
            ttl_s,
            segment_bytes,
            preallocated_count: dice.between(1, 3) as u32,
            seal_bytes_max: dice.pick(&[4, 64, 256, 4096]) * 1024,
            seal_every_us: dice.pick(&[50_000, 500_000, 3_000_000, 60_000_000, 3_600_000_000]),
            slices_count_max: dice.between(2, 5) as u32,
            segments_more: dice.pick(&[5, 6, 8, 20]),
            body_age_max_s: dice.pick(&[1, 10, 600, 1_000_000]),
            sync: dice.pick(&[SyncMode::Dsync, SyncMode::WriteThenSync]),
            direct: dice.chance(5000),
            limits,
            clients: dice.between(2, 7) as usize,
            ids: dice.between(4, 48) as u32,
            disk_bytes: if dice.chance(500) {
                segment_bytes * dice.between(10, 20)
            } else {
                1 << 30
            },
            mesh_rare_us: dice.pick(&[200, 5_000, 3_000_000]),
            runs: dice.between(1, 5) as u32,
            damage: if dice.chance(3000) {
                dice.pick(&[2000, 6000])
            } else {
                0
            },
            clock_jumps: dice.pick(&[0, 300, 3000]),
            sleeps: dice.pick(&[0, 200, 1000]),
            sleep_us_max: dice.pick(&[50_000, 3_000_000, u64::from(ttl_s).min(10_000) * 1_200_000]),
            dedup_memory_bytes_max: if rare.chance(1000) {
                rare.pick(&[0, 1_000, 4_000])
            } else {
                64 << 20
            },
            changes: dice.chance(3000),
            body_bytes: &[0],
            table_bytes_max: match rare.chance(800) {
                true => rare.pick(&[60_000, 100_000]),
                false => 64 << 20,
            },
            commands: dice.pick(&[0, 0, 10, 60]),
            links: dice.pick(&[0, 0, 3000]),
            stretch: 1,
            memory: None,
            tight: false,
            epoch_origin: 0,
            dies_young: false,
            manifest_bytes_max: MANIFEST_BYTES_MAX,
            faults: if quiet {
                Faults::default()
            } else {
                Faults::draw(dice)
            },
        };
        scenario.draw_dimension(rare);
        scenario
    }

    /// What this seed has and few others do.
    fn draw_dimension(&mut self, rare: &mut Dice) {
        match rare.below(1000) {
            0..=79 => self.pages(rare),
            80..=94 => self.large_bodies(rare),
            95..=109 => self.many_ids(rare),
            110..=169 => self.tight_tables(rare),
            170..=209 => self.short_manifest(rare),
            210..=509 => self.epochs_near_wrap(rare),
            510..=559 => self.little_memory(rare),
            560..=589 => self.dies_young(),
            _ => {}
        }
    }

    /// Bodies around blocks and around a small limit.
    fn pages(&mut self, rare: &mut Dice) {
        let (limit, bodies, segment_bytes) = match rare.chance(5000) {
            true => (4_096, BODIES_OF_PAGES, 256),
            false => (20_000, BODIES_OF_MANY_PAGES, 640),
        };
        self.limits.http.body_bytes_max = limit;
        self.body_bytes = bodies;
        self.segment_bytes = segment_bytes * 1024;
        self.disk_bytes = 1 << 30;
    }

    /// Bodies up to the largest that may be configured.
    fn large_bodies(&mut self, rare: &mut Dice) {
        self.limits.http.body_bytes_max = 1 << 20;
        self.limits.body_bytes_total_max = rare.pick(&[2 << 20, 4 << 20]);
        self.body_bytes = BODIES_LARGE;
        self.segment_bytes = 2 << 20;
        self.segments_more = 5;
        self.preallocated_count = 1;
        self.clients = self.clients.min(4);
        self.runs = self.runs.min(2);
        self.disk_bytes = 1 << 30;
    }

    /// Thousands of ids, tables that fill up, flights at their limit, slices of many blocks.
    fn many_ids(&mut self, rare: &mut Dice) {
        self.ids = rare.between(1_000, u64::from(KEYS_COUNT)) as u32;
        self.clients = 8;
        self.limits.flights_max = rare.pick(&[16, 40]);
        self.limits.pipeline_max = 64;
        // Slices of thousands of ids take tens of kilobytes each, and stay as long as what is in them.
        self.segments_more = 60;
        self.table_bytes_max = rare.pick(&[1_500_000, 2_000_000, 64 << 20]);
        self.stretch = 24;
        self.runs = self.runs.min(2);
    }

    /// Tables that are nearly full after a few dozen ids: a lone entry of a partition takes a kilobyte.
    fn tight_tables(&mut self, rare: &mut Dice) {
        self.tight = true;
        self.table_bytes_max = rare.pick(&[16_000, 24_000]);
        self.ids = self.ids.max(32);
    }

    /// A manifest that a few segments and slices fill: segments are crowded out, and seals do not roll.
    fn short_manifest(&mut self, rare: &mut Dice) {
        self.manifest_bytes_max = rare.pick(&[4_500, 6_000]);
        self.segment_bytes = 48 * 1024;
        self.segments_more = 100;
        self.body_age_max_s = 1_000_000;
        self.seal_every_us = 50_000;
        self.disk_bytes = 1 << 30;
        self.stretch = rare.pick(&[2, 6]);
        self.runs = self.runs.min(3);
    }

    /// Memory that few slices fill, and seals often enough that there are more.
    fn little_memory(&mut self, rare: &mut Dice) {
        self.dedup_memory_bytes_max = memory::tables_bytes(rare);
        self.table_bytes_max = self.dedup_memory_bytes_max / 4;
        self.memory = Some(memory::room_for_few_slices(
            rare,
            self.dedup_memory_bytes_max,
        ));
        self.ttl_s = rare.pick(&[30, 120, 3_000, 1_209_600]);
        self.seal_bytes_max = 4 * 1024;
        self.seal_every_us = rare.pick(&[50_000, 500_000]);
        self.stretch = 2;
        self.runs = self.runs.max(3);
        self.disk_bytes = 1 << 30;
    }

    /// Epochs that wrap with one of the first seals of a run.
    fn epochs_near_wrap(&mut self, rare: &mut Dice) {
        self.epoch_origin = u16::MAX - rare.below(4) as u16;
    }

    /// A directory with one segment file, which nothing else tells the length of, and damage between all runs.
    fn dies_young(&mut self) {
        self.dies_young = true;
        self.preallocated_count = 0;
        self.damage = 10_000;
    }

    /// What the next run is configured with.
    pub fn settings(&self, dice: &mut Dice) -> Settings {
        let usual = Settings {
            ttl_s: self.ttl_s,
            segment_bytes: self.segment_bytes,
            params: 0,
            signers: [true, false],
        };
        if !self.changes {
            return usual;
        }
        Settings {
            ttl_s: dice.pick(&self.ttls()),
            segment_bytes: self.segment_bytes * dice.pick(&[1, 2]),
            params: dice.below(2) as u8,
            signers: dice.pick(&[[true, false], [true, true], [true, true], [false, true]]),
        }
    }

    /// What the keeper of this run is told.
    pub fn keeper_config(
        &self,
        settings: Settings,
        cap: Cap,
        shards: u16,
        stats: Arc<Stats>,
    ) -> KeeperConfig {
        KeeperConfig {
            shards,
            segment_bytes: settings.segment_bytes,
            preallocated_count: self.preallocated_count,
            ttl_s: settings.ttl_s,
            seal_bytes_max: self.seal_bytes_max,
            seal_every_us: self.seal_every_us,
            slices_count_max: self.slices_count_max,
            merges: merge_rule(self.slices_count_max),
            wal_bytes_max: Some(self.wal_bytes_max(settings, cap, shards)),
            body_age_max_s: self.body_age_max_s,
            hold_limit: HoldLimit::Release,
            repack_bytes_min: 8 << 10,
            dedup_memory_bytes_max: self.memory_bytes_max(shards),
            memory: self.memory,
            sync: self.sync,
            direct: self.direct,
            params: vec![params(settings.params).version],
            drain_delay_us: 0,
            stop_us: STOP_US,
            manifest_bytes_max: self.manifest_bytes_max,
            stats,
            region: None,
            secret: None,
            pid: 1,
        }
    }

    fn wal_bytes_max(&self, settings: Settings, cap: Cap, shards: u16) -> u64 {
        let shards = u64::from(shards);
        let segments = shards * 2 + u64::from(self.preallocated_count) + self.segments_more;
        let tight = segments * settings.segment_bytes;
        let slices_bytes = (u64::from(self.slices_count_max) + 2) * SLICE_BYTES;
        match cap {
            Cap::Tight => tight,
            Cap::Enough => tight.max(4 * shards * settings.segment_bytes + slices_bytes),
        }
    }

    /// What all shards' tables may take, where they are small: as in a gateway, whose shards get a share each.
    fn memory_bytes_max(&self, shards: u16) -> u64 {
        match self.tight {
            true => self.table_bytes_max * u64::from(shards),
            false => self.dedup_memory_bytes_max,
        }
    }

    /// Every TTL that a run of this seed may have.
    pub fn ttls(&self) -> [u32; 2] {
        match self.changes {
            true => [self.ttl_s, self.ttl_s + self.ttl_s / 2 + 1],
            false => [self.ttl_s; 2],
        }
    }
}

impl Faults {
    fn draw(dice: &mut Dice) -> Faults {
        let lost_write = if dice.chance(2500) {
            dice.pick(&[50, 300])
        } else {
            0
        };
        Faults {
            short_write: dice.pick(&[0, 0, 100, 500]),
            write_error: dice.pick(&[0, 0, 100, 500]),
            sync_error: dice.pick(&[0, 0, 100, 500]),
            lost_write,
            read_error: dice.pick(&[0, 500, 3000]),
            keeper_error: dice.pick(&[0, 0, 0, 20, 100]),
            slow: dice.pick(&[0, 50, 500]),
            hang: dice.pick(&[0, 0, 0, 3, 20]),
            keeper_lost_write: if dice.chance(300) { 50 } else { 0 },
            disconnect: dice.pick(&[0, 100, 1000]),
            stall: dice.pick(&[0, 0, 50, 200]),
            pin: dice.pick(&[0, 1000]),
        }
    }
}

impl Ending {
    /// Draws how a run ends.
    pub fn draw(dice: &mut Dice) -> Ending {
        let events = dice.between(60, 900);
        match dice.below(10) {
            0..=3 => Ending::Kill(events),
            4..=7 => Ending::PowerCut(events),
            _ => Ending::Stop(events),
        }
    }

    /// Some runs are to end early, from outside.
    pub fn early(self, dice: &mut Dice) -> Option<Ending> {
        let events = dice.between(1, 120);
        let early = match self {
            Ending::Kill(_) => Ending::Kill(events),
            Ending::PowerCut(_) => Ending::PowerCut(events),
            Ending::Stop(_) => return None,
        };
        dice.chance(2000).then_some(early)
    }

    /// Some runs go on for long under faults: seals, merges and deletions come late, and look-ups on disk behind them.
    pub fn stretched(self, dice: &mut Dice, stretch: u64) -> Ending {
        let times = if dice.chance(400) { 8 } else { 1 };
        let times = times.max(stretch);
        match self {
            Ending::Kill(events) => Ending::Kill(events * times),
            Ending::PowerCut(events) => Ending::PowerCut(events * times),
            Ending::Stop(events) => Ending::Stop(events * times),
        }
    }
}

impl Hurry {
    /// Draws whether a run with this end is told to stop before it.
    pub fn draw(dice: &mut Dice, ending: Ending) -> Option<Hurry> {
        let (Ending::Kill(events) | Ending::PowerCut(events)) = ending else {
            return None;
        };
        let before = dice.pick(&[3, 20, 60, 200]);
        let before = dice.between(1, before);
        dice.chance(1500).then_some(Hurry {
            at_event: events.saturating_sub(before),
        })
    }
}
