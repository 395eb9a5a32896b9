//! Declarations that nothing uses. The compiler finds those that are private; what a library makes public may have lost its
//! last user without a word. It compares words, not paths: a name that is used anywhere counts as used.

use crate::Finding;
use crate::files::File;
use std::collections::BTreeMap;

/// Whose declarations are looked at. Other crates are programs and tests, of which the compiler knows what is used.
const LIBRARIES: [&str; 4] = [
    "contract/src/",
    "dataplane/src/",
    "control/src/",
    "cli/src/",
];

/// What stands between `pub` and the keyword, and the keywords.
const QUALIFIERS: [&str; 3] = ["const", "async", "unsafe"];
const KEYWORDS: [&str; 7] = ["fn", "const", "static", "struct", "enum", "trait", "type"];

/// Public functions, constants and types of the libraries whose name stands in no file but where they are declared and
/// implemented.
pub fn declarations(files: &[File]) -> Vec<Finding> {
    unused(files)
        .into_iter()
        .map(|(file, line, name)| {
            let what = format!("nothing uses `{name}`: remove it");
            Finding::at(file, line, what)
        })
        .collect()
}

/// Each with its file and line.
fn unused(files: &[File]) -> Vec<(&File, usize, &str)> {
    let uses = uses(files);
    let libraries = files.iter().filter(|file| {
        let path = file.path.to_string_lossy();
        LIBRARIES.iter().any(|library| path.starts_with(library))
    });
    let lines = libraries.flat_map(|file| (1..).zip(file.text.lines()).map(move |it| (file, it)));
    let declared = lines.filter_map(|(file, (line, text))| Some((file, line, declared(text)?)));
    declared
        .filter(|(.., name)| uses.get(name) == Some(&1))
        .collect()
}

/// How often each word stands in code. The head of an `impl` is part of a declaration, and these rules use nothing.
fn uses(files: &[File]) -> BTreeMap<&str, usize> {
    let mut uses = BTreeMap::new();
    let others = files
        .iter()
        .filter(|it| !it.path.starts_with("tests/checks"));
    let lines = others.flat_map(|file| file.text.lines());
    let code = lines.map(code).filter(|line| !is_impl(line));
    for word in code.flat_map(words) {
        *uses.entry(word).or_insert(0) += 1;
    }
    uses
}

/// A line without its comment. Two slashes behind an odd number of quotes are text.
fn code(line: &str) -> &str {
    match line.find("//") {
        Some(at) if line[..at].matches('"').count().is_multiple_of(2) => &line[..at],
        _ => line,
    }
}

fn is_impl(line: &str) -> bool {
    words(line).next() == Some("impl")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let between = |c: char| !c.is_alphanumeric() && c != '_';
    text.split(between).filter(|word| !word.is_empty())
}

/// The name that a line declares in public, to the crate or beyond.
fn declared(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub")?;
    let rest = match rest.strip_prefix('(') {
        Some(scope) => scope.split_once(')')?.1,
        None => rest,
    };
    let mut words = words(rest.strip_prefix(' ')?).peekable();
    let mut keyword = words.next()?;
    while QUALIFIERS.contains(&keyword)
        && words
            .peek()
            .is_some_and(|next| KEYWORDS.contains(next) || QUALIFIERS.contains(next))
    {
        keyword = words.next()?;
    }
    KEYWORDS.contains(&keyword).then(|| words.next())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_declares_is_read() {
        for (line, name) in [
            ("pub fn grow(&self) {", Some("grow")),
            ("    pub(crate) const fn largest() -> u8 {", Some("largest")),
            ("pub const LINES_MAX: usize = 600;", Some("LINES_MAX")),
            ("pub(super) async fn step() {", Some("step")),
            ("pub struct Log<'a> {", Some("Log")),
            ("pub use crate::log;", None),
            ("    pub bytes: u64,", None),
            ("fn private() {", None),
            ("publish();", None),
        ] {
            assert_eq!(declared(line), name, "{line}");
        }
    }

    #[test]
    fn a_declaration_without_a_use_is_found_and_one_with_a_use_is_not() {
        let library = "pub fn left(a: u8) {}\n/// See `left`.\npub struct Lost;\nimpl Lost {}\n";
        let files = [
            File::of("dataplane/src/a.rs", library),
            File::of("tests/e2e/src/b.rs", "// left(1)\nfn other() {}\n"),
        ];
        let lines: Vec<usize> = declarations(&files).iter().map(|it| it.line).collect();
        assert_eq!(lines, [1, 3]);
        let used = File::of("tests/e2e/src/b.rs", "fn other() { left(1); Lost }\n");
        assert!(declarations(&[File::of("dataplane/src/a.rs", library), used]).is_empty());
    }

    #[test]
    fn other_crates_are_left_alone() {
        let elsewhere = File::of("tests/testkit/src/a.rs", "pub fn left() {}\n");
        assert!(declarations(&[elsewhere]).is_empty());
    }
}
