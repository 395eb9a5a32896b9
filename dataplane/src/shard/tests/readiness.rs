//! What `/readyz` says, and that it is the truth: about a start, about room, and about a log that stands still.

use super::*;
use crate::io::ShardId;
use crate::mesh::keeper::Shortage;
use crate::mesh::ring_messages;

/// The status and the code of the problem that `/readyz` of a shard answers with now.
fn readyz(room: &mut Room, shard: usize) -> (u16, String) {
    let conn = room.connect(shard);
    room.send(shard, conn, b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    status_and_code(&room.received(shard, conn))
}

fn status_and_code(received: &str) -> (u16, String) {
    let code = received
        .split_once("\"code\":\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("", |(code, _)| code);
    (statuses(received)[0], code.to_string())
}

fn ready() -> (u16, String) {
    (200, String::new())
}

fn unready(code: &str) -> (u16, String) {
    (503, code.to_string())
}

#[test]
fn a_start_is_starting_until_recovery_is_over_for_probes_and_submits_alike() {
    let mut room = Room::new(1, |_| {});
    let submit = |room: &mut Room| {
        let conn = room.connect(0);
        room.send(0, conn, post(&record(1)).as_bytes());
        status_and_code(&room.received(0, conn))
    };
    assert_eq!(readyz(&mut room, 0), unready("starting"));
    room.begin_at(0);
    room.run();
    assert_eq!(readyz(&mut room, 0), unready("starting"));
    assert_eq!(submit(&mut room), unready("starting"));
    room.tell(0, ToShard::Load(Vec::new()));
    room.run();
    assert_eq!(readyz(&mut room, 0), unready("starting"));
    room.tell(0, ToShard::Serve { admit: false });
    room.run();
    assert_eq!(readyz(&mut room, 0), unready("dedup_memory_full"));
    assert_eq!(submit(&mut room), unready("dedup_memory_full"));
    room.tell(0, ToShard::Serve { admit: true });
    room.run();
    assert_eq!(readyz(&mut room, 0), ready());
    assert_eq!(submit(&mut room).0, 200);
}

#[test]
fn a_shard_that_stands_still_makes_all_unready_and_nothing_is_refused_for_it() {
    let mut room = Room::serving(2);
    room.stats.observed[1].stuck.set(1);
    assert_eq!(readyz(&mut room, 0), unready("shard_stuck"));
    let conn = room.connect(0);
    room.send(0, conn, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n");
    room.send(0, conn, post(&record(1)).as_bytes());
    assert_eq!(statuses(&room.received(0, conn)), [200, 200]);
    room.stats.observed[1].stuck.set(0);
    assert_eq!(readyz(&mut room, 0), ready());
}

#[test]
fn a_shard_without_memory_for_more_ids_has_all_shards_say_so() {
    for (of_the_other, expect) in [(64 << 20, ready()), (1, unready("dedup_memory_full"))] {
        let mut room = Room::new(2, |config| {
            if config.id == ShardId(1) {
                config.dedup_bytes_max = of_the_other;
            }
        });
        room.begin();
        let conn = room.connect(0);
        let requests: String = (1..10).map(|epoch| post(&record(epoch))).collect();
        room.send(0, conn, requests.as_bytes());
        assert_eq!(readyz(&mut room, 1), expect);
        assert_eq!(readyz(&mut room, 0), expect);
    }
}

#[test]
fn tables_keep_to_the_smaller_limit_that_a_start_tells() {
    for (told, expect) in [(None, ready()), (Some(1), unready("dedup_memory_full"))] {
        let mut room = Room::new(1, |_| {});
        room.dedup_bytes_max = told;
        room.begin();
        let conn = room.connect(0);
        room.send(0, conn, post(&record(1)).as_bytes());
        assert_eq!(readyz(&mut room, 0), expect);
        let shown = room.stats.shards[0].dedup_bytes_max.get();
        assert_eq!(shown, told.unwrap_or(64 << 20));
    }
}

#[test]
fn each_shortage_of_room_has_its_own_words() {
    let mut room = Room::serving(1);
    for (shortage, code, words) in [
        (Shortage::Disk, "disk_full", "free space"),
        (Shortage::Cap, "disk_full", "raise WAL_MAX_BYTES"),
        (Shortage::Refused, "wal_unavailable", "read-only mount"),
        (Shortage::Descriptors, "wal_unavailable", "LimitNOFILE"),
    ] {
        room.tell(0, ToShard::SpaceLow(Some(shortage)));
        room.run();
        assert_eq!(readyz(&mut room, 0), unready(code), "{shortage:?}");
        let conn = room.connect(0);
        room.send(0, conn, post(&record(1)).as_bytes());
        let received = room.received(0, conn);
        assert_eq!(status_and_code(&received), unready(code), "{shortage:?}");
        assert!(received.contains(words), "{shortage:?}: {received}");
    }
    room.tell(0, ToShard::SpaceLow(None));
    room.run();
    assert_eq!(readyz(&mut room, 0), ready());
}

#[test]
fn a_write_that_does_not_end_makes_all_shards_unready_until_it_does() {
    let mut room = Room::serving(2);
    room.hold_writes = true;
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1)).as_bytes());
    room.pass(1_900_000);
    assert_eq!(readyz(&mut room, 0), ready(), "patience lasts");
    room.pass(200_000);
    assert_eq!(readyz(&mut room, 0), unready("wal_unavailable"));
    assert_eq!(readyz(&mut room, 1), unready("wal_unavailable"));
    release(&mut room);
    assert_eq!(readyz(&mut room, 0), ready());
    assert_eq!(readyz(&mut room, 1), ready());
}

#[test]
fn a_slow_disk_that_makes_progress_is_ready_and_so_is_an_idle_one() {
    let mut room = Room::serving(1);
    room.pass(60_000_000);
    assert_eq!(readyz(&mut room, 0), ready(), "nothing waits");
    room.hold_writes = true;
    let conn = room.connect(0);
    for epoch in 0..10 {
        room.send(0, conn, post(&record(epoch)).as_bytes());
        room.pass(1_500_000);
        let held = room.held.pop_front().unwrap();
        room.complete(held, None);
        room.run();
        assert_eq!(readyz(&mut room, 0), ready(), "one batch in 1.5 s");
    }
}

#[test]
fn a_log_that_waits_for_its_next_segment_tells_what_is_resolved() {
    let mut room = Room::serving(1);
    room.hold_naming = true;
    let conn = room.connect(0);
    for epoch in 0..5 {
        room.send(0, conn, post(&record(epoch)).as_bytes());
    }
    let resolved = room.to_keeper.iter().filter_map(|(_, said)| match said {
        ToKeeper::Resolved { upto, .. } => Some(upto.0),
        _ => None,
    });
    let third = crate::wal::name::Sequence::before_first(1).0 + 3;
    assert!(resolved.max().is_some_and(|upto| upto >= third));
}

#[test]
fn a_keeper_that_does_not_name_the_next_segment_makes_it_unready() {
    let mut room = Room::serving(2);
    room.hold_naming = true;
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1)).as_bytes());
    assert_eq!(statuses(&room.received(0, conn)), [200]);
    for epoch in 2..9 {
        room.pass(500_000);
        room.send(0, conn, post(&record(epoch)).as_bytes());
    }
    assert_eq!(readyz(&mut room, 1), ready(), "records become durable");
    room.pass(2_100_000);
    assert_eq!(readyz(&mut room, 0), unready("wal_unavailable"));
    assert_eq!(readyz(&mut room, 1), unready("wal_unavailable"));
    let next = room.segment(1);
    room.tell(0, ToShard::Segment(next));
    room.run();
    assert_eq!(readyz(&mut room, 1), ready());
}

#[test]
fn a_ring_has_room_for_a_log_that_stands_still_again_and_again_while_its_peer_reads_nothing() {
    let mut room = Room::serving(2);
    room.hold_messages[1] = true;
    let conn = room.connect(0);
    for _ in 0..20 {
        room.hold_writes = true;
        room.send(0, conn, post("not a record").as_bytes());
        room.pass(2_100_000);
        release(&mut room);
    }
    let posted_count = room.posted_count(0, 1);
    assert_eq!(posted_count, 40, "it stands still, and moves again");
    assert!(
        posted_count <= ring_messages(0, 0),
        "no request is in flight"
    );
}
