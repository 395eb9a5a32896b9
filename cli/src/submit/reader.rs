//! The thread that reads the input, as far ahead as the window allows, and what it knows of the rest when sending stops.
//! It never judges a record.

use crate::input::{Bodies, Body};
use crate::submit::window::Window;
use hyper::body::Bytes;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// For so long the rest of a file is read, to count what was not sent.
pub(super) const COUNT_WITHIN: Duration = Duration::from_secs(1);

/// A record on its way.
#[derive(Debug)]
pub(super) struct Item {
    /// Position in the input, from 0, without gaps.
    pub(super) index: u64,
    pub(super) line: u64,
    /// None if it is longer than any gateway takes.
    pub(super) body: Result<Bytes, u64>,
    /// What it occupies in the window.
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

/// What the reader did not hand on.
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

/// Reads on a thread of its own, which is left behind if it still waits for input when the program ends.
pub(super) fn start<R: Read + Send + 'static>(
    bodies: Bodies<R>,
    is_file: bool,
    window: Arc<Window>,
    items: UnboundedSender<Item>,
    rest: SyncSender<Rest>,
) {
    std::thread::spawn(move || {
        let left = read(bodies, is_file, &window, items);
        // it may come too late: the summary waits for a limited time
        rest.send(left).ok();
    });
}

fn read<R: Read>(
    mut bodies: Bodies<R>,
    is_file: bool,
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
        count(bodies, is_file, &mut rest);
    }
    rest
}

/// A pipe is not read any more: its writer may never end.
fn count<R: Read>(mut bodies: Bodies<R>, is_file: bool, rest: &mut Rest) {
    let until = Instant::now() + COUNT_WITHIN;
    rest.goes_on = true;
    while is_file && Instant::now() < until {
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
