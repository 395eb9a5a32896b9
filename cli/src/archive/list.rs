//! `flk archive list`: what is archived of each log, which sequences are in no object or were lost before they were archived, and how
//! old the archive is. It reads names of entries, and the ends of those objects only that state a loss.

use super::names::{Entry, LogName, shown};
use super::object::Object;
use super::runs::Mark;
use super::stated::Lost;
use super::{ArchiveFrom, entries, runs, tell_of_others};
use crate::CommandResult;
use crate::backup::store::{REQUESTS_MAX, Searched};
use crate::backup::{age, age_text, is_older_than};
use crate::exit::{ARCHIVE_LIST_CODES, Exit, Failure};
use crate::output::{Output, counted};
use crate::wal::show::hex;
use clap::Args;
use flk_dataplane::driver::clock::now;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  $ flk archive list --from ./archive
  $ flk archive list --from ./archive --json

A line for each log, then one for the newest run. With --older-than it ends with 1 unless the newest run is older than that, so that a \
timer can raise an alarm; without any run it counts as older. A gap are batches that no entry has, between two \
of them or up to where the newest run was: something removed them. Lost \
are batches that were deleted from the log, or given up, before they were archived.";

/// Options of `flk archive list`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{ARCHIVE_LIST_CODES}"))]
pub(crate) struct ListArgs {
    #[command(flatten)]
    from: ArchiveFrom,
    /// Succeed only if the newest run is older than this
    #[arg(long, value_name = "TIME", value_parser = crate::args::time(Duration::from_secs(1)..=Duration::from_secs(3_153_600_000)))]
    older_than: Option<Duration>,
    /// One JSON object for each log and for the newest run
    #[arg(long)]
    json: bool,
}

/// What is archived of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Archived {
    /// Its first and last batch, as counters.
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) objects: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// When the first and the last body came; none if there is none.
    pub(super) times: Option<(u64, u64)>,
    /// Batches between objects that are in none.
    pub(super) gaps: Vec<(u64, u64)>,
    /// Batches that are in two.
    pub(super) doubled: Vec<(u64, u64)>,
    /// Batches that objects state to be lost.
    pub(super) lost: Vec<Lost>,
}

impl Archived {
    /// Takes the entry of the next object of the log.
    fn add(&mut self, entry: &Entry) {
        match self.objects {
            0 => self.first = entry.first,
            _ if entry.first > self.last + 1 => self.gaps.push((self.last + 1, entry.first - 1)),
            _ if entry.first <= self.last => {
                self.doubled.push((entry.first, self.last.min(entry.last)));
            }
            _ => {}
        }
        self.last = self.last.max(entry.last);
        self.objects += 1;
        self.rows += entry.rows;
        self.bytes += entry.bytes;
        if entry.rows > 0 {
            let (from, to) = self.times.unwrap_or((entry.from_us, entry.to_us));
            self.times = Some((from.min(entry.from_us), to.max(entry.to_us)));
        }
    }

    /// Takes that a run has archived the log up to here.
    fn end_at(&mut self, upto: u64) {
        if self.last < upto {
            self.gaps.push((self.last + 1, upto));
        }
        if self.objects == 0 {
            self.first = 1;
        }
        self.last = self.last.max(upto);
    }
}

/// What entries have of each log, but for what was lost.
fn by_log(entries: &[Entry]) -> BTreeMap<LogName, Archived> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by_key(|it| (it.log, it.first));
    let mut logs: BTreeMap<LogName, Archived> = BTreeMap::new();
    for entry in sorted {
        logs.entry(entry.log).or_default().add(entry);
    }
    logs
}

/// What is archived of each log. The mark of the newest run knows how far each was: what no entry has up to there is a gap as well. It
/// must have been read before the entries, as a run makes it after them.
pub(super) fn by_log_and_mark(
    entries: &[Entry],
    newest: Option<&Mark>,
) -> BTreeMap<LogName, Archived> {
    let mut logs = by_log(entries);
    for position in newest.iter().flat_map(|it| &it.logs) {
        if let Some(log) = position.name().filter(|_| position.upto > 0) {
            logs.entry(log).or_default().end_at(position.upto);
        }
    }
    logs
}

/// What is archived of each log. Objects that cannot be read are reported.
pub(super) fn archived(
    objects: &dyn Searched,
    entries: &[Entry],
    newest: Option<&Mark>,
) -> Result<(BTreeMap<LogName, Archived>, Vec<Failure>), Failure> {
    let mut logs = by_log_and_mark(entries, newest);
    let with_loss = entries.iter().filter(|it| it.missing > 0);
    let with_loss: Vec<Entry> = with_loss.cloned().collect();
    let mut damaged = Vec::new();
    for some in with_loss.chunks(REQUESTS_MAX) {
        for (entry, object) in some.iter().zip(Object::open_all(objects, some)) {
            match object {
                Ok(object) => {
                    let log = logs.entry(entry.log).or_default();
                    log.lost
                        .extend(object.footer.stated.missing.iter().cloned());
                }
                Err(failure) if failure.exit() == Exit::Damage => damaged.push(failure),
                Err(failure) => return Err(failure),
            }
        }
    }
    for log in logs.values_mut() {
        log.lost.sort_by_key(|it| it.from);
    }
    Ok((logs, damaged))
}

/// Runs it.
pub(super) fn run(args: &ListArgs) -> CommandResult {
    let store = args.from.open()?;
    let newest = runs::newest(&store)?;
    let (entries, others) = entries(&store, |_| true)?;
    let (logs, damaged) = archived(&store, &entries, newest.as_ref())?;
    let now_us = now().wall_us;
    let age = newest.as_ref().map(|it| age(it.moment_us, now_us));
    let mut output = Output::new();
    for (log, archived) in &logs {
        match args.json {
            true => output.line(as_json(log, archived))?,
            false => as_text(log, archived)
                .iter()
                .try_for_each(|line| output.line(line))?,
        }
    }
    if let (Some(newest), Some(age), true) = (&newest, age, args.json) {
        let (time, age_s) = (shown(newest.moment_us), age.as_secs());
        output.line(json!({ "type": "run", "time": time, "age_s": age_s }).to_string())?;
    }
    output.flush()?;
    tell_of_others(others);
    for failure in &damaged {
        eprintln!("flk: {}", failure.text());
    }
    match age {
        Some(age) => eprintln!("the newest run is {} old", age_text(age)),
        None => eprintln!("no run has ended in {}", args.from.from),
    }
    if !damaged.is_empty() {
        return Ok(Exit::Damage);
    }
    Ok(is_older_than(args.older_than, age))
}

fn as_text(log: &LogName, archived: &Archived) -> Vec<String> {
    let Archived {
        first,
        last,
        objects,
        rows,
        bytes,
        times,
        gaps,
        doubled,
        lost,
    } = archived;
    let batch = |counter: u64| log.sequence(counter).to_string();
    let range = |from: u64, to: u64| format!("batches {} to {}", batch(from), batch(to));
    let came = times.map_or(String::new(), |(from, to)| {
        format!(", from {} to {}", shown(from), shown(to))
    });
    let mut lines = vec![format!(
        "{log}: {}, {} in {}, {bytes} bytes{came}",
        range(*first, *last),
        counted(*rows, "body"),
        counted(*objects, "object"),
    )];
    let lines_of = |ranges: &[(u64, u64)], what: &str| -> Vec<String> {
        let line = |(from, to): &(u64, u64)| format!("  {what}: {}", range(*from, *to));
        ranges.iter().map(line).collect()
    };
    lines.extend(lines_of(gaps, "gap, in no object"));
    lines.extend(lines_of(doubled, "in two objects"));
    let line = |it: &Lost| {
        let why = why(it);
        format!(
            "  lost, {why} before they were archived: {}",
            range(it.from, it.to)
        )
    };
    lines.extend(lost.iter().map(line));
    lines
}

/// Why a range is lost, in words that are known.
fn why(lost: &Lost) -> &'static str {
    match lost.why.as_str() {
        "given_up" => "given up",
        _ => "deleted",
    }
}

fn as_json(log: &LogName, archived: &Archived) -> String {
    let batch = |counter: u64| log.sequence(counter).to_string();
    let range = |(from, to): &(u64, u64)| json!({ "first": batch(*from), "last": batch(*to) });
    let lost = |it: &Lost| json!({ "first": batch(it.from), "last": batch(it.to), "why": why(it) });
    json!({
        "type": "log",
        "incarnation": hex(&log.incarnation),
        "log": log.id.to_string(),
        "first": batch(archived.first),
        "last": batch(archived.last),
        "objects": archived.objects,
        "bodies": archived.rows,
        "bytes": archived.bytes,
        "from": archived.times.map(|it| shown(it.0)),
        "to": archived.times.map(|it| shown(it.1)),
        "gaps": archived.gaps.iter().map(range).collect::<Vec<_>>(),
        "doubled": archived.doubled.iter().map(range).collect::<Vec<_>>(),
        "lost": archived.lost.iter().map(lost).collect::<Vec<_>>(),
    })
    .to_string()
}
