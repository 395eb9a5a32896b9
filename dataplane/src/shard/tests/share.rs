//! Shares of the log: a tenant that sends more than the disk takes leaves room in each batch for the others, and what it sent
//! beyond its share goes with later batches.

use super::charge::{acme, codes};
use super::snapshots::{document, resolve};
use super::waiting::release_one;
use super::*;
use crate::snapshot::Resolver;

/// Bodies of this size fill a batch with eight.
const BODY_BYTES: usize = 32 * 1024;

/// A room whose log waits for its disk, with one body on its way. `acme` may fill so much of a batch.
fn busy(wal_share: Option<u32>) -> (Room, Resolver) {
    let mut first = document(0, &["acme", "default"]);
    first.tenants[0].wal_share = wal_share;
    let mut resolver = Resolver::default();
    let first = resolve(&mut resolver, &first);
    let mut room = Room::new(1, |config| config.snapshot = first.clone());
    room.begin();
    room.hold_writes = true;
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1_000)).as_bytes());
    assert_eq!(room.held.len(), 1);
    (room, resolver)
}

fn large(epoch: u64) -> String {
    let mut body = record(epoch);
    body.push_str(&" ".repeat(BODY_BYTES - body.len()));
    body
}

/// So many large bodies of `acme`, each on a connection of its own.
fn flood(room: &mut Room, count: u64) -> Vec<ConnId> {
    let one = |epoch| {
        let conn = room.connect(0);
        room.send(0, conn, acme(&large(epoch)).as_bytes());
        conn
    };
    (0..count).map(one).collect()
}

/// How many of these connections have their 200.
fn answered(room: &Room, conns: &[ConnId]) -> usize {
    let is_answered = |conn: &&ConnId| codes(&room.received(0, **conn)) == ["200"];
    conns.iter().filter(is_answered).count()
}

#[test]
fn a_tenant_that_fills_the_log_keeps_its_share_and_others_have_room() {
    for (share, taken, quiet) in [(Some(50), 4, 1), (Some(100), 8, 0), (None, 8, 0)] {
        let (mut room, _) = busy(share);
        let noisy = flood(&mut room, 20);
        let conn = room.connect(0);
        room.send(0, conn, post(&large(77)).as_bytes());
        assert_eq!(
            room.shards[0].ingress.waiting_for_room_count() as u64,
            20 - taken as u64 + 1 - quiet as u64
        );
        release_one(&mut room); // the batch that was on its way
        release_one(&mut room); // the next one
        assert_eq!(answered(&room, &noisy), taken, "{share:?}");
        assert_eq!(answered(&room, &[conn]), quiet, "{share:?}");
        room.hold_writes = false;
        release(&mut room);
        assert_eq!(answered(&room, &noisy), 20, "{share:?}: none is lost");
        assert_eq!(answered(&room, &[conn]), 1);
    }
}

#[test]
fn a_body_above_the_share_goes_alone_and_none_waits_for_ever() {
    let (mut room, _) = busy(Some(1));
    let noisy = flood(&mut room, 3);
    for expected in [0, 1, 2, 3] {
        release_one(&mut room);
        assert_eq!(answered(&room, &noisy), expected);
    }
}

#[test]
fn what_waits_for_its_share_is_503_at_its_deadline_and_leaves_nothing_behind() {
    let (mut room, _) = busy(Some(1));
    let noisy = flood(&mut room, 2);
    let gone = room.connect(0);
    room.send(0, gone, acme(&large(9)).as_bytes());
    room.event(0, Event::Broken(gone));
    room.run();
    room.pass(5_000_001);
    assert_eq!(codes(&room.received(0, noisy[0])), ["deadline_exceeded"]);
    assert_eq!(codes(&room.received(0, noisy[1])), ["wal_unavailable"]);
    assert_eq!(room.shards[0].ingress.waiting_for_room_count(), 0);
}

#[test]
fn a_snapshot_with_a_larger_share_lets_in_what_waited() {
    let (mut room, mut resolver) = busy(Some(1));
    flood(&mut room, 6);
    assert_eq!(room.shards[0].ingress.waiting_for_room_count(), 5);
    let next = resolve(&mut resolver, &document(1, &["acme", "default"]));
    room.tell(0, ToShard::Configure(next));
    room.run();
    assert_eq!(room.shards[0].ingress.waiting_for_room_count(), 0);
}

#[test]
fn what_the_rate_refuses_gives_its_share_back() {
    let mut first = document(0, &["acme", "default"]);
    first.tenants[0].wal_share = Some(1);
    first.tenants[0].limits.rate = 10;
    let first = resolve(&mut Resolver::default(), &first);
    let mut room = Room::new(1, |config| config.snapshot = first.clone());
    room.begin();
    room.buckets.left = [(4, 1)].into();
    let conns = [room.connect(0), room.connect(0), room.connect(0)];
    for (epoch, conn) in (0..).zip(conns) {
        room.arrive(0, conn, acme(&large(epoch)).as_bytes());
    }
    room.run();
    let codes: Vec<_> = conns.map(|conn| codes(&room.received(0, conn))).into();
    assert_eq!(codes, [["200"], ["rate_limited"], ["rate_limited"]]);
    assert_eq!(room.shards[0].ingress.waiting_for_room_count(), 0);
}

#[test]
fn what_waits_for_room_goes_by_its_share_once_there_is_room() {
    let (mut room, _) = busy(Some(1));
    // Others fill the batch, so the flood waits for room and not for its share.
    for epoch in 0..8 {
        let conn = room.connect(0);
        room.send(0, conn, post(&large(100 + epoch)).as_bytes());
    }
    assert_eq!(room.shards[0].ingress.waiting_for_room_count(), 0);
    let noisy = flood(&mut room, 3);
    assert_eq!(room.shards[0].ingress.waiting_for_room_count(), 3);
    for waiting in [2, 1, 0] {
        release_one(&mut room);
        assert_eq!(room.shards[0].ingress.waiting_for_room_count(), waiting);
    }
    room.hold_writes = false;
    release(&mut room);
    assert_eq!(answered(&room, &noisy), 3);
}
