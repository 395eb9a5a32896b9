//! What a mutant is, and what names it from one run to the next.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

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
    fn a_mutant_is_in_a_crate_or_in_a_module_of_the_gateway() {
        let of = |path| Mutant::of_test(0, path).area().to_owned();
        assert_eq!(of("contract/src/signals/merkle.rs"), "contract");
        assert_eq!(of("dataplane/src/wal/writer.rs"), "wal");
    }
}
