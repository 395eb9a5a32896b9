//! `flk archive`: bodies leave the log for a directory or an object store, as Parquet, and are found there by id, tenant and time. A run
//! changes nothing in the log directory, and never makes an object twice; what reads an archive changes nothing at all.

mod before;
mod collect;
mod content;
mod find;
mod list;
mod names;
mod object;
mod row;
mod run;
mod runs;
mod stated;
#[cfg(test)]
mod tests;
mod verify;
mod write;

use crate::CommandResult;
use crate::backup::EndpointArgs;
use crate::backup::owner::{Kept, Owner};
use crate::backup::store::{Objects, Place, Searched, Store};
use crate::exit::{ARCHIVE_RUN_CODES, Exit, Failure};
use crate::wal::DirArgs;
use clap::Args;
use flk_dataplane::keeper::holds::hold_name;
use names::{ENTRIES, Entry};
use stated::FORMAT;

/// What a place holds of a directory.
const ARCHIVE: Kept = Kept {
    object: names::OWNER,
    things: "archives",
    format: FORMAT,
};

const RUN_EXAMPLES: &str = "\
Examples:
  $ flk archive run --to ./archive --hold archive
  $ flk archive run --dir ./data/wal --to ./archive

It takes every body of the log that the archive does not have yet, once its disposition is known, and with it where it was in the \
log, when it came, and which key, parameters and configuration snapshot judged it. Objects are made only where there are none: \
interrupted at any moment, repeated, or run twice at once, it never archives a body twice. With --hold nothing is deleted before it is \
archived; what was deleted all the same is stated in the archive. Bodies are customer data. A place holds the archive of one \
log directory: --to s3://archive/gateway-1 is a bucket of an S3-compatible store, and what names in it begin with. Keys, region and \
endpoint of a store come from the usual variables (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL).";

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Archive the bodies that are not archived yet, beside a serving gateway or without one
    Run(RunArgs),
    /// Find bodies by id, tenant and time, and show where they came from
    Find(find::FindArgs),
    /// List what is archived of each log, what is missing, and how old the archive is
    List(list::ListArgs),
    /// Read every object, and check that all is there and nothing twice
    Verify(verify::VerifyArgs),
}

/// Options of `flk archive run`.
#[derive(Args, Debug)]
#[command(after_help = format!("{RUN_EXAMPLES}\n\n{ARCHIVE_RUN_CODES}"))]
pub(crate) struct RunArgs {
    #[command(flatten)]
    dir: DirArgs,
    #[command(flatten)]
    to: ArchiveTo,
    /// Keep what is not archived until it is: a hold of this name, made if need be
    #[arg(long, value_name = "NAME", value_parser = hold_name)]
    hold: Option<String>,
}

/// The place that a run writes to.
#[derive(Args, Debug)]
struct ArchiveTo {
    /// Where the archive is: a directory, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE", value_parser = Place::parse)]
    to: Place,
    #[command(flatten)]
    endpoint: EndpointArgs,
}

/// The place that is read.
#[derive(Args, Debug)]
struct ArchiveFrom {
    /// Where the archive is: a directory, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE", value_parser = Place::parse)]
    from: Place,
    #[command(flatten)]
    endpoint: EndpointArgs,
}

impl ArchiveFrom {
    /// Opens a place that has an archive.
    fn open(&self) -> Result<Store, Failure> {
        let store = self.endpoint.open(&self.from)?;
        check_owner(&store, &self.from)?;
        Ok(store)
    }
}

/// Runs one of them.
pub(crate) fn run(command: &Command) -> CommandResult {
    match command {
        Command::Run(args) => run::run(args),
        Command::Find(args) => find::run(args),
        Command::List(args) => list::run(args),
        Command::Verify(args) => verify::run(args),
    }
}

/// Refuses a place without an archive that can be read.
fn check_owner(objects: &dyn Objects, place: &Place) -> Result<(), Failure> {
    match Owner::find(ARCHIVE, objects)?.map(|it| it.format) {
        Some(FORMAT) => Ok(()),
        Some(other) => Err(Failure::with(
            Exit::Configuration,
            format!(
                "{place} holds an archive of format {other}, this flk reads {FORMAT}: use the one that made it"
            ),
        )),
        None => Err(Failure::usage(format!(
            "{place} holds no archive: flk archive run --to makes one"
        ))),
    }
}

/// The entries of the days that are wanted, by the time of the first body. Names that are none of an entry are counted.
fn entries(
    objects: &dyn Searched,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<(Vec<Entry>, u64), Failure> {
    let (mut entries, mut others) = (Vec::new(), 0);
    for folder in objects.folder(ENTRIES)?.folders {
        let day = folder.rsplit('/').next().unwrap_or_default();
        if !is_wanted(day) {
            continue;
        }
        for name in objects.folder(&folder)?.objects.keys() {
            match Entry::read(name) {
                Some(entry) => entries.push(entry),
                None => others += 1,
            }
        }
    }
    entries.sort_by_key(|it| (it.from_us, it.log, it.first));
    Ok((entries, others))
}

/// Says that names were passed over.
fn tell_of_others(others: u64) {
    if others > 0 {
        eprintln!(
            "flk: warning: {others} names below {ENTRIES}/ are none that flk archive makes: they were passed over"
        );
    }
}
