//! What a seed is about: sizes, limits, how many runs, how each ends, and how likely each fault is. Everything is drawn
//! once; nothing here happens yet.

use super::dice::Dice;
use crate::event::SyncMode;
use crate::shard::config::Limits;

/// Sizes and settings that hold for a whole seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How long an outcome lives, in seconds.
    pub ttl_s: u32,
    /// Length of a segment.
    pub segment_bytes: u64,
    /// Spare segments.
    pub spares_count: u32,
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
    /// How writes become durable.
    pub sync: SyncMode,
    /// Segments bypass the page cache.
    pub direct: bool,
    /// Limits of each shard.
    pub limits: Limits,
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
    /// How likely what fails is.
    pub faults: Faults,
}

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
        let limits = Limits {
            connections_max: dice.pick(&[4, 8, 32]),
            connections_spare: 1,
            flights_max: dice.between(4, 20) as u32,
            pipeline_max: dice.pick(&[2, 8, 64]),
            deadline_us,
            claim_wait_us: dice.pick(&[0, 0, 50]),
            ..Limits::default()
        };
        let quiet = dice.chance(1500);
        Scenario {
            ttl_s,
            segment_bytes,
            spares_count: dice.between(1, 3) as u32,
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
            faults: if quiet {
                Faults::default()
            } else {
                Faults::draw(dice)
            },
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
    pub fn stretched(self, dice: &mut Dice) -> Ending {
        let times = if dice.chance(400) { 8 } else { 1 };
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
