//! Connections at rest: closed after a minute, politely, and no sooner than that after their last request.

use flk_e2e::client::Connection;
use flk_e2e::gateway::Plan;
use flk_e2e::setting::Setting;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

on_every_host_at_length!(connections_at_rest_are_closed_after_a_minute);

/// The time-out.
const REST: Duration = Duration::from_secs(60);

/// A machine with much to do is this late at most.
const LATE: Duration = Duration::from_secs(10);

fn connections_at_rest_are_closed_after_a_minute(setting: Setting) {
    let directory = setting.directory();
    let gateway = Plan::new(setting, directory.path()).start();
    let address = gateway.address();
    let clients: [fn(SocketAddr); 3] = [never_asks, asks_once, asks_now_and_then];
    std::thread::scope(|scope| {
        for client in clients {
            scope.spawn(move || client(address));
        }
    });
}

fn is_closed_after_a_minute(mut connection: Connection, from: Instant) {
    while !connection.closes() {
        assert!(from.elapsed() < REST + LATE, "still open");
    }
    let took = from.elapsed();
    assert!(took >= REST && took < REST + LATE, "{took:?}");
}

fn never_asks(at: SocketAddr) {
    let from = Instant::now();
    is_closed_after_a_minute(Connection::open(at).unwrap(), from);
}

fn asks_once(at: SocketAddr) {
    let mut connection = Connection::open(at).unwrap();
    std::thread::sleep(Duration::from_secs(5));
    let from = Instant::now();
    assert_eq!(connection.get("/livez").unwrap().status, 200);
    is_closed_after_a_minute(connection, from);
}

fn asks_now_and_then(at: SocketAddr) {
    let mut connection = Connection::open(at).unwrap();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_secs(25));
        assert_eq!(connection.get("/livez").unwrap().status, 200);
    }
}
