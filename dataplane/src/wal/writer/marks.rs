//! When an idle log writes a mark: a batch without records.

/// An idle log is marked after this long, so that its last acknowledged batch can be told from a torn tail.
pub const IDLE_MARK_US: u64 = 10_000;
/// A marked log is marked again this often, for the clocks in its header only.
pub const CLOCK_MARK_US: u64 = 600_000_000;

/// What is known of marks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    /// Monotonic time of the last batch.
    pub(super) quiet_since_us: u64,
    /// The last durable batch is a mark, or there is none.
    pub(super) last_is_mark: bool,
    /// A mark was asked for, idle or not.
    pub(super) is_wanted: bool,
}

impl Marks {
    pub(super) fn of_new_log() -> Marks {
        Marks {
            quiet_since_us: 0,
            last_is_mark: true,
            is_wanted: false,
        }
    }

    /// When a quiet log is due for a mark. One that never had a batch needs none.
    pub(super) fn due_us(&self, log_is_used: bool) -> Option<u64> {
        match (self.last_is_mark, log_is_used) {
            (false, _) => Some(self.quiet_since_us + IDLE_MARK_US),
            (true, true) => Some(self.quiet_since_us + CLOCK_MARK_US),
            (true, false) => None,
        }
    }
}
