//! Peers in this process, and runs against them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flk_bench_load::arrivals::{Curve, Ramp, Spacing};
use flk_bench_load::claims::Regime;
use flk_bench_load::message;
use flk_bench_load::mix::Mix;
use flk_bench_load::record::{Carries, Fields, Recipe, Shape, Sign};
use flk_bench_load::run::{Log, Loop, Plan, RunResult, run, supplies};
use flk_bench_load::travel::Travel;
use sha2::{Digest as _, Sha256};

/// A key whose signature is a digest of the id and of a secret.
pub(crate) struct Plain;

pub(crate) fn signature(id: &str) -> String {
    STANDARD.encode(Sha256::digest(format!("secret {id}")))
}

impl Sign for Plain {
    fn sign(&self, fields: Fields<'_>) -> String {
        signature(fields.pcs_id)
    }
}

/// Calls `answer` with each body and what was answered on this connection before; nothing: the connection ends.
pub(crate) fn peer(
    answer: impl Fn(&str, u64) -> Option<String> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || serve(stream, &*answer));
        }
    });
    address
}

pub(crate) fn serve(mut stream: TcpStream, answer: &dyn Fn(&str, u64) -> Option<String>) {
    stream.set_nodelay(true).unwrap();
    let (mut received, mut input) = (Vec::new(), vec![0; 1 << 16]);
    for before in 0.. {
        let end = loop {
            if let Some(end) = message::end(&received) {
                break end;
            }
            match stream.read(&mut input) {
                Ok(0) | Err(_) => return,
                Ok(count) => received.extend_from_slice(&input[..count]),
            }
        };
        let request: Vec<u8> = received.drain(..end).collect();
        let text = String::from_utf8(request).unwrap();
        let body = text.split_once("\r\n\r\n").unwrap().1;
        let Some(answer) = answer(body, before) else {
            return;
        };
        // In two pieces, so that each answer is read in part first.
        let pieces = answer.as_bytes().split_at(answer.len() / 2);
        let written = stream.write_all(pieces.0);
        if written.and_then(|()| stream.write_all(pieces.1)).is_err() {
            return;
        }
    }
}

pub(crate) fn answer(status: u16, dedup: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nFlk-Dedup: {dedup}\r\nContent-Length: 2\r\n\r\n{{}}")
}

pub(crate) fn member<'a>(body: &'a str, name: &str) -> &'a str {
    let rest = body.split_once(&format!("\"{name}\":\"")).unwrap().1;
    rest.split_once('"').unwrap().0
}

/// Judges as a gateway does.
#[derive(Default)]
pub(crate) struct Judge {
    seen: Mutex<BTreeSet<String>>,
    answers: Mutex<std::collections::BTreeMap<(u16, &'static str), u64>>,
}

impl Judge {
    pub(crate) fn answer(&self, body: &str) -> String {
        let (status, dedup) = self.judge(body);
        answer(status, dedup)
    }

    /// The answer to a batch: a line for each record.
    pub(crate) fn answer_batch(&self, body: &str) -> String {
        let line = |(at, record): (usize, &str)| {
            let (status, dedup) = self.judge(record);
            let dedup = match dedup {
                "" => String::new(),
                dedup => format!(r#","dedup":"{dedup}","outcome":{{}}"#),
            };
            format!("{{\"line\":{},\"status\":{status}{dedup}}}\n", at + 1)
        };
        let lines: String = body.lines().enumerate().map(line).collect();
        let length = lines.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{lines}")
    }

    fn judge(&self, body: &str) -> (u16, &'static str) {
        let (id, sig) = (member(body, "pcs_id"), member(body, "sig"));
        let (status, dedup) = match () {
            () if !body.ends_with('}') || body.contains("\"attempt\":0,") => (400, ""),
            () if sig != signature(id) => (401, ""),
            () => match self.seen.lock().unwrap().insert(id.to_owned()) {
                true => (200, "miss"),
                false => (200, "hit"),
            },
        };
        *self
            .answers
            .lock()
            .unwrap()
            .entry((status, dedup))
            .or_insert(0) += 1;
        (status, dedup)
    }

    pub(crate) fn count(&self, status: u16, dedup: &str) -> u64 {
        let answers = self.answers.lock().unwrap();
        let these = answers
            .iter()
            .filter(|((one, other), _)| (*one, *other) == (status, dedup));
        these.map(|(_, count)| count).sum()
    }
}

pub(crate) fn judging() -> (Arc<Judge>, SocketAddr) {
    let judge = Arc::new(Judge::default());
    let answering = judge.clone();
    (judge, peer(move |body, _| Some(answering.answer(body))))
}

pub(crate) fn open(per_second: f64, milliseconds: u64) -> Loop {
    Loop::Open {
        curve: Curve {
            warm_up: Duration::ZERO,
            ramp: Ramp {
                from_per_second: per_second,
                to_per_second: per_second,
                duration: Duration::from_millis(milliseconds),
            },
        },
        spacing: Spacing::Constant,
    }
}

pub(crate) fn closed(milliseconds: u64) -> Loop {
    Loop::Closed {
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(milliseconds),
    }
}

pub(crate) fn plan(address: SocketAddr, pace: Loop) -> Plan {
    Plan {
        address,
        connections_count: 4,
        threads_count: 1,
        cpus: Vec::new(),
        pace,
        travel: Travel::ALONE,
        mix: Mix::NEW_ONLY,
        seed: 1,
        timeout: Duration::from_secs(30),
        log: Log::Dropped,
    }
}

pub(crate) fn recipe(body_bytes: usize) -> Arc<Recipe> {
    recipe_of(Carries::Record, &[], body_bytes)
}

pub(crate) fn recipe_of(carries: Carries, tenants: &[String], body_bytes: usize) -> Arc<Recipe> {
    let shape = Shape {
        authority: "peer",
        path: match carries {
            Carries::Record => "/v1/pcs/submit",
            Carries::Batch => "/v1/pcs/batch",
        },
        carries,
        tenants,
        body_bytes,
        shard_id: "run",
        regime: Regime::Sticky,
    };
    Arc::new(Recipe::new(&shape, vec![vec![Arc::new(Plain)]]))
}

pub(crate) fn run_with(plan: &Plan, recipe: &Arc<Recipe>) -> RunResult {
    let stop = AtomicBool::new(false);
    run(plan, recipe, supplies(plan, recipe), &stop, |_, _| {}).unwrap()
}
