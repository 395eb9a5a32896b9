//! Log lines on standard error. A thread writes them from a bounded queue, so a reader that stalls, fails or closes costs
//! only lines. Queueing a line never blocks, fails or panics. Lines of one event that exceed its rate are counted, not queued.

use super::{DriverError, clock, sandbox};
use crate::exit::Exit;
use crate::io::Now;
use crate::logs::events::{LinesDropped, LinesLeftOut, Panicked};
use crate::logs::limit::{LeftOut, Limiter};
use crate::logs::{self, Event, Line};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io::{ErrorKind, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines in the queue; further ones are dropped.
const LINES_MAX: usize = 1024;
/// How long the end of the process waits for its last lines, in microseconds.
const LAST_LINES_US: u64 = 1_000_000;

/// The queue of lines. Clones share it.
#[derive(Clone, Debug)]
pub struct Console {
    shared: Arc<Shared>,
}

/// What a console says by itself, as lines of the process that it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct OwnLines {
    /// So many lines could not be written.
    pub dropped: fn(u64) -> Line,
    /// Lines of one event were left out.
    pub left_out: fn(&LeftOut) -> Line,
    /// This thread panicked; what is said of it.
    pub panicked: fn(String, String) -> Line,
}

/// The number of lines that could not be written, as a sentence.
pub fn dropped_message(lines_count: u64) -> String {
    format!("{lines_count} lines before this one could not be written")
}

/// Those of the gateway.
const OF_GATEWAY: OwnLines = OwnLines {
    dropped: |lines_count| Line::new(LinesDropped { lines_count }, dropped_message(lines_count)),
    left_out: |left_out| {
        let event = LinesLeftOut {
            of_event: left_out.kind.name,
            shard: left_out.shard,
            lines_count: left_out.count,
        };
        Line::new(event, left_out.message())
    },
    panicked: |thread, message| Line::new(Panicked { thread }, message),
};

#[derive(Debug)]
struct Shared {
    own_lines: OwnLines,
    queue: Mutex<Queue>,
    /// Something was queued, or written.
    changed: Condvar,
    dropped: Arc<AtomicU64>,
    left_out: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whole lines, as they are written.
    lines: VecDeque<String>,
    limiter: Limiter,
    /// The writer has taken a line and not finished it.
    writing: bool,
}

impl Console {
    /// Starts the writer. The signals of the process must be blocked before, as for every thread.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start() -> Result<Console, DriverError> {
        Console::start_with(OF_GATEWAY)
    }

    /// The same in another process than the gateway's, with lines of its own.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start_with(own_lines: OwnLines) -> Result<Console, DriverError> {
        Console::open(own_lines, std::io::stderr())
    }

    #[cfg(test)]
    pub(super) fn writing_to(out: impl AsFd + Send + 'static) -> Result<Console, DriverError> {
        Console::open(OF_GATEWAY, out)
    }

    fn open(own_lines: OwnLines, out: impl AsFd + Send + 'static) -> Result<Console, DriverError> {
        let shared = Arc::new(Shared {
            own_lines,
            queue: Mutex::default(),
            changed: Condvar::new(),
            dropped: Arc::default(),
            left_out: Arc::default(),
        });
        let writer = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("flk-console".to_owned())
            .spawn(move || {
                sandbox::give_up_files();
                writer.write_all_to(out.as_fd());
            })
            .map_err(|error| DriverError::new("start the thread that writes log lines", error))?;
        Ok(Console { shared })
    }

    /// Queues the line of an event. If the queue is full the line is dropped and counted; if there are too many of its kind
    /// it is left out and counted.
    pub fn say(&self, event: impl Event, message: impl Into<String>) {
        self.put(&Line::new(event, message));
    }

    /// The same for a line that was made elsewhere.
    pub fn put(&self, line: &Line) {
        let now = clock::now();
        // A line may be long, and others wait for the queue.
        let text = whole(line, now);
        let mut queue = self.shared.lock();
        self.shared.tell_left_out(&mut queue, now);
        match queue.limiter.pass(line, now.mono_us) {
            true => self.shared.push(&mut queue, text),
            false => {
                self.shared.left_out.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop(queue);
        self.shared.changed.notify_all();
    }

    /// Waits at most one second until all lines are written. For the end of the process.
    pub fn flush(&self) {
        let now = clock::now();
        let until_us = now.mono_us + LAST_LINES_US;
        let mut queue = self.shared.lock();
        let rest = queue.limiter.rest();
        self.shared.push_left_out(&mut queue, &rest, now);
        self.shared.changed.notify_all();
        while queue.writing || !queue.lines.is_empty() {
            let left_us = until_us.saturating_sub(clock::now().mono_us);
            if left_us == 0 {
                return;
            }
            let left = Duration::from_micros(left_us);
            let waited = self.shared.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The number of dropped lines.
    pub fn dropped_count(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.dropped)
    }

    /// The number of lines that were left out because there were too many of their kind.
    pub fn left_out_count(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.left_out)
    }

    /// Queues the lines of panics too. The default hook of the standard library writes them directly and would block for
    /// ever if standard error is not read.
    pub fn say_panics(&self) {
        let console = self.clone();
        std::panic::set_hook(Box::new(move |panic| {
            let backtrace = std::backtrace::Backtrace::capture();
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("without a name").to_owned();
            let mut text = format!("thread {name}: {panic}");
            if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
                text = format!("{text}\n{backtrace}");
            }
            console.put(&(console.shared.own_lines.panicked)(name, text));
            console.flush();
        }));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, queue: &mut Queue, line: String) {
        if queue.lines.len() >= LINES_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.lines.push_back(line);
    }

    /// Queues what is said of lines that were left out, once their time is over.
    fn tell_left_out(&self, queue: &mut Queue, now: Now) {
        let due = queue.limiter.due(now.mono_us);
        self.push_left_out(queue, &due, now);
    }

    fn push_left_out(&self, queue: &mut Queue, all: &[LeftOut], now: Now) {
        for left_out in all {
            let line = (self.own_lines.left_out)(left_out);
            self.push(queue, whole(&line, now));
        }
    }

    /// The loop of the writer, until the process ends.
    fn write_all_to(&self, out: BorrowedFd<'_>) {
        let mut reported_count = 0;
        loop {
            let line = self.take();
            let dropped_count = self.dropped.load(Ordering::Relaxed);
            let news = dropped_count - reported_count;
            if news > 0 {
                let lost = whole(&(self.own_lines.dropped)(news), clock::now());
                if write(out, lost.as_bytes()).is_ok() {
                    reported_count = dropped_count;
                }
            }
            if write(out, line.as_bytes()).is_err() {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            self.lock().writing = false;
            self.changed.notify_all();
        }
    }

    fn take(&self) -> String {
        let mut queue = self.lock();
        loop {
            let now = clock::now();
            self.tell_left_out(&mut queue, now);
            if let Some(line) = queue.lines.pop_front() {
                queue.writing = true;
                return line;
            }
            // Without a line that was left out there is nothing to wake up for.
            queue = match queue.limiter.due_us() {
                Some(due_us) => {
                    let left = Duration::from_micros(due_us.saturating_sub(now.mono_us));
                    let waited = self.changed.wait_timeout(queue, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.changed.wait(queue);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

/// A line with its end, in the format of this process.
fn whole(line: &Line, now: Now) -> String {
    line.render(logs::format(), now.wall_us) + "\n"
}

/// Writes all bytes, however long that takes. After an error the rest is dropped.
fn write(out: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(out, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // Another process may have made this terminal or pipe non-blocking.
            Err(Errno::AGAIN) => {
                let mut polled = [PollFd::from_borrowed_fd(out, PollFlags::OUT)];
                // It fails only if interrupted; then the write is tried again.
                let _ = poll(&mut polled, None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Prints a text on standard output, and returns the exit code that goes with it. A closed pipe is not a failure.
pub fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match printed {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => ExitCode::from(Exit::File.code()),
        _ => ExitCode::SUCCESS,
    }
}

/// Prints one line where there is no [`Console`], if standard error takes it at once.
pub fn last_words(event: impl Event, message: impl Into<String>) {
    let line = whole(&Line::new(event, message), clock::now());
    let stderr = std::io::stderr();
    let mut polled = [PollFd::new(&stderr, PollFlags::OUT)];
    let at_once = Timespec::default();
    if poll(&mut polled, Some(&at_once)).is_ok_and(|ready| ready > 0) {
        // A line that cannot be written is lost.
        let _ = rustix::io::write(&stderr, line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::events::{Draining, SignalIgnored};
    use crate::logs::{LINE_BYTES_MAX, Rate};
    use std::fs::File;
    use std::io::Read;

    fn dropped(console: &Console) -> u64 {
        console.dropped_count().load(Ordering::Relaxed)
    }

    #[test]
    fn lines_are_written_in_order_and_long_ones_are_cut() {
        let (reader, writer) = std::io::pipe().unwrap();
        let console = Console::writing_to(writer).unwrap();
        console.say(Draining {}, "first");
        console.say(Draining {}, "second");
        console.say(Draining {}, "ä".repeat(LINE_BYTES_MAX));
        console.flush();
        let mut text = [0; 2 * LINE_BYTES_MAX];
        let bytes = rustix::io::read(&reader, &mut text).unwrap();
        let text = std::str::from_utf8(&text[..bytes]).unwrap();
        assert!(
            text.starts_with("flk: first\nflk: second\nflk: ää"),
            "{text}"
        );
        assert!(text.ends_with("ä…\n"));
        assert_eq!(dropped(&console), 0);
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let console = Console::writing_to(full).unwrap();
        console.say(Draining {}, "one");
        console.say(Draining {}, "two");
        console.flush();
        assert_eq!(dropped(&console), 2);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let console = Console::writing_to(writer).unwrap();
        console.say(Draining {}, "one");
        console.flush();
        assert_eq!(dropped(&console), 1);
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_is_told_of_them() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let console = Console::writing_to(writer).unwrap();
        // More than the pipe and the queue hold; nothing of it blocks.
        let line = "x".repeat(1024);
        for _ in 0..2 * LINES_MAX {
            console.say(Draining {}, line.as_str());
        }
        let lost = dropped(&console);
        assert!(lost > 0);
        let mut text = vec![0; 512 * 1024];
        reader.read_exact(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let told = text.lines().filter_map(|line| {
            let (count, _) = line.strip_prefix("flk: ")?.split_once(" lines before")?;
            count.parse::<u64>().ok()
        });
        assert_eq!(told.sum::<u64>(), lost);
    }

    #[test]
    fn lines_beyond_their_rate_are_counted_and_the_end_tells_how_many() {
        let Rate::Per10s(most) = SignalIgnored::KIND.rate else {
            unreachable!("it may happen at any rate");
        };
        let (mut reader, writer) = std::io::pipe().unwrap();
        let console = Console::writing_to(writer).unwrap();
        for _ in 0..most + 42 {
            let signal = "SIGHUP";
            console.say(SignalIgnored { signal }, "ignored");
        }
        console.say(Draining {}, "draining");
        assert_eq!(console.left_out_count().load(Ordering::Relaxed), 42);
        console.flush();
        let last = "42 more lines of this kind in 10 s were left out: signal.ignored";
        let ignored = "flk: ignored\n".repeat(most as usize);
        let expected = format!("{ignored}flk: draining\nflk: {last}\n");
        let mut text = vec![0; expected.len()];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        assert_eq!(dropped(&console), 0);
    }
}
