//! Keeps a control process alive beside a gateway: starts it, starts it again with a growing pause, and stops it. The child
//! ends with its standard input, so none outlives its parent, however that ends. It never holds the gateway up.

use crate::events::UpControlEnded;
use crate::say::{say, tell_the_rest};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// The pauses before it is started again.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A child that ran this long starts from the shortest pause again.
const STEADY: Duration = Duration::from_secs(60);
/// Time to end by itself after its standard input ended.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Variables of a service manager that means the parent.
const NOT_FOR_THE_CHILD: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

enum News {
    Stop,
    Reload,
    Ended(Option<ExitStatus>),
}

/// A control process that is kept alive.
#[derive(Debug)]
pub struct Supervisor {
    news: Sender<News>,
    ended: Receiver<()>,
}

impl Supervisor {
    /// Starts a thread that waits for a command, starts it, and starts it again when it ends. To be called before this
    /// process gives up rights that the child needs.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(command: Receiver<Command>) -> std::io::Result<Supervisor> {
        let (sender, receiver) = channel();
        let of_children = sender.clone();
        let (end, ended) = channel();
        std::thread::Builder::new()
            .name("flk-supervisor".to_owned())
            .spawn(move || {
                // No command comes if the gateway does not start.
                if let Ok(command) = command.recv() {
                    keep_alive(command, &receiver, &of_children);
                }
                drop(end);
            })?;
        Ok(Supervisor {
            news: sender,
            ended,
        })
    }

    /// What makes the child reload its configuration. It can be called from any thread, and never waits.
    pub fn reload(&self) -> Box<dyn Fn() + Send + Sync> {
        let news = self.news.clone();
        Box::new(move || {
            // Without a listener nothing is kept alive any more.
            let _ = news.send(News::Reload);
        })
    }

    /// Stops the child and waits for its end, for a bounded time: a thread that hangs in a line that nothing reads holds
    /// nothing up. The sender of the command must be gone.
    pub fn stop(self) {
        // Without a listener the thread has ended already.
        let _ = self.news.send(News::Stop);
        let _ = self.ended.recv_timeout(2 * STOP_MAX);
        tell_the_rest();
    }
}

fn keep_alive(mut command: Command, receiver: &Receiver<News>, sender: &Sender<News>) {
    // A group of its own: Ctrl-C in a terminal is for the gateway, which stops it in turn.
    command.stdin(Stdio::piped()).process_group(0);
    for name in NOT_FOR_THE_CHILD {
        command.env_remove(name);
    }
    let mut pause = PAUSE_MIN;
    loop {
        let begun = Instant::now();
        let how = match command.spawn() {
            Err(error) => format!("cannot be started: {error}"),
            Ok(child) => match run_child(child, receiver, sender) {
                Some(how) => how,
                None => return,
            },
        };
        if begun.elapsed() >= STEADY {
            pause = PAUSE_MIN;
        }
        let pause_ms = pause.as_millis() as u64;
        say(
            UpControlEnded { pause_ms },
            format!(
                "it {how}; traffic is served on under the snapshot in force, and it is started again in {pause_ms} ms"
            ),
        );
        match receiver.recv_timeout(pause) {
            // The next one reads the configuration when it starts.
            Ok(News::Reload) | Err(RecvTimeoutError::Timeout) => {}
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Waits for the end of a child; how it ended, or nothing if it was stopped.
fn run_child(mut child: Child, receiver: &Receiver<News>, sender: &Sender<News>) -> Option<String> {
    let lifeline = child.stdin.take();
    let descriptor = descriptor(&child);
    let sender = sender.clone();
    let waiter = std::thread::Builder::new().name("flk-wait".to_owned());
    let waiter = waiter.spawn(move || {
        // If nothing listens any more, the process ends.
        let _ = sender.send(News::Ended(child.wait().ok()));
    });
    let waiter = match waiter {
        Ok(waiter) => waiter,
        // It ends with its standard input. A limit of threads must not end the gateway.
        Err(error) => return Some(format!("cannot be waited for: {error}")),
    };
    let how = loop {
        match receiver.recv() {
            Ok(News::Ended(Some(status))) => break Some(format!("ended ({status})")),
            Ok(News::Ended(None)) => break Some("ended".to_owned()),
            // The child has it blocked, as this process does, until it handles it: that ends none that has just begun.
            Ok(News::Reload) => send(descriptor.as_ref(), Signal::HUP),
            Ok(News::Stop) | Err(_) => {
                drop(lifeline);
                if !ends_within(STOP_MAX, receiver) {
                    send(descriptor.as_ref(), Signal::KILL);
                }
                break None;
            }
        }
    };
    let _ = waiter.join();
    how
}

fn ends_within(time: Duration, receiver: &Receiver<News>) -> bool {
    let until = Instant::now() + time;
    loop {
        match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(News::Ended(_)) => return true,
            Ok(News::Stop | News::Reload) => {}
            Err(_) => return false,
        }
    }
}

/// A child that has ended in the meantime takes no signal.
fn send(descriptor: Option<&OwnedFd>, signal: Signal) {
    if let Some(descriptor) = descriptor {
        let _ = pidfd_send_signal(descriptor, signal);
    }
}

/// Names the child even after its end, when its number may be another's.
fn descriptor(child: &Child) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(child.id()).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}
