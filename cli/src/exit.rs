//! How a command ends: the exit codes, one table of their meanings for each command, and the one place where a failure is
//! printed.

mod stored;

pub(crate) use stored::{EXPORT_CODES, REPLAY_CODES};

use crate::fault;
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

/// The exit codes of a command and their meanings, as its help shows them.
pub(crate) struct Codes(&'static [(Exit, &'static str)]);

/// All exit codes but those of `flk up` and `flk control run`, which end as the gateway does.
const ALL: Codes = Codes(&[
    (Exit::Yes, "success"),
    (
        Exit::No,
        "done, but at least one record was refused or escalated, or could not be signed; a check of the host failed; two configurations differ; or stored records would be judged otherwise",
    ),
    (
        Exit::Usage,
        "the command line, a setting or an input file is wrong, or the input is empty",
    ),
    (
        Exit::Damage,
        "a log directory is damaged, or an audit log was changed",
    ),
    (
        Exit::Unavailable,
        "a gateway or flk-control did not answer, or a running gateway holds the log directory; trying again is safe",
    ),
    (
        Exit::File,
        "the output, or a file of a log directory, could not be read or written",
    ),
    (
        Exit::Configuration,
        "the configuration of a gateway is wrong, or another flk wrote the log directory or the statistics",
    ),
    (
        Exit::Interrupted,
        "flk pcs submit was interrupted before every record was answered",
    ),
]);

/// Of `flk pcs build`.
pub(crate) const PCS_BUILD_CODES: Codes = Codes(&[
    (Exit::Yes, "the record was written"),
    (
        Exit::Usage,
        "the command line or the input is wrong, or the input is empty; nothing was written",
    ),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk pcs sign`.
pub(crate) const PCS_SIGN_CODES: Codes = Codes(&[
    (Exit::Yes, "all records were signed"),
    (
        Exit::No,
        "some records could not be signed; the others were",
    ),
    (
        Exit::Usage,
        "the command line, a key or the input is wrong, or the input is empty",
    ),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk pcs verify`.
pub(crate) const PCS_VERIFY_CODES: Codes = Codes(&[
    (Exit::Yes, "every record would be accepted"),
    (Exit::No, "some records would be escalated or refused"),
    (
        Exit::Usage,
        "the command line, a key or the input is wrong, or the input is empty",
    ),
    (
        Exit::File,
        "the output could not be written completely: not all records were checked",
    ),
]);

/// Of `flk pcs submit`.
pub(crate) const PCS_SUBMIT_CODES: Codes = Codes(&[
    (Exit::Yes, "every record was accepted or escalated"),
    (Exit::No, "all records were answered; some were refused"),
    (
        Exit::Usage,
        "the command line or the input is wrong, or the input is empty",
    ),
    (
        Exit::Unavailable,
        "some records got no answer, or the server is not a gateway; sending again is safe",
    ),
    (
        Exit::File,
        "the output could not be written, or was closed before every record was answered; sending again is safe",
    ),
    (
        Exit::Interrupted,
        "interrupted before every record was answered; sending again is safe",
    ),
]);

/// Of `flk keys generate`.
pub(crate) const KEYS_GENERATE_CODES: Codes = Codes(&[
    (Exit::Yes, "the key was made"),
    (
        Exit::Usage,
        "the command line is wrong, or a file is there already; it was not changed",
    ),
    (Exit::File, "a file, or the output, could not be written"),
]);

/// Of `flk keys list`.
pub(crate) const KEYS_LIST_CODES: Codes = Codes(&[
    (Exit::Yes, "listed"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::Unavailable, "the gateway of --url did not answer"),
    (Exit::File, "the output could not be written completely"),
    (
        Exit::Configuration,
        "the file cannot be read, or is wrong: flk config check names every mistake",
    ),
]);

/// Of `flk keys add`, `rotate` and `revoke`.
pub(crate) const KEYS_CHANGE_CODES: Codes = Codes(&[
    (Exit::Yes, "changed, or shown what would change"),
    (
        Exit::Usage,
        "the command line or the new key is wrong, or there is no such tenant or key; nothing was changed",
    ),
    (
        Exit::File,
        "the file cannot be written here, and the lines to change were printed; or the output could not be written",
    ),
    (
        Exit::Configuration,
        "the file cannot be read, or would be wrong; nothing was changed",
    ),
]);

/// Of commands that read a log directory.
pub(crate) const WAL_READ_CODES: Codes = Codes(&[
    (Exit::Yes, "no damage; a torn tail is none"),
    (
        Exit::Usage,
        "the command line is wrong, or there is no log directory",
    ),
    (Exit::Damage, "damage was found"),
    (
        Exit::Unavailable,
        "a serving gateway changed the directory faster than it could be opened; try again",
    ),
    (
        Exit::File,
        "a file could not be read, or the output could not be written completely",
    ),
    (
        Exit::Configuration,
        "no damage, but a newer flk wrote the directory: use that one",
    ),
]);

/// Of commands that change a log directory.
pub(crate) const WAL_CHANGE_CODES: Codes = Codes(&[
    (Exit::Yes, "done, or shown what would be done"),
    (
        Exit::Usage,
        "the command line is wrong, there is nothing to do, or a newer flk wrote the directory; nothing was changed",
    ),
    (Exit::Damage, "damage was found; nothing was changed"),
    (
        Exit::Unavailable,
        "a gateway uses the directory, or did not answer; nothing was changed",
    ),
    (
        Exit::File,
        "a file, or the output, could not be read or written; the command can be repeated",
    ),
]);

/// Of commands to a serving gateway.
pub(crate) const SERVED_CODES: Codes = Codes(&[
    (Exit::Yes, "the gateway did it"),
    (Exit::No, "the gateway refused"),
    (Exit::Usage, "the command line is wrong"),
    (
        Exit::Unavailable,
        "no gateway serves from the directory, or it did not answer in time",
    ),
    (Exit::File, "the output could not be written"),
]);

/// Of `flk doctor`.
pub(crate) const DOCTOR_CODES: Codes = Codes(&[
    (
        Exit::Yes,
        "a gateway can run on this host; there may be warnings",
    ),
    (Exit::No, "a check failed or, with --strict, gave a warning"),
    (
        Exit::Usage,
        "the command line is wrong, or the token's file cannot be read",
    ),
    (
        Exit::Unavailable,
        "with --telemetry, a process of --url did not answer; what was found elsewhere was printed",
    ),
    (
        Exit::File,
        "the log of --log could not be read, or the output could not be written completely",
    ),
]);

/// Of `flk config check`.
pub(crate) const CONFIG_CODES: Codes = Codes(&[
    (Exit::Yes, "every setting is valid"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::File, "the output could not be written completely"),
    (
        Exit::Configuration,
        "a setting is wrong or missing, or a variable looks like a setting and is none; each mistake is named",
    ),
]);

/// Of `flk config show`.
pub(crate) const CONFIG_SHOW_CODES: Codes = Codes(&[
    (
        Exit::Yes,
        "shown; flk config check says whether the values are valid",
    ),
    (Exit::Usage, "the command line is wrong"),
    (Exit::File, "the output could not be written completely"),
    (
        Exit::Configuration,
        "the file, or a file of a secret, cannot be read",
    ),
]);

/// Of `flk config init`.
pub(crate) const CONFIG_INIT_CODES: Codes = Codes(&[
    (Exit::Yes, "the file was written"),
    (
        Exit::Usage,
        "the command line is wrong, or the file exists; nothing was changed",
    ),
    (Exit::File, "the file, or the output, could not be written"),
]);

/// Of `flk config diff`.
pub(crate) const CONFIG_DIFF_CODES: Codes = Codes(&[
    (Exit::Yes, "both files say the same"),
    (Exit::No, "they differ"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::File, "the output could not be written completely"),
    (
        Exit::Configuration,
        "one of the files cannot be read as a configuration",
    ),
]);

/// Of `flk config schema`.
pub(crate) const CONFIG_SCHEMA_CODES: Codes = Codes(&[
    (Exit::Yes, "it was printed"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk completions`, `flk man` and the reference of commands.
pub(crate) const REFERENCE_CODES: Codes = Codes(&[
    (Exit::Yes, "it was printed, or written"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk top`.
pub(crate) const TOP_CODES: Codes = Codes(&[
    (Exit::Yes, "shown; q, Ctrl-C or a signal ended the screen"),
    (Exit::Usage, "the command line is wrong"),
    (
        Exit::Unavailable,
        "no gateway answered, or it was restarted between both readings; trying again is safe",
    ),
    (Exit::File, "the output could not be written completely"),
    (
        Exit::Configuration,
        "a gateway of another version keeps its statistics in another layout: use its flk, or --url",
    ),
]);

/// Of commands that ask flk-control.
pub(crate) const CONTROL_CODES: Codes = Codes(&[
    (Exit::Yes, "done, or shown"),
    (Exit::No, "refused; nothing was changed"),
    (
        Exit::Usage,
        "the command line is wrong, or the token's file cannot be read",
    ),
    (
        Exit::Unavailable,
        "flk-control, or the gateway behind it, did not answer",
    ),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk control token`.
pub(crate) const TOKEN_CODES: Codes = Codes(&[
    (Exit::Yes, "a token was made"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk control audit verify`.
pub(crate) const AUDIT_CODES: Codes = Codes(&[
    (Exit::Yes, "every line follows the one before"),
    (
        Exit::Usage,
        "the command line is wrong, or there is no audit log",
    ),
    (Exit::Damage, "a line was changed, removed or moved"),
    (
        Exit::File,
        "the log could not be read, or the output not be written completely",
    ),
]);

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
            KEYS_GENERATE_CODES,
            KEYS_LIST_CODES,
            KEYS_CHANGE_CODES,
            WAL_READ_CODES,
            WAL_CHANGE_CODES,
            SERVED_CODES,
            DOCTOR_CODES,
            REFERENCE_CODES,
            TOP_CODES,
            CONTROL_CODES,
            TOKEN_CODES,
            AUDIT_CODES,
            REPLAY_CODES,
            EXPORT_CODES,
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
