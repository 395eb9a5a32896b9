//! The files of the repository, found by walking its root.
//! It leaves out what is built or downloaded, and never follows a link out of the repository.

use std::io;
use std::path::{Path, PathBuf};

/// Directories that hold nothing of ours, wherever they are.
const SKIPPED: [&str; 9] = [
    ".git",
    ".tools",
    ".venv",
    "__pycache__",
    "artifacts",
    "data",
    "dist",
    "node_modules",
    "target",
];

/// A file with its text.
pub struct File {
    /// From the root of the repository.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

impl File {
    /// A file that is nowhere, for the tests of a rule.
    #[cfg(test)]
    pub(crate) fn of(path: &str, text: &str) -> File {
        File {
            path: path.into(),
            text: text.to_owned(),
        }
    }

    /// Whether the name ends with this extension.
    pub fn has_extension(&self, extension: &str) -> bool {
        self.path
            .extension()
            .is_some_and(|found| found == extension)
    }
}

/// The root of the workspace, the directory that holds this crate's.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// All text files below `root`, in order of their paths; files that are not UTF-8 are left out.
pub fn texts(root: &Path) -> io::Result<Vec<File>> {
    let mut found = Vec::new();
    collect(root, root, &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn collect(root: &Path, directory: &Path, found: &mut Vec<File>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            if !SKIPPED.iter().any(|name| entry.file_name() == *name) {
                collect(root, &path, found)?;
            }
        } else if kind.is_file()
            && let Ok(text) = String::from_utf8(std::fs::read(&path)?)
        {
            let path = path
                .strip_prefix(root)
                .map(Path::to_path_buf)
                .unwrap_or(path);
            found.push(File { path, text });
        }
    }
    Ok(())
}

/// Whether a file or folder with this name, without its ending, belongs to tests.
pub(crate) fn is_of_tests(name: &str) -> bool {
    name.starts_with("test") || name.ends_with("_tests") || name == "twin" || name == "world"
}

/// The same lines of Rust without comments, and none of the tests at the end.
pub(crate) fn without_comments_and_tests(text: &str) -> String {
    let tests = text.find("\nmod tests {").unwrap_or(text.len());
    let lines = text[..tests]
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace_and_this_file() {
        assert!(root().join("Cargo.toml").is_file());
        let files = texts(&root()).unwrap();
        assert!(
            files
                .iter()
                .any(|file| file.path == Path::new("tests/checks/src/files.rs"))
        );
        assert!(files.iter().all(|file| !file.path.starts_with("target")));
    }
}
