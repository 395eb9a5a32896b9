//! How an item stands, and why. It judges nothing.

/// How an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// That could not be found out here.
    Open,
    /// Its command is run elsewhere.
    Hand,
}

impl Verdict {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Open => "OPEN",
            Verdict::Hand => "HAND",
        }
    }
}

/// The verdict with its reason.
pub(super) type Proof = (Verdict, String);

/// It holds.
pub(super) fn pass(said: impl Into<String>) -> Proof {
    (Verdict::Pass, said.into())
}

/// It does not hold.
pub(super) fn fail(said: impl Into<String>) -> Proof {
    (Verdict::Fail, said.into())
}

/// Whether it holds could not be found out here.
pub(super) fn open(said: impl Into<String>) -> Proof {
    (Verdict::Open, said.into())
}
