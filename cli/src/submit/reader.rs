//! The thread that reads the input, as far ahead as the window allows. When sending stops, it counts the rest. It never
//! judges a record.

use crate::input::{Bodies, Body};
use crate::submit::window::Window;
use hyper::body::Bytes;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// How long the rest of a file is read, to count what was not sent.
pub(super) const COUNT_WITHIN: Duration = Duration::from_secs(1);

/// A record to send.
#[derive(Debug)]
pub(super) struct Item {
    /// Position in the input, from 0, without gaps.
    pub(super) index: u64,
    pub(super) line: u64,
    /// None if it is longer than any gateway accepts.
    pub(super) body: Result<Bytes, u64>,
    /// Its share of the window.
    pub(super) window_bytes: usize,
}

impl Item {
    fn new(index: u64, body: Body) -> Self {
        let window_bytes = body.bytes.len();
        Self {
            index,
            line: body.line,
            body: match body.is_cut() {
                true => Err(body.bytes_count),
                false => Ok(body.bytes.into()),
            },
            window_bytes,
        }
    }
}

/// The part of the input that was not sent.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// Records that were counted.
    pub(super) records: u64,
    /// Where the first of them begins.
    pub(super) line: Option<u64>,
    /// There may be more.
    pub(super) goes_on: bool,
    /// Why the input could not be read to its end.
    pub(super) error: Option<io::Error>,
}

/// Where the input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A file, which has an end.
    File,
    /// A pipe or a terminal.
    Stream,
}

/// Starts the reader thread. It is abandoned if it still waits for input when the program ends.
pub(super) fn start<R: Read + Send + 'static>(
    bodies: Bodies<R>,
    source: Source,
    window: Arc<Window>,
    items: UnboundedSender<Item>,
    rest: SyncSender<Rest>,
) {
    std::thread::spawn(move || {
        let left = read(bodies, source, &window, items);
        // the receiver may be gone: the summary waits for a limited time
        rest.send(left).ok();
    });
}

fn read<R: Read>(
    mut bodies: Bodies<R>,
    source: Source,
    window: &Window,
    items: UnboundedSender<Item>,
) -> Rest {
    let mut rest = Rest::default();
    for (index, body) in (0..).zip(bodies.by_ref()) {
        let body = match body {
            Ok(body) => body,
            Err(error) => {
                rest.error = Some(error);
                return rest;
            }
        };
        let item = Item::new(index, body);
        let line = item.line;
        if !window.enter(item.window_bytes) || items.send(item).is_err() {
            rest.line = Some(line);
            rest.records = 1;
            break;
        }
    }
    drop(items);
    if rest.line.is_some() {
        count(bodies, source, &mut rest);
    }
    rest
}

/// Counts the rest of a file. A stream is not read further: its writer may never end.
fn count<R: Read>(mut bodies: Bodies<R>, source: Source, rest: &mut Rest) {
    let until = Instant::now() + COUNT_WITHIN;
    rest.goes_on = true;
    while source == Source::File && Instant::now() < until {
        match bodies.next() {
            Some(Ok(_)) => rest.records += 1,
            Some(Err(_)) => return,
            None => {
                rest.goes_on = false;
                return;
            }
        }
    }
}
