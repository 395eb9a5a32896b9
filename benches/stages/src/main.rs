//! `make instructions`: counts the instructions of the record path and of its stages under valgrind and compares them with
//! the committed numbers. `make instructions-accept` writes the counted numbers instead.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a measuring program: it works or says why it does not

use flk_bench_stages::instructions::{self, Counted, Machine, Table};
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: flk-bench-stages check|accept FILE";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        // What valgrind runs.
        ["cpu"] => {
            println!("{}", instructions::cpu());
            Ok(())
        }
        ["run", name, times] => {
            instructions::run(name, times.parse().expect("how often"));
            Ok(())
        }
        ["check", file] => check(Path::new(file)),
        ["accept", file] => accept(Path::new(file)),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Counts, and says how a count differs from the committed one.
fn check(file: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
    let table = Table::parse(&text)?;
    let machine = Machine::look()?;
    if !table.is_of_cpu(&machine.cpu) {
        let Table { machine: other, .. } = table;
        let why = format!("instructions: counted with {machine}; the numbers are of {other}");
        flk_testkit::skipped(&why);
        return Ok(());
    }
    let counted = counted()?;
    println!(
        "{:<26} {:>12} {:>12} {:>8}",
        "instructions per record", "counted", "committed", "change"
    );
    for it in &counted {
        println!("{}", table.line(it));
    }
    let differences = table.differences(&counted);
    if differences.is_empty() {
        return Ok(());
    }
    Err(explained(&differences, &machine, &table))
}

fn explained(differences: &[instructions::Difference], machine: &Machine, table: &Table) -> String {
    let mut lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
    if machine.to_string() != table.machine {
        let other = &table.machine;
        lines.push(format!(
            "counted with {machine}; the numbers are of {other}"
        ));
    }
    lines.push(
        "If this is meant: `make instructions-accept`, and say in the commit what it is for."
            .to_owned(),
    );
    lines.join("\n")
}

/// Counts, and writes the numbers.
fn accept(file: &Path) -> Result<(), String> {
    let machine = Machine::look()?;
    let table = Table::of(&machine, &counted()?);
    std::fs::write(file, table.render()).map_err(|error| format!("{}: {error}", file.display()))?;
    println!("{} is written: look at its diff", file.display());
    Ok(())
}

/// All lines, in the order in which they are declared.
fn counted() -> Result<Vec<Counted>, String> {
    let rows: Vec<_> = instructions::rows().collect();
    let mut counted = instructions::count(&rows)?;
    let place = |it: &Counted| rows.iter().position(|row| row.name == it.name);
    counted.sort_by_key(place);
    Ok(counted)
}
