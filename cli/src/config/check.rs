//! `flk config check`: every mistake in the settings, and names in the environment that look like settings and are none.

use super::{CommandResult, FileArgs};
use crate::exit::{CONFIG_CODES, Exit};
use crate::output::{Output, counted};
use clap::Args;
use flk_control::run::check_access;
use flk_dataplane::config::{Mended, VARIABLES, warnings};
use std::collections::BTreeSet;

const EXAMPLES: &str = "\
Examples:
  $ PCS_HMAC_KEY_FILE=agent.key flk config check
  $ PCS_HMAC_KEY_FILE=agent.key flk config check --config flk.toml";

/// Options of `flk config check`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{CONFIG_CODES}"))]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    file: FileArgs,
}

pub(super) fn run(args: &CheckArgs) -> CommandResult {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let unknown = warnings(&names.collect::<BTreeSet<_>>());
    let (raw, mistakes) = args.file.read();
    let Mended {
        config, mistakes, ..
    } = Mended::of(raw, mistakes);
    // The control process refuses these at its start; the gateway does without an admin API.
    let access = config.map_or(Ok(()), |it| check_access(&it.control));
    let errors: Vec<String> = unknown
        .into_iter()
        .chain(mistakes.iter().map(ToString::to_string))
        .chain(access.err().into_iter().flatten())
        .collect();
    let mut output = Output::new();
    for error in &errors {
        output.line(format!("error: {error}"))?;
    }
    if errors.is_empty() {
        let settings = counted(VARIABLES.len() as u64, "setting");
        output.line(format!(
            "{settings}, each is valid; flk doctor checks whether this host allows them"
        ))?;
    }
    output.flush()?;
    Ok(match errors.is_empty() {
        true => Exit::Yes,
        false => Exit::Configuration,
    })
}
