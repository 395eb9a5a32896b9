//! The `flk` command line: parses arguments, runs one command, and returns its exit code. No command prints a key or a
//! body unless asked to.

/// Prints to standard error. A full or closed standard error must not fail a command; the macro of std would panic.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::output::say(format_args!($($text)*)) };
}

mod admin;
mod archive;
mod args;
mod backup;
mod bench;
mod bundle;
mod capacity;
mod checklist;
mod config;
mod control;
mod dedup;
mod doctor;
mod exit;
mod fault;
mod input;
mod keyring;
mod keys;
mod members;
mod new_file;
mod output;
mod own;
mod page;
mod pcs;
mod profile;
mod progress;
mod reference;
mod restore;
mod smoke;
mod submit;
mod telemetry;
mod top;
mod up;
mod wal;
mod whole_file;

use clap::builder::Resettable;
use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};
use exit::{Exit, Failure};
use flk_dataplane::config::log_format_of_start;
use flk_dataplane::driver::signal::ignore_long_files;
use flk_dataplane::logs::Format;
use flk_dataplane::logs::redact::without_identities;
use std::borrow::Cow;
use std::io::Write;
use std::process::ExitCode;

/// Sends signed records to a gateway, runs one, and looks into its log.
#[derive(Debug, Parser)]
#[command(name = "flk", version, about, after_help = exit::help(), max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a gateway here, with defaults to try it
    Up(up::UpArgs),
    /// Keep the bodies of a log in an archive, and find them there
    #[command(subcommand)]
    Archive(archive::Command),
    /// Copy a log directory to another place while a gateway serves from it
    Backup(backup::BackupArgs),
    /// Put a gateway under load, and show how it answers
    Bench(Box<bench::BenchArgs>),
    /// Say what a rate of records needs: cores, memory, disk, network
    Capacity(capacity::CapacityArgs),
    /// Say which items of the production checklist hold here, and what proves the others
    Checklist(checklist::ChecklistArgs),
    /// Write, check and show the configuration of a gateway
    #[command(subcommand)]
    Config(config::Command),
    /// Run and ask the control process: tokens, state, audit log
    #[command(subcommand)]
    Control(control::Command),
    /// Look into what a gateway remembers of records
    #[command(subcommand)]
    Dedup(dedup::Command),
    /// Check this host: what would slow a gateway down, or keep it from starting
    Doctor(doctor::DoctorArgs),
    /// Make, list, rotate and revoke keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// Build, sign, verify and submit records (Proof-of-Computation Summaries)
    #[command(subcommand)]
    Pcs(pcs::Command),
    /// List and show profiles of machines: settings for laptops, clouds and servers
    #[command(subcommand)]
    Profile(profile::Command),
    /// Make a log directory from a backup, or check a backup
    Restore(restore::RestoreArgs),
    /// Check whether a gateway is healthy: probes, records, metrics, latency
    Smoke(Box<smoke::SmokeArgs>),
    /// Collect what someone needs who is to help, in one file without secrets
    SupportBundle(bundle::BundleArgs),
    /// Watch shards and tenants of a running gateway
    Top(top::TopArgs),
    /// Inspect, check and repair a log directory
    #[command(subcommand)]
    Wal(wal::Command),
    /// Print completions for a shell
    Completions(reference::CompletionsArgs),
    /// Print the manual page, or write a page for each command
    Man(reference::ManArgs),
    /// Print the reference of all commands, docs/commands.md
    #[command(hide = true)]
    Commands(reference::CommandsArgs),
}

fn main() -> ExitCode {
    ignore_long_files();
    let mut command = prepared(Cli::command());
    let matches = command.try_get_matches_from_mut(std::env::args_os());
    let cli =
        matches.and_then(|it| Cli::from_arg_matches(&it).map_err(|it| it.format(&mut command)));
    let cli = match cli {
        Ok(cli) => cli,
        Err(error) => return refuse_arguments(&error),
    };
    match cli.command {
        Command::Up(args) => up::run(&args),
        Command::Archive(command) => exit::code(archive::run(&command)),
        Command::Backup(args) => exit::code(backup::run(&args)),
        Command::Bench(args) => exit::code(bench::run(&args)),
        Command::Capacity(args) => exit::code(capacity::run(&args)),
        Command::Checklist(args) => exit::code(checklist::run(&args)),
        Command::Config(command) => exit::code(config::run(&command)),
        Command::Control(command) => control::run(&command),
        Command::Dedup(command) => exit::code(dedup::run(&command)),
        Command::Doctor(args) => exit::code(doctor::run(&args)),
        Command::Keys(command) => exit::code(keys::run(&command)),
        Command::Pcs(command) => exit::code(pcs::run(command)),
        Command::Profile(command) => exit::code(profile::run(&command)),
        Command::Restore(args) => exit::code(restore::run(&args)),
        Command::Smoke(args) => exit::code(smoke::run(&args)),
        Command::SupportBundle(args) => exit::code(bundle::run(&args)),
        Command::Top(args) => exit::code(top::run(&args)),
        Command::Wal(command) => wal::run(command),
        Command::Completions(args) => exit::code(reference::completions(&args)),
        Command::Man(args) => exit::code(reference::man(&args)),
        Command::Commands(args) => exit::code(reference::commands(&args)),
    }
}

/// Says what is wrong with the arguments, in the way of the command that they are for: `flk control run` is the same program as
/// flk-control and ends as that does.
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    let text = std::env::args_os().filter_map(|it| it.into_string().ok());
    // As the other programs call it.
    let named = |it: String| it.replacen("--log-format", "--log.format", 1);
    let arguments: Vec<String> = text.map(named).collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let is_json =
        || log_format_of_start(&|name| std::env::var(name).ok(), &arguments) == Format::Json;
    match (error.use_stderr(), &words[..]) {
        (true, ["control", "run", ..]) => control::refuse_argument(error, is_json()),
        (true, ["up", ..]) if is_json() => up::refuse_argument(error),
        _ => exit::code(explain(error)),
    }
}

/// Treats an empty variable as not set, as the gateway does, and a negative number as a value of its option, so that the
/// option's own message says what is allowed.
fn prepared(command: clap::Command) -> clap::Command {
    let argument = |argument: Arg| {
        let is_empty = matches!(argument.get_env(), Some(name) if std::env::var_os(name).is_some_and(|it| it.is_empty()));
        let argument = match is_empty {
            true => argument.env(Resettable::Reset),
            false => argument,
        };
        match argument.get_action().takes_values() && !argument.is_positional() {
            true => argument.allow_negative_numbers(true),
            false => argument,
        }
    };
    command.mut_args(argument).mut_subcommands(prepared)
}

/// Prints help, the version, or the error in the command line, which has the wrong argument in it.
pub(crate) fn explain(error: &clap::Error) -> CommandResult {
    let printed = match without_identities(&error.to_string()) {
        Cow::Borrowed(_) => error.print(),
        Cow::Owned(text) => std::io::stderr().write_all(text.as_bytes()),
    };
    let printed = printed.and_then(|()| std::io::stdout().flush());
    match (error.use_stderr(), printed) {
        (true, _) => Ok(Exit::Usage),
        (false, Ok(())) => Ok(Exit::Yes),
        (false, Err(error)) => Err(Failure::output(&error)),
    }
}

/// The result of a command: its exit code, or a failure with a text for the user.
type CommandResult = Result<Exit, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_all_commands_is_consistent() {
        prepared(Cli::command()).debug_assert();
    }
}
