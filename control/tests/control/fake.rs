//! A data plane that speaks the protocol of `control.sock`, and hands its page of statistics out. It keeps what it was asked, and
//! makes the mistakes that a test orders.

use flk_dataplane::driver::statistics::{self, Published};
use flk_dataplane::snapshot::{Digest, Document};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, IoSlice, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What it does instead of what it is asked, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Refuses a publishing for a key.
    Refuse,
    /// Applies a publishing and ends the connection without an answer.
    HangUpAfter,
    /// Applies a publishing and says that shards do not run it yet.
    SilentShards,
    /// Ends the connection without applying it.
    HangUpBefore,
}

#[derive(Debug, Default)]
struct State {
    documents: BTreeMap<u32, Document>,
    in_force: u32,
    last_number: u32,
    faults: VecDeque<Fault>,
    published: Vec<u32>,
    streams: Vec<UnixStream>,
    is_gone: bool,
}

/// It serves until it is stopped or dropped.
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    wal_dir: PathBuf,
    pub(crate) metrics_at: SocketAddr,
    /// What a test counts.
    pub(crate) page: Arc<Published>,
}

/// Shards that its page has.
pub(crate) const SHARDS: u16 = 2;

impl Fake {
    /// Serves from a directory, with this document in force under 0.
    pub(crate) fn start(wal_dir: &Path, document: Document) -> Fake {
        std::fs::create_dir_all(wal_dir).unwrap();
        let state = Arc::new(Mutex::new(State {
            documents: BTreeMap::from([(0, document)]),
            ..State::default()
        }));
        let page = Arc::new(statistics::publish(SHARDS).unwrap());
        page.stats.begin(1_700_000_000_000_000);
        listen(wal_dir, &state);
        hand_out(wal_dir, &state, &page);
        let metrics = TcpListener::bind("127.0.0.1:0").unwrap();
        let metrics_at = metrics.local_addr().unwrap();
        std::thread::spawn(move || serve_metrics(&metrics));
        Fake {
            state,
            wal_dir: wal_dir.to_owned(),
            metrics_at,
            page,
        }
    }

    /// Orders mistakes, one for each publishing to come.
    pub(crate) fn order(&self, faults: &[Fault]) {
        self.state.lock().unwrap().faults.extend(faults);
    }

    /// What is in force.
    pub(crate) fn in_force(&self) -> Document {
        let state = self.state.lock().unwrap();
        state.documents[&state.in_force].clone()
    }

    /// Numbers whose publishing was asked for, in that order.
    pub(crate) fn published(&self) -> Vec<u32> {
        self.state.lock().unwrap().published.clone()
    }

    /// It goes away: connections end, and nothing listens.
    pub(crate) fn go(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_gone = true;
        for stream in state.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        for socket in ["control.sock", "keeper.sock"] {
            std::fs::remove_file(self.wal_dir.join(socket)).unwrap();
        }
    }

    /// It is back, with what was in force before.
    pub(crate) fn come_back(&self) {
        self.state.lock().unwrap().is_gone = false;
        listen(&self.wal_dir, &self.state);
        hand_out(&self.wal_dir, &self.state, &self.page);
    }
}

/// Answers each client of `keeper.sock` with the page.
fn hand_out(wal_dir: &Path, state: &Arc<Mutex<State>>, page: &Arc<Published>) {
    let listener = UnixListener::bind(wal_dir.join("keeper.sock")).unwrap();
    let (state, page) = (Arc::clone(state), Arc::clone(page));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if state.lock().unwrap().is_gone {
                return;
            }
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            if line != "flk1 statistics\n" {
                continue;
            }
            let memory = [page.memory.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut rights = SendAncillaryBuffer::new(&mut space);
            assert!(rights.push(SendAncillaryMessage::ScmRights(&memory)));
            let _ = sendmsg(
                &stream,
                &[IoSlice::new(b"ok\n")],
                &mut rights,
                SendFlags::NOSIGNAL,
            );
        }
    });
}

fn listen(wal_dir: &Path, state: &Arc<Mutex<State>>) {
    let listener = UnixListener::bind(wal_dir.join("control.sock")).unwrap();
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut locked = state.lock().unwrap();
            if locked.is_gone {
                return;
            }
            locked.streams.push(stream.try_clone().unwrap());
            drop(locked);
            let state = Arc::clone(&state);
            std::thread::spawn(move || serve(stream, &state));
        }
    });
}

fn serve(stream: UnixStream, state: &Mutex<State>) {
    let mut writer = stream.try_clone().unwrap();
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let asked: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(asked["v"], 1);
        let answer = answer(&asked, &mut state.lock().unwrap());
        let Some(answer) = answer else {
            let _ = writer.shutdown(Shutdown::Both);
            return;
        };
        if writer.write_all(format!("{answer}\n").as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(asked: &Value, state: &mut State) -> Option<Value> {
    let refused = |code: &str, reason: &str| {
        Some(json!({"v": 1, "refused": {"code": code, "reason": reason}}))
    };
    match asked["ask"].as_str().unwrap() {
        "status" => Some(json!({"v": 1, "status": status(state)})),
        "document" => {
            let number = asked["number"].as_u64().unwrap() as u32;
            match state.documents.get(&number) {
                Some(document) => Some(json!({"v": 1, "document": document})),
                None => refused("not_kept", "the last ten are kept"),
            }
        }
        "check" => {
            let document: Document = serde_json::from_value(asked["document"].clone()).unwrap();
            match document.check() {
                Ok(()) => Some(json!({"v": 1, "checked": true})),
                Err(fault) => refused("invalid", &fault.to_string()),
            }
        }
        "publish" => publish(asked, state),
        other => panic!("no such question: {other}"),
    }
}

fn publish(asked: &Value, state: &mut State) -> Option<Value> {
    let document: Document = serde_json::from_value(asked["document"].clone()).unwrap();
    let (number, digest) = (document.number, document.digest());
    assert_eq!(
        Digest::from_hex(asked["digest"].as_str().unwrap()),
        Some(digest)
    );
    state.published.push(number);
    let fault = state.faults.pop_front();
    let refused = |code: &str| {
        Some(json!({"v": 1, "refused": {"code": code, "reason": "as the test ordered"}}))
    };
    match fault {
        Some(Fault::Refuse) => return refused("key"),
        Some(Fault::HangUpBefore) => return None,
        Some(Fault::HangUpAfter | Fault::SilentShards) | None => {}
    }
    let is_again = state.documents.get(&number) == Some(&document) && state.in_force == number;
    if number <= state.last_number && !is_again {
        return refused("number_used");
    }
    state.documents.insert(number, document);
    (state.in_force, state.last_number) = (number, number);
    match fault {
        Some(Fault::HangUpAfter) => None,
        Some(Fault::SilentShards) => refused("shards_silent"),
        _ => Some(json!({"v": 1, "applied": {"number": number, "digest": digest.to_string()}})),
    }
}

fn status(state: &State) -> Value {
    let in_force = &state.documents[&state.in_force];
    let earlier = state.documents.iter();
    let kept: Vec<Value> = earlier
        .filter(|(number, _)| **number >= 1)
        .map(|(number, document)| {
            json!({"number": number, "digest": document.digest().to_string(), "stored_s": 7})
        })
        .collect();
    json!({
        "installation": "ab".repeat(16),
        "in_force": {
            "number": state.in_force,
            "digest": in_force.digest().to_string(),
            "content": in_force.content_digest().to_string(),
            "since_s": 7,
        },
        "shards": [{"shard": 0, "number": state.in_force}],
        "kept": kept,
        "closed": [],
        "last_number": state.last_number,
    })
}

/// A page in the format that is asked for.
fn serve_metrics(listener: &TcpListener) {
    const PLAIN: &str = "# TYPE http_requests_total counter\nhttp_requests_total{code=\"200\"} 7\n";
    const OPEN: &str = "# TYPE http_requests counter\nhttp_requests_total{code=\"200\"} 7\n# EOF\n";
    for stream in listener.incoming().flatten() {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while reader.read_line(&mut head).is_ok_and(|bytes| bytes > 2) {}
        let page = match head.contains("application/openmetrics-text") {
            true => OPEN,
            false => PLAIN,
        };
        let length = page.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{page}");
        let _ = reader.get_mut().write_all(answer.as_bytes());
    }
}
