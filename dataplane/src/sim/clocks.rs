//! The clocks of the simulated world: the time since it began, a monotonic clock that begins anew with each boot, and a wall
//! clock that jumps.

use super::count::Count;
use super::world::World;
use crate::io::Now;
use crate::sim_trace;

/// The wall clock begins in 2026.
const WALL_START_US: u64 = 1_790_000_000_000_000;

/// What time it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    now_us: u64,
    boot_us: u64,
    wall_offset_us: i64,
    /// The most that the wall clock was ever ahead by.
    wall_offset_max_us: i64,
}

impl Default for Clocks {
    /// A second after the boot.
    fn default() -> Clocks {
        Clocks {
            now_us: 1_000_000,
            boot_us: 0,
            wall_offset_us: 0,
            wall_offset_max_us: 0,
        }
    }
}

impl World {
    /// Time since the world began, in microseconds.
    pub fn now_us(&self) -> u64 {
        self.clocks.now_us
    }

    /// The wall clock.
    pub fn wall_us(&self) -> u64 {
        (WALL_START_US + self.clocks.now_us).saturating_add_signed(self.clocks.wall_offset_us)
    }

    /// What shards and keeper read as clocks.
    pub fn clocks(&self) -> Now {
        Now {
            mono_us: self.clocks.now_us - self.clocks.boot_us,
            wall_us: self.wall_us(),
        }
    }

    /// A monotonic time as the world counts.
    pub fn at_mono(&self, mono_us: u64) -> u64 {
        self.clocks.boot_us.saturating_add(mono_us)
    }

    /// The wall clock is set, by a little or by a lot.
    pub fn jump_wall(&mut self) {
        let by_us = self
            .dice
            .pick(&[-86_400, -600, -10, 10, 600, 18_000, 2_592_000])
            * 1_000_000;
        let from_s = self.wall_us() / 1_000_000;
        self.clocks.wall_offset_us =
            (self.clocks.wall_offset_us + by_us).max(-1_000_000_000_000_000);
        self.clocks.wall_offset_max_us = self
            .clocks
            .wall_offset_max_us
            .max(self.clocks.wall_offset_us);
        self.oracle.wall.jumps(from_s, self.wall_us() / 1_000_000);
        self.counts.one(Count::ClockJumps);
        sim_trace!(
            self.clocks.now_us,
            "the wall clock jumps by {} s",
            by_us / 1_000_000
        );
    }

    /// Time passes in which nothing happens.
    pub fn pass(&mut self, by_us: u64) {
        self.clocks.now_us += by_us;
    }

    /// The machine has power again, and its monotonic clock starts anew.
    pub fn booted(&mut self) {
        self.clocks.boot_us = self.clocks.now_us - self.dice.below(1_000_000);
    }

    /// Whether the wall clock shows less than it would had it never been set back.
    pub fn wall_is_behind(&self) -> bool {
        self.clocks.wall_offset_us < self.clocks.wall_offset_max_us
    }
}
