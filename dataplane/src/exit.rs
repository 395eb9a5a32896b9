//! The exit codes of the gateway: one table for code, help and documentation. It ends no process.

use std::fmt::Write;

macro_rules! exits {
    ($($(#[doc = $doc:literal])* $variant:ident = $code:literal, $again:literal, $meaning:literal;)*) => {
        /// An end of the process; numbers as in `sysexits.h`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Exit {
            $($(#[doc = $doc])* $variant = $code,)*
        }

        impl Exit {
            /// All ends, by number.
            pub const ALL: &[Exit] = &[$(Exit::$variant,)*];

            /// The meaning in one line.
            pub fn meaning(self) -> &'static str {
                match self { $(Exit::$variant => $meaning,)* }
            }

            /// Whether a supervisor should restart the process, because the cause may pass.
            pub fn is_worth_a_restart(self) -> bool {
                match self { $(Exit::$variant => $again,)* }
            }
        }
    };
}

#[rustfmt::skip] // a table
exits! {
    /// The end was requested.
    Stopped = 0, false, "stopped as requested";
    /// The command line is wrong.
    Usage = 64, false, "unknown argument";
    /// Durable data differs from what was written.
    Damage = 65, false, "damage: durable data differs from what was written; nothing was changed, run flk wal verify";
    /// The directory is in use.
    Locked = 69, false, "another running process uses WAL_DIR";
    /// The operating system refuses.
    Refused = 71, false, "the operating system refused a call that a thread needs";
    /// The disk fails.
    File = 74, true, "a file operation failed, or a stop took too long: check the disk, its free space and permissions";
    /// The cause may pass.
    Again = 75, true, "the port or WAL_DIR was not free in time, or the counter of a log is used up: start again";
    /// Settings, files or host do not allow a start.
    Configuration = 78, false, "no start is possible with these settings, files or limits";
}

impl Exit {
    /// The exit code of the process.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// The table for `--help`.
pub fn help() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for exit in Exit::ALL {
        let _ = writeln!(text, "  {:>2}  {}", exit.code(), exit.meaning());
    }
    let again: Vec<String> = Exit::ALL
        .iter()
        .filter(|exit| exit.is_worth_a_restart())
        .map(|exit| exit.code().to_string())
        .collect();
    let _ = write!(
        text,
        "\nA supervisor may restart it after {}; the other codes need an operator. docs/operations.md says what to do.",
        again.join(" and ")
    );
    text
}
