//! How a command ends: the exit codes, what each means, and the one place where a failure is printed.

use crate::fault;
use std::io;
use std::process::ExitCode;

/// Shown below the program's own help, so that scripts need no other page.
pub(crate) const HELP: &str = "\
Exit codes:
   0  done; every answer was yes
   1  done, and some answer was no: a record was refused or escalated, or could not be signed
   2  the command line, a setting or an input file is wrong, or the input is empty
  65  damage was found in a log directory
  69  a gateway did not answer, or a running one stands in the way; trying again later is safe
  74  the output, or a file of a log directory, could not be read or written to its end
  78  the configuration of a gateway is wrong, or a newer flk wrote a log directory
 130  flk pcs submit was interrupted before all was sent and answered

flk up ends as a gateway does, with 71 and 75 besides: flk up --help. What each code of a command
means stands in the help of that command.";

/// The codes of commands that read a configuration.
pub(crate) const CONFIG_CODES: &str = "\
Exit codes:
   0  a gateway starts with these settings
   2  the command line is wrong
  74  the output could not be written to its end
  78  a gateway refuses these settings; each mistake is named";

/// The same for the command that writes a configuration.
pub(crate) const CONFIG_INIT_CODES: &str = "\
Exit codes:
   0  the file was written
   2  the command line is wrong, or the file is there already; nothing was changed
  74  the file, or the output, could not be written";

/// The same for the command that compares two.
pub(crate) const CONFIG_DIFF_CODES: &str = "\
Exit codes:
   0  both say the same
   1  they differ
   2  the command line is wrong
  74  the output could not be written to its end
  78  one of the files cannot be read as a configuration";

/// The codes of the command that checks a host.
pub(crate) const DOCTOR_CODES: &str = "\
Exit codes:
   0  nothing keeps a gateway from running here; there may be warnings
   1  a check failed, or, with --strict, gave a warning
   2  the command line is wrong
  74  the output could not be written to its end";

/// The codes of a command that turns an input into an output.
pub(crate) const PCS_BUILD_CODES: &str = "\
Exit codes:
   0  the record was written
   2  the command line or the input is wrong, or the input is empty; nothing was written
  74  the output could not be written to its end";

/// The same for a command that does so record by record.
pub(crate) const PCS_SIGN_CODES: &str = "\
Exit codes:
   0  all records were signed
   1  some could not be signed; the others were
   2  the command line, a key or the input is wrong, or the input is empty
  74  the output could not be written to its end";

/// The same for a command that judges.
pub(crate) const PCS_VERIFY_CODES: &str = "\
Exit codes:
   0  every record would be accepted
   1  some would be escalated or refused
   2  the command line, a key or the input is wrong, or the input is empty
  74  the output could not be written to its end: not all records were judged";

/// The same for the command that sends.
pub(crate) const PCS_SUBMIT_CODES: &str = "\
Exit codes:
   0  every record was accepted or escalated
   1  all were answered, and some were refused
   2  the command line or the input is wrong, or the input is empty
  69  some got no answer, or what answers is not a gateway; sending again is safe
  74  the output could not be written, or closed before all was sent and answered; sending again
      is safe
 130  interrupted before all was sent and answered; sending again is safe";

/// The same for commands that read a log directory.
pub(crate) const WAL_READ_HELP: &str = "\
Exit codes:
   0  what was looked at is whole or torn
   2  the command line is wrong, or there is no log directory
  65  damage was found
  69  a serving gateway changed the directory faster than it could be opened; it may be run again
  74  a file could not be read, or the output could not be written to its end
  78  nothing is damaged, and something was written by a newer flk: use that one";

/// The same for commands that change a log directory.
pub(crate) const WAL_HELP: &str = "\
Exit codes:
   0  done, or said what would be done
   2  the command line is wrong, there is nothing to do as it was asked, or a newer flk wrote it;
      nothing was changed
  65  damage was found; nothing was changed
  69  the directory is in use by a gateway, or it did not answer; nothing was changed
  74  a file, or the output, could not be read or written; it may be run again";

/// The same for commands to a serving gateway.
pub(crate) const SERVED_HELP: &str = "\
Exit codes:
   0  the gateway did it
   1  the gateway refused
   2  the command line is wrong
  69  no gateway serves from the directory, or it did not answer in time
  74  the output could not be written";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done; every answer was yes.
    Yes = 0,
    /// Done, and some answer was no.
    No = 1,
    /// What was asked for cannot be done as it was asked.
    Usage = 2,
    /// Damage was found.
    Damage = 65,
    /// A gateway did not answer.
    Unavailable = 69,
    /// A file, or the output, could not be read or written.
    File = 74,
    /// A gateway's configuration is wrong, or this flk is too old for what it reads.
    Configuration = 78,
    /// The user stopped it.
    Interrupted = 130,
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    /// With which code to end.
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

    /// With which code to end.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What happened and what to do about it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Output could not be written to its end. A closed pipe is a failure too: a command whose output was not read to its
    /// end has judged, signed or listed only a part, and must not end as if that were all.
    pub(crate) fn output(error: &io::Error) -> Self {
        let text = match error.kind() {
            io::ErrorKind::BrokenPipe => "the output was closed before all was written".to_owned(),
            _ => format!("cannot write the output: {}", fault::why(error)),
        };
        Self::with(Exit::File, text)
    }
}

/// Says what went wrong, if anything, and turns the answer into an exit code.
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
