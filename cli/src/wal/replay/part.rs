//! One unit of a log, judged: its bodies counted by what they were and would be, and what can only be settled once all units are
//! there: bodies whose disposition stands in a later unit, dispositions of bodies of an earlier one, and duplicates.

use super::tally::{Cell, Tally, Was, Would};
use super::under::Scratch;
use crate::wal::stored::disposed::{DecidedAs, Disposed};
use crate::wal::stored::pairs::{BodyAt, Pairs, Use};
use crate::wal::stored::reading::Unit;
use crate::wal::stored::select::SelectArgs;
use flk_contract::Parser;
use flk_contract::hash::hex32;
use flk_dataplane::wal::batch::Batch;
use flk_dataplane::wal::name::{Place, Sequence};
use flk_dataplane::wal::record::Entry;
use std::collections::{BTreeMap, HashMap};

/// A record by its tenant and the bytes of its id.
type Id = (u32, [u8; 32]);

/// A body that was judged and waits for its disposition.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    tenant: u32,
    /// It came within the wanted time. Others are judged for the sake of their duplicates.
    is_wanted: bool,
    would: Would,
    /// Recomputed D̂ and budget, as bits.
    numbers: [u64; 2],
    /// The id, of an authentic record.
    id: Option<[u8; 32]>,
    /// The id as it stands in another one, if examples are wanted.
    claimed_id: Option<Box<str>>,
}

/// The recomputed numbers of a record beside those of its decision.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    Same,
    Other,
}

/// A disposition, as far as it is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    disposed: Disposed,
    /// The expiry clock of its batch.
    clock_s: u32,
    decision: Option<Decided>,
}

/// What is compared of a decision.
#[derive(Clone, Copy, Debug)]
struct Decided {
    id: [u8; 32],
    numbers: [u64; 2],
    /// When it was made and until when it answers, on the expiry clock.
    lives: (u32, u32),
}

/// A decision that would be another one now.
#[derive(Clone, Copy, Debug)]
struct Changed {
    lives: (u32, u32),
    was: DecidedAs,
    would: Would,
}

/// What a unit, and then all units together, come to.
#[derive(Default)]
pub(super) struct Part {
    cells: HashMap<(u32, Was, Would), Cell>,
    changed: HashMap<Id, Vec<Changed>>,
    /// Duplicates whose own bodies are in order, with the expiry clock: they are answered as their first is.
    duplicates: Vec<(Id, u32)>,
    /// Dispositions of bodies of an earlier unit.
    alone: Vec<(Place, Said)>,
    waiting: BTreeMap<Place, Waiting>,
    unanswered: BTreeMap<Place, Waiting>,
    examples_max: usize,
}

/// Judges the bodies of a unit.
pub(super) struct Reader<'a, 'u> {
    scratch: &'a mut Scratch<'u>,
    select: &'a SelectArgs,
    /// Everything up to here is in earlier units.
    before: Sequence,
    /// What is added to times.
    clock_base_s: u32,
    parser: Parser,
    part: Part,
}

impl<'a, 'u> Reader<'a, 'u> {
    pub(super) fn new(
        scratch: &'a mut Scratch<'u>,
        select: &'a SelectArgs,
        examples_max: usize,
        unit: &Unit,
    ) -> Self {
        Self {
            scratch,
            select,
            before: unit.cursor.sequence,
            clock_base_s: unit.clock_base_s,
            parser: Parser::new(),
            part: Part::new(examples_max),
        }
    }

    /// What was found, once the unit was read.
    pub(super) fn finish(mut self, pairs: Pairs<Waiting>) -> Part {
        (self.part.waiting, self.part.unanswered) = pairs.left();
        self.part
    }

    /// The id that a body claims, which nothing has verified.
    fn claimed_id(&mut self, body: &[u8]) -> Option<Box<str>> {
        let wanted = (self.part.examples_max > 0).then_some(body)?;
        let record = self.parser.parse(wanted).ok()?;
        Some(record.pcs_id.into())
    }
}

impl Use for Reader<'_, '_> {
    type Kept = Waiting;

    fn body(&mut self, at: &BodyAt<'_>) -> Option<Waiting> {
        let name = at.record.tenant;
        if !self.select.takes_tenant(name) {
            return None;
        }
        let mut waiting = Waiting {
            tenant: self.scratch.number(name),
            is_wanted: self.select.takes_time(at.wall_us),
            would: Would::Erased,
            numbers: [0; 2],
            id: None,
            claimed_id: None,
        };
        let Some(body) = at.bytes else {
            return Some(waiting);
        };
        match self.scratch.verdict(name, at.wall_us / 1_000_000, body) {
            Ok(judged) => {
                let outcome = &judged.outcome;
                let numbers = [outcome.recomputed_d_hat, outcome.recomputed_budget];
                waiting.would = Would::Decided(DecidedAs::of(outcome));
                waiting.numbers = numbers.map(f64::to_bits);
                waiting.id = Some(judged.pcs_id);
            }
            Err(problem) => {
                waiting.would = Would::Refused(problem.status(), problem.number());
                waiting.claimed_id = self.claimed_id(body);
            }
        }
        Some(waiting)
    }

    fn pair(&mut self, kept: Waiting, entry: &Entry<'_>, batch: &Batch<'_>) {
        if let Some(said) = Said::of(entry, batch, self.clock_base_s) {
            self.part.settle(&kept, &said);
        }
    }

    fn alone(&mut self, entry: &Entry<'_>, batch: &Batch<'_>) {
        let body = entry.disposition_of();
        let earlier = body.filter(|body| body.sequence <= self.before);
        if let (Some(body), Some(said)) = (earlier, Said::of(entry, batch, self.clock_base_s)) {
            self.part.alone.push((body, said));
        }
    }
}

impl Said {
    fn of(entry: &Entry<'_>, batch: &Batch<'_>, clock_base_s: u32) -> Option<Self> {
        let on_clock = |second: u32| second.saturating_add(clock_base_s);
        let decision = match entry {
            Entry::Decision(it) => Some(Decided {
                id: it.pcs_id,
                numbers: [it.numbers[1], it.numbers[3]].map(f64::to_bits),
                lives: (on_clock(it.decided_at), on_clock(it.expiry)),
            }),
            _ => None,
        };
        Some(Self {
            disposed: Disposed::of(entry)?,
            clock_s: on_clock(batch.header.fields.expiry_clock_s),
            decision,
        })
    }
}

impl Part {
    /// Nothing yet.
    pub(super) fn new(examples_max: usize) -> Self {
        Self {
            examples_max,
            ..Self::default()
        }
    }

    /// Counts a body by what became of it.
    fn settle(&mut self, body: &Waiting, said: &Said) {
        let would = match (said.disposed, body.would) {
            (Disposed::Duplicate, Would::Decided(_)) => {
                let id = body.id.filter(|_| body.is_wanted);
                let duplicate = id.map(|id| ((body.tenant, id), said.clock_s));
                return self.duplicates.extend(duplicate);
            }
            (Disposed::Conflict, Would::Decided(_)) => Would::Conflict,
            (_, would) => would,
        };
        let mut numbers = Numbers::Same;
        if let (Disposed::Decided(was), Some(decided)) = (said.disposed, said.decision) {
            let lives = decided.lives;
            match would {
                Would::Decided(now) if now == was => {
                    if body.numbers != decided.numbers {
                        numbers = Numbers::Other;
                    }
                }
                Would::Erased => {}
                would => {
                    let id = (body.tenant, decided.id);
                    let changed = Changed { lives, was, would };
                    self.changed.entry(id).or_default().push(changed);
                }
            }
        }
        if body.is_wanted {
            let was = Was::alone(said.disposed);
            self.count(body, was, would, numbers);
        }
    }

    fn count(&mut self, body: &Waiting, was: Was, would: Would, numbers: Numbers) {
        let cell = self.cells.entry((body.tenant, was, would)).or_default();
        cell.count += 1;
        cell.other_numbers += u64::from(numbers == Numbers::Other);
        if cell.examples.len() < self.examples_max {
            let verified = body.id.map(|id| id_text(&id));
            let example = verified.or_else(|| Some(body.claimed_id.as_deref()?.to_owned()));
            cell.examples.extend(example);
        }
    }

    /// Takes the next unit of the same log.
    pub(super) fn follow(&mut self, mut next: Part) {
        for (place, said) in std::mem::take(&mut next.alone) {
            let waiting = self.waiting.remove(&place);
            let Some(body) = waiting.or_else(|| self.unanswered.remove(&place)) else {
                continue; // its segment was deleted, or it is not wanted
            };
            match said.disposed {
                Disposed::Unanswered => {
                    self.unanswered.insert(place, body);
                }
                _ => self.settle(&body, &said),
            }
        }
        self.waiting.append(&mut next.waiting);
        self.unanswered.append(&mut next.unanswered);
        self.join(next);
    }

    /// The log is over: what has no outcome gets none, or none yet.
    pub(super) fn end(&mut self, has_ended: bool) {
        let left = match has_ended {
            true => Disposed::Unanswered,
            false => Disposed::Pending,
        };
        let waiting = std::mem::take(&mut self.waiting).into_values();
        let unanswered = std::mem::take(&mut self.unanswered).into_values();
        let all = waiting.map(|body| (body, left));
        for (body, disposed) in all.chain(unanswered.map(|it| (it, Disposed::Unanswered))) {
            if body.is_wanted {
                self.count(&body, Was::alone(disposed), body.would, Numbers::Same);
            }
        }
    }

    /// Adds what another part has counted.
    pub(super) fn join(&mut self, other: Part) {
        for (key, cell) in other.cells {
            self.cells
                .entry(key)
                .or_default()
                .add(cell, self.examples_max);
        }
        for (id, changed) in other.changed {
            self.changed.entry(id).or_default().extend(changed);
        }
        self.duplicates.extend(other.duplicates);
    }

    /// Counts duplicates by what becomes of their firsts, and names tenants.
    pub(super) fn tally(mut self, names: &[String]) -> Tally {
        for ((tenant, id), clock_s) in std::mem::take(&mut self.duplicates) {
            // The clocks of two shards may stand in different seconds.
            let answers =
                |it: &&Changed| it.lives.0 <= clock_s.saturating_add(1) && clock_s < it.lives.1;
            let changed = self.changed.get(&(tenant, id));
            let changed = changed.and_then(|all| all.iter().rev().find(answers));
            let first = changed.map(|it| it.was);
            let would = changed.map_or(Would::Duplicate, |it| it.would);
            let disposed = Disposed::Duplicate;
            let key = (tenant, Was { disposed, first }, would);
            let cell = self.cells.entry(key).or_default();
            cell.count += 1;
            if cell.examples.len() < self.examples_max {
                cell.examples.push(id_text(&id));
            }
        }
        let name = |number: u32| names.get(number as usize).cloned().unwrap_or_default();
        let cells = self.cells.into_iter();
        Tally {
            cells: cells
                .map(|((tenant, was, would), cell)| ((name(tenant), was, would), cell))
                .collect(),
        }
    }
}

fn id_text(id: &[u8; 32]) -> String {
    String::from_utf8_lossy(&hex32(id)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPTED: DecidedAs = DecidedAs {
        reason: 0,
        regime: 1,
    };
    const ID: [u8; 32] = [7; 32];

    fn body(would: Would) -> Waiting {
        Waiting {
            tenant: 0,
            is_wanted: true,
            would,
            numbers: [0; 2],
            id: Some(ID),
            claimed_id: None,
        }
    }

    /// It was accepted, for the seconds 10 to 19 of the expiry clock.
    fn accepted() -> Said {
        Said {
            disposed: Disposed::Decided(ACCEPTED),
            clock_s: 10,
            decision: Some(Decided {
                id: ID,
                numbers: [0; 2],
                lives: (10, 20),
            }),
        }
    }

    fn said(disposed: Disposed, clock_s: u32) -> Said {
        Said {
            disposed,
            clock_s,
            decision: None,
        }
    }

    /// How many duplicates were answered by a decision that would be another one now.
    fn changed_duplicates(would: Would, clock_s: u32) -> u64 {
        let mut part = Part::new(0);
        part.settle(&body(would), &accepted());
        let duplicate = said(Disposed::Duplicate, clock_s);
        part.settle(&body(Would::Decided(ACCEPTED)), &duplicate);
        let tally = part.tally(&["default".to_owned()]);
        let changed = tally
            .cells
            .iter()
            .filter(|((_, was, _), _)| was.first.is_some());
        changed.map(|(_, cell)| cell.count).sum()
    }

    #[test]
    fn a_duplicate_is_answered_by_the_decision_that_lived_when_it_came() {
        let refused = Would::Refused(401, 60);
        // The clock of the duplicate's shard may be a second behind.
        for (clock_s, changed) in [(8, 0), (9, 1), (10, 1), (19, 1), (20, 0)] {
            assert_eq!(changed_duplicates(refused, clock_s), changed, "{clock_s}");
        }
    }

    #[test]
    fn of_an_erased_first_nothing_is_said() {
        assert_eq!(changed_duplicates(Would::Erased, 15), 0);
    }

    #[test]
    fn a_body_that_was_given_up_and_decided_in_later_units_is_decided() {
        let place = Place {
            sequence: Sequence(4),
            index: 1,
        };
        let mut log = Part::new(0);
        log.waiting.insert(place, body(Would::Decided(ACCEPTED)));
        for it in [said(Disposed::Unanswered, 10), accepted()] {
            let mut next = Part::new(0);
            next.alone.push((place, it));
            log.follow(next);
        }
        log.end(true);
        let tally = log.tally(&["default".to_owned()]);
        let was: Vec<Was> = tally.cells.keys().map(|(_, was, _)| *was).collect();
        assert_eq!(was, [Was::alone(Disposed::Decided(ACCEPTED))]);
    }
}
