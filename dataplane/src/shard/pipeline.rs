//! The order of the stages: the one place that knows it. Read top to bottom, this is the path of a record; what became durable
//! since the last turn ends the path of earlier ones first.

use super::{Core, Ingress, Shard};
use crate::event::{Driver, Inbox, Next, Outbox, Stage};
use crate::io::Now;

impl Shard {
    /// One turn: takes all events, runs every stage over them, and returns operations and the time of the next turn.
    ///
    /// The inbox is emptied. Operations are appended to the outbox in the order in which the driver must start them.
    pub fn turn(
        &mut self,
        inbox: &mut Inbox,
        now: Now,
        driver: &mut impl Driver,
        outbox: &mut Outbox,
    ) -> Next {
        let Shard { ingress, core } = self;
        ingress.stats().turns.add(1);
        ingress.waits.begin(now);
        driver.probe(Stage::Collect);
        ingress.collect(core, inbox, now, outbox);
        ingress.in_force.at(now.wall_us / 1_000_000);
        let next = match core {
            Some(core) => ingress.serve(core, inbox, now, driver, outbox),
            None => ingress.serve_health(inbox, now, driver, outbox),
        };
        #[cfg(debug_assertions)]
        ingress.check_invariants(core.as_deref());
        inbox.clear();
        next
    }
}

impl Ingress {
    /// The rest of a turn of a shard whose log has begun.
    fn serve(
        &mut self,
        core: &mut Core,
        inbox: &mut Inbox,
        now: Now,
        driver: &mut impl Driver,
        outbox: &mut Outbox,
    ) -> Next {
        self.watch_log(core, now, outbox);

        driver.probe(Stage::Durable);
        self.measure_durable(core);
        self.trace_durable(core.log.durable());
        self.announce_durable(core, now, outbox);

        // A turn without work for a stage does not enter it: its time would hide that of the others.
        if !self.ready.is_empty() || self.waiting_for_room_count() > 0 {
            driver.probe(Stage::Frame);
        }
        self.frame(Some(core), &mut inbox.bytes, now);

        driver.probe(Stage::Append);
        // The bodies lie in the inbox or in receive buffers: both are reused behind this, so bytes that stay are kept here.
        self.append(core, &inbox.bytes, now, driver);
        self.keep_unread(&inbox.bytes, now, outbox);

        self.judge_logged(core, now, driver, outbox);
        // Behind the claims of this turn: a look-up that follows its record on a connection waits for the outcome of that.
        self.look_up(core, now, outbox);

        driver.probe(Stage::Decide);
        self.decide(core, outbox);

        // Deciding comes again behind the deadlines: withdrawing a claim of this shard's own keys is answered at once, and
        // the answer belongs into this turn's batch. It cannot wait for them, for a request that was answered in this turn is
        // not withdrawn.
        self.expire_deadlines(core, now, outbox);
        self.expire_look_ups(core, now, outbox);
        self.sweep(now, outbox);
        self.progress_drain(Some(core), now, outbox);
        self.decide(core, outbox);

        driver.probe(Stage::Commit);
        self.commit(core, now, outbox);
        self.measure_commit(core);
        // Again, for the batch that was just handed over waits from now on.
        self.watch_log(core, now, outbox);

        if !self.due.is_empty() {
            driver.probe(Stage::Reply);
        }
        self.reply(Some(core), now, outbox);

        driver.probe(Stage::Background);
        self.make_room(now, outbox);
        // Behind what may end connections, and with them the wait of their traces.
        self.hand_over_traces(driver);
        self.notify_foreign(now, outbox);
        self.background(core, now, outbox);
        self.show_queues();
        self.next(Some(core), now)
    }

    /// The same before the log has begun: nothing is admitted, and there is nothing that could become durable.
    fn serve_health(
        &mut self,
        inbox: &mut Inbox,
        now: Now,
        driver: &mut impl Driver,
        outbox: &mut Outbox,
    ) -> Next {
        driver.probe(Stage::Frame);
        self.frame(None, &mut inbox.bytes, now);
        self.keep_unread(&inbox.bytes, now, outbox);
        self.sweep(now, outbox);
        self.progress_drain(None, now, outbox);

        driver.probe(Stage::Reply);
        self.reply(None, now, outbox);
        self.make_room(now, outbox);
        self.notify_foreign(now, outbox);
        self.next(None, now)
    }
}
