//! `flk bench fixtures`: signed records for other load generators, one a line, with ids that no other run has. Each is written when it is
//! made, so that their number takes no memory. It sends nothing.

use super::key::{self, KeyFiles};
use crate::CommandResult;
use crate::args::{size, whole};
use crate::exit::{Exit, FIXTURES_CODES, Failure};
use crate::input::BODY_BYTES_MAX;
use crate::keyring::{self, KeyArgs};
use crate::output::Output;
use clap::{Args, ValueEnum};
use flk_bench_load::claims;
use flk_bench_load::mix::{Kind, Order};
use flk_bench_load::record::{Carries, RECORDS_MAX, Recipe, Shape};
use serde::Serialize;
use std::fmt::Display;

const EXAMPLES: &str = "\
Examples:
  $ flk bench fixtures --count 1000 > records.ndjson
  $ flk bench fixtures --count 100 --regime non_sticky | flk pcs verify --json
  $ flk bench fixtures --count 10 --bad-signatures > refused.ndjson
  $ flk bench fixtures --count 1000 --form parts > records.parts

Each line is the body of one request. A gateway with the same key accepts each of them, and none is a duplicate of another one, of this \
run or of any other. With --bad-signatures each has a signature by no key, and is answered 401.

--form parts writes what many bodies have in common only once, for generators that keep all records in memory: the first line is an object \
with the five texts (pieces) before, between and behind the parts of a body, and each further line is the four parts of one body, with \
spaces between them: id, epoch, Merkle root, signature.";

/// Shown below its help.
fn after_help() -> String {
    format!("{EXAMPLES}\n\n{}\n\n{FIXTURES_CODES}", keyring::HELP)
}

/// The name of the form of parts, and its version.
const PARTS: &str = "flk-parts-1";

/// Options of `flk bench fixtures`.
#[derive(Args, Debug)]
#[command(after_help = after_help())]
pub(super) struct FixturesArgs {
    /// How many records
    #[arg(long, value_name = "N", value_parser = whole(1..=RECORDS_MAX))]
    count: u64,
    /// What a line is
    #[arg(long, value_enum, default_value_t = Form::Bodies)]
    form: Form,
    /// The regime of all records, with numbers that make it
    #[arg(long, value_enum, default_value_t = Regime::Sticky)]
    regime: Regime,
    /// Give each record a signature by no key
    #[arg(long)]
    bad_signatures: bool,
    /// Make each body so long at least, by a field that gateways ignore
    #[arg(long, value_name = "SIZE", value_parser = size(1..=BODY_BYTES_MAX))]
    body_bytes: Option<u64>,
    #[command(flatten)]
    keys: KeyArgs,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// The body of a request
    Bodies,
    /// What a body has of its own
    Parts,
}

/// The regime of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Regime {
    /// Points that keep together
    Sticky,
    /// Neither of the others
    Mixed,
    /// Points that fill their space
    NonSticky,
}

impl From<Regime> for claims::Regime {
    fn from(regime: Regime) -> Self {
        match regime {
            Regime::Sticky => Self::Sticky,
            Regime::Mixed => Self::Mixed,
            Regime::NonSticky => Self::NonSticky,
        }
    }
}

/// The first line of the form of parts.
#[derive(Serialize)]
struct Head<'a> {
    format: &'a str,
    pieces: [&'a str; 5],
    parts: [&'a str; 4],
}

/// Runs it.
pub(super) fn run(args: &FixturesArgs) -> CommandResult {
    let regime = args.regime.into();
    let keys = key::read(
        &KeyFiles {
            keys: &args.keys,
            tenants_dir: None,
            tenants: &[],
            ed25519: None,
        },
        regime,
    )?;
    let bytes_least = args.body_bytes.unwrap_or(0);
    let shape = Shape {
        authority: "",
        path: "",
        carries: Carries::Record,
        tenants: &[],
        body_bytes: usize::try_from(bytes_least).unwrap_or(usize::MAX),
        shard_id: &super::new_shard_id(),
        regime,
    };
    let recipe = Recipe::new(&shape, keys);
    let mut output = Output::new();
    if args.form == Form::Parts {
        output.line(head(&recipe)?)?;
    }
    let order = Order {
        kind: match args.bad_signatures {
            true => Kind::BadSignature,
            false => Kind::New,
        },
        tenant: 0,
        key: 0,
    };
    let mut line = Vec::with_capacity(recipe.body_bytes());
    for number in 0..args.count {
        line.clear();
        let signed = recipe.make(order, number);
        match args.form {
            Form::Bodies => recipe.write_body(&signed, &mut line),
            Form::Parts => write_parts(&recipe.parts(&signed), &mut line),
        }
        output.line(&line)?;
    }
    output.flush()?;
    Ok(Exit::Yes)
}

/// The line that says what the others are parts of.
fn head(recipe: &Recipe) -> Result<String, Failure> {
    let mut pieces = [""; 5];
    for (text, bytes) in pieces.iter_mut().zip(recipe.pieces()) {
        *text = std::str::from_utf8(bytes).map_err(|it| no_form(&it))?;
    }
    let head = Head {
        format: PARTS,
        pieces,
        parts: ["pcs_id", "epoch", "merkle_root", "sig"],
    };
    serde_json::to_string(&head).map_err(|it| no_form(&it))
}

fn no_form(why: &dyn Display) -> Failure {
    Failure::with(
        Exit::File,
        format!("the records have no form as JSON: {why}"),
    )
}

fn write_parts(parts: &[&[u8]; 4], line: &mut Vec<u8>) {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            line.push(b' ');
        }
        line.extend_from_slice(part);
    }
}
