//! Room under a steady load: a small volume and a cap are turned over several times without one refusal. And what is no
//! want of room is not called one: a directory that refuses files, and a file system that stands still.

use flk_e2e::setting::Setting;
use flk_e2e::volume::{Undone, Volume, on_a_small_disk};
use flk_testkit::client::submit;
use flk_testkit::gateway::Gateway;
use flk_testkit::process::Ended;
use flk_testkit::records::{Record, record};
use flk_testkit::{DEADLINE, wait_until};
use std::sync::atomic::{AtomicU64, Ordering};

on_every_host!(
    a_small_volume_with_defaults_is_turned_over_without_a_refusal,
    a_cap_is_kept_without_a_refusal_and_one_that_cannot_be_kept_is_refused,
);

mod on_ext4 {
    use flk_e2e::setting::Setting;

    #[test]
    fn a_directory_that_refuses_files_is_named_as_such() {
        crate::run(
            Setting::Portable,
            super::a_directory_that_refuses_files_is_named_as_such,
        );
    }

    mod uring {
        use super::*;

        #[test]
        fn a_frozen_file_system_is_unready_and_a_stop_over_it_ends() {
            let test = crate::room::a_frozen_file_system_is_unready_and_a_stop_over_it_ends;
            crate::run(Setting::Uring, test);
        }
    }

    mod portable {
        use super::*;

        #[test]
        fn a_frozen_file_system_is_unready_and_a_stop_over_it_ends() {
            let test = crate::room::a_frozen_file_system_is_unready_and_a_stop_over_it_ends;
            crate::run(Setting::Portable, test);
        }
    }
}

const VOLUME_BYTES: u64 = 192 << 20;

/// How many clients send, one request at a time each.
const CLIENTS: u64 = 4;

/// Sends records of this size from several connections until so much was taken. Every answer must be 200.
fn load(gateway: &Gateway, first: u64, body_bytes: usize, bytes: u64) -> u64 {
    let next = AtomicU64::new(first);
    let last = first + bytes / body_bytes as u64;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = gateway.connect();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= last {
                        return;
                    }
                    let mut body = record(number).body;
                    body.resize(body_bytes, b' ');
                    let answer = connection.post(&body).unwrap();
                    assert_eq!(
                        answer.status,
                        200,
                        "{answer:?}; it said:\n{}",
                        gateway.said()
                    );
                }
            });
        }
    });
    last
}

fn a_small_volume_with_defaults_is_turned_over_without_a_refusal(setting: Setting) {
    on_a_small_disk(setting, VOLUME_BYTES, |volume| {
        let plan = setting
            .plan(&volume.path().join("wal"))
            .without("WAL_SEGMENT_BYTES")
            .with("FLK_CORES", "1");
        let gateway = plan.start();
        assert!(
            gateway.said().contains("  segments   "),
            "{}",
            gateway.said()
        );
        let next = load(&gateway, 0, 1_000_000, 2 * VOLUME_BYTES);
        load(&gateway, next, 100_000, VOLUME_BYTES);
        gateway.wait_until_said("deleted ");
        let said = gateway.said();
        assert!(!said.contains("nothing may be deleted"), "{said}");
        assert_eq!(gateway.stop().code(), 0);
    });
}

fn a_cap_is_kept_without_a_refusal_and_one_that_cannot_be_kept_is_refused(setting: Setting) {
    let directory = setting.directory();
    let wal = directory.path().join("wal");
    let plan = setting
        .plan(&wal)
        .without("WAL_SEGMENT_BYTES")
        .with("WAL_MAX_BYTES", "64MiB")
        .with("FLK_CORES", "1");
    let gateway = plan.start();
    let next = load(&gateway, 0, 1_000_000, 192 << 20);
    load(&gateway, next, 100_000, 64 << 20);
    let said = gateway.said();
    assert!(!said.contains("nothing may be deleted"), "{said}");
    let used_bytes: u64 = std::fs::read_dir(&wal)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(used_bytes <= 65 << 20, "{used_bytes} bytes");
    assert_eq!(gateway.stop().code(), 0);

    let ended = plan.with("WAL_SEGMENT_BYTES", "16MiB").run_to_end();
    assert_eq!(ended.code(), 78, "{ended}");
    assert!(ended.said.contains("allowed: 72MiB and more"), "{ended}");
}

fn a_directory_that_refuses_files_is_named_as_such(setting: Setting) {
    on_a_small_disk(setting, VOLUME_BYTES, |volume| {
        let wal = volume.path().join("wal");
        let plan = setting.plan(&wal).with("FLK_CORES", "1");
        let gateway = plan.start();
        let Some(immutable) = Undone::by("chattr", &["+i"], &["-i"], &wal) else {
            return flk_testkit::skipped("chattr +i is not possible here");
        };
        let mut number = 0;
        wait_until("refused", DEADLINE, || {
            let mut body = record(number).body;
            number += 1;
            body.resize(1_000_000, b' ');
            gateway.post(&body).status == 503
        });
        wait_until("said", DEADLINE, || {
            gateway.get("/readyz").problem_code() == "wal_unavailable"
        });
        let said = gateway.said();
        assert!(said.contains("chattr +i"), "{said}");
        assert!(!said.contains("disk nearly full"), "{said}");
        drop(immutable);
        wait_until("it goes on by itself", DEADLINE, || {
            gateway.get("/readyz").status == 200
        });
        gateway.kill();

        let immutable = Undone::by("chattr", &["+i"], &["-i"], &wal);
        let ended = plan.run_to_end();
        assert_eq!(ended.code(), 74, "{ended}");
        assert!(ended.said.contains("chattr +i"), "{ended}");
        drop(immutable);
        plan.start();
    });
}

fn a_frozen_file_system_is_unready_and_a_stop_over_it_ends(setting: Setting) {
    on_a_small_disk(setting, VOLUME_BYTES, |volume| {
        let times = "stop=3s,stop_more=1s";
        let plan = setting.plan_with_times(&volume.path().join("wal"), times);
        let gateway = plan.start();
        let taken: Vec<Record> = (0..5).map(record).collect();
        for record in &taken {
            assert_eq!(gateway.post(&record.body).status, 200);
        }
        let Some(frozen) = freeze(volume) else {
            return flk_testkit::skipped("fsfreeze is not possible here");
        };
        assert_eq!(gateway.get("/readyz").status, 200, "nothing waits");
        let mut waiting = gateway.connect();
        waiting.send(&submit(&record(100).body)).unwrap();
        wait_until("unready", DEADLINE, || {
            let answer = gateway.get("/readyz");
            answer.status == 503 && answer.problem_code() == "wal_unavailable"
        });
        assert_eq!(gateway.get("/livez").status, 200);
        drop(frozen);
        wait_until("ready again by itself", DEADLINE, || {
            gateway.get("/readyz").status == 200
        });

        let frozen = freeze(volume);
        waiting.send(&submit(&record(101).body)).unwrap();
        gateway.terminate();
        gateway.wait_until_said("stopped, but not cleanly");
        // Until the file system moves again, the kernel keeps the process.
        drop(frozen);
        let ended: Ended = gateway.ended(flk_testkit::DEADLINE);
        assert_eq!(ended.code(), 74, "{ended}");

        let gateway = plan.start();
        for record in &taken {
            let answer = gateway.post(&record.body);
            assert_eq!(
                (answer.status, answer.dedup()),
                (200, Some("hit")),
                "{answer:?}"
            );
        }
    });
}

fn freeze(volume: &Volume) -> Option<Undone> {
    Undone::by("fsfreeze", &["-f"], &["-u"], volume.path())
}
