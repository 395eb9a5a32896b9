//! The committed list of mutants that survive, each with its reason. A line names file, function and change, not a line
//! number, so that it holds when code above it moves.

use crate::mutant::{Key, Mutant};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Why a mutant survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It changes nothing that anybody could see.
    Equivalent,
    /// No test sees it yet.
    Open,
}

/// The list.
#[derive(Debug, Default)]
pub(crate) struct Known(BTreeMap<Key, Reason>);

impl Known {
    /// Reads the list: path, function, change, reason, with tabs between them. A reason begins with `equivalent:` or
    /// `open:`.
    pub(crate) fn read(path: &Path) -> Result<Known, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{path:?}: {error}"))?;
        Known::of_text(&text).map_err(|wrong| format!("{}: {wrong}", path.display()))
    }

    fn of_text(text: &str) -> Result<Known, String> {
        let mut known = Known::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [file, function, change, why] = fields[..] else {
                return Err(format!("not four fields: {line}"));
            };
            let reason = match why.split_once(": ") {
                Some(("equivalent", _)) => Reason::Equivalent,
                Some(("open", _)) => Reason::Open,
                _ => return Err(format!("neither `equivalent: …` nor `open: …`: {line}")),
            };
            let key = (file.to_owned(), function.to_owned(), change.to_owned());
            known.0.insert(key, reason);
        }
        Ok(known)
    }

    /// Lines that name none of these: what they speak of has changed, or is planted no more.
    pub(crate) fn stale<'a>(&'a self, all: &[Mutant]) -> Vec<&'a Key> {
        let keys: BTreeSet<Key> = all.iter().map(Mutant::key).collect();
        self.0.keys().filter(|key| !keys.contains(*key)).collect()
    }

    /// Why it survives, if the list has it.
    pub(crate) fn reason(&self, mutant: &Mutant) -> Option<Reason> {
        self.0.get(&mutant.key()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survivor_needs_a_reason() {
        let list = "# a list\na.rs\tf\twithout a\tequivalent: it is only logged\n";
        let known = Known::of_text(list).unwrap();
        let of = |path| known.reason(&Mutant::of_test(3, path));
        assert_eq!(of("a.rs"), Some(Reason::Equivalent));
        assert_eq!(of("b.rs"), None);
        let open = list.replace("equivalent", "open");
        let known = Known::of_text(&open).unwrap();
        assert_eq!(
            known.reason(&Mutant::of_test(3, "a.rs")),
            Some(Reason::Open)
        );
        for wrong in [
            "a.rs\tf\twithout a\t \n",
            "a.rs\tf\twithout a\n",
            "a\tf\tb\tbecause\n",
        ] {
            assert!(Known::of_text(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_line_that_names_no_mutant_is_stale() {
        let list = "a.rs\tf\twithout a\topen: why\nb.rs\tf\twithout a\topen: why\n";
        let known = Known::of_text(list).unwrap();
        let stale = known.stale(&[Mutant::of_test(0, "a.rs")]);
        assert_eq!(stale.len(), 1);
        assert_eq!(stale[0].0, "b.rs");
    }

    #[test]
    fn the_committed_list_is_one() {
        let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("survivors.tsv");
        Known::read(&list).unwrap();
    }
}
