//! `flk control status`: what flk-control knows, as it says it.

use super::CommandResult;
use crate::admin::AdminArgs;
use crate::exit::{CONTROL_CODES, Exit};
use crate::output::Output;
use clap::Args;

/// Options of `flk control status`.
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:\n  $ flk control status\n\nThe answer is one JSON object; docs/control.md describes it.\n\n{CONTROL_CODES}"))]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) fn run(args: &StatusArgs) -> CommandResult {
    let status = args.admin.get("/v1/status")?;
    let mut output = Output::new();
    output.line(format!("{status:#}"))?;
    output.flush()?;
    Ok(Exit::Yes)
}
