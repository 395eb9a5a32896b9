//! The whole life of a gateway inside a memory limit: it fills, is killed, starts and serves, by its own choice of memory
//! and by the largest that it allows. And a limit that leaves too little for the filters of slices.

use flk_bench_load::{Load, Stock};

use flk_e2e::cage::MemoryCage;
use flk_e2e::setting::Setting;
use flk_testkit::DEADLINE;
use flk_testkit::gateway::{Gateway, binary};
use flk_testkit::metrics::Metrics;
use flk_testkit::plan::Plan;
use flk_testkit::records::KEY;
use flk_testkit::records::record;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

on_every_host!(
    a_gateway_lives_within_its_memory_limit,
    a_start_whose_filters_do_not_fit_is_refused,
);

/// So many that what a start holds of them, and the tables, would not fit twice.
const RECORDS: usize = 120_000;
const LIMIT_BYTES: u64 = 64 << 20;

fn a_gateway_lives_within_its_memory_limit(setting: Setting) {
    if setting == Setting::Tmpfs {
        // There the log itself is memory, and counted.
        return;
    }
    let directory = setting.directory();
    let wal = directory.path().join("wal");
    let cage = MemoryCage::make(LIMIT_BYTES, &binary(), directory.path().join("start"));
    let cage = match cage {
        Ok(cage) => cage,
        Err(error) => {
            return flk_testkit::skipped(&format!(
                "a life within a memory limit ({setting:?}): no memory cgroup: {error}"
            ));
        }
    };
    let mut plan = setting.plan(&wal).with("FLK_CORES", "1");
    plan.program = cage.starter();
    let gateway = plan.start();
    assert!(
        gateway.said().contains("64 MiB that its cgroup allows"),
        "{}",
        gateway.said()
    );
    fill(&gateway);
    gateway.kill();
    lives(&plan, &wal, &cage);

    let refused = plan.clone().with("DEDUP_MEMORY_MAX", "1GiB").run_to_end();
    assert_eq!(refused.code(), 78, "{refused}");
    let (_, largest) = refused
        .said
        .split_once("the largest that fits is ")
        .unwrap();
    lives(
        &plan.with("DEDUP_MEMORY_MAX", largest.trim_end()),
        &wal,
        &cage,
    );
}

fn fill(gateway: &Gateway) {
    let mut stock = Stock::sign(KEY.as_bytes(), 0, RECORDS);
    let mut client = Load::connect(gateway.address(), 32).unwrap();
    let measured = client.run(&mut stock, Duration::from_secs(120)).unwrap();
    assert_eq!(
        stock.left_count(),
        0,
        "too slow a machine: {}/s",
        measured.per_second()
    );
    assert_eq!(measured.other_than_200_count(), 0);
}

/// Starts, twice in a row with a kill between, and still knows the first and the last.
fn lives(plan: &Plan, wal: &Path, cage: &MemoryCage) {
    for _ in 0..2 {
        let gateway = plan.start();
        for number in [0, RECORDS as u64 - 1] {
            let answer = gateway.post(&record(number).body);
            assert_eq!(answer.dedup(), Some("hit"), "{number}: {answer:?}");
        }
        let answer = gateway.post(&record(RECORDS as u64 + 7).body);
        assert_eq!(answer.status, 200, "{answer:?}");
        gateway.kill();
    }
    let peak = cage.peak_bytes().unwrap_or(0) >> 20;
    println!("{}: {peak} MiB at most", wal.display());
}

/// Of each so many, that all of them need more than a limit leaves which is just enough for the smallest tables.
const SLICES: usize = 18;
const SLICE_RECORDS: usize = 2_000;

fn a_start_whose_filters_do_not_fit_is_refused(setting: Setting) {
    if setting != Setting::Portable {
        // Nothing of it depends on the driver, and one cgroup of a name can be made at a time.
        return;
    }
    let directory = setting.directory();
    let wal = directory.path().join("wal");
    let cage = |bytes| MemoryCage::make(bytes, &binary(), directory.path().join("start"));
    let tiny = match cage(8 << 20) {
        Ok(cage) => cage,
        Err(error) => {
            return flk_testkit::skipped(&format!(
                "filters that do not fit: no memory cgroup: {error}"
            ));
        }
    };
    let plain = setting.plan(&wal).with("FLK_CORES", "1");
    let mut plan = plain.clone();
    plan.program = tiny.starter();
    // Rounded to a mebibyte.
    let others_mib: u64 = figure(&plan.run_to_end().said, "1 shard(s) needs ", " MiB");
    drop(tiny);
    let gateway = plain.clone().with("DEDUP_MEMORY_MAX", "16MiB").start();
    make_slices(&gateway, &wal);
    gateway.kill();

    let cage = cage((others_mib << 20) + (9 << 20) / 4).unwrap();
    plan.program = cage.starter();
    let mut bytes = 0;
    for plan in [plan.clone().with("DEDUP_MEMORY_MAX", "1MiB"), plan] {
        let refused = plan.run_to_end();
        assert_eq!(refused.code(), 78, "{refused}");
        bytes = figure(&refused.said, "indexes of 18 slices take ", " bytes");
        let needed_mib: u64 = figure(&refused.said, "Allow ", "MiB of memory");
        assert!(needed_mib > others_mib + 1, "{refused}");
    }
    let gateway = plain.with("DEDUP_MEMORY_MAX", "1MiB").start();
    let page = gateway.get("/metrics");
    let page = Metrics::read(page.text());
    assert_eq!(page.count("flk_slice_memory_bytes"), bytes);
    for number in [0, (SLICES * SLICE_RECORDS) as u64 - 1] {
        let answer = gateway.post(&record(number).body);
        assert_eq!(answer.dedup(), Some("hit"), "{number}: {answer:?}");
    }
}

/// The number between two texts.
fn figure(said: &str, before: &str, after: &str) -> u64 {
    let found = said.split_once(before).and_then(|(_, rest)| {
        let (number, _) = rest.split_once(after)?;
        number.parse().ok()
    });
    found.unwrap_or_else(|| panic!("no number after {before:?}: {said}"))
}

fn make_slices(gateway: &Gateway, wal: &Path) {
    let mut client = Load::connect(gateway.address(), 32).unwrap();
    for slice in 0..SLICES {
        let first = (slice * SLICE_RECORDS) as u64;
        let mut stock = Stock::sign(KEY.as_bytes(), first, SLICE_RECORDS);
        client.run(&mut stock, DEADLINE).unwrap();
        assert_eq!(stock.left_count(), 0, "too slow a machine");
        let mut socket = UnixStream::connect(wal.join("keeper.sock")).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.write_all(b"flk1 compact\n").unwrap();
        let mut answer = String::new();
        BufReader::new(socket).read_line(&mut answer).unwrap();
        assert!(answer.starts_with("ok"), "{answer}");
    }
}
