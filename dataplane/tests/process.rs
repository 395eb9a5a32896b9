//! Whole processes: threads, signals, the operators' socket and exit codes, with a scripted keeper and shards that say
//! little. Each case starts this binary again as the server. No test harness: its threads would not block the signals.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test may: its helpers are not in test functions

use flk_dataplane::driver::console::Console;
use flk_dataplane::driver::directory::open_directory;
use flk_dataplane::driver::line_socket::socket_path;
use flk_dataplane::driver::listen::{PORT_WAIT, listeners};
use flk_dataplane::driver::lock::lock_directory;
use flk_dataplane::driver::probe::{DriverKind, Requested, choose};
use flk_dataplane::driver::rate::Buckets;
use flk_dataplane::driver::signal::Signals;
use flk_dataplane::driver::threads::{KeeperMachine, Process, raise_open_files, run};
use flk_dataplane::driver::{DriverLimits as Limits, Machine, NoProbe, affinity};
use flk_dataplane::event::{Driver, Event, Inbox, Next, Op, Outbox};
use flk_dataplane::io::{Now, ShardId};
use flk_dataplane::keeper::notice::Notice;
use flk_dataplane::keeper::port::{
    CommandId, FileOp, FileValue, KeeperEvent, KeeperOp, KeeperOps, OpenHow,
};
use flk_dataplane::logs::check::check_line;
use flk_dataplane::logs::events::{EVENTS, Panicked};
use flk_dataplane::logs::{Format, set_format};
use flk_dataplane::mesh::keeper::{ToKeeper, ToShard};
use flk_dataplane::wal::files::SOCKET;
use flk_dataplane::wal::writer::LogFailure;
use flk_testkit::process::Process as Child;
use flk_testkit::{DEADLINE, wait_until};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Says that it is idle when told often enough to drain, and stops the process when told to finish.
struct Shard {
    id: ShardId,
    drains_left: u32,
}

impl Machine for Shard {
    fn turn<D: Driver>(
        &mut self,
        inbox: &mut Inbox,
        _: Now,
        _: &mut D,
        outbox: &mut Outbox,
    ) -> Next {
        for event in inbox.events.drain(..) {
            match event {
                Event::Keeper(ToShard::Serve { .. }) => {}
                Event::Keeper(ToShard::Drain) => {
                    self.drains_left -= 1;
                    if self.drains_left == 0 {
                        outbox.ops.push(Op::Keeper(ToKeeper::Idle(true)));
                    }
                }
                Event::Keeper(ToShard::Finish) => outbox.ops.push(Op::Stop(LogFailure {
                    code: 74,
                    reason: format!("shard {} stops", self.id.0),
                })),
                other => panic!("unexpected {other:?}"),
            }
        }
        Next::At(u64::MAX)
    }
}

/// Obeys its commands: `random`, `asked to end`, `stop`, `exit 65`; ends when all shards are idle after SIGTERM.
#[derive(Default)]
struct Keeper {
    stepped: bool,
    asked: Option<CommandId>,
    idle_count: u16,
    terminations_count: u32,
}

const SHARDS: u16 = 2;

/// The time that a stop has here where nothing hangs; also the least that a case with a hang takes.
const STOP_BOUND: Duration = Duration::from_secs(3);

/// A file whose opening does not end.
const PIPE: &str = "pipe";

impl Keeper {
    fn command(&mut self, id: CommandId, line: &str, ops: &mut KeeperOps) {
        match line {
            "random" => {
                self.asked = Some(id);
                ops.push(KeeperOp::File(FileOp::Random(32)));
            }
            "asked to end" => {
                let text = self.terminations_count.to_string();
                ops.push(KeeperOp::Reply { id, text });
            }
            "hang" => {
                let read = OpenHow {
                    write: false,
                    create: false,
                    exclusive: false,
                    direct: false,
                    dsync: false,
                    mode: 0,
                };
                ops.push(KeeperOp::Reply {
                    id,
                    text: "now".to_owned(),
                });
                ops.push(KeeperOp::File(FileOp::Open {
                    name: PIPE.to_owned(),
                    how: read,
                }));
            }
            "stop" => ops.push(KeeperOp::ToShard(ShardId(1), ToShard::Finish)),
            "exit 65" => {
                let reason = "damaged data".to_owned();
                ops.push(KeeperOp::Exit { code: 65, reason });
            }
            other => panic!("unexpected {other}"),
        }
    }
}

impl KeeperMachine for Keeper {
    fn step(&mut self, events: &mut dyn Iterator<Item = KeeperEvent>, now: Now) -> KeeperOps {
        let mut ops = Vec::new();
        if !std::mem::replace(&mut self.stepped, true) {
            ops.push(KeeperOp::Wake(now.mono_us + 2_000));
        }
        for event in events {
            match event {
                KeeperEvent::Tick => {
                    ops.extend((0..SHARDS).map(|shard| {
                        KeeperOp::ToShard(ShardId(shard), ToShard::Serve { admit: true })
                    }));
                    ops.push(KeeperOp::Notify(Notice::Installed));
                }
                KeeperEvent::Command { id, line } => self.command(id, &line, &mut ops),
                KeeperEvent::FileDone(result) => {
                    let id = self.asked.take().expect("asked");
                    let text = match result {
                        Ok(FileValue::Bytes(bytes)) => format!("{} bytes", bytes.len()),
                        other => panic!("unexpected {other:?}"),
                    };
                    ops.push(KeeperOp::Reply { id, text });
                }
                KeeperEvent::Terminate => {
                    self.terminations_count += 1;
                    ops.extend(
                        (0..SHARDS).map(|shard| KeeperOp::ToShard(ShardId(shard), ToShard::Drain)),
                    );
                }
                KeeperEvent::FromShard(_, ToKeeper::Idle(true)) => self.idle_count += 1,
                other => panic!("unexpected {other:?}"),
            }
        }
        if self.idle_count == SHARDS {
            let reason = "all shards are idle".to_owned();
            ops.push(KeeperOp::Exit { code: 0, reason });
        }
        ops
    }
}

fn serve(directory: &Path, driver: DriverKind, drains_left: u32) -> i32 {
    let signals = Signals::block().unwrap();
    let console = Console::start().unwrap();
    let ends = signals.watch(console.clone()).unwrap();
    raise_open_files();
    let allowed = affinity::allowed_cpus().unwrap();
    let loopback = ([127, 0, 0, 1], 0).into();
    let opened = open_directory(directory).unwrap();
    let process = Process {
        driver,
        cores: (0..usize::from(SHARDS))
            .map(|i| allowed[i % allowed.len()])
            .collect(),
        listeners: listeners(loopback, usize::from(SHARDS), PORT_WAIT, || {})
            .unwrap()
            .into_iter()
            .map(Into::into)
            .collect(),
        lock: lock_directory(opened.as_fd(), |_| {}).unwrap(),
        directory: opened,
        readers: None,
        statistics: None,
        directory_path: directory.to_owned(),
        buckets: Arc::new(Buckets::default()),
        limits: Limits::default(),
        ring_messages: 16,
        ends,
        console: console.clone(),
        drain_delay: Duration::ZERO,
        stop_bound: STOP_BOUND,
        manager: Arc::default(),
        configuration: None,
    };
    let shard = move |id| Shard { id, drains_left };
    let say = |notice| println!("{notice:?}");
    let code = run(process, shard, Keeper::default, say, |_| Box::new(NoProbe)).unwrap();
    console.flush();
    code
}

/// A server of this file, up and running, which ends at this many signals.
fn start(directory: &Path, driver: &str, signals: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["serve", driver, signals])
        .arg(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let process = Child::start(command).unwrap();
    let line = process.printed().wait_for(DEADLINE, |text| {
        let (line, _) = text.split_once('\n')?;
        Some(line.to_owned())
    });
    assert_eq!(line.as_deref(), Some("Installed"), "the keeper ticks");
    process
}

fn ask(directory: &Path, command: &str) -> String {
    let opened = open_directory(directory).unwrap();
    let path = socket_path(opened.as_fd(), directory, SOCKET);
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(format!("{command}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

fn ends_with(mut process: Child, code: i32, reason: &str) {
    let ended = process.ended(DEADLINE);
    assert_eq!(ended.status.code(), Some(code), "{ended}");
    assert!(ended.said.contains(reason), "{ended}");
}

fn check(driver: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();

    let process = start(path, driver, "1");
    assert_eq!(ask(path, "random"), "32 bytes\n");
    process.terminate();
    ends_with(process, 0, "all shards are idle");

    // Shards that have a delay cut it short at the second signal.
    let process = start(path, driver, "2");
    process.terminate();
    // The kernel makes one of two signals that nobody has read yet.
    wait_until("the signal is read", DEADLINE, || {
        ask(path, "asked to end") == "1\n"
    });
    assert_eq!(
        ask(path, "random"),
        "32 bytes\n",
        "it serves on until the second"
    );
    process.terminate();
    ends_with(process, 0, "all shards are idle");

    let process = start(path, driver, "1");
    assert_eq!(ask(path, "stop"), "");
    ends_with(process, 74, "shard 1 stops");

    let process = start(path, driver, "1");
    assert_eq!(ask(path, "exit 65"), "");
    ends_with(process, 65, "damaged data");
    // A file operation that does not end: the process does, without its keeper.
    let pipe = path.join(PIPE);
    if !pipe.exists() {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
    }
    let process = start(path, driver, "1");
    assert_eq!(ask(path, "hang"), "now\n");
    process.terminate();
    ends_with(process, 74, "stopped, but not cleanly");
    println!("process under {driver} ... ok");
}

/// The last words of a process in JSON are an object like all others, and show no address.
fn check_panic() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("panic").stderr(Stdio::piped());
    let ended = Child::start(command).unwrap().ended(DEADLINE);
    assert_eq!(ended.code(), 101, "{ended}");
    assert_eq!(ended.said.lines().count(), 1, "{ended}");
    assert_eq!(
        check_line(ended.said.trim_end(), &[EVENTS]),
        Ok(Panicked::KIND)
    );
    assert!(ended.said.contains("wrote [email]"), "{ended}");
    println!("a panic in JSON ... ok");
}

fn panic_in_json() -> ! {
    set_format(Format::Json);
    Console::start().unwrap().say_panics();
    panic!("{} wrote {}", "somebody", "jane@example.com");
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("serve") => {
            let requested: Requested = arguments[2].parse().unwrap();
            let driver = choose(requested).unwrap().kind;
            let signals = arguments[3].parse().unwrap();
            std::process::exit(serve(Path::new(&arguments[4]), driver, signals));
        }
        Some("panic") => panic_in_json(),
        // What a test runner asks of every test binary.
        Some("--list") => {}
        _ => {
            check_panic();
            check("portable");
            match choose(Requested::Uring) {
                Ok(_) => check("uring"),
                Err(refused) => {
                    flk_testkit::skipped(&format!("processes under io_uring: {refused}"))
                }
            }
        }
    }
}
