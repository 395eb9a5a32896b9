//! The rule for dependencies: each is declared once, at the root, with its reason beside it.
//! It reads lines of Cargo.toml as people see them; whether they are valid is cargo's to say.

use crate::Finding;
use crate::files::File;

/// Lines of `[workspace.dependencies]` without a reason; members of the workspace explain themselves.
pub fn without_reason(root_manifest: &File) -> Vec<Finding> {
    dependency_lines(&root_manifest.text, "[workspace.dependencies]")
        .filter(|(_, line)| !line.contains("path =") && !line.contains(" # "))
        .map(|(number, _)| {
            Finding::at(
                root_manifest,
                number,
                "a dependency without its reason: add ` # why` behind it",
            )
        })
        .collect()
}

/// Lines of a member that name a version of their own.
pub fn versions_outside_the_root(manifest: &File) -> Vec<Finding> {
    [
        "[dependencies]",
        "[dev-dependencies]",
        "[build-dependencies]",
    ]
    .into_iter()
    .flat_map(|section| dependency_lines(&manifest.text, section))
    .filter(|(_, line)| !line.contains("workspace = true"))
    .map(|(number, _)| {
        Finding::at(
            manifest,
            number,
            "a version outside the root Cargo.toml: declare it there",
        )
    })
    .collect()
}

/// The dependencies of a section of a manifest, each with the number of its line.
pub(crate) fn dependency_lines<'a>(
    text: &'a str,
    section: &'a str,
) -> impl Iterator<Item = (usize, &'a str)> {
    (1..)
        .zip(text.lines())
        .skip_while(move |(_, line)| line.trim() != section)
        .skip(1)
        .take_while(|(_, line)| !line.starts_with('['))
        .filter(|(_, line)| line.contains('=') && !line.trim_start().starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> File {
        File {
            path: "Cargo.toml".into(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_dependency_without_a_reason_is_found_with_its_line() {
        let text = "[workspace.dependencies]\na = \"1\" # because\nb = \"2\"\nc = { path = \"c\" }\n\n[profile.dev]\nd = 1\n";
        let lines: Vec<usize> = without_reason(&manifest(text))
            .iter()
            .map(|finding| finding.line)
            .collect();
        assert_eq!(lines, [3]);
    }

    #[test]
    fn a_member_with_a_version_of_its_own_is_found() {
        let text = "[dependencies]\na.workspace = true\n[dev-dependencies]\nb = \"2\"\n";
        let lines: Vec<usize> = versions_outside_the_root(&manifest(text))
            .iter()
            .map(|finding| finding.line)
            .collect();
        assert_eq!(lines, [4]);
    }
}
