//! What a mutant is, and the list of all of them: each file of the places below, walked by `mistakes`.

use crate::mistakes;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where mutants are planted, from the root of the repository.
const PLACES: [&str; 6] = [
    "contract/src",
    "dataplane/src/shard",
    "dataplane/src/wal",
    "dataplane/src/dedup",
    "dataplane/src/keeper",
    "dataplane/src/http",
];

/// Files and directories that only tests have; a name that ends with `_` is how theirs begins.
const TEST_NAMES: [&str; 7] = [
    "test", "tests", "anything", "twin", "world", "test_", "tests_",
];

/// How a mutant is put into the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The expression in the range becomes this text.
    Replace(String),
    /// The statement in the range is left out.
    LeaveOut,
    /// The function whose body opens in front of the range returns this at once.
    Return(String),
}

/// What names a mutant from one run to the next: file, function, what the change looks like.
pub(crate) type Key = (String, String, String);

/// One mistake.
#[derive(Clone, Debug)]
pub(crate) struct Mutant {
    /// Its number in this run.
    pub(crate) id: u32,
    /// The file, from the root of the repository.
    pub(crate) path: PathBuf,
    /// The line, from 1.
    pub(crate) line: usize,
    /// The function that it is in.
    pub(crate) function: String,
    /// The bytes of the file that it changes.
    pub(crate) range: Range<usize>,
    /// What was there, shortened.
    pub(crate) before: String,
    /// What it does.
    pub(crate) change: Change,
    /// How many changes of the same looks stand before it in its function.
    pub(crate) nth: usize,
}

impl Mutant {
    /// What the mistake looks like. With file and function it names the mutant, whatever moves it to another line.
    pub(crate) fn shown_change(&self) -> String {
        let change = match &self.change {
            Change::Replace(after) => format!("{} -> {}", self.before, one_line(after)),
            Change::LeaveOut => format!("without {}", self.before),
            Change::Return(value) => format!("returns ({value}) at once"),
        };
        match self.nth {
            0 => change,
            nth => format!("{change} #{}", nth + 1),
        }
    }

    /// File, function and change.
    pub(crate) fn key(&self) -> Key {
        let path = self.path.display().to_string();
        (path, self.function.clone(), self.shown_change())
    }

    /// The part of the system that it is in: a crate, or a module of the gateway.
    pub(crate) fn area(&self) -> &str {
        let path = self.path.to_str().unwrap_or_default();
        let path = path.strip_prefix("dataplane/src/").unwrap_or(path);
        path.split('/').next().unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn of_test(id: u32, path: &str) -> Mutant {
        Mutant {
            id,
            path: path.into(),
            line: 1,
            function: "f".to_owned(),
            range: 0..1,
            before: "a".to_owned(),
            change: Change::LeaveOut,
            nth: 0,
        }
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}:{}\t{}\t{}",
            self.path.display(),
            self.line,
            self.function,
            self.shown_change()
        )
    }
}

/// All mutants of the repository, numbered from 0, in order of file and place.
pub(crate) fn all(root: &Path) -> io::Result<Vec<Mutant>> {
    let mut files = Vec::new();
    for place in PLACES {
        collect(root, &root.join(place), &mut files)?;
    }
    files.sort();
    let mut mutants = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(root.join(&path))?;
        mutants.extend(mistakes::of_text(&path, &text)?);
    }
    number(&mut mutants);
    Ok(mutants)
}

fn number(mutants: &mut [Mutant]) {
    let mut seen = BTreeMap::new();
    for mutant in &mut *mutants {
        let looks = (
            mutant.path.clone(),
            mutant.function.clone(),
            mutant.shown_change(),
        );
        let count = seen.entry(looks).or_insert(0);
        mutant.nth = *count;
        *count += 1;
    }
    for (id, mutant) in (0..).zip(mutants) {
        mutant.id = id;
    }
}

fn collect(root: &Path, directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|it| it.to_str()).unwrap_or("");
        let of_tests = TEST_NAMES
            .iter()
            .any(|name| stem == *name || name.ends_with('_') && stem.starts_with(name));
        if of_tests {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path.strip_prefix(root).unwrap_or(&path).to_path_buf());
        }
    }
    Ok(())
}

/// At most 80 characters, on one line.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_the_same_looks_are_told_apart_by_their_order_in_the_function() {
        let mut mutants = [5, 6, 7].map(|id| Mutant::of_test(id, "contract/src/a.rs"));
        mutants[1].function = "g".to_owned();
        number(&mut mutants);
        let shown = mutants.each_ref().map(Mutant::shown_change);
        assert_eq!(shown, ["without a", "without a", "without a #2"]);
        assert_eq!(mutants.each_ref().map(|it| it.id), [0, 1, 2]);
    }

    #[test]
    fn a_mutant_is_in_a_crate_or_in_a_module_of_the_gateway() {
        let of = |path| Mutant::of_test(0, path).area().to_owned();
        assert_eq!(of("contract/src/signals/merkle.rs"), "contract");
        assert_eq!(of("dataplane/src/wal/writer.rs"), "wal");
    }
}
