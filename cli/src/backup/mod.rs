//! `flk backup`: a copy of a log directory in another place, taken while a gateway serves from it. Objects come first and the index
//! last, so a backup is there whole or not at all; only what is not in the place yet is sent. It changes nothing in the directory.

pub(crate) mod directory;
pub(crate) mod hold;
pub(crate) mod index;
mod list;
mod mark;
pub(crate) mod metrics;
pub(crate) mod names;
pub(crate) mod owner;
pub(crate) mod prune;
mod send;
pub(crate) mod store;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use directory::ready;
pub(crate) use list::{Stored, age, age_text, all, is_older_than, latest};
pub(crate) use owner::{check_secret, make_directory};

use crate::CommandResult;
use crate::exit::{BACKUP_CODES, Exit, Failure};
use crate::fault;
use crate::output::{Output, counted};
use crate::wal::DirArgs;
use crate::wal::show::{hex, time_text};
use clap::Args;
use directory::{Ended, Moment, Source};
use flk_dataplane::config::sealed::age::{self, Recipient};
use flk_dataplane::driver::clock::now;
use flk_dataplane::keeper::holds::hold_name;
use flk_dataplane::wal::files::{NumberedFile, SECRET, SNAPSHOTS};
use flk_dataplane::wal::manifest::{MANIFEST_BYTES_MAX, Manifest};
use hold::{Hold, ends_of};
use index::{FORMAT, FileKept, Holds, Index, SecretKept};
use mark::{Mark, Work};
use metrics::{MetricsArgs, Sample, seconds};
use owner::{Kept, Owner};
use rustix::fs::Mode;
use send::{Sent, Target};
use std::path::Path;
use store::{Objects, Place, Store};
use zeroize::Zeroizing;

const EXAMPLES: &str = "\
Examples:
  $ flk backup --to ./backups --hold nightly
  $ flk backup --dir ./data/wal --to ./backups --secret-recipient $(cat recipient.txt)

A backup holds all that was acknowledged before it began: manifest, slices, closed segments, the durable part of segments in use, \
and the stored snapshots. Each backup stands for itself, and only what the place does not have yet is sent. Interrupted at any moment \
it leaves no backup, and the next one goes on with what was sent. Without --with-secret or --secret-recipient the secret of the \
directory is left out: keep WAL_DIR/secret apart, for without it nothing can be restored. Bodies are customer data, and are in a backup as \
they are in the log. A place holds the backups of one directory: --to s3://backups/gateway-1 is a bucket of an S3-compatible store, and what \
names in it begin with. Keys, region and endpoint of a store come from the usual variables (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, \
AWS_REGION, AWS_ENDPOINT_URL). flk backup list shows what is there, flk backup prune removes old ones, flk restore checks it and makes a directory of it.";

/// What a place holds of a directory.
const BACKUPS: Kept = Kept {
    object: names::OWNER,
    things: "backups",
    format: FORMAT,
};

/// How often a backup begins again because the directory was changed, without having sent anything.
pub(crate) const ATTEMPTS_MAX: u32 = 20;

/// Options of `flk backup`.
#[derive(Args, Debug)]
#[command(
    after_help = format!("{EXAMPLES}\n\n{BACKUP_CODES}"),
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(crate) struct BackupArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    dir: DirArgs,
    /// Where the backup goes: a directory, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE", required = true, value_parser = Place::parse)]
    to: Option<Place>,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Keep what this backup does not have until the next one has it: a hold of this name, made if need be
    #[arg(long, value_name = "NAME", value_parser = hold_name)]
    hold: Option<String>,
    #[command(flatten)]
    metrics: MetricsArgs,
    /// Put the secret into the backup as it is
    #[arg(long, conflicts_with = "secret_recipient")]
    with_secret: bool,
    /// Put the secret into the backup, encrypted to this age recipient; may be repeated
    #[arg(long, value_name = "AGE1…", value_parser = crate::keys::recipient)]
    secret_recipient: Vec<Recipient>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the backups in a place, and how old the newest is
    List(list::ListArgs),
    /// Remove old backups from a place, and what no other one needs of them
    Prune(prune::PruneArgs),
}

/// Where an S3-compatible store answers.
#[derive(Args, Debug)]
pub(crate) struct EndpointArgs {
    /// Address of the S3-compatible store, instead of AWS_ENDPOINT_URL
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

impl EndpointArgs {
    /// Opens a place that is there.
    pub(crate) fn open(&self, place: &Place) -> Result<Store, Failure> {
        Store::open(place, self.endpoint.as_deref())
    }
}

/// What becomes of the secret.
enum SecretRule<'a> {
    LeftOut,
    InClear,
    To(&'a [Recipient]),
}

/// Runs it.
pub(crate) fn run(args: &BackupArgs) -> CommandResult {
    match (&args.command, &args.to) {
        (Some(Command::List(list)), _) => list::run(list),
        (Some(Command::Prune(prune)), _) => prune::run(prune),
        (None, Some(place)) => take(args, place),
        (None, None) => Err(Failure::usage("name the place of the backup with --to")),
    }
}

fn take(args: &BackupArgs, place: &Place) -> CommandResult {
    // Bodies are customer data: what is made is for its owner only, in a directory that others made as well.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let source = Source::open(args.dir.path())?;
    make_place(place, &source)?;
    let store = args.endpoint.open(place)?;
    let secret = match (args.with_secret, &args.secret_recipient[..]) {
        (true, _) => SecretRule::InClear,
        (false, []) => SecretRule::LeftOut,
        (false, recipients) => SecretRule::To(recipients),
    };
    let hold = args.hold.as_deref().map(|name| Hold {
        name,
        directory: args.dir.path(),
        owner: "flk backup",
        done: "the backup is there",
    });
    hold.iter().try_for_each(|hold| hold.make(&source))?;
    let (index, copy, sent) = back_up(&source, &store, &secret)?;
    report(place, &index, sent)?;
    hold.iter()
        .try_for_each(|hold| hold.advance(&source, &ends_of(&copy)))?;
    args.metrics.write(&[
        Sample {
            name: "flk_backup_taken_timestamp_seconds",
            help: "When the newest backup was taken: what was acknowledged before is in it.",
            value: seconds(index.moment_us),
        },
        Sample {
            name: "flk_backup_sent_bytes",
            help: "Bytes that the newest backup sent.",
            value: sent.bytes as f64,
        },
        Sample {
            name: "flk_backup_bytes",
            help: "Bytes of the objects that the newest backup consists of.",
            value: index.parts().map(|part| part.bytes).sum::<u64>() as f64,
        },
    ])?;
    Ok(Exit::Yes)
}

/// Makes the directory of a place. What is in it is customer data.
pub(crate) fn make_place(place: &Place, source: &Source) -> Result<(), Failure> {
    let Place::Directory(path) = place else {
        return Ok(());
    };
    let failed = |error: std::io::Error| {
        let why = fault::why(&error);
        Failure::with(Exit::File, format!("cannot make {place}: {why}"))
    };
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let no_parent = |error: std::io::Error| {
        let (parent, why) = (parent.display(), fault::why(&error));
        let text = format!("cannot make {place}: {parent}, where it would lie: {why}");
        Failure::with(Exit::File, text)
    };
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(_) => parent.canonicalize().map_err(no_parent)?,
    };
    if real.starts_with(source.path.canonicalize().map_err(failed)?) {
        return Err(Failure::usage(format!(
            "{place} lies in the log directory: a copy belongs on another device"
        )));
    }
    owner::make_directory(path).map_err(failed)
}

/// Takes a backup of a directory into a place.
fn back_up(
    source: &Source,
    objects: &dyn Objects,
    secret: &SecretRule<'_>,
) -> Result<(Index, Manifest, Sent), Failure> {
    let mut mark = None;
    let mut target = None;
    let mut attempts = 0;
    while attempts < ATTEMPTS_MAX {
        let attempt = source.moment().and_then(|moment| {
            if mark.is_none() {
                Owner::of(BACKUPS, &moment.copy).claim(BACKUPS, objects)?;
                mark = Some(Mark::make(objects, Work::Backup, now().wall_us)?);
            }
            let target = match &mut target {
                Some(target) => target,
                none => none.insert(new_target(objects, &moment.copy)?),
            };
            let before = target.sent.objects;
            let copied = copy(source, target, &moment, secret);
            if target.sent.objects > before {
                attempts = 0;
            }
            Ok((copied?, moment.copy, target.sent))
        });
        match attempt {
            Ok(done) => return Ok(done),
            Err(Ended::Failure(failure)) => return Err(failure),
            Err(Ended::Changed) => {
                source.refuse_lost()?;
                attempts += 1;
            }
        }
    }
    Err(changing())
}

fn new_target<'a>(objects: &'a dyn Objects, copy: &Manifest) -> Result<Target<'a>, Failure> {
    let there = objects.list()?;
    let now_us = now().wall_us;
    let mut prunes = mark::seen(&there, Work::Prune).into_iter();
    if let Some(prune) = prunes.find(|it| it.is_live(now_us, mark::STALE_AFTER)) {
        return Err(prune.refusal("a prune"));
    }
    let newest = list::newest(objects, &there, &hex(&copy.node))?;
    Ok(Target::new(objects, there, newest))
}

/// Copies what a manifest names, then makes the index.
fn copy(
    source: &Source,
    target: &mut Target<'_>,
    moment: &Moment,
    secret: &SecretRule<'_>,
) -> Result<Index, Ended> {
    let copy = &moment.copy;
    let incarnation = hex(&copy.incarnation);
    let mut files = Vec::new();
    // What is in use first: it is the shortest part, and the newest.
    for log in copy.logs.iter().rev() {
        for at in (0..log.segments.len()).rev() {
            files.push(target.segment(source, copy, log, at)?);
        }
    }
    for slice in &copy.slices {
        files.push(target.slice(source, copy, slice)?);
    }
    files.extend(snapshots(source, target, &incarnation)?);
    let secret = keep_secret(source, target, copy, secret)?;
    let bytes = copy.encode_within(MANIFEST_BYTES_MAX);
    let bytes = bytes.map_err(|fault| Failure::with(Exit::Damage, fault.to_string()))?;
    let mut index = Index {
        format: FORMAT,
        flk: env!("CARGO_PKG_VERSION").to_owned(),
        installation: hex(&copy.installation),
        node: hex(&copy.node),
        number: target.next_number(&incarnation),
        manifest: target.whole(
            &incarnation,
            &format!("manifest-{}", copy.generation),
            bytes,
        )?,
        incarnation,
        moment_us: moment.wall_us,
        generation: copy.generation,
        is_served: moment.is_served,
        secret,
        files,
    };
    // Another backup may have taken the number meanwhile.
    while !target.index(&index)? {
        index.number += 1;
    }
    Ok(index)
}

/// The stored snapshots. A control process may store one meanwhile: it is there whole or not at all.
fn snapshots(
    source: &Source,
    target: &mut Target<'_>,
    incarnation: &str,
) -> Result<Vec<FileKept>, Failure> {
    let failed = |error: std::io::Error| {
        let why = fault::why(&error);
        Failure::with(Exit::File, format!("cannot read {SNAPSHOTS}: {why}"))
    };
    let entries = match std::fs::read_dir(source.path.join(SNAPSHOTS)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort();
    let mut files = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".json")) {
        let bytes = match std::fs::read(source.path.join(SNAPSHOTS).join(name)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        let length = bytes.len() as u64;
        let part = target.whole(incarnation, &format!("snapshot-{name}"), bytes)?;
        files.push(FileKept {
            name: format!("{SNAPSHOTS}/{name}"),
            bytes: length,
            parts: vec![part],
            holds: Holds::Snapshot,
        });
    }
    Ok(files)
}

/// Keeps the secret as it was asked for. One that is not that of the directory would be of no use.
fn keep_secret(
    source: &Source,
    target: &mut Target<'_>,
    copy: &Manifest,
    rule: &SecretRule<'_>,
) -> Result<SecretKept, Failure> {
    if matches!(rule, SecretRule::LeftOut) {
        return Ok(SecretKept::LeftOut);
    }
    let path = source.path.join(SECRET);
    let bytes = source.files.secret().map(Zeroizing::new).map_err(|errno| {
        let (path, why) = (path.display(), fault::why_number(errno));
        Failure::with(Exit::File, format!("cannot read {path}: {why}"))
    })?;
    owner::check_secret(&path, &bytes, copy)?;
    let incarnation = hex(&copy.incarnation);
    match rule {
        SecretRule::To(recipients) => {
            let sealed = age::seal(&bytes, recipients).map_err(|error| {
                Failure::with(Exit::File, format!("cannot encrypt the secret: {error}"))
            })?;
            let part = target.whole(&incarnation, "secret-age", sealed.into_bytes())?;
            Ok(SecretKept::Encrypted(part))
        }
        _ => {
            let part = target.whole(&incarnation, "secret-clear", bytes.to_vec())?;
            Ok(SecretKept::InClear(part))
        }
    }
}

/// Says what is where now.
fn report(place: &Place, index: &Index, sent: Sent) -> Result<(), Failure> {
    let totals = index.totals();
    let mut output = Output::new();
    output.line(format!(
        "backup {} of {}: {} and {} with {}, {} in slices",
        index.number,
        time_text(index.moment_us),
        counted(totals.segments, "segment"),
        counted(totals.slices, "slice"),
        counted(totals.bodies, "body"),
        counted(totals.entries, "decision"),
    ))?;
    let all: u64 = index.parts().map(|part| part.bytes).sum();
    output.line(format!(
        "{} bytes sent in {}, {} were there already; incarnation {}",
        sent.bytes,
        counted(sent.objects, "object"),
        all.saturating_sub(sent.bytes),
        index.incarnation
    ))?;
    output.flush()?;
    match index.secret {
        SecretKept::LeftOut => eprintln!(
            "flk: the secret is not in the backup: keep WAL_DIR/{SECRET} apart from {place}; nothing can be restored without it"
        ),
        SecretKept::InClear(_) => eprintln!(
            "flk: warning: the secret is in {place} as it is; every reader of that place has it"
        ),
        SecretKept::Encrypted(_) => eprintln!(
            "flk: the secret is in {place}, encrypted; keep the age identity apart from it"
        ),
    }
    Ok(())
}

impl Source {
    /// Refuses a directory that has lost a file. A file is removed only once a manifest is in force that does not name it: so what was
    /// not there, and is named by a manifest that is read later, is gone for good, and no further attempt finds it.
    pub(crate) fn refuse_lost(&self) -> Result<(), Failure> {
        let mut absent = named_files(&self.manifest()?);
        absent.retain(|name| matches!(self.path.join(name).try_exists(), Ok(false)));
        if absent.is_empty() {
            return Ok(());
        }
        let manifest = self.manifest()?;
        let named = named_files(&manifest);
        match absent.iter().find(|name| named.contains(name)) {
            Some(name) => Err(self.lost(name, &manifest)),
            None => Ok(()),
        }
    }
}

/// The names of the segments and slices of a manifest.
fn named_files(manifest: &Manifest) -> Vec<String> {
    let segments = manifest.segments();
    let segments = segments.map(|(_, it)| NumberedFile::Segment(it.file).to_string());
    let slices = manifest.slices.iter();
    let slices = slices.map(|it| NumberedFile::Slice(it.file).to_string());
    segments.chain(slices).collect()
}

/// The directory is another one each time.
pub(crate) fn changing() -> Failure {
    Failure::unavailable(
        "the gateway changes its directory faster than it can be copied; try again, perhaps with flk wal pin",
    )
}
