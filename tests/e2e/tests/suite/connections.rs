//! As many connections as a shard takes, and more: all are served, the next ones get the places of idle ones, and memory
//! stays within bounds.

use flk_dataplane::driver::threads::raise_open_files;
use flk_dataplane::shard::config::ShardLimits;
use flk_e2e::setting::Setting;
use flk_testkit::client::{Connection, submit};
use flk_testkit::gateway::Gateway;
use flk_testkit::metrics::Metrics;
use flk_testkit::records::record;
use flk_testkit::{DEADLINE, wait_until};
use std::sync::{Mutex, MutexGuard, PoisonError};

on_every_host!(
    thousands_of_connections_are_served_side_by_side,
    half_sent_bodies_do_not_fill_the_memory_nor_keep_another_address_out,
    those_that_come_get_the_places_of_idle_ones,
);

/// What a shard takes.
const CONNECTIONS: u64 = 4096;

/// Connections that come when there is no room.
const NEW: usize = 200;

/// Open files for this test and all that runs beside it.
const OPEN_FILES: u64 = CONNECTIONS + 1024;

/// Resident memory of a gateway with one shard and all its connections open.
const RESIDENT_MIB_MAX: u64 = 64;

/// Only one host at a time has so many connections: the limit of open files is the process's.
static TURN: Mutex<()> = Mutex::new(());

/// Whether so many files may be open, while the value lives.
fn many_files() -> Option<MutexGuard<'static, ()>> {
    assert_eq!(
        u64::from(ShardLimits::default().connections_max),
        CONNECTIONS
    );
    if raise_open_files().is_some_and(|limit| limit < OPEN_FILES) {
        flk_testkit::skipped(&format!(
            "{CONNECTIONS} connections: fewer than {OPEN_FILES} files may be open"
        ));
        return None;
    }
    Some(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

fn thousands_of_connections_are_served_side_by_side(setting: Setting) {
    let Some(_turn) = many_files() else { return };
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("FLK_CORES", "1")
        .start();
    let idle_mib = resident_mib(&gateway);

    let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|_| gateway.connect()).collect();
    all_are_served(&mut connections, 0);
    assert_eq!(open_count(&mut connections[0]), CONNECTIONS);
    let full_mib = resident_mib(&gateway);
    all_are_served(&mut connections, 10_000);
    let busy_mib = resident_mib(&gateway);
    println!(
        "{setting:?}: resident {idle_mib} MiB without, {full_mib} with {CONNECTIONS} connections, {busy_mib} later"
    );
    assert!(busy_mib <= RESIDENT_MIB_MAX, "{busy_mib} MiB resident");

    // All go, and the next find an empty house.
    drop(connections);
    let mut last = gateway.connect();
    wait_until("all connections are closed", DEADLINE, || {
        open_count(&mut last) == 1
    });
    assert_eq!(last.post(&record(1).body).unwrap().dedup(), Some("hit"));
}

fn those_that_come_get_the_places_of_idle_ones(setting: Setting) {
    let Some(_turn) = many_files() else { return };
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("FLK_CORES", "1")
        .start();
    let mut idle: Vec<Connection> = (0..CONNECTIONS).map(|_| gateway.connect()).collect();
    // The first asks after all others have come: it is not the one that has been idle longest.
    wait_until("all are there", DEADLINE, || {
        open_count(&mut idle[0]) == CONNECTIONS
    });
    let mut new: Vec<Connection> = (0..NEW).map(|_| gateway.connect()).collect();
    all_are_served(&mut new, 0);
    wait_until("others went", DEADLINE, || {
        open_count(&mut new[0]) == CONNECTIONS
    });
    assert_eq!(idle[0].get("/livez").unwrap().status, 200);
    let gone = idle
        .iter()
        .skip(1)
        .filter(|it| !it.is_silent().unwrap_or(false));
    assert_eq!(gone.count(), NEW);
    gateway.wait_until_said("closed to make room");
}

fn half_sent_bodies_do_not_fill_the_memory_nor_keep_another_address_out(setting: Setting) {
    const BODIES: usize = 512;
    const BODY_BYTES: usize = 1 << 20;
    /// Partial heads, partial bodies, what came before reading stopped, buffers kept, and what comes in one turn, which two
    /// buffers may hold.
    const HELD_MIB_MAX: u64 = 8 + 16 + 16 + 4 + 2 * 4;
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("FLK_CORES", "1")
        .start();
    let idle_mib = resident_mib(&gateway);
    let request = |number: usize| {
        let mut body = record(number as u64).body;
        body.resize(BODY_BYTES, b' ');
        submit(&body)
    };
    let mut connections: Vec<Connection> = (0..BODIES).map(|_| gateway.connect()).collect();
    let mut sent_bytes = 0;
    for (number, connection) in connections.iter_mut().enumerate() {
        let half = &request(number)[..BODY_BYTES / 2];
        // Some are refused at once.
        sent_bytes += connection.send_what_fits(half).unwrap_or(0);
    }
    assert_eq!(gateway.get("/livez").status, 200);
    let full_mib = resident_mib(&gateway);
    let sent_mib = sent_bytes >> 20;
    println!("{setting:?}: resident {idle_mib} MiB, {full_mib} with {sent_mib} MiB of half bodies");
    assert!(full_mib <= idle_mib + HELD_MIB_MAX, "{full_mib} MiB");

    // All of that came from one address. Another one is served, while the first keeps coming.
    for number in 0..3 {
        let mut other = Connection::open_from([127, 0, 0, 2].into(), gateway.address()).unwrap();
        other.send(&request(BODIES + number)).unwrap();
        let answer = other.response().unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        for connection in connections.iter_mut().take(64) {
            *connection = gateway.connect();
            let half = &request(number)[..BODY_BYTES / 2];
            let _refused = connection.send_what_fits(half);
        }
    }
    drop(connections);
    wait_until("there is memory again", DEADLINE, || {
        let mut connection = gateway.connect();
        let sent = connection.send(&request(0));
        sent.is_ok()
            && connection
                .response()
                .is_ok_and(|answer| answer.status == 200)
    });
}

/// A new record on each, all at once.
fn all_are_served(connections: &mut [Connection], from: u64) {
    let records: Vec<_> = (from..).take(connections.len()).map(record).collect();
    for (connection, record) in connections.iter_mut().zip(&records) {
        connection.send(&submit(&record.body)).unwrap();
    }
    for (connection, record) in connections.iter_mut().zip(&records) {
        let answer = connection.response().unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(record.is_outcome(&answer.body), "{answer:?}");
    }
}

/// Connections that the gateway has, by its own count.
fn open_count(connection: &mut Connection) -> u64 {
    let page = connection.get("/metrics").unwrap();
    Metrics::read(page.text()).count("flk_connections")
}

/// Memory of the process that is not elsewhere.
fn resident_mib(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib / 1024
}
