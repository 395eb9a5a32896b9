//! Connections at rest: closed after `HTTP_KEEPALIVE`, politely, and no sooner than that after their last request.

use flk_e2e::setting::Setting;
use flk_testkit::client::Connection;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

on_every_host!(connections_at_rest_are_closed_when_the_setting_says);

/// The setting.
const REST: Duration = Duration::from_secs(3);

/// A machine with much to do is this late at most.
const LATE: Duration = Duration::from_secs(10);

fn connections_at_rest_are_closed_when_the_setting_says(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("HTTP_KEEPALIVE", "3s")
        .start();
    let address = gateway.address();
    let clients: [fn(SocketAddr); 3] = [never_asks, asks_once, asks_now_and_then];
    std::thread::scope(|scope| {
        for client in clients {
            scope.spawn(move || client(address));
        }
    });
}

fn is_closed_in_time(mut connection: Connection, from: Instant) {
    while !connection.closes() {
        assert!(from.elapsed() < REST + LATE, "still open");
    }
    let took = from.elapsed();
    assert!(took >= REST && took < REST + LATE, "{took:?}");
}

fn never_asks(at: SocketAddr) {
    let from = Instant::now();
    is_closed_in_time(Connection::open(at).unwrap(), from);
}

fn asks_once(at: SocketAddr) {
    let mut connection = Connection::open(at).unwrap();
    std::thread::sleep(REST / 2);
    let from = Instant::now();
    assert_eq!(connection.get("/livez").unwrap().status, 200);
    is_closed_in_time(connection, from);
}

fn asks_now_and_then(at: SocketAddr) {
    let mut connection = Connection::open(at).unwrap();
    for _ in 0..4 {
        std::thread::sleep(REST / 2);
        assert_eq!(connection.get("/livez").unwrap().status, 200);
    }
}
