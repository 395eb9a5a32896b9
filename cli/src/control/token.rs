//! `flk control token`: makes a token and shows it once, with the line that lets it in.

use super::CommandResult;
use crate::exit::{Exit, Failure, TOKEN_CODES};
use crate::output::Output;
use clap::Args;
use flk_control::tokens::{Role, make};

const EXAMPLES: &str = "\
Examples:
  $ flk control token anna --role operator

Standard output has the token; give it to its holder, who puts it into a file of mode 600 and names that in --token-file or \
FLK_ADMIN_TOKEN_FILE. Standard error has the line for the file that ADMIN_TOKENS_FILE names; it holds the token's SHA-256 \
and not the token. flk-control notices a change of it with the next request. Roles: observer looks, operator also reloads and rolls back, \
administrator may do everything.";

/// Options of `flk control token`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{TOKEN_CODES}"))]
pub(crate) struct TokenArgs {
    /// Who it is for, as the audit log names them
    actor: String,
    /// What it may do
    #[arg(long, value_parser = |text: &str| text.parse::<Role>())]
    role: Role,
}

pub(super) fn run(args: &TokenArgs) -> CommandResult {
    let (token, line) = make(&args.actor, args.role).map_err(Failure::usage)?;
    let mut output = Output::new();
    output.line(token)?;
    output.flush()?;
    eprintln!("line for ADMIN_TOKENS_FILE:");
    eprintln!("{line}");
    Ok(Exit::Yes)
}
