//! The rule for decision pages: `NNNN-title.md`, numbered from 0001 without holes or doubles.
//! It looks at names only; what a page has to say is for its readers.

use std::path::Path;

use crate::Finding;

const DIRECTORY: &str = "docs/decisions";

/// Pages whose number is not the one that follows.
pub fn out_of_order<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<Finding> {
    let mut pages: Vec<&Path> = paths
        .filter(|path| {
            path.starts_with(DIRECTORY)
                && path.extension().is_some_and(|extension| extension == "md")
        })
        .filter(|path| path.file_stem().is_some_and(|stem| stem != "README"))
        .collect();
    pages.sort();
    (1..)
        .zip(pages)
        .filter(|(number, page)| {
            let name = page
                .file_name()
                .map(|name| name.to_string_lossy())
                .unwrap_or_default();
            !name.starts_with(&format!("{number:04}-"))
        })
        .map(|(number, page)| Finding {
            path: page.to_path_buf(),
            line: 0,
            what: format!(
                "should be number {number:04}: decisions are numbered without holes or doubles"
            ),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(names: &[&str]) -> usize {
        out_of_order(names.iter().map(Path::new)).len()
    }

    #[test]
    fn holes_doubles_and_names_without_a_number_are_found() {
        assert_eq!(
            count(&[
                "docs/decisions/0001-a.md",
                "docs/decisions/0002-b.md",
                "docs/decisions/README.md"
            ]),
            0
        );
        assert_eq!(
            count(&["docs/decisions/0001-a.md", "docs/decisions/0003-b.md"]),
            1
        );
        assert_eq!(
            count(&["docs/decisions/0001-a.md", "docs/decisions/0001-b.md"]),
            1
        );
        assert_eq!(count(&["docs/decisions/first.md", "docs/other.md"]), 1);
    }
}
