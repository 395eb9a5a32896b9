//! `flk pcs sign`: sets `sig` and leaves every other member as it was written.
//! A record that cannot be one is named on standard error and left out; the others are signed.

use crate::Answer;
use crate::exit::{Exit, Failure};
use crate::input::{self, Bodies};
use crate::keys::{self, Env, KeyArgs};
use crate::output::Output;
use crate::pcs::edit::with_member;
use clap::Args;
use flk_contract::{OwnedRecord, Parser, SigningKey, sign};
use std::path::PathBuf;

/// Shown below its help.
fn after_help() -> String {
    format!(
        "\
Examples:
  $ flk pcs build events.csv | flk pcs sign > signed.json
  $ PCS_HMAC_KEY=testsecret flk pcs sign pcs.json
  $ flk pcs sign --key-file agent.key records.ndjson > signed.ndjson

{}",
        keys::HELP
    )
}

/// Options of `flk pcs sign`.
#[derive(Args, Debug)]
#[command(after_help = after_help())]
pub(crate) struct SignArgs {
    /// Records, one per line or spread over lines; `-` reads standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    keys: KeyArgs,
}

/// Runs it.
pub(crate) fn run(args: &SignArgs) -> Answer {
    let key = args.keys.signing(&Env::of_process())?;
    let mut parser = Parser::new();
    let mut output = Output::new();
    let mut exit = Exit::Yes;
    for body in Bodies::new(input::open(&args.file)?) {
        let body =
            body.map_err(|error| Failure::usage(format!("cannot read the input: {error}")))?;
        match signed(&key, &mut parser, &body.bytes) {
            Ok(json) => output.line(&json)?,
            Err(why) => {
                eprintln!("flk: line {}: not signed: {why}", body.line);
                exit = Exit::No;
            }
        }
    }
    output.flush()?;
    Ok(exit)
}

/// The same object with its signature.
fn signed(key: &SigningKey, parser: &mut Parser, body: &[u8]) -> Result<Vec<u8>, String> {
    let record = parser
        .parse(body)
        .map_err(|malformed| malformed.to_string())?;
    let owned = OwnedRecord::from(&record);
    let sig = format!("\"{}\"", sign(key, &owned.view()));
    with_member(body, "sig", &sig).ok_or_else(|| "it is not one JSON object".to_owned())
}
