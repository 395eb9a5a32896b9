//! The last lines of logs, and those of the last start, from files or from the journal. It reads a line at a time, so that a log may be as long
//! as it likes.

use crate::fault;
use crate::own;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Lines of a start that are kept.
const START_LINES: usize = 80;
/// A longer line loses its end.
const LINE_BYTES_MAX: u64 = 8 << 10;
/// So many lines of a journal are looked through for the last start.
const JOURNAL_LINES_LEAST: usize = 20_000;
const JOURNAL_WITHIN: Duration = Duration::from_secs(60);

/// The lines of a log that are worth sending.
struct Picked {
    lines_max: usize,
    /// From the last start on.
    start: Vec<String>,
    last: VecDeque<String>,
    lines_count: usize,
    /// The number of the line that the last start begins with.
    start_at: usize,
}

impl Picked {
    fn new(lines_max: usize) -> Self {
        Self {
            lines_max,
            start: Vec::new(),
            last: VecDeque::new(),
            lines_count: 0,
            start_at: usize::MAX,
        }
    }

    fn line(&mut self, line: String) {
        self.lines_count += 1;
        if begins_start(&line) {
            self.start.clear();
            self.start_at = self.lines_count;
        }
        if self.start_at != usize::MAX && self.start.len() < START_LINES {
            self.start.push(line.clone());
        }
        if self.last.len() == self.lines_max {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    fn text(self) -> String {
        let first = self.lines_count - self.last.len() + 1;
        // What is among the last lines need not be there twice.
        let before = first.saturating_sub(self.start_at);
        let start = self.start.into_iter().take(before);
        let mut lines: Vec<String> = start.collect();
        if !lines.is_empty() {
            lines.push(format!(
                "… the last {} of {} lines:",
                self.last.len(),
                self.lines_count
            ));
        }
        lines.extend(self.last);
        lines.push(String::new());
        lines.join("\n")
    }
}

/// The first line that a gateway says once it listens, in either form of the log.
fn begins_start(line: &str) -> bool {
    line.contains(" listens on http") || line.contains("\"start.listening\"")
}

/// Of a file.
pub(super) fn of_file(path: &Path, lines_max: usize) -> Result<String, String> {
    let why = |error: std::io::Error| format!("{}: {}", path.display(), fault::why(&error));
    let file = File::open(path).map_err(why)?;
    if !file.metadata().map_err(why)?.is_file() {
        return Err(format!("{}: it is no regular file", path.display()));
    }
    picked(BufReader::new(file), lines_max).map_err(why)
}

fn picked(mut from: impl BufRead, lines_max: usize) -> std::io::Result<String> {
    let mut picked = Picked::new(lines_max);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut from)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?
            == 0
        {
            return Ok(picked.text());
        }
        if line.last() != Some(&b'\n') && line.len() as u64 == LINE_BYTES_MAX {
            from.skip_until(b'\n')?;
        }
        let text = String::from_utf8_lossy(&line);
        picked.line(text.trim_end_matches(['\n', '\r']).to_owned());
    }
}

/// Of a unit of systemd, since the host started; of a long journal its end.
pub(super) fn of_journal(unit: &str, lines_max: usize) -> Result<String, String> {
    let lines = format!("--lines={}", lines_max.max(JOURNAL_LINES_LEAST));
    let mut command = Command::new("journalctl");
    command.args([
        &lines,
        "--no-pager",
        "--quiet",
        "--boot",
        "--output=short-iso",
        "--unit",
        unit,
    ]);
    let ran = own::run(&mut command, JOURNAL_WITHIN)
        .map_err(|why| format!("journalctl --unit {unit}: {why}"))?;
    let said = ran.stderr.trim();
    match (ran.code, ran.stdout.is_empty()) {
        (Some(0), false) => {
            picked(ran.stdout.as_bytes(), lines_max).map_err(|error| fault::why(&error))
        }
        (Some(0), true) => Err(format!("the journal has no line of the unit {unit}")),
        _ => Err(format!("journalctl --unit {unit} failed: {said}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str], lines_max: usize) -> Vec<String> {
        let text = lines.join("\n");
        let picked = picked(text.as_bytes(), lines_max).unwrap();
        picked.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_last_start_is_kept_where_it_is_not_among_the_last_lines() {
        let listens = "flk 0.2.0 listens on http://127.0.0.1:8080";
        assert_eq!(of(&["a", listens, "b", "c"], 10), ["a", listens, "b", "c"]);
        assert_eq!(
            of(
                &["a", listens, "old", "b", listens, "key", "c", "d", "e"],
                2
            ),
            [listens, "key", "c", "… the last 2 of 9 lines:", "d", "e"]
        );
        assert_eq!(of(&["a", "b", "c"], 2), ["b", "c"]);
        let json = "{\"event\":\"start.listening\"}";
        assert_eq!(
            of(&[json, "b", "c"], 1),
            [json, "b", "… the last 1 of 3 lines:", "c"]
        );
    }

    #[test]
    fn a_line_that_is_too_long_loses_its_end_and_the_next_one_is_whole() {
        let long = "x".repeat(3 * LINE_BYTES_MAX as usize);
        let lines = of(&[&long, "next"], 5);
        assert_eq!(
            (lines[0].len() as u64, lines[1].as_str()),
            (LINE_BYTES_MAX, "next")
        );
    }

    #[test]
    fn what_is_no_file_is_said() {
        assert!(
            of_file(Path::new("/no/such/log"), 5)
                .unwrap_err()
                .contains("there is no such file")
        );
        assert!(
            of_file(Path::new("/dev/null"), 5)
                .unwrap_err()
                .contains("no regular file")
        );
    }
}
