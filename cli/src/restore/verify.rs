//! The proof that a backup, or a directory that was restored from it, is what the index states: every checksum and chain of its segments,
//! every block of its slices, and the counts. It changes nothing.

use super::kept::{Backup, KeptFile};
use crate::backup::index::Holds;
use crate::backup::ready;
use crate::exit::{Exit, Failure};
use crate::fault;
use crate::output::{Output, counted};
use flk_dataplane::dedup::slice::verify;
use flk_dataplane::driver::log_directory::{LogDirectory, OpenSegment};
use flk_dataplane::io::Errno;
use flk_dataplane::keeper::slice_file::is_as_named;
use flk_dataplane::wal::buffer::BLOCK_BYTES;
use flk_dataplane::wal::copy::{SegmentContent, content_of};
use flk_dataplane::wal::files::NumberedFile;
use flk_dataplane::wal::manifest::{LogEntry, Manifest, SliceEntry};
use flk_dataplane::wal::packed::SegmentFile;
use flk_dataplane::wal::scan::ReadAt;

/// Where the files are that are checked.
pub(super) enum From<'a> {
    /// In the backup.
    Backup,
    /// In a directory.
    Directory(&'a LogDirectory),
}

/// A file that is checked.
enum Checked<'a> {
    Kept(KeptFile<'a>),
    There(OpenSegment),
}

impl ReadAt for Checked<'_> {
    fn read_at(&self, offset: u64, bytes: usize) -> impl Future<Output = Result<Vec<u8>, Errno>> {
        std::future::ready(match self {
            Self::Kept(file) => ready(file.read_at(offset, bytes)),
            Self::There(file) => ready(file.read_at(offset, bytes)),
        })
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Kept(file) => file.bytes(),
            Self::There(file) => file.bytes(),
        }
    }
}

/// What a check found.
#[derive(Default)]
struct Found {
    lines: Vec<String>,
    wrong: Vec<String>,
    /// How the command ends if anything is wrong.
    exit: Option<Exit>,
}

impl Found {
    fn wrong(&mut self, name: &str, exit: Exit, why: &str) {
        self.wrong.push(format!("DAMAGED  {name}: {why}"));
        self.exit = self.exit.max(Some(exit));
    }
}

/// Checks all files that a manifest names, prints a table, and says whether everything is as the index states.
pub(super) fn check(
    backup: &Backup<'_>,
    manifest: &Manifest,
    from: &From<'_>,
) -> Result<Exit, Failure> {
    let mut found = Found::default();
    for log in &manifest.logs {
        check_log(backup, manifest, log, from, &mut found)?;
    }
    for slice in &manifest.slices {
        check_slice(backup, manifest, slice, from, &mut found)?;
    }
    for file in &backup.index.files {
        if file.holds == Holds::Snapshot && matches!(from, From::Backup) {
            let opened = backup.open(file);
            let read = ready(opened.read_at(0, file.bytes as usize));
            if let (Err(_), Some(failure)) = (read, opened.failure()) {
                found.wrong(&file.name, failure.exit(), failure.text());
            }
        }
    }
    let mut output = Output::new();
    for line in found.lines.iter().chain(&found.wrong) {
        output.line(line)?;
    }
    match found.exit {
        None => output.line("ok: every byte and every count is as the index states")?,
        Some(_) => output.line(format!(
            "{} of the backup cannot be used",
            counted(found.wrong.len() as u64, "file")
        ))?,
    }
    output.flush()?;
    Ok(found.exit.unwrap_or(Exit::Yes))
}

/// Opens a file of the manifest; none if it is not there, which is found to be wrong.
fn open<'a>(
    backup: &'a Backup<'_>,
    name: &str,
    from: &From<'_>,
    found: &mut Found,
) -> Result<Option<Checked<'a>>, Failure> {
    let opened = match from {
        From::Backup => return Ok(Some(Checked::Kept(backup.open(backup.named(name)?)))),
        From::Directory(directory) => directory.open_file(name),
    };
    Ok(match opened {
        Ok(file) => Some(Checked::There(file)),
        Err(errno) => {
            found.wrong(name, Exit::Damage, &fault::why_number(errno));
            None
        }
    })
}

fn check_log(
    backup: &Backup<'_>,
    manifest: &Manifest,
    log: &LogEntry,
    from: &From<'_>,
    found: &mut Found,
) -> Result<(), Failure> {
    let mut sum = SegmentContent::default();
    for (at, entry) in log.segments.iter().enumerate() {
        let name = NumberedFile::Segment(entry.file).to_string();
        let kept = backup.named(&name)?;
        let Some(file) = open(backup, &name, from, found)? else {
            continue;
        };
        let stated_entry = backup.stated(entry)?;
        let file = match from {
            From::Backup => SegmentFile::new(file, stated_entry),
            From::Directory(_) => SegmentFile::new(file, entry),
        };
        let content = match ready(content_of(manifest, log, at, &file)) {
            Ok(content) => content,
            Err(verdict) => {
                let (exit, text) = (Exit::of_unsound(&verdict), verdict.to_string());
                wrong(found, &name, file.file(), exit, &text);
                continue;
            }
        };
        sum.batches += content.batches;
        sum.records += content.records;
        sum.bodies += content.bodies;
        sum.decisions += content.decisions;
        // What was cut has other counts than the whole.
        let is_whole = entry.state == stated_entry.state;
        if let (true, Holds::Segment(stated)) = (is_whole, &kept.holds)
            && let Some(why) = stated.differs(&content)
        {
            found.wrong(&name, Exit::Damage, &why);
        }
    }
    let end = log
        .ended_at
        .map_or_else(String::new, |it| it.sequence.to_string());
    found.lines.push(format!(
        "log {:<8} {:>6} segments  {:>9} batches  {:>10} records  {:>10} bodies  {:>10} decisions  ends at {end}",
        log.id.to_string(),
        log.segments.len(),
        sum.batches,
        sum.records,
        sum.bodies,
        sum.decisions
    ));
    Ok(())
}

fn check_slice(
    backup: &Backup<'_>,
    manifest: &Manifest,
    slice: &SliceEntry,
    from: &From<'_>,
    found: &mut Found,
) -> Result<(), Failure> {
    let name = NumberedFile::Slice(slice.file).to_string();
    let Some(file) = open(backup, &name, from, found)? else {
        return Ok(());
    };
    let mut entries = 0;
    let verified = ready(verify(&file, |_| entries += 1));
    let last_at = file.bytes().saturating_sub(BLOCK_BYTES as u64);
    let end = ready(file.read_at(last_at, BLOCK_BYTES)).unwrap_or_default();
    match verified {
        Ok((reader, _)) => {
            if !is_as_named(&reader, &end, manifest, slice) || entries != slice.entries {
                let why = "it is not the slice that the manifest names";
                found.wrong(&name, Exit::Damage, why);
            }
        }
        Err(error) => {
            let exit = Exit::of_unverified(&error);
            wrong(found, &name, &file, exit, &error.to_string());
        }
    }
    found.lines.push(format!(
        "{name}  {entries:>10} decisions  {:>12} bytes",
        slice.bytes
    ));
    Ok(())
}

/// What is wrong with a file: what its objects say, or else what reading it says.
fn wrong(found: &mut Found, name: &str, file: &Checked<'_>, exit: Exit, text: &str) {
    let failure = match file {
        Checked::Kept(file) => file.failure(),
        Checked::There(_) => None,
    };
    match failure {
        Some(failure) => found.wrong(name, failure.exit(), failure.text()),
        None => found.wrong(name, exit, text),
    }
}
