//! What the framing of heads and of chunked bodies share: a byte that may not have arrived yet, the end of a line, and
//! header fields. It knows no header by name.

use super::ascii::{self, TOKEN};
use super::problem::Problem;
use super::request::Span;

/// Why reading stopped before the end of a head or of a chunked body.
pub(super) enum FramingStop {
    /// The bytes end here; more may arrive.
    Partial,
    /// The bytes are malformed.
    Refused(Problem),
}

impl From<Problem> for FramingStop {
    fn from(problem: Problem) -> FramingStop {
        FramingStop::Refused(problem)
    }
}

/// The byte at a position, or `Partial` where it has not arrived.
pub(super) fn byte_at(bytes: &[u8], at: usize) -> Result<u8, FramingStop> {
    bytes.get(at).copied().ok_or(FramingStop::Partial)
}

/// Position after the CRLF whose CR is at `at`.
pub(super) fn line_end(bytes: &[u8], at: usize) -> Result<usize, FramingStop> {
    match byte_at(bytes, at + 1)? {
        b'\n' => Ok(at + 2),
        _ => Err(Problem::BareCr.into()),
    }
}

/// The problem of a wrong byte: NUL and bare LF have problems of their own, all others have that of their place.
pub(super) const fn offence(byte: u8, otherwise: Problem) -> Problem {
    match byte {
        0 => Problem::NulByte,
        b'\n' => Problem::BareLf,
        _ => otherwise,
    }
}

/// Reads all header fields and passes each to `take`: name, trimmed value, and the span of that value. Returns the
/// position after the empty line.
pub(super) fn read_fields(
    bytes: &[u8],
    start: usize,
    fields_max: usize,
    mut take: impl FnMut(&[u8], &[u8], Span) -> Result<(), Problem>,
) -> Result<usize, FramingStop> {
    let mut at = start;
    let mut fields_count = 0;
    loop {
        match byte_at(bytes, at)? {
            b'\r' => return line_end(bytes, at),
            b' ' | b'\t' => return Err(Problem::FoldedHeader.into()),
            _ => {}
        }
        fields_count += 1;
        if fields_count > fields_max {
            return Err(Problem::TooManyFields.into());
        }
        let name_end = ascii::class_end(bytes, at, TOKEN);
        match byte_at(bytes, name_end)? {
            b':' if name_end > at => {}
            b' ' | b'\t' => return Err(Problem::SpaceBeforeColon.into()),
            b'\r' => {
                line_end(bytes, name_end)?; // a bare CR is the graver fault
                return Err(Problem::InvalidHeaderName.into());
            }
            other => return Err(offence(other, Problem::InvalidHeaderName).into()),
        }
        let value_end = value_end(bytes, name_end + 1)?;
        let next = line_end(bytes, value_end)?;
        let (first, end) = ascii::trimmed(bytes, name_end + 1, value_end);
        take(
            &bytes[at..name_end],
            &bytes[first..end],
            Span::new(first, end),
        )?;
        at = next;
    }
}

/// Position of the CR that ends a value.
fn value_end(bytes: &[u8], start: usize) -> Result<usize, FramingStop> {
    let mut at = start;
    loop {
        at = ascii::first_control(bytes, at);
        match byte_at(bytes, at)? {
            b'\r' => return Ok(at),
            b'\t' => at += 1,
            other => return Err(offence(other, Problem::ControlCharacter).into()),
        }
    }
}
