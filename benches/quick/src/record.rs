//! Writes a result below `profiles/records/<machine>/<date>-<commit>-<what>/`, where later runs are compared with it.
//! It overwrites the page of the same day and commit only; whether to commit it is for the reader to decide.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::machine::Machine;
use crate::options::{Compared, Only, Options};

/// Writes the page and returns where it lies; `flamegraph.svg` beside it, if there is one.
pub(crate) fn write(
    machine: &Machine,
    options: &Options,
    text: &str,
    flamegraph: Option<&[u8]>,
) -> io::Result<PathBuf> {
    let days = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(io::Error::other)?
        .as_secs()
        / 86_400;
    let (date, commit) = (date(days), commit()?);
    let machine_name = options.machine.clone().unwrap_or_else(|| machine.slug());
    let (what, title, target) = match options.only {
        None | Some(Only::Floor | Only::Gateway) => ("quick", "Quick bench", "bench-quick"),
        Some(Only::Goals) => ("goals", "Goals", "goals"),
        Some(Only::Noisy) => ("noisy", "Noisy neighbour", "noisy"),
        Some(Only::Peers) if options.compared == Compared::Ablation => {
            ("ablation", "Ablation", "bench-ablation")
        }
        Some(Only::Peers) => ("peers", "Peers", "bench-peers"),
        Some(Only::Profile) => ("profile", "Budget of a request", "profile"),
        Some(Only::Rates) => ("rates", "Moderate rates", "rates"),
        Some(Only::Rotation) => ("rotation", "Rotation under load", "rotation"),
        Some(Only::Store) => ("store", "Figures of the store", "store-figures"),
        Some(Only::Sealing) => ("sealing", "Sealing under load", "sealing"),
    };
    let directory = PathBuf::from("profiles/records")
        .join(machine_name)
        .join(format!("{date}-{commit}-{what}"));
    std::fs::create_dir_all(&directory)?;
    let path = directory.join("result.md");
    let page =
        format!("# {title}, {date}, commit {commit}\n\nRepeat with `make {target}`.\n\n{text}");
    std::fs::write(&path, page)?;
    if let Some(svg) = flamegraph {
        std::fs::write(directory.join("flamegraph.svg"), svg)?;
    }
    Ok(path)
}

/// The short commit, with a mark where the checkout differs from it.
fn commit() -> io::Result<String> {
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Ok(format!("{commit}{}", if changed { "-changed" } else { "" }))
}

fn git(arguments: &[&str]) -> io::Result<String> {
    let output = Command::new("git").args(arguments).output()?;
    if !output.status.success() {
        return Err(io::Error::other(
            "--record names the commit: run it inside a git checkout",
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `YYYY-MM-DD` of a number of days since 1970-01-01, by counting years and months.
fn date(mut days: u64) -> String {
    let mut year = 1970;
    while days >= year_days(year) {
        days -= year_days(year);
        year += 1;
    }
    let mut month = 1;
    while days >= month_days(year, month) {
        days -= month_days(year, month);
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", days + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn year_days(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (19_722, "2023-12-31"),
            (19_782, "2024-02-29"),
            (20_514, "2026-03-02"),
        ] {
            assert_eq!(date(days), expected);
        }
    }
}
