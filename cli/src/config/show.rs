//! `flk config show`: every setting with its value, and where that comes from. Secrets are named and never shown.

use super::{CommandResult, FileArgs, refused, shown};
use crate::exit::{CONFIG_SHOW_CODES, Exit};
use crate::output::{Format, Output};
use clap::Args;
use flk_dataplane::config::{TenantLine, VARIABLES};
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  $ flk config show
  $ flk config show --origin --config flk.toml
  $ flk config show --output json";

/// Options of `flk config show`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{CONFIG_SHOW_CODES}"))]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Say where each value comes from
    #[arg(long)]
    origin: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(super) fn run(args: &ShowArgs) -> CommandResult {
    let (raw, mistakes) = args.file.read();
    if let Some(mistake) = mistakes.into_iter().next() {
        return Err(refused(mistake));
    }
    let mut output = Output::new();
    for &variable in VARIABLES {
        let value = shown(&raw, variable);
        let (key, origin) = (variable.key(), raw.origin(variable).to_string());
        let text = value.unwrap_or(variable.default());
        output.line(match (args.output, args.origin) {
            (Format::Text, false) => format!("{key:<24} {text}"),
            (Format::Text, true) => format!("{key:<24} {text:<40} {origin}"),
            (Format::Json, _) => json!({
                "key": key, "variable": variable.name(), "value": value,
                "default": variable.default(), "origin": origin,
            })
            .to_string(),
        })?;
    }
    for TenantLine { key, value, place } in raw.tenant_lines() {
        let origin = place.map(|place| format!("{}:{}", place.path.display(), place.line));
        let origin = origin.unwrap_or_default();
        output.line(match (args.output, args.origin) {
            (Format::Text, false) => format!("{key:<24} {value}"),
            (Format::Text, true) => format!("{key:<24} {value:<40} {origin}"),
            (Format::Json, _) => json!({
                "key": key, "variable": null, "value": value, "default": null, "origin": origin,
            })
            .to_string(),
        })?;
    }
    output.flush()?;
    Ok(Exit::Yes)
}
