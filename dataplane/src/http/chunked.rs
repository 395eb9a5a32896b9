//! Chunked request bodies: decodes one in place as it arrives, strictly. It never looks behind the body's end, allocates
//! nothing, and keeps no bytes: what is not whole yet stays with the caller.
//!
//! The verdict is that of the first offending byte, however the body was cut into packets. Grammar: hex size of 1 to 8
//! digits, extensions of at most 1 KiB (ignored; no control character but tab), CRLF, the bytes, CRLF; a size of zero ends
//! the chunks; trailers of at most 8 KiB are checked as header fields and dropped.

use super::fields::looks_like_framing;
use super::head::{Limits, Span, Stop, byte_at, line_end, offence, read_fields};
use super::problem::Problem;

/// Most hex digits of a chunk's size.
const SIZE_DIGITS_MAX: usize = 8;
/// Most bytes of one chunk's extensions, the first semicolon included.
pub const EXTENSION_BYTES_MAX: usize = 1024;
/// Most bytes behind the last chunk, final empty line included.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// Where in a chunked body its reader is. Small and plain: one stands in every connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoder {
    at: At,
    decoded_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before a chunk's size.
    #[default]
    Size,
    /// In a chunk's bytes: that many are missing.
    Data(u64),
    /// Behind a chunk's bytes, before their CRLF.
    DataEnd,
    /// Behind the last chunk's line.
    Trailers,
}

/// What the bytes of a body received so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// More is needed. Only the first `kept_bytes` of what was given still count: what is decoded, then what is not
    /// understood yet. They come first in the next call.
    Partial {
        /// How many bytes still count.
        kept_bytes: usize,
    },
    /// The body is whole: its first bytes are the content, and what follows on the connection begins at `end`.
    Whole {
        /// Bytes of content.
        body_bytes: usize,
        /// Position behind the trailers.
        end: usize,
    },
    /// Framing is broken: answer this and close.
    Refused(Problem),
}

/// What the bytes of a body that is thrown away amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// More is needed. The first `gone_bytes` of what was given are done with; the others come first in the next call.
    Partial {
        /// How many bytes count no longer.
        gone_bytes: usize,
    },
    /// The body is over: what follows on the connection begins at `end`.
    Whole {
        /// Position behind the trailers.
        end: usize,
    },
    /// Framing is broken, or the content is longer than the limit: nothing behind it can be found.
    Refused(Problem),
}

impl Decoder {
    /// Bytes of content decoded so far.
    #[must_use]
    pub const fn decoded_bytes(&self) -> u64 {
        self.decoded_bytes
    }

    /// Bytes of the chunk that is being received which have not come.
    #[must_use]
    pub const fn awaited_bytes(&self) -> u64 {
        match self.at {
            At::Data(missing) => missing,
            _ => 0,
        }
    }

    /// Decodes on. `bytes` begins with what was decoded before and goes on with what is not; content moves to the front.
    pub fn decode(&mut self, bytes: &mut [u8], limits: &Limits) -> Decoded {
        let mut from = self.decoded_bytes as usize;
        loop {
            let (at, decoded_bytes) = (self.at, self.decoded_bytes as usize);
            match self.step(bytes, from, limits) {
                Ok((end, true)) => {
                    return Decoded::Whole {
                        body_bytes: decoded_bytes,
                        end,
                    };
                }
                Ok((next, false)) => {
                    if let At::Data(_) = at {
                        bytes.copy_within(from..next, decoded_bytes);
                    }
                    from = next;
                }
                Err(Stop::Refused(problem)) => return Decoded::Refused(problem),
                Err(Stop::Partial) => break,
            }
        }
        let to = self.decoded_bytes as usize;
        if let At::Data(missing) = self.at {
            // All that is there belongs to the chunk and was moved.
            debug_assert!(missing > 0 && from == bytes.len());
        }
        bytes.copy_within(from.., to);
        Decoded::Partial {
            kept_bytes: to + (bytes.len() - from),
        }
    }

    /// Goes on over a body whose content nobody wants. `bytes` begins behind what was decoded or skipped before; the grammar
    /// and its verdict are those of [`Decoder::decode`].
    pub fn skip(&mut self, bytes: &[u8], limits: &Limits) -> Skipped {
        let mut gone_bytes = 0;
        loop {
            match self.step(bytes, gone_bytes, limits) {
                Ok((end, true)) => return Skipped::Whole { end },
                Ok((next, false)) => gone_bytes = next,
                Err(Stop::Refused(problem)) => return Skipped::Refused(problem),
                Err(Stop::Partial) => return Skipped::Partial { gone_bytes },
            }
        }
    }

    /// Reads one element at `from`: where the next begins, and whether this was the last.
    fn step(&mut self, bytes: &[u8], from: usize, limits: &Limits) -> Result<(usize, bool), Stop> {
        let (next, at) = self.element(bytes, from, limits)?;
        let is_last = self.at == At::Trailers;
        if let At::Data(missing) = self.at {
            debug_assert!((next - from) as u64 <= missing);
            self.decoded_bytes += (next - from) as u64;
        }
        self.at = at;
        Ok((next, is_last))
    }

    /// The end of the element at `from`, and what stands behind it.
    fn element(&self, bytes: &[u8], from: usize, limits: &Limits) -> Result<(usize, At), Stop> {
        match self.at {
            At::Size => {
                let (size, next) = size_line(bytes, from)?;
                if size > limits.body_bytes_max.saturating_sub(self.decoded_bytes) {
                    return Err(Problem::BodyTooLarge.into());
                }
                let at = if size == 0 {
                    At::Trailers
                } else {
                    At::Data(size)
                };
                Ok((next, at))
            }
            At::Data(missing) => {
                let here = missing.min((bytes.len() - from) as u64);
                if here == 0 {
                    return Err(Stop::Partial);
                }
                let left = missing - here;
                let at = if left == 0 {
                    At::DataEnd
                } else {
                    At::Data(left)
                };
                Ok((from + here as usize, at))
            }
            At::DataEnd => match byte_at(bytes, from)? {
                b'\r' => Ok((line_end(bytes, from)?, At::Size)),
                other => Err(offence(other, Problem::InvalidChunk).into()),
            },
            At::Trailers => Ok((trailers_end(bytes, from, limits)?, At::Trailers)),
        }
    }
}

/// The size that a chunk's line announces, and the position behind the line.
fn size_line(bytes: &[u8], start: usize) -> Result<(u64, usize), Stop> {
    let mut size = 0_u64;
    let mut at = start;
    loop {
        let byte = byte_at(bytes, at)?;
        let Some(digit) = char::from(byte).to_digit(16) else {
            break;
        };
        if at - start == SIZE_DIGITS_MAX {
            return Err(Problem::InvalidChunk.into());
        }
        size = size << 4 | u64::from(digit);
        at += 1;
    }
    match byte_at(bytes, at)? {
        b'\r' | b';' if at > start => {}
        other => return Err(offence(other, Problem::InvalidChunk).into()),
    }
    let extensions_start = at;
    loop {
        match byte_at(bytes, at)? {
            b'\r' => return Ok((size, line_end(bytes, at)?)),
            _ if at - extensions_start == EXTENSION_BYTES_MAX => {
                return Err(Problem::InvalidChunk.into());
            }
            b'\t' => at += 1,
            other if other.is_ascii_control() => {
                return Err(offence(other, Problem::ControlCharacter).into());
            }
            _ => at += 1,
        }
    }
}

/// Checks the trailers; returns the position behind their empty line.
fn trailers_end(bytes: &[u8], start: usize, limits: &Limits) -> Result<usize, Stop> {
    let window_end = bytes.len().min(start + TRAILER_BYTES_MAX);
    let window = &bytes[..window_end];
    match read_fields(window, start, limits.fields_max, check_trailer) {
        Err(Stop::Partial) if window_end == start + TRAILER_BYTES_MAX => {
            Err(Problem::TrailersTooLarge.into())
        }
        verdict => verdict,
    }
}

/// A trailer must not say how long the message is or for which host.
fn check_trailer(name: &[u8], _value: &[u8], _at: Span) -> Result<(), Problem> {
    if looks_like_framing(name) || name.eq_ignore_ascii_case(b"host") {
        Err(Problem::ForbiddenTrailer)
    } else {
        Ok(())
    }
}
