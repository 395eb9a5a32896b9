//! `flk config history`, `rollback` and `reload`: the snapshots that were in force, and the way to another one. flk-control
//! does it; these commands only ask.

use super::CommandResult;
use crate::admin::AdminArgs;
use crate::args::whole;
use crate::exit::{CONTROL_CODES, Exit};
use crate::output::{Format, Output, printable};
use clap::Args;
use serde_json::Value;
use std::time::{Duration, UNIX_EPOCH};

/// Options of `flk config history`.
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:\n  $ flk config history\n  $ flk config history --output json\n\nWith a number it prints that snapshot: sources of keys, never keys.\n\n{CONTROL_CODES}"))]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// A snapshot to show
    #[arg(value_parser = whole(0..=u32::MAX))]
    number: Option<u32>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Options of `flk config rollback`.
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:\n  $ flk config rollback 0\n\nThe content of that snapshot is published under a new number. It stays until the configuration file changes, or until flk config reload.\n\n{CONTROL_CODES}"))]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// The snapshot to go back to, as flk config history lists it; 0 is the one of the start
    #[arg(value_parser = whole(0..=u32::MAX))]
    number: u32,
}

/// Options of `flk config reload`.
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:\n  $ flk config reload\n\nA changed file is noticed without it. It ends a rollback, and says what is wrong with the file.\n\n{CONTROL_CODES}"))]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) fn history(args: &HistoryArgs) -> CommandResult {
    let mut output = Output::new();
    if let Some(number) = args.number {
        let document = args.admin.get(&format!("/v1/snapshots/{number}"))?;
        output.line(format!("{document:#}"))?;
        output.flush()?;
        return Ok(Exit::Yes);
    }
    let listed = args.admin.get("/v1/snapshots")?;
    let in_force = &listed["in_force"];
    let away = listed["dataplane"]["why"].as_str().map(printable);
    let mark_in_force = match away {
        Some(_) => Mark::InForceLast,
        None => Mark::InForce,
    };
    let kept = listed["kept"].as_array().map_or(&[][..], Vec::as_slice);
    if !kept.iter().any(|it| it["number"] == in_force["number"]) {
        let since = &in_force["since_s"];
        output.line(row(in_force, since, mark_in_force, args.output))?;
    }
    for snapshot in kept {
        let mark = match snapshot["number"] == in_force["number"] {
            true => mark_in_force,
            false => Mark::Kept,
        };
        output.line(row(snapshot, &snapshot["stored_s"], mark, args.output))?;
    }
    output.flush()?;
    if let Some(why) = away {
        eprintln!("flk: {why}: this is what it said last");
    }
    Ok(Exit::Yes)
}

/// How a snapshot stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// It can be had again.
    Kept,
    /// The gateway says that it is in force.
    InForce,
    /// The gateway does not answer; it was in force when it did last.
    InForceLast,
}

impl Mark {
    fn word(self) -> &'static str {
        match self {
            Mark::Kept => "",
            Mark::InForce => "in force",
            Mark::InForceLast => "in force last; the gateway does not answer",
        }
    }
}

fn row(snapshot: &Value, at_s: &Value, mark: Mark, format: Format) -> String {
    let number = snapshot["number"].to_string();
    let digest = printable(snapshot["digest"].as_str().unwrap_or_default());
    let at = UNIX_EPOCH + Duration::from_secs(at_s.as_u64().unwrap_or_default().min(1 << 37));
    let at = humantime::format_rfc3339_seconds(at);
    match format {
        Format::Text => {
            let digest: String = digest.chars().take(16).collect();
            format!("{number:>6}  {digest}  {at}  {}", mark.word())
                .trim_end()
                .to_owned()
        }
        Format::Json => serde_json::json!({
            "number": snapshot["number"], "digest": digest, "at": at.to_string(),
            "in_force": match mark {
                Mark::InForce => Some(true),
                Mark::Kept => Some(false),
                Mark::InForceLast => None,
            },
            "in_force_last": mark != Mark::Kept,
        })
        .to_string(),
    }
}

pub(super) fn rollback(args: &RollbackArgs) -> CommandResult {
    let path = format!("/v1/snapshots/{}/rollback", args.number);
    tell(&args.admin.post(&path)?)
}

pub(super) fn reload(args: &ReloadArgs) -> CommandResult {
    tell(&args.admin.post("/v1/reload")?)
}

/// What came of it.
fn tell(outcome: &Value) -> CommandResult {
    let mut output = Output::new();
    let number = &outcome["number"];
    output.line(match outcome["changed"].as_bool() {
        Some(true) => format!("snapshot {number} is in force"),
        _ => format!("nothing differs: snapshot {number} stays in force"),
    })?;
    let texts = |name: &str| {
        let lines = outcome[name].as_array().map_or(&[][..], Vec::as_slice);
        lines.iter().filter_map(Value::as_str).map(printable)
    };
    for line in texts("diff") {
        output.line(format!("  {line}"))?;
    }
    for line in texts("restart_needed") {
        output.line(format!("needs a restart of the data plane: {line}"))?;
    }
    for line in texts("control_restart_needed") {
        output.line(format!("needs a restart of flk-control: {line}"))?;
    }
    output.flush()?;
    Ok(Exit::Yes)
}
