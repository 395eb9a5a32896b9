//! A shard that answers from a slice what its table does not know, against its transcript: which block is read, what a hit,
//! a conflict, an expired outcome, a read error and a damaged block are answered, and what is counted.

use super::transcript::Transcript;
use super::transcripts::{alone, compare, contradicting, metrics, say};
use super::*;
use crate::dedup::key::KeyHash;
use crate::dedup::slice::reader::view_whole;
use crate::dedup::slice::verify_whole;
use crate::dedup::slice::{SliceMeta, SliceSet, SliceWriter};
use crate::dedup::{Decided, PARTITIONS};
use crate::io::FileId;
use flk_contract::ParamsVersion;
use std::sync::Arc;

/// All decisions in the log of a room, as a start would find them.
pub(super) fn decisions(room: &Room) -> Vec<Decided> {
    let hash = KeyHash::new([3; 16]);
    let mut all = Vec::new();
    for (_, bytes) in &room.written {
        let start = if bytes.starts_with(b"flk-segm") {
            BLOCK_BYTES
        } else {
            0
        };
        for record in read_batch(&bytes[start..]).unwrap().records().flatten() {
            let Content::Entry(Entry::Decision(it)) = record.content else {
                continue;
            };
            let pcs_id = flk_contract::hash::hex32(&it.pcs_id);
            let key = hash.key(it.tenant, std::str::from_utf8(&pcs_id).unwrap());
            all.push(Decided::of_record(key, &it, 0));
        }
    }
    all.sort_by_key(|it| it.key);
    all
}

/// A slice of these, and the set of it alone.
pub(super) fn slice(decisions: &[Decided]) -> (Vec<u8>, Arc<SliceSet>) {
    let mut writer = SliceWriter::new(SliceMeta::default(), &[ParamsVersion::ONE]);
    for decided in decisions {
        writer.push(decided).unwrap();
    }
    let bytes = writer.finish(&[]).unwrap().bytes;
    let (reader, directory) = verify_whole(&bytes, |_| {}).unwrap();
    let view = view_whole(&reader, &directory, FileId(5), 0..PARTITIONS, &bytes, 1).unwrap();
    let set = SliceSet {
        version: 1,
        slices: vec![view],
        ..SliceSet::default()
    };
    (bytes, Arc::new(set))
}

/// Four records, decided and sealed.
pub(super) fn sealed() -> (Vec<u8>, Arc<SliceSet>) {
    let mut before = Room::serving(1);
    let conn = before.connect(0);
    for epoch in 1..5 {
        before.send(0, conn, post(&record(epoch)).as_bytes());
    }
    slice(&decisions(&before))
}

#[test]
fn a_shard_answers_from_the_slices_that_it_begins_with_and_keeps_them_no_longer_than_the_next_set()
{
    let (bytes, set) = sealed();
    let mut room = Room::new(1, |_| {});
    (room.slice, room.slices) = (bytes, set.clone());
    room.begin();
    let conn = room.connect(0);
    for (epoch, dedup) in [(2, "hit"), (9, "miss")] {
        room.send(0, conn, post(&record(epoch)).as_bytes());
        let answer = room.received(0, conn);
        assert!(answer.contains(&format!("Flk-Dedup: {dedup}")), "{answer}");
    }
    room.slices = Arc::default();
    let next = SliceSet {
        version: 2,
        ..SliceSet::default()
    };
    room.tell(0, ToShard::Slices(Arc::new(next)));
    room.run();
    assert_eq!(Arc::strong_count(&set), 1, "filters take memory");
}

#[test]
fn a_request_that_waits_for_a_slice_does_not_keep_the_deadlines_of_those_behind_it() {
    let (bytes, set) = sealed();
    let mut room = Room::new(1, |config| config.limits.flights_max = 16);
    (room.slice, room.slices) = (bytes, set);
    room.begin();
    room.hold_reads = true;
    let slow = room.connect(0);
    room.send(0, slow, post(&record(2)).as_bytes());
    let conn = room.connect(0);
    let before = room.shards[0].ingress.deadlines.capacity();
    for _ in 0..20 {
        for epoch in 9..19 {
            room.send(0, conn, post(&record(epoch)).as_bytes());
        }
    }
    assert_eq!(statuses(&room.received(0, conn)), [200; 200]);
    assert!(
        room.received(0, slow).is_empty(),
        "its look-up reads the slice"
    );
    assert_eq!(room.shards[0].ingress.deadlines.capacity(), before);
}

#[test]
fn what_is_in_a_slice_is_answered_as_in_the_transcript() {
    let mut before = Room::serving(1);
    let conn = before.connect(0);
    for epoch in 1..5 {
        before.send(0, conn, post(&record(epoch)).as_bytes());
    }
    let mut decisions = decisions(&before);
    assert_eq!(decisions.len(), 4);
    decisions[3].expiry = 51;
    let (bytes, set) = slice(&decisions);
    let mut room = Room::new(1, |_| {});
    room.transcript = Some(Transcript::default());
    room.begin();
    room.slice = bytes;
    room.tell(0, ToShard::Slices(set));
    room.run();
    for epoch in 1..5 {
        alone(
            &mut room,
            &format!("record {epoch}"),
            post(&record(epoch)).as_bytes(),
        );
    }
    alone(&mut room, "a conflict", post(&contradicting(1)).as_bytes());
    alone(
        &mut room,
        "one that is in no slice",
        post(&record(9)).as_bytes(),
    );
    say(&mut room, "reads wait");
    room.hold_reads = true;
    let conns = [2, 3].map(|epoch| alone(&mut room, "a record", post(&record(epoch)).as_bytes()));
    alone(&mut room, "the same", post(&record(2)).as_bytes());
    room.pass(1_000_000);
    room.event(0, Event::Broken(conns[1]));
    room.release_reads();
    room.run();
    say(&mut room, "a read error");
    room.fail_read = Some(Errno::EIO);
    alone(&mut room, "record 1", post(&record(1)).as_bytes());
    say(&mut room, "damage");
    room.slice.iter_mut().for_each(|byte| *byte ^= 1);
    alone(&mut room, "record 1", post(&record(1)).as_bytes());
    room.pass(1_000_000);
    say(&mut room, "another set without it");
    let set = SliceSet {
        version: 2,
        ..SliceSet::default()
    };
    room.tell(0, ToShard::Slices(Arc::new(set)));
    room.run();
    alone(&mut room, "record 1", post(&record(1)).as_bytes());
    room.pass(100_000);
    metrics(&mut room);
    compare(&room, "slices.txt");
}
