//! Keys with times: each verifies from the second of its beginning up to the second of its end, whatever happens meanwhile and
//! wherever the wall clock is set.

use super::snapshots::{document, key, resolve};
use super::*;
use crate::event::Next;
use crate::snapshot::{KeyDocument, Resolver};

/// The second in which rooms begin.
const BEGIN_S: u64 = 1_700_000_000;

/// A room whose default tenant has these keys.
fn keyed(keys: Vec<KeyDocument>) -> Room {
    let mut first = document(0, &["default"]);
    first.tenants[0].keys = keys;
    let first = resolve(&mut Resolver::default(), &first);
    let mut room = Room::new(1, |config| config.snapshot = first.clone());
    room.begin();
    room
}

/// A key that begins and one that ends at the same second.
fn old_and_new(at_s: u64) -> Vec<KeyDocument> {
    let old = KeyDocument {
        not_after: Some(at_s),
        ..key("old", "old key")
    };
    let new = KeyDocument {
        not_before: Some(at_s),
        ..key("new", "new key")
    };
    vec![old, new]
}

/// The statuses of a record signed with the old key and of one signed with the new one, at this time of the wall clock.
fn statuses_at(room: &mut Room, wall_us: u64) -> Vec<u16> {
    room.now.wall_us = wall_us;
    room.now.mono_us += 1;
    let conn = room.connect(0);
    for signer in ["old key", "new key"] {
        room.send(0, conn, post(&record_signed(wall_us, signer)).as_bytes());
    }
    statuses(&room.received(0, conn))
}

#[test]
fn a_key_is_refused_from_the_second_of_its_end_on_and_taken_from_that_of_its_beginning() {
    let at_s = BEGIN_S + 5;
    let mut room = keyed(old_and_new(at_s));
    let border_us = at_s * 1_000_000;
    assert_eq!(statuses_at(&mut room, BEGIN_S * 1_000_000), [200, 401]);
    assert_eq!(statuses_at(&mut room, border_us - 1), [200, 401]);
    assert_eq!(statuses_at(&mut room, border_us), [401, 200]);
    assert_eq!(
        statuses_at(&mut room, border_us + 86_400_000_000),
        [401, 200]
    );
}

#[test]
fn a_wall_clock_that_is_set_back_leaves_no_stale_keys() {
    let at_s = BEGIN_S + 5;
    let mut room = keyed(old_and_new(at_s));
    let border_us = at_s * 1_000_000;
    assert_eq!(statuses_at(&mut room, border_us + 1), [401, 200]);
    assert_eq!(statuses_at(&mut room, border_us - 1), [200, 401]);
    assert_eq!(statuses_at(&mut room, border_us), [401, 200]);
    assert_eq!(statuses_at(&mut room, 1), [200, 401]);
}

#[test]
fn when_no_key_is_active_no_record_is_authentic_and_each_is_in_the_log() {
    let gone = KeyDocument {
        revoked_at: Some(BEGIN_S),
        ..key("gone", "old key")
    };
    let mut room = keyed(vec![gone]);
    assert_eq!(statuses_at(&mut room, BEGIN_S * 1_000_000), [401, 401]);
    assert_eq!(kinds(&room), ["body", "refused 401", "body", "refused 401"]);
}

#[test]
fn an_idle_shard_wakes_when_its_keys_change() {
    let mut room = keyed(old_and_new(BEGIN_S + 5));
    let Next::At(at_us) = room.next[0] else {
        panic!("it is idle");
    };
    let left_us = (BEGIN_S + 5) * 1_000_000 - room.now.wall_us;
    assert_eq!(at_us, room.now.mono_us + left_us);
    room.pass(5_000_000);
    let turns = room.stats.shards[0].turns.get();
    room.pass(2_000_000);
    let more = room.stats.shards[0].turns.get() - turns;
    assert!(more <= 2, "nothing changes any more: {more} turns");
}

#[test]
fn signatures_are_counted_by_the_key_that_verified_them_and_when() {
    let mut room = keyed(vec![key("one", "old key"), key("two", "new key")]);
    let wall_us = (BEGIN_S + 3) * 1_000_000 + 999_999;
    assert_eq!(statuses_at(&mut room, wall_us), [200, 200]);
    let conn = room.connect(0);
    room.send(0, conn, post(&record_signed(wall_us, "old key")).as_bytes());
    room.send(0, conn, post(&record_signed(7, "a third key")).as_bytes());
    room.send(0, conn, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    let text = room.received(0, conn);
    let seen_s = BEGIN_S + 3;
    for line in [
        "flk_key_verified_total{tenant=\"default\",key=\"one\"} 2",
        "flk_key_verified_total{tenant=\"default\",key=\"two\"} 1",
        &format!("flk_key_last_seen_seconds{{tenant=\"default\",key=\"two\"}} {seen_s}"),
        "flk_ingest_by_tenant{tenant=\"default\"} 4",
        "flk_signature_errors_by_tenant{tenant=\"default\"} 1",
        "flk_dedup_hits_by_tenant{tenant=\"default\"} 2",
        "flk_accepted_by_params{tenant=\"default\",params=\"1\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}
