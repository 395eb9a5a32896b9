//! Bounds and orders that the golden conversations do not reach: long pipelines in any pieces, storms of duplicates, and
//! connections by the hundred.

use flk_e2e::setting::Setting;
use flk_testkit::client::{Connection, submit};
use flk_testkit::records::record;
use flk_testkit::{DEADLINE, wait_until};
use std::sync::Barrier;

on_every_host!(
    a_long_pipeline_is_answered_in_order_however_it_is_cut,
    of_concurrent_duplicates_exactly_one_is_the_first,
    hundreds_of_connections_are_served_side_by_side,
    many_large_bodies_are_all_taken,
    a_refused_chunked_request_keeps_its_connection_like_one_of_known_length,
    another_protocol_is_named_to_the_client_and_to_the_operator,
    an_empty_body_and_a_large_one_at_once_are_both_answered,
    a_client_that_reads_nothing_harms_nobody,
    full_memory_is_emptied_into_a_slice_and_nothing_is_forgotten,
);

fn a_long_pipeline_is_answered_in_order_however_it_is_cut(setting: Setting) {
    const REQUESTS: u64 = 200;
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    for (round, piece_bytes) in [usize::MAX, 8192, 701].into_iter().enumerate() {
        let first = 1_000 * round as u64;
        let records: Vec<_> = (first..first + REQUESTS).map(record).collect();
        let mut bytes = Vec::new();
        for (index, record) in records.iter().enumerate() {
            // Every fifth is refused: answers that need no decision must not overtake those that do.
            let body = if index % 5 == 4 {
                record.forged()
            } else {
                record.body.clone()
            };
            bytes.extend(submit(&body));
        }
        let mut connection = gateway.connect();
        let mut writer = connection.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for piece in bytes.chunks(piece_bytes.min(bytes.len())) {
                    writer.send(piece).unwrap();
                }
            });
            for (index, record) in records.iter().enumerate() {
                let answer = connection.response().unwrap();
                if index % 5 == 4 {
                    assert_eq!(answer.status, 401, "{index}: {answer:?}");
                } else {
                    assert_eq!(answer.status, 200, "{index}: {answer:?}");
                    assert!(record.is_outcome(&answer.body), "{index} got {answer:?}");
                }
            }
        });
    }
}

fn of_concurrent_duplicates_exactly_one_is_the_first(setting: Setting) {
    const CLIENTS: usize = 16;
    const ROUNDS: u64 = 20;
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let barrier = Barrier::new(CLIENTS);
    let answers: Vec<Vec<_>> = std::thread::scope(|scope| {
        let client = || {
            let mut connection = gateway.connect();
            let mut post = |number| {
                barrier.wait();
                connection.post(&record(number).body).unwrap()
            };
            (0..ROUNDS).map(&mut post).collect()
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    for round in 0..ROUNDS as usize {
        let of_round = || answers.iter().map(|all| &all[round]);
        let misses = of_round()
            .filter(|answer| answer.dedup() == Some("miss"))
            .count();
        assert_eq!(misses, 1, "round {round}");
        let first = &answers[0][round];
        assert!(
            of_round().all(|answer| answer.status == 200 && answer.body == first.body),
            "round {round}"
        );
    }
}

fn hundreds_of_connections_are_served_side_by_side(setting: Setting) {
    const CONNECTIONS: u64 = 400;
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|_| gateway.connect()).collect();
    for round in 0..3 {
        let records: Vec<_> = (0..CONNECTIONS)
            .map(|at| record(round * CONNECTIONS + at))
            .collect();
        for (connection, record) in connections.iter_mut().zip(&records) {
            connection.send(&submit(&record.body)).unwrap();
        }
        for (connection, record) in connections.iter_mut().zip(&records) {
            let answer = connection.response().unwrap();
            assert!(
                answer.status == 200 && record.is_outcome(&answer.body),
                "{answer:?}"
            );
        }
    }
}

fn many_large_bodies_are_all_taken(setting: Setting) {
    const CLIENTS: u64 = 24;
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let gateway = &gateway;
            scope.spawn(move || {
                let record = record(client);
                let mut body = record.body.clone();
                body.resize((1 << 20) - client as usize, b' ');
                let mut connection = gateway.connect();
                for expected in ["miss", "hit"] {
                    let answer = connection.post(&body).unwrap();
                    assert!(record.is_outcome(&answer.body), "{answer:?}");
                    assert_eq!(answer.dedup(), Some(expected));
                }
            });
        }
    });
}

fn an_empty_body_and_a_large_one_at_once_are_both_answered(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("FLK_CORES", "1")
        .start();
    let large = submit(&[b'x'; 300 * 1024]);
    let (most, last) = large.split_at(large.len() - 1);
    for _ in 0..20 {
        let (mut first, mut second) = (gateway.connect(), gateway.connect());
        first.send(most).unwrap();
        second.send(&submit(b"")).unwrap();
        first.send(last).unwrap();
        for connection in [&mut first, &mut second] {
            let answer = connection.response().unwrap();
            assert_eq!(answer.problem_code(), "malformed_json");
        }
    }
}

fn a_client_that_reads_nothing_harms_nobody(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let mut deaf = gateway.connect();
    let page = b"GET /metrics HTTP/1.1\r\nHost: gateway\r\n\r\n".repeat(500);
    let mut writer = deaf.try_clone().unwrap();
    std::thread::scope(|scope| {
        // Its pages fill every buffer on the way; then the gateway stops reading it.
        scope.spawn(|| writer.send(&page).unwrap());
        for number in 0..200 {
            assert_eq!(gateway.post(&record(number).body).status, 200);
        }
        for _ in 0..500 {
            assert_eq!(deaf.response().unwrap().status, 200);
        }
    });
}

/// A mebibyte is full after some thousand ids; an hour would pass before the next seal that is due by age.
fn full_memory_is_emptied_into_a_slice_and_nothing_is_forgotten(setting: Setting) {
    let directory = setting.directory();
    let plan = setting
        .plan(directory.path())
        .with("DEDUP_MEMORY_MAX", "1MiB");
    let gateway = plan.start();
    let mut connection = gateway.connect();
    let mut taken = Vec::new();
    let refused = loop {
        let record = record(taken.len() as u64);
        let answer = connection.post(&record.body).unwrap();
        if answer.status != 200 {
            break answer;
        }
        taken.push((record, answer.body));
        assert!(taken.len() < 20_000, "a mebibyte does not hold so many");
    };
    assert_eq!(refused.status, 503);
    assert_eq!(refused.problem_code(), "dedup_memory_full");
    assert!(refused.header("Retry-After").is_some());
    let more = record(1_000_000);
    wait_until("a new id is taken", DEADLINE, || {
        gateway.post(&more.body).status == 200
    });
    for (record, outcome) in taken.iter().step_by(7) {
        let again = connection.post(&record.body).unwrap();
        assert_eq!(
            (again.status, again.dedup(), &again.body),
            (200, Some("hit"), outcome)
        );
    }
}

fn a_refused_chunked_request_keeps_its_connection_like_one_of_known_length(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    for (bytes, goes_on) in [(0, true), (1000, true), (64 << 10, true), (65 << 10, false)] {
        let mut connection = gateway.connect();
        let head = "POST /nowhere HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n";
        connection.send(head.as_bytes()).unwrap();
        assert_eq!(connection.response().unwrap().status, 404);
        for _ in 0..bytes / 1000 {
            let chunk = format!("3e8;part\r\n{}\r\n", "x".repeat(1000));
            connection.send(chunk.as_bytes()).unwrap();
        }
        let rest = bytes % 1000;
        if rest > 0 {
            let chunk = format!("{rest:x}\r\n{}\r\n", "x".repeat(rest));
            connection.send(chunk.as_bytes()).unwrap();
        }
        if goes_on {
            connection.send(b"0\r\nX-Sum: 1\r\n\r\n").unwrap();
            let answer = connection.post(&record(bytes as u64).body).unwrap();
            assert_eq!(answer.status, 200, "{bytes}: {answer:?}");
        } else {
            assert!(connection.closes(), "{bytes}");
        }
    }
}

fn another_protocol_is_named_to_the_client_and_to_the_operator(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting.plan(directory.path()).start();
    let hellos: [(&[u8], &str, &str); 3] = [
        (
            b"\x16\x03\x01\x02\x00\x01\x00",
            "tls_on_plain_port",
            "speaks TLS",
        ),
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "http2_on_plain_port",
            "speaks HTTP/2",
        ),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n",
            "proxy_protocol",
            "speaks the PROXY protocol",
        ),
    ];
    for (hello, code, said) in hellos {
        for _ in 0..3 {
            let mut connection = gateway.connect();
            connection.send(hello).unwrap();
            let answer = connection.response().unwrap();
            assert_eq!(answer.problem_code(), code, "{answer:?}");
        }
        gateway.wait_until_said(said);
    }
    let said = gateway.said();
    assert_eq!(said.matches("a client speaks").count(), 3, "{said}");
    assert!(
        !said.contains("192.0.2.1"),
        "nothing of what was sent: {said}"
    );
}
