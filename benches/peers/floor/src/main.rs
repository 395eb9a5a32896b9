//! A bare HTTP server on one thread and one epoll: it finds where a request ends and sends one fixed reply.
//! It is the floor of what a loopback request costs here, so that a gateway's figure can be read as a ratio.
//! It never looks at a method, a path or a body, keeps nothing, and must not be exposed to anybody.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use flk_bench_load::message;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// The event data of the listener; connections use their index, which stays far below.
const LISTENER: u64 = u64::MAX;
/// Bytes that one connection may have received without a whole request: more is a client that does not fit here.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// As long as the answer that the gateway gives to an accepted record, so that both send the same number of bytes.
const REPLY: &[u8] = concat!(
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nFlk-Dedup: miss\r\nContent-Length: 254\r\n\r\n",
    r#"{"pcs_id":"0000000000000000000000000000000000000000000000000000000000000000","#,
    r#""accepted":true,"escalated":false,"D_hat":1.409000000,"recomputed_D_hat":1.409000000,"#,
    r#""budget":0.422543210,"recomputed_budget":0.422543210,"regime":"sticky","params_version":"1"}"#
)
.as_bytes();

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).ok_or_else(|| {
        io::Error::other("usage: flk-bench-floor ADDRESS, for example 127.0.0.1:8081")
    })?;
    let listener = TcpListener::bind(&address)?;
    listener.set_nonblocking(true)?;
    eprintln!("floor listens on http://{}", listener.local_addr()?);
    serve(&listener)
}

/// Serves for ever: accepts what is waiting, answers each whole request, forgets a connection that ends.
fn serve(listener: &TcpListener) -> io::Result<()> {
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(
        &poll,
        listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events: Vec<Event> = Vec::with_capacity(512);
    let mut input = vec![0_u8; REQUEST_BYTES_MAX];
    loop {
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            if event.data.u64() == LISTENER {
                accept_all(listener, poll.as_fd(), &mut connections)?;
                continue;
            }
            let slot = usize::try_from(event.data.u64())
                .ok()
                .and_then(|index| connections.get_mut(index));
            if let Some(slot) = slot
                && let Some(connection) = slot
                && !answer(connection, &mut input)
            {
                *slot = None; // closing the descriptor takes it out of the epoll
            }
        }
    }
}

fn accept_all(
    listener: &TcpListener,
    poll: rustix::fd::BorrowedFd<'_>,
    connections: &mut Vec<Option<Connection>>,
) -> io::Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let index = connections
            .iter()
            .position(Option::is_none)
            .unwrap_or(connections.len());
        epoll::add(
            poll,
            &stream,
            EventData::new_u64(index as u64),
            EventFlags::IN,
        )?;
        let connection = Connection {
            stream,
            received: Vec::new(),
        };
        match connections.get_mut(index) {
            Some(slot) => *slot = Some(connection),
            None => connections.push(Some(connection)),
        }
    }
}

/// One read, then one reply for each whole request; `false` when the connection is to be closed.
fn answer(connection: &mut Connection, input: &mut [u8]) -> bool {
    let count = match connection.stream.read(input) {
        Ok(0) => return false,
        Ok(count) => count,
        Err(error) => return error.kind() == ErrorKind::WouldBlock,
    };
    // The usual case: exactly one whole request in one read, nothing kept from before.
    if connection.received.is_empty() && message::end(&input[..count]) == Some(count) {
        return connection
            .stream
            .write(REPLY)
            .is_ok_and(|sent| sent == REPLY.len());
    }
    connection.received.extend_from_slice(&input[..count]);
    while let Some(end) = message::end(&connection.received) {
        connection.received.drain(..end);
        if !connection
            .stream
            .write(REPLY)
            .is_ok_and(|sent| sent == REPLY.len())
        {
            return false;
        }
    }
    connection.received.len() < REQUEST_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_states_its_own_length() {
        assert_eq!(message::end(REPLY), Some(REPLY.len()));
    }

    #[test]
    fn two_requests_in_one_write_get_two_replies() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || serve(&listener));
        let mut client = TcpStream::connect(address).unwrap();
        client
            .write_all(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\n\r\n")
            .unwrap();
        let mut replies = vec![0; 2 * REPLY.len()];
        client.read_exact(&mut replies).unwrap();
        assert_eq!(&replies[REPLY.len()..], REPLY);
    }
}
