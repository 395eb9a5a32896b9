//! The thread that carries out a shard's file operations under the portable driver, one after the other. It owns the
//! memory that it writes from. It never retries, and it reports a short write without judging it.

use crate::driver::DriverError;
use crate::driver::doorbell::Doorbell;
use crate::event::{Event, Inbox};
use crate::io::{Errno, FileId, ReadId, ShardId};
use crate::planted::{Bug, Point, pass, planted};
use crate::wal::buffer::{BLOCK_BYTES, Blocks};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// File operations that may wait for the thread. Their memory is taken once, so that handing one over allocates nothing. A shard
/// that has more waits until the thread takes one, which waits for nobody: the way back has no bound.
const JOBS_WAITING_MAX: usize = 4096;

/// A file operation.
enum Job {
    Write(FileId, u64, Box<Blocks>),
    Sync(FileId),
    Read(ReadId, FileId, u64),
}

/// The end of a file operation.
enum Done {
    Written(Box<Blocks>, Result<u32, Errno>),
    Synced(Result<(), Errno>),
    Read(ReadId, Result<Box<Blocks>, Errno>),
}

/// The shard's side of its flush thread.
pub(super) struct Flush {
    jobs: Option<SyncSender<Job>>,
    done: Receiver<Done>,
    /// Received from `done` while the shard looked whether it may sleep, and not delivered yet.
    peeked: Vec<Done>,
    thread: Option<JoinHandle<()>>,
    /// A log write or sync is in flight.
    writing: bool,
}

impl Flush {
    /// Starts the thread; it rings the shard's doorbell after each operation.
    pub(super) fn start(shard: ShardId, bell: Arc<Doorbell>) -> Result<Flush, DriverError> {
        let (jobs, todo) = sync_channel::<Job>(JOBS_WAITING_MAX);
        let (ended, done) = channel();
        let thread = std::thread::Builder::new()
            .name(format!("flk-flush-{}", shard.0))
            .spawn(move || {
                for job in todo {
                    if ended.send(carry_out(job)).is_err() {
                        return;
                    }
                    bell.ring_if_asleep();
                }
            })
            .map_err(|error| DriverError::new("start a flush thread", error))?;
        Ok(Flush {
            jobs: Some(jobs),
            done,
            peeked: Vec::new(),
            thread: Some(thread),
            writing: false,
        })
    }

    /// Starts the log write.
    pub(super) fn write(&mut self, file: FileId, offset: u64, blocks: Box<Blocks>) {
        assert!(
            offset.is_multiple_of(BLOCK_BYTES as u64),
            "log writes are whole blocks at block boundaries"
        );
        self.start_log_operation();
        self.give(Job::Write(file, offset, blocks));
    }

    /// Starts the log sync.
    pub(super) fn sync(&mut self, file: FileId) {
        self.start_log_operation();
        self.give(Job::Sync(file));
    }

    /// Starts a block read.
    pub(super) fn read(&mut self, id: ReadId, file: FileId, offset: u64) {
        self.give(Job::Read(id, file, offset));
    }

    fn start_log_operation(&mut self) {
        let busy = std::mem::replace(&mut self.writing, true);
        assert!(!busy, "at most one log write or sync is in flight");
    }

    fn give(&self, job: Job) {
        let given = self.jobs.as_ref().map(|jobs| jobs.send(job));
        assert!(
            matches!(given, Some(Ok(()))),
            "the flush thread outlives its shard"
        );
    }

    /// Whether there is nothing to collect.
    pub(super) fn is_empty(&mut self) -> bool {
        self.peeked.extend(self.done.try_recv());
        self.peeked.is_empty()
    }

    /// Turns ended operations into events.
    pub(super) fn collect(&mut self, inbox: &mut Inbox) {
        for done in self.peeked.drain(..).chain(self.done.try_iter()) {
            let event = match done {
                Done::Written(blocks, result) => {
                    end_log_operation(&mut self.writing);
                    Event::Written(blocks, result)
                }
                Done::Synced(result) => {
                    end_log_operation(&mut self.writing);
                    Event::Synced(result)
                }
                Done::Read(id, result) => {
                    Event::ReadDone(id, result.map(|block| inbox.put(block.bytes())))
                }
            };
            inbox.events.push(event);
        }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It fails only if the thread panicked; in a release build a panic has aborted the process already.
            let _ = thread.join();
        }
    }
}

/// The pair of [`Flush::start_log_operation`].
fn end_log_operation(writing: &mut bool) {
    let was_writing = std::mem::replace(writing, false);
    assert!(
        was_writing,
        "a log write or sync ended that was not in flight"
    );
}

fn carry_out(job: Job) -> Done {
    match job {
        Job::Write(file, offset, blocks) => {
            pass(Point::LogWrite);
            if planted(Bug::DriverSyncEarly) {
                let _ = rustix::fs::fdatasync(fd(file));
            }
            let result = no_interrupt(|| rustix::io::pwrite(fd(file), blocks.bytes(), offset));
            pass(Point::LogWritten);
            Done::Written(blocks, result.map(|bytes| bytes as u32))
        }
        Job::Sync(_) if planted(Bug::DriverSyncSkipped) || planted(Bug::DriverSyncEarly) => {
            Done::Synced(Ok(()))
        }
        Job::Sync(file) => Done::Synced(no_interrupt(|| rustix::fs::fdatasync(fd(file)))),
        Job::Read(id, file, offset) => {
            let mut block = Box::<Blocks>::default();
            block.reset(BLOCK_BYTES);
            let read = no_interrupt(|| rustix::io::pread(fd(file), block.bytes_mut(), offset));
            let whole = read.and_then(|bytes| match bytes {
                BLOCK_BYTES => Ok(block),
                // The file is shorter than its table of contents says.
                _ => Err(Errno::EIO),
            });
            Done::Read(id, whole)
        }
    }
}

/// Repeats a call that a signal interrupted before its first byte.
fn no_interrupt<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> Result<T, Errno> {
    rustix::io::retry_on_intr(&mut call).map_err(|error| Errno(error.raw_os_error()))
}

#[allow(unsafe_code)]
fn fd(file: FileId) -> BorrowedFd<'static> {
    assert!(file.0 >= 0, "not a file: {file:?}");
    // SAFETY: the keeper keeps the file open as long as a shard may use it, and the borrow ends with the call that it is
    // made for.
    unsafe { BorrowedFd::borrow_raw(file.0) }
}
