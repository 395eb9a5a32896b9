//! Traced records: which are, what borders they pass and in which order, and that each trace ends, however its request does.

use super::room::BEGIN_US;
use super::*;
use crate::shard::config::TraceLimits;
use crate::stats::trace::{Found, Moment, Trace};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: u64 = 0x00f0_67aa_0ba9_02b7;

fn post_with(fields: &str, body: &str) -> String {
    post(body).replacen("\r\n", &format!("\r\n{fields}"), 1)
}

/// A request whose caller traces it.
fn traced(body: &str) -> String {
    post_with(
        &format!("traceparent: 00-{TRACE}-{PARENT:016x}-01\r\n"),
        body,
    )
}

fn room(shards: u16, traces: TraceLimits) -> Room {
    let mut room = Room::new(shards, |config| {
        config.traces = traces;
        config.limits.deadline_us = 1_000_000;
    });
    room.begin();
    room
}

fn tick(room: &mut Room) {
    room.now.mono_us += 100;
    room.run();
}

/// Writes end one after the other, 100 µs apart, until none is held.
fn write_on(room: &mut Room) {
    while let Some(held) = room.held.pop_front() {
        room.now.mono_us += 100;
        room.complete(held, None);
        room.run();
    }
}

/// Borders that were passed come in the order of the path.
fn check_order(trace: &Trace) {
    use Moment::*;
    for path in [
        &[
            Begun,
            Whole,
            Framed,
            Claimed,
            Answered,
            Decided,
            DecisionDurable,
            Ready,
            Replied,
        ][..],
        &[Framed, Durable, DecisionDurable],
        &[Durable, Ready],
    ] {
        let passed: Vec<u64> = path.iter().filter_map(|it| trace.at(*it)).collect();
        assert!(passed.is_sorted(), "{path:?} in {trace:?}");
    }
    let spans: Vec<_> = trace.spans().collect();
    let root = spans.first().unwrap();
    for span in &spans {
        assert!(
            root.begins_ns <= span.begins_ns && span.ends_ns <= root.ends_ns,
            "{span:?}"
        );
    }
}

fn one(room: &mut Room) -> Trace {
    let traces = std::mem::take(&mut room.buckets.traces);
    assert_eq!(traces.len(), 1, "{traces:?}");
    check_order(&traces[0]);
    traces[0]
}

/// Sends traced records until one waits for the shard that owns its key.
fn send_until_another_owns(room: &mut Room, conn: ConnId) {
    let mut number = 1;
    loop {
        room.send(0, conn, traced(&record(number)).as_bytes());
        if room.posted_count(0, 1) > 0 {
            return;
        }
        one(room);
        number += 1;
    }
}

#[test]
fn a_record_with_a_remote_owner_passes_every_border_at_its_time() {
    let mut room = room(2, TraceLimits::default());
    room.hold_writes = true;
    let conn = room.connect(0);
    let is_remote = |room: &Room| room.posted_count(0, 1) > 0;
    room.hold_messages[1] = true;
    let mut number = 1;
    let text = loop {
        // Ids go to both shards: one that stays here is finished, and the next is tried.
        let text = traced(&record(number));
        room.arrive(0, conn, &text.as_bytes()[..40]);
        tick(&mut room);
        room.now.mono_us += 100;
        room.send(0, conn, &text.as_bytes()[40..]);
        if is_remote(&room) {
            break text;
        }
        write_on(&mut room);
        room.buckets.traces.clear();
        number += 1;
    };
    let framed_us = room.now.mono_us;
    write_on(&mut room);
    let durable_us = room.now.mono_us;
    // Two more bodies: the first is on its way, and the decision will be in one batch with the second.
    let others = [room.connect(0), room.connect(0)];
    for conn in others {
        room.send(0, conn, post("{}").as_bytes());
    }
    room.now.mono_us += 100;
    room.release_messages(1);
    let answered_us = room.now.mono_us;
    write_on(&mut room);
    let decided_us = room.now.mono_us;
    let trace = one(&mut room);
    let at = |moment| trace.at(moment).map(|ns| ns / 1000);
    assert_eq!(at(Moment::Begun), Some(framed_us - 100));
    assert_eq!(at(Moment::Framed), Some(framed_us));
    assert_eq!(at(Moment::Claimed), Some(framed_us));
    assert_eq!(at(Moment::Durable), Some(durable_us));
    assert_eq!(at(Moment::Answered), Some(answered_us));
    assert_eq!(at(Moment::Decided), Some(answered_us));
    assert_eq!(at(Moment::DecisionDurable), Some(decided_us));
    assert_eq!(at(Moment::Replied), Some(decided_us));
    assert_eq!((trace.shard, trace.owner, trace.status), (0, 1, 200));
    assert_eq!((trace.found, trace.batch_records), (Found::Miss, 1));
    assert_eq!(flk_testkit::hex::hex(&trace.trace_id), TRACE);
    assert_eq!(trace.parent_id, PARENT);
    let id = flk_testkit::hex::hex(&trace.pcs_id.unwrap());
    assert!(text.contains(&id), "the id of the record: {id}");
    assert_eq!(
        room.buckets.judged,
        vec![0; number as usize],
        "its stages are measured"
    );
    assert_eq!(room.stats.shards[0].traces.get(), number);
}

#[test]
fn duplicates_and_refused_records_are_traced_as_far_as_they_come() {
    let mut room = room(1, TraceLimits::default());
    let conn = room.connect(0);
    let forged = record_signed(2, "another key");
    for (body, status, found) in [
        (&record(1)[..], 200, Found::Miss),
        (&record(1), 200, Found::Hit),
        (&forged, 401, Found::Nothing),
        ("{}", 400, Found::Nothing),
    ] {
        room.hold_writes = true;
        room.send(0, conn, traced(body).as_bytes());
        assert!(room.buckets.traces.is_empty());
        write_on(&mut room);
        let trace = one(&mut room);
        assert_eq!((trace.status, trace.found), (status, found));
        assert!(trace.at(Moment::Durable) > trace.at(Moment::Framed));
        assert_eq!(trace.at(Moment::Ready), trace.at(Moment::Durable));
        assert_eq!(trace.at(Moment::Decided).is_some(), found == Found::Miss);
        assert_eq!(trace.pcs_id.is_some(), found != Found::Nothing);
    }
}

#[test]
fn what_is_refused_before_the_log_is_not_traced() {
    let mut room = room(
        1,
        TraceLimits {
            sample: 1.0,
            ..TraceLimits::default()
        },
    );
    let conn = room.connect(0);
    room.send(
        0,
        conn,
        traced("{}").replace("/v1/pcs/submit", "/v2").as_bytes(),
    );
    room.send(0, conn, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(statuses(&room.received(0, conn)), [404, 200]);
    assert!(room.buckets.traces.is_empty());
}

#[test]
fn a_record_that_is_answered_503_at_its_deadline_has_one_trace_whatever_comes_later() {
    let mut room = room(2, TraceLimits::default());
    let conn = room.connect(0);
    room.hold_messages[1] = true;
    send_until_another_owns(&mut room, conn);
    room.pass(1_100_000);
    let trace = one(&mut room);
    assert_eq!((trace.status, trace.found), (503, Found::Nothing));
    let dedup = trace
        .spans()
        .find(|it| it.span.name == "flk.dedup")
        .unwrap();
    assert!(dedup.ends_ns - dedup.begins_ns >= 1_000_000_000);
    // The claim wins too late.
    room.release_messages(1);
    room.pass(100_000);
    assert!(kinds(&room).contains(&"unanswered".to_owned()));
    assert!(room.buckets.traces.is_empty());
}

#[test]
fn a_record_whose_disk_hangs_until_its_deadline_has_one_trace() {
    let mut room = room(1, TraceLimits::default());
    let conn = room.connect(0);
    room.hold_writes = true;
    room.send(0, conn, traced(&record(1)).as_bytes());
    room.pass(1_100_000);
    assert_eq!(one(&mut room).status, 503);
    write_on(&mut room);
    assert!(room.buckets.traces.is_empty());
}

#[test]
fn a_trace_ends_with_its_record_where_the_connection_has_ended() {
    let forged = record_signed(2, "another key");
    for body in [&record(1)[..], &forged, "{}"] {
        let mut room = room(1, TraceLimits::default());
        let conn = room.connect(0);
        room.hold_writes = true;
        room.send(0, conn, traced(body).as_bytes());
        room.event(0, Event::Broken(conn));
        tick(&mut room);
        assert!(room.buckets.traces.is_empty(), "its batch is on its way");
        write_on(&mut room);
        let trace = one(&mut room);
        assert_eq!((trace.status, trace.latency_us()), (0, None));
        assert!(trace.at(Moment::Ready).is_some());
    }
}

#[test]
fn a_trace_ends_where_connection_and_claim_are_given_up() {
    let mut room = room(2, TraceLimits::default());
    room.hold_messages[1] = true;
    let mut remote = 0;
    for number in 0..12 {
        let conn = room.connect(0);
        room.send(0, conn, traced(&record(number)).as_bytes());
        room.event(0, Event::Broken(conn));
        room.run();
        remote += usize::from(statuses(&room.received(0, conn)).is_empty());
    }
    assert!((1..12).contains(&remote), "{remote} of 12");
    let is_done = |room: &Room| room.buckets.traces.len();
    assert_eq!(is_done(&room), 12 - remote);
    room.pass(1_100_000);
    assert_eq!(is_done(&room), 12, "at their deadline");
    room.release_messages(1);
    room.pass(100_000);
    assert_eq!(is_done(&room), 12);
    room.buckets.traces.iter().for_each(check_order);
}

#[test]
fn only_a_valid_header_with_its_flag_set_begins_a_trace() {
    let mut room = room(1, TraceLimits::default());
    let conn = room.connect(0);
    let value = |flags: &str| format!("00-{TRACE}-{PARENT:016x}-{flags}");
    let field = |value: &str| format!("traceparent: {value}\r\n");
    for (fields, count) in [
        (String::new(), 0),
        (field(&value("00")), 0),
        (field(&value("1")), 0),
        (field(&value("01")) + &field(&value("01")), 0),
        (field(&format!("00-{}-{PARENT:016x}-01", "0".repeat(32))), 0),
        (field(&value("01")), 1),
        (field(&value("01")).to_uppercase(), 0),
        (format!("TraceParent:  {} \r\n", value("03")), 1),
    ] {
        room.send(0, conn, post_with(&fields, &record(1)).as_bytes());
        let found = std::mem::take(&mut room.buckets.traces);
        assert_eq!(found.len(), count, "{fields}");
    }
    // The body may come later, and in chunks.
    let text = traced("").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    room.send(0, conn, text.as_bytes());
    room.send(0, conn, b"2\r\n{}\r\n0\r\n\r\n");
    assert_eq!(flk_testkit::hex::hex(&one(&mut room).trace_id), TRACE);
}

#[test]
fn a_share_of_other_records_begins_traces_of_its_own() {
    let limits = |sample| TraceLimits {
        sample,
        per_s_max: 10_000,
    };
    let ids = |sample| {
        let mut room = room(1, limits(sample));
        let conn = room.connect(0);
        for number in 0..200 {
            room.send(0, conn, post(&record(number)).as_bytes());
        }
        let traces = &room.buckets.traces;
        assert!(traces.iter().all(|it| it.parent_id == 0 && it.span_id != 0));
        let mut ids: Vec<_> = traces.iter().map(|it| it.trace_id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), traces.len(), "no id comes twice");
        ids
    };
    assert_eq!(ids(1.0).len(), 200);
    let quarter = ids(0.25);
    assert!((25..75).contains(&quarter.len()), "{}", quarter.len());
    assert_eq!(quarter, ids(0.25), "the same records, whenever it is asked");
    // A caller that does not trace is not overruled.
    let mut room = room(1, limits(1.0));
    let conn = room.connect(0);
    let field = format!("traceparent: 00-{TRACE}-{PARENT:016x}-00\r\n");
    room.send(0, conn, post_with(&field, &record(1)).as_bytes());
    assert!(room.buckets.traces.is_empty());
}

#[test]
fn records_over_the_bound_are_served_and_counted_and_not_traced() {
    let mut room = room(
        1,
        TraceLimits {
            sample: 0.0,
            per_s_max: 5,
        },
    );
    let conn = room.connect(0);
    assert_eq!(room.now.mono_us, BEGIN_US);
    for number in 0..20 {
        room.send(0, conn, traced(&record(number)).as_bytes());
    }
    assert_eq!(statuses(&room.received(0, conn)), [200; 20]);
    assert_eq!(room.buckets.traces.len(), 5);
    let page = &room.stats.shards[0];
    assert_eq!((page.traces.get(), page.traces_limited.get()), (5, 15));
    room.now.mono_us += 200_000;
    room.send(0, conn, traced(&record(30)).as_bytes());
    assert_eq!(room.buckets.traces.len(), 6);
}

#[test]
fn a_trace_whose_connection_is_closed_to_make_room_has_ended_before() {
    let mut room = Room::new(1, |config| {
        config.limits.connections_max = 2;
        config.limits.connections_spare = 2;
        config.limits.unsent_bytes_max = 1;
    });
    room.begin();
    room.hold_sends = true;
    let slow = room.connect(0);
    let two = traced(&record(1)) + &traced(&record(2));
    room.send(0, slow, two.as_bytes());
    assert_eq!(
        room.buckets.traces.len(),
        2,
        "one answer left, the other may"
    );
    room.pass(1_100_000);
    for _ in 0..2 {
        room.connect(0);
        room.run();
    }
    room.pass(100_000);
    assert!(room.closed.iter().any(|(_, it)| *it == slow), "evicted");
    assert_eq!(room.buckets.traces.len(), 2);
}

#[test]
fn what_comes_too_late_for_one_trace_is_no_part_of_the_next_one_in_its_place() {
    let mut room = room(2, TraceLimits::default());
    let conn = room.connect(0);
    room.hold_messages[1] = true;
    send_until_another_owns(&mut room, conn);
    room.pass(1_100_000);
    assert_eq!(one(&mut room).status, 503);
    // A record that is refused asks no owner, and its trace takes the place of the one before.
    room.hold_writes = true;
    room.send(0, conn, traced("{}").as_bytes());
    room.release_messages(1);
    tick(&mut room);
    write_on(&mut room);
    let trace = one(&mut room);
    assert_eq!((trace.status, trace.found), (400, Found::Nothing));
    assert_eq!(trace.at(Moment::Answered), None);
    assert_eq!(trace.at(Moment::Decided), None);
}

#[test]
fn clients_that_take_no_answers_keep_no_place_of_a_trace() {
    let mut room = Room::new(1, |config| {
        config.traces.per_s_max = 10_000;
        config.limits.unsent_bytes_max = 1;
    });
    room.begin();
    room.hold_sends = true;
    let mut slow = Vec::new();
    for number in 0..60 {
        let conn = room.connect(0);
        let requests: String = (0..6).map(|at| traced(&record(number * 6 + at))).collect();
        room.send(0, conn, requests.as_bytes());
        slow.push(conn);
    }
    assert_eq!(room.buckets.traces.len(), 360);
    let left = |trace: &&Trace| trace.at(Moment::Replied).is_some();
    assert_eq!(room.buckets.traces.iter().filter(left).count(), 60);
    for trace in std::mem::take(&mut room.buckets.traces) {
        check_order(&trace);
        assert!(trace.at(Moment::Ready).is_some());
        let status = if left(&&trace) { 200 } else { 0 };
        assert_eq!(trace.status, status);
    }
    let quick = room.connect(0);
    room.send(0, quick, traced(&record(1_000)).as_bytes());
    assert_eq!(one(&mut room).status, 200);
    // The answers leave at last, and their traces have ended.
    for conn in slow {
        for _ in 0..6 {
            room.event(0, Event::Sent(conn, 100_000));
            room.run();
        }
        assert_eq!(statuses(&room.received(0, conn)), [200; 6]);
    }
    assert!(room.buckets.traces.is_empty());
}

#[test]
fn what_finds_no_place_for_its_trace_is_counted_apart_from_what_the_rate_forbids() {
    let mut room = Room::new(1, |config| {
        config.traces.per_s_max = 300;
        config.limits.connections_max = 400;
        config.limits.flights_max = 400;
    });
    room.begin();
    room.hold_writes = true;
    for number in 0..310 {
        let conn = room.connect(0);
        room.send(0, conn, traced(&record(number)).as_bytes());
    }
    let page = &room.stats.shards[0];
    let untraced = (page.traces_unplaced.get(), page.traces_limited.get());
    assert_eq!(untraced, (310 - 256, 0));
    release(&mut room);
    assert_eq!(room.buckets.traces.len(), 256);
    for number in 400..460 {
        let conn = room.connect(0);
        room.send(0, conn, traced(&record(number)).as_bytes());
    }
    let page = &room.stats.shards[0];
    let untraced = (page.traces_unplaced.get(), page.traces_limited.get());
    assert_eq!(untraced, (310 - 256, 60 - 44), "the rate was 300");
}
