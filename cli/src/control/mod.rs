//! `flk control`: runs the control process, shows its state, makes tokens and checks the audit log. What control does is in its
//! own crate.

mod audit;
mod status;
mod token;

use crate::exit::{self, Exit};
use crate::explain;
use clap::Args;
use flk_control::events::ArgumentRefused;
use flk_control::options::{Lifeline, Options};
use flk_control::say::{say, tell_the_rest};
use flk_dataplane::config::{FILE_VARIABLE, Flags, log_format_of_start};
use flk_dataplane::logs::{Format, set_format};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Run the control process of a gateway
    Run(RunArgs),
    /// Show everything that control knows
    Status(status::StatusArgs),
    /// Make a token for the admin API
    Token(token::TokenArgs),
    /// Check the audit log
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Options of `flk control run`.
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:\n  $ flk control run --config /etc/flk/flk.toml\n\nIt takes the settings of flk-dataplane from the same file and variables, and ADMIN_LISTEN, ADMIN_TOKENS_FILE and CONTROL_DIR. flk up runs it beside its gateway.\n\n{}", flk_dataplane::exit::help()))]
pub(crate) struct RunArgs {
    /// Configuration file; the environment outweighs it
    #[arg(long = "config", value_name = "FILE", env = FILE_VARIABLE)]
    file: Option<PathBuf>,
    /// Where the data plane listens, if the settings do not say it
    #[arg(long, value_name = "ADDRESS")]
    dataplane: Option<SocketAddr>,
    /// Stop when standard input ends
    #[arg(long)]
    until_stdin_ends: bool,
}

/// Runs one of them.
pub(crate) fn run(command: &Command) -> ExitCode {
    let answer = match command {
        Command::Run(args) => return serve(args),
        Command::Status(args) => status::run(args),
        Command::Token(args) => token::run(args),
        Command::Audit(command) => audit::run(command),
    };
    exit::code(answer)
}

/// Says that an argument of `flk control run` is wrong; in JSON as one object, as the other lines of its log are.
pub(crate) fn refuse_argument(error: &clap::Error, is_json: bool) -> ExitCode {
    match is_json {
        true => {
            set_format(Format::Json);
            say(ArgumentRefused {}, error.to_string().trim_end());
            tell_the_rest();
        }
        false => {
            // Where it cannot be printed, its exit code says it.
            let _ = explain(error);
        }
    }
    ExitCode::from(flk_dataplane::exit::Exit::Usage.code())
}

fn serve(args: &RunArgs) -> ExitCode {
    let file = args.file.as_ref().map(|path| path.display().to_string());
    let variable = |name: &str| match &file {
        Some(file) if name == FILE_VARIABLE => Some(file.clone()),
        _ => std::env::var(name).ok(),
    };
    set_format(log_format_of_start(&variable, &[]));
    let flags = Flags {
        file,
        settings: Vec::new(),
    };
    let options = Options {
        flags,
        lifeline: match args.until_stdin_ends {
            true => Lifeline::Stdin,
            false => Lifeline::None,
        },
        dataplane: args.dataplane,
        ..Options::default()
    };
    ExitCode::from(flk_control::run::run(options))
}

/// Its result.
type CommandResult = Result<Exit, exit::Failure>;
