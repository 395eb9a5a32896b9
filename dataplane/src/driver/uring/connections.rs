//! The connection table of the io_uring driver: receiving, sending, closing. A slot and its registered socket are freed
//! only after every operation of the connection has ended, so a completion always finds the connection that it is for.

use super::accepts::ACCEPTS_MAX;
use super::buffers::{GROUP, ReceiveBuffers};
use super::queue::{Completion, Queue};
use super::tag::{Kind, Tag, next_generation};
use crate::driver::outgoing::{Outgoing, Pool};
use crate::driver::{DriverError, DriverLimits};
use crate::event::{ConnId, Event, Inbox};
use io_uring::{opcode, types};
use std::net::IpAddr;

/// Empty send buffers kept for reuse: 1 MiB at their usual size.
const POOLED_BUFFERS_MAX: usize = 256;

/// A slot of the table. At most one operation of each kind is in flight.
#[derive(Debug, Default)]
struct Conn {
    generation: u32,
    state: State,
    /// The kernel's index of the registered socket.
    socket: u32,
    /// The shard wants to read.
    wanted: bool,
    /// A multishot receive is in flight.
    receiving: bool,
    /// A send is in flight.
    sending: bool,
    /// A shutdown is in flight.
    shutting: bool,
    /// FIN is to be sent after the queued bytes.
    fin: bool,
    /// Nothing more can be read: the client sent FIN, or the connection failed.
    ended: bool,
    /// The connection failed: nothing more can be sent either.
    broken: bool,
    /// It is in `to_send`.
    listed: bool,
    out: Outgoing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    Open,
    /// The shard closed it; its operations are being cancelled.
    Closing,
}

/// All connections of a shard.
pub(super) struct Connections {
    table: Vec<Conn>,
    free: Vec<u32>,
    pool: Pool,
    to_send: Vec<u32>,
}

impl Connections {
    /// An empty table over `limits.connections_max` registered sockets.
    pub(super) fn new(
        queue: &mut Queue,
        limits: &DriverLimits,
    ) -> Result<Connections, DriverError> {
        queue
            .submitter()
            .register_files_sparse(limits.connections_max + ACCEPTS_MAX)
            .map_err(|error| {
                let doing = "register the connection table (it may not exceed the open-file limit: raise LimitNOFILE)";
                DriverError::new(doing, error)
            })?;
        Ok(Connections {
            table: (0..limits.connections_max)
                .map(|_| Conn::default())
                .collect(),
            free: (0..limits.connections_max).rev().collect(),
            pool: Pool::new(POOLED_BUFFERS_MAX),
            to_send: Vec::with_capacity(limits.connections_max as usize),
        })
    }

    /// A connection that the shard names; `None` if it has been closed. The shard may name it until it learns of that.
    fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        let conn = &mut self.table[id.slot as usize];
        (conn.generation == id.generation && conn.state != State::Free).then_some(conn)
    }

    /// The connection of a completed operation. Its slot cannot have been freed while the operation was in flight.
    fn conn_of(&mut self, done: Completion) -> (ConnId, &mut Conn) {
        let id = done.tag.conn();
        let conn = &mut self.table[id.slot as usize];
        assert!(
            conn.generation == id.generation && conn.state != State::Free,
            "slot {} was freed while its {:?} was in flight",
            id.slot,
            done.tag.kind
        );
        (id, conn)
    }

    // --- from the kernel

    /// Whether there is a slot for one more connection.
    pub(super) fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Gives an accepted socket a slot. The caller has checked [`Connections::has_room`].
    pub(super) fn open(
        &mut self,
        socket: u32,
        address: IpAddr,
        queue: &mut Queue,
        inbox: &mut Inbox,
    ) {
        let Some(slot) = self.free.pop() else {
            unreachable!("a socket is taken only if a slot is free")
        };
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
        inbox.events.push(Event::Accepted(id, address));
    }

    /// Bytes arrived, the client sent FIN, or receiving failed.
    pub(super) fn received(
        &mut self,
        done: Completion,
        queue: &mut Queue,
        buffers: &mut ReceiveBuffers,
        inbox: &mut Inbox,
    ) {
        let (id, conn) = self.conn_of(done);
        assert!(conn.receiving, "a receive completed that was not in flight");
        conn.receiving = done.more();
        let deliver = conn.state == State::Open && !conn.broken;
        if let Some(buffer) = done.buffer() {
            buffers.take_back(buffer);
            if deliver && done.result > 0 {
                let range = inbox.put(buffers.filled(buffer, done.result as usize));
                inbox.events.push(Event::Received(id, range));
            }
            buffers.lend(buffer);
        }
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
        // ENOBUFS is not a failure: all buffers are lent again before the kernel is entered next.
        if conn.state == State::Closing {
            self.close_if_quiet(id, queue);
        } else {
            self.arm_receive(id, queue);
        }
    }

    /// Bytes were sent, or sending failed.
    pub(super) fn sent(&mut self, done: Completion, queue: &mut Queue, inbox: &mut Inbox) {
        let (id, conn) = self.conn_of(done);
        assert!(conn.sending, "a send completed that was not in flight");
        conn.sending = false;
        if done.result > 0 {
            conn.out.consume(done.result as usize);
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

    /// FIN was sent, or the connection was gone already; then the receive reports it.
    pub(super) fn shut(&mut self, done: Completion, queue: &mut Queue) {
        let (id, conn) = self.conn_of(done);
        assert!(conn.shutting, "a shutdown completed that was not in flight");
        conn.shutting = false;
        self.close_if_quiet(id, queue);
    }

    // --- from the shard

    /// Queues bytes; [`Connections::send_all`] sends them.
    pub(super) fn queue_bytes(&mut self, id: ConnId, bytes: &[u8]) {
        let conn = &mut self.table[id.slot as usize];
        if conn.generation != id.generation || conn.state != State::Open || conn.broken {
            return;
        }
        conn.out.queue(bytes, &mut self.pool);
        if !std::mem::replace(&mut conn.listed, true) {
            self.to_send.push(id.slot);
        }
    }

    /// Starts a send on every connection that has queued bytes and no send in flight.
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

    /// Stops reading. Bytes that the kernel has received already are still delivered.
    pub(super) fn pause_read(&mut self, id: ConnId, queue: &mut Queue) {
        let Some(conn) = self.conn(id) else { return };
        conn.wanted = false;
        if conn.receiving {
            queue.cancel(Tag::of(Kind::Receive, id));
        }
    }

    /// Reads again.
    pub(super) fn resume_read(&mut self, id: ConnId, queue: &mut Queue) {
        let Some(conn) = self.conn(id) else { return };
        conn.wanted = true;
        self.arm_receive(id, queue);
    }

    /// Sends FIN after the queued bytes.
    pub(super) fn shut_down(&mut self, id: ConnId, queue: &mut Queue) {
        if let Some(conn) = self.conn(id) {
            conn.fin = true;
            if !conn.sending && conn.out.is_empty() {
                self.send_next(id, queue);
            }
        }
    }

    /// Closes a connection: at once if no operation is in flight, else after all have been cancelled.
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

    // --- operations

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

    /// Sends the queued bytes; if there are none and FIN is due, sends FIN.
    #[allow(unsafe_code)]
    fn send_next(&mut self, id: ConnId, queue: &mut Queue) {
        let conn = &mut self.table[id.slot as usize];
        if conn.sending || conn.broken {
            return;
        }
        let flight = conn.out.begin_send(&mut self.pool);
        if !flight.is_empty() {
            conn.sending = true;
            let length = u32::try_from(flight.len()).unwrap_or(u32::MAX);
            let entry = opcode::Send::new(types::Fixed(conn.socket), flight.as_ptr(), length)
                .flags(libc::MSG_NOSIGNAL)
                .build();
            // SAFETY: `Outgoing` does not move these bytes before `consume` or `clear`, which are called only while no send
            // is in flight (`sending`); the table itself is dropped only after the ring is quiet (`Uring::drop`).
            unsafe { queue.push(entry, Tag::of(Kind::Send, id)) };
        } else if std::mem::take(&mut conn.fin) {
            conn.shutting = true;
            let entry = opcode::Shutdown::new(types::Fixed(conn.socket), libc::SHUT_WR).build();
            // SAFETY: the entry points to no memory.
            unsafe { queue.push(entry, Tag::of(Kind::Shutdown, id)) };
        }
    }

    /// Frees the slot of a closed connection if none of its operations is in flight.
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

/// Tells the shard once that a connection has failed.
fn report_broken(conn: &mut Conn, id: ConnId, inbox: &mut Inbox) {
    if !std::mem::replace(&mut conn.broken, true) && conn.state == State::Open {
        inbox.events.push(Event::Broken(id));
    }
}
