//! The whole life of a gateway inside a memory limit: it fills, is killed, starts and serves, by its own choice of memory
//! and by the largest that it allows.

use flk_bench_load::{Load, Stock};

use flk_e2e::cage::MemoryCage;
use flk_e2e::gateway::{Gateway, KEY, Plan, binary};
use flk_e2e::records::record;
use flk_e2e::setting::Setting;
use std::path::Path;
use std::time::Duration;

on_every_host!(a_gateway_lives_within_its_memory_limit);

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
    let mut plan = Plan::new(setting, &wal).with("FLK_CORES", "1");
    plan.binary = cage.starter();
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
