//! A child process beside a test: what it writes is read line by line, it takes signals, and it is waited for with a
//! deadline. It never outlives its value.

use crate::wait::{DEADLINE, comes_true};
use rustix::process::{Pid, Signal, kill_process};
use seccompiler::{BpfProgram, apply_filter};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a process has written to one of its pipes so far.
#[derive(Clone, Default)]
pub struct Lines(Arc<(Mutex<Text>, Condvar)>);

#[derive(Default)]
struct Text {
    text: String,
    /// When each line came.
    times: Vec<Instant>,
    ended: bool,
}

impl Lines {
    /// Reads a pipe to its end on a thread of its own.
    fn read(pipe: impl Read + Send + 'static) -> (Lines, JoinHandle<()>) {
        let lines = Lines::default();
        let read = lines.clone();
        let reader = std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe
                .read_until(b'\n', &mut line)
                .is_ok_and(|bytes| bytes > 0)
            {
                read.add(Some(&String::from_utf8_lossy(&line)));
                line.clear();
            }
            read.add(None);
        });
        (lines, reader)
    }

    fn add(&self, line: Option<&str>) {
        let (text, changed) = &*self.0;
        let mut text = text.lock().unwrap();
        match line {
            Some(line) => {
                text.text.push_str(line);
                text.times.push(Instant::now());
            }
            None => text.ended = true,
        }
        changed.notify_all();
    }

    /// All of it.
    pub fn so_far(&self) -> String {
        self.0.0.lock().unwrap().text.clone()
    }

    /// All lines, each with the moment when it came.
    pub fn with_times(&self) -> Vec<(Instant, String)> {
        let text = self.0.0.lock().unwrap();
        let lines = text.text.lines().map(str::to_owned);
        text.times.iter().copied().zip(lines).collect()
    }

    /// Waits for something in the text; `None`: the pipe is closed or the time is over, and it is not there.
    pub fn wait_for<T>(&self, within: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let (text, changed) = &*self.0;
        let until = Instant::now() + within;
        let mut text = text.lock().unwrap();
        loop {
            if let Some(found) = find(&text.text) {
                return Some(found);
            }
            let left = until.checked_duration_since(Instant::now())?;
            if text.ended {
                return None;
            }
            text = changed.wait_timeout(text, left).unwrap().0;
        }
    }
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// Everything that it said on standard error.
    pub said: String,
    /// From the wait to the end.
    pub took: Duration,
}

impl Ended {
    /// The exit code; panics where a signal ended it.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("ended by a signal: {self}"))
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}; it said:\n{}", self.status, self.said)
    }
}

impl std::error::Error for Ended {}

/// A running process; killed when dropped.
pub struct Process {
    child: Child,
    printed: Lines,
    said: Lines,
    readers: Vec<JoinHandle<()>>,
    /// Keeps the thread that started it, with which a process under `PR_SET_PDEATHSIG` would die.
    _starter: Option<Sender<()>>,
}

impl Process {
    /// Starts it. What is a pipe in the command is read from then on.
    pub fn start(mut command: Command) -> io::Result<Process> {
        let child = command.spawn()?;
        Ok(Process::of(child, None))
    }

    /// Starts it under a filter of its system calls, which holds for it and for what it starts, and for nothing else.
    pub fn start_under(filter: BpfProgram, mut command: Command) -> io::Result<Process> {
        let (starter, ended) = channel::<()>();
        let (tell, spawned) = channel();
        // A filter holds for the thread that installs it and for what that thread starts.
        std::thread::spawn(move || {
            let child = apply_filter(&filter)
                .map_err(io::Error::other)
                .and_then(|()| command.spawn());
            let _ = tell.send(child);
            let _ = ended.recv();
        });
        let child = spawned.recv().map_err(io::Error::other)??;
        Ok(Process::of(child, Some(starter)))
    }

    fn of(mut child: Child, starter: Option<Sender<()>>) -> Process {
        let mut readers = Vec::new();
        let mut lines = |read: Option<(Lines, JoinHandle<()>)>| {
            let (lines, reader) = read.unzip();
            readers.extend(reader);
            lines.unwrap_or_default()
        };
        let printed = lines(child.stdout.take().map(Lines::read));
        let said = lines(child.stderr.take().map(Lines::read));
        Process {
            child,
            printed,
            said,
            readers,
            _starter: starter,
        }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output, if that is a pipe.
    pub fn printed(&self) -> &Lines {
        &self.printed
    }

    /// Its standard error, if that is a pipe.
    pub fn lines(&self) -> &Lines {
        &self.said
    }

    /// Everything that it has said on standard error so far.
    pub fn said(&self) -> String {
        self.said.so_far()
    }

    /// Waits until it has said this.
    pub fn wait_until_said(&self, what: &str) {
        let found = self
            .said
            .wait_for(DEADLINE, |text| text.contains(what).then_some(()));
        assert!(
            found.is_some(),
            "it never said {what:?} but:\n{}",
            self.said()
        );
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id() as i32).expect("a process id");
        // A process that has ended already takes no signal; what it ended with is looked at anyway.
        let _ = kill_process(id, signal);
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Halts all its threads: the kernel goes on taking connections and bytes for it.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`Process::freeze`].
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to stop and returns how it did.
    pub fn stop(&mut self) -> Ended {
        self.terminate();
        self.ended(DEADLINE)
    }

    /// Ends it at once, wherever it is.
    pub fn kill(&mut self) -> Ended {
        self.signal(Signal::KILL);
        self.ended(DEADLINE)
    }

    /// Waits for its end.
    pub fn ended(&mut self, within: Duration) -> Ended {
        let from = Instant::now();
        let mut status = None;
        comes_true(within, || {
            status = self.child.try_wait().expect("the process is ours");
            status.is_some()
        });
        let took = from.elapsed();
        let Some(status) = status else {
            // Not left to the drop: a bench is built without unwinding.
            self.signal(Signal::KILL);
            panic!("still running after {within:?}; it said:\n{}", self.said());
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("the reader of its lines");
        }
        Ended {
            status,
            said: self.said(),
            took,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("process {} said:\n{}", self.id(), self.said());
        }
    }
}
