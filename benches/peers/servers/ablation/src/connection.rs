//! One connection between the loop of turns and its tasks: what the shard wants of it, and the bytes that wait to be sent. It never
//! touches the socket, which belongs to the tasks.

use std::cell::{Cell, RefCell};

use flk_dataplane::event::ConnId;

use crate::signal::Signal;

/// Shared by the loop of turns and the tasks of the connection.
pub(crate) struct Connection {
    pub(crate) id: ConnId,
    /// The shard has closed it: nothing more is reported.
    pub(crate) is_closed: Cell<bool>,
    /// It failed, and the shard knows.
    pub(crate) is_broken: Cell<bool>,
    /// The shard wants to read.
    pub(crate) reads: Cell<bool>,
    /// FIN is to be sent behind the bytes.
    pub(crate) fin: Cell<bool>,
    waiting: RefCell<Vec<u8>>,
    /// For the task that reads: the shard wants to read again.
    pub(crate) to_read: Signal,
    /// For the task that writes: there are bytes, or FIN is due.
    pub(crate) to_write: Signal,
}

impl Connection {
    pub(crate) fn new(id: ConnId) -> Self {
        Self {
            id,
            is_closed: Cell::new(false),
            is_broken: Cell::new(false),
            reads: Cell::new(true),
            fin: Cell::new(false),
            waiting: RefCell::default(),
            to_read: Signal::default(),
            to_write: Signal::default(),
        }
    }

    /// Appends bytes behind those that wait already.
    pub(crate) fn queue(&self, bytes: &[u8]) {
        self.waiting.borrow_mut().extend_from_slice(bytes);
        self.to_write.set();
    }

    pub(crate) fn shut_down(&self) {
        self.fin.set(true);
        self.to_write.set();
    }

    pub(crate) fn resume_read(&self) {
        self.reads.set(true);
        self.to_read.set();
    }

    /// Takes all bytes that wait, in exchange for an empty buffer; whether there were any.
    pub(crate) fn take_waiting(&self, buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        std::mem::swap(buffer, &mut self.waiting.borrow_mut());
        !buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_order_and_once() {
        let connection = Connection::new(ConnId::default());
        let mut buffer = Vec::new();
        assert!(!connection.take_waiting(&mut buffer));
        connection.queue(b"one");
        connection.queue(b"two");
        assert!(connection.take_waiting(&mut buffer));
        assert_eq!(buffer, b"onetwo");
        assert!(!connection.take_waiting(&mut buffer));
    }
}
