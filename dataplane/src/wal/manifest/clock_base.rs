//! The expiry clock of format 1 counted from the installation, that of now counts from 2026. Where a directory has logs and
//! slices of format 1, their times are read on the clock of now: it owns what is added to them.

use super::{ClockMark, Manifest};
use crate::wal::name::LogId;

/// The second 0 of the expiry clock: 2026-01-01T00:00:00Z, in microseconds since the Unix epoch.
pub const CLOCK_BEGIN_US: u64 = 1_767_225_600_000_000;

/// Whole seconds from the beginning of the expiry clock to a reading of the wall clock; nothing before it.
pub fn seconds_of(wall_us: u64) -> Option<u32> {
    let passed_us = wall_us.checked_sub(CLOCK_BEGIN_US)?;
    Some(u32::try_from(passed_us / 1_000_000).unwrap_or(u32::MAX))
}

/// What is added to times of format 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockBase {
    /// The second of the clock of now at which the clock of format 1 began.
    pub base_s: u32,
    /// Logs of this start and those before it have times of format 1. A log is of one start, and its batches keep their times
    /// when they are written again, whatever the format of the segment then.
    pub upto_start: u32,
}

/// A manifest of format 1 on the clock of now. What is added is fixed by its own mark, so that it is the same until the first
/// manifest of a later format states it.
pub(super) fn rebased(mut manifest: Manifest) -> Manifest {
    let ClockMark { expiry_s, wall_us } = manifest.clock;
    let base_s = seconds_of(wall_us).unwrap_or(0).saturating_sub(expiry_s);
    manifest.clock.expiry_s = expiry_s.saturating_add(base_s);
    for slice in &mut manifest.slices {
        for time in [
            &mut slice.decided_first,
            &mut slice.decided_last,
            &mut slice.expiry_max,
        ] {
            *time = time.saturating_add(base_s);
        }
    }
    manifest.sections.clock_base_of_format_1 = Some(ClockBase {
        base_s,
        upto_start: manifest.start,
    });
    manifest
}

impl Manifest {
    /// What is added to the times in a log.
    pub fn clock_base_s(&self, log: LogId) -> u32 {
        let base = self.sections.clock_base_of_format_1;
        let base = base.filter(|base| log.start <= base.upto_start);
        base.map_or(0, |base| base.base_s)
    }

    /// Whether the last start on this directory was of format 1: the next one makes it one of format 2.
    pub fn was_of_format_1(&self) -> bool {
        let base = self.sections.clock_base_of_format_1;
        base.is_some_and(|base| base.upto_start == self.start)
    }

    /// What is added to the times in a slice of format 1.
    pub fn clock_base_of_slices_s(&self) -> u32 {
        let base = self.sections.clock_base_of_format_1;
        base.map_or(0, |base| base.base_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::manifest::SliceEntry;

    fn of_format_1(expiry_s: u32, wall_us: u64) -> Manifest {
        let slice = SliceEntry {
            file: 0,
            id: 1,
            decided_first: 10,
            decided_last: 20,
            expiry_max: u32::MAX - 5,
            entries: 1,
            bytes: 8_192,
            checksum: 0,
            covers: Vec::new(),
        };
        Manifest {
            start: 7,
            clock: ClockMark { expiry_s, wall_us },
            slices: vec![slice],
            ..Manifest::default()
        }
    }

    #[test]
    fn the_clock_of_now_counts_from_2026() {
        assert_eq!(seconds_of(CLOCK_BEGIN_US - 1), None);
        assert_eq!(seconds_of(CLOCK_BEGIN_US + 1_999_999), Some(1));
        assert_eq!(seconds_of(u64::MAX), Some(u32::MAX));
    }

    #[test]
    fn times_of_format_1_begin_where_the_mark_says_that_the_installation_was() {
        let manifest = rebased(of_format_1(100, CLOCK_BEGIN_US + 1_100_500_000));
        assert_eq!(manifest.clock.expiry_s, 1_100);
        let slice = &manifest.slices[0];
        assert_eq!((slice.decided_first, slice.decided_last), (1_010, 1_020));
        assert_eq!(slice.expiry_max, u32::MAX, "the end of the clock");
        let log = |start| LogId { start, number: 0 };
        assert_eq!(manifest.clock_base_s(log(7)), 1_000);
        assert_eq!(manifest.clock_base_s(log(8)), 0, "a log of a later format");
        assert_eq!(manifest.clock_base_of_slices_s(), 1_000);
        assert!(manifest.was_of_format_1());
        let later = Manifest {
            start: manifest.start + 1,
            ..manifest
        };
        assert!(!later.was_of_format_1() && !Manifest::default().was_of_format_1());
    }

    #[test]
    fn a_clock_that_is_ahead_of_the_wall_clock_goes_on_as_it_is() {
        for wall_us in [0, CLOCK_BEGIN_US + 99_000_000] {
            let manifest = rebased(of_format_1(100, wall_us));
            assert_eq!(manifest.clock.expiry_s, 100);
            assert_eq!(manifest.clock_base_of_slices_s(), 0);
        }
    }
}
