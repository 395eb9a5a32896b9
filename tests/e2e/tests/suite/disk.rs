//! A disk that is nearly full: what may go is deleted, then submits wait with 503 before a write could fail, and nothing
//! acknowledged is lost; with room again the gateway goes on by itself.

use flk_e2e::setting::Setting;
use flk_e2e::volume::{Volume, on_a_small_disk};
use flk_testkit::client::Response;
use flk_testkit::gateway::{Gateway, status_of};
use flk_testkit::metrics::Metrics;
use flk_testkit::records::{Record, record};
use flk_testkit::{DEADLINE, wait_until};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::File;
use std::path::PathBuf;

on_every_host!(a_nearly_full_disk_is_503_before_it_is_full_and_loses_nothing);

/// Segments of 4 MiB for two shards, and room for a dozen closed ones.
const DISK_BYTES: u64 = 96 << 20;

/// Nearly what a body may be, so that the disk is filled by few.
const BODY_BYTES: usize = 1_000_000;

fn a_nearly_full_disk_is_503_before_it_is_full_and_loses_nothing(setting: Setting) {
    on_a_small_disk(setting, DISK_BYTES, |volume| {
        let plan = setting.plan(&volume.path().join("wal"));
        let mut gateway = plan.start();
        let mut agent = Agent::default();
        // Less than is kept in reserve, and enough for a segment that is being made when the room goes, and for a start.
        let left_bytes = least_reserve_bytes(volume) - (2 << 20);

        // More than the disk holds, without anybody's help: what may go is deleted.
        while agent.offered_bytes < DISK_BYTES + DISK_BYTES / 2 {
            if !agent.offer(&gateway) {
                until_ready(&gateway);
            }
        }
        gateway.wait_until_said("deleted ");

        // Then somebody else takes the room, until nothing may go any more.
        let mut ballast = Ballast::new(volume, left_bytes);
        ballast.fill_until_unready(volume, &gateway, &mut agent);
        refuses_without_failing(&gateway, &mut agent);
        ballast.remove();
        until_ready(&gateway);
        assert!(agent.offer(&gateway), "it takes records again by itself");
        never_failed(&gateway);

        // Crashes and starts without room neither fail nor use up what is kept in reserve.
        ballast = Ballast::new(volume, left_bytes);
        for _ in 0..3 {
            ballast.fill_until_unready(volume, &gateway, &mut agent);
            refuses_without_failing(&gateway, &mut agent);
            gateway.kill();
            gateway = plan.launch().unwrap();
            gateway.wait_until_recovered();
            assert_eq!(gateway.get("/livez").status, 200);
        }
        ballast.fill_until_unready(volume, &gateway, &mut agent);

        // With not even the reserve left a start says so and ends; nothing is lost by it.
        gateway.kill();
        for _ in 0..2 {
            ballast.take_all_but(volume, 0);
            let ended = plan.run_to_end();
            assert_eq!(ended.code(), 74, "{ended}");
            assert!(ended.said.contains("WAL_DIR"), "{ended}");
            assert!(ended.said.contains("No space left"), "{ended}");
        }
        ballast.remove();
        let gateway = plan.start();
        agent.finds_everything(&gateway);
        assert!(agent.offer(&gateway));
        never_failed(&gateway);
    });
}

fn until_ready(gateway: &Gateway) {
    wait_until("room", DEADLINE, || gateway.get("/readyz").status == 200);
}

/// What is promised while there is no room.
fn refuses_without_failing(gateway: &Gateway, agent: &mut Agent) {
    assert_eq!(gateway.get("/livez").status, 200);
    is_disk_full(&gateway.get("/readyz"));
    assert!(!agent.offer(gateway), "no room, and a record is taken");
    never_failed(gateway);
}

fn is_disk_full(answer: &Response) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.problem_code(), "disk_full");
    let after: u32 = answer.header("Retry-After").unwrap().parse().unwrap();
    assert!(after > 0);
}

/// What the keeper says of itself.
fn status(volume: &Volume) -> serde_json::Value {
    status_of(&volume.path().join("wal"))
}

/// What is kept in reserve where all preallocated segments are ready. Without them it is two segments more, and a gateway that has so much
/// left serves on: it seals and deletes each segment as it is closed.
fn least_reserve_bytes(volume: &Volume) -> u64 {
    wait_until("preallocated", DEADLINE, || {
        status(volume)["preallocated"] == 2
    });
    status(volume)["reserve_bytes"].as_u64().unwrap()
}

/// Whether the gateway refuses records and has nothing left to seal or delete.
fn nothing_may_go(volume: &Volume) -> bool {
    let status = status(volume);
    status["space_low"] == true && status["deletable_bytes"] == 0 && status["unsealed_bytes"] == 0
}

/// The disk never said that it is full.
fn never_failed(gateway: &Gateway) {
    let said = gateway.said();
    for line in said.lines() {
        assert!(!line.contains("No space left"), "{line}");
        assert!(!line.contains("trying again"), "{line}");
    }
    let page = gateway.get("/metrics");
    assert_eq!(Metrics::read(page.text()).count("flk_wal_errors"), 0);
}

/// Sends records and remembers what was acknowledged.
#[derive(Default)]
struct Agent {
    next: u64,
    offered_bytes: u64,
    acknowledged: Vec<(Record, Vec<u8>)>,
}

impl Agent {
    /// Sends the next record; whether it was taken. If not, then for want of room.
    fn offer(&mut self, gateway: &Gateway) -> bool {
        let record = record(self.next);
        let mut body = record.body.clone();
        body.resize(BODY_BYTES, b' ');
        let answer = gateway.post(&body);
        // The one that is on its way when the room goes may wait for a segment in vain.
        if answer.status == 503 && answer.problem_code() == "deadline_exceeded" {
            assert!(answer.header("Retry-After").is_some());
            return false;
        }
        if answer.status != 200 {
            is_disk_full(&answer);
            return false;
        }
        assert!(record.is_outcome(&answer.body), "{answer:?}");
        self.next += 1;
        self.offered_bytes += BODY_BYTES as u64;
        self.acknowledged.push((record, answer.body));
        true
    }

    /// Each acknowledged record is a duplicate with the same answer.
    fn finds_everything(&self, gateway: &Gateway) {
        let mut connection = gateway.connect();
        for (record, outcome) in &self.acknowledged {
            let answer = connection.post(&record.body).unwrap();
            assert_eq!(answer.dedup(), Some("hit"), "{answer:?}");
            assert_eq!((answer.status, &answer.body), (200, outcome));
        }
    }
}

/// A file of somebody else that takes the room.
struct Ballast {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// What it leaves to the gateway.
    left_bytes: u64,
}

impl Ballast {
    fn new(volume: &Volume, left_bytes: u64) -> Ballast {
        let path = volume.path().join("ballast");
        let file = File::create(&path).unwrap();
        Ballast {
            path,
            file,
            bytes: 0,
            left_bytes,
        }
    }

    /// Takes what the gateway frees, again and again, while records come in, until it has nothing left to delete.
    fn fill_until_unready(&mut self, volume: &Volume, gateway: &Gateway, agent: &mut Agent) {
        wait_until("nothing may go", DEADLINE, || {
            self.take_all_but(volume, self.left_bytes);
            agent.offer(gateway);
            // The keeper knows it before a shard that has just begun does.
            let answer = gateway.get("/readyz");
            nothing_may_go(volume) && answer.status == 503 && answer.problem_code() != "starting"
        });
    }

    fn take_all_but(&mut self, volume: &Volume, left_bytes: u64) {
        let more_bytes = volume.free_bytes().saturating_sub(left_bytes);
        if more_bytes > 0 {
            fallocate(&self.file, FallocateFlags::empty(), self.bytes, more_bytes).unwrap();
            self.bytes += more_bytes;
        }
    }

    fn remove(self) {
        std::fs::remove_file(&self.path).unwrap();
    }
}
