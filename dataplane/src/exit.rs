//! How a gateway process ends: one table of exit codes for code, help and documentation. It ends nothing itself.

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

            /// What it means, in one line.
            pub fn meaning(self) -> &'static str {
                match self { $(Exit::$variant => $meaning,)* }
            }

            /// Whether a supervisor should start the process again: the cause may be gone by then.
            pub fn is_worth_a_restart(self) -> bool {
                match self { $(Exit::$variant => $again,)* }
            }
        }
    };
}

#[rustfmt::skip] // a table
exits! {
    /// It was told to.
    Stopped = 0, false, "stopped as asked";
    /// The command line is wrong.
    Usage = 64, false, "an argument that is not known";
    /// Durable data is not what it was.
    Damage = 65, false, "damage: something durable is not what it was; nothing was changed, see flk wal verify";
    /// The directory is in use.
    Locked = 69, false, "another process holds WAL_DIR";
    /// The operating system refuses.
    Refused = 71, false, "the operating system refused something that a thread needs";
    /// The disk fails.
    File = 74, true, "a file operation failed, or a stop was not complete in its time: check the disk, its room and its permissions";
    /// The cause passes by itself.
    Again = 75, true, "the port or WAL_DIR is not free yet, or the numbers of a log are used up: start again";
    /// Settings, files or host do not allow a start.
    Configuration = 78, false, "the start is impossible as configured";
}

impl Exit {
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// The table, for texts of help.
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
        "\nA supervisor may start it again after {}; the others want a person who looks. docs/operations.md says what to do.",
        again.join(" and ")
    );
    text
}
