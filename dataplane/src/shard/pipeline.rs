//! The order of the stages: the one place that knows it. Read top to bottom, this is the path of a record.

use super::Shard;
use crate::event::{Driver, Inbox, Next, Now, Outbox, Stage};

impl Shard {
    /// One turn: takes all that happened, runs every stage over it, says what to do and when to come back.
    ///
    /// The inbox is emptied. Operations are appended to the outbox in the order in which the driver must start them.
    pub fn turn(
        &mut self,
        inbox: &mut Inbox,
        now: Now,
        driver: &mut impl Driver,
        outbox: &mut Outbox,
    ) -> Next {
        self.stats().turns.add(1);
        driver.probe(Stage::Collect);
        self.collect(inbox, now, outbox);
        self.watch_log(now, outbox);

        driver.probe(Stage::Durable);
        self.announce_durable(now, outbox);

        driver.probe(Stage::Frame);
        self.frame(&mut inbox.bytes, now);

        driver.probe(Stage::Append);
        self.append(&inbox.bytes, now, driver);
        self.keep_unread(&inbox.bytes, now, outbox);

        driver.probe(Stage::Parse);
        self.judge_logged(now, outbox);

        driver.probe(Stage::Decide);
        self.decide(now, outbox);

        self.expire_deadlines(now, outbox);
        self.sweep(now, outbox);
        self.progress_drain(now, outbox);
        self.decide(now, outbox);

        driver.probe(Stage::Commit);
        self.commit(now, outbox);
        self.watch_log(now, outbox);

        driver.probe(Stage::Reply);
        self.reply(now, outbox);

        self.make_room(now, outbox);
        self.tell_foreign(now, outbox);
        self.background(now, outbox);
        inbox.clear();
        self.next(now)
    }
}
