//! Standard output, buffered, with errors that say so; and numbers as the record contract writes them.

use crate::exit::Failure;
use flk_contract::number;
use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write};

/// One line on standard error. Where that cannot be written there is no place left to say so: the exit code tells.
pub(crate) fn say(line: impl Display) {
    writeln!(io::stderr(), "{line}").ok();
}

/// Buffered standard output.
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    /// Takes standard output for itself.
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, text: impl AsRef<[u8]>) -> Result<(), Failure> {
        self.write_line(text)
            .map_err(|error| Failure::output(&error))
    }

    /// Sends on what is buffered; the reader of a pipe may be waiting for it.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.write_out().map_err(|error| Failure::output(&error))
    }

    /// As `line`, for a caller that goes on without an output.
    pub(crate) fn write_line(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.write_all(text.as_ref())?;
        self.0.write_all(b"\n")
    }

    /// As `flush`, likewise.
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

/// A number of things, in the plural where it has to be.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    match (count, thing.strip_suffix('y')) {
        (1, _) => format!("1 {thing}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {thing}s"),
    }
}

/// Most characters of a stranger's text that are shown.
const PRINTABLE_CHARS_MAX: usize = 1000;

/// Texts of records and answers come from strangers: no control character reaches a terminal, and length is bounded.
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
