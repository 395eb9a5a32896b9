//! Accepting under io_uring: some accepts wait in the kernel, each with memory for the client's address. It owns the
//! listening socket and what was accepted and has no slot yet; it never reads from a client.

use super::queue::{Completion, Queue};
use super::tag::{Kind, Tag};
use crate::driver::listen::BACKLOG;
use crate::event::{Event, Inbox, Peer};
use io_uring::{opcode, types};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

/// Accepts in flight and accepted sockets without a slot, at most. Whoever else comes stays in the listen queue.
pub(in crate::driver) const ACCEPTS_MAX: u32 = 32;
/// How long to wait before accepting is tried again after the system refused it.
const ACCEPT_RETRY_US: u64 = 10_000;

/// Where the kernel writes a client's address.
struct Place {
    address: libc::sockaddr_storage,
    length: libc::socklen_t,
}

/// How far closing the listener is.
struct Closing {
    /// How many may still be accepted: a whole queue, and no more. Under a flood it never gets empty.
    accepts_left: i32,
    /// The cancellation of the accepts is on its way.
    cancelled: bool,
}

/// The listening socket and its accepts.
pub(super) struct Accepts {
    listener: Option<OwnedFd>,
    /// One per accept; each in a box of its own, so that using one never borrows another that the kernel may write to.
    #[allow(clippy::vec_box)]
    places: Vec<Box<Place>>,
    /// Places that no accept is in flight for.
    unused: Vec<u32>,
    /// Accepted sockets that no slot was free for: they wait as if they were still in the listen queue.
    parked: VecDeque<(u32, Peer)>,
    wanted: bool,
    /// The last accept failed for want of a resource; the next try waits until then.
    retry_us: Option<u64>,
    /// The listener is being closed, and the shard does not know yet that all who waited are with it.
    closing: Option<Closing>,
}

impl Accepts {
    /// Begins to accept.
    #[allow(unsafe_code)]
    pub(super) fn new(queue: &mut Queue, listener: OwnedFd) -> Accepts {
        // SAFETY: a socket address of zeros is one of no family; the type has no invalid values.
        let address = || unsafe { std::mem::zeroed::<libc::sockaddr_storage>() };
        let place = |_| {
            Box::new(Place {
                address: address(),
                length: 0,
            })
        };
        let mut accepts = Accepts {
            listener: Some(listener),
            places: (0..ACCEPTS_MAX).map(place).collect(),
            unused: (0..ACCEPTS_MAX).rev().collect(),
            parked: VecDeque::with_capacity(ACCEPTS_MAX as usize),
            wanted: true,
            retry_us: None,
            closing: None,
        };
        accepts.arm(queue);
        accepts
    }

    /// When accepting must be tried again although nothing causes it, in monotonic microseconds.
    pub(super) fn retry_at_us(&self) -> Option<u64> {
        self.retry_us.filter(|_| self.wanted)
    }

    /// A connection was accepted, or an accept ended without one.
    pub(super) fn ended(&mut self, done: Completion, now_us: u64) {
        let place = done.tag.slot;
        self.unused.push(place);
        if let Ok(socket) = u32::try_from(done.result) {
            let peer = peer_of(&self.places[place as usize]);
            self.parked.push_back((socket, peer));
        }
        // A client that gave up in the queue (ECONNABORTED) or our own cancellation: just go on. Everything else is the
        // system's, and may be over soon.
        let goes_on = [
            libc::ECONNABORTED,
            libc::ECANCELED,
            libc::EINTR,
            libc::EAGAIN,
        ];
        let refused = done.result < 0 && !goes_on.contains(&-done.result);
        if refused {
            self.retry_us = Some(now_us + ACCEPT_RETRY_US);
        }
        if let Some(closing) = &mut self.closing {
            closing.accepts_left -= i32::from(done.result != -libc::ECANCELED);
            if refused {
                closing.accepts_left = 0;
            }
        }
    }

    /// An accepted socket for a free slot.
    pub(super) fn take(&mut self) -> Option<(u32, Peer)> {
        self.may_open().then(|| self.parked.pop_front()).flatten()
    }

    /// Whether a socket waits for nothing but a slot.
    pub(super) fn may_open(&self) -> bool {
        !self.parked.is_empty() && (self.wanted || self.closing.is_some())
    }

    /// Stops or goes on accepting. What the kernel has accepted meanwhile is parked.
    pub(super) fn want(&mut self, wanted: bool, queue: &mut Queue) {
        self.wanted = wanted && self.closing.is_none();
        self.arm(queue);
    }

    /// Begins to close the listening socket: closing it resets whoever is still in its queue, so they are accepted first.
    pub(super) fn close(&mut self, queue: &mut Queue) {
        // From here on only `closing_step` accepts.
        self.wanted = false;
        self.closing.get_or_insert(Closing {
            accepts_left: BACKLOG,
            cancelled: false,
        });
        self.closing_step(queue);
    }

    /// Accepts again where accepts ended, unless something stands against it: the shard, or a failure that is too fresh.
    pub(super) fn step(&mut self, now_us: u64, queue: &mut Queue) {
        if self.retry_us.is_none_or(|at_us| at_us <= now_us) {
            self.retry_us = None;
            self.arm(queue);
        }
        self.closing_step(queue);
    }

    /// Accepts while a client waits, then cancels the accepts, then closes the socket.
    ///
    /// A client that connects between the last look at the queue and the close is reset; nothing can be done about that.
    fn closing_step(&mut self, queue: &mut Queue) {
        let (Some(closing), Some(listener)) = (&mut self.closing, &self.listener) else {
            return;
        };
        let in_flight = self.places.len() - self.unused.len();
        if closing.accepts_left > 0 && client_waits(listener) {
            closing.cancelled = false;
            self.start_accepts(queue);
        } else if in_flight == 0 {
            self.listener = None;
        } else if !std::mem::replace(&mut closing.cancelled, true) {
            for place in (0..ACCEPTS_MAX).filter(|place| !self.unused.contains(place)) {
                queue.cancel(Tag::plain(Kind::Accept, place));
            }
        }
    }

    /// Whether the listener is closed and all who waited are with the shard, which does not know.
    pub(super) fn is_closed(&self) -> bool {
        self.closing.is_some() && self.listener.is_none() && self.parked.is_empty()
    }

    /// Says that the listener is closed, once.
    pub(super) fn report_closed(&mut self, inbox: &mut Inbox) {
        if self.is_closed() {
            self.closing = None;
            inbox.events.push(Event::ListenerClosed);
        }
    }

    fn arm(&mut self, queue: &mut Queue) {
        if self.wanted && self.retry_us.is_none() {
            self.start_accepts(queue);
        }
    }

    /// Puts as many accepts into the kernel as sockets may still be parked.
    #[allow(unsafe_code)]
    fn start_accepts(&mut self, queue: &mut Queue) {
        let Some(listener) = &self.listener else {
            return;
        };
        while self.unused.len() > self.parked.len()
            && let Some(number) = self.unused.pop()
        {
            let place = &mut *self.places[number as usize];
            place.length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            let address = (&raw mut place.address).cast();
            let entry = opcode::Accept::new(
                types::Fd(listener.as_raw_fd()),
                address,
                &raw mut place.length,
            )
            .file_index(Some(types::DestinationSlot::auto_target()))
            .build();
            // SAFETY: the place is boxed and untouched while its accept is in flight (it is in `unused` otherwise), and is
            // dropped only after the ring is quiet (`Uring::drop`).
            unsafe { queue.push(entry, Tag::plain(Kind::Accept, number)) };
        }
    }
}

/// Whether the queue of a listener has a client in it.
fn client_waits(listener: &OwnedFd) -> bool {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut polled = [PollFd::new(listener, PollFlags::IN)];
    matches!(poll(&mut polled, Some(&now)), Ok(1..))
}

/// The client's address as the kernel wrote it.
#[allow(unsafe_code)]
fn peer_of(place: &Place) -> Peer {
    let address = &raw const place.address;
    match libc::c_int::from(place.address.ss_family) {
        libc::AF_INET => {
            // SAFETY: `sockaddr_storage` is large enough and aligned for the address of every family, every value is a valid
            // one, and the accept that wrote it has ended.
            let address = unsafe { &*address.cast::<libc::sockaddr_in>() };
            Peer::from(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let address = unsafe { &*address.cast::<libc::sockaddr_in6>() };
            Peer::from(Ipv6Addr::from(address.sin6_addr.s6_addr))
        }
        _ => Peer::default(),
    }
}
