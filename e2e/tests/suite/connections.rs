//! As many connections as a shard takes, and more: all are served, the next ones wait until one leaves, and memory stays
//! within bounds.

use flk_dataplane::driver::threads::raise_open_files;
use flk_dataplane::shard::config::Limits;
use flk_e2e::client::{Connection, submit};
use flk_e2e::gateway::{Gateway, Plan, wait_until};
use flk_e2e::metrics::Metrics;
use flk_e2e::records::record;
use flk_e2e::setting::Setting;
use std::sync::{Mutex, PoisonError};

on_every_host!(
    thousands_of_connections_are_served_and_the_next_wait_for_room,
    half_sent_bodies_do_not_fill_the_memory,
);

/// What a shard takes.
const CONNECTIONS: u64 = 4096;

/// Connections that come when there is no room.
const WAITING: usize = 16;

/// Open files for this test and all that runs beside it.
const OPEN_FILES: u64 = CONNECTIONS + 1024;

/// Resident memory of a gateway with one shard and all its connections open.
const RESIDENT_MIB_MAX: u64 = 64;

/// Only one host at a time has so many connections: the limit of open files is the process's.
static TURN: Mutex<()> = Mutex::new(());

fn thousands_of_connections_are_served_and_the_next_wait_for_room(setting: Setting) {
    assert_eq!(u64::from(Limits::default().connections_max), CONNECTIONS);
    if raise_open_files().is_some_and(|limit| limit < OPEN_FILES) {
        flk_testkit::skipped(&format!(
            "{CONNECTIONS} connections: fewer than {OPEN_FILES} files may be open"
        ));
        return;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = setting.directory();
    let gateway = Plan::new(setting, directory.path())
        .with("FLK_CORES", "1")
        .start();
    let idle_mib = resident_mib(&gateway);

    let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|_| gateway.connect()).collect();
    all_are_served(&mut connections, 0);
    assert_eq!(open_count(&mut connections[0]), CONNECTIONS);
    let full_mib = resident_mib(&gateway);

    // The kernel completes these; the gateway takes none of them, and is busy with the others.
    let mut waiting: Vec<Connection> = (0..WAITING).map(|_| gateway.connect()).collect();
    for connection in &mut waiting {
        connection.send(&submit(&record(1).body)).unwrap();
    }
    all_are_served(&mut connections, 10_000);
    assert_eq!(open_count(&mut connections[0]), CONNECTIONS);
    for connection in &waiting {
        assert!(connection.is_silent().unwrap(), "served beyond the limit");
    }

    // One goes, one comes.
    for connection in &mut waiting {
        drop(connections.pop());
        assert_eq!(connection.response().unwrap().dedup(), Some("hit"));
    }
    assert_eq!(open_count(&mut connections[0]), CONNECTIONS);
    let busy_mib = resident_mib(&gateway);
    println!(
        "{setting:?}: resident {idle_mib} MiB without, {full_mib} with {CONNECTIONS} connections, {busy_mib} later"
    );
    assert!(busy_mib <= RESIDENT_MIB_MAX, "{busy_mib} MiB resident");

    // All go, and the next find an empty house.
    drop((connections, waiting));
    let mut last = gateway.connect();
    wait_until("all connections are closed", || open_count(&mut last) == 1);
    assert_eq!(last.post(&record(1).body).unwrap().dedup(), Some("hit"));
}

fn half_sent_bodies_do_not_fill_the_memory(setting: Setting) {
    const BODIES: usize = 512;
    const BODY_BYTES: usize = 1 << 20;
    const PATIENT: usize = 16;
    /// 16 MiB of granted bodies and 8 MiB of granted heads. Who waits for a grant keeps what had come before reading
    /// stopped, as much as the kernel buffers for a socket: 128 KiB, in a vector that may be twice as large.
    const HELD_MIB_MAX: u64 = 24 + (BODIES as u64 * 256) / 1024;
    let directory = setting.directory();
    let gateway = Plan::new(setting, directory.path())
        .with("FLK_CORES", "1")
        .start();
    let idle_mib = resident_mib(&gateway);
    let request = |number: usize| {
        let mut body = record(number as u64).body;
        body.resize(BODY_BYTES, b' ');
        submit(&body)
    };
    let mut connections: Vec<Connection> = (0..BODIES).map(|_| gateway.connect()).collect();
    let mut sent = [0; BODIES];
    for (number, connection) in connections.iter_mut().enumerate() {
        let request = request(number);
        sent[number] = connection.send_what_fits(&request[..BODY_BYTES]).unwrap();
    }
    assert_eq!(gateway.get("/livez").status, 200);
    let full_mib = resident_mib(&gateway);
    let sent_mib = sent.iter().sum::<usize>() >> 20;
    println!("{setting:?}: resident {idle_mib} MiB, {full_mib} with {sent_mib} MiB of half bodies");
    assert!(sent_mib >= 2 * HELD_MIB_MAX as usize, "too little to tell");
    assert!(full_mib <= idle_mib + HELD_MIB_MAX, "{full_mib} MiB");

    // The clock of those that the gateway does not read stands still; when others go, their turn comes.
    let mut patient = connections.split_off(BODIES - PATIENT);
    drop(connections);
    for (at, connection) in patient.iter_mut().enumerate() {
        let number = BODIES - PATIENT + at;
        connection.send(&request(number)[sent[number]..]).unwrap();
        let answer = connection.response().unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
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
