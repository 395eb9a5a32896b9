//! Reads the header that a proxy sends in front of a connection: version 1 or 2 of the PROXY protocol. It never decides whose
//! header counts, never looks past the header, and keeps no state between calls.
//!
//! The first wrong byte decides, so the result does not depend on how the bytes were cut into packets: every prefix of a
//! stream gives either `Partial` or the result of the whole stream. Choices where the specification allows several:
//! - What is written in another way than a proxy writes it is malformed: leading zeros, more than one space, datagrams.
//! - Version 1 has at most 107 bytes with its CRLF. A line of version 2 has at most 536, which is what fits into every packet.
//! - `UNKNOWN`, `LOCAL`, and the families `UNSPEC` and `UNIX` name no address of a client: that of the connection stands.
//! - Types behind the addresses (TLVs) are skipped unread.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest header of version 1, its CRLF included.
pub const LINE_BYTES_MAX: usize = 107;
/// Longest header of version 2.
pub const BINARY_BYTES_MAX: usize = 536;

/// What the bytes received so far hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyStatus {
    /// More bytes are needed.
    Partial,
    /// They begin no header.
    Absent,
    /// A whole header.
    Complete(ProxyHeader),
    /// They begin like a header and are none.
    Malformed,
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Bytes up to what the client sent.
    pub header_len: usize,
    /// The address of the client; nothing where the proxy speaks for itself or does not know.
    pub client: Option<IpAddr>,
}

/// What is wrong with the beginning of a connection whose proxy is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFault {
    /// No header, where one is required.
    Missing,
    /// A header that is none.
    Malformed,
}

impl ProxyFault {
    /// All of them.
    pub const ALL: [ProxyFault; 2] = [ProxyFault::Missing, ProxyFault::Malformed];
}

const LINE_SIGNATURE: &[u8] = b"PROXY ";
const BINARY_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of version 2 up to its addresses.
const BINARY_FIXED_BYTES: usize = 16;

/// Reads the header at the front of `bytes`, which may hold a part of it or bytes of the client as well.
#[must_use]
pub fn read_proxy_header(bytes: &[u8]) -> ProxyStatus {
    let begins_with = |signature: &[u8]| {
        let both = bytes.iter().zip(signature);
        both.take_while(|(a, b)| a == b).count() == bytes.len().min(signature.len())
    };
    if begins_with(LINE_SIGNATURE) {
        match bytes.get(LINE_SIGNATURE.len()..) {
            Some(_) => line(bytes),
            None => ProxyStatus::Partial,
        }
    } else if begins_with(BINARY_SIGNATURE) {
        match bytes.get(BINARY_SIGNATURE.len()..) {
            Some(_) => binary(bytes),
            None => ProxyStatus::Partial,
        }
    } else {
        ProxyStatus::Absent
    }
}

/// Version 1: one line of text.
fn line(bytes: &[u8]) -> ProxyStatus {
    let window = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
        return match window.len() {
            LINE_BYTES_MAX => ProxyStatus::Malformed,
            _ => ProxyStatus::Partial,
        };
    };
    let text = window[LINE_SIGNATURE.len()..end].strip_suffix(b"\r");
    let text = text.and_then(|text| std::str::from_utf8(text).ok());
    let text = text.filter(|text| text.is_ascii());
    match text.and_then(line_client) {
        Some(client) => ProxyStatus::Complete(ProxyHeader {
            header_len: end + 1,
            client,
        }),
        None => ProxyStatus::Malformed,
    }
}

/// What a line says of the client; nothing where it is malformed.
fn line_client(text: &str) -> Option<Option<IpAddr>> {
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let mut words = text.split(' ');
    let family = words.next()?;
    let [source, destination] = [words.next()?, words.next()?];
    let ports_are_sound = is_port(words.next()?) && is_port(words.next()?);
    if !ports_are_sound || words.next().is_some() {
        return None;
    }
    match family {
        "TCP4" => {
            let _destination: Ipv4Addr = destination.parse().ok()?;
            Some(Some(IpAddr::V4(source.parse().ok()?)))
        }
        "TCP6" => {
            let _destination: Ipv6Addr = destination.parse().ok()?;
            Some(Some(IpAddr::V6(source.parse().ok()?)))
        }
        _ => None,
    }
}

fn is_port(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    is_plain && !has_leading_zero && text.parse::<u16>().is_ok()
}

/// Whose connection a header of version 2 is about.
#[derive(Clone, Copy)]
enum Command {
    /// The proxy's own, such as a health check.
    Local,
    /// A client's.
    Proxy,
}

/// Version 2: a fixed part, addresses, and types that are skipped.
fn binary(bytes: &[u8]) -> ProxyStatus {
    let fixed = |at: usize| bytes.get(BINARY_SIGNATURE.len() + at).copied();
    let Some(version_and_command) = fixed(0) else {
        return ProxyStatus::Partial;
    };
    let command = match version_and_command {
        0x20 => Command::Local,
        0x21 => Command::Proxy,
        _ => return ProxyStatus::Malformed,
    };
    let Some(family) = fixed(1) else {
        return ProxyStatus::Partial;
    };
    let addresses_bytes_min = match (command, family) {
        (Command::Local, _) | (Command::Proxy, 0x00) => 0,
        (Command::Proxy, 0x11) => 12,
        (Command::Proxy, 0x21) => 36,
        (Command::Proxy, 0x31) => 216,
        (Command::Proxy, _) => return ProxyStatus::Malformed,
    };
    let (Some(high), Some(low)) = (fixed(2), fixed(3)) else {
        return ProxyStatus::Partial;
    };
    let rest_bytes = usize::from(u16::from_be_bytes([high, low]));
    let header_len = BINARY_FIXED_BYTES + rest_bytes;
    if header_len > BINARY_BYTES_MAX || rest_bytes < addresses_bytes_min {
        return ProxyStatus::Malformed;
    }
    let Some(addresses) = bytes.get(BINARY_FIXED_BYTES..header_len) else {
        return ProxyStatus::Partial;
    };
    let client = match (command, family) {
        (Command::Proxy, 0x11) => addresses
            .first_chunk()
            .copied()
            .map(<IpAddr as From<[u8; 4]>>::from),
        (Command::Proxy, 0x21) => addresses
            .first_chunk()
            .copied()
            .map(<IpAddr as From<[u8; 16]>>::from),
        _ => None,
    };
    ProxyStatus::Complete(ProxyHeader { header_len, client })
}
