//! `flk pcs sign`: sets `sig` and leaves every other member as it was written.
//! Input that is not a record is named on standard error and left out; the others are signed.

use crate::CommandResult;
use crate::exit::{Exit, PCS_SIGN_CODES};
use crate::input::{self, BODY_BYTES_MAX, Bodies, Body};
use crate::keyring::{self, Env, KeyArgs};
use crate::members::with_member;
use crate::output::Output;
use clap::Args;
use flk_contract::{OwnedRecord, Parser, SigningKey, sign};
use flk_dataplane::config::units::show_bytes;
use std::path::PathBuf;

/// Shown below its help.
fn after_help() -> String {
    format!(
        "\
Examples:
  $ flk pcs build events.csv | flk pcs sign > signed.json
  $ PCS_HMAC_KEY=testsecret flk pcs sign pcs.json
  $ flk pcs sign --key-file agent.key records.ndjson > signed.ndjson

{}

{PCS_SIGN_CODES}",
        keyring::HELP
    )
}

/// Options of `flk pcs sign`.
#[derive(Args, Debug)]
#[command(after_help = after_help())]
pub(crate) struct SignArgs {
    /// Records, one per line or spread over lines; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    keys: KeyArgs,
}

/// Runs it.
pub(crate) fn run(args: &SignArgs) -> CommandResult {
    let key = args.keys.signing(&Env::of_process())?;
    let mut parser = Parser::new();
    let mut output = Output::new();
    let mut exit = Exit::Yes;
    let mut is_empty = true;
    for body in Bodies::new(input::open(&args.file)?) {
        let body = body.map_err(|error| input::broken(&error))?;
        is_empty = false;
        match signed(&key, &mut parser, &body) {
            Ok(json) => output.line(&json)?,
            Err(why) => {
                eprintln!("flk: line {}: not signed: {why}", body.line);
                exit = Exit::No;
            }
        }
    }
    output.flush()?;
    if is_empty {
        return Err(input::empty(&args.file));
    }
    Ok(exit)
}

/// The same object with its signature.
fn signed(key: &SigningKey, parser: &mut Parser, body: &Body) -> Result<Vec<u8>, String> {
    if body.bytes_count > BODY_BYTES_MAX {
        let (found, most) = (body.bytes_count, show_bytes(BODY_BYTES_MAX));
        return Err(format!(
            "it has {found} bytes, and no gateway takes more than {most}"
        ));
    }
    let record = parser
        .parse(&body.bytes)
        .map_err(|malformed| malformed.to_string())?;
    let owned = OwnedRecord::from(&record);
    let sig = format!("\"{}\"", sign(key, &owned.view()));
    with_member(&body.bytes, "sig", &sig).ok_or_else(|| "it is not one JSON object".to_owned())
}
