//! Input files and standard input, and the records in them: one per line (NDJSON) or spread over lines.
//! It finds where a record ends and never judges it: a broken one is passed on as it is, so that it gets its own answer.

use crate::exit::Failure;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

/// A record that does not end is passed on in pieces of this size; no gateway takes a body as large.
const RECORD_BYTES_MAX: usize = 16 << 20;

/// Opens a file; `-` is standard input.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read + Send>, Failure> {
    if path.as_os_str() == "-" {
        if io::stdin().is_terminal() {
            eprintln!("flk: reading from this terminal; end with Ctrl-D, or name a file");
        }
        return Ok(Box::new(io::stdin()));
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// Reads a whole text.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    match open(path)?.read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// What a file is called in messages.
pub(crate) fn name(path: &Path) -> String {
    match path.as_os_str() == "-" {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot read {}: {error}", name(path)))
}

/// One record of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Body {
    /// The line on which it begins, from 1.
    pub(crate) line: u64,
    /// Its bytes, without the white space around it.
    pub(crate) bytes: Vec<u8>,
}

/// The records of an input, one after the other.
pub(crate) struct Bodies<R> {
    input: BufReader<R>,
    line: u64,
    /// The first line of the next record, met while looking for the end of one.
    next: Option<Vec<u8>>,
}

impl<R: Read> Bodies<R> {
    /// The records of `input`.
    pub(crate) fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 16, input),
            line: 0,
            next: None,
        }
    }

    fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let most = RECORD_BYTES_MAX as u64;
        let read = self
            .input
            .by_ref()
            .take(most)
            .read_until(b'\n', &mut line)?;
        Ok((read > 0).then_some(line))
    }

    /// A record is over where its brackets are balanced. A line that opens a new object at its very beginning ends one
    /// that never closed: records spread over lines are indented.
    fn read_record(&mut self) -> io::Result<Option<Body>> {
        let mut record: Option<Body> = None;
        let mut brackets = Brackets::default();
        loop {
            let Some(line) = self
                .next
                .take()
                .map_or_else(|| self.read_line(), |it| Ok(Some(it)))?
            else {
                return Ok(record.map(trimmed));
            };
            if record.is_some() && line.first() == Some(&b'{') {
                self.next = Some(line);
                return Ok(record.map(trimmed));
            }
            self.line += 1;
            if record.is_none() && line.trim_ascii().is_empty() {
                continue;
            }
            let at = self.line;
            let body = record.get_or_insert_with(|| Body {
                line: at,
                bytes: Vec::new(),
            });
            brackets.pass(&line);
            body.bytes.extend_from_slice(&line);
            if brackets.depth <= 0 || body.bytes.len() >= RECORD_BYTES_MAX {
                return Ok(record.map(trimmed));
            }
        }
    }
}

impl<R: Read> Iterator for Bodies<R> {
    type Item = io::Result<Body>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_record().transpose()
    }
}

fn trimmed(mut body: Body) -> Body {
    body.bytes = body.bytes.trim_ascii().to_vec();
    body
}

/// How deep in brackets a text is; brackets in strings do not count.
#[derive(Default)]
struct Brackets {
    depth: i64,
    in_string: bool,
    escaped: bool,
}

impl Brackets {
    fn pass(&mut self, text: &[u8]) {
        for &byte in text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                // a string cannot hold a line feed: what follows is no longer part of it
                b'\n' => self.in_string = false,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(text: &str) -> Vec<(u64, String)> {
        Bodies::new(text.as_bytes())
            .map(|body| body.unwrap())
            .map(|body| (body.line, String::from_utf8(body.bytes).unwrap()))
            .collect()
    }

    fn check(text: &str, expect: &[(u64, &str)]) {
        let found = bodies(text);
        let found: Vec<(u64, &str)> = found
            .iter()
            .map(|(at, body)| (*at, body.as_str()))
            .collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn each_line_is_a_record() {
        check(
            "{\"a\":1}\n\n  {\"b\":[2]}\r\n{}",
            &[(1, "{\"a\":1}"), (3, "{\"b\":[2]}"), (4, "{}")],
        );
        check("", &[]);
        check("\n \n", &[]);
    }

    #[test]
    fn a_record_may_be_spread_over_lines() {
        check(
            "{\n  \"a\": [\n 1\n ]\n}\n{\"b\":2}\n",
            &[(1, "{\n  \"a\": [\n 1\n ]\n}"), (6, "{\"b\":2}")],
        );
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        check(
            "{\"a\":\"{[\\\"{\"}\n{\"b\":\"\\\\\"}\n",
            &[(1, "{\"a\":\"{[\\\"{\"}"), (2, "{\"b\":\"\\\\\"}")],
        );
    }

    #[test]
    fn a_broken_record_costs_only_itself() {
        check(
            "{\"a\":[1\n{\"b\":\"x\n{\"c\":3}\nnonsense\n}\n{}",
            &[
                (1, "{\"a\":[1"),
                (2, "{\"b\":\"x"),
                (3, "{\"c\":3}"),
                (4, "nonsense"),
                (5, "}"),
                (6, "{}"),
            ],
        );
    }
}
