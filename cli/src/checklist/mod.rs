//! `flk checklist`: the items that hold before a gateway goes into production, and which of them hold here. It runs the commands that prove
//! them, where that changes nothing, and names the others.

mod files;
mod items;
mod judge;
mod prove;
mod verdict;

use crate::CommandResult;
use crate::config::FileArgs;
use crate::exit::{CHECKLIST_CODES, Exit};
use crate::output::{Output, printable};
use crate::submit::target::Target;
use clap::Args;
use clap::builder::PossibleValuesParser;
use items::{ITEMS, Item};
use prove::Prover;
use serde_json::json;
use std::path::PathBuf;
use verdict::Verdict;

const EXAMPLES: &str = "\
Examples:
  $ flk checklist --list
  $ flk checklist --item code-6 --item infrastructure-7 http://127.0.0.1:8080
  $ flk checklist --item operations-7 --json

Run it where the gateway runs, with its settings, as its user. Without an argument the items of the host are run, with a URL those of a \
gateway too, and with --backups those of backups, which reads the newest one whole. PASS: it holds; FAIL: it does not; OPEN: that could not be \
found out here, and why; HAND: the command that proves it, which is run elsewhere. code-7 sends records as flk smoke does, with the same \
keys. What each item means, and who signs, is in docs/production-checklist.md.";

/// Options of `flk checklist`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{CHECKLIST_CODES}"))]
pub(crate) struct ChecklistArgs {
    /// Address of the gateway, such as http://127.0.0.1:8080
    #[arg(value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    file: FileArgs,
    /// Log directory [default: that of the settings]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where the backups are: a directory, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE")]
    backups: Option<String>,
    /// Only this item; may be repeated
    #[arg(long, value_name = "ID", hide_possible_values = true, value_parser = PossibleValuesParser::new(ITEMS.iter().map(|it| it.id)))]
    item: Vec<String>,
    /// Send no record: leave code-7 open
    #[arg(long)]
    no_records: bool,
    /// End with 1 for an item that is open, too
    #[arg(long)]
    strict: bool,
    /// Print all items with the commands that prove them, as a table of Markdown, and run none
    #[arg(long, conflicts_with_all = ["item", "json", "strict"])]
    list: bool,
    /// One JSON object an item
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) fn run(args: &ChecklistArgs) -> CommandResult {
    if args.list {
        return list();
    }
    if let Some(url) = &args.url {
        Target::parse(url)?;
    }
    let prover = Prover::new(args);
    let is_asked = |item: &&Item| args.item.is_empty() || args.item.iter().any(|it| it == item.id);
    let mut output = Output::new();
    let mut verdicts = Vec::new();
    for item in ITEMS.iter().filter(is_asked) {
        let (verdict, said) = prover.prove(item);
        verdicts.push(verdict);
        let said = printable(&said);
        output.line(match args.json {
            true => json!({
                "id": item.id, "verdict": verdict.word(), "said": said, "item": item.sentence, "proof": item.proof,
            })
            .to_string(),
            false => format!("{} {:<17} {}\n{:<22} {said}", verdict.word(), item.id, item.sentence, ""),
        })?;
        // The next one may take a while.
        output.flush()?;
    }
    let count = |verdict| verdicts.iter().filter(|it| **it == verdict).count();
    if !args.json {
        output.line(format!(
            "items: {}; PASS {}, FAIL {}, OPEN {}, HAND {}",
            verdicts.len(),
            count(Verdict::Pass),
            count(Verdict::Fail),
            count(Verdict::Open),
            count(Verdict::Hand)
        ))?;
    }
    output.flush()?;
    let is_open = args.strict && count(Verdict::Open) > 0;
    Ok(match count(Verdict::Fail) > 0 || is_open {
        true => Exit::No,
        false => Exit::Yes,
    })
}

fn list() -> CommandResult {
    let mut output = Output::new();
    output.line("| id | item | proven by | run by |\n|---|---|---|---|")?;
    for item in ITEMS {
        let (id, sentence, proof, by) = (item.id, item.sentence, item.proof, item.by);
        output.line(format!("| `{id}` | {sentence} | `{proof}` | {by} |"))?;
    }
    output.flush()?;
    Ok(Exit::Yes)
}
