//! `flk restore`: makes a log directory from a backup, or checks a backup where it is. What it makes is no log directory before the last
//! step, and an interrupted restore goes on where it was.

mod history;
mod kept;
mod point;
mod target;
#[cfg(test)]
mod tests;
mod verify;

use crate::CommandResult;
use crate::backup::index::{Index, SecretKept, sha256};
use crate::backup::metrics::{MetricsArgs, Sample, seconds};
use crate::backup::store::{Objects, Place};
use crate::backup::{EndpointArgs, Stored, all, check_secret, latest};
use crate::exit::{Exit, Failure, RESTORE_CODES};
use crate::fault;
use crate::output::{Output, counted};
use crate::wal::show::{hex, time_text};
use clap::Args;
use flk_dataplane::config::sealed::age::{self, Identity};
use flk_dataplane::driver::clock::now;
use flk_dataplane::driver::log_directory::LogDirectory;
use flk_dataplane::wal::copy::restored;
use flk_dataplane::wal::files::RESTORING;
use flk_dataplane::wal::manifest::{LogUpto, Manifest};
use kept::{Backup, fetch};
use point::Point;
use std::path::{Path, PathBuf};
use target::{Plan, Target};
use verify::From;
use zeroize::Zeroizing;

const EXAMPLES: &str = "\
Examples:
  $ flk restore --from ./backups --verify
  $ flk restore --from ./backups --dir ./restored --secret-file ./data/wal/secret --verify

Without --dir nothing is written: --verify reads the whole backup where it is. A restored directory is a new incarnation of the same \
node. It holds all that was acknowledged before the backup began; what was acknowledged later is new again if senders repeat it, so \
restore the newest backup, and never serve from the old directory again. Interrupted at any moment, the directory is refused by a gateway \
until the same command was run to its end. --to-time and --to-sequence cut logs at an earlier batch; slices must not \
reach behind that, so an older backup may be needed.";

/// Options of `flk restore`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{RESTORE_CODES}"))]
pub(crate) struct RestoreArgs {
    /// Where the backups are: a directory, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE", value_parser = Place::parse)]
    from: Place,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Directory to restore into: an empty one, or one that is not there
    #[arg(long, value_name = "DIR", required_unless_present = "verify")]
    dir: Option<PathBuf>,
    /// Number of the backup; INCARNATION/NUMBER where several incarnations have it
    #[arg(long, value_name = "NUMBER", default_value = "latest")]
    backup: String,
    /// The secret of the directory, where the backup does not have it
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Age identities, where the secret in the backup is encrypted
    #[arg(long, value_name = "FILE", env = "SOPS_AGE_KEY_FILE")]
    age_identity_file: Option<PathBuf>,
    /// Cut a log behind this sequence; may be repeated
    #[arg(long, value_name = "LOG:SEQUENCE", value_parser = point::log_end)]
    to_sequence: Vec<LogUpto>,
    /// Cut each log before its first batch that is later
    #[arg(long, value_name = "TIME", value_parser = point::time_us)]
    to_time: Option<u64>,
    /// Read every byte again, and compare it with what the backup states
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    metrics: MetricsArgs,
}

/// Runs it.
pub(crate) fn run(args: &RestoreArgs) -> CommandResult {
    let store = args.endpoint.open(&args.from)?;
    let index = choose(&store, &args.backup, &args.from)?;
    let backup = Backup::read(&store, index)?;
    let point = Point {
        sequences: args.to_sequence.clone(),
        time_us: args.to_time,
    };
    let (backup, manifest) = history::at(backup, &point)?;
    let exit = match &args.dir {
        Some(dir) => restore(args, &backup, &manifest, &point, dir),
        None => verify::check(&backup, &manifest, &From::Backup),
    }?;
    if args.verify && exit == Exit::Yes {
        args.metrics.write(&[
            Sample {
                name: "flk_backup_verified_timestamp_seconds",
                help: "When a backup was last read whole and found to be right.",
                value: seconds(now().wall_us),
            },
            Sample {
                name: "flk_backup_verified_taken_timestamp_seconds",
                help: "When that backup was taken.",
                value: seconds(backup.index.moment_us),
            },
        ])?;
    }
    Ok(exit)
}

fn restore(
    args: &RestoreArgs,
    backup: &Backup<'_>,
    manifest: &Manifest,
    point: &Point,
    dir: &Path,
) -> CommandResult {
    let secret = secret(args, backup)?;
    let drawn = crate::wal::random().map_err(|error| {
        let why = fault::why(&error);
        Failure::with(Exit::File, format!("cannot draw an incarnation: {why}"))
    });
    let plan = Plan {
        backup: backup.index.object(),
        sha256: sha256(&backup.index.encode()?),
        cuts: point.words(),
        incarnation: hex(&drawn?),
    };
    let mut target = Target::take(dir, plan)?;
    target.files(backup, manifest)?;
    let (written, there) = (target.written_bytes, target.there_bytes);
    let incarnation = target.incarnation()?;
    let manifest = restored(manifest, incarnation);
    if args.verify {
        let directory = LogDirectory::open(dir).map_err(|error| {
            let why = fault::why(&error);
            Failure::with(Exit::File, format!("cannot open {}: {why}", dir.display()))
        })?;
        let exit = verify::check(backup, &manifest, &From::Directory(&directory))?;
        if exit != Exit::Yes {
            eprintln!(
                "flk: {} stays incomplete, and no gateway starts from it: it has {RESTORING}",
                dir.display()
            );
            return Ok(exit);
        }
    }
    target.finish(&secret, &manifest)?;
    report(backup, &manifest, dir, (written, there))
}

fn report(
    backup: &Backup<'_>,
    manifest: &Manifest,
    dir: &Path,
    (written, there): (u64, u64),
) -> CommandResult {
    let index = &backup.index;
    let mut output = Output::new();
    output.line(format!(
        "restored backup {} of {} into {}: {} with {}, {}; {written} bytes written, {there} were there already",
        index.number,
        time_text(index.moment_us),
        dir.display(),
        counted(manifest.logs.len() as u64, "log"),
        counted(manifest.segments_count() as u64, "segment"),
        counted(manifest.slices.len() as u64, "slice"),
    ))?;
    output.line(format!(
        "incarnation {} follows {}",
        hex(&manifest.incarnation),
        index.incarnation
    ))?;
    output.flush()?;
    Ok(Exit::Yes)
}

/// The backup that was asked for.
fn choose(objects: &dyn Objects, asked: &str, place: &Place) -> Result<Index, Failure> {
    let stored = all(&objects.list()?);
    if stored.is_empty() {
        return Err(Failure::usage(format!("no backup is in {place}")));
    }
    if asked == "latest" {
        return latest(objects, &stored)?
            .ok_or_else(|| Failure::usage(format!("no backup is in {place}")));
    }
    let (incarnation, number) = match asked.split_once('/') {
        Some((incarnation, number)) => (Some(incarnation), number),
        None => (None, asked),
    };
    let is_asked = |it: &&Stored| {
        number.parse() == Ok(it.number) && incarnation.is_none_or(|of| it.incarnation == of)
    };
    let found: Vec<&Stored> = stored.iter().filter(is_asked).collect();
    match found[..] {
        [one] => one.index(objects),
        [] => Err(Failure::usage(format!(
            "no backup {asked} is in {place}: flk backup list shows those that are"
        ))),
        _ => Err(Failure::usage(format!(
            "several incarnations have a backup {asked}: name one as INCARNATION/{asked}; flk backup list shows them"
        ))),
    }
}

/// The secret of the directory, from a file or from the backup.
fn secret(args: &RestoreArgs, backup: &Backup<'_>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let read = |path: &Path| {
        std::fs::read(path).map(Zeroizing::new).map_err(|error| {
            let why = fault::why(&error);
            Failure::usage(format!("cannot read {}: {why}", path.display()))
        })
    };
    let (path, bytes) = match (&args.secret_file, &backup.index.secret) {
        (Some(path), _) => (path.clone(), read(path)?),
        (None, SecretKept::LeftOut) => {
            return Err(Failure::usage(
                "the backup does not have the secret of the directory: name a copy of WAL_DIR/secret with --secret-file",
            ));
        }
        (None, SecretKept::InClear(part)) => {
            let bytes = Zeroizing::new(fetch(backup.objects, part)?);
            (PathBuf::from(&part.object), bytes)
        }
        (None, SecretKept::Encrypted(part)) => {
            let Some(identities) = &args.age_identity_file else {
                return Err(Failure::usage(
                    "the secret in the backup is encrypted: name a file of age identities with --age-identity-file",
                ));
            };
            let sealed = fetch(backup.objects, part)?;
            let identities = parse_identities(identities, &read(identities)?)?;
            let opened = age::open(&sealed, &identities)
                .map_err(|error| Failure::usage(format!("the secret in the backup: {error}")))?;
            (PathBuf::from(&part.object), opened)
        }
    };
    check_secret(&path, &bytes, &backup.manifest)?;
    Ok(bytes)
}

/// The identities of a file: a line each, beside comments.
fn parse_identities(path: &Path, text: &[u8]) -> Result<Vec<Identity>, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "{} is no file of age identities, as age-keygen writes them",
            path.display()
        ))
    };
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let identities: Result<Vec<_>, _> = lines.map(Identity::parse).collect();
    match identities {
        Ok(identities) if !identities.is_empty() => Ok(identities),
        _ => Err(wrong()),
    }
}
