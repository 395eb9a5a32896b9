//! The connection table of the portable driver: sockets under level-triggered epoll. A slot is freed together with its
//! socket: no operation outlives a call, so nothing has to be waited for.

use crate::driver::listen::Listener;
use crate::driver::outgoing::{Outgoing, Pool};
use crate::driver::{DriverError, DriverLimits};
use crate::event::{ConnId, Event, Inbox};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, SocketFlags};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};

/// Epoll data of the listening socket. No connection has this value: slots are smaller.
pub(super) const LISTENER: u64 = u64::MAX;
/// Empty send buffers kept for reuse: 1 MiB at their usual size.
const POOLED_BUFFERS_MAX: usize = 256;
/// Connections accepted in one turn, so that a flood of them does not starve the others.
const ACCEPTS_PER_TURN_MAX: u32 = 64;
/// Flags of accepted sockets.
const ACCEPTED: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);
/// One read takes at most this much; what is left is read in the next turn.
const READ_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Default)]
struct Conn {
    generation: u32,
    socket: Option<OwnedFd>,
    /// What epoll watches; `None` if the socket is not in the set.
    watched: Option<EventFlags>,
    /// The shard wants to read.
    wanted: bool,
    /// The socket's send buffer is full.
    blocked: bool,
    /// FIN is to be sent after the queued bytes.
    fin: bool,
    /// The client sent FIN.
    ended: bool,
    /// The connection failed: nothing more can be read or sent.
    broken: bool,
    /// It is in `to_send`.
    listed: bool,
    out: Outgoing,
}

/// All connections of a shard and its listening socket.
pub(super) struct Connections {
    table: Vec<Conn>,
    free: Vec<u32>,
    pool: Pool,
    to_send: Vec<u32>,
    /// Progress and failures of sends; they become events of the next turn.
    news: Vec<Event>,
    scratch: Box<[u8]>,
    listener: Option<OwnedFd>,
    accept_wanted: bool,
    accept_watched: bool,
    accepted_at_close: i32,
    /// While the listener is being closed: how many clients may still be accepted.
    closing: Option<i32>,
}

fn word(id: ConnId) -> EventData {
    EventData::new_u64(u64::from(id.generation) << 32 | u64::from(id.slot))
}

impl Connections {
    /// An empty table.
    pub(super) fn new(
        limits: &DriverLimits,
        listener: Listener,
        epoll: BorrowedFd<'_>,
    ) -> Result<Connections, DriverError> {
        rustix::io::ioctl_fionbio(&listener.socket, true)
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
            accepted_at_close: listener.accepted_at_close(),
            listener: Some(listener.socket),
            accept_wanted: !listener.stays,
            accept_watched: false,
            closing: None,
        };
        connections.watch_listener(epoll);
        Ok(connections)
    }

    /// Whether the next turn has events already, so that the driver must not sleep.
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty() || (self.closing.is_some() && !self.free.is_empty())
    }

    /// Whether accepting stopped because the system had no descriptor or memory, and must be tried again.
    pub(super) fn wants_retry(&self) -> bool {
        self.accept_wanted
            && self.listener.is_some()
            && !self.accept_watched
            && !self.free.is_empty()
    }

    /// Delivers the events of the last turn's sends.
    pub(super) fn collect(&mut self, inbox: &mut Inbox) {
        inbox.events.append(&mut self.news);
    }

    /// A connection by its name; `None` if it has been closed. The shard, and readiness that epoll reported earlier in the
    /// same turn, may still name it.
    fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        let conn = &mut self.table[id.slot as usize];
        (conn.generation == id.generation && conn.socket.is_some()).then_some(conn)
    }

    // --- from the kernel

    /// The listener is readable: accepts clients.
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
                    // Out of descriptors or memory. Level-triggered epoll would report the listener again at once, so it is
                    // not watched for a while.
                    self.unwatch_listener(epoll);
                    return;
                }
            }
        }
        if self.free.is_empty() {
            self.unwatch_listener(epoll);
        }
    }

    /// Gives an accepted socket a slot. The caller has checked that one is free.
    fn open(&mut self, socket: OwnedFd, address: IpAddr, epoll: BorrowedFd<'_>, inbox: &mut Inbox) {
        let Some(&slot) = self.free.last() else {
            unreachable!("a client is accepted only if a slot is free")
        };
        let conn = &mut self.table[slot as usize];
        assert!(conn.socket.is_none(), "slot {slot} is in use");
        conn.generation = conn.generation.wrapping_add(1);
        let id = ConnId {
            slot,
            generation: conn.generation,
        };
        let watched = EventFlags::IN;
        if epoll::add(epoll, &socket, word(id), watched).is_err() {
            // Out of memory or epoll watches: dropping the socket closes the connection.
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
        inbox.events.push(Event::Accepted(id, address));
    }

    /// While the listener is being closed: accepts the clients in its queue as slots become free, then closes it and tells
    /// the shard. Closing it earlier would reset those clients.
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
                // The queue is empty, or the system has no descriptor for the clients in it.
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
                // Neither a read nor a send is due, so no error of theirs would report it.
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

    // --- from the shard

    /// Queues bytes; [`Connections::send_all`] sends them.
    pub(super) fn queue_bytes(&mut self, id: ConnId, bytes: &[u8]) {
        let conn = &mut self.table[id.slot as usize];
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

    /// Sends on every connection that has queued bytes and a socket that takes them.
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

    /// Sends until the socket is full or nothing is queued; then FIN if it is due.
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
                    // It fails only if the connection is gone, which the next read reports.
                    let _ = rustix::net::shutdown(socket, Shutdown::Write);
                }
                return;
            }
            match rustix::net::send(socket, flight, SendFlags::NOSIGNAL) {
                Ok(bytes) => {
                    conn.out.consume(bytes);
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

    /// Stops reading.
    pub(super) fn pause_read(&mut self, id: ConnId, epoll: BorrowedFd<'_>) {
        if let Some(conn) = self.conn(id) {
            conn.wanted = false;
            watch(conn, id, epoll);
        }
    }

    /// Reads again.
    pub(super) fn resume_read(&mut self, id: ConnId, epoll: BorrowedFd<'_>) {
        if let Some(conn) = self.conn(id) {
            conn.wanted = true;
            watch(conn, id, epoll);
        }
    }

    /// Sends FIN after the queued bytes.
    pub(super) fn shut_down(&mut self, id: ConnId) {
        if let Some(conn) = self.conn(id) {
            conn.fin = true;
            self.list(id);
        }
    }

    /// Closes a connection and frees its slot.
    pub(super) fn close(&mut self, id: ConnId, epoll: BorrowedFd<'_>) {
        if let Some(conn) = self.conn(id) {
            // Closing a socket removes it from the epoll set.
            conn.socket = None;
            self.table[id.slot as usize].out.clear(&mut self.pool);
            self.news.retain(|event| !is_about(event, id));
            self.free.push(id.slot);
            self.watch_listener(epoll);
        }
    }

    /// Stops accepting.
    pub(super) fn pause_accept(&mut self, epoll: BorrowedFd<'_>) {
        self.accept_wanted = false;
        self.unwatch_listener(epoll);
    }

    /// Accepts again, unless the listener is being closed.
    pub(super) fn resume_accept(&mut self, epoll: BorrowedFd<'_>) {
        self.accept_wanted = self.closing.is_none();
        self.watch_listener(epoll);
    }

    /// Begins to close the listening socket; see [`Connections::closing_step`].
    pub(super) fn close_listener(&mut self, epoll: BorrowedFd<'_>) {
        self.unwatch_listener(epoll);
        self.accept_wanted = false;
        if self.listener.is_some() {
            self.closing.get_or_insert(self.accepted_at_close);
        }
    }

    /// Watches the listener if the shard wants connections and a slot is free.
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
            // The listener is in the set, so this cannot fail.
            let _ = epoll::delete(epoll, listener);
        }
    }
}

/// Accepts one client from the listen queue.
fn accept_one(listener: &OwnedFd) -> rustix::io::Result<(OwnedFd, IpAddr)> {
    let (socket, address) = rustix::net::acceptfrom_with(listener, ACCEPTED)?;
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    let unknown = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    Ok((socket, address.map_or(unknown, |address| address.ip())))
}

fn is_about(event: &Event, id: ConnId) -> bool {
    matches!(event, Event::Sent(conn, _) | Event::Broken(conn) if *conn == id)
}

/// Tells the shard once that a connection has failed.
fn report_broken(conn: &mut Conn, id: ConnId, events: &mut Vec<Event>) {
    if !std::mem::replace(&mut conn.broken, true) {
        events.push(Event::Broken(id));
    }
}

/// Updates what epoll watches of a socket. A socket with nothing to watch is removed from the set, because epoll would
/// report its hang-up again and again.
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
    // This fails only without kernel memory. Then the connection is closed when a deadline of its request or of its idle
    // time passes.
    let _ = match (conn.watched, wanted) {
        (Some(_), Some(flags)) => epoll::modify(epoll, socket, word(id), flags),
        (None, Some(flags)) => epoll::add(epoll, socket, word(id), flags),
        (_, None) => epoll::delete(epoll, socket),
    };
    conn.watched = wanted;
}
