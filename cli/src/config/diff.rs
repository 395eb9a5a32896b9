//! `flk config diff`: what one configuration file says and another does not.

use super::{CommandResult, of_file, shown};
use crate::exit::{CONFIG_DIFF_CODES, Exit};
use crate::output::{Output, counted};
use clap::Args;
use flk_dataplane::config::{RawConfig, VARIABLES};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  $ flk config diff flk.toml flk.toml";

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
    let lines = lines(&before, &after);
    let mut output = Output::new();
    for line in &lines {
        output.line(line)?;
    }
    let exit = match lines.is_empty() {
        true => Exit::Yes,
        false => {
            let changed = counted((lines.len() / 2) as u64, "setting");
            output.line(format!("{changed} changed; a restart is needed for each"))?;
            Exit::No
        }
    };
    output.flush()?;
    Ok(exit)
}

/// Two lines for each setting that differs. Secrets are compared and not shown.
fn lines(before: &RawConfig, after: &RawConfig) -> Vec<String> {
    let mut lines = Vec::new();
    for &variable in VARIABLES {
        if before.text(variable) == after.text(variable) {
            continue;
        }
        for (mark, raw) in [("-", before), ("+", after)] {
            let text = shown(raw, variable).map(str::to_owned);
            let text = text.unwrap_or_else(|| format!("(default: {})", variable.default()));
            lines.push(format!("{mark} {} = {text}", variable.key()));
        }
    }
    lines
}
