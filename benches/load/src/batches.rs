//! A closed loop of batch requests: each connection has one under way, of a fixed number of records, and sends the next one when
//! its answer is whole. Lines are counted by their status; what they say beside it is not looked at.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::answer::{self, Reading};
use crate::client::SILENCE_S_MAX;
use crate::lines;
use crate::measured::Measured;
use crate::stock::{Request, Stock};

/// Connections that send batches.
pub struct Batches {
    connections: Vec<Connection>,
    records_count: usize,
}

struct Connection {
    stream: TcpStream,
    authority: String,
    record: Request,
    body: Vec<u8>,
    answer: Vec<u8>,
    sent_at: Instant,
    lines_sent: usize,
}

impl Batches {
    /// Opens the connections; each batch will have that many records.
    pub fn connect(
        address: SocketAddr,
        connections_count: usize,
        records_count: usize,
    ) -> io::Result<Self> {
        let open = |_| Connection::open(address);
        let connections = (0..connections_count)
            .map(open)
            .collect::<io::Result<_>>()?;
        Ok(Self {
            connections,
            records_count,
        })
    }

    /// Sends batches until the time is up or no record is left, then takes the answers under way. The figures are of records; their
    /// latency is that of the whole batch.
    ///
    /// # Errors
    /// A connection ended, an answer was not 200, or it had another number of lines than its batch.
    pub fn run(&mut self, stock: &mut Stock, duration: Duration) -> io::Result<Measured> {
        let mut measured = Measured::new(self.connections.len())?;
        let start = Instant::now();
        let count = self.records_count;
        for connection in &mut self.connections {
            connection.send(stock, count)?;
        }
        // Answers come about in the order of their batches, so taking them in turn leaves none waiting for long.
        while self.connections.iter().any(|it| it.lines_sent > 0) {
            for connection in &mut self.connections {
                if connection.lines_sent == 0 {
                    continue;
                }
                connection.take(&mut measured)?;
                if start.elapsed() < duration {
                    connection.send(stock, count)?;
                }
            }
        }
        measured.ran_dry = stock.left_count() == 0;
        measured.elapsed = start.elapsed();
        Ok(measured)
    }
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let silence = Duration::from_secs(SILENCE_S_MAX.unsigned_abs());
        stream.set_read_timeout(Some(silence))?;
        stream.set_write_timeout(Some(silence))?;
        Ok(Self {
            stream,
            authority: address.to_string(),
            record: Request::new(&address.to_string()),
            body: Vec::new(),
            answer: Vec::new(),
            sent_at: Instant::now(),
            lines_sent: 0,
        })
    }

    /// Sends a batch of the next records, if there is one.
    fn send(&mut self, stock: &mut Stock, records_count: usize) -> io::Result<()> {
        self.body.clear();
        self.lines_sent = 0;
        while self.lines_sent < records_count && stock.fill(&mut self.record) {
            self.body.extend_from_slice(self.record.body());
            self.body.push(b'\n');
            self.lines_sent += 1;
        }
        if self.lines_sent == 0 {
            return Ok(());
        }
        let head = format!(
            "POST /v1/pcs/batch HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
            self.authority,
            self.body.len()
        );
        self.sent_at = Instant::now();
        self.stream.write_all(head.as_bytes())?;
        self.stream.write_all(&self.body)
    }

    /// Waits for the answer of the batch under way, and counts its lines.
    fn take(&mut self, measured: &mut Measured) -> io::Result<()> {
        self.answer.clear();
        let mut input = [0; 64 * 1024];
        let answer = loop {
            // Its head says how long it is: behind large reads, looking again costs little.
            match answer::read(&self.answer) {
                Reading::Whole(answer) => break answer,
                Reading::Partial => {}
                Reading::Foreign => return Err(self.refused()),
            }
            match self.stream.read(&mut input)? {
                0 => return Err(io::Error::other("a connection ended before its answer")),
                count => self.answer.extend_from_slice(&input[..count]),
            }
        };
        let took = self.sent_at.elapsed();
        if answer.status != 200 || answer.end != self.answer.len() {
            return Err(self.refused());
        }
        let lines = lines::read(&self.answer[answer.body..]);
        let lines =
            lines.ok_or_else(|| io::Error::other("a batch's answer has lines of no gateway"))?;
        if lines.len() != self.lines_sent {
            let (lines, sent) = (lines.len(), self.lines_sent);
            return Err(io::Error::other(format!(
                "{lines} lines answer {sent} records"
            )));
        }
        lines.iter().for_each(|it| measured.count(it.status, took));
        self.lines_sent = 0;
        Ok(())
    }

    /// What came instead of an answer to a batch.
    fn refused(&self) -> io::Error {
        let text = String::from_utf8_lossy(&self.answer[..self.answer.len().min(300)]);
        io::Error::other(format!("a batch was answered: {text}"))
    }
}
