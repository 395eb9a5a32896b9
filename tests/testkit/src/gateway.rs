//! A running gateway from outside: where it listens, whether it is ready, what it answers, how it ends.

use crate::client::{Connection, Response};
use crate::process::{Ended, Process};
use crate::wait::{DEADLINE, comes_true};
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::ops::{Deref, DerefMut};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    ask_keeper(directory, "status")
}

/// What the keeper of this directory answers to a command that it carries out.
pub fn ask_keeper(directory: &Path, command: &str) -> serde_json::Value {
    let line = command_to(directory, command);
    let answer = line.strip_prefix("ok ").unwrap_or_else(|| panic!("{line}"));
    serde_json::from_str(answer).expect("JSON")
}

/// What the keeper of this directory answers to a command, such as `compact`.
pub fn command_to(directory: &Path, command: &str) -> String {
    line_of(&directory.join("keeper.sock"), &format!("flk1 {command}"))
}

/// What the configuration agent of this directory answers.
pub fn ask_agent(directory: &Path, question: &serde_json::Value) -> serde_json::Value {
    let line = line_of(&directory.join("control.sock"), &question.to_string());
    serde_json::from_str(&line).expect("JSON")
}

/// The line that comes back for one line to a socket.
fn line_of(socket: &Path, question: &str) -> String {
    let mut socket = UnixStream::connect(socket).expect("the gateway's socket");
    socket
        .set_read_timeout(Some(DEADLINE))
        .expect("a time limit");
    let question = format!("{question}\n");
    socket.write_all(question.as_bytes()).expect("a question");
    let mut line = String::new();
    BufReader::new(socket)
        .read_line(&mut line)
        .expect("an answer");
    line
}

/// A port that nothing listens on at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// The address in the start-up lines.
pub(crate) fn address_in(text: &str) -> Option<SocketAddr> {
    let (_, rest) = text.split_once("listens on http://")?;
    // As text the line ends behind it, as JSON its message does.
    let (address, _) = rest.split_once(['\n', '"'])?;
    Some(address.parse().expect("the start-up lines name an address"))
}

/// Why a gateway takes no records.
#[derive(Debug)]
pub enum Unready {
    /// It has ended by itself.
    Ended(Box<Ended>),
    /// It runs, but is not ready after so long, and has said this.
    Late(Duration, String),
}

impl fmt::Display for Unready {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unready::Ended(ended) => write!(out, "the gateway ended by itself: {ended}"),
            Unready::Late(after, said) => {
                write!(out, "not ready after {after:?}; it said:\n{said}")
            }
        }
    }
}

impl std::error::Error for Unready {}

/// A running gateway; killed when dropped.
pub struct Gateway {
    process: Process,
    address: SocketAddr,
}

impl Gateway {
    pub(crate) fn at(address: SocketAddr, process: Process) -> Gateway {
        Gateway { process, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As an URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until it takes records.
    pub fn wait_until_ready(&mut self, within: Duration) -> Result<(), Unready> {
        let (mut ready, mut running) = (false, true);
        comes_true(within, || {
            ready = self
                .try_get("/readyz")
                .is_some_and(|answer| answer.status == 200);
            running = self.process.is_running();
            ready || !running
        });
        match (ready, running) {
            (true, _) => Ok(()),
            (false, false) => Err(Unready::Ended(Box::new(self.process.ended(DEADLINE)))),
            (false, true) => Err(Unready::Late(within, self.said())),
        }
    }

    /// Waits until it has said that its start is over, be it the first.
    pub fn wait_until_recovered(&self) {
        let over = |text: &str| text.contains("recovered ") || text.contains("nothing to recover");
        let found = self
            .lines()
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

    /// Ends it at once, wherever it is.
    pub fn kill(mut self) -> Ended {
        self.process.kill()
    }

    /// Asks it to stop and returns how it did.
    pub fn stop(mut self) -> Ended {
        self.process.stop()
    }

    /// Waits for its end.
    pub fn ended(mut self, within: Duration) -> Ended {
        self.process.ended(within)
    }
}

/// A gateway is a process: it has an id, says things and takes signals.
impl Deref for Gateway {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Gateway {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
