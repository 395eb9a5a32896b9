//! Batches that are sent to do harm, or come at a bad time: memory stays within its bounds, and others are served meanwhile.

use super::batch::{batch, batch_of_text, lines};
use super::waiting::release_one;
use super::*;
use crate::snapshot::Resolver;

fn records(epochs: impl Iterator<Item = u64>) -> Vec<String> {
    epochs.map(record).collect()
}

#[test]
fn a_refused_batch_is_not_kept_while_its_client_takes_no_answer() {
    let mut room = Room::serving(1);
    room.hold_sends = true;
    let text = batch_of_text(&"\n".repeat(4 << 20));
    for _ in 0..8 {
        let conn = room.connect(0);
        trickle(&mut room, &[(conn, text.as_bytes())], 60_000);
        assert_eq!(statuses(&room.received(0, conn)), [413]);
    }
    let kept_bytes = room.shards[0].ingress.connections.kept_bytes();
    assert!(
        kept_bytes <= 4 << 20,
        "{kept_bytes} bytes of refused batches"
    );
}

#[test]
fn the_rest_of_a_refused_batch_is_skipped_although_it_is_larger_than_a_record_may_be() {
    let mut room = Room::new(1, |config| config.limits.http.body_bytes_max = 5_000);
    room.begin();
    let conn = room.connect(0);
    let head = "POST /v1/pcs/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("fa0\r\n{}\r\n", "x".repeat(4_000));
    for part in [head, &chunk, &chunk, &chunk, "0\r\n\r\n", &post(&record(1))] {
        room.send(0, conn, part.as_bytes());
    }
    assert_eq!(statuses(&room.received(0, conn)), [415, 200]);
}

#[test]
fn a_batch_waits_for_a_share_until_its_deadline_and_no_longer() {
    let mut document = snapshots::document(0, &["default"]);
    document.tenants[0].wal_share = Some(1);
    let first = snapshots::resolve(&mut Resolver::default(), &document);
    let mut room = Room::new(1, |config| config.snapshot = first.clone());
    room.begin();
    room.hold_writes = true;
    let (other, conn) = (room.connect(0), room.connect(0));
    room.send(0, other, post(&record(1_000)).as_bytes());
    room.send(0, conn, batch(&records(1..=600)).as_bytes());
    room.pass(3_000_000);
    release_one(&mut room);
    let waiting = |room: &Room| room.shards[0].ingress.waiting_for_room_count();
    assert_eq!(waiting(&room), 1);
    room.pass(2_000_000);
    assert_eq!(waiting(&room), 0, "its deadline is over");
    release(&mut room);
    let last = lines(&room.received(0, conn)).pop().unwrap();
    assert!(last.status == 503 && last.body.contains("deadline_exceeded"));
}

#[test]
fn what_comes_while_a_batch_waits_is_in_the_next_batch_of_the_log() {
    let mut room = Room::new(1, |config| config.limits.flights_max = 300);
    room.begin();
    room.hold_writes = true;
    let (large, small) = (room.connect(0), room.connect(0));
    room.send(0, large, batch(&records(1..=3900)).as_bytes());
    release_one(&mut room);
    let before = room.held.len();
    assert_eq!(before, 1);
    // In one turn: a batch of the log is durable, and a request comes.
    room.arrive(0, small, post(&record(9_999)).as_bytes());
    release_one(&mut room);
    let next = room.held.front().unwrap().blocks.bytes();
    let text = record(9_999).into_bytes();
    let is_in_next = next.windows(text.len()).any(|part| part == text);
    assert!(
        is_in_next,
        "it waits behind more than one part of the batch"
    );
    release(&mut room);
    assert_eq!(lines(&room.received(0, large)).len(), 3900);
    assert_eq!(statuses(&room.received(0, small)), [200]);
}
