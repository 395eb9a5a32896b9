//! The hold of backups or of an archive: it keeps segments that none of them has yet until the next one has them. The gateway that serves from the directory
//! has it; where none serves nothing is deleted, and the hold stays where it is.

use super::directory::Source;
use crate::exit::Failure;
use crate::wal::socket::Gateway;
use flk_dataplane::wal::manifest::Manifest;
use flk_dataplane::wal::name::{LogId, Sequence};
use std::path::Path;
use std::time::Duration;

/// How long the gateway may take to answer: it replaces its manifest first.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a hold is moved before it counts as one that cannot be: another process may move it meanwhile.
const MOVES_MAX: u32 = 3;

/// Positions that are sent in a line.
const POSITIONS_MAX: usize = 16;

/// The hold of this name, in a directory.
pub(crate) struct Hold<'a> {
    pub(crate) name: &'a str,
    pub(crate) directory: &'a Path,
    /// The command that has it.
    pub(crate) owner: &'static str,
    /// What is done already when the hold moves.
    pub(crate) done: &'static str,
}

impl Hold<'_> {
    /// Makes it if it is not there. A new one keeps all that is there.
    pub(crate) fn make(&self, source: &Source) -> Result<(), Failure> {
        match source.is_served()? {
            true => self.ask(&format!("hold set {} --owner {}", self.name, self.owner)),
            false => Ok(()),
        }
    }

    /// Moves it to these positions: from there on the next one needs what is there. Where another process has moved it further, it stays:
    /// a hold never goes back.
    pub(crate) fn advance(
        &self,
        source: &Source,
        ends: &[(LogId, Sequence)],
    ) -> Result<(), Failure> {
        if !source.is_served()? {
            eprintln!(
                "flk: no gateway serves from {}, so hold {} is neither made nor moved: nothing is deleted there meanwhile; run it again beside a gateway",
                self.directory.display(),
                self.name
            );
            return Ok(());
        }
        let mut moved = self.move_on(source, ends);
        for _ in 1..MOVES_MAX {
            if moved.is_ok() {
                break;
            }
            moved = self.move_on(source, ends);
        }
        moved.map_err(|failure| {
            let text = format!("{}, but hold {}: {}", self.done, self.name, failure.text());
            Failure::unavailable(text)
        })
    }

    fn move_on(&self, source: &Source, ends: &[(LogId, Sequence)]) -> Result<(), Failure> {
        let manifest = source.manifest()?;
        let holds = &manifest.sections.holds;
        let hold = holds.iter().find(|it| it.name == self.name);
        let done = |log: LogId| {
            let done = hold?.done.iter().find(|it| it.log == log);
            done.map(|it| it.upto)
        };
        let further =
            |(log, end): &(LogId, Sequence)| (*log, done(*log).map_or(*end, |it| it.max(*end)));
        let ends: Vec<(LogId, Sequence)> = ends.iter().map(further).collect();
        lines(self.name, &ends)
            .iter()
            .try_for_each(|line| self.ask(line))
    }

    fn ask(&self, line: &str) -> Result<(), Failure> {
        Gateway::reach(self.directory, PATIENCE)?
            .answer(line)
            .map(drop)
    }
}

/// The ends of all logs of a copy.
pub(super) fn ends_of(copy: &Manifest) -> Vec<(LogId, Sequence)> {
    let ends = copy.logs.iter();
    let ends = ends.filter_map(|log| Some((log.id, log.ended_at?.sequence)));
    ends.collect()
}

/// Commands that state positions.
fn lines(name: &str, ends: &[(LogId, Sequence)]) -> Vec<String> {
    let position = |(log, end): &(LogId, Sequence)| format!(" {log}:{end}");
    let positions: Vec<String> = ends.iter().map(position).collect();
    let line = |positions: &[String]| format!("hold move {name}{}", positions.concat());
    positions.chunks(POSITIONS_MAX).map(line).collect()
}
