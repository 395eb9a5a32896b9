//! The vectors and the files of a directory, whole or edited.

use flk_testkit::golden;
use flk_testkit::hex::unhex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

pub(crate) fn vectors() -> Value {
    golden::vectors("wal")
}

/// The versions of the format, by the names of their directories. The last one is what we write.
pub(crate) const FORMS: [&str; 2] = ["v1", "v2"];

/// Whether we write the version of a directory.
pub(crate) fn is_current(form: &str) -> bool {
    form == FORMS[FORMS.len() - 1]
}

/// The directories of a version: one without a slice, and one with.
pub(crate) fn directories<'v>(vectors: &'v Value, form: &str) -> [&'v Value; 2] {
    [&vectors[form], &vectors[format!("{form}_sealed")]]
}

/// The directory with a packed segment.
pub(crate) const PACKED: &str = "v2_packed";

/// All directories.
pub(crate) fn all_directories(vectors: &Value) -> impl Iterator<Item = &Value> {
    let of_forms = FORMS.iter().flat_map(|form| directories(vectors, form));
    of_forms.chain([&vectors[PACKED]])
}

/// The files of a directory, which must be those that the vectors list.
pub(crate) fn files(directory: &Value) -> Files {
    let root = golden::path(text(&directory["path"]));
    let listed = directory["files"].as_object().unwrap();
    let found: Files = fs::read_dir(root)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    assert!(found.keys().eq(listed.keys()), "{:?}", found.keys());
    for (name, bytes) in listed {
        assert_eq!(found[name].len() as u64, number(bytes), "{name}");
    }
    found
}

/// The files after the edits of a variant.
pub(crate) fn edited(files: &Files, edits: &Value) -> Files {
    let mut files = files.clone();
    for edit in list(edits) {
        let name = text(&edit["file"]);
        if edit["op"] == "remove" {
            files.remove(name).unwrap();
            continue;
        }
        let file = files.entry(name.to_owned()).or_default();
        let at = edit["offset"].as_u64().unwrap_or_default() as usize;
        let new = match text(&edit["op"]) {
            "flip" => vec![file[at] ^ number(&edit["mask"]) as u8],
            "zero" => vec![0; number(&edit["bytes"]) as usize],
            "write" => unhex(text(&edit["hex"])),
            "truncate" => {
                file.truncate(number(&edit["bytes"]) as usize);
                continue;
            }
            other => panic!("unknown edit {other}"),
        };
        let end = at + new.len();
        file.resize(file.len().max(end), 0);
        file[at..end].copy_from_slice(&new);
    }
    files
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value}"))
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}
