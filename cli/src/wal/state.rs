//! What `flk wal verify` finds a file or a log to be. It looks at none.

/// The state of a file or log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Whole,
    /// A gateway is writing it.
    InUse,
    Torn,
    /// The manifest does not name it.
    Orphan,
    /// This user may not read it, and nothing else needs it.
    NotRead,
    /// An operator gave it up.
    GivenUp,
    /// Another installation wrote it.
    Foreign,
    /// A newer flk wrote it. It is not damaged, but this flk cannot read it.
    Newer,
    /// A part of it that only look-ups read: a gateway starts all the same.
    DamagedForSome,
    Damaged,
}

impl State {
    /// As it is shown.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::InUse => "in use",
            Self::Torn => "torn",
            Self::Orphan => "orphan",
            Self::NotRead => "not read",
            Self::GivenUp => "given up",
            Self::Foreign => "foreign",
            Self::Newer => "newer",
            Self::DamagedForSome | Self::Damaged => "DAMAGED",
        }
    }
}
