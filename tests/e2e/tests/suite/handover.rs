//! Listening sockets that the service manager keeps: a restart under load fails no request, and what does not fit is
//! refused by name.

use flk_dataplane::driver::listen::{listeners, local_address};
use flk_e2e::setting::Setting;
use flk_testkit::client::Connection;
use flk_testkit::gateway::Gateway;
use flk_testkit::records::{Record, record};
use flk_testkit::{DEADLINE, wait_until};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

on_every_host!(
    a_restart_on_kept_sockets_fails_no_request,
    who_connects_while_no_gateway_runs_is_answered_by_the_next_one,
    a_stop_leaves_the_queue_of_kept_sockets_to_the_next_gateway,
    sockets_that_do_not_fit_are_refused_by_name,
    sockets_for_another_process_are_not_taken,
);

const CORES: usize = 1;

fn sockets(count: usize) -> (Vec<OwnedFd>, SocketAddr) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let sockets = listeners(any, count, Duration::ZERO, || {}).unwrap();
    let address = local_address(&sockets[0]).unwrap();
    (sockets, address)
}

/// Posts records for as long as it may, over connections that it keeps until they are told to close; each has to be answered 200.
fn client(
    address: SocketAddr,
    numbers: impl Iterator<Item = u64>,
    is_over: &AtomicBool,
    answered: &AtomicU64,
) -> Vec<Record> {
    let mut acknowledged = Vec::new();
    let mut connection = Connection::open(address).unwrap();
    for number in numbers {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let record = record(number);
        let answer = connection.post(&record.body);
        let answer = answer.unwrap_or_else(|error| panic!("record {number}: {error}"));
        assert_eq!(answer.status, 200, "record {number}: {answer:?}");
        assert_eq!(answer.dedup(), Some("miss"), "record {number}");
        acknowledged.push(record);
        answered.fetch_add(1, Ordering::Relaxed);
        if answer.header("Connection") == Some("close") {
            connection = Connection::open(address).unwrap();
        }
    }
    acknowledged
}

fn a_restart_on_kept_sockets_fails_no_request(setting: Setting) {
    const CLIENTS: u64 = 16;
    const RESTARTS: u64 = 3;
    let directory = setting.directory();
    // One queue for as many shards as there are cores.
    let (sockets, address) = sockets(1);
    let plan = setting.plan(directory.path()).with_sockets(sockets);
    let mut gateway = plan.start();
    gateway.wait_until_said("1 passed by the service manager");
    assert_eq!(gateway.address(), address);
    let (is_over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let (gateway, acknowledged) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|it| {
                let numbers = (it..).step_by(CLIENTS as usize);
                scope.spawn(|| client(address, numbers, &is_over, &answered))
            })
            .collect();
        for _ in 0..RESTARTS {
            let before = answered.load(Ordering::Relaxed);
            wait_until("clients are answered", DEADLINE, || {
                answered.load(Ordering::Relaxed) > before + 20 * CLIENTS
                    || clients.iter().any(|it| it.is_finished())
            });
            let ended = gateway.stop();
            assert_eq!(ended.code(), 0, "{ended}");
            gateway = plan.start();
        }
        let before = answered.load(Ordering::Relaxed);
        wait_until("clients are answered by the last one", DEADLINE, || {
            answered.load(Ordering::Relaxed) > before + CLIENTS
                || clients.iter().any(|it| it.is_finished())
        });
        is_over.store(true, Ordering::Relaxed);
        let acknowledged = clients.into_iter().flat_map(|it| it.join().unwrap());
        (gateway, acknowledged.collect::<Vec<Record>>())
    });
    for record in acknowledged {
        let answer = gateway.post(&record.body);
        assert_eq!(answer.dedup(), Some("hit"), "{answer:?}");
        assert!(record.is_outcome(&answer.body));
    }
}

fn who_connects_while_no_gateway_runs_is_answered_by_the_next_one(setting: Setting) {
    let directory = setting.directory();
    // One queue for as many shards as there are cores.
    let (sockets, address) = sockets(1);
    let plan = setting.plan(directory.path()).with_sockets(sockets);
    let ended = plan.start().stop();
    assert_eq!(ended.code(), 0, "{ended}");
    let mut waiting: Vec<Connection> = (0..20)
        .map(|_| Connection::open(address).unwrap())
        .collect();
    for (number, connection) in (0..).zip(&mut waiting) {
        let request = flk_testkit::client::submit(&record(number).body);
        connection.send(&request).unwrap();
    }
    let gateway = plan.start();
    for connection in &mut waiting {
        let answer = connection.response().unwrap();
        // Not 503: clients are accepted once records are admitted.
        assert_eq!((answer.status, answer.dedup()), (200, Some("miss")));
    }
    drop(gateway);
}

/// Who is in the queue when a stop begins is not answered by a process that ends, but left to the next one.
fn a_stop_leaves_the_queue_of_kept_sockets_to_the_next_gateway(setting: Setting) {
    let directory = setting.directory();
    let (sockets, address) = sockets(CORES);
    let plan = setting.plan(directory.path()).with("FLK_CORES", "1");
    let plan = plan.with_sockets(sockets);
    let gateway = plan.start();
    let mut waiting: Vec<Connection> = Vec::new();
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| gateway.stop());
        // Fewer than a queue holds, so that none has to wait for a place in it.
        while !stopping.is_finished() && waiting.len() < 2_000 {
            waiting.push(Connection::open(address).unwrap());
            std::thread::sleep(Duration::from_micros(200));
        }
        let ended = stopping.join().unwrap();
        assert_eq!(ended.code(), 0, "{ended}");
    });
    let _gateway = plan.start();
    let mut answered = 0;
    for (number, mut connection) in (0..).zip(waiting) {
        // Those that the first one accepted before it stopped were closed by it, having asked for nothing.
        if let Ok(answer) = connection.post(&record(number).body) {
            assert_eq!(answer.status, 200, "{answer:?}");
            answered += 1;
        }
    }
    assert!(answered > 0);
}

fn sockets_that_do_not_fit_are_refused_by_name(setting: Setting) {
    let directory = setting.directory();
    let plan = || setting.plan(directory.path()).with("FLK_CORES", "1");
    for (plan, why) in [
        (plan().with_sockets(sockets(2).0), "ReusePort=yes"),
        (
            plan().with_sockets(sockets(1).0).with("LISTEN_FDS", "2"),
            "descriptor 4, which is not open",
        ),
        (
            plan().with_sockets(sockets(1).0).with("LISTEN_FDS", "all"),
            "LISTEN_FDS=all",
        ),
        (
            plan().with_sockets(vec![
                std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into(),
            ]),
            "no listening TCP socket",
        ),
    ] {
        let ended = plan.run_to_end();
        assert_eq!(ended.code(), 78, "{ended}");
        assert!(ended.said.contains(why), "{why}: {ended}");
    }
}

fn sockets_for_another_process_are_not_taken(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path()).with("FLK_CORES", "1");
    let gateway: Gateway = plan.with("LISTEN_FDS", "1").with("LISTEN_PID", "1").start();
    assert_eq!(gateway.get("/readyz").status, 200);
    assert!(
        !gateway.said().contains("service manager"),
        "{}",
        gateway.said()
    );
}
