//! Records on their way: what the log holds of them, what their clients are answered, and when.

use super::*;

#[test]
fn a_record_is_logged_with_its_decision_in_one_batch_and_answered() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1)).as_bytes());
    assert_eq!(
        answers(&room.received(0, conn)),
        [(200, "miss".to_string())]
    );
    assert_eq!(kinds(&room), ["body", "decision"]);
    assert_eq!(room.written.len(), 1, "one flush for both");
}

#[test]
fn nothing_is_answered_before_the_write_ended() {
    let mut room = Room::serving(1);
    room.hold_writes = true;
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1)).as_bytes());
    room.send(0, conn, post("{}").as_bytes());
    assert_eq!(room.received(0, conn), "");
    let first = room.held.pop_front().unwrap();
    room.complete(first, None);
    room.run();
    assert_eq!(
        statuses(&room.received(0, conn)),
        [200],
        "the second is in the next batch"
    );
    let second = room.held.pop_front().unwrap();
    room.complete(second, None);
    room.run();
    assert_eq!(statuses(&room.received(0, conn)), [200, 400]);
}

#[test]
fn a_duplicate_gets_the_stored_bytes_also_when_it_comes_while_the_first_is_not_durable() {
    let mut room = Room::serving(1);
    room.hold_writes = true;
    let (first, second) = (room.connect(0), room.connect(0));
    room.send(0, first, post(&record(1)).as_bytes());
    room.send(0, second, post(&record(1)).as_bytes());
    assert_eq!(room.received(0, second), "");
    while let Some(held) = room.held.pop_front() {
        room.complete(held, None);
        room.run();
    }
    assert_eq!(
        answers(&room.received(0, first)),
        [(200, "miss".to_string())]
    );
    assert_eq!(
        answers(&room.received(0, second)),
        [(200, "hit".to_string())]
    );
    let body = |text: String| text.split("\r\n\r\n").nth(1).unwrap().to_string();
    assert_eq!(
        body(room.received(0, first)),
        body(room.received(0, second))
    );
}

#[test]
fn a_wrong_signature_is_kept_in_the_log_and_leaves_no_trace_in_dedup() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    room.send(0, conn, post(&record_signed(1, "another key")).as_bytes());
    room.send(0, conn, post(&record(1)).as_bytes());
    assert_eq!(
        answers(&room.received(0, conn)),
        [(401, String::new()), (200, "miss".to_string())]
    );
    assert_eq!(kinds(&room), ["body", "refused 401", "body", "decision"]);
}

#[test]
fn pipelined_answers_keep_their_order() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    let mut bytes = post(&record(1));
    bytes += "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    bytes += &post("nonsense");
    bytes += &post(&record(1));
    room.send(0, conn, bytes.as_bytes());
    assert_eq!(statuses(&room.received(0, conn)), [200, 200, 400, 200]);
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    for byte in post(&record(1)).as_bytes() {
        room.send(0, conn, &[*byte]);
    }
    assert_eq!(statuses(&room.received(0, conn)), [200]);
}

#[test]
fn keys_of_another_shard_are_claimed_there() {
    let mut room = Room::serving(2);
    let conns = [room.connect(0), room.connect(1)];
    for epoch in 0..20 {
        for (shard, conn) in conns.iter().enumerate() {
            room.send(shard, *conn, post(&record(epoch)).as_bytes());
        }
    }
    for (shard, expected) in [(0, "miss"), (1, "hit")] {
        let received = answers(&room.received(shard, conns[shard]));
        assert_eq!(received.len(), 20);
        assert!(
            received
                .iter()
                .all(|(status, dedup)| *status == 200 && dedup == expected),
            "shard {shard}: {received:?}"
        );
    }
    let turns_abroad = room
        .stats
        .shards
        .iter()
        .filter(|page| page.dedup_keys.get() > 0)
        .count();
    assert_eq!(turns_abroad, 2, "both shards own some keys");
}

#[test]
fn claims_wait_for_a_peer_that_is_still_loading() {
    let mut room = Room::new(2, |_| {});
    room.begin_at(0);
    room.tell(0, ToShard::Serve { admit: true });
    let conns: Vec<_> = (0..20).map(|_| room.connect(0)).collect();
    for (epoch, conn) in (0..).zip(&conns) {
        room.send(0, *conn, post(&record(epoch)).as_bytes());
    }
    let answered = |room: &Room| {
        conns
            .iter()
            .filter(|&&conn| !room.received(0, conn).is_empty())
            .count()
    };
    let own = answered(&room);
    assert!((1..20).contains(&own), "both shards own some keys: {own}");
    room.begin_at(1);
    room.run();
    assert_eq!(
        answered(&room),
        own,
        "a table that is being loaded answers nothing"
    );
    room.tell(1, ToShard::Serve { admit: true });
    room.run();
    assert_eq!(answered(&room), 20);
}

#[test]
fn a_failed_write_goes_on_in_the_next_segment_and_the_id_stays() {
    let mut room = Room::serving(1);
    room.hold_writes = true;
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1)).as_bytes());
    let first = room.held.pop_front().unwrap();
    let failed_file = first.file;
    room.complete(first, Some(Errno::EIO));
    room.run();
    let again = room.held.pop_front().unwrap();
    assert_ne!(
        again.file, failed_file,
        "a failed segment is never written again"
    );
    assert_eq!(room.received(0, conn), "");
    room.complete(again, None);
    room.run();
    room.send(0, conn, post(&record(1)).as_bytes());
    let last = room.held.pop_front().unwrap();
    room.complete(last, None);
    room.run();
    assert_eq!(
        answers(&room.received(0, conn)),
        [(200, "miss".to_string()), (200, "hit".to_string())]
    );
    assert_eq!(room.stopped, None);
}

#[test]
fn two_failures_in_a_row_stop_the_process() {
    let mut room = Room::serving(1);
    room.hold_writes = true;
    let conn = room.connect(0);
    room.send(0, conn, post(&record(1)).as_bytes());
    for _ in 0..2 {
        let held = room.held.pop_front().unwrap();
        room.complete(held, Some(Errno::EIO));
        room.run();
    }
    assert_eq!(room.stopped.as_ref().map(|stop| stop.code), Some(74));
    assert_eq!(room.received(0, conn), "");
}
