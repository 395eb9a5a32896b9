//! Whether the memory of this process can be dumped by the kernel when it crashes, or read by other processes of its user.
//! It applies what was decided elsewhere, and wipes nothing.

use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};

/// What others may see of the memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CoreDumps {
    /// No core dump is written, and only the superuser can read the memory.
    #[default]
    Refused,
    /// As for any process.
    Allowed,
}

impl CoreDumps {
    /// What is in force.
    pub fn in_force() -> CoreDumps {
        match dumpable_behavior() {
            Ok(DumpableBehavior::NotDumpable) => CoreDumps::Refused,
            _ => CoreDumps::Allowed,
        }
    }

    /// Puts it in force, for all threads. Only a filter of system calls refuses this; [`CoreDumps::in_force`] tells.
    pub fn apply(self) {
        let _shown_at_the_start = set_dumpable_behavior(match self {
            CoreDumps::Refused => DumpableBehavior::NotDumpable,
            CoreDumps::Allowed => DumpableBehavior::Dumpable,
        });
    }
}
