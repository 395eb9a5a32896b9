//! The hold of backups: it keeps segments that no backup has yet until the next one has them. The gateway that serves from the directory
//! has it; where none serves nothing is deleted, and the hold stays where it is.

use super::directory::Source;
use crate::exit::Failure;
use crate::wal::socket::Gateway;
use flk_dataplane::wal::manifest::Manifest;
use std::path::Path;
use std::time::Duration;

/// How long the gateway may take to answer: it replaces its manifest first.
const PATIENCE: Duration = Duration::from_secs(10);

/// Positions that are sent in a line.
const POSITIONS_MAX: usize = 16;

/// The hold of this name, in a directory.
pub(super) struct Hold<'a> {
    pub(super) name: &'a str,
    pub(super) directory: &'a Path,
}

impl Hold<'_> {
    /// Makes it if it is not there. A new one keeps all that is there.
    pub(super) fn make(&self, source: &Source) -> Result<(), Failure> {
        match source.is_served()? {
            true => self.ask(&format!("hold set {} --owner flk backup", self.name)),
            false => Ok(()),
        }
    }

    /// Moves it to the end of a copy: from there on the next backup needs what is there.
    pub(super) fn advance(&self, source: &Source, copy: &Manifest) -> Result<(), Failure> {
        if !source.is_served()? {
            return Ok(());
        }
        for line in lines(self.name, copy) {
            self.ask(&line).map_err(|failure| {
                let text = format!(
                    "the backup is there, but hold {}: {}",
                    self.name,
                    failure.text()
                );
                Failure::with(failure.exit(), text)
            })?;
        }
        Ok(())
    }

    fn ask(&self, line: &str) -> Result<(), Failure> {
        Gateway::reach(self.directory, PATIENCE)?
            .answer(line)
            .map(drop)
    }
}

/// Commands that state the ends of all logs of a copy.
fn lines(name: &str, copy: &Manifest) -> Vec<String> {
    let ends = copy
        .logs
        .iter()
        .filter_map(|log| Some((log.id, log.ended_at?)));
    let positions = ends.map(|(log, end)| format!(" {log}:{}", end.sequence));
    let positions: Vec<String> = positions.collect();
    let line = |positions: &[String]| format!("hold move {name}{}", positions.concat());
    positions.chunks(POSITIONS_MAX).map(line).collect()
}
