//! `flk backup list`: the backups in a place, and how old the newest is.

use super::index::{Index, SecretKept};
use super::names;
use super::store::{Objects, Place};
use super::{BACKUPS, EndpointArgs, owner};
use crate::CommandResult;
use crate::exit::{BACKUP_LIST_CODES, Exit, Failure};
use crate::output::{Output, counted};
use crate::wal::show::time_text;
use clap::Args;
use flk_dataplane::driver::clock::now;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  $ flk backup list --from ./backups
  $ flk backup list --from ./backups --json

The newest backup comes last. With --older-than it ends with 1 unless the newest one is older than that, so that a timer can raise an \
alarm; without any backup it counts as older.";

/// Options of `flk backup list`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{BACKUP_LIST_CODES}"))]
pub(crate) struct ListArgs {
    /// Where the backups are: a directory, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE", value_parser = Place::parse)]
    from: Place,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Succeed only if the newest backup is older than this
    #[arg(long, value_name = "TIME", value_parser = crate::args::time(Duration::from_secs(1)..=Duration::from_secs(3_153_600_000)))]
    older_than: Option<Duration>,
    /// One JSON object for each backup
    #[arg(long)]
    json: bool,
}

/// A backup that is in a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stored {
    pub(crate) incarnation: String,
    pub(crate) number: u64,
}

impl Stored {
    /// Reads its index.
    pub(crate) fn index(&self, objects: &dyn Objects) -> Result<Index, Failure> {
        let name = names::index(&self.incarnation, self.number);
        let index = Index::decode(&name, &objects.get(&name)?)?;
        match index.object() == name {
            true => Ok(index),
            false => Err(Failure::with(
                Exit::Damage,
                format!("the index {name} is that of another backup"),
            )),
        }
    }
}

/// The backups among these objects.
pub(crate) fn all(there: &BTreeMap<String, u64>) -> Vec<Stored> {
    let read = |name: &String| {
        let (incarnation, number) = names::read_index(name)?;
        Some(Stored {
            incarnation: incarnation.to_owned(),
            number,
        })
    };
    there.keys().filter_map(read).collect()
}

/// The newest backup of a node. Of each incarnation only the last one is looked at; one whose index is damaged saves no work, and is no
/// reason to make no backup.
pub(super) fn newest(
    objects: &dyn Objects,
    there: &BTreeMap<String, u64>,
    node: &str,
) -> Result<Option<Index>, Failure> {
    let mut last = BTreeMap::new();
    for stored in all(there) {
        last.insert(stored.incarnation.clone(), stored);
    }
    let mut newest: Option<Index> = None;
    for stored in last.values() {
        let index = match stored.index(objects) {
            Ok(index) => index,
            Err(failure) if failure.exit() == Exit::Damage => {
                eprintln!("flk: warning: {}", failure.text());
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let is_newer = newest
            .as_ref()
            .is_none_or(|it| it.moment_us < index.moment_us);
        if index.node == node && is_newer {
            newest = Some(index);
        }
    }
    Ok(newest)
}

/// The backup that has all that any other one has, as far as that can be known: within an incarnation manifests are numbered, and
/// only backups of the same one are compared by the clock, as are incarnations. A damaged index is passed over where a later backup of
/// its incarnation is there.
pub(crate) fn latest(objects: &dyn Objects, stored: &[Stored]) -> Result<Option<Index>, Failure> {
    let mut newest: BTreeMap<&str, Index> = BTreeMap::new();
    let mut damaged: BTreeMap<&str, Failure> = BTreeMap::new();
    for it in stored {
        let incarnation = it.incarnation.as_str();
        let index = match it.index(objects) {
            Ok(index) => index,
            Err(failure) if failure.exit() == Exit::Damage => {
                eprintln!("flk: warning: {}", failure.text());
                damaged.insert(incarnation, failure);
                continue;
            }
            Err(failure) => return Err(failure),
        };
        damaged.remove(incarnation);
        let order = |it: &Index| (it.generation, it.moment_us);
        let is_newer = newest.get(incarnation).map(order) < Some(order(&index));
        if is_newer {
            newest.insert(incarnation, index);
        }
    }
    if let Some(failure) = damaged.into_values().next() {
        let hint = "it may be the newest backup: name another one with --backup NUMBER";
        return Err(Failure::with(
            failure.exit(),
            format!("{}; {hint}", failure.text()),
        ));
    }
    Ok(newest.into_values().max_by_key(|it| it.moment_us))
}

/// Runs it.
pub(super) fn run(args: &ListArgs) -> CommandResult {
    let store = args.endpoint.open(&args.from)?;
    let (mut indexes, mut damaged) = (Vec::new(), None);
    for stored in all(&store.list()?) {
        match stored.index(&store) {
            Ok(index) => indexes.push(index),
            Err(failure) if failure.exit() == Exit::Damage => {
                eprintln!("flk: {}", failure.text());
                damaged = Some(failure.exit());
            }
            Err(failure) => return Err(failure),
        }
    }
    indexes.sort_by_key(|it| it.moment_us);
    let now_us = now().wall_us;
    let age_of = |index: &Index| age(index.moment_us, now_us);
    let mut output = Output::new();
    for index in &indexes {
        output.line(match args.json {
            true => as_json(index, age_of(index)),
            false => as_text(index),
        })?;
    }
    output.flush()?;
    let newest = indexes.last().map(age_of);
    match newest {
        Some(age) => eprintln!("the newest is {} old", age_text(age)),
        None => eprintln!("no backup is in {}", args.from),
    }
    if let Some(why) = owner::no_place(BACKUPS, &store, &args.from)? {
        eprintln!("flk: warning: {why}");
    }
    if let Some(damaged) = damaged {
        return Ok(damaged);
    }
    Ok(is_older_than(args.older_than, newest))
}

/// Age of a moment.
pub(crate) fn age(moment_us: u64, now_us: u64) -> Duration {
    Duration::from_micros(now_us.saturating_sub(moment_us))
}

/// How a list ends that was asked whether the newest is older than a limit, so that a timer can raise an alarm: none counts as older.
pub(crate) fn is_older_than(limit: Option<Duration>, newest: Option<Duration>) -> Exit {
    match limit.is_none_or(|limit| newest.is_none_or(|it| it > limit)) {
        true => Exit::Yes,
        false => Exit::No,
    }
}

fn as_text(index: &Index) -> String {
    let totals = index.totals();
    format!(
        "{:>6}  {}  {}, {}, {} in segments, {} in slices, {} bytes, secret {}, incarnation {}",
        index.number,
        time_text(index.moment_us),
        counted(totals.segments, "segment"),
        counted(totals.slices, "slice"),
        counted(totals.bodies, "body"),
        counted(totals.entries, "decision"),
        totals.bytes,
        secret_word(&index.secret).replace('_', " "),
        index.incarnation
    )
}

fn as_json(index: &Index, age: Duration) -> String {
    let totals = index.totals();
    json!({
        "number": index.number,
        "incarnation": index.incarnation,
        "time": time_text(index.moment_us),
        "age_s": age.as_secs(),
        "segments": totals.segments,
        "slices": totals.slices,
        "bodies": totals.bodies,
        "decisions": totals.decisions,
        "sealed_decisions": totals.entries,
        "bytes": totals.bytes,
        "secret": secret_word(&index.secret),
    })
    .to_string()
}

fn secret_word(secret: &SecretKept) -> &'static str {
    match secret {
        SecretKept::LeftOut => "left_out",
        SecretKept::InClear(_) => "in_clear",
        SecretKept::Encrypted(_) => "encrypted",
    }
}

/// An age in whole seconds, to read.
pub(crate) fn age_text(age: Duration) -> String {
    humantime::format_duration(Duration::from_secs(age.as_secs())).to_string()
}
