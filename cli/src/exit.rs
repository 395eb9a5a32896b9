//! How a command ends: the exit codes, what each means, and the one place where a failure is printed.

use std::io;
use std::process::ExitCode;

/// Shown below every help text, so that scripts need no other page.
pub(crate) const HELP: &str = "\
Exit codes:
   0  done; every answer was yes
   1  done, and some answer was no: a record was refused or escalated, or could not be signed
   2  the command line, a setting or an input file is wrong
  65  damage was found in a log directory
  69  a gateway did not answer, or a running one stands in the way; trying again later is safe
  74  a file of a log directory could not be read or written
  78  the configuration of a gateway is wrong

flk up ends as a gateway does, with 71 and 75 besides: flk up --help. What each code of a command means to it stands in
the help of that command.";

/// The same for commands that read or change a log directory.
pub(crate) const WAL_HELP: &str = "\
Exit codes:
   0  done: what was looked at is whole or torn, what was asked for was done or said
   2  the command line is wrong, or there is nothing to do as it was asked
  65  damage was found; nothing was changed
  69  the directory is in use by a gateway; nothing was changed
  74  a file could not be read or written; it may be run again";

/// The same for commands to a serving gateway.
pub(crate) const SERVED_HELP: &str = "\
Exit codes:
   0  the gateway did it
   1  the gateway refused
   2  the command line is wrong
  69  no gateway serves from the directory, or it did not answer";

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
    /// Somebody else did not answer.
    Unavailable = 69,
    /// A file could not be read or written.
    File = 74,
    /// A gateway's configuration is wrong.
    Configuration = 78,
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    /// With which code to end.
    exit: Exit,
    /// What happened and what to do about it; empty where there is nobody left to tell.
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

    /// Output could not be written. A closed pipe is how readers such as `head` say that they have enough.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self {
                exit: Exit::Yes,
                text: String::new(),
            },
            _ => Self::usage(format!("cannot write the output: {error}")),
        }
    }
}

/// Says what went wrong, if anything, and turns the answer into an exit code.
pub(crate) fn code(answer: Result<Exit, Failure>) -> ExitCode {
    let exit = match answer {
        Ok(exit) => exit,
        Err(failure) => {
            if !failure.text.is_empty() {
                eprintln!("flk: {}", failure.text);
            }
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}
