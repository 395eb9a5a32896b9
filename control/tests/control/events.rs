//! A stream of the console as a browser reads it.

use crate::world::Control;
use flk_testkit::DEADLINE;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A stream that is open.
pub(crate) struct Events {
    reader: BufReader<TcpStream>,
    text: String,
}

/// An event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

impl Events {
    /// Asks for a stream; the status of the answer, if it is none.
    pub(crate) fn open(control: &Control, query: &str, fields: &str) -> Result<Events, u16> {
        let mut stream = TcpStream::connect(control.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let host = control.address();
        let request =
            format!("GET /v1/console/stream?{query} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut events = Events {
            reader: BufReader::new(stream),
            text: String::new(),
        };
        let head = events.line();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        while !events.line().is_empty() {}
        match status {
            200 => Ok(events),
            other => Err(other),
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next event; none: the stream has ended.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.to_owned();
                self.text = rest.to_owned();
                let of = |name: &str| event.lines().find_map(|it| it.strip_prefix(name));
                // Comments and times are no events.
                let (Some(name), Some(data)) = (of("event: "), of("data: ")) else {
                    continue;
                };
                return Some(Event {
                    name: name.to_owned(),
                    id: of("id: ").unwrap_or_default().to_owned(),
                    data: serde_json::from_str(data).unwrap(),
                });
            }
            let mut size = String::new();
            if self.reader.read_line(&mut size).ok()? == 0 {
                return None;
            }
            let bytes = usize::from_str_radix(size.trim_end(), 16).unwrap();
            let mut chunk = vec![0; bytes + 2];
            self.reader.read_exact(&mut chunk).ok()?;
            if bytes == 0 {
                return None;
            }
            self.text
                .push_str(std::str::from_utf8(&chunk[..bytes]).unwrap());
        }
    }

    /// The next event of this name, whatever comes before.
    pub(crate) fn until(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().expect("the stream goes on");
            if event.name == name {
                return event;
            }
        }
    }
}
