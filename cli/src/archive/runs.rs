//! Marks of runs: each is made last, and says that everything that had been acknowledged before its moment is in the archive, and how
//! far each log is. It says how old the archive is where no bodies come, and saves the next run from looking for the ends of logs.

use super::names::{self, LogName, RUNS, bytes_of_hex, log_id};
use super::stated::FORMAT;
use crate::backup::index::{with_sum, without_sum};
use crate::backup::store::Searched;
use crate::exit::{Exit, Failure};
use crate::wal::show::hex;
use serde::{Deserialize, Serialize};

/// How far a log is archived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) incarnation: String,
    pub(super) log: String,
    /// The last batch that is archived, as a counter.
    pub(super) upto: u64,
    /// The log has ended, and all of it is archived.
    pub(super) is_complete: bool,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) format: u32,
    pub(super) flk: String,
    pub(super) incarnation: String,
    /// Everything acknowledged before is archived.
    pub(super) moment_us: u64,
    /// Generation of the manifest that was read.
    pub(super) generation: u64,
    /// Its latest start of the gateway.
    pub(super) start: u32,
    /// Objects and rows that the run added.
    pub(super) objects: u64,
    pub(super) rows: u64,
    pub(super) logs: Vec<Position>,
}

impl Position {
    pub(super) fn new(log: &LogName, upto: u64, is_complete: bool) -> Self {
        Self {
            incarnation: hex(&log.incarnation),
            log: log.id.to_string(),
            upto,
            is_complete,
        }
    }

    /// The log.
    pub(super) fn name(&self) -> Option<LogName> {
        Some(LogName {
            incarnation: bytes_of_hex(&self.incarnation)?,
            id: log_id(&self.log)?,
        })
    }
}

impl Mark {
    /// How far a log is.
    pub(super) fn position(&self, log: &LogName) -> Option<&Position> {
        self.logs.iter().find(|it| it.name().as_ref() == Some(log))
    }

    /// Makes it.
    pub(super) fn put(&self, objects: &dyn Searched) -> Result<(), Failure> {
        let json = serde_json::json!(self).to_string();
        // One of that name is that of a run at the same moment, which says the same.
        objects.put_new(
            &names::run(self.moment_us, &self.incarnation),
            with_sum(json.into_bytes()),
        )?;
        Ok(())
    }

    fn decode(name: &str, bytes: &[u8]) -> Result<Self, Failure> {
        let damaged = |why: &str| {
            let text = format!("the mark of a run {name}: {why}; the next run does without it");
            Failure::with(Exit::Damage, text)
        };
        let json = without_sum(bytes).map_err(damaged)?;
        let mark: Self = serde_json::from_slice(json).map_err(|_| damaged("it cannot be read"))?;
        match mark.format {
            FORMAT if mark.logs.iter().all(|it| it.name().is_some()) => Ok(mark),
            FORMAT => Err(damaged("it names no log")),
            _ => Err(Failure::with(
                Exit::Configuration,
                format!("the mark of a run {name} was made by a newer flk: use that one"),
            )),
        }
    }
}

/// The newest mark that can be read. A damaged one is said and passed over: an older one leads to the same ends of logs.
pub(super) fn newest(objects: &dyn Searched) -> Result<Option<Mark>, Failure> {
    for folder in objects.folder(RUNS)?.folders.iter().rev() {
        let marks = objects.folder(folder)?.objects;
        let moments = marks.keys();
        let mut moments: Vec<(u64, &String)> = moments
            .filter_map(|name| Some((names::moment_of(name)?, name)))
            .collect();
        moments.sort();
        for (_, name) in moments.iter().rev() {
            match Mark::decode(name, &objects.get(name)?) {
                Ok(mark) => return Ok(Some(mark)),
                Err(failure) if failure.exit() == Exit::Damage => {
                    eprintln!("flk: warning: {}", failure.text());
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    Ok(None)
}
