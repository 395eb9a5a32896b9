//! How far a start may have moved the expiry clock, by what was written down before it. It knows when each reading was written,
//! and never what the gateway made of it.

use super::truth::{ClockReading, LogWrite, Truth};

/// The most that a start adds to the expiry clock unasked.
const RESUME_US_MAX: i64 = 3_600_000_000;

/// Readings are whole seconds, and so is what a start adds: each leaves out less than this.
const SECOND_US: i64 = 1_000_000;

impl Truth {
    /// A manifest with the clock of about now is being written.
    pub fn mark(&mut self, fast_us: i64, wall_us: u64) {
        self.marks.push(ClockReading { fast_us, wall_us });
    }

    /// How far a start may have moved the expiry clock, at most and at least, against both bounds now.
    pub fn resumed(&self, wall_us: u64, fast_us: i64, slow_us: i64) -> (i64, i64) {
        let confirmed = self
            .writes
            .iter()
            .filter(|write| write.confirmed && !write.lost);
        let newest = confirmed
            .max_by_key(|write| write.fast_us)
            .filter(|_| !self.any_loss);
        let newest_fast_us = newest.map_or(i64::MIN, |write| write.fast_us - 2_500_000);
        let newest_slow_us = newest.map_or(0, |write| write.slow_us - left_out_us(write, wall_us));
        let writes = self.writes.iter().map(|write| ClockReading {
            fast_us: write.fast_us,
            wall_us: write.wall_us,
        });
        let candidates = writes
            .chain(self.marks.iter().copied())
            .filter(|mark| mark.fast_us >= newest_fast_us);
        let reach = candidates.map(|mark| {
            let passed_us = passed_us(mark.wall_us, wall_us).min(RESUME_US_MAX);
            mark.fast_us + passed_us + SECOND_US
        });
        let fast_to_us = reach.max().unwrap_or(fast_us).max(fast_us);
        (fast_to_us - fast_us, (newest_slow_us - slow_us).min(0))
    }
}

/// What a start may leave out of the time up to its own beginning, beside what the wall clock does not show: the part of a
/// second that the reading was ahead by, and of the time since then what is no whole second. What has passed when it begins is
/// not counted here, so that only the rest of a second can come out of the start's own time.
fn left_out_us(write: &LogWrite, wall_us: u64) -> i64 {
    SECOND_US + (SECOND_US - passed_us(write.wall_us, wall_us)).max(0)
}

fn passed_us(then_us: u64, now_us: u64) -> i64 {
    now_us.saturating_sub(then_us) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::clock::{Reading, resume};
    use crate::sim::world::World;
    use proptest::prelude::*;

    /// A confirmed write.
    fn write() -> LogWrite {
        let mut world = World::new(1);
        let inode = world.disk.make("segment-0000000000000001.wal");
        let at = world.note_log_write(0, inode, 0, &[1; 4096]);
        LogWrite {
            confirmed: true,
            ..world.truth.writes[at].clone()
        }
    }

    proptest! {
        #[test]
        fn however_quickly_starts_follow_each_other_the_slowest_clock_stays_behind_what_they_resume(
            runs in prop::collection::vec((0..3_000_000_u64, 0..2_500_000_u64, 0..2_000_000_u64), 1..20),
        ) {
            let template = write();
            let mut truth = Truth::default();
            let mut now_us = 1_000_000_000_u64;
            let mut mark = Reading { expiry_s: 0, wall_us: now_us };
            let (mut base_s, mut base_us, mut slow_us) = (0, now_us, 0);
            for (serves_us, down_us, starts_us) in runs {
                now_us += serves_us;
                slow_us += serves_us as i64;
                let expiry_s = base_s + ((now_us - base_us) / 1_000_000) as u32;
                let batch = Reading { expiry_s, wall_us: now_us };
                truth.writes.push(LogWrite {
                    fast_us: now_us as i64,
                    slow_us,
                    wall_us: now_us,
                    ..template.clone()
                });
                now_us += down_us;
                slow_us += truth.resumed(now_us, now_us as i64, slow_us).1;
                now_us += starts_us;
                slow_us += starts_us as i64;
                let resumed = resume(mark.later(batch), mark, 0, now_us);
                (base_s, base_us) = (resumed.expiry_s, now_us);
                mark = mark.next_mark(base_s, now_us);
                prop_assert!(slow_us <= i64::from(base_s) * 1_000_000, "{} > {}", slow_us, base_s);
            }
        }
    }
}
