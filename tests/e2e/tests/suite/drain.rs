//! SIGTERM: readiness fails at once, what was taken is answered, what was answered is kept, and the process ends with
//! exit code 0 in time.

use flk_e2e::setting::Setting;
use flk_testkit::client::{Connection, submit};
use flk_testkit::records::{Record, record};
use flk_testkit::{DEADLINE, wait_until};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

on_every_host!(
    a_stop_under_load_answers_or_closes_and_loses_nothing,
    the_drain_delay_keeps_serving_and_readiness_fails_at_once,
    a_stop_with_a_delay_under_load_serves_on_and_ends_in_time,
    a_second_signal_ends_the_delay,
    a_stop_during_the_start_is_a_stop,
    clients_that_keep_their_connections_lose_no_request_to_a_stop,
    who_waits_to_be_accepted_when_a_stop_begins_is_answered_and_not_reset,
    connections_that_do_nothing_do_not_hold_a_stop_up,
);

/// A drain takes no longer, beyond its delay.
const DRAIN: Duration = Duration::from_secs(10);

fn a_stop_under_load_answers_or_closes_and_loses_nothing(setting: Setting) {
    const CLIENTS: u64 = 8;
    let directory = setting.directory();
    let plan = setting.plan(directory.path());
    let gateway = plan.start();
    let address = gateway.address();
    let answered = AtomicU64::new(0);
    let acknowledged: Vec<Record> = std::thread::scope(|scope| {
        let client = |client: u64| {
            let mut acknowledged = Vec::new();
            let mut connection = Connection::open(address).unwrap();
            for number in (client..).step_by(CLIENTS as usize) {
                let record = record(number);
                match connection.post(&record.body) {
                    Ok(answer) if answer.status == 200 => {
                        assert!(record.is_outcome(&answer.body));
                        acknowledged.push(record);
                        answered.fetch_add(1, Ordering::Relaxed);
                        if answer.header("Connection") == Some("close") {
                            break;
                        }
                    }
                    Ok(answer) => {
                        assert_eq!(answer.status, 503, "{answer:?}");
                        assert!(answer.header("Retry-After").is_some(), "{answer:?}");
                        break;
                    }
                    // Closed between two requests: the client knows nothing of its last one, and repeats it.
                    Err(error) => {
                        assert_ne!(
                            error.kind(),
                            io::ErrorKind::WouldBlock,
                            "left without an answer or a close"
                        );
                        break;
                    }
                }
            }
            acknowledged
        };
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || client(number)))
            .collect();
        while answered.load(Ordering::Relaxed) < 400 {
            std::thread::yield_now();
        }
        gateway.terminate();
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    });
    let ended = gateway.ended(DRAIN);
    assert_eq!(ended.code(), 0, "{ended}");
    assert!(acknowledged.len() >= 400);
    let gateway = plan.start();
    gateway.wait_until_said("after a clean stop");
    let mut connection = gateway.connect();
    for record in &acknowledged {
        let answer = connection.post(&record.body).unwrap();
        assert_eq!(answer.dedup(), Some("hit"), "{answer:?}");
    }
}

fn the_drain_delay_keeps_serving_and_readiness_fails_at_once(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("FLK_DRAIN_DELAY", "2s")
        .start();
    let mut open = gateway.connect();
    assert_eq!(
        open.post(&record(0).body).unwrap().header("Connection"),
        None
    );
    let from = Instant::now();
    gateway.terminate();
    while gateway.get("/readyz").status == 200 {
        assert!(
            from.elapsed() < Duration::from_secs(1),
            "readiness must fail at once"
        );
        std::thread::yield_now();
    }
    let unready = from.elapsed();
    assert!(unready < Duration::from_secs(1), "{unready:?}");
    assert_eq!(gateway.get("/livez").status, 200);
    let answer = open.post(&record(1).body).unwrap();
    assert_eq!(answer.status, 200, "it serves on: {answer:?}");
    assert_eq!(answer.header("Connection"), Some("close"));
    assert!(open.closes());
    let answer = gateway.post(&record(2).body);
    assert_eq!(answer.status, 200, "new connections too: {answer:?}");
    assert_eq!(answer.header("Connection"), Some("close"));
    let ended = gateway.ended(DRAIN);
    assert_eq!(ended.code(), 0, "{ended}");
    assert!(
        from.elapsed() >= Duration::from_secs(2),
        "it ended before its delay was over"
    );
}

fn a_stop_with_a_delay_under_load_serves_on_and_ends_in_time(setting: Setting) {
    const CLIENTS: u64 = 8;
    const DELAY: Duration = Duration::from_secs(2);
    let directory = setting.directory();
    let plan = setting.plan(directory.path()).with("FLK_DRAIN_DELAY", "2s");
    let gateway = plan.start();
    let answered = AtomicU64::new(0);
    let (acknowledged, ended) = std::thread::scope(|scope| {
        let (address, answered) = (gateway.address(), &answered);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let records = (number..).step_by(CLIENTS as usize).map(record);
                scope.spawn(move || {
                    Client::default().post_until_nobody_listens(address, records, answered)
                })
            })
            .collect();
        wait_until("load", DEADLINE, || answered.load(Ordering::Relaxed) >= 200);
        gateway.terminate();
        let from = Instant::now();
        wait_until("unready", DEADLINE, || gateway.get("/readyz").status == 503);
        assert!(
            from.elapsed() < Duration::from_secs(1),
            "it must fail at once"
        );
        let unready = gateway.get("/readyz");
        assert_eq!(unready.problem_code(), "draining");
        assert!(unready.header("Retry-After").is_some());
        assert_eq!(gateway.get("/livez").status, 200);
        let ended = gateway.ended(DELAY + DRAIN);
        assert!(
            from.elapsed() >= DELAY,
            "it ended before its delay was over"
        );
        let clients = clients.into_iter().map(|client| client.join().unwrap());
        (clients.collect::<Vec<Client>>(), ended)
    });
    assert_eq!(ended.code(), 0, "{ended}");
    for client in &acknowledged {
        assert!(
            client.asked_to_close_count > 0,
            "nobody told it to look elsewhere"
        );
        assert!(
            client.after_that_count > 0,
            "nothing was served during the delay"
        );
    }
    let gateway = plan.start();
    gateway.wait_until_said("after a clean stop");
    let mut connection = gateway.connect();
    for (record, outcome) in acknowledged.iter().flat_map(|it| &it.acknowledged) {
        let answer = connection.post(&record.body).unwrap();
        assert_eq!((answer.dedup(), &answer.body), (Some("hit"), outcome));
    }
}

/// Posts one record after the other, on a new connection where the last was closed.
#[derive(Default)]
struct Client {
    acknowledged: Vec<(Record, Vec<u8>)>,
    asked_to_close_count: u64,
    /// Acknowledgements after the first `Connection: close`.
    after_that_count: u64,
}

impl Client {
    fn post_until_nobody_listens(
        mut self,
        at: SocketAddr,
        mut records: impl Iterator<Item = Record>,
        answered: &AtomicU64,
    ) -> Client {
        let mut next = records.next();
        while let Ok(mut connection) = Connection::open(at) {
            while let Some(record) = next.take() {
                let Ok(answer) = connection.post(&record.body) else {
                    // Closed between two requests: what became of this one is not known, so it is posted again.
                    next = Some(record);
                    break;
                };
                let closes = answer.header("Connection") == Some("close");
                if answer.status == 200 {
                    assert!(record.is_outcome(&answer.body));
                    self.acknowledged.push((record, answer.body));
                    self.after_that_count += u64::from(self.asked_to_close_count > 0);
                    answered.fetch_add(1, Ordering::Relaxed);
                    next = records.next();
                } else {
                    assert_eq!(answer.problem_code(), "draining");
                    next = Some(record);
                }
                if closes {
                    self.asked_to_close_count += 1;
                    break;
                }
            }
        }
        self
    }
}

/// Between two requests a client rests; a stop in such a rest must not lose the next request.
fn clients_that_keep_their_connections_lose_no_request_to_a_stop(setting: Setting) {
    const CLIENTS: u64 = 50;
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let address = gateway.address();
    let answered = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let answered = &answered;
            scope.spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                for number in (client..).step_by(CLIENTS as usize) {
                    let answer = connection.post(&record(number).body);
                    let answer = answer.unwrap_or_else(|error| panic!("client {client}: {error}"));
                    assert_eq!(answer.status, 200, "client {client}: {answer:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                    if answer.header("Connection") == Some("close") {
                        assert!(connection.closes());
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(5 + number * 37 % 300));
                }
            });
        }
        wait_until("load", DEADLINE, || {
            answered.load(Ordering::Relaxed) >= 3 * CLIENTS
        });
        gateway.terminate();
    });
    let ended = gateway.ended(DRAIN);
    assert_eq!(ended.code(), 0, "{ended}");
}

fn a_second_signal_ends_the_delay(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("FLK_DRAIN_DELAY", "1h")
        .start();
    gateway.terminate();
    gateway.wait_until_said("draining");
    gateway.terminate();
    let ended = gateway.ended(DRAIN);
    assert_eq!(ended.code(), 0, "{ended}");
}

fn a_stop_during_the_start_is_a_stop(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path());
    let gateway = plan.launch().unwrap();
    gateway.terminate();
    let ended = gateway.ended(DRAIN);
    assert_eq!(ended.code(), 0, "{ended}");
    assert_eq!(plan.start().post(&record(0).body).status, 200);
}

fn who_waits_to_be_accepted_when_a_stop_begins_is_answered_and_not_reset(setting: Setting) {
    const CLIENTS: u64 = 60;
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    gateway.freeze();
    let mut waiting: Vec<Connection> = (0..CLIENTS).map(|_| gateway.connect()).collect();
    for (number, connection) in (0..).zip(&mut waiting) {
        connection.send(&submit(&record(number).body)).unwrap();
    }
    gateway.terminate();
    gateway.thaw();
    for (number, connection) in waiting.iter_mut().enumerate() {
        let answer = connection.response();
        let answer = answer.unwrap_or_else(|error| panic!("client {number}: {error}"));
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        assert!(connection.closes());
    }
    let ended = gateway.ended(DRAIN);
    assert_eq!(ended.code(), 0, "{ended}");
}

fn connections_that_do_nothing_do_not_hold_a_stop_up(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let mut idle = gateway.connect();
    assert_eq!(idle.get("/health").unwrap().status, 200);
    let mut half_head = gateway.connect();
    half_head
        .send(b"POST /v1/pcs/submit HTTP/1.1\r\nHost: ga")
        .unwrap();
    let mut half_body = gateway.connect();
    let request = submit(&record(0).body);
    half_body.send(&request[..request.len() - 10]).unwrap();
    assert_eq!(gateway.get("/health").status, 200);
    let ended = gateway.stop();
    assert_eq!(ended.code(), 0, "{ended}");
    assert!(ended.took < DRAIN, "{:?}", ended.took);
    assert!(idle.closes());
}
