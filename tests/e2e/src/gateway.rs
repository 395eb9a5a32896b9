//! A gateway process: started on a free port with its own directory, read line by line, stopped or killed by its id.
//! It never waits without a deadline, and it never leaves a process behind.

use crate::client::{Connection, Response};
use crate::setting::Setting;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No start, stop or answer of a test's gateway takes this long.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The HMAC key of all tests; published, worthless.
pub const KEY: &str = "testsecret";

/// Between two looks at something that cannot be waited for.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Where the gateway's binary is: `FLK_BIN`, or beside the tests that were built with it.
pub fn binary() -> PathBuf {
    binary_named("FLK_BIN", "flk-dataplane")
}

/// Where the gateway with crash points and bugs on purpose is: `FLK_PLANTED_BIN`, or beside the tests.
pub fn planted_binary() -> PathBuf {
    binary_named("FLK_PLANTED_BIN", "flk-dataplane-planted")
}

fn binary_named(variable: &str, name: &str) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(
        || {
            let test = std::env::current_exe().expect("the path of the test");
            let profile = test
                .parent()
                .and_then(Path::parent)
                .expect("target/PROFILE/deps");
            profile.join(name)
        },
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "{} is not there: build it first (make test-e2e and make test-crash do), or name it in {variable}",
        path.display()
    );
    path
}

/// What the keeper of this directory says of its state (`flk wal status`).
pub fn status_of(directory: &Path) -> serde_json::Value {
    let mut socket =
        UnixStream::connect(directory.join("keeper.sock")).expect("the keeper's socket");
    socket
        .set_read_timeout(Some(DEADLINE))
        .expect("a time limit");
    socket.write_all(b"flk1 status\n").expect("a question");
    let mut line = String::new();
    BufReader::new(socket)
        .read_line(&mut line)
        .expect("an answer");
    let status = line.strip_prefix("ok ").unwrap_or_else(|| panic!("{line}"));
    serde_json::from_str(status).expect("JSON")
}

/// Waits until something holds that nobody announces; panics with `what` where it never does.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !holds() {
        assert!(
            Instant::now() < until,
            "after {DEADLINE:?} still not: {what}"
        );
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What a gateway has said so far.
#[derive(Clone, Default)]
struct Said(Arc<(Mutex<Text>, Condvar)>);

#[derive(Default)]
struct Text {
    text: String,
    ended: bool,
}

impl Said {
    fn add(&self, line: Option<&str>) {
        let (text, changed) = &*self.0;
        let mut text = text.lock().unwrap();
        match line {
            Some(line) => text.text.push_str(line),
            None => text.ended = true,
        }
        changed.notify_all();
    }

    fn so_far(&self) -> String {
        self.0.0.lock().unwrap().text.clone()
    }

    /// Waits for something in the text; `None`: the process ended or the time is over, and it is not there.
    fn wait_for<T>(&self, within: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
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

/// How a gateway ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// Everything that it said.
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

/// How a gateway is to be started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The host.
    pub setting: Setting,
    /// The program.
    pub binary: PathBuf,
    /// Its environment, and nothing else.
    pub env: Vec<(String, OsString)>,
    /// What it has for standard error instead of a reader: then its address is what `PORT` says.
    pub stderr: Option<Arc<OwnedFd>>,
    /// Hard limit of its open files.
    pub open_files_max: Option<u32>,
}

impl Plan {
    /// The usual gateway: the test key, small segments, any free port, its log below `directory`.
    pub fn new(setting: Setting, directory: &Path) -> Plan {
        Plan::bare(setting)
            .with("PORT", "0")
            .with("WAL_DIR", directory.to_str().unwrap())
            .with("PCS_HMAC_KEY", KEY)
            .with("FLK_DRIVER", setting.driver())
            .with("WAL_SEGMENT_BYTES", "4MiB")
    }

    /// Nothing is set.
    pub fn bare(setting: Setting) -> Plan {
        Plan {
            setting,
            binary: binary(),
            env: Vec::new(),
            stderr: None,
            open_files_max: None,
        }
    }

    /// Gives it another standard error and a port of its own, for nobody reads which one it took.
    pub fn saying_to(self, stderr: OwnedFd) -> Plan {
        let mut plan = self.with("PORT", &free_port().to_string());
        plan.stderr = Some(Arc::new(stderr));
        plan
    }

    /// Sets a variable.
    pub fn with(self, name: &str, value: &str) -> Plan {
        self.with_bytes(name, value.as_bytes())
    }

    /// Lets it open so many files and no more.
    pub fn with_open_files_max(mut self, files: u32) -> Plan {
        self.open_files_max = Some(files);
        self
    }

    /// Sets a variable to what need not be text.
    pub fn with_bytes(mut self, name: &str, value: &[u8]) -> Plan {
        self.env.retain(|(set, _)| set != name);
        let value = OsStr::from_bytes(value).to_owned();
        self.env.push((name.to_owned(), value));
        self
    }

    /// Takes a variable away.
    pub fn without(mut self, name: &str) -> Plan {
        self.env.retain(|(set, _)| set != name);
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start(&self) -> Gateway {
        match self.try_start() {
            Ok(gateway) => gateway,
            Err(ended) => panic!("the gateway did not get ready: {ended}"),
        }
    }

    /// Starts it and waits until it is ready, or has ended.
    pub fn try_start(&self) -> Result<Gateway, Box<Ended>> {
        let mut gateway = self.launch()?;
        let until = Instant::now() + DEADLINE;
        loop {
            if gateway
                .try_get("/readyz")
                .is_some_and(|answer| answer.status == 200)
            {
                gateway.wait_until_recovered();
                return Ok(gateway);
            }
            if let Ok(Some(_)) = gateway.child.try_wait() {
                return Err(Box::new(gateway.ended(DEADLINE)));
            }
            assert!(
                Instant::now() < until,
                "not ready after {DEADLINE:?}; it said:\n{}",
                gateway.said()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Starts it, does something once it has said this, and waits until it is ready.
    pub fn start_when(&self, said: &str, then: impl FnOnce()) -> Gateway {
        let mut gateway = self.spawn();
        gateway.wait_until_said(said);
        then();
        let address = gateway.said.wait_for(DEADLINE, address_in);
        gateway.address = address.unwrap_or_else(|| panic!("no start:\n{}", gateway.said()));
        gateway.wait_until_recovered();
        wait_until("it is ready", || gateway.get("/readyz").status == 200);
        gateway
    }

    /// Starts it, asks it to stop once it has said this, and returns how it did.
    pub fn end_when(&self, said: &str) -> Ended {
        let gateway = self.spawn();
        gateway.wait_until_said(said);
        gateway.stop()
    }

    /// Starts it and waits until it listens, or has ended.
    pub fn launch(&self) -> Result<Gateway, Box<Ended>> {
        let mut gateway = self.spawn();
        if self.stderr.is_some() {
            let port = self.env.iter().find(|(name, _)| name == "PORT");
            let port = port.and_then(|(_, port)| port.to_str()?.parse::<u16>().ok());
            gateway.address = SocketAddr::from(([127, 0, 0, 1], port.expect("a port of its own")));
            return Ok(gateway);
        }
        match gateway.said.wait_for(DEADLINE, address_in) {
            Some(address) => {
                gateway.address = address;
                Ok(gateway)
            }
            None => Err(Box::new(gateway.ended(DEADLINE))),
        }
    }

    /// Starts it, expects it to end by itself, and returns how it did.
    pub fn run_to_end(&self) -> Ended {
        self.spawn().ended(DEADLINE)
    }

    fn spawn(&self) -> Gateway {
        let mut command = match self.open_files_max {
            None => Command::new(&self.binary),
            Some(files) => {
                let mut shell = Command::new("/bin/sh");
                let script = format!("ulimit -n {files} && exec \"$0\"");
                shell.arg("-c").arg(script).arg(&self.binary);
                shell
            }
        };
        command
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(match &self.stderr {
                Some(stderr) => Stdio::from(stderr.try_clone().expect("a descriptor")),
                None => Stdio::piped(),
            });
        let mut child = self
            .setting
            .spawn(command)
            .expect("the gateway's binary runs");
        let said = Said::default();
        let reader = child.stderr.take().map(|stderr| {
            let said = said.clone();
            std::thread::spawn(move || {
                let mut stderr = BufReader::new(stderr);
                let mut line = Vec::new();
                while stderr
                    .read_until(b'\n', &mut line)
                    .is_ok_and(|bytes| bytes > 0)
                {
                    said.add(Some(&String::from_utf8_lossy(&line)));
                    line.clear();
                }
                said.add(None);
            })
        });
        Gateway {
            child,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            said,
            reader,
        }
    }
}

/// A port that nothing listens on at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// The address in the start-up lines.
fn address_in(text: &str) -> Option<SocketAddr> {
    let (_, rest) = text.split_once("listens on http://")?;
    let (address, _) = rest.split_once('\n')?;
    Some(address.parse().expect("the start-up lines name an address"))
}

/// A running gateway; killed when dropped.
pub struct Gateway {
    child: Child,
    address: SocketAddr,
    said: Said,
    reader: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has said so far.
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

    /// Waits until it has said that its start is over, be it the first.
    pub fn wait_until_recovered(&self) {
        if self.reader.is_none() {
            return;
        }
        let over = |text: &str| text.contains("recovered ") || text.contains("nothing to recover");
        let found = self
            .said
            .wait_for(DEADLINE, |text| over(text).then_some(()));
        assert!(found.is_some(), "it never recovered but:\n{}", self.said());
    }

    /// A new connection.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).expect("the gateway takes connections")
    }

    /// The answer to a GET on a connection of its own.
    pub fn get(&self, path: &str) -> Response {
        self.try_get(path)
            .unwrap_or_else(|| panic!("no answer to GET {path}; it said:\n{}", self.said()))
    }

    /// As [`Gateway::get`]; `None` where nothing answers.
    pub fn try_get(&self, path: &str) -> Option<Response> {
        let mut connection = Connection::open(self.address).ok()?;
        connection.get(path).ok()
    }

    /// The answer to a body posted on a connection of its own.
    pub fn post(&self, body: &[u8]) -> Response {
        let mut connection = self.connect();
        connection
            .post(body)
            .unwrap_or_else(|error| panic!("no answer: {error}; it said:\n{}", self.said()))
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

    /// Lets it go on after [`Gateway::freeze`].
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it at once, wherever it is.
    pub fn kill(self) -> Ended {
        self.signal(Signal::KILL);
        self.ended(DEADLINE)
    }

    /// Asks it to stop and returns how it did.
    pub fn stop(self) -> Ended {
        self.terminate();
        self.ended(DEADLINE)
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub fn ended(mut self, within: Duration) -> Ended {
        let from = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the process is ours") {
                break status;
            }
            assert!(
                from.elapsed() < within,
                "still running after {within:?}; it said:\n{}",
                self.said()
            );
            std::thread::sleep(LOOK_EVERY);
        };
        let took = from.elapsed();
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of its lines");
        }
        Ended {
            status,
            said: self.said(),
            took,
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.is_running() {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("a gateway said:\n{}", self.said());
        }
    }
}
