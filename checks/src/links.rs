//! The rule for links: what a page links to inside the repository exists.
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

/// What stands in `](…)`, without a fragment.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', ' ']).next()?.split('#').next()?;
        (!target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
            .then_some(target)
    })
}

fn exists(page: &File, root: &Path, target: &str) -> bool {
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
            Component::ParentDir if !path.pop() => return false,
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    root.join(path).exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    fn count(text: &str) -> usize {
        broken(
            &File {
                path: "docs/page.md".into(),
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
                "[a](../Cargo.toml) [b](/checks/Cargo.toml#x) [c](https://example.org/none) [d](#here)"
            ),
            0
        );
        assert_eq!(count("[a](Cargo.toml) [b](../../outside) [c](none.md)"), 3);
    }

    #[test]
    fn code_is_no_link() {
        assert_eq!(count("```\n[a](none.md)\n```\n[a](none.md)"), 1);
    }
}
