//! The slices of `v1_sealed` and `v2_sealed`: every entry is found and said to be where it is, and our writer makes the same file.

use super::logs::manifest;
use super::shown;
use super::vectors::{FORMS, directories, files, list, number, text, vectors};
use flk_contract::ParamsVersion;
use flk_dataplane::dedup::Decided;
use flk_dataplane::dedup::slice::{SliceMeta, SliceWriter, verify_whole};
use flk_testkit::hex::hex;
use serde_json::{Value, json};

fn shown_entry(it: &Decided, params: &[Value]) -> Value {
    json!({
        "key": hex(&it.key.to_bytes()), "digest_tag": hex(&it.digest_tag.to_le_bytes()),
        "numbers": it.numbers.map(|number| format!("{:016x}", number.to_bits())), "decided_at": it.decided_at,
        "expiry": it.expiry, "params": params[usize::from(it.params)], "reason": it.reason, "regime": it.regime,
        "encoding": it.encoding,
    })
}

fn wanted_entry(row: &Value) -> Value {
    let mut wanted = row.clone();
    let members = wanted.as_object_mut().unwrap();
    members.remove("tenant");
    members.remove("pcs_id");
    let digest = members.remove("digest").unwrap();
    wanted["digest_tag"] = text(&digest)[..16].into();
    wanted
}

#[test]
fn the_slice_holds_its_entries_and_is_written_again_byte_for_byte() {
    let vectors = vectors();
    for form in FORMS {
        let [_, directory] = directories(&vectors, form);
        write_again(directory);
    }
}

fn write_again(directory: &Value) {
    let slice = &directory["slice"];
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

    let mut writer = SliceWriter::new(SliceMeta {
        slice_id: entry.id,
        generation: 4,
        installation: manifest.installation,
        incarnation: manifest.incarnation,
        secret: manifest.secret,
    });
    for decided in &entries {
        writer.push(decided).unwrap();
    }
    let names: Vec<ParamsVersion> = params
        .iter()
        .map(|name| ParamsVersion::new(text(name)).unwrap())
        .collect();
    let sealed = writer.finish(&names, &entry.covers).unwrap();
    assert!(&sealed.bytes == bytes, "the file differs");
    let summary = sealed
        .summary
        .entry(entry.file, entry.id, entry.covers.clone());
    assert_eq!(shown::slice_entry(&summary), shown::slice_entry(entry));
    assert_eq!(
        number(&directory["files"][text(&slice["file"])]),
        bytes.len() as u64
    );
}
