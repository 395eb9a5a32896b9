//! The client that proxies name in `X-Forwarded-For`: the last address of the list that is not a proxy's. It reads a head
//! that has been read before, and never decides whether the sender of the head is trusted.

use super::ascii;
use super::networks::Networks;
use std::net::{IpAddr, SocketAddr};

/// Most elements that are looked at: so many proxies stand behind each other nowhere.
pub const HOPS_MAX: usize = 32;

/// Who sent a request, if the sender of this whole head is trusted: each proxy appends the address that it got the request
/// from, so the list is read from its end, over all its lines, and ends at the first address that is not trusted. What stands
/// before that may be invented. Where something else than an address stands, the last address behind it counts; nothing
/// where there is none.
#[must_use]
pub fn forwarded_client(head: &[u8], trusted: &Networks) -> Option<IpAddr> {
    let lines = head.rsplit(|&byte| byte == b'\n');
    let values = lines.filter_map(value_of_line);
    let elements = values.flat_map(|value| value.rsplit(|&byte| byte == b','));
    let mut client = None;
    for element in elements.take(HOPS_MAX) {
        let Some(address) = address(ascii::trim(element)) else {
            break;
        };
        client = Some(address);
        if !trusted.contains(address) {
            break;
        }
    }
    client
}

fn value_of_line(line: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"x-forwarded-for:";
    let (name, value) = line.split_at_checked(NAME.len())?;
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    name.eq_ignore_ascii_case(NAME).then_some(value)
}

/// An address, with or without a port and brackets, as proxies write it.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    match bracketed {
        Some(inside) => inside.parse().ok().map(IpAddr::V6),
        None => text.parse().ok().or_else(with_port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(lines: &str) -> Option<String> {
        let trusted = "127.0.0.0/8, 10.0.0.0/8, 2001:db8:1::/48".parse().unwrap();
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        forwarded_client(head.as_bytes(), &trusted).map(|address| address.to_string())
    }

    #[test]
    fn the_last_address_that_is_not_a_proxy_s_is_the_client_s() {
        for (lines, expect) in [
            ("", None),
            ("X-Forwarded-For:\r\n", None),
            ("X-Forwarded-For: 192.0.2.1\r\n", Some("192.0.2.1")),
            ("x-forwarded-for:192.0.2.1\t\r\n", Some("192.0.2.1")),
            (
                "X-Forwarded-For: 198.51.100.9, 192.0.2.1\r\n",
                Some("192.0.2.1"),
            ),
            (
                "X-Forwarded-For: 198.51.100.9, 192.0.2.1, 10.1.1.1\r\n",
                Some("192.0.2.1"),
            ),
            ("X-Forwarded-For: 10.1.1.2,10.1.1.1\r\n", Some("10.1.1.2")),
            (
                "X-Forwarded-For: 2001:db8:2::1, 2001:db8:1::1\r\n",
                Some("2001:db8:2::1"),
            ),
            (
                "X-Forwarded-For: [2001:db8:2::1]:4711\r\n",
                Some("2001:db8:2::1"),
            ),
            (
                "X-Forwarded-For: [2001:db8:2::1]\r\n",
                Some("2001:db8:2::1"),
            ),
            ("X-Forwarded-For: 192.0.2.1:4711\r\n", Some("192.0.2.1")),
            ("X-Forwarded-For: 192.0.2.1, unknown\r\n", None),
            (
                "X-Forwarded-For: 192.0.2.1, unknown, 10.1.1.1\r\n",
                Some("10.1.1.1"),
            ),
            ("X-Forwarded-For: 192.0.2.1,\r\n", None),
            ("X-Forwarded-For: 192.0.2.256\r\n", None),
            ("X-Forwarded-For: [192.0.2.1]\r\n", None),
            ("X-Forwarded-Forx: 192.0.2.1\r\n", None),
            ("X-Forwarded: X-Forwarded-For: 192.0.2.1\r\n", None),
        ] {
            assert_eq!(client(lines).as_deref(), expect, "{lines:?}");
        }
    }

    #[test]
    fn lines_of_the_same_name_are_one_list() {
        let lines = "X-Forwarded-For: 198.51.100.9, 192.0.2.1\r\nAccept: a\r\nX-Forwarded-For: 10.1.1.1\r\n";
        assert_eq!(client(lines).as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn a_list_of_proxies_is_read_only_so_far() {
        let list = |proxies: usize| {
            let proxies = vec!["10.1.1.1"; proxies].join(", ");
            client(&format!("X-Forwarded-For: 192.0.2.1, {proxies}\r\n"))
        };
        assert_eq!(list(HOPS_MAX - 1).as_deref(), Some("192.0.2.1"));
        assert_eq!(list(HOPS_MAX).as_deref(), Some("10.1.1.1"));
    }
}
