//! The committed numbers: their file, and what of a count differs from them. It decides what a difference is; it runs nothing.

use super::{Counted, Machine};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// A line may differ by so many thousandths.
pub const PER_MILLE_MAX: u64 = 20;

const TITLE: &str = "# Instructions per record of the record path and of its stages. `make instructions` counts them and fails where a line\n\
    # differs by more than 2 %. A change that moves one says why, and brings the new numbers: `make instructions-accept`.\n";
const MACHINE: &str = "# Counted with: ";

/// The committed numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What they were counted with, as [`Machine`] is shown.
    pub machine: String,
    lines: BTreeMap<String, u64>,
}

/// A line that is not as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It differs by more than [`PER_MILLE_MAX`].
    Changed {
        /// Its name.
        name: String,
        /// As committed.
        was: u64,
        /// As counted.
        is: u64,
    },
    /// It was never committed.
    Unknown(String),
    /// There is nothing of this name any more.
    Gone(String),
}

impl Table {
    /// What a machine counted.
    pub fn of(machine: &Machine, counted: &[Counted]) -> Table {
        let lines = counted
            .iter()
            .map(|it| (it.name.to_owned(), it.instructions));
        Table {
            machine: machine.to_string(),
            lines: lines.collect(),
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// A line that is none.
    pub fn parse(text: &str) -> Result<Table, String> {
        let mut table = Table::default();
        for line in text.lines() {
            if let Some(machine) = line.strip_prefix(MACHINE) {
                table.machine = machine.to_owned();
            } else if !line.starts_with('#') {
                let fields = line.split_once('\t');
                let read = fields.and_then(|(name, count)| Some((name, count.parse().ok()?)));
                let (name, count) =
                    read.ok_or_else(|| format!("not a name and a count: {line}"))?;
                table.lines.insert(name.to_owned(), count);
            }
        }
        Ok(table)
    }

    /// The file.
    pub fn render(&self) -> String {
        let mut text = format!("{TITLE}{MACHINE}{}\n", self.machine);
        for (name, count) in &self.lines {
            let _ = writeln!(text, "{name}\t{count}");
        }
        text
    }

    /// Whether counts of this machine can be compared with these at all.
    pub fn is_of_cpu(&self, cpu: &str) -> bool {
        self.machine.split(';').next() == Some(cpu)
    }

    fn get(&self, name: &str) -> Option<u64> {
        self.lines.get(name).copied()
    }

    /// A count beside the committed one, as a line of text.
    pub fn line(&self, counted: &Counted) -> String {
        let Counted { name, instructions } = counted;
        let change = self.get(name).map_or_else(String::new, |was| {
            format!("{was:>12} {:>+7.2} %", percent(was, *instructions))
        });
        format!("{name:<26} {instructions:>12} {change}")
    }

    /// What of a count is not as it was committed.
    pub fn differences(&self, counted: &[Counted]) -> Vec<Difference> {
        let of = |it: &Counted| match self.get(it.name) {
            None => Some(Difference::Unknown(it.name.to_owned())),
            Some(was) if is_within(was, it.instructions) => None,
            Some(was) => Some(Difference::Changed {
                name: it.name.to_owned(),
                was,
                is: it.instructions,
            }),
        };
        let is_there = |name: &str| counted.iter().any(|it| it.name == name);
        let gone = self.lines.keys().filter(|name| !is_there(name)).cloned();
        let found = counted.iter().filter_map(of);
        found.chain(gone.map(Difference::Gone)).collect()
    }
}

fn is_within(was: u64, is: u64) -> bool {
    u128::from(was.abs_diff(is)) * 1000 <= u128::from(was) * u128::from(PER_MILLE_MAX)
}

/// The change from one count to another in percent.
fn percent(was: u64, is: u64) -> f64 {
    (is as f64 / was as f64 - 1.0) * 100.0
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Changed { name, was, is } => {
                let verb = if is > was { "rose" } else { "fell" };
                let percent = percent(*was, *is);
                write!(
                    out,
                    "{name} {verb} from {was} to {is} instructions per record ({percent:+.1} %)"
                )
            }
            Difference::Unknown(name) => write!(out, "{name} has no committed number"),
            Difference::Gone(name) => write!(out, "{name} has a committed number and is gone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            cpu: "x86_64 avx2".into(),
            compiler: "rustc 1".into(),
            valgrind: "valgrind-3".into(),
        }
    }

    fn counted(instructions: u64) -> Counted {
        Counted {
            name: "stage/parse",
            instructions,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let table = Table::of(&machine(), &[counted(1000)]);
        assert_eq!(Table::parse(&table.render()), Ok(table.clone()));
        assert!(table.is_of_cpu("x86_64 avx2"));
        assert!(!table.is_of_cpu("x86_64 avx2 sha"));
        assert!(Table::parse("stage/parse 7\n").is_err());
    }

    #[test]
    fn two_percent_more_or_less_pass_and_anything_beyond_fails() {
        let table = Table::of(&machine(), &[counted(1000)]);
        for (is, passes) in [
            (1000, true),
            (1020, true),
            (1021, false),
            (980, true),
            (979, false),
        ] {
            assert_eq!(table.differences(&[counted(is)]).is_empty(), passes, "{is}");
        }
    }

    #[test]
    fn a_difference_says_what_moved_and_by_how_much() {
        let table = Table::of(&machine(), &[counted(1000)]);
        let text = |it: &[Counted]| table.differences(it)[0].to_string();
        assert_eq!(
            text(&[counted(1100)]),
            "stage/parse rose from 1000 to 1100 instructions per record (+10.0 %)"
        );
        assert_eq!(
            text(&[counted(500)]),
            "stage/parse fell from 1000 to 500 instructions per record (-50.0 %)"
        );
        assert_eq!(text(&[]), "stage/parse has a committed number and is gone");
        let unknown = Table::default().differences(&[counted(1)]);
        assert_eq!(
            unknown[0].to_string(),
            "stage/parse has no committed number"
        );
    }
    #[test]
    fn traces_of_one_record_in_a_hundred_cost_2_percent_at_most_by_the_committed_numbers() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../profiles/instructions.tsv"
        );
        let table = Table::parse(&std::fs::read_to_string(file).unwrap()).unwrap();
        let [plain, drawn, traced] =
            ["new", "new-drawn", "new-traced"].map(|name| table.lines[&format!("pipeline/{name}")]);
        let of_a_hundred = 99 * drawn + traced;
        let percent = of_a_hundred as f64 / plain as f64 - 100.0;
        println!(
            "{plain} without traces, {drawn} without one that is drawn, {traced} with one: {percent:.2} %"
        );
        assert!(percent <= 2.0, "{percent:.2} %");
    }
}
