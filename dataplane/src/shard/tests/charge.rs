//! Rates and quotas of tenants: who is refused, in which order, for how long, and that nothing of it is in the log.

use super::snapshots::{document, resolve};
use super::*;
use crate::shard::config::ShardConfig;
use crate::snapshot::{Limit, LimitsDocument, Resolver};

/// The buckets of the tenant `acme`, which is the second that rooms of this file know.
const RATE: u32 = 4;
const BYTES: u32 = 5;
pub(super) const UNAUTHENTICATED: u32 = 6;

/// A room with an unlimited tenant and a limited one, under a rate of all.
pub(super) fn limited(change: impl Fn(&mut ShardConfig)) -> Room {
    let mut first = document(0, &["acme", "default"]);
    first.limits.rate = 1_000;
    first.tenants[0].limits = LimitsDocument {
        rate: 10,
        burst: 0,
        bytes_per_s: 1_000,
        unauthenticated_bytes_per_s: 1_000,
    };
    let first = resolve(&mut Resolver::default(), &first);
    let mut room = Room::new(1, |config| {
        config.snapshot = first.clone();
        change(config);
    });
    room.begin();
    room.buckets.retry_after_us = 2_000_001;
    room
}

pub(super) fn acme(body: &str) -> String {
    post(body).replace("Host: a", "Host: a\r\nX-Tenant-Id: acme")
}

/// Statuses and codes of all answers.
pub(super) fn codes(text: &str) -> Vec<String> {
    let answers = text.split("HTTP/1.1 ").skip(1);
    let code = |answer: &str| {
        let behind = answer.split_once("\"code\":\"").map(|(_, rest)| rest);
        behind.map_or(answer[..3].to_owned(), |rest| {
            rest.split_once('"').unwrap().0.to_owned()
        })
    };
    answers.map(code).collect()
}

#[test]
fn the_tenant_s_rate_comes_first_and_the_rate_of_all_for_what_that_granted() {
    let mut room = limited(|_| {});
    room.buckets.left = [(RATE, 2), (0, 1)].into();
    let conn = room.connect(0);
    let three: String = (1..=3).map(|at| acme(&record(at))).collect();
    room.send(0, conn, three.as_bytes());
    let received = room.received(0, conn);
    assert_eq!(codes(&received), ["200", "rate_limited", "rate_limited"]);
    assert_eq!(
        received.matches("Retry-After: 3\r\n").count(),
        2,
        "{received}"
    );
    assert_eq!((room.buckets.taken[&RATE], room.buckets.taken[&0]), (2, 1));
    assert_eq!(kinds(&room), ["body", "decision"]);
    let conn = room.connect(0);
    room.buckets.left = [(RATE, 0)].into();
    room.send(0, conn, (acme(&record(4)) + &post(&record(4))).as_bytes());
    assert_eq!(codes(&room.received(0, conn)), ["rate_limited", "200"]);
}

#[test]
fn a_quota_of_bytes_is_charged_with_bodies_and_may_be_overdrawn_by_one() {
    let mut room = limited(|_| {});
    room.buckets.left = [(BYTES, 1)].into();
    let conn = room.connect(0);
    for at in 1..=2 {
        room.send(0, conn, acme(&record(at)).as_bytes());
    }
    let received = room.received(0, conn);
    assert_eq!(codes(&received), ["200", "quota_exceeded"]);
    assert!(received.contains("Retry-After: 3\r\n"), "{received}");
    assert_eq!(room.buckets.taken[&BYTES], record(1).len() as u64);
    assert_eq!(kinds(&room), ["body", "decision"]);
    room.send(0, conn, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    let page = room.received(0, conn);
    let line = "flk_quota_exceeded_by_tenant{tenant=\"acme\"} 1";
    assert!(page.lines().any(|found| found == line), "{page}");
}

#[test]
fn bodies_without_a_valid_signature_are_charged_afterwards_and_close_the_tenant_until_they_are_paid()
 {
    let mut room = limited(|_| {});
    room.buckets.left = [(UNAUTHENTICATED, 50)].into();
    let conn = room.connect(0);
    let bad = record_signed(1, "no key of it");
    for text in [acme(&bad), acme(&record(2)), post(&record(3))] {
        room.send(0, conn, text.as_bytes());
    }
    let received = room.received(0, conn);
    assert_eq!(
        codes(&received),
        ["signature_invalid", "quota_exceeded", "200"]
    );
    let kinds = kinds(&room);
    assert_eq!(kinds, ["body", "refused 401", "body", "decision"]);
    let addresses = Limit::WORDS_COUNT - (1 << 16)..Limit::WORDS_COUNT;
    let charged: Vec<u64> = room
        .buckets
        .taken
        .iter()
        .filter(|(word, count)| addresses.contains(word) && **count > 0)
        .map(|(_, count)| *count)
        .collect();
    assert_eq!(charged, [bad.len() as u64], "its address is charged, too");
    assert_eq!(room.buckets.taken[&UNAUTHENTICATED], bad.len() as u64);
}

#[test]
fn an_address_is_closed_before_its_tenant_is() {
    let mut room = limited(|_| {});
    let conn = room.connect(0);
    room.send(0, conn, acme(&record_signed(1, "no key of it")).as_bytes());
    let is_address = |word: &&u32| **word > UNAUTHENTICATED;
    let word = *room.buckets.taken.keys().find(is_address).unwrap();
    room.buckets.left = [(word, 0)].into();
    let other = room.connect_from(0, crate::event::Peer(77));
    for conn in [conn, other] {
        room.send(0, conn, acme(&record(2)).as_bytes());
    }
    let received = codes(&room.received(0, conn));
    assert_eq!(received, ["signature_invalid", "quota_exceeded"]);
    assert_eq!(codes(&room.received(0, other)), ["200"]);
}

#[test]
fn who_asks_first_is_refused_before_the_body_and_who_was_asked_for_it_is_taken() {
    let mut room = limited(|_| {});
    room.buckets.left = [(BYTES, 1)].into();
    let asking = |at| {
        let whole = acme(&record(at)).replace("Host: a", "Host: a\r\nExpect: 100-continue");
        let at = whole.find("\r\n\r\n").unwrap() + 4;
        (whole[..at].to_owned(), whole[at..].to_owned())
    };
    let (first, second) = (room.connect(0), room.connect(0));
    room.send(0, first, asking(1).0.as_bytes());
    room.send(0, second, asking(2).0.as_bytes());
    assert_eq!(codes(&room.received(0, second)), ["quota_exceeded"]);
    room.send(0, first, asking(1).1.as_bytes());
    assert_eq!(codes(&room.received(0, first)), ["100", "200"]);
    assert_eq!(room.buckets.taken[&BYTES], record(1).len() as u64, "once");
}

#[test]
fn chunks_that_were_asked_for_are_charged_when_they_are_whole() {
    let mut room = limited(|_| {});
    let conn = room.connect(0);
    let head = "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nX-Tenant-Id: acme\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
    room.send(0, conn, head.as_bytes());
    let body = record(1);
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    room.send(0, conn, chunked.as_bytes());
    assert_eq!(codes(&room.received(0, conn)), ["100", "200"]);
    assert_eq!(room.buckets.taken[&BYTES], body.len() as u64);
    assert_eq!(room.buckets.taken[&RATE], 1);
}

#[test]
fn a_request_of_a_tenant_that_is_gone_is_not_counted_as_over_its_quota() {
    let mut resolver = Resolver::default();
    let mut first = document(0, &["acme", "default"]);
    first.limits.rate = 1_000;
    let first = resolve(&mut resolver, &first);
    let mut room = Room::new(1, |config| config.snapshot = first.clone());
    room.begin();
    let conn = room.connect(0);
    let text = acme(&record(1));
    let (start, rest) = text.split_at(text.len() - 20);
    room.send(0, conn, start.as_bytes());
    let mut next = document(1, &["default"]);
    next.limits.rate = 1_000;
    let next = resolve(&mut resolver, &next);
    room.tell(0, crate::mesh::keeper::ToShard::Configure(next));
    room.run();
    room.send(0, conn, rest.as_bytes());
    assert_eq!(codes(&room.received(0, conn)), ["unknown_tenant"]);
    let conn = room.connect(0);
    room.send(0, conn, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    let page = room.received(0, conn);
    let line = "flk_quota_exceeded_by_tenant{tenant=\"acme\"} 0";
    assert!(page.lines().any(|found| found == line), "{page}");
}
