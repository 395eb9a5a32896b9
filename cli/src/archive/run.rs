//! `flk archive run`: takes what the archive does not have yet from a log directory. Each object is made only where there is none that
//! begins with the same batch, its entry after it, the next object after that; the mark of the run and the hold come last.

use super::before::Before;
use super::collect::{Collector, Limits};
use super::content::{Content, Origin};
use super::names::{BODIES, Entry, LogName, shown};
use super::object::{entry_of, firsts};
use super::row::Kind;
use super::runs::{self, Mark, Position};
use super::stated::FORMAT;
use super::write::encode;
use super::{ARCHIVE, ArchiveTo};
use crate::CommandResult;
use crate::backup::directory::{Ended, Moment, Source};
use crate::backup::hold::Hold;
use crate::backup::owner::Owner;
use crate::backup::store::{Place, Put, Searched};
use crate::backup::{ATTEMPTS_MAX, changing, make_place};
use crate::exit::{Exit, Failure};
use crate::output::{Output, counted};
use crate::progress::Progress;
use crate::wal::replay::why_missing;
use crate::wal::show::hex;
use crate::wal::stored::reading::{Logs, Unit};
use flk_dataplane::driver::clock::now;
use flk_dataplane::wal::batch::Batch;
use flk_dataplane::wal::name::{LogId, Sequence};
use flk_dataplane::wal::tail::{Missing, WhyMissing};
use rustix::fs::Mode;
use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a body that was acknowledged may be without its disposition: a gateway gives up after five seconds.
const RESOLVED_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at the end of a log.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How often another run may be first with an object before this one leaves the log to it.
const RACES_MAX: u32 = 100;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) objects: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// What became of a run.
pub(super) struct Done {
    pub(super) made: Made,
    pub(super) moment_us: u64,
    /// How far the logs of the directory are archived.
    pub(super) ends: Vec<(LogId, Sequence)>,
    /// What could not be archived yet although it was acknowledged, or may have been.
    pub(super) waits: Vec<String>,
    /// A gateway serves from the directory.
    pub(super) is_served: bool,
}

/// How the reading of a log ended.
enum Read {
    /// It is archived up to here.
    Upto(u64),
    /// Another run has made the next object meanwhile.
    Raced,
}

/// A run.
struct Run<'a> {
    objects: &'a dyn Searched,
    logs: &'a Logs,
    moment: &'a Moment,
    origin: Origin,
    limits: Limits,
    /// The newest run before.
    newest: Option<Mark>,
    positions: Vec<Position>,
    ends: Vec<(LogId, Sequence)>,
    waits: Vec<String>,
    made: Made,
    progress: Progress,
    /// Another run was first with an object.
    raced: bool,
}

/// Runs it.
pub(super) fn run(args: &super::RunArgs) -> CommandResult {
    // Bodies are customer data: what is made is for its owner only, in a directory that others made as well.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let source = Source::open(args.dir.path())?;
    let ArchiveTo { to, endpoint } = &args.to;
    make_place(to, &source)?;
    let store = endpoint.open(to)?;
    let hold = args.hold.as_deref().map(|name| Hold {
        name,
        directory: args.dir.path(),
        owner: "flk archive",
        done: "the bodies are in the archive",
    });
    hold.iter().try_for_each(|hold| hold.make(&source))?;
    let done = archive(&source, args.dir.path(), &store, Limits::default())?;
    report(to, &done)?;
    hold.iter()
        .try_for_each(|hold| hold.advance(&source, &done.ends))?;
    match done.refusal() {
        None => Ok(Exit::Yes),
        Some(failure) => Err(failure),
    }
}

impl Done {
    /// Why not everything that was acknowledged is archived, and what helps; none if it is.
    pub(super) fn refusal(&self) -> Option<Failure> {
        let helps = match self.is_served {
            true => "run it again",
            false => {
                "the next start of a gateway on the directory decides and keeps what is whole: start one, then run it again"
            }
        };
        (!self.waits.is_empty()).then(|| {
            Failure::unavailable(format!(
                "what was acknowledged may not be archived yet: {}; {helps}",
                self.waits.join("; ")
            ))
        })
    }
}

fn report(place: &Place, done: &Done) -> Result<(), Failure> {
    let made = done.made;
    let mut output = Output::new();
    output.line(format!(
        "{} in {} added to {place}, {} bytes",
        counted(made.rows, "body"),
        counted(made.objects, "object"),
        made.bytes
    ))?;
    if done.waits.is_empty() {
        let moment = shown(done.moment_us);
        output.line(format!(
            "everything that was acknowledged before {moment} is there"
        ))?;
    }
    output.flush()
}

/// Archives what the place does not have yet of a directory.
pub(super) fn archive(
    source: &Source,
    path: &Path,
    objects: &dyn Searched,
    limits: Limits,
) -> Result<Done, Failure> {
    let moment = steady_moment(source)?;
    Owner::of(ARCHIVE, &moment.copy).claim(ARCHIVE, objects)?;
    let logs = Logs::open(path)?;
    let manifest = &logs.manifest;
    let mut run = Run {
        objects,
        logs: &logs,
        moment: &moment,
        origin: Origin {
            installation: hex(&manifest.installation),
            node: hex(&manifest.node),
        },
        limits,
        newest: runs::newest(objects)?,
        positions: Vec::new(),
        ends: Vec::new(),
        waits: Vec::new(),
        made: Made::default(),
        progress: Progress::every_minute(),
        raced: false,
    };
    for unit in logs.whole_logs() {
        run.log(&unit)?;
    }
    run.deleted_logs()?;
    run.progress.clear();
    if run.waits.is_empty() {
        run.mark().put(objects)?;
    }
    Ok(Done {
        made: run.made,
        moment_us: moment.wall_us,
        ends: run.ends,
        waits: run.waits,
        is_served: moment.is_served,
    })
}

/// The directory at one moment, once nothing changes it for as long as that takes.
fn steady_moment(source: &Source) -> Result<Moment, Failure> {
    for _ in 0..ATTEMPTS_MAX {
        match source.moment() {
            Ok(moment) => return Ok(moment),
            Err(Ended::Failure(failure)) => return Err(failure),
            Err(Ended::Changed) => source.refuse_lost()?,
        }
    }
    Err(changing())
}

impl Run<'_> {
    /// Archives what is new of a log.
    fn log(&mut self, unit: &Unit) -> Result<(), Failure> {
        let log = LogName {
            incarnation: unit.cursor.incarnation,
            id: unit.cursor.log,
        };
        let end = self.logs.manifest.log(log.id).and_then(|it| it.ended_at);
        let end = end.map(|it| it.sequence.counter());
        let mut upto = self
            .known(&log)
            .filter(|upto| end <= Some(*upto) && end.is_some());
        for _ in 0..RACES_MAX {
            if upto.is_some() {
                break;
            }
            let begin = self.end_of(&log)?;
            match self.read(unit, log, begin)? {
                Read::Upto(end) => upto = Some(end),
                Read::Raced => {}
            }
        }
        let Some(upto) = upto else {
            return Err(Failure::unavailable(format!(
                "{log}: another run archives it; try again when that has ended"
            )));
        };
        let is_complete = end.is_some_and(|end| end <= upto);
        self.positions.push(Position::new(&log, upto, is_complete));
        if upto > 0 {
            self.ends.push((log.id, log.sequence(upto)));
        }
        Ok(())
    }

    /// How far the newest run before was with a log.
    fn known(&self, log: &LogName) -> Option<u64> {
        let position = self.newest.as_ref()?.position(log)?;
        Some(position.upto)
    }

    /// Up to where a log is archived, as a counter. An object whose run was interrupted before it had made the entry gets that now.
    fn end_of(&self, log: &LogName) -> Result<u64, Failure> {
        let mut upto = match self.known(log) {
            Some(upto) => upto,
            None => {
                let firsts = firsts(self.objects, log)?;
                firsts.last().map_or(0, |first| first - 1)
            }
        };
        while let Some(entry) = entry_of(self.objects, log, upto + 1)? {
            self.objects.put_new(&entry.name(), Vec::new())?;
            upto = entry.last;
        }
        Ok(upto)
    }

    /// Reads a log behind a position, and archives what has its disposition.
    fn read(&mut self, unit: &Unit, log: LogName, begin: u64) -> Result<Read, Failure> {
        let mut unit = *unit;
        unit.cursor.sequence = log.sequence(begin);
        let logs = self.logs;
        let entry = logs.manifest.log(log.id);
        let segments = entry.into_iter().flat_map(|it| &it.segments);
        let extents = segments.filter_map(|it| it.state.extent());
        let closed: Vec<Sequence> = extents.map(|it| it.last).collect();
        let acknowledged = self.moment.copy.log(log.id).and_then(|it| it.ended_at);
        let acknowledged = acknowledged.map_or(Sequence::default(), |it| it.sequence);
        let mut before = Before::default();
        let collector = RefCell::new(Collector::new(self.limits, log, unit, begin));
        let begun = Instant::now();
        let left_out = loop {
            let each = |batch: &Batch<'_>| {
                let collector = &mut *collector.borrow_mut();
                collector.batch(batch);
                if collector.is_full() {
                    self.put_all(collector, &[], begin, &mut before)?;
                }
                match collector.is_over_full() {
                    true => Err(collector.waits_too_long()),
                    false => Ok(()),
                }
            };
            let read = logs.read_on(&mut unit, each, |it| {
                let (why, id) = (why_missing(it.why), log.id);
                eprintln!(
                    "flk: warning: log {id}: batches {} to {} were {why}: no archive has them",
                    it.from, it.to
                );
                collector.borrow_mut().missing(it);
            });
            if std::mem::take(&mut self.raced) {
                return Ok(Read::Raced);
            }
            let left_out = read?;
            let mut collector = collector.borrow_mut();
            collector.read_upto(unit.cursor.sequence);
            let waits = collector.waits_at().is_some_and(|at| at <= acknowledged);
            let waits = waits || unit.cursor.sequence < acknowledged;
            if !waits || !self.moment.is_served || begun.elapsed() > RESOLVED_WITHIN {
                break left_out;
            }
            drop(collector);
            std::thread::sleep(LOOK_AGAIN);
        };
        let mut collector = collector.into_inner();
        if logs.has_ended(log.id) {
            collector.end();
        }
        let put = self.put_all(&mut collector, &closed, begin, &mut before);
        if std::mem::take(&mut self.raced) {
            return Ok(Read::Raced);
        }
        put?;
        self.note(
            &log,
            &collector,
            unit.cursor.sequence.min(acknowledged),
            left_out,
        );
        Ok(Read::Upto(collector.upto()))
    }

    /// Says what is left for the next run.
    fn note(
        &mut self,
        log: &LogName,
        collector: &Collector,
        acknowledged: Sequence,
        left_out: Option<(Sequence, Sequence)>,
    ) {
        if let Some(at) = collector.waits_at() {
            let text = format!(
                "log {}: a body of batch {at} has no disposition yet",
                log.id
            );
            match self.moment.is_served {
                true if at <= acknowledged => self.waits.push(text),
                // What has its disposition behind it may have been acknowledged.
                false if collector.holds_decided() => {
                    self.waits
                        .push(format!("{text}, and others behind it have"));
                }
                _ => eprintln!("flk: {text}: a later run takes it"),
            }
        }
        if let Some((first, last)) = left_out.filter(|_| !self.moment.is_served) {
            self.waits.push(format!(
                "log {}: batches {first} to {last}: nothing says yet that they were durable",
                log.id
            ));
        }
    }

    /// Archives everything of a collector that can be.
    fn put_all(
        &mut self,
        collector: &mut Collector,
        closed: &[Sequence],
        begin: u64,
        before: &mut Before,
    ) -> Result<(), Failure> {
        for mut content in collector.take(closed) {
            self.keep_late(&mut content, begin, before)?;
            self.put(content)?;
        }
        Ok(())
    }

    /// Of decisions of bodies that were archived by a run before, keeps those that it did not have yet.
    fn keep_late(
        &self,
        content: &mut Content,
        begin: u64,
        before: &mut Before,
    ) -> Result<(), Failure> {
        let mut rows = Vec::with_capacity(content.rows.len());
        for kept in content.rows.drain(..) {
            let body = kept.row.place;
            let of_before = kept.kind == Kind::LateDecision && body.sequence.counter() <= begin;
            if !of_before || before.has_unanswered(self.objects, &content.log, body)? {
                rows.push(kept);
            }
        }
        content.rows = rows;
        Ok(())
    }

    /// Makes an object and its entry.
    fn put(&mut self, content: Content) -> Result<(), Failure> {
        let (log, first) = (content.log, content.first);
        let (bytes, entry) = encode(content, &self.origin, now().wall_us)?;
        match self.objects.put_new(&entry.object(), bytes)? {
            Put::Made => self.count(&entry),
            // A request may have been repeated whose answer was lost.
            Put::Exists => match entry_of(self.objects, &log, first)? {
                Some(found) if found == entry => self.count(&entry),
                _ => {
                    self.raced = true;
                    return Err(Failure::unavailable("another run archives the same log"));
                }
            },
        }
        self.objects.put_new(&entry.name(), Vec::new())?;
        Ok(())
    }

    fn count(&mut self, entry: &Entry) {
        self.made.objects += 1;
        self.made.rows += entry.rows;
        self.made.bytes += entry.bytes;
        let made = self.made;
        self.progress.tick(|_| {
            let bodies = counted(made.rows, "body");
            format!("{bodies} archived, {} MiB", made.bytes >> 20)
        });
    }

    /// States what was lost of logs of which nothing is left: slices tell how far they went.
    fn deleted_logs(&mut self) -> Result<(), Failure> {
        let manifest = &self.logs.manifest;
        let incarnation = manifest.incarnation;
        let mut gone: Vec<LogName> = Vec::new();
        if let Some(newest) = &self.newest {
            let positions = newest.logs.iter().filter(|it| !it.is_complete);
            gone.extend(positions.filter_map(Position::name));
            // Logs that began and were deleted since the run before.
            let covers = manifest.slices.iter().flat_map(|it| &it.covers);
            let unseen = covers.map(|it| it.log).filter(|it| it.start > newest.start);
            gone.extend(unseen.map(|id| LogName { incarnation, id }));
        } else {
            // No run has archived all yet: those that one began with.
            let folder = format!("{BODIES}/{}", hex(&incarnation));
            let folders = self.objects.folder(&folder)?.folders;
            gone.extend(folders.iter().filter_map(|it| LogName::of_folder(it)));
        }
        gone.retain(|it| manifest.log(it.id).is_none());
        gone.sort();
        gone.dedup();
        for log in gone {
            let upto = self.end_of(&log)?;
            let covered = manifest.covered_upto(log.id).map_or(0, Sequence::counter);
            if upto < covered {
                self.lost(log, upto + 1, covered)?;
            }
        }
        Ok(())
    }

    /// Makes the object that states a range to be lost.
    fn lost(&mut self, log: LogName, first: u64, last: u64) -> Result<(), Failure> {
        let (from, to) = (log.sequence(first), log.sequence(last));
        let id = log.id;
        eprintln!(
            "flk: warning: log {id}: batches {from} to {to} were deleted, and all of the log: no archive has them"
        );
        let why = WhyMissing::Deleted;
        let content = Content {
            log,
            first,
            last,
            rows: Vec::new(),
            missing: vec![Missing { from, to, why }],
        };
        match self.put(content) {
            // Another run states it.
            Err(_) if std::mem::take(&mut self.raced) => Ok(()),
            put => put,
        }
    }

    fn mark(&self) -> Mark {
        let manifest = &self.logs.manifest;
        Mark {
            format: FORMAT,
            flk: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: hex(&manifest.incarnation),
            moment_us: self.moment.wall_us,
            generation: manifest.generation,
            start: manifest.start,
            objects: self.made.objects,
            rows: self.made.rows,
            logs: self.positions.clone(),
        }
    }
}
