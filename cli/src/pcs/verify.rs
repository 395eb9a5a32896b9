//! `flk pcs verify`: what a gateway would answer, and why, without sending anything.

use crate::CommandResult;
use crate::args::size;
use crate::exit::{Exit, PCS_VERIFY_CODES};
use crate::input::{self, BODY_BYTES_MAX, Bodies};
use crate::keyring::{self, Env, KeyArgs};
use crate::output::Output;
use crate::pcs::table::{Recomputed, table};
use crate::pcs::verdict::{Judge, Judged, Verdict};
use clap::Args;
use flk_contract::Params;
use flk_dataplane::config::units::show_bytes;
use flk_dataplane::http::Problem;
use serde_json::{Value, json};
use std::path::PathBuf;

fn after_help() -> String {
    format!(
        "\
Examples:
  $ flk pcs verify signed.json
  $ flk pcs verify --json records.ndjson > verdicts.ndjson
  $ flk pcs build events.csv | flk pcs sign | flk pcs verify

{}

{PCS_VERIFY_CODES}",
        keyring::HELP
    )
}

/// Options of `flk pcs verify`.
#[derive(Args, Debug)]
#[command(after_help = after_help())]
pub(crate) struct VerifyArgs {
    /// Records, one per line or spread over lines; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    keys: KeyArgs,
    /// Largest body that the gateway accepts
    #[arg(long, value_name = "SIZE", env = "FLK_BODY_MAX", default_value = "1MiB", value_parser = size(1 << 10..=BODY_BYTES_MAX))]
    body_max: u64,
    /// One JSON object per record instead of a table
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) fn run(args: &VerifyArgs) -> CommandResult {
    let keys = args.keys.verifying(&Env::of_process())?;
    let mut judge = Judge::new(&keys);
    let mut output = Output::new();
    let mut exit = Exit::Yes;
    let mut is_empty = true;
    for body in Bodies::new(input::open(&args.file)?) {
        let body = body.map_err(|error| input::broken(&error))?;
        is_empty = false;
        let judged = match body.bytes_count > args.body_max {
            true => too_large(body.bytes_count, args.body_max),
            false => judge.judge(&body.bytes),
        };
        if judged.status() != 200 {
            exit = Exit::No;
        }
        if args.json {
            output.line(as_json(body.line, &judged, &judge.params).to_string())?;
        } else {
            output.line(table(body.line, &judged, &judge.params).trim_end())?;
        }
    }
    output.flush()?;
    if is_empty {
        return Err(input::empty(&args.file));
    }
    Ok(exit)
}

/// A gateway refuses such a body before it reads it.
fn too_large(found: u64, most: u64) -> Judged {
    let most = show_bytes(most);
    Judged {
        record: None,
        signed_by: None,
        verdict: Verdict::Refused {
            problem: Problem::BodyTooLarge,
            why: format!(
                "it has {found} bytes, and the gateway takes at most {most} (FLK_BODY_MAX)"
            ),
            hint: None,
        },
    }
}

fn as_json(line: u64, judged: &Judged, params: &Params) -> Value {
    let mut out = json!({
        "line": line,
        "status": judged.status(),
        "verdict": judged.word(),
    });
    match &judged.verdict {
        Verdict::Outcome(outcome) => {
            out["reason"] = json!(outcome.escalated.map(|reason| reason.as_str()));
        }
        Verdict::Refused { problem, why, hint } => {
            out["code"] = json!(problem.code());
            out["why"] = json!(why);
            out["hint"] = json!(hint);
        }
    }
    if let Some((key, scheme)) = &judged.signed_by {
        out["signed_by"] = json!({"key": key.to_string(), "scheme": scheme.to_string()});
    }
    if let Some(record) = &judged.record {
        let again = Recomputed::of(record, params);
        out["pcs_id"] = json!(record.pcs_id);
        out["claimed"] = json!({
            "D_hat": record.d_hat,
            "coh_star": record.coh_star,
            "regime": record.regime.as_str(),
            "budget": record.budget,
            "degraded": record.degraded,
        });
        out["recomputed"] = json!({
            "D_hat": again.d_hat,
            "regime": again.regime,
            "budget": again.budget,
        });
        out["params_version"] = json!(params.version.as_str());
    }
    out
}
