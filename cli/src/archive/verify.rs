//! `flk archive verify`: reads every object, one at a time, and compares everything that is stated somewhere: digests, counts, times,
//! places, ranges of logs, SHA-256 of bodies. It changes nothing.

use super::list::by_log_and_mark;
use super::names::{BODIES, Entry, LogName};
use super::object::{Column, Object, failure};
use super::runs::{self, Mark};
use super::stated::{Bad, range_of};
use super::{ArchiveFrom, entries, tell_of_others};
use crate::CommandResult;
use crate::backup::store::Searched;
use crate::exit::{ARCHIVE_VERIFY_CODES, Exit, Failure};
use crate::output::{Output, counted};
use crate::progress::Progress;
use crate::wal::show::hex;
use clap::Args;
use flk_contract::hash::sha256;
use flk_dataplane::wal::name::Sequence;
use std::collections::BTreeSet;

const EXAMPLES: &str = "\
Examples:
  $ flk archive verify --from ./archive

It reads all of the archive, and reports each fault. No run makes an object or an entry again that was there, damaged or gone: \
keep a copy of the place, or let the store keep versions. An object whose run was interrupted has no entry: the next run makes it.";

/// Options of `flk archive verify`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{ARCHIVE_VERIFY_CODES}"))]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    from: ArchiveFrom,
}

/// The columns that are compared.
const COMPARED: [&str; 10] = [
    "incarnation",
    "log",
    "sequence",
    "index",
    "received",
    "bytes",
    "sha256",
    "erased",
    "late",
    "body",
];

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Verified {
    pub(super) objects: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) faults: Vec<String>,
    /// What is no fault.
    pub(super) notes: Vec<String>,
    others: u64,
}

/// Runs it.
pub(super) fn run(args: &VerifyArgs) -> CommandResult {
    let store = args.from.open()?;
    let verified = verify(&store)?;
    tell_of_others(verified.others);
    for note in &verified.notes {
        eprintln!("flk: {note}");
    }
    for fault in &verified.faults {
        eprintln!("flk: {fault}");
    }
    let mut output = Output::new();
    output.line(format!(
        "{}, {}, {} bytes read",
        counted(verified.objects, "object"),
        counted(verified.rows, "body"),
        verified.bytes
    ))?;
    let is_sound = verified.faults.is_empty();
    output.line(match is_sound {
        true => "ok: every object is whole, and no body is there twice".to_owned(),
        false => format!("{} found", counted(verified.faults.len() as u64, "fault")),
    })?;
    output.flush()?;
    Ok(match is_sound {
        true => Exit::Yes,
        false => Exit::Damage,
    })
}

/// Reads all of an archive.
pub(super) fn verify(objects: &dyn Searched) -> Result<Verified, Failure> {
    let newest = runs::newest(objects)?;
    let (entries, others) = entries(objects, |_| true)?;
    let mut verified = Verified {
        others,
        ..Verified::default()
    };
    let mut progress = Progress::every_minute();
    for (at, entry) in entries.iter().enumerate() {
        progress.tick(|_| format!("{at} of {}", counted(entries.len() as u64, "object")));
        match whole(objects, entry) {
            Ok(()) => {}
            Err(failure) if failure.exit() == Exit::Damage => {
                verified.faults.push(failure.text().to_owned());
            }
            Err(failure) => return Err(failure),
        }
        verified.objects += 1;
        verified.rows += entry.rows;
        verified.bytes += entry.bytes;
    }
    progress.clear();
    ranges(&entries, newest.as_ref(), &mut verified);
    without_entry(objects, &entries, &mut verified)?;
    Ok(verified)
}

/// Whether the ranges of each log follow each other, up to where the newest run was.
fn ranges(entries: &[Entry], newest: Option<&Mark>, verified: &mut Verified) {
    for (log, archived) in by_log_and_mark(entries, newest) {
        let range = |(from, to): &(u64, u64)| {
            let (from, to) = (log.sequence(*from), log.sequence(*to));
            format!("{log}: batches {from} to {to}")
        };
        let gaps = archived.gaps.iter();
        let gaps = gaps.map(|it| format!("{} are in no object that has an entry", range(it)));
        let doubled = archived.doubled.iter();
        let doubled = doubled.map(|it| format!("{} are in two objects", range(it)));
        verified.faults.extend(gaps.chain(doubled));
        if archived.first > 1 {
            let first = log.sequence(archived.first);
            let note = format!("{log}: begins with batch {first}: what was before was removed");
            verified.notes.push(note);
        }
    }
}

/// Looks for objects that no entry is about.
fn without_entry(
    objects: &dyn Searched,
    entries: &[Entry],
    verified: &mut Verified,
) -> Result<(), Failure> {
    let known: BTreeSet<String> = entries.iter().map(Entry::object).collect();
    for incarnation in objects.folder(BODIES)?.folders {
        for folder in objects.folder(&incarnation)?.folders {
            let log = LogName::of_folder(&folder);
            for name in objects.folder(&folder)?.objects.keys() {
                match log.and_then(|log| log.first_of(name)) {
                    None => verified.others += 1,
                    Some(_) if known.contains(name) => {}
                    Some(_) => verified.notes.push(format!(
                        "the object {name} has no entry, so nothing finds its bodies: the next run makes it if one was interrupted here; else the entry was removed"
                    )),
                }
            }
        }
    }
    Ok(())
}

/// Reads an object.
fn whole(objects: &dyn Searched, entry: &Entry) -> Result<(), Failure> {
    let name = entry.object();
    let there = objects.length(&name)?;
    if there != Some(entry.bytes) {
        let bad = Bad::because(match there {
            Some(bytes) => format!("it has {bytes} bytes, and its entry states {}", entry.bytes),
            None => "it is not there, and there is an entry of it".to_owned(),
        });
        return Err(failure(&name, bad));
    }
    let bytes = objects.get(&name)?;
    if bytes.len() as u64 != entry.bytes {
        return Err(failure(&name, Bad::because("it is cut off")));
    }
    let checked = Object::of(entry, bytes[(entry.bytes - entry.tail) as usize..].to_vec());
    let checked = checked.and_then(|object| check(&object, &bytes));
    checked.map_err(|bad| failure(&name, bad))
}

fn check(object: &Object, bytes: &[u8]) -> Result<(), Bad> {
    let metadata = &object.footer.metadata;
    let mut places = BTreeSet::new();
    let mut times: Option<(u64, u64)> = None;
    for (group, described) in metadata.row_groups().iter().enumerate() {
        let mut columns = Vec::new();
        for column in described.columns() {
            let range = range_of(column, object.footer.tail_start);
            let range = range.ok_or_else(|| Bad::because("a column lies outside of it"))?;
            let chunk = bytes[range.start as usize..range.end as usize].to_vec();
            let name = column.column_descr().name();
            let values = object.column(group, name, chunk)?;
            if COMPARED.contains(&name) {
                columns.push((name, values));
            }
        }
        let values = |wanted: &str| {
            let found = columns.iter().find(|(name, _)| *name == wanted);
            found.map(|it| &it.1)
        };
        let Some(all) = COMPARED.map(values).into_iter().collect::<Option<Vec<_>>>() else {
            return Err(Bad::because("it lacks a column"));
        };
        for row in 0..object.rows(group) {
            let received = check_row(object, &all, row, &mut places)?;
            let (from, to) = times.unwrap_or((received, received));
            times = Some((from.min(received), to.max(received)));
        }
    }
    let stated = (object.entry.from_us, object.entry.to_us);
    match times.is_none_or(|it| it == stated) {
        true => Ok(()),
        false => Err(Bad::because(
            "its bodies came at other times than it states",
        )),
    }
}

/// Checks a row; when it was received.
fn check_row(
    object: &Object,
    columns: &[&Column],
    row: usize,
    places: &mut BTreeSet<(u64, u64)>,
) -> Result<u64, Bad> {
    let [
        incarnation,
        log,
        sequence,
        index,
        received,
        length,
        sum,
        erased,
        late,
        body,
    ] = columns
    else {
        return Err(Bad::because("it lacks a column"));
    };
    let entry = &object.entry;
    let of_log = incarnation.text(row) == Some(&hex(&entry.log.incarnation))
        && log.text(row) == Some(&entry.log.id.to_string());
    let (Some(sequence), Some(index), true) = (sequence.number(row), index.number(row), of_log)
    else {
        return Err(Bad::because("a row is of another log"));
    };
    if !places.insert((sequence, index)) {
        return Err(Bad::because("it has a body twice"));
    }
    let at = Sequence(sequence);
    let in_range = at.start() == entry.log.id.start
        && match late.is_true(row) {
            true => at.counter() <= entry.last && body.bytes(row).is_none(),
            false => (entry.first..=entry.last).contains(&at.counter()),
        };
    if !in_range {
        return Err(Bad::because("a row is outside of its range"));
    }
    let is_sound = match body.bytes(row) {
        Some(body) => {
            let same = sum.text(row) == Some(&hex(&sha256(&[body])));
            same && length.number(row) == Some(body.len() as u64) && !erased.is_true(row)
        }
        None => erased.is_true(row) || late.is_true(row),
    };
    if !is_sound {
        return Err(Bad::because("a body is not what its row states"));
    }
    received
        .number(row)
        .ok_or_else(|| Bad::because("a row has no time"))
}
