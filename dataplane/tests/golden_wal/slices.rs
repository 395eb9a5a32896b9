//! Slices of format 2: entries and digests are those of an independent program, our writer makes the same files, and the same
//! decisions stand of both.

use super::slice::{shown_entry, wanted_entry};
use super::vectors::{list, number, text};
use flk_contract::ParamsVersion;
use flk_dataplane::dedup::Decided;
use flk_dataplane::dedup::order::{Meeting, stands};
use flk_dataplane::dedup::slice::digests::{DIGEST_KEY, DigestRow};
use flk_dataplane::dedup::slice::{SliceMeta, SliceReader, SliceWriter, verify_whole};
use flk_dataplane::wal::manifest::Cover;
use flk_dataplane::wal::name::{LogId, Sequence};
use flk_testkit::golden;
use flk_testkit::hex::{hex, unhex};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

/// A slice, read whole.
struct Read {
    bytes: Vec<u8>,
    reader: SliceReader,
    entries: Vec<Decided>,
}

fn read(vectors: &Value, slice: &Value) -> Read {
    let root = golden::path(text(&vectors["path"]));
    let bytes = fs::read(root.join(text(&slice["file"]))).unwrap();
    let mut entries = Vec::new();
    let (reader, _) = verify_whole(&bytes, |decided| entries.push(decided)).unwrap();
    Read {
        bytes,
        reader,
        entries,
    }
}

fn shown_digests(row: &DigestRow) -> Value {
    json!({
        "partition": row.partition, "class": row.class, "hour": row.hour, "count": row.sum.count,
        "digest": format!("{:032x}", row.sum.digest),
    })
}

fn id(value: &Value) -> [u8; 16] {
    unhex(text(value)).try_into().unwrap()
}

#[test]
fn entries_and_digests_are_those_of_an_independent_program() {
    let vectors = golden::vectors("slices");
    assert_eq!(hex(&DIGEST_KEY), text(&vectors["digest_key"]));
    for slice in list(&vectors["slices"]) {
        let Read {
            bytes,
            reader,
            entries,
        } = read(&vectors, slice);
        assert_eq!(reader.trailer().version, 2);
        let params = list(&slice["params"]);
        let found: Vec<Value> = entries.iter().map(|it| shown_entry(it, params)).collect();
        let wanted: Vec<Value> = list(&slice["entries"]).iter().map(wanted_entry).collect();
        assert_eq!(found, wanted);
        let at = reader.digests_at().unwrap();
        let rows = reader.digests(&bytes[at.start as usize..at.end as usize]);
        let rows: Vec<Value> = rows.unwrap().iter().map(shown_digests).collect();
        assert_eq!(json!(rows), slice["digests"]);
    }
}

#[test]
fn slices_of_format_2_are_written_again_byte_for_byte() {
    let vectors = golden::vectors("slices");
    for slice in list(&vectors["slices"]) {
        let Read { bytes, entries, .. } = read(&vectors, slice);
        let names = list(&slice["params"]).iter();
        let names: Vec<ParamsVersion> = names
            .map(|name| ParamsVersion::new(text(name)).unwrap())
            .collect();
        let meta = SliceMeta {
            slice_id: u64::from_str_radix(text(&slice["id"]), 16).unwrap(),
            generation: number(&slice["generation"]),
            installation: id(&vectors["installation"]),
            incarnation: id(&vectors["incarnation"]),
            secret: id(&vectors["secret"]),
        };
        let mut writer = SliceWriter::new(meta, &names);
        for decided in &entries {
            writer.push(decided).unwrap();
        }
        let covers = list(&slice["covers"]).iter().map(|it| Cover {
            log: LogId {
                start: number(&it["log"][0]) as u32,
                number: number(&it["log"][1]) as u16,
            },
            upto: Sequence(number(&it["upto"])),
        });
        let covers: Vec<Cover> = covers.collect();
        let sealed = writer.finish(&covers).unwrap();
        assert!(sealed.bytes == bytes, "{} differs", slice["file"]);
    }
}

#[test]
fn of_decisions_of_several_nodes_the_same_stand_as_an_independent_program_says() {
    let vectors = golden::vectors("slices");
    let mut standing: BTreeMap<_, (Decided, u64)> = BTreeMap::new();
    let slices = list(&vectors["slices"]).iter();
    for decided in slices.flat_map(|slice| read(&vectors, slice).entries) {
        let (before, ignored) = standing.entry(decided.key).or_insert((decided, 0));
        let judged = stands(before, &decided);
        *ignored += u64::from(judged.meeting == Meeting::TwoOutcomes);
        *before = judged.decided;
    }
    let found = standing.values().map(|(it, ignored)| {
        json!({
            "key": hex(&it.key.to_bytes()), "decided_at": it.decided_at, "origin": it.origin,
            "digest_tag": hex(&it.digest_tag.to_le_bytes()), "expiry": it.expiry, "ignored": ignored,
        })
    });
    assert_eq!(json!(found.collect::<Vec<Value>>()), vectors["outcomes"]);
}
