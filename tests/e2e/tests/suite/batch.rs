//! Batch requests: each record gets what a submit of it gets, over real sockets, through a crash and through a stop, and
//! whatever a client sends.

use flk_e2e::setting::Setting;
use flk_testkit::batch::{Line, lines, request};
use flk_testkit::client::Connection;
use flk_testkit::golden::{bytes, vectors};
use flk_testkit::records::record;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

on_every_host!(
    every_golden_record_in_one_batch_gets_what_a_submit_of_it_gets,
    what_a_batch_was_told_before_a_kill_is_a_hit_with_the_same_bytes,
    a_stop_under_batches_answers_or_closes_and_loses_nothing,
    hostile_batches_are_refused_or_answered_and_the_gateway_serves_on,
    large_batches_come_back_whole_while_others_are_served,
);

/// All golden records that fit one line, and some that are none.
fn bodies() -> Vec<Vec<u8>> {
    let rows = vectors("records");
    let rows = rows["records"].as_array().unwrap().iter();
    let files = rows.map(|row| bytes(row["file"].as_str().unwrap()));
    let mut bodies: Vec<Vec<u8>> = files
        .map(|body| {
            let one_line = body.into_iter();
            one_line
                .map(|byte| {
                    if matches!(byte, b'\n' | b'\r') {
                        b' '
                    } else {
                        byte
                    }
                })
                .collect()
        })
        .filter(|body: &Vec<u8>| !body.is_empty())
        .collect();
    bodies.push(record(1).body);
    bodies.push(record(1).forged());
    bodies.push(b"\0".to_vec());
    bodies.push(vec![b'['; 100_000]);
    bodies.push(record(1).body);
    bodies
}

fn every_golden_record_in_one_batch_gets_what_a_submit_of_it_gets(setting: Setting) {
    let bodies = bodies();
    let submitted: Vec<Line> = {
        let directory = setting.directory();
        let gateway = setting.plan(directory.path()).start();
        let answers = bodies.iter().map(|body| gateway.post(body));
        let lines = answers.zip(1..).map(|(answer, line)| Line {
            line,
            status: answer.status,
            dedup: answer.dedup().map(str::to_owned),
            body: answer.text().to_owned(),
        });
        lines.collect()
    };
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let mut connection = gateway.connect();
    connection.send(&request(&bodies)).unwrap();
    let batched = lines(&connection.response().unwrap());
    assert_eq!(batched, submitted);
    let statuses: Vec<u16> = batched.iter().map(|line| line.status).collect();
    for status in [200, 202, 400, 401] {
        assert!(statuses.contains(&status), "{statuses:?}");
    }
    assert_eq!(gateway.stop().code(), 0);
}

fn what_a_batch_was_told_before_a_kill_is_a_hit_with_the_same_bytes(setting: Setting) {
    const CLIENTS: u64 = 4;
    const RECORDS: u64 = 300;
    let directory = setting.directory();
    let plan = setting.plan(directory.path());
    let gateway = plan.start();
    let address = gateway.address();
    let answered = &AtomicU64::new(0);
    let told: BTreeMap<u64, String> = std::thread::scope(|scope| {
        let client = move |client: u64| {
            let mut told = BTreeMap::new();
            let mut connection = Connection::open(address).unwrap();
            for round in 0.. {
                let first = (round * CLIENTS + client) * RECORDS;
                let numbers = first..first + RECORDS;
                let bodies: Vec<Vec<u8>> = numbers.clone().map(|it| record(it).body).collect();
                let sent = connection.send(&request(&bodies));
                let Ok(answer) = sent.and_then(|()| connection.response()) else {
                    break;
                };
                for (number, line) in numbers.zip(lines(&answer)) {
                    assert_eq!(line.status, 200, "{line:?}");
                    told.insert(number, line.body);
                }
                answered.fetch_add(1, Ordering::Relaxed);
            }
            told
        };
        let clients: Vec<_> = (0..CLIENTS)
            .map(|at| scope.spawn(move || client(at)))
            .collect();
        while answered.load(Ordering::Relaxed) < 6 {
            std::thread::yield_now();
        }
        gateway.kill();
        let all = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        all.collect()
    });
    let gateway = plan.start();
    let mut connection = gateway.connect();
    assert!(told.len() >= 6 * RECORDS as usize);
    let numbers: Vec<u64> = told.keys().copied().collect();
    for numbers in numbers.chunks(1000) {
        let bodies: Vec<Vec<u8>> = numbers.iter().map(|it| record(*it).body).collect();
        connection.send(&request(&bodies)).unwrap();
        for (number, line) in numbers.iter().zip(lines(&connection.response().unwrap())) {
            assert_eq!(line.dedup.as_deref(), Some("hit"), "{number}: {line:?}");
            assert_eq!(line.body, told[number]);
        }
    }
    // What was not answered is new or known, and has one outcome from now on.
    let last = numbers.last().unwrap() + 1;
    let open: Vec<Vec<u8>> = (last..last + CLIENTS * RECORDS)
        .map(|it| record(it).body)
        .collect();
    let mut ask = || {
        connection.send(&request(&open)).unwrap();
        lines(&connection.response().unwrap())
    };
    let (first, second) = (ask(), ask());
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(
            (second.dedup.as_deref(), &second.body),
            (Some("hit"), &first.body)
        );
    }
}

fn a_stop_under_batches_answers_or_closes_and_loses_nothing(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path());
    let gateway = plan.start();
    let mut connection = gateway.connect();
    let mut told = Vec::new();
    for round in 0_u64.. {
        let numbers = round * 200..(round + 1) * 200;
        let bodies: Vec<Vec<u8>> = numbers.clone().map(|it| record(it).body).collect();
        let sent = connection.send(&request(&bodies));
        if round == 3 {
            gateway.terminate();
        }
        let Ok(answer) = sent.and_then(|()| connection.response()) else {
            break;
        };
        if answer.status == 503 {
            break;
        }
        let of_batch = numbers.zip(lines(&answer));
        told.extend(of_batch.filter(|(_, line)| line.status == 200));
        if answer.header("Connection") == Some("close") {
            break;
        }
    }
    let ended = gateway.ended(Duration::from_secs(20));
    assert_eq!(ended.code(), 0, "{ended}");
    assert!(told.len() >= 600);
    let gateway = plan.start();
    for (number, line) in told {
        let answer = gateway.post(&record(number).body);
        assert_eq!(
            (answer.dedup(), answer.text()),
            (Some("hit"), line.body.as_str())
        );
    }
}

fn hostile_batches_are_refused_or_answered_and_the_gateway_serves_on(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let head = "POST /v1/pcs/batch HTTP/1.1\r\nHost: gateway\r\n";
    let one = record(1).body;
    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for byte in &one {
        chunked.extend_from_slice(b"1\r\n");
        chunked.push(*byte);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let endless = vec![b'x'; 4 << 20];
    let cases: [(Vec<u8>, u16, usize); 7] = [
        (chunked, 200, 1),
        (request(&vec![b""; 4097]), 413, 0),
        (request(&vec![b"\r"; 4096]), 200, 0),
        (request(&[&endless[..endless.len() - 1]]), 200, 1),
        (request(&[&endless[..]]), 413, 0),
        (request(&[vec![0; 1000], vec![b'['; 1 << 20]]), 200, 2),
        (
            b"GET /v1/pcs/batch HTTP/1.1\r\nHost: g\r\n\r\n".to_vec(),
            405,
            0,
        ),
    ];
    for (at, (bytes, status, count)) in cases.into_iter().enumerate() {
        let mut connection = gateway.connect();
        // What is refused is not read to its end.
        let _ = connection.send(&bytes);
        let answer = connection.response().unwrap();
        assert_eq!(answer.status, status, "{at}: {answer:?}");
        if status == 200 {
            assert_eq!(lines(&answer).len(), count, "{at}");
        }
    }
    let mut pipelined = gateway.connect();
    let small: Vec<u8> = (0..40)
        .flat_map(|at| request(&[record(at).body, b"{".to_vec()]))
        .collect();
    pipelined.send(&small).unwrap();
    for _ in 0..40 {
        let statuses: Vec<u16> = lines(&pipelined.response().unwrap())
            .iter()
            .map(|line| line.status)
            .collect();
        assert_eq!(statuses, [200, 400]);
    }
    assert_eq!(gateway.post(&one).dedup(), Some("hit"));
}

fn large_batches_come_back_whole_while_others_are_served(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("FLK_CORES", "1")
        .start();
    let bodies =
        |first: u64| -> Vec<Vec<u8>> { (first..first + 4096).map(|it| record(it).body).collect() };
    let large = [request(&bodies(0)), request(&bodies(10_000))];
    let address = gateway.address();
    std::thread::scope(|scope| {
        let clients: Vec<_> = large
            .iter()
            .map(|large| {
                scope.spawn(move || {
                    let mut connection = Connection::open(address).unwrap();
                    connection.send(large).unwrap();
                    lines(&connection.response().unwrap())
                })
            })
            .collect();
        let mut others = gateway.connect();
        for number in 50_000..50_050 {
            assert_eq!(others.post(&record(number).body).unwrap().status, 200);
        }
        for client in clients {
            let lines = client.join().unwrap();
            assert_eq!(lines.len(), 4096);
            assert!(lines.iter().all(|line| line.status == 200));
        }
    });
    let page = gateway.get("/metrics");
    let counted = "flk_batch_requests_total{result=\"answered\"} 2\n";
    assert!(page.text().contains(counted), "{}", page.text());
}
