//! The connection table of the portable driver: sockets under level-triggered epoll. A slot is given up with its socket,
//! at once: nothing of it is ever left in the kernel.

use crate::driver::listen::BACKLOG;
use crate::driver::outgoing::{Outgoing, Pool};
use crate::driver::{DriverError, DriverLimits};
use crate::event::{ConnId, Event, Inbox, Peer};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, SocketFlags};
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

/// What epoll says of the listening socket; no connection's word, for slots are below it.
pub(super) const LISTENER: u64 = u64::MAX;
/// Empty send buffers kept for reuse: 1 MiB at their usual size.
const POOLED_BUFFERS_MAX: usize = 256;
/// Connections accepted in one turn: the rest waits, so that clients already here are not starved.
const ACCEPTS_PER_TURN_MAX: u32 = 64;
/// How sockets are accepted.
const ACCEPTED: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);
/// One read takes at most this much; what is left is read in the next turn.
const READ_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Default)]
struct Conn {
    generation: u32,
    socket: Option<OwnedFd>,
    /// What epoll watches, `None` when the socket is not in its set.
    watched: Option<EventFlags>,
    /// The shard wants to read.
    wanted: bool,
    /// The socket took less than it was given.
    blocked: bool,
    fin: bool,
    ended: bool,
    broken: bool,
    listed: bool,
    out: Outgoing,
}

/// All connections of a shard and its listening socket.
pub(super) struct Connections {
    table: Vec<Conn>,
    free: Vec<u32>,
    pool: Pool,
    to_send: Vec<u32>,
    /// Progress and failures of sends: events of the next turn.
    news: Vec<Event>,
    scratch: Box<[u8]>,
    listener: Option<OwnedFd>,
    accept_wanted: bool,
    accept_watched: bool,
    /// The listener is being closed: how many may still be accepted, a whole queue and no more. Under a flood it never gets
    /// empty.
    closing: Option<i32>,
}

fn word(id: ConnId) -> EventData {
    EventData::new_u64(u64::from(id.generation) << 32 | u64::from(id.slot))
}

impl Connections {
    /// An empty table.
    pub(super) fn new(
        limits: &DriverLimits,
        listener: OwnedFd,
        epoll: BorrowedFd<'_>,
    ) -> Result<Connections, DriverError> {
        rustix::io::ioctl_fionbio(&listener, true)
            .map_err(|error| DriverError::new("make the listener non-blocking", error))?;
        let mut connections = Connections {
            table: (0..limits.connections_max)
                .map(|_| Conn::default())
                .collect(),
            free: (0..limits.connections_max).rev().collect(),
            pool: Pool::new(POOLED_BUFFERS_MAX),
            to_send: Vec::with_capacity(limits.connections_max as usize),
            news: Vec::new(),
            scratch: vec![0; READ_BYTES_MAX].into_boxed_slice(),
            listener: Some(listener),
            accept_wanted: true,
            accept_watched: false,
            closing: None,
        };
        connections.watch_listener(epoll);
        Ok(connections)
    }

    /// Whether there are events for the next turn already.
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty() || (self.closing.is_some() && !self.free.is_empty())
    }

    /// Whether accepting stopped for want of descriptors or memory and must be tried again soon.
    pub(super) fn wants_retry(&self) -> bool {
        self.accept_wanted
            && self.listener.is_some()
            && !self.accept_watched
            && !self.free.is_empty()
    }

    /// Hands over the events of the last turn's sends.
    pub(super) fn collect(&mut self, inbox: &mut Inbox) {
        inbox.events.append(&mut self.news);
    }

    fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        let conn = self.table.get_mut(id.slot as usize)?;
        (conn.generation == id.generation && conn.socket.is_some()).then_some(conn)
    }

    // --- what the kernel says

    /// Clients wait to be accepted.
    pub(super) fn accept(&mut self, epoll: BorrowedFd<'_>, inbox: &mut Inbox) {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let Some(listener) = &self.listener else {
                return;
            };
            if self.free.is_empty() {
                break;
            }
            match accept_one(listener) {
                Ok((socket, peer)) => self.open(socket, peer, epoll, inbox),
                Err(Errno::CONNABORTED | Errno::INTR) => continue,
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    // Out of descriptors or memory: level-triggered epoll would spin, so stop watching for a while.
                    self.unwatch_listener(epoll);
                    return;
                }
            }
        }
        if self.free.is_empty() {
            self.unwatch_listener(epoll);
        }
    }

    /// Gives an accepted socket a slot; there must be one.
    fn open(&mut self, socket: OwnedFd, peer: Peer, epoll: BorrowedFd<'_>, inbox: &mut Inbox) {
        let Some(&slot) = self.free.last() else {
            return;
        };
        let conn = &mut self.table[slot as usize];
        conn.generation = conn.generation.wrapping_add(1);
        let id = ConnId {
            slot,
            generation: conn.generation,
        };
        let watched = EventFlags::IN;
        if epoll::add(epoll, &socket, word(id), watched).is_err() {
            // Out of memory or watches: the client is sent away by dropping its socket.
            return;
        }
        self.free.pop();
        *conn = Conn {
            generation: id.generation,
            socket: Some(socket),
            watched: Some(watched),
            wanted: true,
            out: std::mem::take(&mut conn.out),
            ..Conn::default()
        };
        inbox.events.push(Event::Accepted(id, peer));
    }

    /// While the listener is being closed: accepts who waits in its queue as slots get free, then closes it and says so.
    /// Closing it resets whoever is still in its queue.
    pub(super) fn closing_step(&mut self, epoll: BorrowedFd<'_>, inbox: &mut Inbox) {
        while let Some(left) = self.closing
            && !self.free.is_empty()
        {
            let Some(listener) = self.listener.as_ref().filter(|_| left > 0) else {
                self.listener = None;
                self.closing = None;
                inbox.events.push(Event::ListenerClosed);
                return;
            };
            match accept_one(listener) {
                Ok((socket, peer)) => {
                    self.closing = Some(left - 1);
                    self.open(socket, peer, epoll, inbox);
                }
                Err(Errno::CONNABORTED | Errno::INTR) => self.closing = Some(left - 1),
                // No client is left, or no descriptor for those who are.
                Err(_) => self.closing = Some(0),
            }
        }
    }

    /// A socket is readable, writable or broken.
    pub(super) fn ready(
        &mut self,
        word: u64,
        flags: EventFlags,
        epoll: BorrowedFd<'_>,
        inbox: &mut Inbox,
    ) {
        let id = ConnId {
            slot: word as u32,
            generation: (word >> 32) as u32,
        };
        let Some(conn) = self.conn(id) else { return };
        let gone = flags.intersects(EventFlags::HUP | EventFlags::ERR);
        let reading = conn.wanted && !conn.ended && !conn.broken;
        let blocked = std::mem::take(&mut conn.blocked);
        if reading && (gone || flags.contains(EventFlags::IN)) {
            self.read(id, inbox);
        }
        if blocked {
            self.send_next(id);
        }
        if let Some(conn) = self.conn(id) {
            if gone && !reading && !blocked && !conn.ended {
                // Nobody reads or writes, so nothing else would find out.
                report_broken(conn, id, &mut inbox.events);
            }
            watch(conn, id, epoll);
        }
    }

    fn read(&mut self, id: ConnId, inbox: &mut Inbox) {
        let Connections { table, scratch, .. } = self;
        let conn = &mut table[id.slot as usize];
        let Some(socket) = &conn.socket else { return };
        match rustix::io::read(socket, &mut scratch[..]) {
            Ok(0) => {
                conn.ended = true;
                inbox.events.push(Event::Ended(id));
            }
            Ok(bytes) => {
                let range = inbox.put(&scratch[..bytes]);
                inbox.events.push(Event::Received(id, range));
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => report_broken(conn, id, &mut inbox.events),
        }
    }

    // --- what the shard says

    /// Queues bytes; they leave with [`Connections::send_all`].
    pub(super) fn queue_bytes(&mut self, id: ConnId, bytes: &[u8]) {
        let Some(conn) = self.table.get_mut(id.slot as usize) else {
            return;
        };
        if conn.generation != id.generation || conn.socket.is_none() || conn.broken {
            return;
        }
        conn.out.queue(bytes, &mut self.pool);
        self.list(id);
    }

    fn list(&mut self, id: ConnId) {
        let conn = &mut self.table[id.slot as usize];
        if !std::mem::replace(&mut conn.listed, true) {
            self.to_send.push(id.slot);
        }
    }

    /// Sends to every connection that has something new and does not wait for its socket.
    pub(super) fn send_all(&mut self, epoll: BorrowedFd<'_>) {
        while let Some(slot) = self.to_send.pop() {
            let conn = &mut self.table[slot as usize];
            conn.listed = false;
            let id = ConnId {
                slot,
                generation: conn.generation,
            };
            if conn.blocked {
                continue;
            }
            self.send_next(id);
            if let Some(conn) = self.conn(id) {
                watch(conn, id, epoll);
            }
        }
    }

    /// Sends until the socket is full or nothing is left, then FIN if it is due.
    fn send_next(&mut self, id: ConnId) {
        let Connections {
            table, pool, news, ..
        } = self;
        let conn = &mut table[id.slot as usize];
        let Some(socket) = &conn.socket else { return };
        while !conn.broken {
            let flight = conn.out.begin_send(pool);
            if flight.is_empty() {
                if std::mem::take(&mut conn.fin) {
                    // It fails only for a connection that is gone, which reading reports.
                    let _ = rustix::net::shutdown(socket, Shutdown::Write);
                }
                return;
            }
            match rustix::net::send(socket, flight, SendFlags::NOSIGNAL) {
                Ok(bytes) => {
                    conn.out.left(bytes);
                    news.push(Event::Sent(id, bytes as u32));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    conn.blocked = true;
                    return;
                }
                Err(_) => {
                    conn.broken = true;
                    news.push(Event::Broken(id));
                }
            }
        }
    }

    /// Stops or goes on reading.
    pub(super) fn want_read(&mut self, id: ConnId, wanted: bool, epoll: BorrowedFd<'_>) {
        if let Some(conn) = self.conn(id) {
            conn.wanted = wanted;
            watch(conn, id, epoll);
        }
    }

    /// Sends FIN behind what is queued.
    pub(super) fn shut_down(&mut self, id: ConnId) {
        if let Some(conn) = self.conn(id) {
            conn.fin = true;
            self.list(id);
        }
    }

    /// Releases a connection at once.
    pub(super) fn close(&mut self, id: ConnId, epoll: BorrowedFd<'_>) {
        if let Some(conn) = self.conn(id) {
            // Closing takes the socket out of the epoll set.
            conn.socket = None;
            self.table[id.slot as usize].out.clear(&mut self.pool);
            self.news.retain(|event| !is_about(event, id));
            self.free.push(id.slot);
            self.watch_listener(epoll);
        }
    }

    /// Stops or goes on accepting.
    pub(super) fn want_accept(&mut self, wanted: bool, epoll: BorrowedFd<'_>) {
        self.accept_wanted = wanted && self.closing.is_none();
        if wanted {
            self.watch_listener(epoll);
        } else {
            self.unwatch_listener(epoll);
        }
    }

    /// Begins to close the listening socket; see [`Connections::closing_step`].
    pub(super) fn close_listener(&mut self, epoll: BorrowedFd<'_>) {
        self.unwatch_listener(epoll);
        self.accept_wanted = false;
        if self.listener.is_some() {
            self.closing.get_or_insert(BACKLOG + 1);
        }
    }

    /// Listens for clients if the shard wants that and there is a slot.
    pub(super) fn watch_listener(&mut self, epoll: BorrowedFd<'_>) {
        if self.wants_retry()
            && let Some(listener) = &self.listener
        {
            let data = EventData::new_u64(LISTENER);
            self.accept_watched = epoll::add(epoll, listener, data, EventFlags::IN).is_ok();
        }
    }

    fn unwatch_listener(&mut self, epoll: BorrowedFd<'_>) {
        if let Some(listener) = &self.listener
            && std::mem::take(&mut self.accept_watched)
        {
            // It is in the set, so this cannot fail.
            let _ = epoll::delete(epoll, listener);
        }
    }
}

/// A client out of the listen queue.
fn accept_one(listener: &OwnedFd) -> rustix::io::Result<(OwnedFd, Peer)> {
    let (socket, address) = rustix::net::acceptfrom_with(listener, ACCEPTED)?;
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    let peer = address.map_or_else(Peer::default, |address| Peer::from(address.ip()));
    Ok((socket, peer))
}

fn is_about(event: &Event, id: ConnId) -> bool {
    matches!(event, Event::Sent(conn, _) | Event::Broken(conn) if *conn == id)
}

/// Tells the shard once that a connection is of no use any more.
fn report_broken(conn: &mut Conn, id: ConnId, events: &mut Vec<Event>) {
    if !std::mem::replace(&mut conn.broken, true) {
        events.push(Event::Broken(id));
    }
}

/// Brings epoll's view of a socket up to date. A socket that nothing is wanted of leaves the set: it would report a
/// hang-up again and again.
fn watch(conn: &mut Conn, id: ConnId, epoll: BorrowedFd<'_>) {
    let Some(socket) = &conn.socket else { return };
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, conn.wanted && !conn.ended);
    flags.set(EventFlags::OUT, conn.blocked);
    let idle = conn.broken || (conn.ended && flags.is_empty());
    let wanted = (!idle).then_some(flags);
    if conn.watched == wanted {
        return;
    }
    // Failures would mean a socket that is not in the set although we put it there, or no kernel memory; the deadline of
    // whatever waits on the connection ends it then.
    let _ = match (conn.watched, wanted) {
        (Some(_), Some(flags)) => epoll::modify(epoll, socket, word(id), flags),
        (None, Some(flags)) => epoll::add(epoll, socket, word(id), flags),
        (_, None) => epoll::delete(epoll, socket),
    };
    conn.watched = wanted;
}
