//! One run: a thread that reads, one that sends over all connections, one that shows. This file connects them, handles
//! Ctrl-C, and prints the summary.

use crate::CommandResult;
use crate::exit::{Exit, Failure};
use crate::fault;
use crate::input::{self, Bodies};
use crate::progress::Progress;
use crate::submit::reader::{self, COUNT_WITHIN, Rest, Source};
use crate::submit::report::Form;
use crate::submit::send::send_all;
use crate::submit::shared::{Plan, Shared};
use crate::submit::show;
use crate::submit::stop::{SendStop, Why};
use crate::submit::tally::End;
use crate::submit::window::Window;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, interval, sleep_until};

/// How long to wait for outstanding answers after Ctrl-C.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait for a thread that may be blocked on a pipe.
const BLOCKED_WITHIN: Duration = Duration::from_millis(200);

/// Input and output of a run.
pub(super) struct Ends<'a> {
    pub(super) file: &'a Path,
    pub(super) url: String,
    pub(super) form: Form,
}

/// Sends all records and shows the answers.
pub(super) fn run(plan: Plan, ends: &Ends<'_>) -> CommandResult {
    let bodies = Bodies::new(input::open(ends.file)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| cannot_start(&error))?;
    let local = tokio::task::LocalSet::new();
    let answer = local.block_on(&runtime, run_with(plan, bodies, ends));
    // a look-up of a name may still be running
    runtime.shutdown_background();
    answer
}

fn cannot_start(error: &std::io::Error) -> Failure {
    let why = fault::why(error);
    Failure::with(
        Exit::File,
        format!("cannot start: {why} (see ulimit -n, the limit of open files)"),
    )
}

async fn run_with<R: Read + Send + 'static>(
    plan: Plan,
    bodies: Bodies<R>,
    ends: &Ends<'_>,
) -> CommandResult {
    let total_bytes = input::bytes_count(ends.file);
    let interrupts = Interrupts::new().map_err(|error| cannot_start(&error))?;
    let stop = SendStop::new();
    let window = Arc::new(Window::default());
    let (to_send, items) = unbounded_channel();
    let (to_show, answers) = channel();
    let (left, rest) = sync_channel(1);
    let source = match total_bytes {
        Some(_) => Source::File,
        None => Source::Stream,
    };
    reader::start(bodies, source, window.clone(), to_send, left);
    let shown = show::start(ends.form, window.clone(), stop.clone(), answers);
    let shared = Rc::new(Shared::new(plan, stop.clone(), items, to_show));
    let progress = watch(&shared, &stop, interrupts, total_bytes).await;

    window.close();
    let wait = if source == Source::File {
        COUNT_WITHIN
    } else {
        Duration::ZERO
    } + BLOCKED_WITHIN;
    let unread = Rest {
        goes_on: true,
        ..Rest::default()
    };
    let rest = rest.recv_timeout(wait).unwrap_or(unread);
    let tally = shared.end();
    // when the last sender is gone, the rest is shown
    drop(shared);
    let limit = match stop.why() {
        Some(Why::Interrupted) => GRACE,
        _ => Duration::MAX,
    };
    let _ = tokio::time::timeout(limit, shown).await;
    end(tally, &stop, &rest, progress, ends)
}

fn end(
    mut tally: crate::submit::tally::Tally,
    stop: &SendStop,
    rest: &Rest,
    mut progress: Progress,
    ends: &Ends<'_>,
) -> CommandResult {
    progress.clear();
    let why = stop.why();
    if tally.is_empty() && why.is_none() && rest.error.is_none() {
        return Err(input::empty(ends.file));
    }
    let (lines, exit) = tally.end(&End {
        url: &ends.url,
        elapsed: progress.elapsed(),
        why,
        rest,
    });
    for line in lines {
        eprintln!("{line}");
    }
    match &rest.error {
        None => Ok(exit),
        Some(error) => Err(input::broken(error)),
    }
}

/// Sends all records; meanwhile shows the progress and handles Ctrl-C.
async fn watch(
    shared: &Rc<Shared>,
    stop: &SendStop,
    mut interrupts: Interrupts,
    total_bytes: Option<u64>,
) -> Progress {
    let mut progress = Progress::new();
    let mut ticks = interval(Duration::from_millis(250));
    let mut grace: Option<Instant> = None;
    let sending = send_all(shared);
    tokio::pin!(sending);
    loop {
        let over = async {
            match grace {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = interrupts.next() => match grace {
                None => {
                    stop.begin(Why::Interrupted);
                    grace = Some(Instant::now() + GRACE);
                }
                Some(_) => stop.abandon(),
            },
            () = over => {
                stop.abandon();
                grace = None;
            }
            () = &mut sending => return progress,
            _ = ticks.tick() => {
                progress.tick(|elapsed| shared.tally.borrow().progress(elapsed, total_bytes));
            }
        }
    }
}

/// Ctrl-C, and SIGTERM from a supervisor.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
