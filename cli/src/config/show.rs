//! `flk config show`: every setting with its value and every tenant, and where each comes from. Secrets are named and never
//! shown.

use super::tenants::{Line, Tenants};
use super::{CommandResult, FileArgs, refused, shown};
use crate::exit::{CONFIG_SHOW_CODES, Exit};
use crate::output::{Format, Output};
use clap::Args;
use flk_dataplane::config::{Mended, VARIABLES};
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  $ flk config show
  $ flk config show --origin --config flk.toml
  $ flk config show --origin --profile laptop
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
    let origins = match args.origin {
        true => Origins::Shown,
        false => Origins::Left,
    };
    let mut output = Output::new();
    for &variable in VARIABLES {
        let value = shown(&raw, variable);
        let (key, mut origin) = (variable.key(), raw.origin(variable).to_string());
        let sealed = raw.sealed(variable);
        if let Some((file, form)) = sealed {
            origin = format!("{origin} ({form}: {file})");
        }
        output.line(match args.output {
            Format::Text => {
                let text = value.unwrap_or(variable.default());
                row(key, text, &origin, origins)
            }
            Format::Json => json!({
                "key": key, "variable": variable.name(), "value": value,
                "default": variable.default(), "origin": origin,
                "encrypted": sealed.map(|(_, form)| form.to_string()),
            })
            .to_string(),
        })?;
    }
    let mended = Mended::of(raw, Vec::new());
    let tenants = Tenants(&mended);
    match args.output {
        Format::Text => {
            for Line { key, text, origin } in tenants.lines() {
                output.line(row(&key, &text, &origin, origins))?;
            }
        }
        Format::Json => {
            for object in tenants.objects() {
                output.line(object.to_string())?;
            }
        }
    }
    output.flush()?;
    match (&mended.config, mended.mistakes.last()) {
        // There are no tenants then that a gateway would have.
        (None, Some(mistake)) => Err(refused(mistake.clone())),
        _ => Ok(Exit::Yes),
    }
}

/// A line for people. The origin stands behind it where it is asked for.
fn row(key: &str, text: &str, origin: &str, with_origin: Origins) -> String {
    match with_origin {
        Origins::Left => format!("{key:<24} {text}"),
        Origins::Shown => format!("{key:<24} {text:<40} {origin}"),
    }
}

/// Whether a line says where its value comes from.
#[derive(Clone, Copy)]
enum Origins {
    Left,
    Shown,
}
