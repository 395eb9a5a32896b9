//! What holds between two turns. It is checked in builds with debug assertions, so in every test of a shard and in the
//! simulator's tests; it looks at all connections, which is too much for a release.

use super::connection::{Connection, Phase};
use super::{Core, Ingress};
use crate::planted::{Bug, planted};

impl Ingress {
    /// Stops the process where the shard's own accounts, queues and cursors contradict each other.
    pub(super) fn check_invariants(&self, core: Option<&Core>) {
        self.check_stages();
        self.check_accounts();
        self.check_queues();
        self.flights.check_invariants();
        self.check_batches();
        if let Some(core) = core {
            self.check_cursors(core);
            self.check_traces(core.log.durable());
        }
    }

    /// Each stage has taken all that the stage before it left: framed, logged, answered.
    fn check_stages(&self) {
        assert!(self.framed.is_empty() && self.framed_bytes == 0);
        assert!(self.awaiting_continue.is_empty() && self.logged.is_empty());
        assert!(self.looking.is_empty());
        assert!(self.early.is_empty() || !self.loaded);
    }

    /// What the budgets count is what connections hold, and a free slot holds nothing.
    fn check_accounts(&self) {
        let sum = |bytes: fn(&Connection) -> usize| -> usize {
            self.connections.all().iter().map(bytes).sum()
        };
        assert_eq!(sum(|it| it.memory.head.bytes), self.heads.held_bytes());
        assert_eq!(sum(|it| it.memory.body.bytes), self.bodies.held_bytes());
        assert_eq!(sum(|it| it.memory.unread_bytes), self.unread.held_bytes());
        assert_eq!(sum(|it| it.unsent_bytes as usize), self.unsent_bytes);
        let is_open = |it: &Connection| usize::from(it.phase != Phase::Free);
        assert_eq!(sum(is_open), self.connections.open_count() as usize);
        for connection in self.connections.all() {
            let is_empty = connection.is_at_rest() && connection.unsent_bytes == 0;
            assert!(connection.phase != Phase::Free || is_empty);
        }
    }

    /// A connection is in a queue if and only if its own state has a place there.
    fn check_queues(&self) {
        let count = |is: fn(&Connection) -> bool| {
            let all = self.connections.all().iter();
            all.filter(|connection| is(connection)).count()
        };
        let for_room = self.waiting_for_room_count();
        assert_eq!(count(Connection::waits_for_room), for_room);
        assert_eq!(self.shares.checked_count(), self.for_share.count());
        let for_memory = count(|it| it.memory.place.is_some());
        assert_eq!(for_memory, self.for_memory.count());
        assert_eq!(count(|it| it.queued), self.ready.len());
        let deadlines = self.deadlines.iter();
        assert!(deadlines.is_sorted_by_key(|deadline| deadline.due_us));
    }

    /// Positions in the log: what the keeper knows <= resolved <= durable < what answers and winners wait for, and both
    /// wait in the order of the log.
    fn check_cursors(&self, core: &Core) {
        let durable = core.log.durable();
        assert!(core.resolved_notified <= core.log.resolved_durably());
        assert!(core.log.resolved_durably() <= durable);
        assert!(self.waiting.iter().is_sorted_by_key(|(needs, _)| *needs));
        assert!(self.won.iter().is_sorted_by_key(|(needs, _)| *needs));
        assert!(self.waiting.front().is_none_or(|first| first.0 > durable));
        // (Planted: a decision that was not logged counts as durable at once.)
        let won_is_durable = self.won.front().is_some_and(|first| first.0 <= durable);
        assert!(!won_is_durable || planted(Bug::LateWonNotLogged));
        assert!(self.won.len() <= self.flights.count());
    }
}
