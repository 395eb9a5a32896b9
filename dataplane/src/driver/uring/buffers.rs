//! Receive buffers lent to the kernel, which picks one when bytes arrive: idle connections hold no buffer. It owns the
//! memory. Each buffer is either lent or, between [`ReceiveBuffers::take_back`] and [`ReceiveBuffers::lend`], ours.

use super::queue::Queue;
use crate::driver::{DriverError, DriverLimits};
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use io_uring::types::BufRingEntry;
use std::sync::atomic::{AtomicU16, Ordering};

/// The one buffer group of a ring.
pub(super) const GROUP: u16 = 0;

/// The ring of lent buffers, shared with the kernel until the io_uring is closed.
pub(super) struct ReceiveBuffers {
    /// Entries of the buffer ring; the kernel reads them. Accessed through `entries_base` only.
    _entries: Blocks,
    /// The buffers; the kernel writes to those that are lent. Accessed through `base` only.
    _memory: Blocks,
    entries_base: *mut BufRingEntry,
    base: *mut u8,
    count: u16,
    each_bytes: usize,
    tail: u16,
    /// Which buffers are lent.
    is_lent: Box<[bool]>,
}

#[allow(unsafe_code)]
impl ReceiveBuffers {
    /// Allocates all buffers and lends them to the kernel.
    pub(super) fn new(queue: &Queue, limits: &DriverLimits) -> Result<ReceiveBuffers, DriverError> {
        let count = limits.receive_buffers_count;
        assert!(
            count.is_power_of_two() && count <= 32_768,
            "the kernel wants a power of two of at most 32,768 receive buffers, not {count}"
        );
        let each_bytes = limits.receive_buffer_bytes as usize;
        let mut entries = Blocks::default();
        entries.reset(usize::from(count) * size_of::<BufRingEntry>());
        let mut memory = Blocks::default();
        memory.reset(usize::from(count) * each_bytes);
        let mut buffers = ReceiveBuffers {
            entries_base: entries.bytes_mut().as_mut_ptr().cast(),
            base: memory.bytes_mut().as_mut_ptr(),
            _entries: entries,
            _memory: memory,
            count,
            each_bytes,
            tail: 0,
            is_lent: vec![false; usize::from(count)].into_boxed_slice(),
        };
        const { assert!(BLOCK_BYTES >= align_of::<BufRingEntry>()) };
        // SAFETY: the entries are page-aligned zeroed memory of `count` entries, which lives in `buffers` until after the
        // ring was closed: `Uring` drops its queue first.
        unsafe {
            queue.submitter().register_buf_ring_with_flags(
                buffers.entries_base as u64,
                count,
                GROUP,
                0,
            )
        }
        .map_err(|error| DriverError::new("register receive buffers (memlock limit?)", error))?;
        for id in 0..count {
            buffers.lend(id);
        }
        Ok(buffers)
    }

    /// A completion returned a buffer.
    pub(super) fn take_back(&mut self, id: u16) {
        let was_lent = std::mem::replace(&mut self.is_lent[usize::from(id)], false);
        assert!(was_lent, "the kernel returned receive buffer {id} twice");
    }

    /// The first `bytes` bytes of a buffer that was taken back.
    pub(super) fn filled(&self, id: u16, bytes: usize) -> &[u8] {
        assert!(
            !self.is_lent[usize::from(id)] && bytes <= self.each_bytes,
            "receive buffer {id} is lent, or shorter than {bytes} bytes"
        );
        // SAFETY: in bounds (asserted; `is_lent` has `count` entries). The kernel writes to a buffer only while it is lent.
        // This one is not (asserted), and lending it needs `&mut self`, so it cannot happen during this borrow.
        unsafe {
            let start = self.base.add(usize::from(id) * self.each_bytes);
            std::slice::from_raw_parts(start, bytes)
        }
    }

    /// Lends a buffer to the kernel.
    pub(super) fn lend(&mut self, id: u16) {
        let was_lent = std::mem::replace(&mut self.is_lent[usize::from(id)], true);
        assert!(!was_lent, "receive buffer {id} is lent already");
        let index = usize::from(self.tail & (self.count - 1));
        // SAFETY: `index` and `id` are below `count`; the kernel reads an entry only below the tail, which is moved past
        // this one afterwards. The setters leave the tail alone, which overlays a reserved field of entry 0.
        unsafe {
            let entry = &mut *self.entries_base.add(index);
            entry.set_addr(self.base.add(usize::from(id) * self.each_bytes) as u64);
            entry.set_len(self.each_bytes as u32);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail is an aligned u16 in memory that lives as long as `self`; the kernel only reads it.
        unsafe {
            let tail = BufRingEntry::tail(self.entries_base).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }
}
