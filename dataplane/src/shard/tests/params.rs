//! Parameter sets with times: the later one judges from its second on, whatever else happens and wherever the wall clock is
//! set then; duplicates keep what they have.

use super::snapshots::{document, resolve};
use super::*;
use crate::event::Next;
use crate::snapshot::{Document, ParamsDocument, Resolver};
use crate::wal::batch::read_batch;
use crate::wal::record::{Content, Entry};
use flk_contract::ParamsVersion;

/// The second in which the later set begins; rooms begin five before it.
const AT_S: u64 = 1_700_000_005;

/// The usual set, and from that second on one by which every record is escalated: its budget deviates from its base.
fn followed(number: u32, at_s: u64) -> Document {
    let mut document = document(number, &["default"]);
    let usual = document.tenants[0].params[0].clone();
    document.tenants[0].params.push(ParamsDocument {
        version: "2".to_owned(),
        base: 1.0,
        tol_budget: 0.0,
        effective_from: Some(at_s),
        ..usual
    });
    document
}

/// A room that judges by that document.
fn judging(document: &Document) -> (Room, Resolver) {
    judging_as(document, &["1", "2"])
}

/// The same where the log knows these sets.
fn judging_as(document: &Document, versions: &[&str]) -> (Room, Resolver) {
    let mut resolver = Resolver::default();
    let first = resolve(&mut resolver, document);
    let mut room = Room::serving(1);
    let versions = versions
        .iter()
        .map(|name| ParamsVersion::new(name).unwrap());
    room.tell(0, ToShard::Params(versions.collect()));
    room.tell(0, ToShard::Configure(first));
    room.run();
    (room, resolver)
}

/// The status and the set of a record, at this time of the wall clock.
fn judged_at(room: &mut Room, wall_us: u64, epoch: u64) -> (u16, String) {
    room.now.wall_us = wall_us;
    room.now.mono_us += 1;
    let conn = room.connect(0);
    room.send(0, conn, post(&record(epoch)).as_bytes());
    let received = room.received(0, conn);
    let version = received.split("\"params_version\":\"").nth(1).unwrap();
    let version = version.split('"').next().unwrap().to_owned();
    (statuses(&received)[0], version)
}

fn by(status: u16, version: &str) -> (u16, String) {
    (status, version.to_owned())
}

#[test]
fn the_later_set_judges_from_its_second_on_and_duplicates_keep_their_outcome() {
    let (mut room, _) = judging(&followed(0, AT_S));
    let border_us = AT_S * 1_000_000;
    assert_eq!(judged_at(&mut room, border_us - 1, 1), by(200, "1"));
    assert_eq!(judged_at(&mut room, border_us, 2), by(202, "2"));
    assert_eq!(judged_at(&mut room, border_us + 9, 1), by(200, "1"));
    let mut sets = Vec::new();
    for (_, bytes) in &room.written {
        for record in read_batch(batch_of(bytes)).unwrap().records() {
            if let Content::Entry(Entry::Decision(decision)) = record.unwrap().content {
                sets.push(decision.params.to_owned());
            }
        }
    }
    assert_eq!(sets, ["1", "2"], "each decision names the set that judged");
    let conn = room.connect(0);
    room.send(0, conn, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    let page = room.received(0, conn);
    for line in [
        "flk_accepted_by_params{tenant=\"default\",params=\"1\"} 1",
        "flk_escalated_by_params{tenant=\"default\",params=\"2\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
}

#[test]
fn a_set_that_was_in_force_stays_when_the_wall_clock_is_set_back() {
    let (mut room, mut resolver) = judging(&followed(0, AT_S));
    let border_us = AT_S * 1_000_000;
    assert_eq!(judged_at(&mut room, border_us, 1), by(202, "2"));
    assert_eq!(judged_at(&mut room, border_us - 3_000_000, 2), by(202, "2"));
    // Also under the next snapshot, as long as that says the same of it.
    let next = resolve(&mut resolver, &followed(1, AT_S));
    room.tell(0, ToShard::Configure(next));
    room.run();
    assert_eq!(judged_at(&mut room, border_us - 2_000_000, 3), by(202, "2"));
    let moved = resolve(&mut resolver, &followed(2, AT_S + 60));
    room.tell(0, ToShard::Configure(moved));
    room.run();
    assert_eq!(judged_at(&mut room, border_us + 1_000_000, 4), by(200, "1"));
}

#[test]
fn a_set_of_the_past_judges_at_once_and_one_alone_judges_always() {
    let (mut room, mut resolver) = judging(&followed(0, 5));
    let now_us = room.now.wall_us;
    assert_eq!(judged_at(&mut room, now_us, 1), by(202, "2"));
    let mut alone = followed(1, AT_S);
    alone.tenants[0].params.remove(0);
    let alone = resolve(&mut resolver, &alone);
    room.tell(0, ToShard::Configure(alone));
    room.run();
    assert_eq!(judged_at(&mut room, now_us, 2), by(202, "2"));
}

#[test]
fn an_idle_shard_wakes_when_its_parameter_set_changes_and_not_again() {
    let (room, _) = judging(&followed(0, AT_S));
    let Next::At(at_us) = room.next[0] else {
        panic!("it is idle");
    };
    let left_us = AT_S * 1_000_000 - room.now.wall_us;
    assert_eq!(at_us, room.now.mono_us + left_us);
}

#[test]
fn a_set_that_takes_the_place_of_one_in_force_begins_at_its_time_by_the_wall_clock() {
    let (mut room, mut resolver) = judging_as(&followed(0, AT_S), &["1", "2", "3"]);
    let border_us = AT_S * 1_000_000;
    assert_eq!(judged_at(&mut room, border_us, 1), by(202, "2"));
    assert_eq!(judged_at(&mut room, border_us - 3_000_000, 2), by(202, "2"));
    let mut other = followed(1, AT_S);
    other.tenants[0].params[1].version = "3".to_owned();
    let other = resolve(&mut resolver, &other);
    room.tell(0, ToShard::Configure(other));
    room.run();
    assert_eq!(judged_at(&mut room, border_us - 2_000_000, 3), by(200, "1"));
    assert_eq!(judged_at(&mut room, border_us, 4), by(202, "3"));
}
