//! `flk pcs`: what an agent does with a record, step by step, and how a gateway would judge it.

mod build;
pub(crate) mod edit;
mod sign;
mod table;
mod verdict;
mod verify;

use crate::{Answer, submit};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Turn a CSV of events (t,x,y,z) into an unsigned record
    Build(build::BuildArgs),
    /// Sign records: one in, one out, one per line
    Sign(sign::SignArgs),
    /// Say why records would be accepted, escalated or refused
    Verify(verify::VerifyArgs),
    /// Send records to a gateway and show its answers
    Submit(submit::SubmitArgs),
}

/// Runs one of them.
pub(crate) fn run(command: Command) -> Answer {
    match command {
        Command::Build(args) => build::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Submit(args) => submit::run(&args),
    }
}
