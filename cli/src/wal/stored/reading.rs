//! A directory as commands read it: one snapshot of its logs, cut into units that can be read at the same time, each from a
//! cursor on. What cannot be read ends the command.

use crate::exit::{Exit, Failure};
use crate::fault;
use flk_dataplane::driver::log_directory::LogDirectory;
use flk_dataplane::io::Errno;
use flk_dataplane::wal::batch::Batch;
use flk_dataplane::wal::manifest::{LogEntry, Manifest};
use flk_dataplane::wal::name::{LogId, Sequence};
use flk_dataplane::wal::record::ErasedBody;
use flk_dataplane::wal::scan::run_ready;
use flk_dataplane::wal::tail::{
    Cursor, Depth, LogTail, Missing, TailError, TailStep, erasures, read_manifest,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The logs of a directory.
pub(crate) struct Logs {
    path: PathBuf,
    directory: LogDirectory,
    pub(crate) manifest: Arc<Manifest>,
    /// Once a body was found that is not what it was.
    erased: OnceLock<Arc<BTreeSet<ErasedBody>>>,
}

/// A part of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    /// Where it begins.
    pub(crate) cursor: Cursor,
    /// Its last sequence; none: up to the end of the log.
    pub(crate) upto: Option<Sequence>,
    /// What is added to its times.
    pub(crate) clock_base_s: u32,
}

impl Logs {
    /// Opens a directory.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let directory = LogDirectory::open(path).map_err(|error| {
            let (path, why) = (path.display(), fault::why(&error));
            Failure::usage(format!(
                "cannot open the log directory {path}: {why}; --dir or WAL_DIR names it"
            ))
        })?;
        let manifest = now(read_manifest(&directory)).map_err(|error| match error {
            TailError::Unreadable(_, Errno::ENOENT) => Failure::usage(format!(
                "{} holds no manifest: a directory in which a gateway was started has one",
                path.display()
            )),
            error => failure(path, error),
        })?;
        Ok(Self {
            path: path.to_owned(),
            directory,
            manifest,
            erased: OnceLock::new(),
        })
    }

    /// The bytes of the file of the hash key.
    pub(crate) fn secret(&self) -> Result<Vec<u8>, Failure> {
        self.directory
            .secret()
            .map_err(|errno| unreadable(&self.path, "secret", errno))
    }

    /// Each log in parts: its closed segments, one each, and the rest.
    pub(crate) fn units(&self) -> Vec<Unit> {
        let manifest = &self.manifest;
        let units = manifest.logs.iter().flat_map(|log| units_of(manifest, log));
        units.collect()
    }

    /// The logs, one unit each.
    pub(crate) fn whole_logs(&self) -> Vec<Unit> {
        let unit = |log: &LogEntry| Unit {
            cursor: Cursor::beginning(log),
            upto: None,
            clock_base_s: self.manifest.clock_base_s(log.id),
        };
        self.manifest.logs.iter().map(unit).collect()
    }

    /// Whether nothing will follow in a log.
    pub(crate) fn has_ended(&self, log: LogId) -> bool {
        let log = self.manifest.log(log);
        log.is_none_or(|log| log.ended_at.is_some())
    }

    /// Shows every batch of a unit, in order, and what is missing. What comes back are the first and last batch behind the unit
    /// that nothing says yet were durable; none if there is none.
    pub(crate) fn read(
        &self,
        unit: &Unit,
        batch: impl FnMut(&Batch<'_>) -> Result<(), Failure>,
        missing: impl FnMut(Missing),
    ) -> Result<Option<(Sequence, Sequence)>, Failure> {
        self.read_on(&mut unit.clone(), batch, missing)
    }

    /// The same, and the unit begins behind what was read from then on: read again, it gives what came since.
    pub(crate) fn read_on(
        &self,
        unit: &mut Unit,
        batch: impl FnMut(&Batch<'_>) -> Result<(), Failure>,
        missing: impl FnMut(Missing),
    ) -> Result<Option<(Sequence, Sequence)>, Failure> {
        let manifest = Arc::clone(&self.manifest);
        let mut tail = LogTail::new(&self.directory, manifest, unit.cursor, Depth::Whole);
        let read = self.read_with(&mut tail, unit.upto, batch, missing);
        unit.cursor = tail.cursor();
        read
    }

    fn read_with(
        &self,
        tail: &mut LogTail<&LogDirectory>,
        upto: Option<Sequence>,
        mut batch: impl FnMut(&Batch<'_>) -> Result<(), Failure>,
        mut missing: impl FnMut(Missing),
    ) -> Result<Option<(Sequence, Sequence)>, Failure> {
        let mut knows_erased = false;
        // Behind the last batch with records of a unit there may be a mark, so the next step may lead out of it.
        let is_behind = |at: Sequence| upto.is_some_and(|upto| at > upto);
        while upto != Some(tail.cursor().sequence) {
            match now(tail.next()) {
                Ok(TailStep::Batch(it)) if is_behind(it.header.fields.sequence) => break,
                Ok(TailStep::Batch(it)) => batch(&it)?,
                Ok(TailStep::Missing(it)) if is_behind(it.from) => break,
                Ok(TailStep::Missing(it)) => missing(it),
                Ok(TailStep::End) => return Ok(None),
                Ok(TailStep::NotYet) => match now(tail.check_rest()) {
                    Err(TailError::Damage(_)) if !knows_erased => {
                        tail.know_erased(self.erased()?);
                        knows_erased = true;
                    }
                    rest => return rest.map_err(|error| failure(&self.path, error)),
                },
                Err(TailError::Damage(_)) if !knows_erased => {
                    tail.know_erased(self.erased()?);
                    knows_erased = true;
                }
                Err(error) => return Err(failure(&self.path, error)),
            }
        }
        Ok(None)
    }

    /// Ranges of starts of the gateway of which no log is there.
    pub(crate) fn starts_without_log(&self) -> Vec<(u32, u32)> {
        let with_log: BTreeSet<u32> = self.manifest.logs.iter().map(|it| it.id.start).collect();
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for start in (1..=self.manifest.start).filter(|it| !with_log.contains(it)) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == start => *last = start,
                _ => ranges.push((start, start)),
            }
        }
        ranges
    }

    /// Bodies that durable lists name as erased.
    fn erased(&self) -> Result<Arc<BTreeSet<ErasedBody>>, Failure> {
        if let Some(known) = self.erased.get() {
            return Ok(Arc::clone(known));
        }
        let found = now(erasures(&self.directory, &self.manifest))
            .map_err(|error| failure(&self.path, error))?;
        Ok(Arc::clone(self.erased.get_or_init(|| Arc::new(found))))
    }
}

fn units_of(manifest: &Manifest, log: &LogEntry) -> Vec<Unit> {
    let clock_base_s = manifest.clock_base_s(log.id);
    let mut units = Vec::new();
    let mut cursor = Cursor::beginning(log);
    for extent in log.segments.iter().filter_map(|it| it.state.extent()) {
        let is_empty = extent.first > extent.last;
        if !is_empty {
            units.push(Unit {
                cursor,
                upto: Some(extent.last),
                clock_base_s,
            });
            cursor.sequence = extent.last;
        }
    }
    units.push(Unit {
        cursor,
        upto: None,
        clock_base_s,
    });
    units
}

/// Reading files waits for nothing.
fn now<F: Future>(future: F) -> F::Output {
    let Some(output) = run_ready(future) else {
        unreachable!("files are read at once")
    };
    output
}

/// A log that cannot be read, for the operator.
fn failure(directory: &Path, error: TailError) -> Failure {
    let exit = match &error {
        error if error.is_newer() => Exit::Configuration,
        TailError::Changing => Exit::Unavailable,
        TailError::Unreadable(file, errno) => return unreadable(directory, file, *errno),
        _ => Exit::Damage,
    };
    let hint = match exit {
        Exit::Damage => "; flk wal verify shows all that is damaged",
        _ => "",
    };
    Failure::with(exit, format!("{error}{hint}"))
}

/// A file of the directory that cannot be read.
fn unreadable(directory: &Path, file: &str, errno: Errno) -> Failure {
    let (path, why) = (directory.join(file), fault::why_number(errno));
    Failure::with(Exit::File, format!("cannot read {}: {why}", path.display()))
}
