//! One thread that keeps a fixed number of connections busy: each has one request under way, and sends the next one
//! when its answer is whole. It never retries, and a connection that is lost is not opened again: what is lost is counted.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;

use crate::measured::Measured;
use crate::message;
use crate::stock::{Request, Stock};

/// Longer than any deadline of a gateway: a run without an answer for so long has failed.
pub(crate) const SILENCE_S_MAX: i64 = 15;
/// Bytes of one answer; the usual ones have some hundred.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Connections to one target, idle between runs.
pub struct Load {
    poll: OwnedFd,
    pub(crate) connections: Vec<Connection>,
    /// A connection is closed behind so many answers, and another one opened in its place.
    answers_max: Option<u32>,
}

pub(crate) struct Connection {
    stream: TcpStream,
    request: Request,
    pub(crate) sent_at: Instant,
    received: Vec<u8>,
    /// Answers that came on it.
    answers_count: u32,
    pub(crate) open: bool,
}

impl Load {
    /// Opens all connections. Requests name no tenant.
    pub fn connect(address: SocketAddr, connections_count: usize) -> io::Result<Self> {
        Self::connect_as(address, connections_count, None)
    }

    /// The same for requests of a tenant.
    pub fn connect_as(
        address: SocketAddr,
        connections_count: usize,
        tenant: Option<&str>,
    ) -> io::Result<Self> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(connections_count);
        for index in 0..connections_count {
            connections.push(Connection {
                stream: connect(&poll, address, index)?,
                request: Request::of_tenant(&address.to_string(), tenant),
                sent_at: Instant::now(),
                received: Vec::new(),
                answers_count: 0,
                open: true,
            });
        }
        Ok(Self {
            poll,
            connections,
            answers_max: None,
        })
    }

    /// Closes each connection behind so many answers from now on, and opens another one in its place.
    pub fn renewed_after(self, answers: u32) -> Self {
        Self {
            answers_max: Some(answers),
            ..self
        }
    }

    /// Sends records until the time is up or none is left, then waits for the answers under way.
    pub fn run(&mut self, stock: &mut Stock, duration: Duration) -> io::Result<Measured> {
        let mut measured = Measured::new(self.connections.len())?;
        let start = Instant::now();
        let mut under_way_count = 0_usize;
        for connection in self
            .connections
            .iter_mut()
            .filter(|connection| connection.open)
        {
            under_way_count += usize::from(connection.send(stock, start, &mut measured));
        }
        let mut events: Vec<Event> = Vec::with_capacity(self.connections.len());
        let mut input = vec![0_u8; ANSWER_BYTES_MAX];
        while under_way_count > 0 {
            self.wait(&mut events, under_way_count)?;
            for event in &events {
                let index = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
                let Some(connection) = self.connections.get_mut(index) else {
                    continue;
                };
                let Some(status) = connection.receive(&mut input, &mut measured) else {
                    under_way_count -= usize::from(!connection.open);
                    self.forget_closed(index)?;
                    continue;
                };
                let now = Instant::now();
                measured.count(status, now - connection.sent_at);
                connection.answers_count += 1;
                if self.answers_max == Some(connection.answers_count) {
                    connection.renew(&self.poll, index)?;
                }
                let goes_on = now - start < duration && connection.send(stock, now, &mut measured);
                under_way_count -= usize::from(!goes_on);
            }
        }
        measured.elapsed = start.elapsed();
        Ok(measured)
    }

    /// What becomes readable when an answer comes.
    pub(crate) fn poll(&self) -> &OwnedFd {
        &self.poll
    }

    /// Connections that were not lost, by index.
    pub(crate) fn open_connections(&self) -> Vec<usize> {
        let all = self.connections.iter().enumerate();
        all.filter(|(_, it)| it.open).map(|(at, _)| at).collect()
    }

    /// Connections with something to read, by index. It does not wait.
    pub(crate) fn readable(&self) -> io::Result<Vec<usize>> {
        let mut events: Vec<Event> = Vec::with_capacity(self.connections.len().max(1));
        let at_once = rustix::time::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let spare = rustix::buffer::spare_capacity(&mut events);
        epoll::wait(&self.poll, spare, Some(&at_once))?;
        Ok(events
            .iter()
            .map(|event| event.data.u64() as usize)
            .collect())
    }

    fn wait(&self, events: &mut Vec<Event>, under_way_count: usize) -> io::Result<()> {
        let silence = rustix::time::Timespec {
            tv_sec: SILENCE_S_MAX,
            tv_nsec: 0,
        };
        loop {
            events.clear();
            match epoll::wait(
                &self.poll,
                rustix::buffer::spare_capacity(events),
                Some(&silence),
            ) {
                Ok(0) => {
                    return Err(io::Error::new(
                        ErrorKind::TimedOut,
                        format!(
                            "{under_way_count} requests had no answer within {SILENCE_S_MAX} s"
                        ),
                    ));
                }
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A closed connection stays readable for ever, so it has to leave the epoll.
    pub(crate) fn forget_closed(&self, index: usize) -> io::Result<()> {
        let connection = &self.connections[index];
        if !connection.open {
            epoll::delete(&self.poll, &connection.stream)?;
        }
        Ok(())
    }
}

/// A connection whose answers the poll reports under this index.
fn connect(poll: &OwnedFd, address: SocketAddr, index: usize) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let data = EventData::new_u64(index as u64);
    epoll::add(poll, &stream, data, EventFlags::IN)?;
    Ok(stream)
}

impl Connection {
    /// Closes it and opens another one to the same address.
    fn renew(&mut self, poll: &OwnedFd, index: usize) -> io::Result<()> {
        let address = self.stream.peer_addr()?;
        epoll::delete(poll, &self.stream)?;
        self.stream = connect(poll, address, index)?;
        self.answers_count = 0;
        Ok(())
    }

    /// Sends the next record; `false` when there is none or the connection is gone.
    pub(crate) fn send(
        &mut self,
        stock: &mut Stock,
        now: Instant,
        measured: &mut Measured,
    ) -> bool {
        if !stock.fill(&mut self.request) {
            measured.ran_dry = true;
            return false;
        }
        self.sent_at = now;
        // A request is far smaller than an empty send buffer: a short write means that something is wrong.
        let whole = self
            .stream
            .write(self.request.bytes())
            .is_ok_and(|sent| sent == self.request.bytes().len());
        if !whole {
            measured.lost_count += 1;
            self.open = false;
        }
        whole
    }

    /// Reads once; the status where that made the answer whole.
    pub(crate) fn receive(&mut self, input: &mut [u8], measured: &mut Measured) -> Option<u16> {
        let read = self.stream.read(input);
        if matches!(&read, Err(error) if error.kind() == ErrorKind::WouldBlock) {
            return None;
        }
        let count = read.unwrap_or(0);
        if self.received.is_empty() && message::end(&input[..count]) == Some(count) {
            return message::status(input).or_else(|| self.lose(measured));
        }
        self.received.extend_from_slice(&input[..count]);
        let end = message::end(&self.received);
        if count == 0
            || self.received.len() > ANSWER_BYTES_MAX
            || end.is_some_and(|end| end < self.received.len())
        {
            return self.lose(measured); // the end, something endless, or an answer to no request
        }
        end?;
        let status = message::status(&self.received);
        self.received.clear();
        status.or_else(|| self.lose(measured))
    }

    fn lose<T>(&mut self, measured: &mut Measured) -> Option<T> {
        measured.lost_count += 1;
        self.open = false;
        None
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers `count` requests of one connection, in two pieces each, then closes.
    pub(crate) fn peer(status: &'static str, count: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            let (mut received, mut input) = (Vec::new(), [0; 4096]);
            for _ in 0..count {
                while message::end(&received).is_none() {
                    let read = stream.read(&mut input).unwrap();
                    received.extend_from_slice(&input[..read]);
                }
                received.clear();
                stream
                    .write_all(format!("HTTP/1.1 {status}\r\nContent-").as_bytes())
                    .unwrap();
                stream.write_all(b"Length: 2\r\n\r\n{}").unwrap();
            }
        });
        address
    }

    #[test]
    fn every_status_is_counted_and_a_stock_that_ends_is_reported() {
        let mut load = Load::connect(peer("202 Accepted", 4), 1).unwrap();
        let measured = load
            .run(&mut Stock::sign(b"k", 0, 3), Duration::from_secs(60))
            .unwrap();
        assert_eq!((measured.answers_count, measured.statuses[&202]), (3, 3));
        assert_eq!(
            (
                measured.other_than_200_count(),
                measured.lost_count,
                measured.ran_dry
            ),
            (3, 0, true)
        );
    }

    #[test]
    fn a_connection_that_ends_is_lost_and_not_waited_for() {
        let mut load = Load::connect(peer("200 OK", 2), 1).unwrap();
        let measured = load
            .run(&mut Stock::sign(b"k", 0, 9), Duration::from_secs(60))
            .unwrap();
        assert_eq!((measured.answers_count, measured.lost_count), (2, 1));
    }

    #[test]
    fn two_runs_share_their_connections() {
        let mut load = Load::connect(peer("200 OK", 4), 1).unwrap();
        let mut stock = Stock::sign(b"k", 0, 4);
        let first = load.run(&mut stock, Duration::ZERO).unwrap();
        let second = load.run(&mut stock, Duration::from_secs(60)).unwrap();
        assert_eq!((first.answers_count, second.answers_count), (1, 3));
    }
}
