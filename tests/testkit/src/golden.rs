//! Where the golden vectors lie, and their bytes.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// A path below `golden/`.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden")
        .join(name)
}

/// The bytes of a file below `golden/`.
pub fn bytes(name: &str) -> Vec<u8> {
    let path = path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The JSON of a file below `golden/`.
pub fn json(name: &str) -> Value {
    serde_json::from_slice(&bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A file of vectors.
pub fn vectors(name: &str) -> Value {
    json(&format!("vectors/{name}.json"))
}

/// All conversations over HTTP, by name.
pub fn conversations() -> Vec<Value> {
    let names = std::fs::read_dir(path("http"))
        .expect("golden/http")
        .map(|entry| entry.expect("an entry").file_name());
    let mut all: Vec<Value> = names
        .filter_map(|name| Some(name.to_str()?.to_owned()))
        .filter(|name| name.ends_with(".json"))
        .map(|name| json(&format!("http/{name}")))
        .collect();
    all.sort_by_key(|conversation| conversation["name"].as_str().map(str::to_owned));
    all
}
