//! Manifests and batches as the vectors show them, so that a difference reads like one.

use flk_contract::hash::sha256;
use flk_dataplane::wal::batch::Batch;
use flk_dataplane::wal::manifest::{
    Cover, Hold, LogEntry, LogUpto, Manifest, ReleasedRange, RestoredFrom, Sections, SegmentEntry,
    SegmentState, SliceEntry,
};
use flk_dataplane::wal::name::{LogId, Place};
use flk_dataplane::wal::record::{BodyRecord, Content, Decision, Entry, Flags, Record};
use flk_dataplane::wal::scan::BatchAt;
use flk_testkit::hex::hex;
use serde_json::{Map, Value, json};

pub(crate) fn log(id: LogId) -> Value {
    json!([id.start, id.number])
}

pub(crate) fn manifest(it: &Manifest) -> Value {
    json!({
        "installation": hex(&it.installation), "node": hex(&it.node), "incarnation": hex(&it.incarnation),
        "secret": hex(&it.secret), "generation": it.generation, "start": it.start, "wall": it.clock.wall_us,
        "expiry_clock": it.clock.expiry_s, "withheld": it.withheld_s, "next_file": it.next_file, "spares": it.preallocated,
        "clean_stop": it.clean_stop, "logs": it.logs.iter().map(log_entry).collect::<Vec<_>>(),
        "gaps": it.gaps.iter().map(|gap| json!({"log": log(gap.log), "first": gap.from.0, "last": gap.to.0}))
            .collect::<Vec<_>>(),
        "slices": it.slices.iter().map(slice_entry).collect::<Vec<_>>(), "sections": sections(&it.sections),
    })
}

fn sections(it: &Sections) -> Value {
    let uptos = |them: &[LogUpto]| -> Vec<Value> {
        let shown = |it: &LogUpto| json!({"log": log(it.log), "upto": it.upto.0});
        them.iter().map(shown).collect()
    };
    let hold = |it: &Hold| {
        json!({
            "name": it.name, "owner": it.owner, "bytes_max": it.bytes_max, "age_max": it.age_max_s, "made_at": it.made_at_s,
            "moved_at": it.moved_at_s, "done": uptos(&it.done),
        })
    };
    let restored =
        |it: &RestoredFrom| json!({"incarnation": hex(&it.incarnation), "taken": uptos(&it.taken)});
    let released = |it: &ReleasedRange| {
        json!({
            "hold": it.hold, "log": log(it.log), "first": it.from.0, "last": it.to.0, "at": it.at_s,
        })
    };
    json!({
        "clock_base_of_format_1": it.clock_base_of_format_1.map(|it| json!({"base": it.base_s, "upto_start": it.upto_start})),
        "holds": it.holds.iter().map(hold).collect::<Vec<_>>(),
        "restored_from": it.restored_from.as_ref().map(restored),
        "released": it.released.iter().map(released).collect::<Vec<_>>(),
    })
}

fn log_entry(it: &LogEntry) -> Value {
    let end = |mark: flk_dataplane::wal::manifest::LogEndMark| json!({"sequence": mark.sequence.0, "checksum": mark.checksum});
    json!({
        "log": log(it.id), "incarnation": hex(&it.incarnation), "settled_upto": it.resolved_upto.0,
        "ended_at": it.ended_at.map(end), "segments": it.segments.iter().map(segment).collect::<Vec<_>>(),
    })
}

fn segment(it: &SegmentEntry) -> Value {
    let (state, extent) = match it.state {
        SegmentState::Next => ("next", None),
        SegmentState::Open => ("open", None),
        SegmentState::Closed(extent) => ("closed", Some(extent)),
        SegmentState::Packed(extent, _) => ("packed", Some(extent)),
        SegmentState::Last(extent) => ("last", Some(extent)),
    };
    let mut shown = json!({
        "ordinal": it.ordinal, "state": state, "file": it.file, "salt": format!("{:016x}", it.salt),
        "generation": it.generation,
    });
    if let Some(extent) = extent {
        shown["first"] = extent.first.0.into();
        shown["last"] = extent.last.0.into();
        shown["bytes"] = extent.bytes.into();
        shown["checksum"] = extent.last_checksum.into();
    }
    if let SegmentState::Packed(_, packed) = it.state {
        let salt = format!("{:016x}", packed.salt);
        shown["packed"] = json!({"salt": salt, "bytes": packed.bytes});
    }
    shown
}

pub(crate) fn slice_entry(it: &SliceEntry) -> Value {
    json!({
        "file": it.file, "id": format!("{:016x}", it.id), "decided_first": it.decided_first,
        "decided_last": it.decided_last, "expiry_max": it.expiry_max, "checksum": it.checksum, "entries": it.entries,
        "bytes": it.bytes, "covers": it.covers.iter().map(cover).collect::<Vec<_>>(),
    })
}

pub(crate) fn cover(it: &Cover) -> Value {
    json!({"log": log(it.log), "upto": it.upto.0})
}

pub(crate) fn batch(at: &BatchAt, it: &Batch<'_>) -> Value {
    let fields = it.header.fields;
    let records: Vec<Value> = it
        .records()
        .map(|found| record(it, &found.unwrap()))
        .collect();
    json!({
        "ordinal": at.ordinal, "offset": at.offset, "bytes": at.bytes, "sequence": fields.sequence.0,
        "expiry_clock": fields.expiry_clock_s, "wall": fields.wall_us, "durable_upto": fields.durable_upto.0,
        "settled_upto": fields.resolved_upto.0, "previous": fields.previous_checksum, "checksum": it.header.checksum,
        "records": records,
    })
}

fn record(batch: &Batch<'_>, it: &Record<'_>) -> Value {
    let mut shown = match &it.content {
        Content::Body(body) => body_record(batch, it, body),
        Content::Entry(entry) => disposition(entry, it.header.line),
        Content::Skipped => json!({"kind": "skipped"}),
    };
    shown["index"] = it.index.into();
    shown
}

fn body_record(batch: &Batch<'_>, it: &Record<'_>, body: &BodyRecord<'_>) -> Value {
    let flags = it.header.flags;
    let bytes = batch.body(body).unwrap_or_default();
    json!({
        "kind": "body", "tenant": body.tenant, "snapshot": body.snapshot, "key_slot": it.header.key_slot,
        "compressed": flags.has(Flags::COMPRESSED), "encrypted": flags.has(Flags::ENCRYPTED), "bytes": body.bytes,
        "sha256": hex(&sha256(&[bytes])),
    })
}

fn place(it: Place) -> Value {
    json!([it.sequence.0, it.index])
}

fn disposition(entry: &Entry<'_>, line: u32) -> Value {
    let plain = |kind: &str, of: Place| json!({"kind": kind, "of": place(of), "line": line});
    match entry {
        Entry::Decision(it) => decision(it, plain("decision", it.body)),
        Entry::Refused(it) => {
            let mut shown = plain("refused", it.body);
            shown["status"] = it.status.into();
            shown["code"] = it.code.into();
            shown
        }
        Entry::Duplicate(of) => plain("duplicate", *of),
        Entry::Conflict(of) => plain("conflict", *of),
        Entry::Unanswered(of) => plain("unanswered", *of),
        Entry::Erasure(them) => {
            let bodies: Vec<Value> = them
                .bodies()
                .map(|it| json!({"log": log(it.log), "sequence": it.body.sequence.0, "index": it.body.index}))
                .collect();
            json!({"kind": "erasure", "bodies": bodies})
        }
    }
}

fn decision(it: &Decision<'_>, plain: Value) -> Value {
    let numbers = it
        .numbers
        .map(|number| format!("{:016x}", number.to_bits()));
    let fields = json!({
        "tenant": it.tenant, "pcs_id": hex(&it.pcs_id), "digest": hex(&it.digest), "key_id": hex(&it.key_id),
        "params": it.params, "decided_at": it.decided_at, "expiry": it.expiry, "encoding": it.encoding,
        "reason": it.reason, "regime": it.regime, "numbers": numbers, "origin": it.origin,
    });
    let members = |value: Value| value.as_object().unwrap().clone();
    let both: Map<String, Value> = members(plain).into_iter().chain(members(fields)).collect();
    Value::Object(both)
}
