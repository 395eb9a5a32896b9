//! The rule for links: what a page links to inside the repository exists, down to the heading.
//! It never looks at the network; addresses with a scheme are left alone.

use std::path::{Component, Path, PathBuf};

use crate::Finding;
use crate::files::File;

/// Links of a Markdown page, outside code, whose target does not exist below `root`.
pub fn broken(page: &File, root: &Path) -> Vec<Finding> {
    let mut in_code = false;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(page.text.lines()) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            let missing = targets(line).filter(|target| !exists(page, root, target));
            found.extend(missing.map(|target| Finding {
                path: page.path.clone(),
                line: number,
                what: format!("links to `{target}`, which does not exist"),
            }));
        }
    }
    found
}

/// What stands in `](…)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', ' ']).next()?;
        (!target.contains("://") && !target.starts_with("mailto:")).then_some(target)
    })
}

fn exists(page: &File, root: &Path, target: &str) -> bool {
    let (target, heading) = target.split_once('#').unwrap_or((target, ""));
    let Some(path) = path_of(page, target) else {
        return false;
    };
    let is_page = path.extension().is_some_and(|extension| extension == "md");
    match heading.is_empty() || !is_page {
        true => root.join(path).exists(),
        false => std::fs::read_to_string(root.join(path))
            .is_ok_and(|text| headings(&text).any(|found| found == heading)),
    }
}

/// The headings of a page as links name them: lowercase, words joined by hyphens, without punctuation.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| line.starts_with('#'));
    lines.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
        kept.map(|it| if it == ' ' { '-' } else { it }).collect()
    })
}

/// The path from the root of the repository that a target names; the page's own where it names none.
fn path_of(page: &File, target: &str) -> Option<PathBuf> {
    if target.is_empty() {
        return Some(page.path.clone());
    }
    let from = match target.strip_prefix('/') {
        Some(_) => PathBuf::new(),
        None => page
            .path
            .parent()
            .map(Path::to_path_buf)
            .unwrap_or_default(),
    };
    // A path that leaves the repository is as broken as one to nowhere.
    let mut path = PathBuf::new();
    for part in from.join(target.trim_start_matches('/')).components() {
        match part {
            Component::ParentDir if !path.pop() => return None,
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    fn count(text: &str) -> usize {
        broken(
            &File {
                path: "docs/glossary.md".into(),
                text: text.to_owned(),
            },
            &files::root(),
        )
        .len()
    }

    #[test]
    fn links_are_followed_from_their_page() {
        assert_eq!(
            count(
                "[a](../Cargo.toml) [b](/tests/checks/Cargo.toml#x) [c](https://example.org/none) [d](#the-log)"
            ),
            0
        );
        assert_eq!(count("[a](Cargo.toml) [b](../../outside) [c](none.md)"), 3);
    }

    #[test]
    fn a_heading_that_is_not_there_is_found() {
        assert_eq!(count("[a](#none) [b](wal-format.md#none)"), 2);
        assert_eq!(count("[a](wal-format.md#batch-header--96-bytes)"), 0);
    }

    #[test]
    fn code_is_no_link() {
        assert_eq!(count("```\n[a](none.md)\n```\n[a](none.md)"), 1);
    }
}
