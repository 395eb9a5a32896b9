//! Standard output, buffered, with errors reported; and numbers as the record contract writes them.

use crate::exit::Failure;
use flk_contract::number;
use flk_dataplane::logs::redact::without_identities;
use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write};

/// How a command prints what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A table to read
    Text,
    /// One JSON object for each row and line, or one for all of it
    Json,
}

/// Prints one line on standard error, without age identities: one that is typed in the wrong place would stand in a log. If that fails, only the exit code remains to tell the user.
pub(crate) fn say(line: impl Display) {
    writeln!(io::stderr(), "{}", without_identities(&line.to_string())).ok();
}

/// Buffered standard output.
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    /// Locks standard output.
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, text: impl AsRef<[u8]>) -> Result<(), Failure> {
        self.write_line(text)
            .map_err(|error| Failure::output(&error))
    }

    /// Writes the buffered lines; the reader of a pipe may be waiting for them.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.write_out().map_err(|error| Failure::output(&error))
    }

    /// Like `line`, for a caller that continues without output.
    pub(crate) fn write_line(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.write_all(text.as_ref())?;
        self.0.write_all(b"\n")
    }

    /// Like `flush`, for the same caller.
    pub(crate) fn write_out(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The shortest text of a number, as in records and outcomes.
pub(crate) fn number_text(value: f64) -> String {
    let mut text = Vec::new();
    number::write_repr(&mut text, value);
    String::from_utf8_lossy(&text).into_owned()
}

/// A number of things, in the plural if needed.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    match (count, thing.strip_suffix('y')) {
        (1, _) => format!("1 {thing}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {thing}s"),
    }
}

/// Most characters shown of a text that was received.
const PRINTABLE_CHARS_MAX: usize = 1000;

/// Makes received text safe to print: no control character reaches a terminal, and the length is bounded.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::new();
    for (at, character) in text.chars().enumerate() {
        if at == PRINTABLE_CHARS_MAX {
            shown.push('…');
            break;
        }
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_all_else_is_plural() {
        assert_eq!(counted(1, "record"), "1 record");
        assert_eq!(counted(0, "record"), "0 records");
        assert_eq!(counted(1, "retry"), "1 retry");
        assert_eq!(counted(2, "retry"), "2 retries");
    }
}
