//! The directory that is backed up, at one moment: its manifest, and where each log that has not ended ends in the copy. It changes
//! nothing. What was changed meanwhile is for the next attempt.

use crate::exit::{Exit, Failure};
use crate::fault;
use crate::wal::directory::Directory;
use flk_dataplane::driver::clock::now;
use flk_dataplane::driver::log_directory::{LogDirectory, OpenSegment};
use flk_dataplane::io::Errno;
use flk_dataplane::wal::copy::{LogStop, Take, stop_of, stopped};
use flk_dataplane::wal::files::{MANIFEST, NumberedFile, RESTORING};
use flk_dataplane::wal::manifest::{LogEntry, Manifest};
use flk_dataplane::wal::name::{LogId, Sequence};
use flk_dataplane::wal::scan::run_ready;
use flk_dataplane::wal::tail::{TailError, read_manifest};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a gateway may take until something says that its last batch was durable. An idle one writes a mark after 10 ms.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at the ends of logs.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How often a log is read before damage is believed: between two reads a batch may become whole, and the next one may say so.
const ATTEMPTS_MAX: u32 = 5;

/// Why an attempt ended.
pub(crate) enum Ended {
    /// The directory is another one by now: files are gone, or a gateway began to serve from it.
    Changed,
    /// Anything else.
    Failure(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// A directory that is read.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) files: LogDirectory,
}

/// A directory at one moment.
pub(crate) struct Moment {
    /// The manifest of the copy.
    pub(crate) copy: Manifest,
    /// Wall clock before the manifest was read, in microseconds.
    pub(crate) wall_us: u64,
    pub(crate) is_served: bool,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let files = LogDirectory::open(path).map_err(|error| {
            let (path, why) = (path.display(), fault::why(&error));
            Failure::usage(format!(
                "cannot open the log directory {path}: {why}; --dir or WAL_DIR names it"
            ))
        })?;
        if path.join(RESTORING).exists() {
            return Err(Failure::usage(format!(
                "{} is being restored, or its restore was interrupted: run flk restore again first",
                path.display()
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            files,
        })
    }

    /// Finds where everything ends.
    pub(crate) fn moment(&self) -> Result<Moment, Ended> {
        let wall_us = now().wall_us;
        let manifest = self.manifest()?;
        let is_served = self.is_served()?;
        let stops = match is_served {
            true => self.confirmed(&manifest)?,
            false => self.stops(&manifest, Take::Whole)?,
        };
        // What nothing writes is what it was, unless a gateway began to.
        if !is_served && (self.is_served()? || self.has_changed(&manifest)?) {
            return Err(Ended::Changed);
        }
        Ok(Moment {
            copy: stopped(&manifest, &stops),
            wall_us,
            is_served,
        })
    }

    pub(crate) fn manifest(&self) -> Result<Manifest, Failure> {
        let read = ready(read_manifest(&self.files));
        let manifest = read.map_err(|error| match error {
            TailError::Unreadable(_, Errno::ENOENT) => Failure::usage(format!(
                "{} holds no {MANIFEST}: a directory in which a gateway was started has one",
                self.path.display()
            )),
            TailError::Unreadable(file, errno) => self.unreadable(&file, errno),
            error if error.is_newer() => Failure::with(Exit::Configuration, error.to_string()),
            error => Failure::with(Exit::Damage, error.to_string()),
        })?;
        Ok(Manifest::clone(&manifest))
    }

    pub(crate) fn is_served(&self) -> Result<bool, Failure> {
        Ok(Directory::open(&self.path)?.holder.is_some())
    }

    fn has_changed(&self, manifest: &Manifest) -> Result<bool, Failure> {
        Ok(self.manifest()?.generation != manifest.generation)
    }

    /// Waits until everything that is whole now is confirmed.
    fn confirmed(&self, manifest: &Manifest) -> Result<Vec<LogStop>, Ended> {
        let begun = Instant::now();
        let first = self.stops(manifest, Take::Confirmed)?;
        let whole: BTreeMap<LogId, Sequence> =
            first.iter().map(|it| (it.log, it.whole_upto)).collect();
        let mut stops = first;
        loop {
            let waits = stops.iter().find(|it| !it.holds(whole[&it.log]));
            let Some(waits) = waits else { return Ok(stops) };
            if begun.elapsed() > CONFIRMED_WITHIN {
                if self.has_changed(manifest)? {
                    return Err(Ended::Changed);
                }
                return Err(Ended::Failure(Failure::unavailable(format!(
                    "batch {} of log {} was written, and nothing says yet that it is durable: the gateway starts, or its disk hangs; try again",
                    waits.whole_upto, waits.log
                ))));
            }
            std::thread::sleep(LOOK_AGAIN);
            stops = self.stops(manifest, Take::Confirmed)?;
        }
    }

    /// Where the logs end that have not ended.
    fn stops(&self, manifest: &Manifest, take: Take) -> Result<Vec<LogStop>, Ended> {
        let unended = manifest.logs.iter().filter(|log| log.ended_at.is_none());
        unended
            .map(|log| self.stop_of(manifest, log, take))
            .collect()
    }

    fn stop_of(&self, manifest: &Manifest, log: &LogEntry, take: Take) -> Result<LogStop, Ended> {
        let unfinished = log.segments.iter().filter(|it| it.state.extent().is_none());
        let mut verdict = None;
        for _ in 0..ATTEMPTS_MAX {
            let files = unfinished.clone().map(|it| self.segment(it.file));
            let files = files.collect::<Result<Vec<_>, Ended>>()?;
            match ready(stop_of(manifest, log, &files, take)) {
                Ok(stop) => return Ok(stop),
                Err(again) if verdict.as_ref() == Some(&again) => break,
                Err(unsound) => verdict = Some(unsound),
            }
        }
        if self.has_changed(manifest)? {
            return Err(Ended::Changed);
        }
        let why = verdict.map_or_else(String::new, |it| it.to_string());
        let exit = verdict.as_ref().map_or(Exit::Damage, Exit::of_unsound);
        Err(Ended::Failure(Failure::with(
            exit,
            format!(
                "log {}: {why}; flk wal verify shows all that is damaged",
                log.id
            ),
        )))
    }

    /// Opens a segment. It stays readable when it is removed.
    pub(crate) fn segment(&self, number: u64) -> Result<OpenSegment, Ended> {
        self.open_file(&NumberedFile::Segment(number).to_string())
    }

    /// Opens a file that the manifest names.
    pub(crate) fn open_file(&self, name: &str) -> Result<OpenSegment, Ended> {
        self.files.open_file(name).map_err(|errno| match errno {
            Errno::ENOENT => Ended::Changed,
            errno => Ended::Failure(self.unreadable(name, errno)),
        })
    }

    /// A file that the manifest names is gone for good.
    pub(crate) fn lost(&self, name: &str, manifest: &Manifest) -> Failure {
        let generation = manifest.generation;
        Failure::with(
            Exit::Damage,
            format!(
                "{} is not there, and the manifest (generation {generation}) names it; flk wal verify shows all that is damaged",
                self.path.join(name).display()
            ),
        )
    }

    fn unreadable(&self, name: &str, errno: Errno) -> Failure {
        let (path, why) = (self.path.join(name), fault::why_number(errno));
        Failure::with(Exit::File, format!("cannot read {}: {why}", path.display()))
    }
}

/// Reading files waits for nothing.
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    let Some(output) = run_ready(future) else {
        unreachable!("files are read at once")
    };
    output
}
