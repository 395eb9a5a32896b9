//! Another snapshot is in force: from the turn on that collected it, for every body that is appended from then on, and for
//! nothing that was appended before.

use super::snapshots::{document, key, resolve, usual};
use super::*;
use crate::snapshot::{Document, ParamsDocument, Resolver, Snapshot};
use flk_contract::params::ParamsVersion;
use std::sync::Arc;

const UNKNOWN: &str = "\"code\":\"unknown_tenant\"";

/// A room whose shards serve under the usual snapshot, and who resolves the next ones.
fn serving(shards: u16) -> (Room, Resolver) {
    let mut resolver = Resolver::default();
    let first = resolve(&mut resolver, &document(0, &["default"]));
    let mut room = Room::new(shards, |config| config.snapshot = Arc::clone(&first));
    room.begin();
    (room, resolver)
}

fn configure(room: &mut Room, snapshot: &Arc<Snapshot>) {
    for at in 0..room.shards.len() {
        room.tell(at, ToShard::Configure(Arc::clone(snapshot)));
    }
    room.run();
}

fn of_tenant(name: &str, body: &str) -> String {
    post(body).replace("Host: a", &format!("Host: a\r\nX-Tenant-Id: {name}"))
}

/// Tenant and snapshot of all bodies in the log.
fn bodies(room: &Room) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for (_, bytes) in &room.written {
        let batch = read_batch(batch_of(bytes)).unwrap();
        for record in batch.records() {
            if let Content::Body(body) = record.unwrap().content {
                found.push((body.tenant.to_owned(), body.snapshot));
            }
        }
    }
    found
}

#[test]
fn a_new_tenant_is_served_and_its_records_are_its_own() {
    let (mut room, mut resolver) = serving(2);
    let conn = room.connect(0);
    room.send(0, conn, of_tenant("acme", &record(1)).as_bytes());
    room.send(0, conn, post(&record(1)).as_bytes());
    let next = resolve(&mut resolver, &document(7, &["acme", "default"]));
    configure(&mut room, &next);
    assert_eq!(room.stats.shards[0].snapshot.get(), 7);
    assert_eq!(room.stats.shards[1].snapshot.get(), 7);
    for _ in 0..2 {
        room.send(0, conn, of_tenant("acme", &record(1)).as_bytes());
    }
    room.send(0, conn, post(&record(1)).as_bytes());
    let received = room.received(0, conn);
    let found = answers(&received);
    let expected = [
        (401, ""),
        (200, "miss"),
        (200, "miss"),
        (200, "hit"),
        (200, "hit"),
    ];
    assert_eq!(
        found,
        expected.map(|(status, dedup)| (status, dedup.to_owned()))
    );
    let acme = ("acme".to_owned(), 7);
    let default = |number| ("default".to_owned(), number);
    assert_eq!(bodies(&room), [default(0), acme.clone(), acme, default(7)]);
}

#[test]
fn a_body_whose_head_came_before_is_judged_under_what_is_in_force_when_it_is_appended() {
    let rekeyed = |number| {
        let mut next = document(number, &["default"]);
        next.tenants[0].keys = vec![key("next", "another key")];
        next
    };
    let (mut room, mut resolver) = serving(1);
    let conn = room.connect(0);
    let old = post(&record(1));
    let new = post(&record_signed(2, "another key"));
    let (start, rest) = old.split_at(old.len() - 20);
    room.send(0, conn, start.as_bytes());
    let next = resolve(&mut resolver, &rekeyed(1));
    configure(&mut room, &next);
    room.send(0, conn, rest.as_bytes());
    room.send(0, conn, new.as_bytes());
    assert_eq!(statuses(&room.received(0, conn)), [401, 200]);
    let numbers: Vec<u32> = bodies(&room).iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, [1, 1]);
}

#[test]
fn a_tenant_that_is_gone_or_disabled_leaves_nothing_in_the_log() {
    let gone = |_: &mut Document| {};
    let disabled = |document: &mut Document| {
        *document = super::snapshots::document(1, &["acme", "default"]);
        document.tenants[0].enabled = false;
    };
    let changes: [&dyn Fn(&mut Document); 2] = [&gone, &disabled];
    for change in changes {
        let mut resolver = Resolver::default();
        let first = resolve(&mut resolver, &document(0, &["acme", "default"]));
        let mut room = Room::new(1, |config| config.snapshot = Arc::clone(&first));
        room.begin();
        let (conn, asks) = (room.connect(0), room.connect(0));
        let text = of_tenant("acme", &record(1));
        let (start, rest) = text.split_at(text.len() - 20);
        room.send(0, conn, start.as_bytes());
        let mut next = document(1, &["default"]);
        change(&mut next);
        // Its client waits to be asked for the body in the turn of the change.
        let asking = text.replace("Host: a", "Host: a\r\nExpect: 100-continue");
        let head = asking.split_inclusive("\r\n\r\n").next().unwrap();
        let next = resolve(&mut resolver, &next);
        room.tell(0, ToShard::Configure(next));
        room.send(0, asks, head.as_bytes());
        room.send(0, conn, rest.as_bytes());
        room.send(0, conn, text.as_bytes());
        let received = room.received(0, conn);
        assert_eq!(statuses(&received), [401, 401]);
        assert_eq!(received.matches(UNKNOWN).count(), 2);
        assert_eq!(statuses(&room.received(0, asks)), [401]);
        assert_eq!(bodies(&room), []);
    }
}

#[test]
fn a_tenant_whose_key_is_lost_gets_503_before_the_log_and_others_are_served() {
    let (mut room, mut resolver) = serving(1);
    let mut next = document(1, &["acme", "default"]);
    next.tenants[0].keys = vec![key("gone", "lost")];
    let next = resolve(&mut resolver, &next);
    configure(&mut room, &next);
    let conn = room.connect(0);
    room.send(0, conn, of_tenant("acme", &record(1)).as_bytes());
    room.send(0, conn, post(&record(1)).as_bytes());
    let received = room.received(0, conn);
    assert_eq!(statuses(&received), [503, 200]);
    assert!(
        received.contains("\"code\":\"keys_unavailable\""),
        "{received}"
    );
    assert_eq!(bodies(&room), [("default".to_owned(), 1)]);
}

#[test]
fn what_waits_for_its_decision_when_its_tenant_goes_is_decided_under_its_name() {
    let mut resolver = Resolver::default();
    let first = resolve(&mut resolver, &document(0, &["acme", "default"]));
    let mut room = Room::new(2, |config| config.snapshot = Arc::clone(&first));
    room.begin();
    let conn = room.connect(0);
    room.hold_messages = vec![true, true];
    for epoch in 1..=8 {
        room.send(0, conn, of_tenant("acme", &record(epoch)).as_bytes());
    }
    let next = resolve(&mut resolver, &document(1, &["beta", "default"]));
    configure(&mut room, &next);
    room.release_messages(1);
    room.release_messages(0);
    assert_eq!(statuses(&room.received(0, conn)), [200; 8]);
    let mut tenants = Vec::new();
    for (_, bytes) in &room.written {
        for record in read_batch(batch_of(bytes)).unwrap().records() {
            if let Content::Entry(Entry::Decision(decision)) = record.unwrap().content {
                tenants.push(decision.tenant.to_owned());
            }
        }
    }
    assert_eq!(tenants, ["acme"; 8]);
}

#[test]
fn a_snapshot_that_comes_before_the_log_begins_is_in_force_when_it_does() {
    let mut resolver = Resolver::default();
    let first = usual();
    let mut room = Room::new(1, |config| config.snapshot = Arc::clone(&first));
    resolve(&mut resolver, &document(0, &["default"]));
    let next = resolve(&mut resolver, &document(3, &["acme", "default"]));
    configure(&mut room, &next);
    room.begin();
    let conn = room.connect(0);
    room.send(0, conn, of_tenant("acme", &record(1)).as_bytes());
    assert_eq!(statuses(&room.received(0, conn)), [200]);
    assert_eq!(bodies(&room), [("acme".to_owned(), 3)]);
}

#[test]
fn a_record_is_judged_by_the_set_that_its_keyed_hash_chooses_and_a_new_set_is_known_by_its_name() {
    let (mut room, mut resolver) = serving(1);
    let mut next = document(1, &["default"]);
    let set = |version: &str, share| ParamsDocument {
        version: version.to_owned(),
        share,
        ..next.tenants[0].params[0].clone()
    };
    next.tenants[0].params = vec![set("2", 250), set("1", 750)];
    let versions = ["1", "2"].map(|name| ParamsVersion::new(name).unwrap());
    room.tell(0, ToShard::Params(versions.into()));
    let next = resolve(&mut resolver, &next);
    configure(&mut room, &next);
    let conn = room.connect(0);
    for epoch in 0..200 {
        room.send(0, conn, post(&record(epoch)).as_bytes());
    }
    let mut judged = std::collections::BTreeMap::new();
    for (_, bytes) in &room.written {
        for record in read_batch(batch_of(bytes)).unwrap().records() {
            if let Content::Entry(Entry::Decision(decision)) = record.unwrap().content {
                *judged.entry(decision.params.to_owned()).or_insert(0) += 1;
            }
        }
    }
    let count = |version: &str| judged.get(version).copied().unwrap_or(0);
    assert_eq!(count("1") + count("2"), 200, "{judged:?}");
    // A quarter of 200, and no more off than one in a thousand draws would be.
    assert!((30..=70).contains(&count("2")), "{judged:?}");
    room.send(0, conn, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    let page = room.received(0, conn);
    let line = format!(
        "flk_accepted_by_params{{tenant=\"default\",params=\"2\"}} {}",
        count("2")
    );
    assert!(page.lines().any(|found| found == line), "{line}");
}
