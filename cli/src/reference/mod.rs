//! What is made from the definition of the command line: completions for shells, manual pages, and `docs/commands.md`. The
//! definition is the only source; nothing here describes a command in words of its own.

mod markdown;

use crate::exit::{Exit, Failure, REFERENCE_CODES};
use crate::output::Output;
use crate::telemetry::registry;
use crate::{Cli, CommandResult, fault};
use clap::{Args, CommandFactory};
use std::io;
use std::path::{Path, PathBuf};

const COMPLETIONS: &str = "\
Examples:
  $ flk completions bash > flk.bash
  $ flk completions zsh > _flk
  $ flk completions fish > flk.fish

bash reads the file from ~/.local/share/bash-completion/completions/flk, zsh from a directory of $fpath, fish from
~/.config/fish/completions.";

const MAN: &str = "\
Examples:
  $ flk man > flk.1
  $ flk man man/man1

Without a directory it prints the page of the program: flk man > flk.1, then man ./flk.1. With one it writes a page for each
command, such as flk-pcs-submit.1, and replaces those that are there. man finds man/man1 with man -M man flk-top.";

const COMMANDS: &str = "\
Examples:
  $ flk commands --markdown > docs/commands.md
  $ flk commands --telemetry-registry docs/telemetry/registry";

/// Options of `flk completions`.
#[derive(Args, Debug)]
#[command(after_help = format!("{COMPLETIONS}\n\n{REFERENCE_CODES}"))]
pub(crate) struct CompletionsArgs {
    /// The shell that will read them
    #[arg(value_enum)]
    shell: Shell,
}

/// Options of `flk man`.
#[derive(Args, Debug)]
#[command(after_help = format!("{MAN}\n\n{REFERENCE_CODES}"))]
pub(crate) struct ManArgs {
    /// Directory for a page of each command; it is made if it is not there
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Options of `flk commands`.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
#[command(after_help = format!("{COMMANDS}\n\n{REFERENCE_CODES}"))]
pub(crate) struct CommandsArgs {
    /// Print the page of commands in Markdown
    #[arg(long)]
    markdown: bool,
    /// Write the files of the telemetry registry into this directory
    #[arg(long, value_name = "DIR")]
    telemetry_registry: Option<PathBuf>,
}

/// A shell.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints completions.
pub(crate) fn completions(args: &CompletionsArgs) -> CommandResult {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition(), "flk", &mut script);
    print(script.trim_ascii_end())
}

/// Prints or writes manual pages.
pub(crate) fn man(args: &ManArgs) -> CommandResult {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(definition()).render(&mut page);
        rendered.map_err(|error| Failure::output(&error))?;
        return print(page.trim_ascii_end());
    };
    write_pages(dir).map_err(|error| {
        let (dir, why) = (dir.display(), fault::why(&error));
        Failure::with(
            Exit::File,
            format!("cannot write manual pages to {dir}: {why}"),
        )
    })?;
    Ok(Exit::Yes)
}

fn write_pages(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(definition(), dir)
}

/// Prints the reference of all commands, or writes the registry.
pub(crate) fn commands(args: &CommandsArgs) -> CommandResult {
    let Some(dir) = &args.telemetry_registry else {
        return print(markdown::page(definition()).trim_end().as_bytes());
    };
    write_registry(dir).map_err(|error| {
        let (dir, why) = (dir.display(), fault::why(&error));
        Failure::with(
            Exit::File,
            format!("cannot write the registry to {dir}: {why}"),
        )
    })?;
    Ok(Exit::Yes)
}

fn write_registry(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let mut files = registry::files().into_iter();
    files.try_for_each(|(name, text)| std::fs::write(dir.join(name), text))
}

/// All commands, without anything that depends on the environment of this process.
fn definition() -> clap::Command {
    fixed(Cli::command()).term_width(markdown::COLUMNS)
}

fn fixed(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| argument.hide_env_values(true))
        .mut_subcommands(fixed)
}

fn print(text: &[u8]) -> CommandResult {
    let mut output = Output::new();
    output.line(text)?;
    output.flush()?;
    Ok(Exit::Yes)
}
