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
        .replace(
            "opt-level = 1",
            "opt-level = 2\ndebug = false\nincremental = false",
        );
    text.into_bytes()
}
