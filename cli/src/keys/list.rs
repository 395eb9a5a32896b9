//! `flk keys list`: the keys of every tenant, what their times say of them now, and how often each verified. Rows of other
//! commands are made here, too.

use super::checked::{self, Checked};
use super::state::{Times, span};
use super::usage::{Seen, Usages};
use super::{FileArgs, now_s};
use crate::CommandResult;
use crate::exit::{Exit, Failure, KEYS_LIST_CODES};
use crate::fault;
use crate::output::{Format, Output};
use clap::Args;
use flk_dataplane::config::sealed::Form;
use flk_dataplane::config::{form_of, shown_path, shown_source, text_of_file, time};
use flk_dataplane::snapshot::Source;
use serde_json::{Value, json};
use std::path::Path;

const EXAMPLES: &str = "\
Examples:
  $ flk keys list --config flk.toml
  $ flk keys list --config flk.toml --url http://127.0.0.1:8080
  $ flk keys list --config flk.toml --output json";

const NOTES: &str = "\
With --url each row says how often the key verified since that gateway's start, and when it did last: an old key that is \
not seen any more can go. A key that is not in force there is refused: the file was not brought into force yet (flk config \
reload), or the gateway has another one. A key counts as in force if any snapshot had it since that gateway's start; flk \
config history shows the one of now. Several gateways are asked one by one. METRICS_USER and METRICS_PASS (or METRICS_PASS_FILE) are used if they \
are set. A fingerprint that is not shown belongs to a key whose file, variable or age identity is not on this machine. Where files \
are encrypted, SOURCE says how.";

/// Options of `flk keys list`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_help = format!("{NOTES}\n\n{KEYS_LIST_CODES}"))]
pub(crate) struct ListArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Gateway whose counts are shown, as in http://127.0.0.1:8080
    #[arg(long)]
    url: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// A key as it is shown.
pub(super) struct Row {
    pub(super) tenant: String,
    pub(super) id: String,
    scheme: String,
    /// None: the key is not on this machine.
    fingerprint: Option<String>,
    source: String,
    /// How its file is encrypted.
    form: Option<Form>,
    pub(super) times: Times,
    /// None: no gateway was asked.
    seen: Option<Seen>,
}

pub(super) fn run(args: &ListArgs) -> CommandResult {
    let path = &args.file.file;
    let text = text_of_file(path).map_err(|error| {
        let (path, why) = (shown_path(path), fault::why_unread(&error));
        Failure::with(Exit::Configuration, format!("cannot read {path}: {why}"))
    })?;
    let checked = checked::check(path, &text)?;
    let usages = args.url.as_deref().map(Usages::of).transpose()?;
    let mut rows = rows(&checked);
    if let Some(usages) = &usages {
        for row in &mut rows {
            row.seen = Some(usages.find(&row.tenant, &row.id));
        }
    }
    let now_s = now_s()?;
    let mut output = Output::new();
    match args.output {
        Format::Json => {
            for row in &rows {
                output.line(row.json(now_s).to_string())?;
            }
        }
        Format::Text => {
            let asked = match usages {
                Some(_) => Counts::Shown,
                None => Counts::Unknown,
            };
            table(&mut output, &rows, now_s, asked)?;
        }
    }
    output.flush()?;
    Ok(Exit::Yes)
}

/// All keys of a configuration.
pub(super) fn rows(checked: &Checked) -> Vec<Row> {
    let mut rows = Vec::new();
    for tenant in &checked.config.document.tenants {
        for key in &tenant.keys {
            let place = (tenant.name.clone(), key.id.clone());
            let elsewhere = checked.unchecked.get(&place);
            let form = match &key.source {
                Source::File { path, .. } if elsewhere.is_none() => form_of(Path::new(path)),
                _ => None,
            };
            rows.push(Row {
                scheme: key.scheme.clone(),
                fingerprint: elsewhere.is_none().then(|| key.fingerprint.clone()),
                source: elsewhere
                    .cloned()
                    .unwrap_or_else(|| shown_source(&key.source)),
                form,
                times: Times::of(key),
                seen: None,
                tenant: place.0,
                id: place.1,
            });
        }
    }
    rows
}

/// Whether a table has columns for counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    /// No gateway was asked.
    Unknown,
    Shown,
}

impl Row {
    pub(super) fn json(&self, now_s: u64) -> Value {
        let at = |at_s: Option<u64>| at_s.map(time::show);
        let (known, usage) = match self.seen {
            Some(Seen::Known(usage)) => (Some(true), Some(usage)),
            Some(Seen::Unknown) => (Some(false), None),
            Some(Seen::WithOthers) | None => (None, None),
        };
        json!({
            "tenant": self.tenant,
            "key": self.id,
            "scheme": self.scheme,
            "fingerprint": self.fingerprint,
            "source": self.source,
            "encrypted": self.form.map(|form| form.to_string()),
            "state": self.times.state(now_s).name(),
            "not_before": at(self.times.not_before),
            "not_after": at(self.times.not_after),
            "revoked_at": at(self.times.revoked_at),
            "known_there": known,
            "verified": usage.map(|it| it.verified_count),
            "last_seen": at(usage.and_then(|it| it.last_seen_s)),
        })
    }

    fn cells(&self, now_s: u64, counts: Counts) -> Vec<String> {
        let fingerprint = self.fingerprint.clone();
        let mut cells = vec![
            self.tenant.clone(),
            self.id.clone(),
            self.scheme.clone(),
            fingerprint.unwrap_or_else(|| "-".to_owned()),
            self.times.state(now_s).to_string(),
        ];
        if counts == Counts::Shown {
            let [count, seen] = match self.seen {
                Some(Seen::Unknown) => ["-".to_owned(), "not in force there: refused".to_owned()],
                Some(Seen::WithOthers) | None => ["-".to_owned(), "counted with others".to_owned()],
                Some(Seen::Known(usage)) => [
                    usage.verified_count.to_string(),
                    match usage.last_seen_s {
                        None => "not since the start".to_owned(),
                        Some(at_s) => format!("{} ago", span(now_s.saturating_sub(at_s))),
                    },
                ],
            };
            cells.extend([count, seen]);
        }
        cells
    }

    /// Where the key is, and how its file is encrypted.
    fn place(&self) -> String {
        match self.form {
            Some(form) => format!("{form}: {}", self.source),
            None => self.source.clone(),
        }
    }
}

/// Prints rows in columns.
pub(super) fn table(
    output: &mut Output,
    rows: &[Row],
    now_s: u64,
    counts: Counts,
) -> Result<(), Failure> {
    let titles = [
        "TENANT",
        "KEY",
        "SCHEME",
        "FINGERPRINT",
        "STATE",
        "VERIFIED",
        "LAST SEEN",
    ];
    let shown = match counts {
        Counts::Unknown => &titles[..5],
        Counts::Shown => &titles[..],
    };
    let mut lines = vec![shown.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| row.cells(now_s, counts)));
    // Plain files are what every row was before.
    if rows.iter().any(|row| row.form.is_some()) {
        let places = rows.iter().map(Row::place);
        let places = ["SOURCE".to_owned()].into_iter().chain(places);
        lines
            .iter_mut()
            .zip(places)
            .for_each(|(line, place)| line.push(place));
    }
    let width = |column: usize| {
        let widths = lines.iter().map(|cells| cells[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    for cells in &lines {
        let padded = cells.iter().zip(&widths);
        let padded: Vec<String> = padded
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        output.line(padded.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::usage::Usage;
    use super::*;

    fn row(seen: Option<Seen>) -> Row {
        Row {
            tenant: "acme".to_owned(),
            id: "first".to_owned(),
            scheme: "hmac-sha256".to_owned(),
            fingerprint: None,
            source: "first.key".to_owned(),
            form: None,
            times: Times::default(),
            seen,
        }
    }

    #[test]
    fn only_a_gateway_that_counts_each_key_alone_says_that_it_has_one_or_not() {
        let usage = Usage {
            verified_count: 3,
            last_seen_s: None,
        };
        for (seen, known, verified) in [
            (None, json!(null), json!(null)),
            (Some(Seen::WithOthers), json!(null), json!(null)),
            (Some(Seen::Unknown), json!(false), json!(null)),
            (Some(Seen::Known(usage)), json!(true), json!(3)),
        ] {
            let row = row(seen).json(0);
            assert_eq!((&row["known_there"], &row["verified"]), (&known, &verified));
            assert_eq!(row["last_seen"], json!(null));
        }
    }
}
