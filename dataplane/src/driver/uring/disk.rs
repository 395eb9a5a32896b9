//! File operations of the io_uring driver: the one log write or sync in flight, and block reads. It owns the memory that
//! the kernel reads and writes. It never retries: the shard decides what a failure means.

use super::queue::{Completion, Queue};
use super::tag::{Kind, Tag};
use crate::event::{Event, Inbox};
use crate::io::{Errno, FileId, ReadId};
use crate::planted::{Bug, Point, pass, planted};
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use io_uring::{opcode, squeue, types};
use std::collections::VecDeque;

/// The file operations of a shard.
///
/// Files are plain descriptors. Registering the segment would save a reference count per write (tens of nanoseconds), but
/// a registration that outlived its descriptor would write into another file.
pub(super) struct Disk {
    /// What the kernel is writing.
    writing: Option<Box<Blocks>>,
    syncing: bool,
    /// One block for each read that may be in flight.
    reading: Vec<Reading>,
    free: Vec<u32>,
    queued: VecDeque<(ReadId, FileId, u64)>,
}

struct Reading {
    /// The read in flight.
    id: Option<ReadId>,
    block: Blocks,
}

impl Disk {
    /// No operation in flight, and memory for this many reads.
    pub(super) fn new(reads_max: u32) -> Disk {
        let reading = || {
            let mut block = Blocks::default();
            block.reset(BLOCK_BYTES);
            Reading { id: None, block }
        };
        Disk {
            writing: None,
            syncing: false,
            reading: (0..reads_max).map(|_| reading()).collect(),
            free: (0..reads_max).collect(),
            queued: VecDeque::new(),
        }
    }

    fn assert_idle(&self) {
        assert!(
            self.writing.is_none() && !self.syncing,
            "at most one log write or sync is in flight"
        );
    }

    /// Starts the log write.
    #[allow(unsafe_code)]
    pub(super) fn write(
        &mut self,
        file: FileId,
        offset: u64,
        blocks: Box<Blocks>,
        queue: &mut Queue,
    ) {
        self.assert_idle();
        let blocks = self.writing.insert(blocks);
        let bytes = blocks.bytes();
        assert!(
            offset.is_multiple_of(BLOCK_BYTES as u64) && bytes.len() <= i32::MAX as usize,
            "log writes are whole blocks at block boundaries"
        );
        if planted(Bug::DriverSyncEarly) {
            // In one chain with the write, but before it: the sync covers only earlier writes.
            let early = sync_entry(file).flags(squeue::Flags::IO_LINK);
            // SAFETY: the entry points to no memory.
            unsafe { queue.push(early, Tag::plain(Kind::Forgotten, 0)) };
        }
        let entry = opcode::Write::new(types::Fd(file.0), bytes.as_ptr(), bytes.len() as u32)
            .offset(offset)
            .build();
        pass(Point::LogWrite);
        // SAFETY: the blocks stay in `self.writing`, untouched, until the completion is reaped.
        unsafe { queue.push(entry, Tag::plain(Kind::Write, 0)) };
    }

    /// Starts the log sync. The write before it has been reaped, so the kernel has nothing to order.
    #[allow(unsafe_code)]
    pub(super) fn sync(&mut self, file: FileId, queue: &mut Queue) {
        self.assert_idle();
        self.syncing = true;
        let entry = if planted(Bug::DriverSyncSkipped) || planted(Bug::DriverSyncEarly) {
            opcode::Nop::new().build()
        } else {
            sync_entry(file)
        };
        // SAFETY: the entry points to no memory.
        unsafe { queue.push(entry, Tag::plain(Kind::Sync, 0)) };
    }

    /// Starts a block read, or queues it behind those in flight.
    pub(super) fn read(&mut self, id: ReadId, file: FileId, offset: u64, queue: &mut Queue) {
        self.queued.push_back((id, file, offset));
        self.start_reads(queue);
    }

    #[allow(unsafe_code)]
    fn start_reads(&mut self, queue: &mut Queue) {
        while !self.queued.is_empty()
            && let Some(slot) = self.free.pop()
            && let Some((id, file, offset)) = self.queued.pop_front()
        {
            let reading = &mut self.reading[slot as usize];
            assert!(reading.id.is_none(), "read slot {slot} is in use");
            reading.id = Some(id);
            let bytes = reading.block.bytes_mut();
            let entry =
                opcode::Read::new(types::Fd(file.0), bytes.as_mut_ptr(), bytes.len() as u32)
                    .offset(offset)
                    .build();
            // SAFETY: the block belongs to this slot, which is not free, and is not touched until the completion is reaped.
            unsafe { queue.push(entry, Tag::plain(Kind::Read, slot)) };
        }
    }

    /// The log write ended.
    pub(super) fn written(&mut self, done: Completion, inbox: &mut Inbox) {
        let Some(blocks) = self.writing.take() else {
            unreachable!("a log write completed that was not in flight")
        };
        pass(Point::LogWritten);
        inbox
            .events
            .push(Event::Written(blocks, count(done.result)));
    }

    /// The log sync ended.
    pub(super) fn synced(&mut self, done: Completion, inbox: &mut Inbox) {
        assert!(self.syncing, "a log sync completed that was not in flight");
        self.syncing = false;
        let result = count(done.result).map(|_| ());
        inbox.events.push(Event::Synced(result));
    }

    /// A block read ended.
    pub(super) fn read_done(&mut self, done: Completion, queue: &mut Queue, inbox: &mut Inbox) {
        let slot = done.tag.slot;
        let reading = &mut self.reading[slot as usize];
        let Some(id) = reading.id.take() else {
            unreachable!("a read completed that was not in flight")
        };
        let result = match count(done.result) {
            Ok(bytes) if bytes as usize == BLOCK_BYTES => Ok(inbox.put(reading.block.bytes())),
            // The file is shorter than its table of contents says.
            Ok(_) => Err(Errno::EIO),
            Err(errno) => Err(errno),
        };
        inbox.events.push(Event::ReadDone(id, result));
        self.free.push(slot);
        self.start_reads(queue);
    }
}

fn sync_entry(file: FileId) -> squeue::Entry {
    opcode::Fsync::new(types::Fd(file.0))
        .flags(types::FsyncFlags::DATASYNC)
        .build()
}

/// The result of a completion: a number of bytes, or an error number.
fn count(result: i32) -> Result<u32, Errno> {
    u32::try_from(result).map_err(|_| Errno(-result))
}
