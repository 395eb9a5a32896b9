//! Embeds the page of the console: whatever `make console` left in `console/dist`, as it is and compressed. Without it a table
//! without files is embedded, and the program says so where it is asked for the page.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = root.join("console/dist");
    println!("cargo::rerun-if-changed=console/dist");
    let mut files = BTreeMap::new();
    for (prefix, directory) in [("", dist.clone()), ("assets/", dist.join("assets"))] {
        find(&directory, prefix, &mut files)?;
    }
    let mut table = String::from("&[\n");
    for (name, path) in &files {
        let gz = PathBuf::from(format!("{}.gz", path.display()));
        let gzip = match gz.is_file() {
            true => format!("Some(include_bytes!({gz:?}))"),
            false => "None".to_owned(),
        };
        let tag = tag(&fs::read(path)?);
        let _ = writeln!(
            table,
            "    File {{ name: {name:?}, tag: \"\\\"{tag:016x}\\\"\", plain: include_bytes!({path:?}), gzip: {gzip} }},"
        );
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("console.rs"), table)
}

/// Files of a directory that may be missing, by their names on the server.
fn find(directory: &Path, prefix: &str, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_served = !name.starts_with('.') && !name.ends_with(".gz");
        if is_served && entry.file_type()?.is_file() {
            files.insert(format!("{prefix}{name}"), entry.path());
        }
    }
    Ok(())
}

/// Tells contents apart, the same in each build.
fn tag(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
