//! Rules for the console's page: files that can be read in one sitting and open with prose, no markup made of text, and a reason for
//! each package. Types are left to its own compiler.

use crate::Finding;
use crate::files::File;
use crate::rust::LINES_MAX;
use std::path::Path;

/// Where the page is.
pub const HOME: &str = "control/console/";

/// What makes markup of text, or code of it. Names on the page come from clients.
const MARKUP: [&str; 7] = [
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "DOMParser",
    "eval(",
    "new Function",
];

/// Whether a file is a script of the page or of its tests.
pub fn is_script(file: &File) -> bool {
    let is_there = file.path.starts_with(HOME);
    is_there && (file.has_extension("ts") || file.has_extension("mjs"))
}

/// A script opens with what it owns, and has at most [`LINES_MAX`] lines.
pub fn is_readable(file: &File) -> Vec<Finding> {
    let count = file.text.lines().count();
    let mut found = Vec::new();
    if !file.text.starts_with("// ") {
        let what = "opens without `//`: say what it owns and what it never does";
        found.push(Finding::at(file, 1, what));
    }
    if count > LINES_MAX {
        let what = format!("has {count} lines, at most {LINES_MAX}: split it by its nouns");
        found.push(Finding::at(file, LINES_MAX, what));
    }
    found
}

/// Text becomes text nodes.
pub fn makes_markup_of_text(file: &File) -> Vec<Finding> {
    let lines = (1..).zip(file.text.lines());
    lines
        .filter(|(_, line)| MARKUP.iter().any(|it| line.contains(it)))
        .map(|(number, _)| {
            let what = "makes markup or code of text: use `h` and text nodes of src/ui/dom.ts";
            Finding::at(file, number, what)
        })
        .collect()
}

/// Packages of `package.json` without a row in the README beside it, and rows without a package.
pub fn without_reason(manifest: &File, readme: &File) -> Vec<Finding> {
    let packages: Vec<&str> = packages(&manifest.text).collect();
    let rows: Vec<(usize, &str)> = (1..)
        .zip(readme.text.lines())
        .skip_while(|(_, line)| *line != "## Packages")
        .filter_map(|(number, line)| Some((number, row_name(line)?)))
        .collect();
    let missing = packages
        .iter()
        .filter(|name| !rows.iter().any(|(_, row)| row == *name))
        .map(|name| {
            Finding::at(
                readme,
                0,
                format!("has no row for `{name}`: say why it is needed"),
            )
        });
    let left = rows
        .iter()
        .filter(|(_, row)| !packages.contains(row))
        .map(|(number, row)| {
            Finding::at(
                readme,
                *number,
                format!("`{row}` is no dependency any more"),
            )
        });
    missing.chain(left).collect()
}

/// Names in the sections of dependencies, which begin with a line like `"dependencies": {`.
fn packages(manifest: &str) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    manifest.lines().filter_map(move |line| {
        let line = line.trim();
        if line.ends_with('{') {
            is_inside = line.contains("ependencies\"");
        } else if line.starts_with('}') {
            is_inside = false;
        } else if is_inside {
            return line.split('"').nth(1);
        }
        None
    })
}

fn row_name(line: &str) -> Option<&str> {
    line.strip_prefix("| `")?.split('`').next()
}

/// The files of the page, in a repository that has it.
pub fn file<'a>(files: &'a [File], name: &str) -> Option<&'a File> {
    let path = Path::new(HOME).join(name);
    files.iter().find(|it| it.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_script_and_one_without_prose_are_found() {
        let long = "let a;\n".repeat(LINES_MAX + 1);
        assert_eq!(is_readable(&File::of("a.ts", &long)).len(), 2);
        assert!(is_readable(&File::of("a.ts", "// Owns a.\nlet a;\n")).is_empty());
    }

    #[test]
    fn markup_made_of_text_is_found_with_its_line() {
        let text = "// Owns a.\na.textContent = b;\na.innerHTML = b;\n";
        let found = makes_markup_of_text(&File::of("a.ts", text));
        assert_eq!(found.iter().map(|it| it.line).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_package_without_a_reason_and_a_reason_without_a_package_are_found() {
        let manifest = File::of(
            "package.json",
            "{\n  \"name\": \"x\",\n  \"dependencies\": {\n    \"a\": \"1\"\n  },\n  \"devDependencies\": {\n    \"b\": \"1\"\n  }\n}\n",
        );
        let readme = File::of(
            "README.md",
            "| `x` | a folder |\n\n## Packages\n\n| `a` | why |\n| `c` | why |\n",
        );
        let found = without_reason(&manifest, &readme);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("no row for `b`"), "{found:?}");
        assert!(found[1].contains("README.md:6: `c`"), "{found:?}");
    }

    #[test]
    fn only_scripts_of_the_page_are_looked_at() {
        assert!(is_script(&File::of("control/console/src/main.ts", "")));
        assert!(!is_script(&File::of("load/k6/main.ts", "")));
        assert!(!is_script(&File::of("control/console/style.css", "")));
    }
}
