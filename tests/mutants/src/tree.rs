//! The copy of the repository that the mutants are planted in. It writes below `target/mutants` and nowhere else.

use std::error::Error;
use std::path::Path;
use std::process::Command;

/// Copies what git tracks, files that are the same left alone, so that a second run builds little.
pub(crate) fn copy(root: &Path, tree: &Path) -> Result<(), Box<dyn Error>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err("git ls-files failed: run this in a clone of the repository".into());
    }
    for name in output.stdout.split(|byte| *byte == 0) {
        let name = std::str::from_utf8(name)?;
        let (from, to) = (root.join(name), tree.join(name));
        if !name.is_empty() && from.is_file() {
            write(&to, &adapted(name, std::fs::read(&from)?))?;
        }
    }
    Ok(())
}

/// Writes a file only if its content changes.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::write(path, bytes)
}

/// The copy allows what mutants make of good code, and is optimized, for it runs often.
fn adapted(name: &str, bytes: Vec<u8>) -> Vec<u8> {
    if name != "Cargo.toml" {
        return bytes;
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text
        .replace("= \"deny\"", "= \"allow\"")
        .replace("= \"warn\"", "= \"allow\"")
        .replace("level = \"warn\"", "level = \"allow\"")
        .replace("debug = \"line-tables-only\"", "debug = false")
        .replace("opt-level = 1", "opt-level = 2\nincremental = false");
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_copy_is_optimized_and_says_nothing_twice() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
        let text = adapted("Cargo.toml", std::fs::read(path).unwrap());
        let text = String::from_utf8(text).unwrap();
        let (_, dev) = text.split_once("[profile.dev]\n").unwrap();
        let lines = dev.lines().take_while(|line| !line.is_empty());
        let keys: Vec<&str> = lines
            .filter_map(|it| Some(it.split_once(" = ")?.0))
            .collect();
        let once: BTreeSet<&str> = keys.iter().copied().collect();
        assert_eq!(once.len(), keys.len(), "{keys:?}");
        assert_eq!(once, BTreeSet::from(["debug", "incremental", "opt-level"]));
    }
}
