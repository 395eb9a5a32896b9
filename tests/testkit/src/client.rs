//! A client of bare sockets that takes nothing but well-formed answers of HTTP/1.1, so that nothing is repaired on the
//! way. It sends what it is given and never retries.

use crate::wait::DEADLINE;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};

/// An answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its fields, as they came.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a field; panics where it is there twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self
            .headers
            .iter()
            .filter(|(header, _)| header.eq_ignore_ascii_case(name));
        let first = all.next();
        assert!(all.next().is_none(), "{name} is there twice: {self:?}");
        first.map(|(_, value)| value.as_str())
    }

    /// What the gateway did with a duplicate: `miss`, `hit` or `conflict`.
    pub fn dedup(&self) -> Option<&str> {
        self.header("Flk-Dedup")
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("all bodies are UTF-8")
    }

    /// The `code` of a problem; panics where the body is none.
    pub fn problem_code(&self) -> String {
        assert_eq!(
            self.header("Content-Type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem: serde_json::Value = serde_json::from_slice(&self.body).expect("JSON");
        assert!(
            problem["title"].is_string() && problem["retryable"].is_boolean(),
            "{self:?}"
        );
        problem["code"].as_str().expect("a code").to_owned()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(out, "{} {:?} {body}", self.status, self.headers)
    }
}

/// The bytes of a submit with this body.
pub fn submit(body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A connection.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_nodelay(true)?;
        Connection::over(stream)
    }

    /// Connects from this address of the machine.
    pub fn open_from(from: Ipv4Addr, address: SocketAddr) -> io::Result<Connection> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
        let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
        // A gateway that another test starts meanwhile must not inherit it: it counts what it has open.
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
        bind(&socket, &SocketAddrV4::new(from, 0))?;
        connect(&socket, &address)?;
        Connection::over(TcpStream::from(socket))
    }

    fn over(stream: TcpStream) -> io::Result<Connection> {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        let read = Vec::new();
        Ok(Connection { stream, read })
    }

    /// The same connection once more, to write from one thread and read from another.
    pub fn try_clone(&self) -> io::Result<Connection> {
        Ok(Connection {
            stream: self.stream.try_clone()?,
            read: Vec::new(),
        })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends as much as fits into the buffers on the way; how many bytes that was.
    pub fn send_what_fits(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_nonblocking(true)?;
        let mut sent = 0;
        let ended = loop {
            match self.stream.write(&bytes[sent..]) {
                Ok(0) => break Ok(sent),
                Ok(more) => sent += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(sent),
                Err(error) => break Err(error),
            }
        };
        self.stream.set_nonblocking(false)?;
        ended
    }

    /// Sends no more; still reads.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Posts a body and waits for the answer.
    pub fn post(&mut self, body: &[u8]) -> io::Result<Response> {
        self.send(&submit(body))?;
        self.response()
    }

    /// Asks for a page and waits for the answer.
    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: gateway\r\n\r\n").as_bytes())?;
        self.response()
    }

    /// The next answer.
    pub fn response(&mut self) -> io::Result<Response> {
        let head_bytes = loop {
            if let Some(at) = find(&self.read, b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head: Vec<u8> = self.read.drain(..head_bytes).collect();
        let (status, headers) = read_head(&head)?;
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        // Those before, and these two, have no body.
        if status >= 200 && !matches!(status, 204 | 304) {
            let length = response
                .header("Content-Length")
                .ok_or_else(|| malformed("an answer without Content-Length", &head))?;
            let bytes: usize = length
                .parse()
                .map_err(|_| malformed("a Content-Length that is no number", &head))?;
            while self.read.len() < bytes {
                self.more()?;
            }
            response.body = self.read.drain(..bytes).collect();
        }
        Ok(response)
    }

    /// Whether nothing has come so far that was not taken.
    pub fn is_silent(&self) -> io::Result<bool> {
        self.stream.set_nonblocking(true)?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        match peeked {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(self.read.is_empty()),
            Err(error) => Err(error),
        }
    }

    /// Whether the gateway closes without a further byte. A reset is a close too.
    pub fn closes(&mut self) -> bool {
        if !self.read.is_empty() {
            return false;
        }
        match self.more() {
            Ok(()) => false,
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ),
        }
    }

    /// Everything up to the gateway's close, as it came; an error where it does not close.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.more() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(std::mem::take(&mut self.read));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        let bytes = loop {
            match self.stream.read(&mut chunk) {
                // A signal to the test process (a child that ended) says nothing about the gateway.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                ended => break ended?,
            }
        };
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read.extend_from_slice(&chunk[..bytes]);
        Ok(())
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn malformed(what: &str, head: &[u8]) -> io::Error {
    let text = String::from_utf8_lossy(head);
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {text:?}"))
}

/// Status and fields of an answer's head; anything but exactly CRLF lines, known version and token names is an error.
fn read_head(head: &[u8]) -> io::Result<(u16, Vec<(String, String)>)> {
    let text = std::str::from_utf8(head).map_err(|_| malformed("a head that is not text", head))?;
    let mut lines = text
        .strip_suffix("\r\n\r\n")
        .ok_or_else(|| malformed("a head without its end", head))?
        .split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|rest| rest.split_once(' '))
        .filter(|(digits, reason)| digits.len() == 3 && !reason.is_empty())
        .and_then(|(digits, _)| digits.parse().ok())
        .ok_or_else(|| malformed("a status line of another form", head))?;
    let mut headers = Vec::new();
    for line in lines {
        let is_token = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let (name, value) = line
            .split_once(": ")
            .filter(|(name, value)| is_token(name) && !value.contains(['\r', '\n', '\0']))
            .ok_or_else(|| malformed("a field of another form", head))?;
        headers.push((name.to_owned(), value.to_owned()));
    }
    Ok((status, headers))
}
