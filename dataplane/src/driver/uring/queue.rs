//! The ring: pushes operations, enters the kernel once per turn, reaps completions. It counts the operations in flight and
//! does not know what they are for.

use super::tag::{Kind, Tag};
use crate::driver::DriverError;
use crate::planted::{Bug, planted};
use io_uring::register::Restriction;
use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Operations of one submission; a turn that pushes more enters the kernel in between.
const SUBMISSIONS: u32 = 1024;
/// Length of the completion queue. The kernel keeps further completions in a list, which is slower and loses none.
const COMPLETIONS: u32 = 8192;

/// The operations of this driver; a ring refuses all others once it is enabled.
pub(in crate::driver) const OPERATIONS: [(&str, u8); 10] = [
    ("accept", opcode::Accept::CODE),
    ("recv", opcode::RecvMulti::CODE),
    ("send", opcode::Send::CODE),
    ("shutdown", opcode::Shutdown::CODE),
    ("close", opcode::Close::CODE),
    ("async_cancel", opcode::AsyncCancel2::CODE),
    ("msg_ring", opcode::MsgRingData::CODE),
    ("read", opcode::Read::CODE),
    ("write", opcode::Write::CODE),
    ("fsync", opcode::Fsync::CODE),
];

/// The flags of its submissions: registered sockets, no completion for a success, a buffer of the ring's group.
const SUBMISSION_FLAGS: u8 = squeue::Flags::FIXED_FILE.bits()
    | squeue::Flags::SKIP_SUCCESS.bits()
    | squeue::Flags::BUFFER_SELECT.bits();

/// One completion, copied out of the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) tag: Tag,
    pub(super) result: i32,
    flags: u32,
}

impl Completion {
    /// Whether the operation stays in flight and will post more completions.
    pub(super) fn more(self) -> bool {
        cqueue::more(self.flags)
    }

    /// The provided buffer that was filled.
    pub(super) fn buffer(self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }
}

/// The ring. Only the thread that made it may use it.
pub(super) struct Queue {
    ring: IoUring,
    /// Operations that the kernel has not finished. While there are any, the memory that they point to must stay.
    in_flight: usize,
    /// Entries of the kernel that were not counted yet.
    entered: u64,
    failure: Option<std::io::Error>,
}

/// The builder with the flags that this driver needs; the same is tried before the driver is chosen.
///
/// A single issuer, and completions are processed only when this thread enters the kernel: nothing interrupts a turn, and
/// the kernel takes no lock to submit. `TASKRUN_FLAG` tells whether entering without waiting would find completions. A ring
/// is disabled until [`enable`].
pub(in crate::driver) fn builder() -> io_uring::Builder {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_clamp()
        .dontfork()
        .setup_r_disabled()
        .setup_cqsize(COMPLETIONS);
    builder
}

/// Makes a ring with all that the driver needs.
pub(in crate::driver) fn build() -> std::io::Result<IoUring> {
    builder().build(SUBMISSIONS)
}

/// Restricts a ring to what this driver does and lets it begin. After that no memory or file can be registered, so all that
/// has been registered before stays as it is.
pub(in crate::driver) fn enable(ring: &IoUring) -> std::io::Result<()> {
    let mut allowed: Vec<Restriction> = OPERATIONS
        .iter()
        .map(|&(_, code)| Restriction::sqe_op(code))
        .collect();
    let mut flags = SUBMISSION_FLAGS;
    if planted(Bug::DriverSyncSkipped) || planted(Bug::DriverSyncEarly) {
        allowed.push(Restriction::sqe_op(opcode::Nop::CODE));
        flags |= squeue::Flags::IO_LINK.bits();
    }
    allowed.push(Restriction::sqe_flags_allowed(flags));
    ring.submitter().register_restrictions(&mut allowed)?;
    ring.submitter().register_enable_rings()
}

impl Queue {
    /// A ring for the calling thread.
    pub(super) fn new() -> Result<Queue, DriverError> {
        let ring = build().map_err(|error| {
            let doing = "io_uring_setup (set FLK_DRIVER=portable to do without io_uring)";
            DriverError::new(doing, error)
        })?;
        Ok(Queue {
            ring,
            in_flight: 0,
            entered: 0,
            failure: None,
        })
    }

    /// Lets the ring begin, with the operations of this driver and no others.
    pub(super) fn enable(&self) -> Result<(), DriverError> {
        enable(&self.ring)
            .map_err(|error| DriverError::new("restrict the ring to what is used", error))
    }

    /// A second descriptor of the ring, by which other shards wake this one.
    pub(super) fn duplicate_fd(&self) -> Result<OwnedFd, DriverError> {
        rustix::io::fcntl_dupfd_cloexec(self.fd(), 0)
            .map_err(|error| DriverError::new("duplicate the ring's descriptor", error))
    }

    #[allow(unsafe_code)]
    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor belongs to `self.ring` and stays open at least as long as the borrow of `self`.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }

    /// Registration calls.
    pub(super) fn submitter(&self) -> io_uring::Submitter<'_> {
        self.ring.submitter()
    }

    /// How often the kernel was entered since this was asked.
    pub(super) fn take_entered(&mut self) -> u64 {
        std::mem::take(&mut self.entered)
    }

    /// Number of operations in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Pushes an operation that will post a completion.
    ///
    /// # Safety
    /// - all memory that the entry points to stays where it is, unmoved and not mutably borrowed, until the completion
    ///   of this operation without [`Completion::more`] was reaped, or until [`Queue::in_flight`] is 0.
    #[allow(unsafe_code)]
    pub(super) unsafe fn push(&mut self, entry: squeue::Entry, tag: Tag) {
        let entry = entry.user_data(tag.word());
        self.in_flight += 1;
        // SAFETY: the caller promised that the memory outlives the operation.
        unsafe { self.push_raw(&entry) };
    }

    /// Pushes an operation that points to no memory and posts a completion only if it fails.
    #[allow(unsafe_code)]
    fn push_quiet(&mut self, entry: squeue::Entry, tag: Tag) {
        let entry = entry
            .user_data(tag.word())
            .flags(squeue::Flags::SKIP_SUCCESS);
        // SAFETY: the callers in this file pass entries without pointers.
        unsafe { self.push_raw(&entry) };
    }

    /// Cancels the operation with this tag; it still posts a completion.
    pub(super) fn cancel(&mut self, tag: Tag) {
        let which = types::CancelBuilder::user_data(tag.word());
        let entry = opcode::AsyncCancel2::new(which).build();
        self.push_quiet(entry, Tag::plain(Kind::Forgotten, 0));
    }

    /// Cancels all operations; each still posts a completion.
    pub(super) fn cancel_all(&mut self) {
        let entry = opcode::AsyncCancel2::new(types::CancelBuilder::any()).build();
        self.push_quiet(entry, Tag::plain(Kind::CancelAll, 0));
    }

    /// Closes a registered file.
    pub(super) fn close_registered(&mut self, slot: u32) {
        let entry = opcode::Close::new(types::Fixed(slot)).build();
        self.push_quiet(entry, Tag::plain(Kind::Forgotten, 0));
    }

    /// Wakes the thread that waits on a peer's ring.
    pub(super) fn ring(&mut self, peer: u32, ring: BorrowedFd<'_>) {
        let rung = Tag::plain(Kind::Rung, 0).word();
        let entry = opcode::MsgRingData::new(types::Fd(ring.as_raw_fd()), 0, rung, None).build();
        self.push_quiet(entry, Tag::plain(Kind::Ring, peer));
    }

    /// # Safety
    /// - as for [`Queue::push`].
    #[allow(unsafe_code)]
    unsafe fn push_raw(&mut self, entry: &squeue::Entry) {
        // SAFETY: the caller promised that the memory outlives the operation.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            // The queue is full: submit it. Nothing is reaped here; the kernel keeps completions that do not fit.
            self.entered += 1;
            match self.ring.submit() {
                Ok(_) => {}
                Err(error) if is_transient(&error) => {}
                Err(error) => {
                    self.failure = Some(error);
                    return;
                }
            }
        }
    }

    /// Submits what was pushed and waits for a completion, at most this long (zero: not at all).
    pub(super) fn enter(&mut self, wait: Duration) -> Result<(), DriverError> {
        let doing = "io_uring_enter";
        if let Some(error) = self.failure.take() {
            return Err(DriverError::new(doing, error));
        }
        self.entered += 1;
        let entered = if wait.is_zero() {
            self.ring
                .submitter()
                .submit_with_args(0, &SubmitArgs::new())
        } else {
            let wait = Timespec::from(wait);
            let args = SubmitArgs::new().timespec(&wait);
            self.ring.submitter().submit_with_args(1, &args)
        };
        match entered {
            Ok(_) => Ok(()),
            Err(error) if is_transient(&error) => Ok(()),
            Err(error) => Err(DriverError::new(doing, error)),
        }
    }

    /// Whether the kernel keeps completions for which the queue has no room.
    pub(super) fn has_overflowed(&mut self) -> bool {
        self.ring.submission().cq_overflow()
    }

    /// Copies all completions out of the ring, oldest first.
    pub(super) fn reap(&mut self, into: &mut Vec<Completion>) {
        for entry in self.ring.completion() {
            let completion = Completion {
                tag: Tag::from_word(entry.user_data()),
                result: entry.result(),
                flags: entry.flags(),
            };
            if is_counted(completion.tag.kind) && !completion.more() {
                assert!(self.in_flight > 0, "more completions than operations");
                self.in_flight -= 1;
            }
            into.push(completion);
        }
    }
}

/// Whether operations of this kind went through [`Queue::push`].
fn is_counted(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Forgotten | Kind::Rung | Kind::Ring | Kind::CancelAll
    )
}

/// The wait timed out, a signal came, or the kernel wants its completions reaped first: the next turn tries again.
fn is_transient(error: &std::io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)
    )
}

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    use super::*;

    #[test]
    fn completions_that_do_not_fit_are_kept_and_it_shows() {
        let mut queue = match Queue::new() {
            Ok(queue) => queue,
            Err(error) => return flk_testkit::skipped(&format!("overflows: {error}")),
        };
        queue.enable().unwrap();
        let count = COMPLETIONS as usize + 1;
        for _ in 0..count {
            // There is no such slot, so it ends at once.
            let entry = opcode::Close::new(types::Fixed(u32::MAX - 1)).build();
            // SAFETY: it points to no memory.
            unsafe { queue.push(entry, Tag::plain(Kind::Doorbell, 0)) };
        }
        queue.enter(Duration::ZERO).unwrap();
        assert!(queue.has_overflowed());
        let mut completions = Vec::new();
        while completions.len() < count {
            queue.reap(&mut completions);
            queue.enter(Duration::ZERO).unwrap();
        }
        assert_eq!((completions.len(), queue.in_flight()), (count, 0));
        assert!(!queue.has_overflowed());
    }

    /// The result of one operation without memory, on a ring that is enabled.
    fn result_of(entry: squeue::Entry) -> i32 {
        let mut queue = Queue::new().unwrap();
        queue.enable().unwrap();
        // SAFETY: what the entries of the tests point to is static.
        unsafe { queue.push(entry, Tag::plain(Kind::Sync, 0)) };
        queue.enter(Duration::from_secs(20)).unwrap();
        let mut done = Vec::new();
        queue.reap(&mut done);
        let [completion] = done[..] else {
            panic!("one completion, not {}", done.len())
        };
        completion.result
    }

    fn is_available() -> bool {
        let tried = crate::driver::probe::choose(crate::driver::probe::Requested::Uring);
        if let Err(refused) = &tried {
            flk_testkit::skipped(&format!("operations of a ring: {refused}"));
        }
        tried.is_ok()
    }

    #[test]
    fn a_ring_carries_out_what_the_driver_uses_and_opens_no_file() {
        if !is_available() {
            return;
        }
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let sync = opcode::Fsync::new(types::Fd(file.as_raw_fd())).build();
        assert_eq!(result_of(sync.clone()), 0);
        let (cwd, path) = (types::Fd(libc::AT_FDCWD), c"/etc/hostname".as_ptr());
        let denied = -libc::EACCES;
        assert_eq!(result_of(opcode::OpenAt::new(cwd, path).build()), denied);
        assert_eq!(result_of(opcode::Nop::new().build()), denied);
        let linked = sync.flags(squeue::Flags::IO_HARDLINK);
        assert_eq!(result_of(linked), denied, "a flag that is not used");
    }

    #[test]
    fn a_ring_that_is_enabled_takes_no_registration() {
        if !is_available() {
            return;
        }
        let queue = Queue::new().unwrap();
        queue.enable().unwrap();
        let refused = queue.submitter().register_files_sparse(1).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EACCES));
    }
}
