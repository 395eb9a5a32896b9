//! Lines for the operator on standard error. A full or closed standard error never stops control; no line holds a secret,
//! for nothing that control reads of a key reaches this module. Lines that exceed the rate of their event are counted.

use crate::events::{LinesLeftOut, Panicked};
use flk_dataplane::driver::clock;
use flk_dataplane::io::Now;
use flk_dataplane::logs::limit::{LeftOut, Limiter};
use flk_dataplane::logs::{self, Event, Line};
use std::io::Write;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Lines that wait for the writer.
const LINES_QUEUED_MAX: usize = 1024;
/// How long the end of the process waits for them.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How often lines that were left out are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);

static LIMITER: Mutex<Option<Limiter>> = Mutex::new(None);

fn limiter() -> MutexGuard<'static, Option<Limiter>> {
    LIMITER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints the line of an event, unless there are too many of its kind.
pub fn say(event: impl Event, message: impl Into<String>) {
    let now = clock::now();
    tell_left_out(now);
    let line = Line::new(event, message);
    let passes = limiter().get_or_insert_default().pass(&line, now.mono_us);
    if passes {
        print(&line, now);
    }
}

/// Says what was left out and not told yet, and waits for the last lines, for the end of the process.
pub fn tell_the_rest() {
    let rest = limiter().get_or_insert_default().rest();
    tell(&rest, clock::now());
    flush();
}

/// Says every ten seconds what was left out in them, for as long as control runs.
pub async fn keep_telling_left_out() {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        tell_left_out(clock::now());
    }
}

/// Says panics like all other lines.
pub fn say_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("without a name").to_owned();
        let message = format!("thread {thread}: {panic}");
        say(Panicked { thread }, message);
        flush();
    }));
}

fn tell_left_out(now: Now) {
    let due = limiter().get_or_insert_default().due(now.mono_us);
    tell(&due, now);
}

fn tell(all: &[LeftOut], now: Now) {
    for left_out in all {
        let event = LinesLeftOut {
            of_event: left_out.kind.name,
            lines_count: left_out.count,
        };
        print(&Line::new(event, left_out.message()), now);
    }
}

/// In one write: other processes may say their lines to the same place.
fn print(line: &Line, now: Now) {
    let text = line.render(logs::format(), now.wall_us) + "\n";
    match writer() {
        // If the queue is full the line is lost: metrics and status still tell.
        Some(writer) => drop(writer.try_send(Job::Write(text))),
        None => drop(std::io::stderr().write_all(text.as_bytes())),
    }
}

/// Waits at most a second until all lines are written.
fn flush() {
    let (sender, written) = mpsc::channel();
    if let Some(writer) = writer()
        && writer.try_send(Job::Tell(sender)).is_ok()
    {
        let _ = written.recv_timeout(LAST_LINES);
    }
}

/// What the writer is to do.
enum Job {
    Write(String),
    Tell(mpsc::Sender<()>),
}

/// The thread that writes: a reader of standard error that stops reading stops it, and nothing else. None: it cannot be started.
fn writer() -> Option<&'static SyncSender<Job>> {
    static WRITER: OnceLock<Option<SyncSender<Job>>> = OnceLock::new();
    let start = || {
        let (sender, jobs) = mpsc::sync_channel(LINES_QUEUED_MAX);
        let write = move || {
            for job in jobs {
                match job {
                    Job::Write(text) => drop(std::io::stderr().write_all(text.as_bytes())),
                    Job::Tell(written) => drop(written.send(())),
                }
            }
        };
        let thread = std::thread::Builder::new().name("flk-console".to_owned());
        thread.spawn(write).ok().map(|_| sender)
    };
    WRITER.get_or_init(start).as_ref()
}
