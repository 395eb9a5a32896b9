//! When work is done, or tried again: at once, or not before a time.

/// The earliest time of some work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Due {
    /// At the next look.
    #[default]
    AtOnce,
    /// Not before this monotonic time, in microseconds.
    At(u64),
}

impl Due {
    pub(crate) fn is_over(self, now_us: u64) -> bool {
        match self {
            Due::AtOnce => true,
            Due::At(at_us) => at_us <= now_us,
        }
    }

    /// The time to wake up at: a time that has passed, where that is at once.
    pub(crate) fn wake_us(self) -> u64 {
        match self {
            Due::AtOnce => 0,
            Due::At(at_us) => at_us,
        }
    }
}
