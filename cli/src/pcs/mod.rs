//! `flk pcs`: the steps of an agent (build, sign, submit), and the verdict of a gateway without one (verify).

mod build;
pub(crate) mod sign;
mod table;
mod verdict;
mod verify;

use crate::{CommandResult, submit};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Turn a CSV of events (t,x,y,z) into an unsigned record
    Build(build::BuildArgs),
    /// Sign records; writes one per line
    Sign(sign::SignArgs),
    /// Show why records would be accepted, escalated or refused
    Verify(verify::VerifyArgs),
    /// Send records to a gateway and show its answers
    Submit(submit::SubmitArgs),
}

/// Runs one of them.
pub(crate) fn run(command: Command) -> CommandResult {
    match command {
        Command::Build(args) => build::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Submit(args) => submit::run(&args),
    }
}
