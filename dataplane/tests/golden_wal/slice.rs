//! The slice of `v1_sealed`, which is of format 1: every entry is found and said to be where it is.

use super::logs::manifest;
use super::vectors::{files, list, number, text, vectors};
use flk_dataplane::dedup::Decided;
use flk_dataplane::dedup::slice::verify_whole;
use flk_testkit::hex::hex;
use serde_json::{Value, json};

pub(crate) fn shown_entry(it: &Decided, params: &[Value]) -> Value {
    json!({
        "key": hex(&it.key.to_bytes()), "digest_tag": hex(&it.digest_tag.to_le_bytes()),
        "numbers": it.numbers.map(|number| format!("{:016x}", number.to_bits())), "decided_at": it.decided_at,
        "expiry": it.expiry, "params": params[usize::from(it.params)], "reason": it.reason, "regime": it.regime,
        "encoding": it.encoding, "origin": it.origin,
    })
}

pub(crate) fn wanted_entry(row: &Value) -> Value {
    let mut wanted = row.clone();
    let members = wanted.as_object_mut().unwrap();
    members.remove("tenant");
    members.remove("pcs_id");
    let digest = members.remove("digest").unwrap();
    wanted["digest_tag"] = text(&digest)[..16].into();
    wanted
}

#[test]
fn a_slice_of_format_1_holds_its_entries() {
    let vectors = vectors();
    let (directory, slice) = (&vectors["v1_sealed"], &vectors["v1_sealed"]["slice"]);
    let files = files(directory);
    let bytes = &files[text(&slice["file"])];
    let manifest = manifest(&files);
    let entry = &manifest.slices[0];

    let mut entries = Vec::new();
    let (reader, _) = verify_whole(bytes, |decided| entries.push(decided)).unwrap();
    let params = list(&slice["params"]);
    let found: Vec<Value> = entries.iter().map(|it| shown_entry(it, params)).collect();
    let wanted: Vec<Value> = list(&slice["entries"]).iter().map(wanted_entry).collect();
    assert_eq!(found, wanted);
    let [_, _, covers] = reader.small_sections().unwrap();
    let covers = reader.covers(&bytes[covers.start as usize..covers.end as usize]);
    assert_eq!(covers.unwrap(), entry.covers);

    assert_eq!(
        number(&directory["files"][text(&slice["file"])]),
        bytes.len() as u64
    );
}
