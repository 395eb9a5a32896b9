//! Bodies of one log on their way into objects: each waits for its disposition, and whole batches become objects once none of theirs
//! waits. It holds a bounded number of bytes, and writes nothing.

use super::content::Content;
use super::names::{LogName, day};
use super::row::Kept;
use crate::exit::Failure;
use crate::wal::stored::disposed::Disposed;
use crate::wal::stored::pairs::{BodyAt, Pairs, Use};
use crate::wal::stored::reading::Unit;
use flk_contract::Parser;
use flk_dataplane::wal::batch::Batch;
use flk_dataplane::wal::name::Sequence;
use flk_dataplane::wal::record::Entry;
use flk_dataplane::wal::tail::Missing;

/// What bounds the objects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of rows of an object; one batch may exceed it.
    pub(super) object_bytes: usize,
    /// The most that is held while a body waits for its disposition.
    pub(super) held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            object_bytes: 64 << 20,
            held_bytes: 512 << 20,
        }
    }
}

/// See the module.
pub(super) struct Collector {
    limits: Limits,
    log: LogName,
    unit: Unit,
    /// What is archived, as a counter.
    upto: u64,
    pairs: Pairs<Kept>,
    rows: Rows,
    missing: Vec<Missing>,
}

/// Rows with their disposition, and what makes them.
struct Rows {
    unit: Unit,
    parser: Parser,
    /// What is archived: rows up to there are in an object already.
    upto: Sequence,
    done: Vec<Kept>,
    /// About what all rows take, those that wait as well.
    bytes: usize,
}

impl Use for Rows {
    type Kept = Kept;

    fn body(&mut self, at: &BodyAt<'_>) -> Option<Kept> {
        let kept = Kept::of(&self.unit.cursor, at, &mut self.parser);
        self.bytes += kept.bytes();
        Some(kept)
    }

    fn pair(&mut self, mut kept: Kept, entry: &Entry<'_>, _: &Batch<'_>) {
        kept.take(entry, self.unit.clock_base_s);
        self.done.push(kept);
    }

    /// A body that was given up may be decided all the same, when an object has it as unanswered already.
    fn alone(&mut self, entry: &Entry<'_>, batch: &Batch<'_>) {
        let Entry::Decision(decision) = entry else {
            return;
        };
        let fields = &batch.header.fields;
        if decision.body.sequence <= self.upto {
            let (cursor, met) = (&self.unit.cursor, fields.sequence);
            let mut kept = Kept::late(cursor, decision, met, fields.wall_us);
            kept.take(entry, self.unit.clock_base_s);
            self.bytes += kept.bytes();
            self.done.push(kept);
        }
    }
}

impl Collector {
    /// Of a log of which everything up to this counter is archived.
    pub(super) fn new(limits: Limits, log: LogName, unit: Unit, upto: u64) -> Self {
        Self {
            limits,
            log,
            unit,
            upto,
            pairs: Pairs::default(),
            rows: Rows {
                unit,
                parser: Parser::new(),
                upto: log.sequence(upto),
                done: Vec::new(),
                bytes: 0,
            },
            missing: Vec::new(),
        }
    }

    /// How far the log is archived.
    pub(super) fn upto(&self) -> u64 {
        self.upto
    }

    /// Takes the next batch.
    pub(super) fn batch(&mut self, batch: &Batch<'_>) {
        let sequence = batch.header.fields.sequence;
        assert!(
            self.unit.cursor.sequence < sequence,
            "batches of a log come in their order, each once"
        );
        self.unit.cursor.sequence = sequence;
        self.pairs.batch(batch, &mut self.rows);
    }

    /// Takes a range that nothing can be read of.
    pub(super) fn missing(&mut self, missing: Missing) {
        self.unit.cursor.sequence = missing.to;
        self.missing.push(missing);
    }

    /// Everything up to here was read, marks too.
    pub(super) fn read_upto(&mut self, sequence: Sequence) {
        self.unit.cursor.sequence = self.unit.cursor.sequence.max(sequence);
    }

    /// The first batch with a body that has no disposition yet.
    pub(super) fn waits_at(&self) -> Option<Sequence> {
        self.pairs.first_waiting().map(|it| it.sequence)
    }

    /// Whether bodies with their disposition wait for one before them that has none.
    pub(super) fn holds_decided(&self) -> bool {
        !self.rows.done.is_empty()
    }

    /// Whether there is enough for an object.
    pub(super) fn is_full(&self) -> bool {
        self.rows.bytes >= self.limits.object_bytes
    }

    /// Whether no more may be held.
    pub(super) fn is_over_full(&self) -> bool {
        self.rows.bytes >= self.limits.held_bytes
    }

    /// No more may be held, and a body waits still.
    pub(super) fn waits_too_long(&self) -> Failure {
        let at = self.waits_at().unwrap_or_default();
        Failure::unavailable(format!(
            "log {}: a body of batch {at} has no disposition, and what came behind it does not fit into memory: try again",
            self.log.id
        ))
    }

    /// The log has ended: what has no disposition gets none.
    pub(super) fn end(&mut self) {
        let (waiting, unanswered) = std::mem::take(&mut self.pairs).left();
        for mut kept in waiting.into_values().chain(unanswered.into_values()) {
            kept.row.disposed = Disposed::Unanswered;
            self.rows.done.push(kept);
        }
    }

    /// The position up to which everything may be archived: behind it lies a body without a disposition, or nothing was read.
    fn cut(&self) -> Sequence {
        let before = |it: Sequence| Sequence(it.0 - 1);
        let read = self.unit.cursor.sequence;
        self.waits_at().map_or(read, |it| before(it).min(read))
    }

    /// Takes out what can be archived, as objects in their order. Without rows and missing ranges there is one only up to where a closed
    /// segment ends: once it is deleted, it is known that nothing was in it.
    pub(super) fn take(&mut self, closed: &[Sequence]) -> Vec<Content> {
        let cut = self.cut();
        for mut kept in self.pairs.take_unanswered(cut) {
            kept.row.disposed = Disposed::Unanswered;
            self.rows.done.push(kept);
        }
        let done = std::mem::take(&mut self.rows.done);
        let (mut rows, later): (Vec<Kept>, Vec<Kept>) =
            done.into_iter().partition(|it| it.met <= cut);
        self.rows.done = later;
        let taken: usize = rows.iter().map(Kept::bytes).sum();
        self.rows.bytes = self.rows.bytes.saturating_sub(taken);
        let (missing, later) = self.missing.drain(..).partition(|it| it.to <= cut);
        self.missing = later;
        rows.sort_by_key(|it| (it.met, it.row.place));
        let upto = match rows.is_empty() && Vec::is_empty(&missing) {
            true => closed.iter().copied().filter(|it| *it <= cut).max(),
            false => Some(cut),
        };
        let upto = upto.map(Sequence::counter).filter(|it| *it > self.upto);
        let Some(last) = upto else {
            return Vec::new();
        };
        let contents = self.cut_up(rows, missing, last);
        self.upto = last;
        self.rows.upto = self.log.sequence(last);
        contents
    }

    /// Cuts rows between batches, where a day begins or an object is large enough.
    fn cut_up(&self, rows: Vec<Kept>, missing: Vec<Missing>, last: u64) -> Vec<Content> {
        let content = |first: u64| Content {
            log: self.log,
            first,
            last,
            rows: Vec::new(),
            missing: Vec::new(),
        };
        let mut contents = vec![content(self.upto + 1)];
        let mut bytes = 0;
        for kept in rows {
            let Some(current) = contents.last_mut() else {
                unreachable!("there is one from the beginning")
            };
            let is_behind = current.rows.last().is_some_and(|before| {
                let other_day = day(before.row.received_us) != day(kept.row.received_us);
                before.met < kept.met && (other_day || bytes >= self.limits.object_bytes)
            });
            if is_behind {
                let end = current.rows.last().map_or(0, |it| it.met.counter());
                current.last = end;
                contents.push(content(end + 1));
                bytes = 0;
            }
            bytes += kept.bytes();
            if let Some(current) = contents.last_mut() {
                current.rows.push(kept);
            }
        }
        for lost in missing {
            let holds = |it: &&mut Content| lost.from.counter() <= it.last;
            if let Some(content) = contents.iter_mut().find(holds) {
                content.missing.push(lost);
            }
        }
        contents
    }
}
