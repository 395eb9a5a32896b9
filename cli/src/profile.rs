//! `flk profile`: the profiles of machines that are compiled in, listed and printed. It decides nothing: a gateway reads them by
//! the rules of its configuration.

use crate::CommandResult;
use crate::exit::{Exit, Failure, PROFILE_CODES};
use crate::output::{Format, Output};
use clap::{Args, Subcommand};
use flk_dataplane::config::units::show_bytes;
use flk_dataplane::config::{PROFILES, Profile, Shape};
use serde_json::json;

const LIST: &str = "\
Examples:
  $ flk profile list
  $ flk profile list --output json

A profile has settings for a shape of machine. flk up --profile NAME, FLK_PROFILE or process.profile of the configuration file \
takes one. Configuration file, environment and arguments outweigh it; flk config show --origin says which value is whose.";

const SHOW: &str = "\
Examples:
  $ flk profile show laptop
  $ flk profile show network-disk > own.toml

The comment before each value says why. A copy can be changed and named by its path: flk up --profile ./own.toml.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List profiles and the machines that they are for
    List(ListArgs),
    /// Print a profile with the reason of each value
    Show(ShowArgs),
}

/// Options of `flk profile list`.
#[derive(Args, Debug)]
#[command(after_help = format!("{LIST}\n\n{PROFILE_CODES}"))]
pub(crate) struct ListArgs {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Options of `flk profile show`.
#[derive(Args, Debug)]
#[command(after_help = format!("{SHOW}\n\n{PROFILE_CODES}"))]
pub(crate) struct ShowArgs {
    /// Its name
    name: String,
}

/// Runs one of them.
pub(crate) fn run(command: &Command) -> CommandResult {
    match command {
        Command::List(args) => list(args),
        Command::Show(args) => show(args),
    }
}

fn list(args: &ListArgs) -> CommandResult {
    let mut output = Output::new();
    for profile in PROFILES {
        let shape = shape_of(profile)?;
        output.line(match args.output {
            Format::Text => row(profile, &shape),
            Format::Json => object(profile, &shape),
        })?;
    }
    output.flush()?;
    Ok(Exit::Yes)
}

/// The names of all profiles.
pub(crate) fn names() -> String {
    let known: Vec<&str> = PROFILES.iter().map(|it| it.name).collect();
    known.join(", ")
}

/// The machine that a profile is for.
pub(crate) fn shape_of(profile: &Profile) -> Result<Shape, Failure> {
    let shape = profile.shape();
    shape.map_err(|error| Failure::usage(error.to_string()))
}

fn row(profile: &Profile, shape: &Shape) -> String {
    let [memory, disk] = [shape.memory_bytes, shape.disk_bytes].map(show_bytes);
    let (name, cpus, about) = (profile.name, shape.cpus, &shape.about);
    format!("{name:<13} {cpus:>2} CPUs  {memory:>7} memory  {disk:>7} disk  {about}")
}

fn object(profile: &Profile, shape: &Shape) -> String {
    let object = json!({
        "name": profile.name, "about": shape.about, "cpus": shape.cpus,
        "memory_bytes": shape.memory_bytes, "disk_bytes": shape.disk_bytes,
    });
    object.to_string()
}

fn show(args: &ShowArgs) -> CommandResult {
    let Some(profile) = Profile::named(&args.name) else {
        let name = crate::output::printable(&args.name);
        return Err(Failure::usage(format!(
            "no profile {name}; there are {}",
            names()
        )));
    };
    let mut output = Output::new();
    output.line(profile.text.trim_end())?;
    output.flush()?;
    Ok(Exit::Yes)
}
