//! The connection table of the io_uring driver: accepting, receiving, sending, closing. A slot and its registered socket
//! are given up only after every operation of the connection ended.

use super::buffers::{GROUP, ReceiveBuffers};
use super::queue::{Completion, Queue};
use super::tag::{Kind, Tag, next_generation};
use crate::driver::listen::BACKLOG;
use crate::driver::outgoing::{Outgoing, Pool};
use crate::driver::{DriverError, Limits};
use crate::event::{ConnId, Event, Inbox};
use io_uring::{opcode, types};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};

/// Empty send buffers kept for reuse: 1 MiB at their usual size.
const POOLED_BUFFERS_MAX: usize = 256;
/// Sockets that the kernel may accept beyond the table before it learns that it is full: a whole listen queue at once.
const PARKED_MAX: u32 = 4096;

/// How long to wait before accepting is tried again after the system was out of descriptors or memory.
const ACCEPT_RETRY_US: u64 = 10_000;

/// A slot of the table. The operations in flight are named one by one: there is at most one of each.
#[derive(Debug, Default)]
struct Conn {
    generation: u32,
    state: State,
    /// The kernel's index of the registered socket.
    socket: u32,
    /// The shard wants to read.
    wanted: bool,
    /// A receive is armed.
    receiving: bool,
    /// A send is in flight.
    sending: bool,
    /// A shutdown is in flight.
    shutting: bool,
    /// FIN is to be sent once all bytes have left.
    fin: bool,
    /// Nothing more can be read: the client ended, or the connection broke.
    ended: bool,
    /// The connection broke: nothing more can be sent either.
    broken: bool,
    /// Is in the list of those that have something to send.
    listed: bool,
    out: Outgoing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    Open,
    /// The shard closed it; the last operations are being cancelled.
    Closing,
}

/// All connections of a shard and its listening socket.
pub(super) struct Connections {
    table: Vec<Conn>,
    free: Vec<u32>,
    /// Accepted sockets that no slot was free for: they wait as if they were still in the listen queue.
    parked: VecDeque<u32>,
    pool: Pool,
    to_send: Vec<u32>,
    listener: Option<OwnedFd>,
    accept_wanted: bool,
    accepting: bool,
    /// The last accept failed for want of a resource; the next try waits until then.
    accept_retry_us: Option<u64>,
    /// The listener is being closed, and the shard does not know yet that all who waited are with it.
    closing: Option<Closing>,
}

/// How far closing the listener is.
#[derive(Debug)]
struct Closing {
    /// How many may still be accepted: a whole queue, and no more. Under a flood it never gets empty.
    accepts_left: i32,
    /// The cancellation of the accept is on its way.
    cancelled: bool,
}

impl Connections {
    /// An empty table over `limits.connections_max` registered sockets.
    pub(super) fn new(
        queue: &mut Queue,
        limits: &Limits,
        listener: OwnedFd,
    ) -> Result<Connections, DriverError> {
        queue
            .submitter()
            .register_files_sparse(limits.connections_max + PARKED_MAX)
            .map_err(|error| {
                let doing = "register the connection table (it may not exceed the open-file limit: raise LimitNOFILE)";
                DriverError::new(doing, error)
            })?;
        let mut connections = Connections {
            table: (0..limits.connections_max)
                .map(|_| Conn::default())
                .collect(),
            free: (0..limits.connections_max).rev().collect(),
            parked: VecDeque::new(),
            pool: Pool::new(POOLED_BUFFERS_MAX),
            to_send: Vec::with_capacity(limits.connections_max as usize),
            listener: Some(listener),
            accept_wanted: true,
            accepting: false,
            accept_retry_us: None,
            closing: None,
        };
        connections.arm_accept(queue);
        Ok(connections)
    }

    /// When accepting must be tried again although nothing causes it, in monotonic microseconds.
    pub(super) fn retry_at_us(&self) -> Option<u64> {
        self.accept_retry_us.filter(|_| self.accept_wanted)
    }

    fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        let conn = self.table.get_mut(id.slot as usize)?;
        (conn.generation == id.generation && conn.state != State::Free).then_some(conn)
    }

    // --- what the kernel says

    /// A connection was accepted, or accepting ended.
    pub(super) fn accepted(
        &mut self,
        done: Completion,
        now_us: u64,
        queue: &mut Queue,
        inbox: &mut Inbox,
    ) {
        self.accepting &= done.more();
        if let Ok(socket) = u32::try_from(done.result) {
            self.parked.push_back(socket);
            self.open_parked(queue, inbox);
        }
        // A client that gave up in the queue (ECONNABORTED) or our own cancellation: just go on, see `go_on_accepting`.
        let waits = [libc::ENFILE, libc::EMFILE, libc::ENOMEM, libc::ENOBUFS];
        if waits.contains(&-done.result) {
            self.accept_retry_us = Some(now_us + ACCEPT_RETRY_US);
        }
        if let Some(closing) = &mut self.closing {
            closing.accepts_left -= 1;
            if waits.contains(&-done.result) {
                closing.accepts_left = 0;
            }
        } else if !self.parked.is_empty() && self.accepting {
            queue.cancel(Tag::plain(Kind::Accept, 0));
        }
    }

    /// Gives free slots to sockets that wait for one.
    pub(super) fn open_parked(&mut self, queue: &mut Queue, inbox: &mut Inbox) {
        while !self.parked.is_empty()
            && let Some(slot) = self.free.pop()
            && let Some(socket) = self.parked.pop_front()
        {
            let conn = &mut self.table[slot as usize];
            assert!(conn.state == State::Free, "slot {slot} is in use");
            let generation = next_generation(conn.generation);
            *conn = Conn {
                generation,
                state: State::Open,
                socket,
                wanted: true,
                ..Conn::default()
            };
            let id = ConnId { slot, generation };
            self.arm_receive(id, queue);
            inbox.events.push(Event::Accepted(id));
        }
    }

    /// Whether there is something to tell the shard now: sockets that could be opened, or that the listener is closed.
    pub(super) fn has_news(&self) -> bool {
        let can_open = !self.parked.is_empty() && !self.free.is_empty();
        can_open || self.is_closed()
    }

    /// Whether the listener is closed and all who waited are with the shard, which does not know.
    fn is_closed(&self) -> bool {
        self.closing.is_some() && self.listener.is_none() && self.parked.is_empty()
    }

    /// Accepts again after accepting ended, unless something stands against it: the shard, a full table, or a failure that
    /// is too fresh.
    pub(super) fn go_on_accepting(&mut self, now_us: u64, queue: &mut Queue) {
        if self.accept_retry_us.is_none_or(|at_us| at_us <= now_us) {
            self.accept_retry_us = None;
            self.arm_accept(queue);
        }
    }

    /// Bytes arrived, the client ended, or receiving failed.
    pub(super) fn received(
        &mut self,
        done: Completion,
        queue: &mut Queue,
        buffers: &mut ReceiveBuffers,
        inbox: &mut Inbox,
    ) {
        let id = done.tag.conn();
        let conn = self.conn(id);
        let deliver = conn
            .as_ref()
            .is_some_and(|conn| conn.state == State::Open && !conn.broken);
        if let Some(buffer) = done.buffer() {
            if deliver && done.result > 0 {
                let range = inbox.put(buffers.filled(buffer, done.result as usize));
                inbox.events.push(Event::Received(id, range));
            }
            buffers.give_back(buffer);
        }
        let Some(conn) = conn else { return };
        conn.receiving &= done.more();
        let goes_on = [
            -libc::ENOBUFS,
            -libc::ECANCELED,
            -libc::EINTR,
            -libc::EAGAIN,
        ];
        if done.result == 0 {
            conn.ended = true;
            if deliver {
                inbox.events.push(Event::Ended(id));
            }
        } else if done.result < 0 && !goes_on.contains(&done.result) {
            conn.ended = true;
            report_broken(conn, id, inbox);
        }
        // Out of buffers is no failure: all of them go back to the kernel before it is entered again.
        if conn.state == State::Closing {
            self.close_if_quiet(id, queue);
        } else {
            self.arm_receive(id, queue);
        }
    }

    /// Bytes left, or sending failed.
    pub(super) fn sent(&mut self, done: Completion, queue: &mut Queue, inbox: &mut Inbox) {
        let id = done.tag.conn();
        let Some(conn) = self.conn(id) else { return };
        conn.sending = false;
        if done.result > 0 {
            conn.out.left(done.result as usize);
            if conn.state == State::Open && !conn.broken {
                inbox.events.push(Event::Sent(id, done.result as u32));
            }
        } else if ![-libc::EINTR, -libc::EAGAIN].contains(&done.result) {
            report_broken(conn, id, inbox);
        }
        if conn.state == State::Closing {
            self.close_if_quiet(id, queue);
        } else {
            self.send_next(id, queue);
        }
    }

    /// FIN was sent, or the connection was gone already, which receiving reports.
    pub(super) fn shut(&mut self, done: Completion, queue: &mut Queue) {
        let id = done.tag.conn();
        if let Some(conn) = self.conn(id) {
            conn.shutting = false;
            self.close_if_quiet(id, queue);
        }
    }

    // --- what the shard says

    /// Queues bytes; they leave with [`Connections::send_all`].
    pub(super) fn queue_bytes(&mut self, id: ConnId, bytes: &[u8]) {
        let Some(conn) = self.table.get_mut(id.slot as usize) else {
            return;
        };
        if conn.generation != id.generation || conn.state != State::Open || conn.broken {
            return;
        }
        conn.out.queue(bytes, &mut self.pool);
        if !std::mem::replace(&mut conn.listed, true) {
            self.to_send.push(id.slot);
        }
    }

    /// Starts to send to every connection that has something new and nothing in flight.
    pub(super) fn send_all(&mut self, queue: &mut Queue) {
        while let Some(slot) = self.to_send.pop() {
            let conn = &mut self.table[slot as usize];
            conn.listed = false;
            let generation = conn.generation;
            if conn.state == State::Open {
                self.send_next(ConnId { slot, generation }, queue);
            }
        }
    }

    /// Stops or goes on reading.
    pub(super) fn want_read(&mut self, id: ConnId, wanted: bool, queue: &mut Queue) {
        let Some(conn) = self.conn(id) else { return };
        conn.wanted = wanted;
        if wanted {
            self.arm_receive(id, queue);
        } else if conn.receiving {
            queue.cancel(Tag::of(Kind::Receive, id));
        }
    }

    /// Sends FIN behind what is queued.
    pub(super) fn shut_down(&mut self, id: ConnId, queue: &mut Queue) {
        if let Some(conn) = self.conn(id) {
            conn.fin = true;
            if !conn.sending && conn.out.is_empty() {
                self.send_next(id, queue);
            }
        }
    }

    /// Releases a connection: at once if nothing is in flight, else when what is in flight was cancelled.
    pub(super) fn close(&mut self, id: ConnId, queue: &mut Queue) {
        let Some(conn) = self.conn(id) else { return };
        if conn.state != State::Open {
            return;
        }
        conn.state = State::Closing;
        if conn.receiving {
            queue.cancel(Tag::of(Kind::Receive, id));
        }
        if conn.sending {
            queue.cancel(Tag::of(Kind::Send, id));
        }
        self.close_if_quiet(id, queue);
    }

    /// Stops or goes on accepting.
    pub(super) fn want_accept(&mut self, wanted: bool, queue: &mut Queue) {
        self.accept_wanted = wanted;
        if wanted {
            self.arm_accept(queue);
        } else if self.accepting {
            queue.cancel(Tag::plain(Kind::Accept, 0));
        }
    }

    /// Begins to close the listening socket: closing it resets whoever is still in its queue, so they are accepted first.
    pub(super) fn close_listener(&mut self, queue: &mut Queue) {
        // From here on only `go_on_closing` accepts.
        self.accept_wanted = false;
        self.closing.get_or_insert(Closing {
            accepts_left: BACKLOG,
            cancelled: false,
        });
        self.go_on_closing(queue);
    }

    /// Accepts while somebody waits, then cancels the accept, then closes the socket.
    ///
    /// Who connects between the last look at the queue and the close is reset; nothing can be done about that.
    pub(super) fn go_on_closing(&mut self, queue: &mut Queue) {
        let (Some(closing), Some(listener)) = (&mut self.closing, &self.listener) else {
            return;
        };
        let goes_on = closing.accepts_left > 0 && somebody_waits(listener);
        match (goes_on, self.accepting) {
            // The completions come.
            (true, true) => {}
            (true, false) => {
                closing.cancelled = false;
                self.start_accept(queue);
            }
            (false, true) => {
                if !std::mem::replace(&mut closing.cancelled, true) {
                    queue.cancel(Tag::plain(Kind::Accept, 0));
                }
            }
            (false, false) => self.listener = None,
        }
    }

    /// Says that the listener is closed, once.
    pub(super) fn report_closed(&mut self, inbox: &mut Inbox) {
        if self.is_closed() {
            self.closing = None;
            inbox.events.push(Event::ListenerClosed);
        }
    }

    // --- operations

    fn arm_accept(&mut self, queue: &mut Queue) {
        if !self.accepting && self.accept_wanted && self.parked.is_empty() {
            self.start_accept(queue);
        }
    }

    #[allow(unsafe_code)]
    fn start_accept(&mut self, queue: &mut Queue) {
        let Some(listener) = &self.listener else {
            return;
        };
        self.accepting = true;
        let entry = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd()))
            .allocate_file_index(true)
            .build();
        // SAFETY: the entry points to no memory.
        unsafe { queue.push(entry, Tag::plain(Kind::Accept, 0)) };
    }

    #[allow(unsafe_code)]
    fn arm_receive(&mut self, id: ConnId, queue: &mut Queue) {
        let Some(conn) = self.conn(id) else { return };
        let idle = !conn.receiving && !conn.ended && !conn.broken;
        if idle && conn.wanted && conn.state == State::Open {
            conn.receiving = true;
            let entry = opcode::RecvMulti::new(types::Fixed(conn.socket), GROUP).build();
            // SAFETY: the entry points to no memory; the buffers of the group outlive the ring.
            unsafe { queue.push(entry, Tag::of(Kind::Receive, id)) };
        }
    }

    /// Sends what is queued, or FIN if nothing is and it is due.
    #[allow(unsafe_code)]
    fn send_next(&mut self, id: ConnId, queue: &mut Queue) {
        let conn = &mut self.table[id.slot as usize];
        if conn.sending || conn.broken {
            return;
        }
        let flight = conn.out.take_off(&mut self.pool);
        if !flight.is_empty() {
            conn.sending = true;
            let length = u32::try_from(flight.len()).unwrap_or(u32::MAX);
            let entry = opcode::Send::new(types::Fixed(conn.socket), flight.as_ptr(), length)
                .flags(libc::MSG_NOSIGNAL)
                .build();
            // SAFETY: `Outgoing` keeps the flight unmoved until `left` or `clear`, which are called only while no send is
            // in flight (`sending`); the table itself is dropped only after the ring is quiet (`Uring::drop`).
            unsafe { queue.push(entry, Tag::of(Kind::Send, id)) };
        } else if std::mem::take(&mut conn.fin) {
            conn.shutting = true;
            let entry = opcode::Shutdown::new(types::Fixed(conn.socket), libc::SHUT_WR).build();
            // SAFETY: the entry points to no memory.
            unsafe { queue.push(entry, Tag::of(Kind::Shutdown, id)) };
        }
    }

    /// Gives up the slot of a closed connection once none of its operations is left.
    fn close_if_quiet(&mut self, id: ConnId, queue: &mut Queue) {
        let conn = &mut self.table[id.slot as usize];
        let busy = conn.receiving || conn.sending || conn.shutting;
        if conn.state != State::Closing || busy {
            return;
        }
        conn.out.clear(&mut self.pool);
        conn.state = State::Free;
        queue.close_registered(conn.socket);
        self.free.push(id.slot);
    }
}

/// Whether the queue of a listener has somebody in it.
fn somebody_waits(listener: &OwnedFd) -> bool {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut polled = [PollFd::new(listener, PollFlags::IN)];
    matches!(poll(&mut polled, Some(&now)), Ok(1..))
}

/// Tells the shard once that a connection is of no use any more.
fn report_broken(conn: &mut Conn, id: ConnId, inbox: &mut Inbox) {
    if !std::mem::replace(&mut conn.broken, true) && conn.state == State::Open {
        inbox.events.push(Event::Broken(id));
    }
}
