//! How a command ends: the exit codes, and the one place where a failure is printed. [`codes`] has a table of their meanings for
//! each command.

mod archive_codes;
mod backup_codes;
mod codes;
mod plan_codes;

pub(crate) use archive_codes::*;
pub(crate) use backup_codes::*;
pub(crate) use codes::*;
pub(crate) use plan_codes::*;

use crate::fault;
use flk_dataplane::dedup::slice::Unverified;
use flk_dataplane::wal::scan::LogVerdict;
use std::fmt;
use std::io;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Success.
    Yes = 0,
    /// Done, with at least one negative result.
    No = 1,
    /// The command line or an input is wrong.
    Usage = 2,
    /// Damage was found.
    Damage = 65,
    /// A gateway did not answer.
    Unavailable = 69,
    /// A file, or the output, could not be read or written.
    File = 74,
    /// The configuration of a gateway is wrong, or this flk is too old for what it reads.
    Configuration = 78,
    /// The user interrupted it.
    Interrupted = 130,
}

impl Exit {
    /// How a command ends that needs a log of which this is the verdict, and it is not sound.
    pub(crate) fn of_unsound(verdict: &LogVerdict) -> Self {
        match verdict {
            LogVerdict::Unreadable { .. } => Self::File,
            LogVerdict::Unsupported { .. } => Self::Configuration,
            _ => Self::Damage,
        }
    }

    /// How a command ends that needs a slice which is not what it should be.
    pub(crate) fn of_unverified(error: &Unverified) -> Self {
        match error {
            Unverified::Unreadable(_) => Self::File,
            Unverified::Slice(error) if error.is_newer() => Self::Configuration,
            Unverified::Slice(_) => Self::Damage,
        }
    }
}

/// The exit codes of a command and their meanings, as its help shows them.
pub(crate) struct Codes(&'static [(Exit, &'static str)]);

/// Width of the help texts.
const COLUMNS: usize = 98;

impl fmt::Display for Codes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Exit codes:")?;
        for (exit, meaning) in self.0 {
            write!(out, "\n{:>4}  ", *exit as u8)?;
            let mut column = 6;
            for (at, word) in meaning.split(' ').enumerate() {
                if at > 0 && column + 1 + word.len() > COLUMNS {
                    write!(out, "\n      ")?;
                    column = 6;
                } else if at > 0 {
                    write!(out, " ")?;
                    column += 1;
                }
                write!(out, "{word}")?;
                column += word.len();
            }
        }
        Ok(())
    }
}

/// Shown below the help of the program, so that scripts need no other page.
pub(crate) fn help() -> String {
    format!(
        "{ALL}\n\nflk up and flk control run end with the exit codes of the gateway: see their --help. The help of each command \
         says what a code means there."
    )
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    exit: Exit,
    /// What happened and what to do about it.
    text: String,
}

impl Failure {
    /// A failure that ends the process with this code.
    pub(crate) fn with(exit: Exit, text: impl Into<String>) -> Self {
        Self {
            exit,
            text: text.into(),
        }
    }

    /// The command line, a setting or a file is wrong.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::with(Exit::Usage, text)
    }

    /// A gateway does not answer, or stands in the way.
    pub(crate) fn unavailable(text: impl Into<String>) -> Self {
        Self::with(Exit::Unavailable, text)
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What happened and what to do about it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Output could not be written completely. A closed pipe is a failure too: the command has checked, signed or listed
    /// only a part, and must not end with success.
    pub(crate) fn output(error: &io::Error) -> Self {
        let text = match error.kind() {
            io::ErrorKind::BrokenPipe => "the output was closed before all was written".to_owned(),
            _ => format!("cannot write the output: {}", fault::why(error)),
        };
        Self::with(Exit::File, text)
    }
}

/// Prints the failure, if there is one, and returns the exit code.
pub(crate) fn code(answer: Result<Exit, Failure>) -> ExitCode {
    let exit = match answer {
        Ok(exit) => exit,
        Err(failure) => {
            eprintln!("flk: {}", failure.text);
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each list is ascending and has no code that the help of the program lacks.
    #[test]
    fn every_code_of_a_command_is_in_the_help_of_the_program() {
        let known: Vec<Exit> = ALL.0.iter().map(|(exit, _)| *exit).collect();
        for codes in [
            ALL,
            PCS_BUILD_CODES,
            PCS_SIGN_CODES,
            PCS_VERIFY_CODES,
            PCS_SUBMIT_CODES,
            BENCH_CODES,
            FIXTURES_CODES,
            KEYS_GENERATE_CODES,
            KEYS_LIST_CODES,
            KEYS_CHANGE_CODES,
            WAL_READ_CODES,
            WAL_CHANGE_CODES,
            HOLD_CODES,
            HOLD_LIST_CODES,
            DEDUP_GET_CODES,
            SERVED_CODES,
            DOCTOR_CODES,
            REFERENCE_CODES,
            TOP_CODES,
            CONTROL_CODES,
            TOKEN_CODES,
            AUDIT_CODES,
            REPLAY_CODES,
            EXPORT_CODES,
            ARCHIVE_RUN_CODES,
            ARCHIVE_FIND_CODES,
            ARCHIVE_LIST_CODES,
            ARCHIVE_VERIFY_CODES,
            BACKUP_CODES,
            BACKUP_LIST_CODES,
            BACKUP_PRUNE_CODES,
            RESTORE_CODES,
            CHECKLIST_CODES,
            SMOKE_CODES,
            BUNDLE_CODES,
        ] {
            let exits: Vec<Exit> = codes.0.iter().map(|(exit, _)| *exit).collect();
            assert!(exits.is_sorted(), "{exits:?}");
            assert!(exits.iter().all(|exit| known.contains(exit)), "{exits:?}");
        }
    }

    #[test]
    fn a_long_meaning_goes_on_below_its_own_beginning() {
        let shown = PCS_SUBMIT_CODES.to_string();
        assert!(shown.lines().all(|line| line.len() <= COLUMNS), "{shown}");
        assert!(shown.contains("\n      again is safe\n"), "{shown}");
        assert!(shown.contains("\n 130  interrupted"), "{shown}");
    }
}
