//! Traced records: which records are traced, and when each passes which border. Times are those of turns; the driver adds those
//! within a turn, and gets each trace that is complete. Nothing here changes what is done with a record.

use super::config::TraceLimits;
use super::owed::Reply;
use super::trace_ref::TraceRef;
use super::{Core, Framed, Ingress};
use crate::dedup::key::KeyHash;
use crate::event::{ConnId, Driver};
use crate::http::{Sampled, read_traceparent};
use crate::io::Now;
use crate::stats::trace::{Found, Moment, Trace};
use crate::wal::name::{Place, Sequence};

/// Traces of one shard that are not complete; records beyond that are not traced.
pub(super) const TRACES_MAX: usize = 256;
/// What they take.
pub(super) const TRACES_BYTES: usize = TRACES_MAX * size_of::<Open>();

/// A trace that is not complete.
#[derive(Clone, Copy, Debug)]
struct Open {
    generation: u16,
    trace: Trace,
    conn: ConnId,
    /// The number of its answer among those of the connection, to check invariants.
    #[cfg(debug_assertions)]
    reply: u64,
    body: Sequence,
    decision: Option<Sequence>,
    /// What the answer waits for, once there is one.
    needs: Option<Sequence>,
    /// The connection has ended: no answer will leave.
    gone: bool,
    /// It is not complete.
    in_use: bool,
}

/// Why a record that was to be traced is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotTraced {
    /// So many traces have begun in this second as may.
    OverRate,
    /// So many traces are not complete as there are places.
    NoPlace,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Traced {
    /// Trace ids whose last 56 bits are at least this begin a trace; `None`: no record does by itself.
    begin_from: Option<u64>,
    /// Time between two traces of this shard, in nanoseconds; `None`: nothing is traced.
    interval_ns: Option<u64>,
    /// When the next one would be due if they came evenly.
    due_ns: u64,
    /// What is known to be durable.
    durable: Sequence,
    slots: Vec<Open>,
    free: Vec<u16>,
    /// Places of traces that are complete, in this turn.
    finished: Vec<u16>,
}

/// Bits of a trace id that decide whether it is sampled, as OpenTelemetry has it.
const RANDOM_BITS: u32 = 56;
/// Traces of this time may come at once.
const BURST_NS: u64 = 1_000_000_000;

impl Traced {
    pub(super) fn new(limits: TraceLimits, shards: u16) -> Traced {
        let all = (1_u64 << RANDOM_BITS) as f64;
        let begin_from = ((1.0 - limits.sample.clamp(0.0, 1.0)) * all) as u64;
        let per_s = u64::from(limits.per_s_max);
        let interval_ns = (1_000_000_000 * u64::from(shards)).checked_div(per_s);
        let slots_count = interval_ns.map_or(0, |_| TRACES_MAX);
        Traced {
            begin_from: (limits.sample > 0.0 && per_s > 0).then_some(begin_from),
            interval_ns,
            due_ns: 0,
            durable: Sequence::default(),
            slots: Vec::with_capacity(slots_count),
            free: Vec::with_capacity(slots_count),
            finished: Vec::with_capacity(slots_count),
        }
    }

    /// How many are not complete.
    fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The trace, unless it is complete.
    pub(super) fn get(&mut self, at: TraceRef) -> Option<&mut Trace> {
        self.open(at).map(|open| &mut open.trace)
    }

    fn open(&mut self, at: TraceRef) -> Option<&mut Open> {
        let open = self.slots.get_mut(usize::from(at.slot))?;
        (open.in_use && open.generation == at.generation).then_some(open)
    }

    /// Whether one more may begin now.
    fn take(&mut self, now_ns: u64) -> Result<(), NotTraced> {
        let interval_ns = self.interval_ns.ok_or(NotTraced::OverRate)?;
        let burst_ns = BURST_NS.max(interval_ns) - interval_ns;
        let due_ns = self.due_ns.max(now_ns.saturating_sub(burst_ns));
        if due_ns > now_ns {
            return Err(NotTraced::OverRate);
        }
        if self.count() >= TRACES_MAX {
            return Err(NotTraced::NoPlace);
        }
        self.due_ns = due_ns + interval_ns;
        Ok(())
    }

    fn begin(&mut self, mut open: Open) -> TraceRef {
        let slot = match self.free.pop() {
            Some(slot) => {
                let place = &mut self.slots[usize::from(slot)];
                open.generation = place.generation.wrapping_add(1);
                *place = open;
                slot
            }
            None => {
                self.slots.push(open);
                self.slots.len() as u16 - 1
            }
        };
        TraceRef {
            slot,
            generation: open.generation,
        }
    }

    fn finish(&mut self, slot: u16) {
        let open = &mut self.slots[usize::from(slot)];
        debug_assert!(open.in_use, "a trace is complete once");
        open.in_use = false;
        self.finished.push(slot);
    }
}

/// Microseconds of a turn as the nanoseconds of a trace; never the 0 that stands for "not yet".
fn ns(us: u64) -> u64 {
    (us * 1000).max(1)
}

impl Ingress {
    /// Traces a record whose body was just appended, if it is to be traced.
    #[inline]
    pub(super) fn trace(
        &mut self,
        core: &Core,
        request: &Framed,
        inbox: &[u8],
        body: Place,
        now: Now,
    ) -> Option<TraceRef> {
        if request.traceparent.is_none() && self.traced.begin_from.is_none() {
            return None;
        }
        if request.line > 0 && self.is_traced(request) {
            return None;
        }
        self.begin_trace(core, request, inbox, body, now)
    }

    /// Whether the answer that a record is a part of belongs to a trace: of a batch one record is traced at a time.
    fn is_traced(&mut self, request: &Framed) -> bool {
        let connection = self.connections.at(request.conn.slot);
        let owed = connection.owed.get_mut(request.reply);
        owed.is_none_or(|owed| owed.trace.is_some())
    }

    #[cold]
    fn begin_trace(
        &mut self,
        core: &Core,
        request: &Framed,
        inbox: &[u8],
        body: Place,
        now: Now,
    ) -> Option<TraceRef> {
        let received = &self.connections.at(request.conn.slot).received;
        let value = request.traceparent.as_ref();
        let value = value.map(|source| received.bytes_at(source, inbox));
        let caller = value.and_then(read_traceparent);
        if self.traced.interval_ns.is_none()
            || caller.is_some_and(|caller| caller.sampled == Sampled::No)
        {
            return None;
        }
        let (own_id, span_id) = ids(core, body);
        let (trace_id, parent_id) = match caller {
            Some(caller) => (caller.trace_id, u64::from_be_bytes(caller.parent_id)),
            None => {
                let random = own_id as u64 & ((1 << RANDOM_BITS) - 1);
                if self.traced.begin_from.is_none_or(|from| random < from) {
                    return None;
                }
                (own_id.max(1).to_be_bytes(), 0)
            }
        };
        if let Err(why) = self.traced.take(ns(now.mono_us)) {
            let counter = match why {
                NotTraced::OverRate => &self.stats().traces_limited,
                NotTraced::NoPlace => &self.stats().traces_unplaced,
            };
            counter.add(1);
            return None;
        }
        let mut trace = Trace {
            trace_id,
            parent_id,
            span_id,
            shard: self.id().0,
            owner: self.id().0,
            tenant_row: self.in_force.of(request.context.tenant).row.number(),
            snapshot: request.context.snapshot,
            ..Trace::default()
        };
        trace.pass(Moment::Begun, ns(request.begun_us.min(request.complete_us)));
        trace.pass(Moment::Whole, ns(request.complete_us));
        trace.pass(Moment::Framed, ns(now.mono_us));
        let begun = self.traced.begin(Open {
            generation: 0,
            trace,
            conn: request.conn,
            #[cfg(debug_assertions)]
            reply: request.reply,
            body: body.sequence,
            decision: None,
            needs: None,
            gone: false,
            in_use: true,
        });
        let connection = self.connections.at(request.conn.slot);
        if let Some(owed) = connection.owed.get_mut(request.reply) {
            owed.trace = Some(begun);
        }
        Some(begun)
    }

    /// A traced record claims its key, in this turn.
    pub(super) fn trace_claim(&mut self, at: TraceRef, pcs_id: [u8; 32], owner: u16) {
        let now_ns = ns(self.waits.now_us());
        if let Some(trace) = self.traced.get(at) {
            trace.pcs_id = Some(pcs_id);
            trace.owner = owner;
            trace.pass(Moment::Claimed, now_ns);
        }
    }

    /// The owner of the key of a traced record answered.
    pub(super) fn trace_hop(&mut self, at: TraceRef) {
        let now_ns = ns(self.waits.now_us());
        if let Some(trace) = self.traced.get(at) {
            trace.pass(Moment::Answered, now_ns);
        }
    }

    /// A traced record has its outcome: as the first of its id with a decision in the log at `needs`, or as a duplicate.
    pub(super) fn trace_outcome(
        &mut self,
        at: TraceRef,
        found: Found,
        reason: u8,
        decision: Option<Sequence>,
    ) {
        let now_ns = ns(self.waits.now_us());
        let Some(open) = self.traced.open(at) else {
            return;
        };
        open.trace.found = found;
        open.trace.reason = reason;
        if decision.is_some() {
            open.decision = decision;
            open.trace.pass(Moment::Decided, now_ns);
        }
    }

    /// A traced record has its answer, which waits for the log up to `needs`.
    pub(super) fn trace_answer(
        &mut self,
        at: Option<TraceRef>,
        needs: Sequence,
        durable: Sequence,
    ) {
        let now_ns = ns(self.waits.now_us());
        let Some(open) = at.and_then(|at| self.traced.open(at)) else {
            return;
        };
        // The last one counts: at its deadline a request gets another.
        open.needs = Some(needs);
        if needs <= durable {
            open.trace.pass(Moment::Ready, now_ns);
            if open.gone
                && let Some(at) = at
            {
                self.traced.finish(at.slot);
            }
        }
    }

    /// The log is durable up to here.
    #[inline]
    pub(super) fn trace_durable(&mut self, durable: Sequence) {
        if self.traces_any() && durable > self.traced.durable {
            self.traced.durable = durable;
            self.note_durable(durable);
        }
    }

    fn note_durable(&mut self, durable: Sequence) {
        let now_ns = ns(self.waits.now_us());
        let batch_records = self.batch_records() as u32;
        for slot in 0..self.traced.slots.len() {
            let open = &mut self.traced.slots[slot];
            if !open.in_use {
                continue;
            }
            if open.body <= durable && open.trace.at(Moment::Durable).is_none() {
                open.trace.pass(Moment::Durable, now_ns);
                open.trace.batch_records = batch_records;
            }
            if open.decision.is_some_and(|it| it <= durable) {
                open.trace.pass(Moment::DecisionDurable, now_ns);
            }
            if open.needs.is_some_and(|it| it <= durable) {
                open.trace.pass(Moment::Ready, now_ns);
                if open.gone {
                    self.traced.finish(slot as u16);
                }
            }
        }
    }

    /// Whether any trace is not complete.
    #[inline]
    pub(super) fn traces_any(&self) -> bool {
        self.traced.slots.len() > self.traced.free.len()
    }

    /// The answer of a traced record left.
    pub(super) fn trace_reply(&mut self, at: TraceRef, status: u16, now: Now) {
        if let Some(trace) = self.traced.get(at) {
            trace.status = status;
            trace.pass(Moment::Replied, ns(now.mono_us));
            self.traced.finish(at.slot);
        }
    }

    /// A client does not take its answers: the traces of those that may leave are complete without, for their places are needed.
    pub(super) fn trace_held_back(&mut self, conn: ConnId, durable: Sequence) {
        if !self.traces_any() {
            return;
        }
        let Some(connection) = self.connections.get(conn) else {
            return;
        };
        for owed in connection.owed.all() {
            let may_leave = matches!(&owed.reply, Reply::Ready { needs, .. } if *needs <= durable);
            if let Some(at) = owed.trace.filter(|_| may_leave)
                && self.traced.open(at).is_some()
            {
                self.traced.finish(at.slot);
            }
        }
    }

    /// A connection has ended: its records are traced until their dispositions are durable.
    pub(super) fn trace_gone(&mut self, conn: ConnId) {
        for slot in 0..self.traced.slots.len() {
            let open = &mut self.traced.slots[slot];
            if !open.in_use || open.conn != conn {
                continue;
            }
            open.gone = true;
            if open.needs.is_some() && open.trace.at(Moment::Ready).is_some() {
                self.traced.finish(slot as u16);
            }
        }
    }

    /// Gives the traces that were completed in this turn to the driver.
    pub(super) fn hand_over_traces(&mut self, driver: &mut impl Driver) {
        let mut finished = std::mem::take(&mut self.traced.finished);
        for slot in finished.drain(..) {
            driver.traced(slot, &self.traced.slots[usize::from(slot)].trace);
            self.traced.free.push(slot);
            self.stats().traces.add(1);
        }
        self.traced.finished = finished;
    }

    /// Each trace that is not complete belongs to an answer that is owed, or to a record in flight whose connection ended.
    #[cfg(debug_assertions)]
    pub(super) fn check_traces(&self, durable: Sequence) {
        let open = self.traced.slots.iter().filter(|open| open.in_use);
        assert_eq!(open.clone().count(), self.traced.count());
        assert!(self.traced.finished.is_empty());
        let unanswered = open.clone().filter(|open| open.needs.is_none());
        assert!(unanswered.count() <= self.flights.count());
        assert!(
            open.clone()
                .all(|it| !it.gone || it.needs.is_none_or(|needs| needs > durable)),
            "without a client, a trace ends with its record"
        );
        for open in open.filter(|open| !open.gone) {
            let mut all = self.connections.all().iter();
            let connection = all.find(|it| it.id == open.conn);
            let owed = connection.and_then(|it| it.owed.get(open.reply));
            let at = owed.and_then(|owed| owed.trace);
            assert_eq!(at.map(|at| at.generation), Some(open.generation));
        }
    }
}

/// Ids of a trace that begins with this body, and of its root span: hashes of the body's place in the log under the
/// installation's secret. No place is used twice, not even by a restored copy, for that is another incarnation.
fn ids(core: &Core, body: Place) -> (u128, u64) {
    let place = |part: u8| {
        let mut bytes = [0; 16 + 2 + 8 + 4 + 1];
        bytes[..16].copy_from_slice(&core.begin.incarnation);
        bytes[16..18].copy_from_slice(&core.begin.log.number.to_le_bytes());
        bytes[18..26].copy_from_slice(&body.sequence.0.to_le_bytes());
        bytes[26..30].copy_from_slice(&body.index.to_le_bytes());
        bytes[30] = part;
        KeyHash::trace(&core.hash, &bytes)
    };
    (place(0), (place(1) as u64).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(limits: TraceLimits, shards: u16, at_ms: impl Iterator<Item = u64>) -> usize {
        let mut traced = Traced::new(limits, shards);
        at_ms
            .filter(|ms| traced.take(ns(10_000_000 + ms * 1000)).is_ok())
            .count()
    }

    #[test]
    fn all_shards_together_begin_no_more_traces_than_allowed() {
        let limits = |per_s_max| TraceLimits {
            per_s_max,
            ..TraceLimits::default()
        };
        // Ten seconds, a record every millisecond, and what may come at once in the first.
        for (per_s_max, shards, expected) in [
            (100, 1, 1100),
            (100, 4, 275),
            (1, 1, 10),
            (1, 4, 3),
            (0, 1, 0),
        ] {
            let count = granted(limits(per_s_max), shards, 0..10_000);
            let expected = expected as f64;
            let near = (count as f64 - expected).abs() <= 1.0 + expected / 100.0;
            assert!(
                near,
                "{per_s_max}/s, {shards} shards: {count}, not {expected}"
            );
        }
        assert_eq!(granted(limits(50), 1, std::iter::repeat_n(0, 1000)), 50);
    }
}
