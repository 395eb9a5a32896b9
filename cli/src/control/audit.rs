//! `flk control audit`: checks the chain of the audit log. It changes nothing, and needs no running control process.

use super::CommandResult;
use crate::exit::{AUDIT_CODES, Exit, Failure};
use crate::fault;
use crate::output::{Output, counted};
use clap::Args;
use flk_control::audit::{FILE, verify};
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Check that no line was changed, removed or moved
    Verify(VerifyArgs),
}

/// Options of `flk control audit verify`.
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:\n  $ flk control audit verify\n  $ flk control audit verify --dir data/control\n\nEach line has the SHA-256 of the one before, so a change shows at the line behind it. To know that the end was not cut off, keep the printed hash elsewhere.\n\n{AUDIT_CODES}"))]
pub(crate) struct VerifyArgs {
    /// Directory of the control process
    #[arg(
        long,
        value_name = "DIR",
        env = "CONTROL_DIR",
        default_value = "data/control"
    )]
    dir: PathBuf,
}

pub(super) fn run(command: &Command) -> CommandResult {
    let Command::Verify(args) = command;
    let path = args.dir.join(FILE);
    let shown = path.display();
    let log = std::fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::usage(format!(
            "there is no {shown}: --dir or CONTROL_DIR names the directory"
        )),
        _ => Failure::with(Exit::File, format!("{shown}: {}", fault::why(&error))),
    })?;
    let summary =
        verify(&log).map_err(|broken| Failure::with(Exit::Damage, format!("{shown}: {broken}")))?;
    let mut output = Output::new();
    let lines = counted(summary.lines, "line");
    output.line(format!(
        "{lines}, each follows the one before; hash of the last: {}",
        summary.last_hash
    ))?;
    if summary.whole_bytes < log.len() {
        output
            .line("behind them is a torn line, which the next start of flk-control keeps aside")?;
    }
    output.flush()?;
    Ok(Exit::Yes)
}
