//! Transcripts: what a whole flow does, line by line, compared with a file that is committed. A change of behaviour shows as
//! a change of that file, to be read like code.

use std::path::Path;

/// Set to anything, transcripts are written anew instead of compared.
const BLESS: &str = "FLK_TRANSCRIPTS";

/// Lines shown before and behind the first one that differs.
const AROUND: usize = 3;

/// At most so many lines that come again and again are shown once.
const BLOCK_LINES_MAX: usize = 12;

/// What happened, in order, each line with its time.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    lines: Vec<(u64, String)>,
}

impl Transcript {
    /// Something happens at this time, in microseconds.
    pub fn line(&mut self, at_us: u64, text: String) {
        self.lines.push((at_us, text));
    }

    /// All lines of another one happen behind these.
    pub fn append(&mut self, other: &Transcript) {
        self.lines.extend_from_slice(&other.lines);
    }

    /// All of it. A time stands where it changes; what comes several times in a row stands once, with how often and until
    /// when.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let (mut at, mut shown_us) = (0, None);
        while at < self.lines.len() {
            let (block, times) = self.repeated(at);
            for (at_us, line) in &self.lines[at..at + block] {
                let time = match shown_us == Some(*at_us) {
                    true => String::new(),
                    false => format!("{}.{:06}", at_us / 1_000_000, at_us % 1_000_000),
                };
                shown_us = Some(*at_us);
                text += &format!("{time:>15}  {line}\n");
            }
            at += block * times;
            if times > 1 {
                let until_us = self.lines[at - 1].0;
                let until = format!("{}.{:06}", until_us / 1_000_000, until_us % 1_000_000);
                let of = if block == 1 { "line" } else { "lines" };
                let more = times - 1;
                text += &format!("{until:>15}  … {block} {of} {more} times more\n");
                shown_us = Some(until_us);
            }
        }
        text
    }

    /// The block of lines from here on that comes most often in a row, whatever the times are, and how often.
    fn repeated(&self, from: usize) -> (usize, usize) {
        let same = |a: usize, b: usize| self.lines[a].1 == self.lines[b].1;
        let mut best = (1, 1);
        for block in 1..=BLOCK_LINES_MAX {
            let mut end = from + block;
            while end < self.lines.len() && same(end, end - block) {
                end += 1;
            }
            let times = (end.min(self.lines.len()) - from) / block;
            if times > 1 && block * times > best.0 * best.1 {
                best = (block, times);
            }
        }
        best
    }
}

/// Compares a transcript with the file, and panics at the first line that differs. With `FLK_TRANSCRIPTS=write` the file is
/// written anew, to be reviewed as a diff.
///
/// # Panics
///
/// If they differ, or the file cannot be read or written.
pub fn same_as_file(path: &Path, text: &str) {
    if std::env::var_os(BLESS).is_some() {
        if let Err(error) = std::fs::write(path, text) {
            panic!("{}: {error}", path.display());
        }
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if let Some(difference) = difference(&expected, text) {
        panic!(
            "{} differs ({BLESS}=write writes it anew):\n{difference}",
            path.display()
        );
    }
}

/// The first line that differs, with those around it.
fn difference(expected: &str, found: &str) -> Option<String> {
    if expected == found {
        return None;
    }
    let (expected, found): (Vec<&str>, Vec<&str>) =
        (expected.lines().collect(), found.lines().collect());
    let same = expected.iter().zip(&found).take_while(|(a, b)| a == b);
    let at = same.count();
    let mut shown = String::new();
    for (name, lines) in [("expected", &expected), ("found", &found)] {
        let part = at.saturating_sub(AROUND)..lines.len().min(at + AROUND + 1);
        shown += &format!("{name}, from line {}:\n", part.start + 1);
        for line in &lines[part] {
            shown += &format!("    {line}\n");
        }
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_several_times_in_a_row_stands_once() {
        let mut transcript = Transcript::default();
        for (at_us, line) in ["a", "b", "c", "b", "c", "b", "c", "d", "d"]
            .iter()
            .enumerate()
        {
            transcript.line(1_500_000 * (at_us as u64 / 2), (*line).to_owned());
        }
        let lines: Vec<String> = transcript.text().lines().map(str::to_owned).collect();
        let expect = [
            "       0.000000  a",
            "                 b",
            "       1.500000  c",
            "                 b",
        ];
        assert_eq!(lines[..2], expect[..2]);
        assert_eq!(lines[2], expect[2]);
        assert_eq!(lines[3], "       4.500000  … 2 lines 2 times more");
        assert_eq!(lines[4], "                 d");
        assert_eq!(lines[5], "       6.000000  … 1 line 1 times more");
        assert_eq!(lines.len(), 6);
    }

    #[test]
    fn the_first_line_that_differs_is_shown_and_a_missing_one_too() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let shown = difference("a\nb\nc\n", "a\nx\nc\n").unwrap();
        assert!(shown.contains("    b\n") && shown.contains("    x\n"));
        let shown = difference("a\nb\n", "a\n").unwrap();
        assert!(shown.contains("    b\n"), "{shown}");
        assert!(difference("", "a\n").is_some());
        assert!(difference("a\n", "a").is_some(), "the end of the file too");
    }
}
