//! Batches: requests of many records, one a line. A batch is one answer that a connection owes and a set of requests in flight:
//! its records wait for room and for their tenant's share like requests of one record, some at a time, so that others come
//! between them. Nothing here judges a record, and no answer to a batch leaves before all of its records have theirs.

use super::answer::Refusal;
use super::batch_lines::{Batch, NextRecord, count_lines, reply_bytes};
use super::connection::{Admitted, FrameStep, Phase};
use super::owed::{Owed, Reply};
use super::reply::outcome_text;
use super::share::Account;
use super::waiters::Awaited;
use super::{Core, Framed, Ingress};
use crate::event::{ConnId, Outbox};
use crate::http::{Afterwards, Common, Problem, ResponsePart, Target, respond};
use crate::io::Now;
use crate::wal::name::Sequence;

/// While others wait, so many records of a batch enter the log before it stands behind them.
const RECORDS_AT_ONCE: usize = 256;
/// The same in bytes.
const BYTES_AT_ONCE: usize = 64 * 1024;
/// Lines of answers that are written in one turn: more than records can enter the log in one, so that answers keep up.
const LINES_RENDERED_MAX: usize = 2048;

/// What all batches of a shard have together.
#[derive(Debug, Default)]
pub(super) struct Batches {
    /// Memory that their answers may take.
    reply_bytes: usize,
    /// Lines of answers that may still be written in this turn.
    lines_left: usize,
    /// Connections whose answer is complete and goes on in the next turn.
    rendering: Vec<ConnId>,
    /// Connections whose answer waits until clients have taken others.
    held_back: Vec<ConnId>,
}

/// How much of a batch has entered the log since it stood in a queue last.
#[derive(Default)]
struct Taken {
    records: usize,
    bytes: usize,
}

impl Taken {
    fn is_enough(&self) -> bool {
        self.records >= RECORDS_AT_ONCE || self.bytes >= BYTES_AT_ONCE
    }
}

impl Admitted {
    /// Whether the request has many records.
    pub(super) fn is_batch(&self) -> bool {
        self.incoming.head.target == Target::Batch
    }
}

impl Ingress {
    /// A batch is whole since `complete_us`: refused as a whole, or its records go into the log from now on.
    pub(super) fn begin_batch(
        &mut self,
        core: Option<&Core>,
        slot: u32,
        admitted: &Admitted,
        (inbox, complete_us): (&[u8], u64),
        now: Now,
    ) -> FrameStep {
        let limits = self.config.limits;
        let (incoming, head) = (&admitted.incoming, &admitted.incoming.head);
        let due_us = complete_us + limits.deadline_us;
        let body_end = head.head_len + head.body_len as usize;
        let connection = self.connections.at(slot);
        let body = &connection.received.pending(inbox)[head.head_len..body_end];
        let lines_count = count_lines(body);
        let bytes = reply_bytes(lines_count);
        let problem = if due_us <= now.mono_us {
            Some(Problem::WalUnavailable)
        } else if lines_count > usize::from(limits.batch_lines_max) {
            Some(Problem::TooManyRecords)
        } else if self.batches.reply_bytes + bytes > limits.batch_reply_bytes_total_max {
            Some(Problem::BatchesBusy)
        } else {
            None
        };
        if let Some(problem) = problem {
            return self.refuse(slot, problem, Some(incoming), complete_us, now);
        }
        let mut batch = Box::new(Batch::read(body, lines_count));
        (batch.complete_us, batch.due_us) = (complete_us, due_us);
        let records_count = batch.records_count() as u64;
        connection.batch_reply_bytes += bytes;
        self.batches.reply_bytes += bytes;
        connection.owed.owe(Owed {
            reply: Reply::Batch(batch),
            since_us: complete_us,
            last: !head.keep_alive,
            part: ResponsePart::Whole,
            repeats_keep_alive: head.repeats_keep_alive,
            trace: None,
        });
        // The request itself has been counted as one.
        let further = records_count.saturating_sub(1);
        self.stats().ingest.add(further);
        self.counted(admitted.context.tenant).ingest.add(further);
        self.stats().batches.records.observe(records_count as f64);
        let others_wait = self.for_room.count() > 0 && !self.has_share(admitted);
        if others_wait && self.next_record(slot, admitted).is_some() {
            let due_us = self.next_due_us();
            self.wait(slot, admitted, Awaited::Room, due_us);
        } else {
            self.enter(core, slot, admitted);
        }
        FrameStep::Again
    }

    /// Lets records of the batch of a connection enter the log, as many as there is room for and as fairness allows. The rest
    /// waits.
    pub(super) fn enter(&mut self, core: Option<&Core>, slot: u32, admitted: &Admitted) {
        if self.has_share(admitted) {
            return self.enter_by_share(core, slot, admitted);
        }
        let mut taken = Taken::default();
        while let Some(next) = self.next_record(slot, admitted) {
            let others_wait = self.for_room.count() > 0 || !self.ready.is_empty();
            let waits = (taken.is_enough() && others_wait) || !self.has_room_for(core, next.bytes);
            if waits {
                let due_us = self.next_due_us();
                return self.wait(slot, admitted, Awaited::Room, due_us);
            }
            taken.records += 1;
            taken.bytes += next.bytes;
            self.cut_record(slot, admitted, next, Account::Nothing);
        }
        self.end_entering(slot, admitted);
    }

    fn enter_by_share(&mut self, core: Option<&Core>, slot: u32, admitted: &Admitted) {
        while let Some(next) = self.next_record(slot, admitted) {
            if let Err(left) = self.take_share(core, admitted.context.tenant, next.bytes) {
                let due_us = self.entering(slot).due_us;
                self.wait(slot, admitted, Awaited::Share, due_us);
                return self.shares.join(admitted.context.tenant, slot, left);
            }
            self.cut_record(slot, admitted, next, Account::Share);
        }
        self.end_entering(slot, admitted);
    }

    /// One record of a batch that waited for its share enters the log; the rest waits again.
    pub(super) fn enter_one_from_share(
        &mut self,
        slot: u32,
        admitted: &Admitted,
        account: Account,
    ) {
        // It has been given its part of the share: whether the batch is late is asked for the rest.
        let record_bytes_max = self.config.limits.http.body_bytes_max;
        if let Some(next) = self.entering(slot).next_record(record_bytes_max) {
            self.cut_record(slot, admitted, next, account);
        }
        self.wait_on_for_share(slot, admitted);
    }

    fn wait_on_for_share(&mut self, slot: u32, admitted: &Admitted) {
        if self.next_record(slot, admitted).is_none() {
            return self.end_entering(slot, admitted);
        }
        let due_us = self.entering(slot).due_us;
        self.wait(slot, admitted, Awaited::Share, due_us);
        let left = super::share::ShareLeft::Some;
        self.shares.join(admitted.context.tenant, slot, left);
    }

    /// A part of a batch waits like a request that is whole since now: behind those that were before. That may be later than
    /// the deadline of the batch, which is looked at when its turn comes.
    fn next_due_us(&self) -> u64 {
        self.waits.now_us() + self.config.limits.deadline_us
    }

    /// The batch whose records enter the log: nothing is framed behind it, so its answer is the newest.
    fn entering(&mut self, slot: u32) -> &mut Batch {
        match self.connections.at(slot).owed.newest_mut() {
            Some(Owed {
                reply: Reply::Batch(batch),
                ..
            }) => batch,
            _ => unreachable!("the answer of a batch is owed before its records enter the log"),
        }
    }

    /// The record that comes next, unless the batch is at its end or past its deadline.
    fn next_record(&mut self, slot: u32, admitted: &Admitted) -> Option<NextRecord> {
        let record_bytes_max = self.config.limits.http.body_bytes_max;
        let now_us = self.waits.now_us();
        let batch = self.entering(slot);
        if batch.due_us <= now_us {
            self.refuse_rest(slot, admitted, Problem::DeadlineExceeded.into());
        }
        self.entering(slot).next_record(record_bytes_max)
    }

    /// Length of the record that comes next.
    pub(super) fn next_record_bytes(&mut self, slot: u32) -> usize {
        let record_bytes_max = self.config.limits.http.body_bytes_max;
        let next = self.entering(slot).next_record(record_bytes_max);
        next.map_or(0, |next| next.bytes)
    }

    /// Cuts a record out of its batch: it goes into the log in this turn, unless a limit forbids it.
    fn cut_record(&mut self, slot: u32, admitted: &Admitted, next: NextRecord, account: Account) {
        self.flights.reserve(admitted.context.tenant);
        let head = &admitted.incoming.head;
        let batch = self.entering(slot);
        batch.take_next();
        let complete_us = batch.complete_us;
        let connection = self.connections.at(slot);
        let locate = |start, bytes| connection.received.locate(start, bytes);
        // Of the records of a batch one is traced at most.
        let traceparent = head.traceparent.filter(|_| next.is_first);
        let traceparent = traceparent.map(|span| {
            let (start, end) = (span.start as usize, span.end as usize);
            locate(start, end - start)
        });
        self.framed_bytes += next.bytes;
        self.framed.push(Framed {
            conn: connection.id,
            reply: connection.owed.newest_number(),
            line: next.line,
            context: admitted.context,
            client: admitted.client,
            body: locate(head.head_len + next.start, next.bytes),
            begun_us: connection.begun_us(complete_us),
            complete_us,
            traceparent,
            paid_bytes: None,
            account,
            refused: None,
        });
    }

    /// No record of a batch waits any more: the next request begins behind it.
    fn end_entering(&mut self, slot: u32, admitted: &Admitted) {
        let connection = self.connections.at(slot);
        connection.received.consume(admitted.incoming.whole_bytes());
        connection.end_request();
        if !admitted.incoming.head.keep_alive {
            connection.phase = Phase::Closing;
        }
        let conn = connection.id;
        if self.entering(slot).is_answered() {
            self.due.push(conn);
        }
    }

    /// Answers all records that wait with a refusal; the connection is in no queue for them any more.
    fn refuse_rest(&mut self, slot: u32, admitted: &Admitted, refusal: Refusal) {
        let refused_count = self.entering(slot).refuse_rest(refusal);
        let row = self.counted(admitted.context.tenant);
        match refusal.problem {
            Problem::RateLimited => row.rate_limited.add(refused_count),
            Problem::QuotaExceeded => row.quota_exceeded.add(refused_count),
            _ => {}
        }
    }

    /// A record of a batch was refused for a limit, in this turn. Those behind it are not asked about: the first of a batch
    /// come first.
    pub(super) fn limit_batch(&mut self, conn: ConnId, reply: u64, refusal: Refusal) {
        let Some(connection) = self.connections.get(conn) else {
            return;
        };
        let still_enters = connection.waits_for_room()
            && connection.owed.newest_number() == reply
            && connection.admitted().is_some_and(Admitted::is_batch);
        if !still_enters || refusal.problem.status() != 429 {
            return;
        }
        if let Some((admitted, _)) = self.leave_room_queue(conn.slot) {
            self.give_up_batch(conn.slot, &admitted, refusal);
        }
    }

    /// What waits of a batch that was taken out of its queue is refused.
    pub(super) fn give_up_batch(&mut self, slot: u32, admitted: &Admitted, refusal: Refusal) {
        self.refuse_rest(slot, admitted, refusal);
        self.end_entering(slot, admitted);
        self.touched.push(slot);
        self.queue(slot);
    }

    /// The same, and the connection ends behind the answer.
    pub(super) fn give_up_batch_and_close(
        &mut self,
        slot: u32,
        admitted: &Admitted,
        problem: Problem,
    ) {
        self.give_up_batch(slot, admitted, problem.into());
        let connection = self.connections.at(slot);
        connection.phase = Phase::Closing;
        if let Some(owed) = connection.owed.newest_mut() {
            owed.last = true;
        }
    }

    /// At the beginning of the reply stage: what could not go on in an earlier turn may now.
    pub(super) fn resume_batches(&mut self) {
        self.batches.lines_left = LINES_RENDERED_MAX;
        if !self.batches.rendering.is_empty() {
            let mut due = std::mem::take(&mut self.batches.rendering);
            due.append(&mut self.due);
            std::mem::swap(&mut self.due, &mut due);
        }
        if self.unsent_bytes < self.config.limits.unsent_bytes_total_max {
            self.due.append(&mut self.batches.held_back);
        }
    }

    /// Whether an answer was cut short in this turn and goes on in the next.
    pub(super) fn renders_on(&self) -> bool {
        !self.batches.rendering.is_empty()
    }

    /// Whether the oldest answer of a connection, that to a batch, may leave as far as the log goes. Else it waits.
    pub(super) fn batch_is_due(&mut self, conn: ConnId, durable: Sequence) -> bool {
        let newest = self.waiting.back().map(|&(needs, _)| needs);
        let Some(batch) = self.oldest_batch(conn) else {
            return false;
        };
        if !batch.is_answered() {
            return false;
        }
        let needs = batch.needs();
        if needs > durable && !batch.waits_for_log {
            batch.waits_for_log = true;
            // The queue is in the order of the log.
            let needs = newest.map_or(needs, |newest| newest.max(needs));
            self.waiting.push_back((needs, conn));
        }
        needs <= durable
    }

    /// Writes the text of the oldest answer of a connection, that to a batch, as far as this turn allows. Whether it may leave.
    pub(super) fn render_batch(&mut self, core: Option<&Core>, conn: ConnId) -> bool {
        if self.unsent_bytes >= self.config.limits.unsent_bytes_total_max {
            self.batches.held_back.push(conn);
            return false;
        }
        let lines_max = self.batches.lines_left;
        let stats = std::sync::Arc::clone(&self.config.stats);
        let stats = &stats.shards[usize::from(self.config.id.0)];
        let mut text = std::mem::take(&mut self.body_text);
        let Some(batch) = self.oldest_batch(conn) else {
            unreachable!("the batch was looked at");
        };
        let mut lines_count = 0;
        let is_whole = batch.render(
            lines_max,
            &mut |decided, pcs_id, text| outcome_text(text, core, decided, pcs_id),
            &mut text,
            |status| {
                lines_count += 1;
                stats.answered(status);
            },
        );
        self.body_text = text;
        self.batches.lines_left -= lines_count;
        if !is_whole {
            self.batches.rendering.push(conn);
        }
        is_whole
    }

    /// Writes the answer to a batch that was rendered, and gives its memory back.
    pub(super) fn write_batch(
        &mut self,
        conn: ConnId,
        batch: &Batch,
        common: (Afterwards, ResponsePart),
        latency_s: f64,
        outbox: &mut Outbox,
    ) {
        let (counts, text) = batch.rendered();
        let common = Common {
            date: &self.date,
            afterwards: common.0,
            part: common.1,
        };
        respond::batch(&mut outbox.bytes, counts, text, common);
        let stats = self.stats();
        stats.batches.answered.add(1);
        let records_count = u64::from(counts.records);
        stats.latency_s.observe_all(latency_s, records_count);
        let bytes = reply_bytes(batch.lines_count());
        self.batches.reply_bytes -= bytes;
        if let Some(connection) = self.connections.get(conn) {
            connection.batch_reply_bytes -= bytes;
        }
    }

    /// A connection ends: its answers take no memory any more.
    pub(super) fn release_batches(&mut self, slot: u32) {
        let bytes = std::mem::take(&mut self.connections.at(slot).batch_reply_bytes);
        self.batches.reply_bytes -= bytes;
    }

    /// Counts the refusal of a whole batch.
    pub(super) fn count_refused_batch(&self, problem: Problem) {
        let batches = &self.stats().batches;
        let cell = match problem.status() {
            503 => &batches.unavailable,
            _ => &batches.refused,
        };
        cell.add(1);
    }

    /// What the answers of batches may take is what those of connections may.
    #[cfg(debug_assertions)]
    pub(super) fn check_batches(&self) {
        let mut all = 0;
        for connection in self.connections.all() {
            let batches = connection.owed.all().filter_map(|owed| match &owed.reply {
                Reply::Batch(batch) => Some(reply_bytes(batch.lines_count())),
                _ => None,
            });
            let bytes: usize = batches.sum();
            assert_eq!(bytes, connection.batch_reply_bytes);
            all += bytes;
        }
        assert_eq!(all, self.batches.reply_bytes);
        assert!(all <= self.config.limits.batch_reply_bytes_total_max);
    }

    fn oldest_batch(&mut self, conn: ConnId) -> Option<&mut Batch> {
        match self.connections.get(conn)?.owed.oldest_mut()? {
            Owed {
                reply: Reply::Batch(batch),
                ..
            } => Some(batch),
            _ => None,
        }
    }
}
