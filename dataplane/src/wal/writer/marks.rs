//! When an idle log writes a mark: a batch without records.

/// An idle log is marked after this long, so that its last acknowledged batch is not taken for a torn tail.
pub const IDLE_MARK_US: u64 = 10_000;
/// A marked log is marked again this often, for the clocks in its header only.
pub const CLOCK_MARK_US: u64 = 600_000_000;

/// What the last durable batch of a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastBatch {
    /// There is none yet.
    None,
    Mark,
    Records,
}

/// What is known of marks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    /// Monotonic time of the last batch.
    pub(super) quiet_since_us: u64,
    pub(super) last: LastBatch,
    /// A mark was asked for, idle or not.
    pub(super) is_wanted: bool,
}

impl Marks {
    pub(super) fn of_new_log() -> Marks {
        Marks {
            quiet_since_us: 0,
            last: LastBatch::None,
            is_wanted: false,
        }
    }

    /// When a quiet log is due for a mark.
    pub(super) fn due_us(&self) -> Option<u64> {
        match self.last {
            LastBatch::Records => Some(self.quiet_since_us + IDLE_MARK_US),
            LastBatch::Mark => Some(self.quiet_since_us + CLOCK_MARK_US),
            // Nothing was acknowledged that could be taken for a torn tail.
            LastBatch::None => None,
        }
    }
}
