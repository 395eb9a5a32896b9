//! `flk dedup get`: the outcome that a duplicate of an id is answered with.

use super::find::search;
use crate::CommandResult;
use crate::args::tenant;
use crate::exit::{DEDUP_GET_CODES, Exit, Failure};
use crate::output::{Format, Output};
use crate::wal::DirArgs;
use crate::wal::directory::Directory;
use clap::Args;
use flk_contract::hash::{bytes_of_hex32, hex32};
use flk_contract::outcome::write_outcome;
use flk_dataplane::keeper::find::{Origin, StoredOutcome};
use flk_dataplane::wal::files::NumberedFile;
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

const EXAMPLES: &str = "\
Examples:
  $ flk dedup get 630bbdb51888a8b53dbbcbc0aa9266d56d56394f059247b069dd0a4e276da353
  $ flk dedup get 630bbdb51888a8b53dbbcbc0aa9266d56d56394f059247b069dd0a4e276da353 --tenant acme --output json

It reads the log directory, also beside a gateway that serves from it, and changes nothing. It needs to read the secret in the \
directory, so run it as the gateway's user. Times are by the wall clock of the log; a place in a log is shown while its segment \
is kept, and flk wal inspect shows the record there. Clients ask the gateway: GET /v1/pcs/{pcs_id}, where FLK_LOOK_UPS is on.";

/// Options of `flk dedup get`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{DEDUP_GET_CODES}"))]
pub(crate) struct GetArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// The id: 64 of 0-9 a-f
    #[arg(value_name = "PCS_ID", value_parser = pcs_id)]
    pcs_id: PcsId,
    /// Tenant of the record
    #[arg(long, default_value = "default", value_parser = tenant)]
    tenant: String,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// An id.
#[derive(Clone, Copy, Debug)]
struct PcsId([u8; 32]);

fn pcs_id(text: &str) -> Result<PcsId, String> {
    let id = bytes_of_hex32(text.as_bytes()).map(PcsId);
    id.ok_or_else(|| "a pcs_id is 64 of 0-9 a-f".to_owned())
}

/// Runs it.
pub(crate) fn run(args: &GetArgs) -> CommandResult {
    let directory = Directory::open(args.dir.path())?;
    let searched = search(&directory, &args.tenant, args.pcs_id.0)?;
    let alive = searched.outcome.as_ref().filter(|it| it.is_alive);
    match (alive, searched.unread) {
        (None, Some(unread)) => return Err(unread),
        (Some(_), Some(unread)) => eprintln!("flk: warning: {}", unread.text()),
        (_, None) => {}
    }
    let mut output = Output::new();
    match args.output {
        Format::Json => output.line(args.json(searched.outcome.as_ref()).to_string())?,
        Format::Text => {
            for line in args.lines(searched.outcome.as_ref()) {
                output.line(line)?;
            }
        }
    }
    output.flush()?;
    match alive {
        Some(_) => Ok(Exit::Yes),
        None => Err(Failure::with(
            Exit::No,
            args.absent(searched.outcome.as_ref()),
        )),
    }
}

impl GetArgs {
    fn hex(&self) -> String {
        String::from_utf8_lossy(&hex32(&self.pcs_id.0)).into_owned()
    }

    /// Why there is nothing to show.
    fn absent(&self, expired: Option<&StoredOutcome>) -> String {
        let (id, tenant) = (self.hex(), &self.tenant);
        match expired {
            None => format!("no outcome of {id} is stored for tenant {tenant}"),
            Some(it) => format!(
                "the outcome of {id} for tenant {tenant} answers no more: its time was over at {}",
                time_text(it.expires_us)
            ),
        }
    }

    fn lines(&self, outcome: Option<&StoredOutcome>) -> Vec<String> {
        let Some(it) = outcome.filter(|it| it.is_alive) else {
            return Vec::new();
        };
        let place = match it.decision.origin {
            Origin::Log { log, body } => {
                format!("log {log}, record {}.{}", body.sequence, body.index)
            }
            Origin::Slice(_) => "no longer in a log".to_owned(),
        };
        let rows = [
            ("tenant", self.tenant.clone()),
            ("pcs_id", self.hex()),
            ("status", status(it).to_string()),
            ("outcome", text(it, &self.hex())),
            ("decided", time_text(it.decision.decided_us)),
            ("expires", time_text(it.expires_us)),
            ("place", place),
            ("slice", slice(it).unwrap_or_else(|| "none yet".to_owned())),
        ];
        let line = |(name, value)| format!("{name:<8} {value}");
        rows.map(line).into()
    }

    fn json(&self, outcome: Option<&StoredOutcome>) -> Value {
        let mut value = json!({
            "tenant": self.tenant,
            "pcs_id": self.hex(),
            "found": outcome.is_some_and(|it| it.is_alive),
        });
        let Some(it) = outcome else {
            return value;
        };
        value["expires"] = json!(time_text(it.expires_us));
        value["decided"] = json!(time_text(it.decision.decided_us));
        if !it.is_alive {
            return value;
        }
        value["status"] = json!(status(it));
        value["outcome"] = json!(text(it, &self.hex()));
        value["slice"] = json!(slice(it));
        if let Origin::Log { log, body } = it.decision.origin {
            value["log"] = json!(log.to_string());
            value["sequence"] = json!(body.sequence.to_string());
            value["index"] = json!(body.index);
        }
        value
    }
}

/// A time of the log: the second that it is known to.
fn time_text(wall_us: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_micros(wall_us)).to_string()
}

fn status(outcome: &StoredOutcome) -> u16 {
    match outcome.decision.decided.reason {
        0 => 200,
        _ => 202,
    }
}

/// The file name of the slice that has it.
fn slice(outcome: &StoredOutcome) -> Option<String> {
    let number = match outcome.decision.origin {
        Origin::Slice(number) => Some(number),
        Origin::Log { .. } => outcome.slice,
    };
    number.map(|it| NumberedFile::Slice(it).to_string())
}

/// The outcome as a duplicate gets it.
fn text(outcome: &StoredOutcome, pcs_id: &str) -> String {
    let decided = &outcome.decision.decided;
    let stored = decided.outcome(outcome.decision.params);
    let mut text = Vec::new();
    match write_outcome(decided.encoding, &stored, pcs_id, &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(unknown) => format!("({unknown})"),
    }
}
