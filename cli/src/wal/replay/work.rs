//! The threads that judge. Each takes the next unit that no other has, reads and judges it; the caller joins what they found, in
//! the order of each log, and shows how far they are.

use super::ReplayArgs;
use super::part::{Part, Reader};
use super::under::{Names, Scratch, Under};
use crate::exit::Failure;
use crate::output::counted;
use crate::progress::Progress;
use crate::wal::stored::pairs::Pairs;
use crate::wal::stored::reading::{Logs, Unit};
use flk_dataplane::wal::name::LogId;
use flk_dataplane::wal::tail::Missing;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// What all units come to.
pub(super) struct Judged {
    pub(super) part: Part,
    pub(super) missing: Vec<(LogId, Missing)>,
}

/// What a unit came to.
struct Done {
    unit: usize,
    found: Result<(Part, Vec<Missing>), Failure>,
}

/// What the threads share.
struct Shared<'a> {
    logs: &'a Logs,
    under: &'a Under,
    names: &'a Names,
    args: &'a ReplayArgs,
    units: Vec<Unit>,
    next: AtomicUsize,
    stop: AtomicBool,
    bodies: AtomicU64,
}

/// Judges all stored bodies.
pub(super) fn judge_all(
    logs: &Logs,
    under: &Under,
    names: &Names,
    args: &ReplayArgs,
    jobs: usize,
) -> Result<Judged, Failure> {
    let shared = Shared {
        logs,
        under,
        names,
        args,
        units: logs.units(),
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        bodies: AtomicU64::new(0),
    };
    let jobs = jobs.min(shared.units.len()).max(1);
    let (sender, done) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, shared) = (sender.clone(), &shared);
            scope.spawn(move || shared.work(&sender));
        }
        drop(sender);
        let mut found: Vec<Option<(Part, Vec<Missing>)>> = Vec::new();
        found.resize_with(shared.units.len(), || None);
        let mut progress = Progress::alone();
        let mut count = 0;
        loop {
            match done.recv_timeout(Duration::from_millis(200)) {
                Ok(Done { unit, found: it }) => {
                    count += 1;
                    found[unit] = Some(it.inspect_err(|_| shared.stop.store(true, Relaxed))?);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            progress.tick(|since| shared.progress(count, since));
        }
        progress.clear();
        Ok(shared.join(found))
    })
}

impl Shared<'_> {
    fn work(&self, sender: &Sender<Done>) {
        let mut scratch = Scratch::new(self.under, self.names);
        while !self.stop.load(Relaxed) {
            let unit = self.next.fetch_add(1, Relaxed);
            let Some(range) = self.units.get(unit) else {
                return;
            };
            let found = self.judge(&mut scratch, range);
            if sender.send(Done { unit, found }).is_err() {
                return;
            }
        }
    }

    fn judge(
        &self,
        scratch: &mut Scratch<'_>,
        unit: &Unit,
    ) -> Result<(Part, Vec<Missing>), Failure> {
        let mut reader = Reader::new(scratch, &self.args.select, self.args.examples, unit);
        let mut pairs = Pairs::default();
        let mut missing = Vec::new();
        self.logs.read(
            unit,
            |batch| {
                let bodies = pairs.batch(batch, &mut reader);
                self.bodies.fetch_add(bodies, Relaxed);
                Ok(())
            },
            |it| missing.push(it),
        )?;
        Ok((reader.finish(pairs), missing))
    }

    fn progress(&self, done: usize, since: Duration) -> String {
        let bodies = self.bodies.load(Relaxed);
        let per_s = bodies as f64 / since.as_secs_f64();
        let all = self.units.len();
        let bodies = counted(bodies, "body");
        format!("{bodies} judged, {per_s:.0}/s, part {done} of {all}")
    }

    /// Joins the units of each log in their order, and the logs.
    fn join(&self, found: Vec<Option<(Part, Vec<Missing>)>>) -> Judged {
        let mut judged = Judged {
            part: Part::new(self.args.examples),
            missing: Vec::new(),
        };
        let mut log: Option<(LogId, Part)> = None;
        for (unit, (part, missing)) in self.units.iter().zip(found.into_iter().flatten()) {
            let id = unit.cursor.log;
            judged
                .missing
                .extend(missing.into_iter().map(|it| (id, it)));
            match &mut log {
                Some((same, whole)) if *same == id => whole.follow(part),
                other => {
                    let before = other.replace((id, part));
                    self.end(before, &mut judged);
                }
            }
        }
        self.end(log, &mut judged);
        judged
    }

    fn end(&self, log: Option<(LogId, Part)>, judged: &mut Judged) {
        if let Some((id, mut part)) = log {
            part.end(self.logs.has_ended(id));
            judged.part.join(part);
        }
    }
}
