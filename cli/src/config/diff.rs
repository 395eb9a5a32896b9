//! `flk config diff`: what one configuration file says and another does not.

use super::{CommandResult, of_file, refused, shown};
use crate::exit::{CONFIG_DIFF_CODES, Exit, Failure};
use crate::output::{Output, counted};
use clap::Args;
use flk_control::options::{Taken, taken};
use flk_dataplane::config::{Config, RawConfig, VARIABLES, Variable};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  $ flk config diff flk.toml flk.toml

It compares what the two files say. What a gateway runs may also come from variables and arguments, which outweigh its file, or \
from a stored snapshot: flk config history and flk control status show that.";

/// Options of `flk config diff`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{CONFIG_DIFF_CODES}"))]
pub(crate) struct DiffArgs {
    /// The file that is in force
    before: PathBuf,
    /// The file that is to be
    after: PathBuf,
}

pub(super) fn run(args: &DiffArgs) -> CommandResult {
    let (before, after) = (of_file(&args.before)?, of_file(&args.after)?);
    let changed: Vec<Variable> = VARIABLES
        .iter()
        .copied()
        .filter(|&it| before.text(it) != after.text(it))
        .collect();
    let tenants = of_tenants(&before, &after)?;
    let mut output = Output::new();
    for line in lines(&changed, &before, &after).iter().chain(&tenants) {
        output.line(line)?;
    }
    if changed.is_empty() && tenants.is_empty() {
        output.flush()?;
        return Ok(Exit::Yes);
    }
    let settings = counted(changed.len() as u64, "setting");
    let lines = counted(tenants.len() as u64, "line");
    output.line(format!("{settings} changed, and {lines} of tenants"))?;
    for line in taken_by(&changed, !tenants.is_empty()) {
        output.line(line)?;
    }
    output.flush()?;
    Ok(Exit::No)
}

/// What must be restarted, and for what; and whether there is something that needs no restart.
fn taken_by(changed: &[Variable], tenants_differ: bool) -> Vec<String> {
    let of = |is_wanted: &[Taken]| {
        let is_it = |variable: &&Variable| is_wanted.contains(&taken(variable.key()));
        let keys: Vec<&str> = changed.iter().filter(is_it).map(|it| it.key()).collect();
        keys.join(", ")
    };
    let restarts = [
        (
            "the gateway",
            of(&[Taken::RestartOfGateway, Taken::RestartOfBoth]),
        ),
        (
            "flk-control",
            of(&[Taken::RestartOfControl, Taken::RestartOfBoth]),
        ),
    ];
    let needed = restarts.into_iter().filter(|(_, keys)| !keys.is_empty());
    let mut lines: Vec<String> = needed
        .map(|(process, keys)| format!("a restart of {process} is needed for {keys}"))
        .collect();
    let rest = match lines.is_empty() {
        true => "all of it",
        false => "the rest",
    };
    if tenants_differ || !of(&[Taken::Served]).is_empty() {
        lines.push(format!(
            "flk-control brings {rest} into force while the gateway serves"
        ));
    }
    lines
}

/// What differs in tables of tenants, with the keys that are there on this machine.
fn of_tenants(before: &RawConfig, after: &RawConfig) -> Result<Vec<String>, Failure> {
    if !before.has_tenants() && !after.has_tenants() {
        return Ok(Vec::new());
    }
    let document = |raw: &RawConfig| Config::resolve(raw).map(|it| it.document).map_err(refused);
    let lines = flk_control::diff::diff(&document(before)?, &document(after)?);
    let is_of_tenants = |line: &String| line.starts_with("tenant ");
    Ok(lines.into_iter().filter(is_of_tenants).collect())
}

/// Two lines for each setting that differs. Secrets are compared and not shown.
fn lines(changed: &[Variable], before: &RawConfig, after: &RawConfig) -> Vec<String> {
    let mut lines = Vec::new();
    for &variable in changed {
        for (mark, raw) in [("-", before), ("+", after)] {
            let text = shown(raw, variable).map(str::to_owned);
            let text = text.unwrap_or_else(|| format!("(default: {})", variable.default()));
            lines.push(format!("{mark} {} = {text}", variable.key()));
        }
    }
    lines
}
