//! `flk archive find`: bodies by id, tenant and time. Names of entries say which objects can hold them, the ends of these which groups, and
//! only of those groups anything more is read. A body is read and printed only where that is asked for.

use super::names::{Entry, day, shown};
use super::object::{Column, Object};
use super::{ArchiveFrom, entries, tell_of_others};
use crate::CommandResult;
use crate::args::whole;
use crate::backup::store::{REQUESTS_MAX, Searched};
use crate::exit::{ARCHIVE_FIND_CODES, Exit, Failure};
use crate::output::{Output, counted, printable};
use crate::progress::Progress;
use crate::wal::show::body_line;
use crate::wal::stored::select::SelectArgs;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use flk_contract::hash::bytes_of_hex32;
use flk_dataplane::wal::name::Sequence;
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  $ flk archive find --from ./archive --pcs-id $(cat id.txt)
  $ flk archive find --from ./archive --tenant acme --since 2026-11-01T00:00:00Z --json

Each line is a body: where it was in the log (log, batch, index), when it came, its tenant, what became of it, which key, parameters and \
configuration snapshot judged it, its id, and the object that has it. An id may be there several times: each duplicate is a body. \
--pcs-id, --tenant or both are needed, and the id as a whole: 64 of 0-9 a-f. Times \
without a zone are not taken; Z is UTC. With --since and --until only objects of these days are looked at. Bodies are \
personal data: only --body prints them.";

/// Options of `flk archive find`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{ARCHIVE_FIND_CODES}"))]
pub(crate) struct FindArgs {
    #[command(flatten)]
    from: ArchiveFrom,
    /// Only bodies of this id
    #[arg(long, value_name = "ID", value_parser = id)]
    pcs_id: Option<String>,
    #[command(flatten)]
    select: SelectArgs,
    /// Print at most so many bodies
    #[arg(long, value_name = "COUNT", value_parser = whole(1..=u64::MAX))]
    limit: Option<u64>,
    /// One JSON object for each body
    #[arg(long)]
    json: bool,
    /// Print the bodies, too
    #[arg(long)]
    body: bool,
}

fn id(text: &str) -> Result<String, String> {
    match bytes_of_hex32(text.as_bytes()) {
        Some(_) => Ok(text.to_owned()),
        None => Err("a pcs_id is 64 of 0-9 a-f, as a whole and in small letters".to_owned()),
    }
}

/// What is looked for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) pcs_id: Option<String>,
    pub(super) tenant: Option<String>,
    /// The first moment, in microseconds since the Unix epoch.
    pub(super) since: Option<u64>,
    /// The first moment that is too late.
    pub(super) until: Option<u64>,
    pub(super) limit: Option<u64>,
    pub(super) shows: Shows,
}

/// Whether bodies are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shows {
    #[default]
    Lineage,
    Bodies,
}

/// The columns that decide.
const DECIDING: [&str; 3] = ["tenant", "pcs_id", "received"];

/// Those that are shown besides.
const SHOWN: [&str; 20] = [
    "incarnation",
    "log",
    "sequence",
    "index",
    "line",
    "disposition",
    "status",
    "reason",
    "regime",
    "params_version",
    "key_id",
    "signing_digest",
    "decided_at",
    "expiry",
    "bytes",
    "sha256",
    "installation",
    "node",
    "snapshot",
    "erased",
];

/// A body that was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    /// Everything but the body, as text of JSON: an object may hold many.
    lineage: String,
    pub(super) body: Option<Vec<u8>>,
    order: (u64, u64, u64),
}

impl Found {
    /// Everything but the body.
    pub(super) fn lineage(&self) -> Value {
        serde_json::from_str(&self.lineage).unwrap_or_default()
    }
}

/// What became of a search.
#[derive(Debug, Default)]
pub(super) struct SearchResult {
    pub(super) found: u64,
    /// Objects that could not be read.
    pub(super) damaged: Vec<Failure>,
    /// Names that are none of an entry.
    pub(super) others: u64,
    pub(super) is_cut_off: bool,
}

/// Runs it.
pub(super) fn run(args: &FindArgs) -> CommandResult {
    if args.pcs_id.is_none() && args.select.tenant.is_none() {
        return Err(Failure::usage(
            "say what to look for: --pcs-id ID, --tenant TENANT, or both",
        ));
    }
    args.select.check()?;
    let store = args.from.open()?;
    let wanted = Wanted {
        pcs_id: args.pcs_id.clone(),
        tenant: args.select.tenant.clone(),
        since: args.select.since,
        until: args.select.until,
        limit: args.limit,
        shows: match args.body {
            true => Shows::Bodies,
            false => Shows::Lineage,
        },
    };
    let mut output = Output::new();
    let searched = search(&store, &wanted, |found| {
        for line in lines(&found, args.json) {
            output.line(line)?;
        }
        Ok(())
    })?;
    output.flush()?;
    tell_of_others(searched.others);
    for failure in &searched.damaged {
        eprintln!("flk: {}", failure.text());
    }
    if searched.is_cut_off {
        eprintln!("flk: more may be there: --limit ended the search");
    }
    if !searched.damaged.is_empty() {
        let count = searched.damaged.len() as u64;
        eprintln!("flk: {} could not be searched", counted(count, "object"));
        return Ok(Exit::Damage);
    }
    match searched.found {
        0 => {
            eprintln!("nothing of it is in {}", args.from.from);
            Ok(Exit::No)
        }
        _ => Ok(Exit::Yes),
    }
}

impl Wanted {
    fn takes_day(&self, other: &str) -> bool {
        let since = self.since.map(day);
        let until = self.until.map(|it| day(it.saturating_sub(1)));
        since.is_none_or(|since| *since <= *other) && until.is_none_or(|until| *other <= *until)
    }

    fn takes_time(&self, us: u64) -> bool {
        self.since.is_none_or(|since| since <= us) && self.until.is_none_or(|until| us < until)
    }

    fn takes_span(&self, from_us: u64, to_us: u64) -> bool {
        self.since.is_none_or(|since| since <= to_us)
            && self.until.is_none_or(|until| from_us < until)
    }

    fn takes_entry(&self, entry: &Entry) -> bool {
        entry.rows > 0 && self.takes_span(entry.from_us, entry.to_us)
    }

    /// Whether a group can hold what is wanted, by its statistics and filter.
    fn takes_group(&self, object: &Object, group: usize) -> Result<bool, Failure> {
        if let (Some(tenant), Some((least, most))) = (&self.tenant, object.bounds(group, "tenant"))
            && !(least..=most).contains(&tenant.as_bytes())
        {
            return Ok(false);
        }
        let number = |bytes: &[u8]| Some(i64::from_le_bytes(bytes.try_into().ok()?) as u64);
        let times = object.bounds(group, "received");
        let times = times.and_then(|(least, most)| Some((number(least)?, number(most)?)));
        if times.is_some_and(|(from, to)| !self.takes_span(from, to)) {
            return Ok(false);
        }
        match &self.pcs_id {
            Some(id) => object.may_hold_id(group, id),
            None => Ok(true),
        }
    }
}

/// Shows what is wanted, the objects in the order of their times.
pub(super) fn search(
    objects: &dyn Searched,
    wanted: &Wanted,
    mut each: impl FnMut(Found) -> Result<(), Failure>,
) -> Result<SearchResult, Failure> {
    let (all, others) = entries(objects, |day| wanted.takes_day(day))?;
    let all: Vec<Entry> = all
        .into_iter()
        .filter(|it| wanted.takes_entry(it))
        .collect();
    let mut searched = SearchResult {
        others,
        ..SearchResult::default()
    };
    let mut progress = Progress::new();
    let mut looked_at = 0;
    for some in all.chunks(REQUESTS_MAX) {
        for object in Object::open_all(objects, some) {
            looked_at += 1;
            progress.tick(|_| format!("{looked_at} of {}", counted(all.len() as u64, "object")));
            let found = match object.and_then(|it| in_object(objects, &it, wanted)) {
                Ok(found) => found,
                Err(failure) if failure.exit() == Exit::Damage => {
                    searched.damaged.push(failure);
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            for one in found {
                progress.clear();
                searched.found += 1;
                each(one)?;
                if wanted.limit == Some(searched.found) {
                    searched.is_cut_off = true;
                    return Ok(searched);
                }
            }
        }
    }
    progress.clear();
    Ok(searched)
}

/// What is wanted of an object, in the order in which it came.
fn in_object(
    objects: &dyn Searched,
    object: &Object,
    wanted: &Wanted,
) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for group in 0..object.groups() {
        if wanted.takes_group(object, group)? {
            in_group(objects, object, group, wanted, &mut found)?;
        }
    }
    found.sort_by_key(|it: &Found| it.order);
    Ok(found)
}

fn in_group(
    objects: &dyn Searched,
    object: &Object,
    group: usize,
    wanted: &Wanted,
    found: &mut Vec<Found>,
) -> Result<(), Failure> {
    let deciding = object.columns(objects, group, &DECIDING)?;
    let [tenant, pcs_id, received] = &deciding[..] else {
        return Ok(());
    };
    let is_wanted = |row: &usize| {
        let is = |asked: &Option<String>, column: &Column| match asked {
            Some(asked) => column.text(*row) == Some(asked),
            None => true,
        };
        is(&wanted.tenant, tenant)
            && is(&wanted.pcs_id, pcs_id)
            && received
                .number(*row)
                .is_some_and(|it| wanted.takes_time(it))
    };
    let rows: Vec<usize> = (0..object.rows(group)).filter(is_wanted).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let shown = object.columns(objects, group, &SHOWN)?;
    let bodies = match wanted.shows {
        Shows::Bodies => object.columns(objects, group, &["late", "body"])?,
        Shows::Lineage => object.columns(objects, group, &["late"])?,
    };
    let name = object.entry.object();
    found.extend(rows.into_iter().map(|row| {
        let mut lineage = lineage(&shown, row);
        lineage["received"] = json!(shown_time(received, row));
        lineage["tenant"] = json!(tenant.text(row));
        lineage["pcs_id"] = json!(pcs_id.text(row));
        lineage["late"] = json!(bodies.first().is_some_and(|it| it.is_true(row)));
        lineage["object"] = json!(name);
        let number = |at: usize| shown.get(at).and_then(|it| it.number(row));
        let time = received.number(row).unwrap_or_default();
        Found {
            lineage: lineage.to_string(),
            body: bodies
                .get(1)
                .and_then(|it| it.bytes(row))
                .map(<[u8]>::to_vec),
            order: (
                time,
                number(2).unwrap_or_default(),
                number(3).unwrap_or_default(),
            ),
        }
    }));
    Ok(())
}

fn shown_time(column: &Column, row: usize) -> Option<String> {
    column.number(row).map(shown)
}

/// The columns of [`SHOWN`] in a row.
fn lineage(columns: &[Column], row: usize) -> Value {
    let mut value = json!({});
    for (name, column) in SHOWN.iter().zip(columns) {
        value[*name] = match (column, *name) {
            (_, "sequence") => json!(column.number(row).map(|it| Sequence(it).to_string())),
            (Column::Bytes(_), _) => json!(column.text(row)),
            (Column::Bool(_), _) => json!(column.is_true(row)),
            _ => json!(column.number(row)),
        };
    }
    value
}

/// What is printed of a body.
fn lines(found: &Found, is_json: bool) -> Vec<String> {
    let mut value = found.lineage();
    if !is_json {
        let mut lines = vec![text_line(&value)];
        lines.extend(found.body.as_ref().map(|it| body_line(it)));
        return lines;
    }
    if let Some(body) = &found.body {
        match std::str::from_utf8(body) {
            Ok(text) => value["body"] = json!(text),
            Err(_) => value["body_base64"] = json!(STANDARD.encode(body)),
        }
    }
    vec![value.to_string()]
}

fn text_line(lineage: &Value) -> String {
    let text = |name: &str| match &lineage[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text),
        other => other.to_string(),
    };
    let is = |name: &str| lineage[name] == json!(true);
    let why = match &lineage["reason"] {
        Value::String(reason) => format!(" ({})", printable(reason)),
        _ => String::new(),
    };
    let mark = match (is("erased"), is("late")) {
        (true, _) => ", erased",
        (_, true) => ", decided after it was archived as unanswered",
        _ => "",
    };
    format!(
        "log {} {}.{} {}  {}  {} B{mark}  {} {}{why}  key {} parameters {} snapshot {}  {}  {}",
        text("log"),
        text("sequence"),
        text("index"),
        text("received"),
        text("tenant"),
        text("bytes"),
        text("status"),
        text("disposition"),
        text("key_id"),
        text("params_version"),
        text("snapshot"),
        text("pcs_id"),
        text("object"),
    )
}
