//! The slices of `v1_sealed` and `v2_sealed`: every entry is found and said to be where it is, and our writer makes the same file
//! where it is of the version that is written.

use super::logs::manifest;
use super::shown;
use super::vectors::{FORMS, directories, files, is_current, list, number, text, vectors};
use flk_contract::ParamsVersion;
use flk_dataplane::dedup::Decided;
use flk_dataplane::dedup::slice::{SliceMeta, SliceWriter, verify_whole};
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
fn a_slice_holds_its_entries_and_is_written_again_byte_for_byte() {
    let vectors = vectors();
    for form in FORMS {
        let [_, directory] = directories(&vectors, form);
        let (entries, names) = read(directory);
        if is_current(form) {
            write_again(directory, &entries, &names);
        }
    }
}

/// The entries of the slice of a directory, and its names of parameter sets.
fn read(directory: &Value) -> (Vec<Decided>, Vec<ParamsVersion>) {
    let slice = &directory["slice"];
    let files = files(directory);
    let bytes = &files[text(&slice["file"])];
    let manifest = manifest(&files);

    let mut entries = Vec::new();
    let (reader, _) = verify_whole(bytes, |decided| entries.push(decided)).unwrap();
    let params = list(&slice["params"]);
    let found: Vec<Value> = entries.iter().map(|it| shown_entry(it, params)).collect();
    let wanted: Vec<Value> = list(&slice["entries"]).iter().map(wanted_entry).collect();
    assert_eq!(found, wanted);
    let [_, _, covers] = reader.small_sections().unwrap();
    let covers = reader.covers(&bytes[covers.start as usize..covers.end as usize]);
    assert_eq!(covers.unwrap(), manifest.slices[0].covers);
    assert_eq!(
        number(&directory["files"][text(&slice["file"])]),
        bytes.len() as u64
    );
    let name = |name: &Value| ParamsVersion::new(text(name)).unwrap();
    (entries, params.iter().map(name).collect())
}

fn write_again(directory: &Value, entries: &[Decided], names: &[ParamsVersion]) {
    let files = files(directory);
    let manifest = manifest(&files);
    let entry = &manifest.slices[0];
    let meta = SliceMeta {
        slice_id: entry.id,
        generation: 4,
        installation: manifest.installation,
        incarnation: manifest.incarnation,
        secret: manifest.secret,
    };
    let mut writer = SliceWriter::new(meta, names);
    for decided in entries {
        writer.push(decided).unwrap();
    }
    let sealed = writer.finish(&entry.covers).unwrap();
    let bytes = &files[text(&directory["slice"]["file"])];
    assert!(&sealed.bytes == bytes, "the file differs");
    let summary = sealed
        .summary
        .entry(entry.file, entry.id, entry.covers.clone());
    assert_eq!(shown::slice_entry(&summary), shown::slice_entry(entry));
}
