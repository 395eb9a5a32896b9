//! How work on a file that no manifest names yet can end early.

use crate::keeper::halt::Halt;
use crate::keeper::reading::Interrupted;

/// Why work on a slice ended early.
pub(crate) enum EndedEarly {
    /// Something about the slice failed: it may be tried again.
    Trouble(Halt),
    /// The process must end.
    End(Halt),
    /// The process was asked to end, which has a bound: the next start can do it.
    Stopping,
}

impl From<Interrupted> for EndedEarly {
    fn from(interrupted: Interrupted) -> EndedEarly {
        match interrupted {
            Interrupted::End(halt) => EndedEarly::End(halt),
            Interrupted::Stopping => EndedEarly::Stopping,
        }
    }
}
