//! One connection that never blocks: it is opened, takes requests, and reads their answers, which come in the order of the requests.
//! It counts nothing and decides nothing; a connection that ended is opened again by its owner.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::answer::{self, HttpAnswer, Reading};
use crate::record::{Recipe, Records};

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
    pub(crate) records: Records,
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
    /// Something, of which [`Wire::answer`] says what it is.
    Bytes,
    Ended,
}

/// A connection, open or not.
pub(crate) struct Wire {
    stream: Option<TcpStream>,
    state: State,
    out: Vec<u8>,
    written: usize,
    /// The socket took no more: its owner hears when it does.
    is_full: bool,
    received: Vec<u8>,
    /// Bytes of it that were answers.
    taken: usize,
    failures_count: u32,
    retry_at: Option<Instant>,
    /// It stands in its owner's list of free ones.
    pub(crate) is_listed: bool,
    /// Requests that wait for their answers, the oldest one first.
    pub(crate) under_way: VecDeque<UnderWay>,
    /// When it last had room for a request again.
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
            is_full: false,
            received: Vec::new(),
            taken: 0,
            failures_count: 0,
            retry_at: Some(now),
            is_listed: false,
            under_way: VecDeque::new(),
            free_since: now,
        }
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.state == State::Connecting
    }

    /// Open, with fewer requests than it may have.
    pub(crate) fn is_free(&self, under_way_max: usize) -> bool {
        self.state == State::Open && self.under_way.len() < under_way_max
    }

    /// Neither open nor about to be.
    pub(crate) fn is_down(&self) -> bool {
        self.state == State::Down
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
        self.taken = 0;
        self.out.clear();
        self.written = 0;
        self.is_full = false;
        self.under_way.clear();
    }

    /// Takes a request into its buffer; it is sent by [`Wire::begin`].
    pub(crate) fn load(&mut self, records: &Records, recipe: &Recipe) {
        // A pipeline may never be written to its end. Moving what is left costs no more than what was written.
        if self.written * 2 >= self.out.len() {
            self.out.drain(..std::mem::take(&mut self.written));
        }
        recipe.write(records, &mut self.out);
    }

    /// Sends what was loaded, as far as the socket takes it.
    pub(crate) fn begin(
        &mut self,
        poll: &OwnedFd,
        index: usize,
        request: UnderWay,
    ) -> io::Result<()> {
        self.under_way.push_back(request);
        self.write(poll, index)
    }

    /// Whether something is left to be written.
    pub(crate) fn has_more_to_write(&self) -> bool {
        self.written < self.out.len()
    }

    /// Writes the rest.
    pub(crate) fn write(&mut self, poll: &OwnedFd, index: usize) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Err(ErrorKind::NotConnected.into());
        };
        while self.written < self.out.len() {
            match stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_full = true;
                    return self.listen_for(poll, index, EventFlags::IN | EventFlags::OUT);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        match std::mem::take(&mut self.is_full) {
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
        self.received.drain(..std::mem::take(&mut self.taken));
        self.received.extend_from_slice(&input[..count]);
        Received::Bytes
    }

    /// The next answer of what was received, which [`Wire::take`] takes away.
    pub(crate) fn answer(&self) -> Reading {
        let rest = &self.received[self.taken..];
        match answer::read(rest) {
            _ if rest.is_empty() => Reading::Partial,
            // Bytes behind the last answer answer nothing that was asked.
            Reading::Whole(it) if self.under_way.len() <= 1 && it.end < rest.len() => {
                Reading::Foreign
            }
            _ if self.under_way.is_empty() => Reading::Foreign,
            reading => reading,
        }
    }

    /// The body of this answer.
    pub(crate) fn body(&self, answer: &HttpAnswer) -> &[u8] {
        &self.received[self.taken..][answer.body..answer.end]
    }

    /// Takes this answer away, with its request.
    pub(crate) fn take(&mut self, answer: &HttpAnswer) -> Option<UnderWay> {
        self.failures_count = 0;
        self.taken += answer.end;
        self.under_way.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::{Kind, Order};
    use crate::record::tests::recipe;

    /// A deep pipeline under load may never be written to its end.
    #[test]
    fn what_was_written_leaves_the_buffer_although_more_is_to_be_written() {
        let recipe = recipe(&[], 0);
        let order = Order {
            kind: Kind::New,
            tenant: 0,
            key: 0,
        };
        let mut wire = Wire::new(Instant::now());
        for number in 0..100 {
            let records = Records::from(recipe.make(order, number));
            wire.load(&records, &recipe);
            // All but a byte of it is taken.
            wire.written = wire.out.len() - 1;
        }
        let mut request = Vec::new();
        let records = Records::from(recipe.make(order, 0));
        recipe.write(&records, &mut request);
        assert_eq!(wire.out.len(), request.len() + 1);
    }
}
