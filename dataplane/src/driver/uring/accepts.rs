//! Accepting under io_uring: several accepts are in flight, each with memory for the client's address. It owns the
//! listening socket and the accepted sockets that have no slot yet; it never reads from a client.

use super::queue::{Completion, Queue};
use super::tag::{Kind, Tag};
use crate::driver::listen::Listener;
use crate::event::{Event, Inbox};
use io_uring::{opcode, types};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

/// Accepts in flight and accepted sockets without a slot, together. All other clients stay in the listen queue.
pub(in crate::driver) const ACCEPTS_MAX: u32 = 32;
/// How long to wait before the next accept after the system refused one.
const ACCEPT_RETRY_US: u64 = 10_000;

/// Memory for the address of one client; the kernel writes it.
struct Place {
    address: libc::sockaddr_storage,
    length: libc::socklen_t,
}

/// What the listening socket is doing.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Accepts are kept in flight.
    Accepting,
    /// The system refused an accept for want of a resource; no accept is started before this monotonic time.
    Refused { retry_at_us: u64 },
    /// The shard wants no more connections for now. Sockets that the kernel accepts meanwhile are parked.
    Paused,
    /// Clients in the listen queue are accepted before the socket is closed: closing it would reset them.
    Closing(Closing),
    /// The socket is closed. Parked sockets still wait for slots, and the shard has not been notified.
    Closed,
    /// The shard has been notified.
    Reported,
}

/// The progress of closing the listening socket.
#[derive(Clone, Copy, Debug)]
struct Closing {
    /// How many clients may still be accepted.
    accepts_left: i32,
    /// The accepts in flight have been cancelled and have not all ended.
    cancelled: bool,
}

/// The listening socket and its accepts.
pub(super) struct Accepts {
    phase: Phase,
    /// `None` from [`Phase::Closed`] on.
    listener: Option<OwnedFd>,
    accepted_at_close: i32,
    /// One per accept. Each is in a box of its own, so that a borrow of one never covers another that the kernel may be
    /// writing to.
    #[allow(clippy::vec_box)]
    places: Vec<Box<Place>>,
    /// Places without an accept in flight.
    unused: Vec<u32>,
    /// Accepted sockets that wait for a slot.
    parked: VecDeque<(u32, IpAddr)>,
}

impl Accepts {
    /// Starts to accept; from a listener that stays only once [`Accepts::resume`] says so.
    #[allow(unsafe_code)]
    pub(super) fn new(queue: &mut Queue, listener: Listener) -> Accepts {
        // SAFETY: a socket address of zeros is one of no family; the type has no invalid values.
        let address = || unsafe { std::mem::zeroed::<libc::sockaddr_storage>() };
        let place = |_| {
            Box::new(Place {
                address: address(),
                length: 0,
            })
        };
        let mut accepts = Accepts {
            phase: match listener.stays {
                true => Phase::Paused,
                false => Phase::Accepting,
            },
            accepted_at_close: listener.accepted_at_close(),
            listener: Some(listener.socket),
            places: (0..ACCEPTS_MAX).map(place).collect(),
            unused: (0..ACCEPTS_MAX).rev().collect(),
            parked: VecDeque::with_capacity(ACCEPTS_MAX as usize),
        };
        accepts.step(0, queue);
        accepts
    }

    /// When [`Accepts::step`] must be called although nothing happens, in monotonic microseconds.
    pub(super) fn retry_at_us(&self) -> Option<u64> {
        match self.phase {
            Phase::Refused { retry_at_us } => Some(retry_at_us),
            _ => None,
        }
    }

    /// An accept ended, with a connection or without one.
    pub(super) fn ended(&mut self, done: Completion, now_us: u64) {
        let place = done.tag.slot;
        assert!(
            !self.unused.contains(&place),
            "accept {place} ended and was not in flight"
        );
        self.unused.push(place);
        if let Ok(socket) = u32::try_from(done.result) {
            let address = address_of(&self.places[place as usize]);
            self.parked.push_back((socket, address));
        }
        self.assert_bounded();
        // A client that gave up in the queue (ECONNABORTED) or our own cancellation: accept the next one. All other errors
        // are the system's and may pass.
        let passes = [
            libc::ECONNABORTED,
            libc::ECANCELED,
            libc::EINTR,
            libc::EAGAIN,
        ];
        let refused = done.result < 0 && !passes.contains(&-done.result);
        match &mut self.phase {
            Phase::Accepting | Phase::Refused { .. } if refused => {
                let retry_at_us = now_us + ACCEPT_RETRY_US;
                self.phase = Phase::Refused { retry_at_us };
            }
            Phase::Closing(closing) => {
                closing.accepts_left -= i32::from(done.result != -libc::ECANCELED);
                if refused {
                    closing.accepts_left = 0;
                }
            }
            _ => {}
        }
    }

    /// An accepted socket for a free slot.
    pub(super) fn take(&mut self) -> Option<(u32, IpAddr)> {
        self.may_open().then(|| self.parked.pop_front()).flatten()
    }

    /// Whether a socket waits for nothing but a slot.
    pub(super) fn may_open(&self) -> bool {
        let takes = matches!(
            self.phase,
            Phase::Accepting | Phase::Refused { .. } | Phase::Closing(_) | Phase::Closed
        );
        takes && !self.parked.is_empty()
    }

    /// Starts no more accepts and hands out no more sockets. Those that the kernel accepts meanwhile are parked.
    pub(super) fn pause(&mut self) {
        if let Phase::Accepting | Phase::Refused { .. } = self.phase {
            self.phase = Phase::Paused;
        }
    }

    /// Accepts again after [`Accepts::pause`].
    pub(super) fn resume(&mut self, queue: &mut Queue) {
        if let Phase::Paused = self.phase {
            self.phase = Phase::Accepting;
            self.start_accepts(queue);
        }
    }

    /// Begins to close the listening socket.
    pub(super) fn close(&mut self, queue: &mut Queue) {
        if let Phase::Accepting | Phase::Refused { .. } | Phase::Paused = self.phase {
            self.phase = Phase::Closing(Closing {
                accepts_left: self.accepted_at_close,
                cancelled: false,
            });
            self.step_closing(queue);
        }
    }

    /// Starts accepts in place of those that ended, if the phase allows it.
    pub(super) fn step(&mut self, now_us: u64, queue: &mut Queue) {
        match self.phase {
            Phase::Refused { retry_at_us } if retry_at_us <= now_us => {
                self.phase = Phase::Accepting;
                self.start_accepts(queue);
            }
            Phase::Accepting => self.start_accepts(queue),
            Phase::Closing(_) => self.step_closing(queue),
            Phase::Refused { .. } | Phase::Paused | Phase::Closed | Phase::Reported => {}
        }
    }

    /// Accepts while a client waits in the queue, then cancels the accepts, then closes the socket.
    ///
    /// A client that connects between the last check of the queue and the close is reset; the kernel offers no way to
    /// prevent that.
    fn step_closing(&mut self, queue: &mut Queue) {
        let (Phase::Closing(closing), Some(listener)) = (&mut self.phase, &self.listener) else {
            unreachable!("the listener is open while it is being closed")
        };
        let in_flight = self.places.len() - self.unused.len();
        if closing.accepts_left > 0 && client_waits(listener) {
            closing.cancelled = false;
            self.start_accepts(queue);
        } else if in_flight == 0 {
            self.listener = None;
            self.phase = Phase::Closed;
        } else if !std::mem::replace(&mut closing.cancelled, true) {
            for place in (0..ACCEPTS_MAX).filter(|place| !self.unused.contains(place)) {
                queue.cancel(Tag::plain(Kind::Accept, place));
            }
        }
    }

    /// Whether the listener is closed, all accepted sockets have slots, and the shard has not been notified.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed) && self.parked.is_empty()
    }

    /// Tells the shard once that the listener is closed.
    pub(super) fn report_closed(&mut self, inbox: &mut Inbox) {
        if self.is_closed() {
            self.phase = Phase::Reported;
            inbox.events.push(Event::ListenerClosed);
        }
    }

    /// Puts as many accepts in flight as there is room for accepted sockets.
    #[allow(unsafe_code)]
    fn start_accepts(&mut self, queue: &mut Queue) {
        let Some(listener) = &self.listener else {
            unreachable!("accepts are started while the listener is open")
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
        self.assert_bounded();
    }

    /// The table of registered sockets has [`ACCEPTS_MAX`] places more than slots: an accept beyond that would fail.
    fn assert_bounded(&self) {
        let in_flight = self.places.len() - self.unused.len();
        assert!(
            in_flight + self.parked.len() <= ACCEPTS_MAX as usize,
            "{in_flight} accepts in flight and {} parked sockets are more than {ACCEPTS_MAX}",
            self.parked.len()
        );
    }
}

/// Whether a client waits in the queue of a listener.
fn client_waits(listener: &OwnedFd) -> bool {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut polled = [PollFd::new(listener, PollFlags::IN)];
    matches!(poll(&mut polled, Some(&now)), Ok(1..))
}

/// The address that the kernel wrote.
#[allow(unsafe_code)]
fn address_of(place: &Place) -> IpAddr {
    let address = &raw const place.address;
    match libc::c_int::from(place.address.ss_family) {
        libc::AF_INET => {
            // SAFETY: `sockaddr_storage` is large enough and aligned for the address of every family, every bit pattern is
            // valid, and the accept that wrote it has ended.
            let address = unsafe { &*address.cast::<libc::sockaddr_in>() };
            IpAddr::V4(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let address = unsafe { &*address.cast::<libc::sockaddr_in6>() };
            IpAddr::V6(Ipv6Addr::from(address.sin6_addr.s6_addr))
        }
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
