//! What the tasks of a shard share: the inbox of the next turn, the table of connections, whether clients are accepted, and the file
//! operations to be done. It owns all of them; it runs nothing and touches no socket.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;

use flk_dataplane::event::{Event, Inbox};
use flk_dataplane::io::{Errno, FileId, ReadId};
use flk_dataplane::wal::buffer::Blocks;

use crate::connection::Connection;
use crate::signal::Signal;
use crate::table::Table;

/// A file operation of the shard.
pub(crate) enum Job {
    Write(FileId, u64, Box<Blocks>),
    Sync(FileId),
    Read(ReadId, FileId, u64),
}

/// Shared by all tasks of a shard; `T` is a task of the executor.
pub(crate) struct Hub<T> {
    inbox: RefCell<Inbox>,
    /// For the loop of turns: there are events.
    pub(crate) news: Signal,
    pub(crate) table: RefCell<Table<T>>,
    accepts: Cell<bool>,
    /// For the task that accepts: the shard wants clients again, or a slot is free.
    may_accept: Signal,
    /// The task that accepts, until the listener is closed.
    pub(crate) accepting: RefCell<Option<T>>,
    jobs: RefCell<VecDeque<Job>>,
    /// For the task that does them: there are file operations.
    pub(crate) has_jobs: Signal,
}

impl<T> Hub<T> {
    pub(crate) fn new(connections_max: u32, accepts: bool) -> Rc<Self> {
        Rc::new(Self {
            inbox: RefCell::new(Inbox::with_capacity(1024, 1 << 20)),
            news: Signal::default(),
            table: RefCell::new(Table::new(connections_max)),
            accepts: Cell::new(accepts),
            may_accept: Signal::default(),
            accepting: RefCell::default(),
            jobs: RefCell::default(),
            has_jobs: Signal::default(),
        })
    }

    /// Exchanges the events so far for an empty inbox.
    pub(crate) fn take_events(&self, inbox: &mut Inbox) {
        std::mem::swap(inbox, &mut self.inbox.borrow_mut());
        self.news.clear();
    }

    pub(crate) fn report(&self, event: Event) {
        self.inbox.borrow_mut().events.push(event);
        self.news.set();
    }

    // --- from the tasks of a connection

    pub(crate) fn received(&self, connection: &Connection, bytes: &[u8]) {
        if !connection.is_closed.get() {
            let mut inbox = self.inbox.borrow_mut();
            let range = inbox.put(bytes);
            inbox.events.push(Event::Received(connection.id, range));
            self.news.set();
        }
    }

    pub(crate) fn ended(&self, connection: &Connection) {
        if !connection.is_closed.get() {
            self.report(Event::Ended(connection.id));
        }
    }

    pub(crate) fn sent(&self, connection: &Connection, bytes_count: usize) {
        if !connection.is_closed.get() {
            self.report(Event::Sent(connection.id, bytes_count as u32));
        }
    }

    /// Tells the shard once that a connection has failed.
    pub(crate) fn broken(&self, connection: &Connection) {
        if !connection.is_closed.get() && !connection.is_broken.replace(true) {
            self.report(Event::Broken(connection.id));
        }
    }

    // --- from the task that accepts

    /// Waits until a client may have a slot. A client that was accepted before the shard paused waits here, unread.
    pub(crate) async fn may_open(&self) {
        while !self.accepts.get() || self.table.borrow().is_full() {
            self.may_accept.wait().await;
        }
    }

    /// Gives a client a slot, with the tasks that this makes. The caller has awaited [`Hub::may_open`].
    pub(crate) fn open(&self, address: IpAddr, tasks: impl FnOnce(&Rc<Connection>) -> Vec<T>) {
        let opened = self.table.borrow_mut().open(tasks);
        match opened {
            Some(connection) => self.report(Event::Accepted(connection.id, address)),
            None => unreachable!("a client is let in only if a slot is free"),
        }
    }

    // --- from the loop of turns

    pub(crate) fn accept(&self, accepts: bool) {
        self.accepts.set(accepts);
        self.may_accept.set();
    }

    pub(crate) fn close(&self, connection: flk_dataplane::event::ConnId) {
        self.table.borrow_mut().close(connection);
        self.may_accept.set();
    }

    /// Closes the listening socket. Clients in its queue are reset: a measurement has none at its end.
    pub(crate) fn close_listener(&self) {
        self.accepting.take();
        self.report(Event::ListenerClosed);
    }

    pub(crate) fn give(&self, job: Job) {
        self.jobs.borrow_mut().push_back(job);
        self.has_jobs.set();
    }

    // --- from the task of files

    pub(crate) fn next_job(&self) -> Option<Job> {
        self.jobs.borrow_mut().pop_front()
    }

    pub(crate) fn read_done(&self, id: ReadId, read: Result<Vec<u8>, Errno>) {
        let range = read.map(|bytes| self.inbox.borrow_mut().put(&bytes));
        self.report(Event::ReadDone(id, range));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_closed_connection_has_no_more_events() {
        let hub: Rc<Hub<()>> = Hub::new(2, true);
        let mut kept = None;
        hub.open(ADDRESS, |connection| {
            kept = Some(Rc::clone(connection));
            Vec::new()
        });
        let connection = kept.unwrap();
        hub.received(&connection, b"bytes");
        let mut inbox = Inbox::default();
        hub.take_events(&mut inbox);
        let events = &inbox.events[..];
        let [Event::Accepted(..), Event::Received(_, range)] = events else {
            panic!("{events:?}");
        };
        assert_eq!(&inbox.bytes[range.clone()], b"bytes");
        hub.close(connection.id);
        hub.received(&connection, b"late");
        hub.sent(&connection, 4);
        hub.ended(&connection);
        hub.broken(&connection);
        let mut inbox = Inbox::default();
        hub.take_events(&mut inbox);
        assert!(inbox.events.is_empty(), "{:?}", inbox.events);
    }

    #[test]
    fn a_failure_is_told_once() {
        let hub: Rc<Hub<()>> = Hub::new(1, true);
        hub.open(ADDRESS, |connection| {
            hub.broken(connection);
            hub.broken(connection);
            Vec::new()
        });
        let mut inbox = Inbox::default();
        hub.take_events(&mut inbox);
        let is_broken = |event: &&Event| matches!(event, Event::Broken(_));
        assert_eq!(inbox.events.iter().filter(is_broken).count(), 1);
    }
}
