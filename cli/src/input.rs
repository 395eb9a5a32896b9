//! Input files and standard input, and the records in them: one per line (NDJSON) or spread over lines.
//! It finds the end of a record and never judges it: a malformed record is passed on, so that it gets its own answer.

use crate::exit::Failure;
use crate::fault;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

/// The largest body that any gateway accepts, and the default of `FLK_BODY_MAX`.
pub(crate) const BODY_BYTES_MAX: u64 = 1 << 20;
/// Only so many bytes of a record are kept.
const RECORD_BYTES_KEPT: usize = 2 << 20;
const _: () = assert!(RECORD_BYTES_KEPT as u64 > BODY_BYTES_MAX);
/// A line is read in pieces of at most this size.
const PIECE_BYTES_MAX: u64 = 1 << 20;

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

/// How long a file is; none for what is not a file.
pub(crate) fn bytes_count(path: &Path) -> Option<u64> {
    let metadata = match path.as_os_str() == "-" {
        true => Path::new("/dev/stdin").metadata().ok()?,
        false => path.metadata().ok()?,
    };
    metadata.is_file().then_some(metadata.len())
}

/// Reads a whole text.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    match open(path)?.read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// The name of a file in messages.
pub(crate) fn name(path: &Path) -> String {
    match path.as_os_str() == "-" {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let why = fault::why(error);
    Failure::usage(format!("cannot read {}: {why}", name(path)))
}

/// Reading the input failed.
pub(crate) fn broken(error: &io::Error) -> Failure {
    let why = fault::why(error);
    Failure::usage(format!("cannot read the input: {why}"))
}

/// There was nothing to do.
pub(crate) fn empty(path: &Path) -> Failure {
    let name = name(path);
    Failure::usage(format!("{name} holds no record"))
}

/// One record of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Body {
    /// The line on which it begins, from 1.
    pub(crate) line: u64,
    /// Its bytes without surrounding white space; only the beginning if it is longer than any gateway accepts.
    pub(crate) bytes: Vec<u8>,
    /// How long it is as a whole.
    pub(crate) bytes_count: u64,
}

impl Body {
    /// Whether only its beginning was kept.
    pub(crate) fn is_cut(&self) -> bool {
        self.bytes_count > self.bytes.len() as u64
    }

    fn add(&mut self, piece: &[u8]) {
        let room = RECORD_BYTES_KEPT - self.bytes.len();
        let kept = piece.len().min(room);
        self.bytes.extend_from_slice(&piece[..kept]);
        self.bytes_count += piece.len() as u64;
    }

    fn trimmed(mut self) -> Self {
        if !self.is_cut() {
            self.bytes = self.bytes.trim_ascii().to_vec();
            self.bytes_count = self.bytes.len() as u64;
        }
        self
    }
}

/// Part of a line, or a whole one.
struct Piece {
    bytes: Vec<u8>,
    /// It begins a line.
    begins: bool,
}

impl Piece {
    fn ends(&self) -> bool {
        self.bytes.last() == Some(&b'\n')
    }
}

/// The records of an input, one after the other.
pub(crate) struct Bodies<R> {
    input: BufReader<R>,
    line: u64,
    /// What is read next begins a line.
    at_begin: bool,
    /// The first line of the next record, read while looking for the end of this one.
    next: Option<Piece>,
}

impl<R: Read> Bodies<R> {
    /// The records of `input`.
    pub(crate) fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 16, input),
            line: 0,
            at_begin: true,
            next: None,
        }
    }

    fn read_piece(&mut self) -> io::Result<Option<Piece>> {
        if let Some(piece) = self.next.take() {
            return Ok(Some(piece));
        }
        let mut bytes = Vec::new();
        let input = self.input.by_ref();
        let read = input.take(PIECE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
        let piece = Piece {
            bytes,
            begins: self.at_begin,
        };
        self.at_begin = piece.ends();
        Ok((read > 0).then_some(piece))
    }

    /// A record ends when its brackets are balanced. A line that begins with an object also ends a record that was never
    /// closed: records over several lines are indented.
    fn read_record(&mut self) -> io::Result<Option<Body>> {
        let mut record: Option<Body> = None;
        let mut brackets = Brackets::default();
        loop {
            let Some(piece) = self.read_piece()? else {
                return Ok(record.map(Body::trimmed));
            };
            if record.is_some() && piece.begins && piece.bytes.first() == Some(&b'{') {
                self.next = Some(piece);
                return Ok(record.map(Body::trimmed));
            }
            self.line += u64::from(piece.begins);
            if record.is_none() && piece.bytes.trim_ascii().is_empty() {
                continue;
            }
            let body = record.get_or_insert_with(|| Body {
                line: self.line,
                bytes: Vec::new(),
                bytes_count: 0,
            });
            brackets.pass(&piece.bytes);
            body.add(&piece.bytes);
            if brackets.depth <= 0 && piece.ends() {
                return Ok(record.map(Body::trimmed));
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

/// The depth of open brackets; brackets in strings do not count.
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
    fn a_record_that_is_too_long_is_one_record_and_keeps_its_beginning() {
        let long = format!("{{\"a\":\"{}\"}}", "{\\\"".repeat(1 << 20));
        let spread = format!("{{\n  \"a\": [\n{}  ]\n}}", "    1,\n".repeat(1 << 19));
        let text = format!("{long}\n{{}}\n{spread}\n{{\"b\":1}}");
        let bodies: Vec<Body> = Bodies::new(text.as_bytes()).map(Result::unwrap).collect();
        let found: Vec<(u64, bool)> = bodies.iter().map(|it| (it.line, it.is_cut())).collect();
        let last = 3 + spread.lines().count() as u64;
        assert_eq!(found, [(1, true), (2, false), (3, true), (last, false)]);
        for (body, text) in [(&bodies[0], &long), (&bodies[2], &spread)] {
            assert_eq!(body.bytes.len(), RECORD_BYTES_KEPT);
            assert!(text.as_bytes().starts_with(&body.bytes));
            assert!(body.bytes_count.abs_diff(text.len() as u64) <= 1);
        }
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
