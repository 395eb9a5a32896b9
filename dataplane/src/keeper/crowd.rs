//! What shards say of connections that they closed for others: one line for all shards together, at most once a minute.
//! It steers nothing.

use super::messages::ToKeeper;
use super::notice::Notice;
use super::port::KeeperEvent;
use crate::event::Now;

/// Between two lines.
const SAY_EVERY_US: u64 = 60_000_000;

/// Connections closed that no line has told yet.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    untold_count: u64,
    said_us: Option<u64>,
}

impl Crowd {
    /// Whether the event was for this part alone.
    pub(super) fn hears(&mut self, event: &KeeperEvent) -> bool {
        let KeeperEvent::FromShard(_, ToKeeper::Crowded { closed_count }) = event else {
            return false;
        };
        self.untold_count += u64::from(*closed_count);
        true
    }

    /// The line that is due.
    pub(super) fn notice(&mut self, now: Now) -> Option<Notice> {
        let is_time = self
            .said_us
            .is_none_or(|said_us| now.mono_us >= said_us + SAY_EVERY_US);
        if self.untold_count == 0 || !is_time {
            return None;
        }
        self.said_us = Some(now.mono_us);
        Some(Notice::Crowded {
            closed_count: std::mem::take(&mut self.untold_count),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ShardId;

    #[test]
    fn all_shards_together_get_one_line_a_minute_with_the_sum() {
        let mut crowd = Crowd::default();
        let mut said = Vec::new();
        for second in 0..150 {
            for shard in 0..3 {
                let closed = ToKeeper::Crowded { closed_count: 2 };
                assert!(crowd.hears(&KeeperEvent::FromShard(ShardId(shard), closed)));
                let now = Now {
                    mono_us: 7_000_000 + second * 1_000_000,
                    wall_us: 0,
                };
                said.extend(crowd.notice(now));
            }
        }
        let counts: Vec<u64> = said
            .into_iter()
            .map(|notice| match notice {
                Notice::Crowded { closed_count } => closed_count,
                other => panic!("unexpected {other:?}"),
            })
            .collect();
        assert_eq!(counts, [2, 360, 360]);
        assert!(!crowd.hears(&KeeperEvent::Tick));
    }
}
