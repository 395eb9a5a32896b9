//! Log lines on standard error. A thread writes them from a bounded queue, so a reader that stalls, fails or closes costs
//! only lines. Queueing a line never blocks, fails or panics.

use super::{DriverError, clock, sandbox};
use crate::exit::Exit;
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
/// A longer line is cut: a path or a value in it may have any length.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// How long the end of the process waits for its last lines, in microseconds.
const LAST_LINES_US: u64 = 1_000_000;

/// The queue of lines. Clones share it.
#[derive(Clone, Debug)]
pub struct Console {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something was queued, or written.
    changed: Condvar,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<String>,
    /// The writer has taken a line and not finished it.
    writing: bool,
}

impl Console {
    /// Starts the writer. The signals of the process must be blocked before, as for every thread.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start() -> Result<Console, DriverError> {
        Console::writing_to(std::io::stderr())
    }

    pub(super) fn writing_to(out: impl AsFd + Send + 'static) -> Result<Console, DriverError> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            dropped: Arc::default(),
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

    /// Queues one line, or several with line ends between them. If the queue is full the line is dropped and counted.
    pub fn say(&self, line: impl Into<String>) {
        let mut line = line.into();
        if line.len() > LINE_BYTES_MAX {
            line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
            line.push('…');
        }
        line.push('\n');
        let mut queue = self.shared.lock();
        if queue.lines.len() >= LINES_MAX {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.lines.push_back(line);
        drop(queue);
        self.shared.changed.notify_all();
    }

    /// Waits at most one second until all lines are written. For the end of the process.
    pub fn flush(&self) {
        let until_us = clock::now().mono_us + LAST_LINES_US;
        let mut queue = self.shared.lock();
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

    /// Queues the lines of panics too. The default hook of the standard library writes them directly and would block for
    /// ever if standard error is not read.
    pub fn say_panics(&self) {
        let console = self.clone();
        std::panic::set_hook(Box::new(move |panic| {
            let backtrace = std::backtrace::Backtrace::capture();
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("without a name").to_owned();
            let mut text = format!("flk: thread {name}: {panic}");
            if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
                text = format!("{text}\n{backtrace}");
            }
            console.say(text);
            console.flush();
        }));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop of the writer, until the process ends.
    fn write_all_to(&self, out: BorrowedFd<'_>) {
        let mut told_count = 0;
        loop {
            let line = self.take();
            let dropped_count = self.dropped.load(Ordering::Relaxed);
            let news = dropped_count - told_count;
            if news > 0 {
                let lost = format!("flk: {news} lines before this one could not be written\n");
                if write(out, lost.as_bytes()).is_ok() {
                    told_count = dropped_count;
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
            if let Some(line) = queue.lines.pop_front() {
                queue.writing = true;
                return line;
            }
            let waited = self.changed.wait(queue);
            queue = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
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
pub fn last_words(line: &str) {
    let stderr = std::io::stderr();
    let mut polled = [PollFd::new(&stderr, PollFlags::OUT)];
    let at_once = Timespec::default();
    if poll(&mut polled, Some(&at_once)).is_ok_and(|ready| ready > 0) {
        // A line that cannot be written is lost.
        let _ = rustix::io::write(&stderr, format!("{line}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    fn dropped(console: &Console) -> u64 {
        console.dropped_count().load(Ordering::Relaxed)
    }

    #[test]
    fn lines_are_written_in_order_and_long_ones_are_cut() {
        let (reader, writer) = std::io::pipe().unwrap();
        let console = Console::writing_to(writer).unwrap();
        console.say("first");
        console.say("second");
        console.say("ä".repeat(LINE_BYTES_MAX));
        console.flush();
        let mut text = [0; 2 * LINE_BYTES_MAX];
        let bytes = rustix::io::read(&reader, &mut text).unwrap();
        let text = std::str::from_utf8(&text[..bytes]).unwrap();
        assert!(text.starts_with("first\nsecond\nää"), "{text}");
        assert!(text.ends_with("ä…\n"));
        assert_eq!(dropped(&console), 0);
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let console = Console::writing_to(full).unwrap();
        console.say("one");
        console.say("two");
        console.flush();
        assert_eq!(dropped(&console), 2);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let console = Console::writing_to(writer).unwrap();
        console.say("one");
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
            console.say(line.as_str());
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
}
