//! One connection that never blocks: it is opened, takes one request at a time, and reads the answer. It counts nothing and decides
//! nothing; a connection that ended is opened again by its owner.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::answer::{self, HttpAnswer, Reading};
use crate::record::{Recipe, Signed};
use crate::supply::Supply;

/// Longest pause before a connection is tried again.
const RETRY_MAX: Duration = Duration::from_secs(1);
const RETRY_FIRST: Duration = Duration::from_millis(10);

/// Which part of the run a request belongs to, by when it was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    WarmUp,
    Measured,
}

/// A request that waits for its answer.
pub(crate) struct UnderWay {
    pub(crate) signed: Signed,
    pub(crate) phase: Phase,
    pub(crate) due: Instant,
    pub(crate) sent: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    Connecting,
    Open,
}

/// What reading came to.
pub(crate) enum Received {
    Nothing,
    Answer(HttpAnswer),
    Ended,
    Foreign,
}

/// A connection, open or not.
pub(crate) struct Wire {
    stream: Option<TcpStream>,
    state: State,
    out: Vec<u8>,
    written: usize,
    received: Vec<u8>,
    failures_count: u32,
    retry_at: Option<Instant>,
    /// It stands in its owner's list of free ones.
    pub(crate) is_listed: bool,
    pub(crate) under_way: Option<UnderWay>,
    /// When it last became free.
    pub(crate) free_since: Instant,
}

impl Wire {
    /// Not open yet; it may be opened at once.
    pub(crate) fn new(now: Instant) -> Wire {
        Wire {
            stream: None,
            state: State::Down,
            out: Vec::new(),
            written: 0,
            received: Vec::new(),
            failures_count: 0,
            retry_at: Some(now),
            is_listed: false,
            under_way: None,
            free_since: now,
        }
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.state == State::Connecting
    }

    /// Open, without a request.
    pub(crate) fn is_free(&self) -> bool {
        self.state == State::Open && self.under_way.is_none()
    }

    /// Whether it is down and has waited long enough.
    pub(crate) fn wants_to_connect(&self, now: Instant) -> bool {
        self.state == State::Down && self.retry_at.is_some_and(|at| at <= now)
    }

    /// Begins to connect; its owner hears of the end as of something writable.
    pub(crate) fn connect(
        &mut self,
        poll: &OwnedFd,
        index: usize,
        address: SocketAddr,
    ) -> io::Result<()> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let events = EventFlags::IN | EventFlags::OUT;
        epoll::add(poll, &socket, EventData::new_u64(index as u64), events)?;
        self.stream = Some(TcpStream::from(socket));
        self.state = State::Connecting;
        Ok(())
    }

    /// Whether connecting succeeded, once it is writable.
    pub(crate) fn finish_connecting(&mut self, poll: &OwnedFd, index: usize) -> io::Result<()> {
        let stream = self.stream.as_ref().ok_or(ErrorKind::NotConnected)?;
        sockopt::socket_error(stream)??;
        self.state = State::Open;
        self.listen_for(poll, index, EventFlags::IN)
    }

    /// Ends the connection; it may be tried again after a pause that grows with each failure.
    pub(crate) fn fail(&mut self, now: Instant) {
        let pause = RETRY_FIRST * 2_u32.saturating_pow(self.failures_count.min(10));
        self.failures_count += 1;
        self.close(now + pause.min(RETRY_MAX));
    }

    /// Ends the connection as the peer asked for; it may be tried again at once.
    pub(crate) fn leave(&mut self, now: Instant) {
        self.close(now);
    }

    fn close(&mut self, retry_at: Instant) {
        // A closed descriptor leaves the epoll by itself: nothing else refers to the socket.
        self.stream = None;
        self.state = State::Down;
        self.retry_at = Some(retry_at);
        self.received.clear();
        self.under_way = None;
    }

    /// Takes the next record into its buffer; it is sent by [`Wire::begin`].
    pub(crate) fn load(
        &mut self,
        supply: &mut Supply,
        recipe: &Recipe,
    ) -> (Signed, crate::supply::Source) {
        let (signed, source) = supply.next_record();
        recipe.write(&signed, &mut self.out);
        self.written = 0;
        (signed, source)
    }

    /// Sends what was loaded, as far as the socket takes it.
    pub(crate) fn begin(
        &mut self,
        poll: &OwnedFd,
        index: usize,
        request: UnderWay,
    ) -> io::Result<()> {
        self.under_way = Some(request);
        self.write(poll, index)
    }

    /// Whether something is left to be written.
    pub(crate) fn has_more_to_write(&self) -> bool {
        self.under_way.is_some() && self.written < self.out.len()
    }

    /// Writes the rest.
    pub(crate) fn write(&mut self, poll: &OwnedFd, index: usize) -> io::Result<()> {
        let was_partial = self.written > 0;
        let Some(stream) = &mut self.stream else {
            return Err(ErrorKind::NotConnected.into());
        };
        while self.written < self.out.len() {
            match stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.listen_for(poll, index, EventFlags::IN | EventFlags::OUT);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match was_partial {
            true => self.listen_for(poll, index, EventFlags::IN),
            false => Ok(()),
        }
    }

    fn listen_for(&self, poll: &OwnedFd, index: usize, events: EventFlags) -> io::Result<()> {
        let stream = self.stream.as_ref().ok_or(ErrorKind::NotConnected)?;
        Ok(epoll::modify(
            poll,
            stream.as_fd(),
            EventData::new_u64(index as u64),
            events,
        )?)
    }

    /// Reads once.
    pub(crate) fn read(&mut self, input: &mut [u8]) -> Received {
        let Some(stream) = &mut self.stream else {
            return Received::Nothing;
        };
        let count = match stream.read(input) {
            Ok(0) => return Received::Ended,
            Ok(count) => count,
            Err(error) => {
                return match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => Received::Nothing,
                    _ => Received::Ended,
                };
            }
        };
        // Most answers come whole.
        let fresh = &input[..count];
        let reading = match self.received.is_empty() {
            true => answer::read(fresh),
            false => {
                self.received.extend_from_slice(fresh);
                answer::read(&self.received)
            }
        };
        let known = self.received.len().max(count);
        match reading {
            Reading::Partial => {
                if self.received.is_empty() {
                    self.received.extend_from_slice(fresh);
                }
                Received::Nothing
            }
            // Bytes behind an answer answer nothing that was asked.
            Reading::Whole(answer) if answer.end == known && self.under_way.is_some() => {
                self.received.clear();
                self.failures_count = 0;
                Received::Answer(answer)
            }
            Reading::Whole(_) | Reading::Foreign => Received::Foreign,
        }
    }
}
