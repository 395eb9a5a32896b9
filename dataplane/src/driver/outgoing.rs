//! Bytes queued to clients. Each connection has one buffer that the kernel may be reading and one that collects further
//! bytes; both come from a pool. It owns the bytes until they are sent; it never touches a socket.

/// Capacity of a buffer from the pool: ten or more usual responses.
const BUFFER_BYTES: usize = 4096;
/// A buffer that has grown beyond this is freed and not pooled, so that the memory of one large response is released.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Empty buffers to reuse.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Vec<Vec<u8>>,
}

impl Pool {
    /// A pool that keeps at most `buffers_max` buffers.
    pub(crate) fn new(buffers_max: usize) -> Pool {
        Pool {
            free: Vec::with_capacity(buffers_max),
        }
    }

    fn take(&mut self) -> Vec<u8> {
        self.free
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    fn give_back(&mut self, mut buffer: Vec<u8>) {
        let keep = (1..=KEPT_BYTES_MAX).contains(&buffer.capacity());
        if keep && self.free.len() < self.free.capacity() {
            buffer.clear();
            self.free.push(buffer);
        }
    }
}

/// The queued bytes of one connection. `sending[sent_offset..]` was given to the kernel and does not move or change before
/// [`Outgoing::consume`]. Meanwhile `waiting` collects the bytes of the next send, so that several responses leave in one.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    sending: Vec<u8>,
    sent_offset: usize,
    waiting: Vec<u8>,
}

impl Outgoing {
    /// Appends bytes to the queue.
    pub(crate) fn queue(&mut self, bytes: &[u8], pool: &mut Pool) {
        if self.waiting.capacity() == 0 {
            self.waiting = pool.take();
        }
        self.waiting.extend_from_slice(bytes);
    }

    /// The bytes to send now, empty if there are none. To be called only while no send is in flight.
    pub(crate) fn begin_send(&mut self, pool: &mut Pool) -> &[u8] {
        if self.sent_offset == self.sending.len() {
            pool.give_back(std::mem::take(&mut self.sending));
            self.sent_offset = 0;
            std::mem::swap(&mut self.sending, &mut self.waiting);
        }
        &self.sending[self.sent_offset..]
    }

    /// The kernel took so many bytes.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.sent_offset += bytes;
        assert!(
            self.sent_offset <= self.sending.len(),
            "more bytes were sent than were given to the kernel"
        );
    }

    /// Whether all bytes have been sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.sent_offset == self.sending.len() && self.waiting.is_empty()
    }

    /// Drops the bytes that were not given to the kernel.
    pub(crate) fn drop_waiting(&mut self, pool: &mut Pool) {
        pool.give_back(std::mem::take(&mut self.waiting));
    }

    /// Drops all bytes. To be called only while no send is in flight.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.drop_waiting(pool);
        pool.give_back(std::mem::take(&mut self.sending));
        self.sent_offset = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_queued_during_a_flight_leave_together() {
        let mut pool = Pool::new(2);
        let mut out = Outgoing::default();
        out.queue(b"one", &mut pool);
        assert_eq!(out.begin_send(&mut pool), b"one");
        out.queue(b"two", &mut pool);
        out.queue(b"three", &mut pool);
        out.consume(1);
        assert_eq!(out.begin_send(&mut pool), b"ne");
        out.consume(2);
        assert!(!out.is_empty());
        assert_eq!(out.begin_send(&mut pool), b"twothree");
        out.consume(8);
        assert!(out.is_empty());
        assert!(out.begin_send(&mut pool).is_empty());
    }

    #[test]
    fn a_buffer_that_grew_large_is_not_kept() {
        let mut pool = Pool::new(2);
        let mut out = Outgoing::default();
        out.queue(&vec![0; KEPT_BYTES_MAX + 1], &mut pool);
        out.clear(&mut pool);
        assert!(pool.free.is_empty());
        out.queue(b"small", &mut pool);
        out.clear(&mut pool);
        assert_eq!(pool.free.len(), 1);
    }

    proptest! {
        #[test]
        fn all_bytes_leave_in_order_whatever_the_kernel_takes(
            steps in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..50), 1usize..60), 0..60)
        ) {
            let mut pool = Pool::new(1);
            let mut out = Outgoing::default();
            let (mut queued, mut sent) = (Vec::new(), Vec::new());
            for (bytes, kernel_takes) in steps {
                queued.extend_from_slice(&bytes);
                out.queue(&bytes, &mut pool);
                let flight = out.begin_send(&mut pool);
                let taken = flight.len().min(kernel_takes);
                sent.extend_from_slice(&flight[..taken]);
                out.consume(taken);
            }
            while !out.is_empty() {
                let flight = out.begin_send(&mut pool);
                sent.extend_from_slice(flight);
                let all = flight.len();
                out.consume(all);
            }
            prop_assert_eq!(sent, queued);
        }
    }
}
