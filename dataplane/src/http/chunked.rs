//! Chunked request bodies: decodes a body in place while it arrives. It never looks past the end of the body, allocates
//! nothing, and keeps no bytes: incomplete input stays in the caller's buffer.
//!
//! As in a head, the first wrong byte decides which problem is answered, however the body was cut into packets. Grammar:
//! a size of 1 to 8 hex digits, extensions of at most 1 KiB (ignored; no control character but tab), CRLF, the bytes, CRLF.
//! A size of zero ends the chunks. Trailers of at most 8 KiB are checked like header fields and dropped.

use super::fields::looks_like_framing;
use super::framing::{FramingStop, byte_at, line_end, offence, read_fields};
use super::head::HttpLimits;
use super::problem::Problem;
use super::request::Span;

/// Most hex digits of a chunk's size.
const SIZE_DIGITS_MAX: usize = 8;
/// Most bytes of one chunk's extensions, the first semicolon included.
pub const EXTENSION_BYTES_MAX: usize = 1024;
/// Most bytes after the last chunk, final empty line included.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Most bytes behind the content: the line end of its last chunk, the line of the chunk of size zero, and the trailers.
pub const FRAMING_BEHIND_BYTES_MAX: usize =
    2 + (SIZE_DIGITS_MAX + EXTENSION_BYTES_MAX + 2) + TRAILER_BYTES_MAX;

/// The position of a reader in a chunked body. It is small because every connection holds one.
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
    /// In a chunk's bytes; so many have not arrived.
    Data(u64),
    /// Between a chunk's bytes and their CRLF.
    DataEnd,
    /// After the line of the last chunk.
    Trailers,
}

/// One element of a chunked body was read; the position is where the next byte is.
enum Element {
    /// The body goes on.
    More(usize),
    /// It was the last one.
    Last(usize),
}

/// The state of a body after the bytes received so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// More bytes are needed. The caller keeps the first `kept_bytes` (decoded content, then input that is not complete
    /// yet) and passes them at the front of the next call.
    Partial {
        /// How many bytes to keep.
        kept_bytes: usize,
    },
    /// The body is complete: its content is at the front, and the next request begins at `end`.
    Whole {
        /// Bytes of content.
        body_bytes: usize,
        /// Position after the trailers.
        end: usize,
    },
    /// Framing is broken: answer this and close.
    Refused(Problem),
}

/// The state of a discarded body after the bytes received so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// More bytes are needed. The caller drops the first `gone_bytes` and passes the others at the front of the next call.
    Partial {
        /// How many bytes to drop.
        gone_bytes: usize,
    },
    /// The body has ended: the next request begins at `end`.
    Whole {
        /// Position after the trailers.
        end: usize,
    },
    /// The framing is malformed, or the content exceeds the limit: the next request cannot be found.
    Refused(Problem),
}

impl Decoder {
    /// Bytes of content decoded so far.
    #[must_use]
    pub const fn decoded_bytes(&self) -> u64 {
        self.decoded_bytes
    }

    /// Bytes of the current chunk that have not arrived.
    #[must_use]
    pub const fn awaited_bytes(&self) -> u64 {
        match self.at {
            At::Data(missing) => missing,
            _ => 0,
        }
    }

    /// Decodes further. `bytes` starts with the content decoded so far, followed by encoded bytes; new content is moved up
    /// behind the old.
    pub fn decode(&mut self, bytes: &mut [u8], limits: &HttpLimits) -> Decoded {
        let mut from = self.decoded_bytes as usize;
        loop {
            let (at, decoded_bytes) = (self.at, self.decoded_bytes as usize);
            match self.step(bytes, from, limits) {
                Ok(Element::Last(end)) => {
                    return Decoded::Whole {
                        body_bytes: decoded_bytes,
                        end,
                    };
                }
                Ok(Element::More(next)) => {
                    if let At::Data(_) = at {
                        bytes.copy_within(from..next, decoded_bytes);
                    }
                    from = next;
                }
                Err(FramingStop::Refused(problem)) => return Decoded::Refused(problem),
                Err(FramingStop::Partial) => break,
            }
        }
        let to = self.decoded_bytes as usize;
        if let At::Data(missing) = self.at {
            // Every byte that has arrived belongs to the chunk and was moved.
            debug_assert!(missing > 0 && from == bytes.len());
        }
        bytes.copy_within(from.., to);
        Decoded::Partial {
            kept_bytes: to + (bytes.len() - from),
        }
    }

    /// Skips further over a body whose content is discarded. `bytes` starts after what was decoded or skipped before. The
    /// grammar and its problems are those of [`Decoder::decode`].
    pub fn skip(&mut self, bytes: &[u8], limits: &HttpLimits) -> Skipped {
        let mut gone_bytes = 0;
        loop {
            match self.step(bytes, gone_bytes, limits) {
                Ok(Element::Last(end)) => return Skipped::Whole { end },
                Ok(Element::More(next)) => gone_bytes = next,
                Err(FramingStop::Refused(problem)) => return Skipped::Refused(problem),
                Err(FramingStop::Partial) => return Skipped::Partial { gone_bytes },
            }
        }
    }

    /// Reads one element at `from`: a size line, bytes of a chunk, their CRLF, or the trailers.
    fn step(
        &mut self,
        bytes: &[u8],
        from: usize,
        limits: &HttpLimits,
    ) -> Result<Element, FramingStop> {
        let (next, at) = self.element(bytes, from, limits)?;
        let is_last = self.at == At::Trailers;
        if let At::Data(missing) = self.at {
            debug_assert!((next - from) as u64 <= missing);
            self.decoded_bytes += (next - from) as u64;
        }
        self.at = at;
        Ok(match is_last {
            true => Element::Last(next),
            false => Element::More(next),
        })
    }

    /// The end of the element at `from`, and the position of the reader there.
    fn element(
        &self,
        bytes: &[u8],
        from: usize,
        limits: &HttpLimits,
    ) -> Result<(usize, At), FramingStop> {
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
                    return Err(FramingStop::Partial);
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

/// The size in a chunk's size line, and the position after the line.
fn size_line(bytes: &[u8], start: usize) -> Result<(u64, usize), FramingStop> {
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

/// Checks the trailers; returns the position after their empty line.
fn trailers_end(bytes: &[u8], start: usize, limits: &HttpLimits) -> Result<usize, FramingStop> {
    let window_end = bytes.len().min(start + TRAILER_BYTES_MAX);
    let window = &bytes[..window_end];
    match read_fields(window, start, limits.fields_max, check_trailer) {
        Err(FramingStop::Partial) if window_end == start + TRAILER_BYTES_MAX => {
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
