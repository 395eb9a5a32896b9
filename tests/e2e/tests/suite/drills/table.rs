//! The table of `docs/testing.md`: what each drill came to.

use super::harm::Harm;
use super::judge::Verdict;
use super::parts::{Part, Whole};
use super::{Drill, Target};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Lines around the table.
const BEGIN: &str = "<!-- made by the test `drills`; FLK_DRILLS=write writes it -->\n";
const END: &str = "<!-- end of drills -->\n";

/// The text between the two lines.
pub(crate) fn render(verdicts: &BTreeMap<Drill, Verdict>) -> String {
    let mut text = String::from("\n");
    let parts = Part::ALL.map(|part| (part.name(), Target::Part(part)));
    rows(&mut text, "part", &Harm::OF_PARTS, &parts, verdicts);
    text.push('\n');
    let wholes = Whole::ALL.map(|whole| (whole.name(), Target::Whole(whole)));
    rows(&mut text, "file", &Harm::OF_FILES, &wholes, verdicts);
    text.push('\n');
    text
}

fn rows(
    text: &mut String,
    head: &str,
    harms: &[Harm],
    targets: &[(&str, Target)],
    verdicts: &BTreeMap<Drill, Verdict>,
) {
    let names: Vec<&str> = harms.iter().map(|harm| harm.name()).collect();
    let _ = writeln!(text, "| {head} | {} |", names.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(harms.len()));
    for &(name, target) in targets {
        let cells = harms.iter().map(|&harm| {
            let verdict = verdicts.get(&Drill { target, harm });
            verdict.map_or("–".to_owned(), Verdict::to_string)
        });
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
}

/// Compares the page with the results, or writes them into it.
pub(crate) fn compare(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/testing.md");
    let page = std::fs::read_to_string(&path).expect("docs/testing.md");
    let (before, rest) = page.split_once(BEGIN).expect("the line above the table");
    let (found, after) = rest.split_once(END).expect("the line below the table");
    if std::env::var_os("FLK_DRILLS").is_some_and(|it| it == "write") {
        let page = [before, BEGIN, table, END, after].concat();
        std::fs::write(&path, page).expect("docs/testing.md");
        return;
    }
    assert_eq!(found, table, "docs/testing.md has another table");
}
