//! How long a gateway waits for a slow client: here, two seconds for a head, one for a body, then a KiB a second. Each client
//! has its own connection and all are slow at the same time, so that this takes as long as the slowest of them.

use flk_e2e::log::{Disposition, Kept};
use flk_e2e::setting::Setting;
use flk_testkit::client::{Connection, submit};
use flk_testkit::records::record;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

on_every_host!(slow_clients_are_cut_and_patient_ones_are_served);

/// How long a head may take, and how long a body may be slow.
const HEAD: Duration = Duration::from_secs(2);
const GRACE: Duration = Duration::from_secs(1);
const TIMES: &str = "head=2s,body_grace=1s";

/// A client sends a piece this often.
const PACE: Duration = Duration::from_millis(500);

/// A machine with much to do is this late at most.
const LATE: Duration = Duration::from_secs(6);

const HALF_A_HEAD: &[u8] = b"POST /v1/pcs/submit HTTP/1.1\r\nHost: gateway\r\n";

fn slow_clients_are_cut_and_patient_ones_are_served(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan_with_times(directory.path(), TIMES).start();
    let clients: [fn(SocketAddr); 11] = [
        a_head_that_stops,
        a_head_byte_by_byte,
        a_second_head_that_stops,
        a_head_in_time,
        a_body_that_stops,
        a_body_below_the_rate,
        a_body_above_the_rate,
        a_body_ahead_of_the_rate,
        a_refused_body_that_stops,
        refused_chunks_that_trickle,
        a_connection_that_rests,
    ];
    let address = gateway.address();
    std::thread::scope(|scope| {
        for client in clients {
            scope.spawn(move || client(address));
        }
    });
    assert_eq!(gateway.stop().code(), 0);
    let kept = Kept::read(directory.path());
    assert_eq!(kept.bodies.len(), 3, "what was cut is not kept");
    for body in kept.bodies.values() {
        assert!(matches!(
            body.dispositions[..],
            [Disposition::Decided { .. }]
        ));
    }
}

fn open(at: SocketAddr) -> Connection {
    Connection::open(at).unwrap()
}

/// It is cut with 408 so long after `from`, and told why.
fn is_cut(mut connection: Connection, from: Instant, after: Duration, code: &str) {
    let answer = connection.response().unwrap();
    let took = from.elapsed();
    assert_eq!(answer.status, 408, "{answer:?}");
    assert_eq!(answer.problem_code(), code);
    assert_eq!(answer.header("Connection"), Some("close"));
    assert!(took >= after, "{code} after {took:?}, not {after:?}");
    assert!(took < after + LATE, "{code} only after {took:?}");
    assert!(connection.closes());
}

/// Sends in pieces of this size, one at each pace, until all is sent or an answer comes.
fn at_pace(connection: &mut Connection, bytes: &[u8], piece_bytes: usize) {
    for piece in bytes.chunks(piece_bytes) {
        // Who is cut may find its connection closed before it has read why.
        let sent = connection.send(piece);
        std::thread::sleep(PACE);
        if sent.is_err() || !connection.is_silent().unwrap() {
            break;
        }
    }
}

fn a_head_that_stops(at: SocketAddr) {
    let mut connection = open(at);
    let from = Instant::now();
    connection.send(HALF_A_HEAD).unwrap();
    is_cut(connection, from, HEAD, "head_timeout");
}

/// More bytes do not buy more time.
fn a_head_byte_by_byte(at: SocketAddr) {
    let mut connection = open(at);
    let from = Instant::now();
    at_pace(&mut connection, HALF_A_HEAD, 1);
    is_cut(connection, from, HEAD, "head_timeout");
}

/// The clock begins with the head, not with the connection.
fn a_second_head_that_stops(at: SocketAddr) {
    let mut connection = open(at);
    std::thread::sleep(2 * PACE);
    assert_eq!(connection.get("/livez").unwrap().status, 200);
    std::thread::sleep(2 * PACE);
    let from = Instant::now();
    connection.send(HALF_A_HEAD).unwrap();
    is_cut(connection, from, HEAD, "head_timeout");
}

fn a_head_in_time(at: SocketAddr) {
    let mut connection = open(at);
    let (half, rest) = (b"GET /livez HT", b"TP/1.1\r\nHost: gateway\r\n\r\n");
    connection.send(half).unwrap();
    std::thread::sleep(HEAD / 2);
    connection.send(rest).unwrap();
    assert_eq!(connection.response().unwrap().status, 200);
}

/// A record as a request of so many bytes of body.
fn request(number: u64, body_bytes: usize) -> Vec<u8> {
    let mut body = record(number).body;
    assert!(body.len() < body_bytes);
    body.resize(body_bytes, b' ');
    submit(&body)
}

fn a_body_that_stops(at: SocketAddr) {
    let mut connection = open(at);
    let request = request(1, 8 << 10);
    let from = Instant::now();
    connection.send(&request[..300]).unwrap();
    is_cut(connection, from, GRACE, "body_timeout");
}

/// 512 bytes a second fall behind 1,024 a second with a second of grace after two seconds.
fn a_body_below_the_rate(at: SocketAddr) {
    let mut connection = open(at);
    let request = request(2, 16 << 10);
    let from = Instant::now();
    at_pace(&mut connection, &request, 256);
    is_cut(connection, from, GRACE, "body_timeout");
}

fn a_body_above_the_rate(at: SocketAddr) {
    let mut connection = open(at);
    let request = request(3, 5 << 10);
    at_pace(&mut connection, &request, 1024);
    assert_eq!(connection.response().unwrap().status, 200);
}

/// What came early counts: after three seconds two KiB are owed, and five are there.
fn a_body_ahead_of_the_rate(at: SocketAddr) {
    let mut connection = open(at);
    let request = request(4, 6 << 10);
    connection.send(&request[..5 << 10]).unwrap();
    std::thread::sleep(3 * GRACE);
    connection.send(&request[5 << 10..]).unwrap();
    assert_eq!(connection.response().unwrap().status, 200);
}

/// A body that nobody wants is waited for no longer than a head.
fn a_refused_body_that_stops(at: SocketAddr) {
    let mut connection = open(at);
    let from = Instant::now();
    connection
        .send(b"POST /nowhere HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000\r\n\r\n{")
        .unwrap();
    let answer = connection.response().unwrap();
    assert_eq!(answer.status, 404, "{answer:?}");
    assert!(connection.closes());
    assert!(from.elapsed() >= HEAD);
    assert!(from.elapsed() < HEAD + LATE);
}

/// Nor does a byte now and then prolong it.
fn refused_chunks_that_trickle(at: SocketAddr) {
    let mut connection = open(at);
    let from = Instant::now();
    connection
        .send(
            b"POST /nowhere HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n",
        )
        .unwrap();
    assert_eq!(connection.response().unwrap().status, 404);
    // Towards the end the gateway may have closed already.
    for _ in 0..3 {
        std::thread::sleep(PACE);
        connection.send(b"x").unwrap();
    }
    assert!(connection.closes());
    assert!(from.elapsed() >= HEAD);
    assert!(from.elapsed() < HEAD + LATE);
}

/// Between requests there is a minute.
fn a_connection_that_rests(at: SocketAddr) {
    let mut connection = open(at);
    std::thread::sleep(2 * HEAD);
    assert!(connection.is_silent().unwrap(), "closed while it rests");
    let answer = connection.post(&record(5).body).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}
