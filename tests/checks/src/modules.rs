//! The order of the data plane's modules: a module uses only those that stand before it in the table of
//! docs/ARCHITECTURE.md. It reads `use` and paths that begin with `crate::`; tests may use anything.

use crate::Finding;
use crate::files::{File, is_of_tests, without_comments_and_tests};
use std::path::Path;

/// Where the modules lie.
const SOURCE: &str = "dataplane/src/";
/// The heading above the table, in docs/ARCHITECTURE.md.
const HEADING: &str = "### Order of modules";

/// The modules in the order of the table: first column, each name in backticks, several in one row stand for one place.
pub fn order(architecture: &str) -> Vec<Vec<String>> {
    let Some((_, section)) = architecture.split_once(HEADING) else {
        return Vec::new();
    };
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2);
    rows.map(|row| {
        let first = row.trim_start_matches('|').split('|').next().unwrap_or("");
        first
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    })
    .collect()
}

/// Uses of a module that stands behind the one that uses it, or in the same row, and modules that the table does not have.
pub fn uses_against_the_order(files: &[File], order: &[Vec<String>]) -> Vec<Finding> {
    let rank = |module: &str| {
        order
            .iter()
            .position(|row| row.iter().any(|it| it == module))
    };
    let mut findings = Vec::new();
    for file in files {
        let Some(module) = module_of(&file.path) else {
            continue;
        };
        let Some(own) = rank(&module) else {
            findings.push(Finding::at(file, 0, format!("module `{module}` is missing in the table \"{HEADING}\" of docs/ARCHITECTURE.md")));
            continue;
        };
        for (line, used) in used_modules(&file.text) {
            if used == module
                || rank(&used).is_some_and(|other| other < own)
                || rank(&used).is_none()
            {
                continue;
            }
            findings.push(Finding::at(file, line, format!("`{module}` uses `{used}`, which stands behind it in docs/ARCHITECTURE.md, \"{HEADING}\": move what is used to where both may see it")));
        }
    }
    findings
}

/// The top-level module that a file belongs to; none for what lies outside, the binaries, `lib.rs`, `main.rs` and tests.
fn module_of(path: &Path) -> Option<String> {
    let inside = path.to_str()?.strip_prefix(SOURCE)?;
    let is_test = inside.split(['/', '.']).any(is_of_tests);
    let first = inside.split('/').next()?.trim_end_matches(".rs");
    (!is_test && !["lib", "main", "bin"].contains(&first)).then(|| first.to_owned())
}

/// Line and name of each module that a text names as `crate::name`, outside comments and its own tests.
fn used_modules(text: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (at, code) in without_comments_and_tests(text).lines().enumerate() {
        for (before, rest) in code
            .match_indices("crate::")
            .map(|(at, it)| (&code[..at], &code[at + it.len()..]))
        {
            let is_path = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let name: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if is_path && !name.is_empty() {
                used.push((at + 1, name));
            }
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "text\n### Order of modules\n\nwords\n\n| module | what |\n|---|---|\n| `io` | a |\n| `wal` | b |\n| `http`, `stats` | c |\n\nafter `none`\n";

    fn count(path: &str, text: &str) -> usize {
        uses_against_the_order(&[File::of(path, text)], &order(TABLE)).len()
    }

    #[test]
    fn the_table_is_read_row_by_row() {
        assert_eq!(
            order(TABLE),
            [vec!["io"], vec!["wal"], vec!["http", "stats"]]
        );
        assert!(order("no table").is_empty());
    }

    #[test]
    fn a_module_uses_what_stands_before_it_and_nothing_else() {
        assert_eq!(
            count(
                "dataplane/src/wal/a.rs",
                "use crate::io::FileId;\nuse crate::wal::b;"
            ),
            0
        );
        assert_eq!(count("dataplane/src/io.rs", "use crate::wal::b;"), 1);
        assert_eq!(
            count("dataplane/src/http/a.rs", "let x = crate::stats::X;"),
            1,
            "same row"
        );
        assert_eq!(count("dataplane/src/io.rs", "// use crate::wal::b;"), 0);
        assert_eq!(count("dataplane/src/other.rs", ""), 1, "not in the table");
        assert_eq!(
            count(
                "dataplane/src/io.rs",
                "fn a() {}\n#[cfg(test)]\nmod tests {\n use crate::wal::b;\n}"
            ),
            0
        );
        assert_eq!(
            count("dataplane/src/wal/tests.rs", "use crate::http::x;"),
            0
        );
        assert_eq!(count("cli/src/a.rs", "use crate::wal::b;"), 0);
    }
}
