//! Shares of the log: a tenant that sends more than the disk takes leaves room for others in each batch that waits for its
//! turn, by bytes and by records, and has what they leave when it goes. None waits for ever, and waiting takes nothing away.

use super::charge::codes;
use super::snapshots::{document, resolve, tenant};
use super::waiting::release_one;
use super::*;
use crate::shard::config::ShardConfig;
use crate::snapshot::{Document, Resolver};
use std::collections::BTreeMap;

/// Bodies of this size fill a batch with eight.
const BODY_BYTES: usize = 32 * 1024;

/// Tenants with these shares, and the default tenant.
fn shares(number: u32, shares: &[(&str, u32)]) -> Document {
    let mut document = document(number, &["default"]);
    for (name, share) in shares {
        let mut tenant = tenant(name);
        tenant.wal_share = Some(*share);
        document.tenants.push(tenant);
    }
    document
        .tenants
        .sort_by(|one, other| one.name.cmp(&other.name));
    document
}

/// A room whose log waits for its disk, with one body on its way.
fn busy_with(first: &Document, change: impl Fn(&mut ShardConfig)) -> (Room, Resolver) {
    let mut resolver = Resolver::default();
    let first = resolve(&mut resolver, first);
    let mut room = Room::new(1, |config| {
        config.snapshot = first.clone();
        change(config);
    });
    room.begin();
    room.hold_writes = true;
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1_000)).as_bytes());
    assert_eq!(room.held.len(), 1);
    (room, resolver)
}

/// The same where `acme` may fill so much of a batch.
fn busy(wal_share: u32) -> (Room, Resolver) {
    busy_with(&shares(0, &[("acme", wal_share)]), |_| {})
}

fn large(epoch: u64) -> String {
    of_bytes(epoch, BODY_BYTES)
}

fn of_bytes(epoch: u64, bytes: usize) -> String {
    let mut body = record(epoch);
    body.push_str(&" ".repeat(bytes - body.len()));
    body
}

/// So many bodies of a tenant, each on a connection of its own.
fn flood(room: &mut Room, tenant: &str, bodies: &[String]) -> Vec<ConnId> {
    let one = |body: &String| {
        let conn = room.connect(0);
        let head = format!("Host: a\r\nX-Tenant-Id: {tenant}");
        room.send(0, conn, post(body).replace("Host: a", &head).as_bytes());
        conn
    };
    bodies.iter().map(one).collect()
}

fn many(first: u64, count: u64) -> Vec<String> {
    (first..first + count).map(large).collect()
}

/// How many of these connections have their 200.
fn answered(room: &Room, conns: &[ConnId]) -> usize {
    let is_answered = |conn: &&ConnId| codes(&room.received(0, **conn)) == ["200"];
    conns.iter().filter(is_answered).count()
}

fn waiting(room: &Room) -> usize {
    room.shards[0].ingress.waiting_for_room_count()
}

/// Bodies of each tenant in each batch that was written, the first one aside.
fn batches(room: &Room) -> Vec<BTreeMap<String, usize>> {
    let of_batch = |(_, bytes): &(_, Vec<u8>)| {
        let mut counts = BTreeMap::new();
        for record in read_batch(batch_of(bytes)).unwrap().records() {
            if let Content::Body(body) = record.unwrap().content {
                *counts.entry(body.tenant.to_owned()).or_insert(0) += 1;
            }
        }
        counts
    };
    let written = room.written.iter().skip(1).map(of_batch);
    written.filter(|counts| !counts.is_empty()).collect()
}

#[test]
fn a_tenant_that_fills_the_log_leaves_room_for_others_and_has_what_they_leave() {
    for (share, in_open, quiet, in_batch) in [(50, 4, 1, 7), (100, 8, 0, 8)] {
        let (mut room, _) = busy(share);
        let noisy = flood(&mut room, "acme", &many(0, 20));
        assert_eq!(waiting(&room), 20 - in_open, "while the batch waits");
        let late = flood(&mut room, "default", &many(77, 1));
        assert_eq!(waiting(&room), 20 - in_open + 1 - quiet);
        release_one(&mut room); // the batch that was on its way
        release_one(&mut room); // the next one
        assert_eq!(answered(&room, &noisy), in_batch, "{share}");
        assert_eq!(answered(&room, &late), quiet, "{share}");
        release(&mut room);
        assert_eq!(answered(&room, &noisy), 20, "{share}: none is lost");
        assert_eq!(answered(&room, &late), 1);
    }
}

#[test]
fn a_tenant_that_is_alone_is_as_fast_as_without_a_share() {
    for (share, bodies) in [
        (1, many(0, 20)),
        (1, vec!["{}".to_owned(); 50]),
        (100, many(0, 20)),
    ] {
        let (mut room, _) = busy(share);
        let count = bodies.len();
        let conns = flood(&mut room, "acme", &bodies);
        let is_answered = |room: &Room, conn| !room.received(0, conn).is_empty();
        let mut batches = 0;
        while !conns.iter().all(|conn| is_answered(&room, *conn)) {
            release_one(&mut room);
            batches += 1;
        }
        let expected = count.div_ceil(if count == 20 { 8 } else { 50 });
        assert_eq!(batches, 1 + expected, "{share}: {count} bodies");
    }
}

#[test]
fn where_the_disk_is_idle_a_share_holds_nothing_up() {
    let first = resolve(&mut Resolver::default(), &shares(0, &[("acme", 1)]));
    let mut room = Room::new(1, |config| config.snapshot = first.clone());
    room.begin();
    let conns: Vec<ConnId> = (0..4).map(|_| room.connect(0)).collect();
    for (epoch, conn) in (0..).zip(&conns) {
        let text = post(&large(epoch)).replace("Host: a", "Host: a\r\nX-Tenant-Id: acme");
        room.arrive(0, *conn, text.as_bytes());
    }
    room.run();
    assert_eq!(answered(&room, &conns), 4);
    assert_eq!(
        batches(&room).len(),
        0,
        "all went in one turn, with one batch"
    );
}

#[test]
fn a_body_above_the_share_is_paid_for_by_the_batches_behind_it() {
    // Two and a half shares each, beside others that leave nothing.
    let (mut room, _) = busy_with(&shares(0, &[("acme", 25)]), |config| {
        config.limits.connections_max = 400;
    });
    let noisy: Vec<String> = (0..4).map(|epoch| of_bytes(epoch, 160 * 1024)).collect();
    let noisy = flood(&mut room, "acme", &noisy);
    let mut others = Vec::new();
    for batch in 0..14 {
        others.extend(flood(&mut room, "default", &many(100 + 8 * batch, 8)));
        release_one(&mut room);
        let gone = others.extract_if(.., |conn| answered(&room, &[*conn]) == 1);
        for conn in gone.collect::<Vec<_>>() {
            room.event(0, Event::Broken(conn));
        }
    }
    let batches = batches(&room);
    let with_noisy = |counts: &BTreeMap<String, usize>| counts.contains_key("acme");
    let at: Vec<usize> = (0..)
        .zip(&batches)
        .filter(|(_, it)| with_noisy(it))
        .map(|(at, _)| at)
        .collect();
    assert_eq!(at[0], 0, "{batches:?}");
    assert!(at.len() >= 3, "it does not starve: {batches:?}");
    let apart = at.windows(2).all(|pair| pair[1] - pair[0] >= 3);
    assert!(apart, "two batches pay for each: {batches:?}");
    assert!(
        batches.iter().all(|counts| counts["default"] >= 3),
        "{batches:?}"
    );
    release(&mut room);
    assert_eq!(answered(&room, &noisy), 4);
}

#[test]
fn a_share_counts_records_as_well_as_bytes() {
    let many_flights = |config: &mut ShardConfig| {
        config.limits.connections_max = 400;
        config.limits.flights_max = 2048;
    };
    let (mut room, _) = busy_with(&shares(0, &[("acme", 10)]), many_flights);
    flood(&mut room, "acme", &vec!["{}".to_owned(); 300]);
    assert_eq!(waiting(&room), 300 - 102, "a tenth of 1,024 bodies");
    let late = flood(&mut room, "default", &[record(7)]);
    assert_eq!(waiting(&room), 300 - 102);
    release_one(&mut room);
    release_one(&mut room);
    assert_eq!(answered(&room, &late), 1);
    assert_eq!(
        batches(&room)[0]["acme"],
        300,
        "the rest of the batch was free"
    );
}

#[test]
fn a_share_counts_requests_in_flight_and_the_rest_of_a_batch_leaves_some() {
    let few_flights = |config: &mut ShardConfig| config.limits.flights_max = 20;
    let records: Vec<String> = (0..30).map(record).collect();
    let (mut room, _) = busy_with(&shares(0, &[("acme", 50)]), few_flights);
    flood(&mut room, "acme", &records);
    assert_eq!(waiting(&room), 20, "half of the table is for others");
    release_one(&mut room);
    assert_eq!(
        room.shards[0].ingress.flights.room(),
        5,
        "a quarter is left"
    );
    let late = flood(&mut room, "default", &[record(7)]);
    release_one(&mut room);
    release_one(&mut room);
    assert_eq!(answered(&room, &late), 1);
}

#[test]
fn tenants_with_shares_take_turns_and_none_starves_even_where_shares_come_to_more_than_all() {
    for share in [10, 60] {
        let names = ["a", "b", "default"];
        let (mut room, _) = busy_with(&shares(0, &[("a", share), ("b", share)]), |_| {});
        for (at, name) in (0..).zip(names) {
            flood(&mut room, name, &many(100 * at, 18));
        }
        for _ in 0..6 {
            release_one(&mut room);
        }
        let mut counts = names.map(|_| 0);
        for batch in batches(&room) {
            for (count, name) in counts.iter_mut().zip(names) {
                *count += batch.get(name).copied().unwrap_or(0);
            }
        }
        let [a, b, others] = counts;
        assert!(a.abs_diff(b) <= 4, "{share}: {counts:?}");
        assert!(a >= 3 && b >= 3 && others >= 8, "{share}: {counts:?}");
    }
}

#[test]
fn what_waits_for_its_share_is_503_at_its_deadline_and_leaves_nothing_behind() {
    let (mut room, _) = busy(1);
    let noisy = flood(&mut room, "acme", &many(0, 2));
    let gone = flood(&mut room, "acme", &many(9, 1));
    room.event(0, Event::Broken(gone[0]));
    room.run();
    room.pass(5_000_001);
    assert_eq!(codes(&room.received(0, noisy[0])), ["deadline_exceeded"]);
    assert_eq!(codes(&room.received(0, noisy[1])), ["wal_unavailable"]);
    assert_eq!(waiting(&room), 0);
}

#[test]
fn what_waits_for_its_share_holds_its_own_bytes_and_keeps_no_client_from_sending() {
    let (mut room, _) = busy_with(&shares(0, &[("acme", 1)]), |config| {
        config.limits.head_bytes_total_max = 5 * 16 * 1024;
        config.limits.flights_max = 2000;
    });
    let noisy: Vec<String> = (0..40).map(record).collect();
    flood(&mut room, "acme", &noisy);
    assert!(waiting(&room) > 30);
    // A client of the same address, and slow.
    let conn = room.connect(0);
    let text = post(&record(77));
    for part in text.as_bytes().chunks(300) {
        assert!(
            !room.paused.contains(&(0, conn.slot)),
            "its memory is there"
        );
        room.send(0, conn, part);
        room.pass(100_000);
    }
    let held_bytes = room.shards[0].ingress.heads.held_bytes();
    assert!(held_bytes <= 40 * text.len() + 16 * 1024, "{held_bytes}");
    release_one(&mut room);
    release_one(&mut room);
    assert_eq!(codes(&room.received(0, conn)), ["200"]);
}

#[test]
fn a_snapshot_gives_no_share_a_second_time() {
    let (mut room, mut resolver) = busy(50);
    flood(&mut room, "acme", &many(0, 20));
    for number in 1..4 {
        let next = resolve(&mut resolver, &shares(number, &[("acme", 50)]));
        room.tell(0, ToShard::Configure(next));
        room.run();
        assert_eq!(waiting(&room), 16);
    }
    let next = resolve(&mut resolver, &shares(4, &[("acme", 75)]));
    room.tell(0, ToShard::Configure(next));
    room.run();
    assert_eq!(
        waiting(&room),
        14,
        "a larger one lets in what it is larger by"
    );
}

#[test]
fn a_snapshot_without_shares_lets_in_what_waited_for_one() {
    let (mut room, mut resolver) = busy(1);
    flood(&mut room, "acme", &many(0, 6));
    assert_eq!(waiting(&room), 5);
    let next = resolve(&mut resolver, &document(1, &["acme", "default"]));
    room.tell(0, ToShard::Configure(next));
    room.run();
    assert_eq!(waiting(&room), 0);
    release(&mut room);
    assert_eq!(batches(&room)[0]["acme"], 6);
}

#[test]
fn what_waits_for_room_waits_for_the_share_that_its_tenant_gets_meanwhile() {
    let (mut room, mut resolver) = busy(100);
    let noisy = flood(&mut room, "acme", &many(0, 20));
    assert_eq!(waiting(&room), 12);
    let next = resolve(&mut resolver, &shares(1, &[("acme", 25)]));
    room.tell(0, ToShard::Configure(next));
    release_one(&mut room);
    assert_eq!(waiting(&room), 10, "two are a quarter");
    assert_eq!(flood(&mut room, "default", &many(77, 1)).len(), 1);
    assert_eq!(waiting(&room), 10, "there is room for others");
    release(&mut room);
    assert_eq!(answered(&room, &noisy), 20);
}

#[test]
fn what_the_rate_refuses_gives_its_share_back() {
    let mut first = shares(0, &[("acme", 1)]);
    first.tenants[0].limits.rate = 10;
    let (mut room, _) = busy_with(&first, |_| {});
    room.buckets.left = [(4, 0)].into();
    let refused = flood(&mut room, "acme", &many(0, 1));
    assert_eq!(codes(&room.received(0, refused[0])), ["rate_limited"]);
    room.buckets.left = [(4, 10)].into();
    flood(&mut room, "acme", &many(1, 1));
    assert_eq!(waiting(&room), 0, "its share is there for another");
    assert_eq!(room.shards[0].ingress.flights.count(), 2);
}

#[test]
fn a_batch_costs_what_it_admits_however_many_wait() {
    const TENANTS: usize = 8;
    const WAITING: usize = 4000;
    let names: Vec<String> = (0..TENANTS).map(|at| format!("t{at}")).collect();
    let each: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let (mut room, _) = busy_with(&shares(0, &each), |config| {
        config.limits.connections_max = WAITING as u32 + 100;
        config.limits.flights_max = 2048;
    });
    for name in &names {
        flood(&mut room, name, &vec!["{}".to_owned(); WAITING / TENANTS]);
    }
    let is_waiting = waiting(&room);
    assert!(is_waiting > WAITING - 200, "{is_waiting}");
    let steps = |room: &Room| room.shards[0].ingress.shares.steps;
    let before = steps(&room);
    release_one(&mut room);
    let admitted = (is_waiting - waiting(&room)) as u64;
    let looks = steps(&room) - before;
    assert!(admitted > 900, "{admitted}");
    // A look at each, one at the end of each turn of a tenant, and some for each tenant.
    let bound = admitted + admitted / 5 + 8 * TENANTS as u64;
    assert!(looks <= bound, "{looks} looks for {admitted}");
    let before = steps(&room);
    for _ in 0..100 {
        room.pass(1_000);
    }
    assert_eq!(
        steps(&room),
        before,
        "while nothing happens none is looked at"
    );
}

#[test]
fn while_the_table_of_flights_is_nearly_full_an_event_looks_at_no_tenant_that_waits() {
    const TENANTS: usize = 20;
    let names: Vec<String> = (0..TENANTS).map(|at| format!("t{at:02}")).collect();
    let each: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let mut resolver = Resolver::default();
    let first = resolve(&mut resolver, &shares(0, &each));
    let mut room = Room::new(2, |config| {
        config.snapshot = first.clone();
        config.limits.flights_max = 64;
    });
    room.begin();
    // Requests whose ids the other shard has stay in flight; the disk has nothing to do.
    room.hold_messages[1] = true;
    let in_flight = |room: &Room| room.shards[0].ingress.flights.count();
    let mut epoch = 0;
    let mut stuck = |room: &mut Room, name: &str| {
        let before = in_flight(room);
        while in_flight(room) == before {
            flood(room, name, &[record(epoch)]);
            epoch += 1;
        }
    };
    for name in &names {
        stuck(&mut room, name);
    }
    while in_flight(&room) < 48 {
        stuck(&mut room, "default");
    }
    for name in &names {
        flood(&mut room, name, &[record(99_999)]);
    }
    assert_eq!(waiting(&room), TENANTS);
    let before = room.shards[0].ingress.shares.steps;
    let conn = room.connect(0);
    for _ in 0..100 {
        room.send(0, conn, b"\r\n");
    }
    let steps = room.shards[0].ingress.shares.steps;
    assert!(steps - before <= 2 * TENANTS as u64, "{}", steps - before);
}
