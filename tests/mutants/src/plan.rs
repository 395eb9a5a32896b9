//! The list of all mutants: each file of the places below, walked by `mistakes`.

use crate::mistakes;
use crate::mutant::Mutant;
use std::collections::BTreeMap;
use std::io;
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
}
