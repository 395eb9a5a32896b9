//! Headers of the PROXY protocol: the rules as vectors of bytes, each also cut at every byte, and the reader beside a plain
//! one that looks at whole streams only and shares no code with it.

#![allow(clippy::unwrap_used)] // tests may

use flk_dataplane::http::{ProxyHeader, ProxyStatus, read_proxy_header};
use flk_testkit::change_one;
use proptest::prelude::*;
use std::net::IpAddr;

const SIGNATURE: &[u8] = b"\x0d\x0a\x0d\x0a\x00\x0d\x0aQUIT\x0a";

/// Reads the stream whole and every part of it, and insists that a part says nothing else than the whole.
fn read(stream: &[u8]) -> ProxyStatus {
    let whole = read_proxy_header(stream);
    for cut in 0..stream.len() {
        let part = read_proxy_header(&stream[..cut]);
        assert!(
            part == ProxyStatus::Partial || part == whole,
            "cut at {cut}: {part:?}, whole: {whole:?}"
        );
    }
    if let ProxyStatus::Complete(header) = whole {
        let alone = read_proxy_header(&stream[..header.header_len]);
        assert_eq!(alone, whole, "what follows a header changes nothing");
        let before = read_proxy_header(&stream[..header.header_len - 1]);
        assert_eq!(
            before,
            ProxyStatus::Partial,
            "it is whole with its last byte"
        );
    }
    whole
}

fn complete(header_len: usize, client: Option<&str>) -> ProxyStatus {
    ProxyStatus::Complete(ProxyHeader {
        header_len,
        client: client.map(|text| text.parse().unwrap()),
    })
}

fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = (rest.len() as u16).to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

#[test]
fn lines_that_proxies_write_are_read() {
    for (line, client) in [
        (
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
            Some("192.0.2.1"),
        ),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            Some("255.255.255.255"),
        ),
        (
            "PROXY TCP4 192.0.2.1 198.51.100.1 0 0\r\n",
            Some("192.0.2.1"),
        ),
        (
            "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n",
            Some("2001:db8::1"),
        ),
        (
            "PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::1 1 2\r\n",
            Some("2001:db8::1"),
        ),
        (
            "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 1 2\r\n",
            Some("::ffff:192.0.2.1"),
        ),
        ("PROXY UNKNOWN\r\n", None),
        (
            "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            None,
        ),
    ] {
        for behind in ["", "GET / HTTP/1.1\r\n", "\r\n", "\0"] {
            let stream = [line, behind].concat();
            assert_eq!(
                read(stream.as_bytes()),
                complete(line.len(), client),
                "{stream:?}"
            );
        }
    }
}

#[test]
fn lines_that_no_proxy_writes_are_malformed() {
    for line in [
        "PROXY \r\n",
        "PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1\t198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 -1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 \r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY TCP6 2001:db8::1%eth0 2001:db8::2 1 2\r\n",
        "PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\r\n",
        "PROXY UNKNOWN\n",
        "PROXY / HTTP/1.1\r\n",
        "PROXY UNKNOWN \u{fffd}\u{1f}\n",
    ] {
        assert_eq!(read(line.as_bytes()), ProxyStatus::Malformed, "{line:?}");
    }
    assert_eq!(read(b"PROXY UNKNOWN \xff\r\n"), ProxyStatus::Malformed);
}

#[test]
fn a_line_ends_within_107_bytes() {
    let line = |bytes: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(bytes - 16));
    assert_eq!(read(line(107).as_bytes()), complete(107, None));
    assert_eq!(read(line(108).as_bytes()), ProxyStatus::Malformed);
    let endless = &line(200).into_bytes()[..107];
    assert_eq!(read(endless), ProxyStatus::Malformed);
    assert_eq!(read(&endless[..106]), ProxyStatus::Partial);
}

#[test]
fn binary_headers_that_proxies_write_are_read() {
    let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb];
    let mut v6 = [0; 36];
    v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    v6[15] = 1;
    // Types as they come from a load balancer in a cloud: a checksum and an id of an endpoint.
    let types = b"\x03\x00\x04\x01\x02\x03\x04\xea\x00\x05\x01vpce";
    let unix = [b'/'; 216];
    for (header, client) in [
        (binary(0x21, 0x11, &v4), Some("192.0.2.1")),
        (
            binary(0x21, 0x11, &[&v4[..], types].concat()),
            Some("192.0.2.1"),
        ),
        (binary(0x21, 0x21, &v6), Some("2001:db8::1")),
        (
            binary(0x21, 0x21, &[&v6[..], types].concat()),
            Some("2001:db8::1"),
        ),
        (binary(0x21, 0x00, b""), None),
        (binary(0x21, 0x00, types), None),
        (binary(0x21, 0x31, &unix), None),
        (binary(0x20, 0x00, b""), None),
        (binary(0x20, 0x11, &v4), None),
        (binary(0x20, 0xff, types), None),
        (
            binary(0x21, 0x11, &[&v4[..], &[0; 508]].concat()),
            Some("192.0.2.1"),
        ),
    ] {
        for behind in ["", "GET / HTTP/1.1\r\n", "\r\n\r\n\0"] {
            let stream = [&header, behind.as_bytes()].concat();
            assert_eq!(read(&stream), complete(header.len(), client), "{stream:?}");
        }
    }
}

#[test]
fn binary_headers_that_no_proxy_writes_are_malformed() {
    for header in [
        binary(0x11, 0x11, &[0; 12]),
        binary(0x01, 0x11, &[0; 12]),
        binary(0x22, 0x11, &[0; 12]),
        binary(0x2f, 0x11, &[0; 12]),
        binary(0x21, 0x12, &[0; 12]),
        binary(0x21, 0x22, &[0; 36]),
        binary(0x21, 0x32, &[0; 216]),
        binary(0x21, 0x41, &[0; 36]),
        binary(0x21, 0x01, &[0; 36]),
        binary(0x21, 0x10, &[0; 36]),
        binary(0x21, 0x11, &[0; 11]),
        binary(0x21, 0x21, &[0; 35]),
        binary(0x21, 0x31, &[0; 215]),
        binary(0x21, 0x11, &[0; 521]),
        binary(0x20, 0x00, &[0; 521]),
        binary(0x20, 0x00, &[0; 65535]),
    ] {
        assert_eq!(read(&header), ProxyStatus::Malformed, "{header:?}");
    }
}

#[test]
fn what_begins_otherwise_is_no_header() {
    for stream in [
        "POST / HTTP/1.1\r\n",
        "PUT / HTTP/1.1\r\n",
        "PROXYS / HTTP/1.1\r\n",
        "proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
        "\r\nGET / HTTP/1.1\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\n",
        "\x16\x03\x01",
        " PROXY UNKNOWN\r\n",
    ] {
        assert_eq!(read(stream.as_bytes()), ProxyStatus::Absent, "{stream:?}");
    }
    for stream in ["", "P", "PROXY", "\r", "\r\n\r\n\0"] {
        assert_eq!(read(stream.as_bytes()), ProxyStatus::Partial, "{stream:?}");
    }
}

/// The same by plain means: the whole stream, text by text and number by number.
fn plainly(stream: &[u8]) -> ProxyStatus {
    let is_begun =
        |signature: &[u8]| stream.starts_with(signature) || signature.starts_with(stream);
    if is_begun(b"PROXY ") {
        return line_plainly(stream);
    }
    if !is_begun(SIGNATURE) {
        return ProxyStatus::Absent;
    }
    // What is not there yet could be anything: the verdict on what is there must not depend on it.
    let fixed: Vec<u8> = stream.iter().skip(12).take(4).copied().collect();
    let smallest = |family: u8| match family {
        0x00 => Some(0),
        0x11 => Some(12),
        0x21 => Some(36),
        0x31 => Some(216),
        _ => None,
    };
    let proxied = fixed.first() == Some(&0x21);
    let is_wrong = match fixed[..] {
        [] => false,
        [command, ..] if command != 0x20 && command != 0x21 => true,
        [_, family, ..] if proxied && smallest(family).is_none() => true,
        [_, family, high, low] => {
            let bytes = usize::from(high) * 256 + usize::from(low);
            bytes > 520 || (proxied && smallest(family).unwrap_or(0) > bytes)
        }
        _ => false,
    };
    if is_wrong {
        return ProxyStatus::Malformed;
    }
    let [_, family, high, low] = fixed[..] else {
        return ProxyStatus::Partial;
    };
    let header_len = 16 + usize::from(high) * 256 + usize::from(low);
    if stream.len() < header_len {
        return ProxyStatus::Partial;
    }
    let text = match (proxied, family) {
        (true, 0x11) => stream[16..20]
            .iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join("."),
        (true, 0x21) => {
            let groups = stream[16..32].chunks(2);
            let groups = groups.map(|pair| format!("{:02x}{:02x}", pair[0], pair[1]));
            groups.collect::<Vec<_>>().join(":")
        }
        _ => String::new(),
    };
    let named = !text.is_empty();
    complete(header_len, named.then_some(text.as_str()))
}

fn line_plainly(stream: &[u8]) -> ProxyStatus {
    let text: String = stream.iter().map(|&byte| char::from(byte)).collect();
    let Some((line, _)) = text
        .split_once('\n')
        .filter(|(line, _)| line.chars().count() < 107)
    else {
        return if stream.len() < 107 {
            ProxyStatus::Partial
        } else {
            ProxyStatus::Malformed
        };
    };
    let header_len = line.chars().count() + 1;
    let Some(line) = line.strip_suffix('\r') else {
        return ProxyStatus::Malformed;
    };
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] if line.is_ascii() => complete(header_len, None),
        ["PROXY", family, source, destination, from, to] => {
            let address = |text: &str| {
                let address = text.parse::<IpAddr>().ok()?;
                (address.is_ipv4() == (family == "TCP4")).then_some(address)
            };
            let ports = [from, to].map(|port| {
                let number: u16 = port.parse().ok()?;
                (number.to_string() == port).then_some(number)
            });
            let is_sound = ["TCP4", "TCP6"].contains(&family)
                && address(destination).is_some()
                && ports.iter().all(Option::is_some);
            match address(source).filter(|_| is_sound) {
                Some(client) => ProxyStatus::Complete(ProxyHeader {
                    header_len,
                    client: Some(client),
                }),
                None => ProxyStatus::Malformed,
            }
        }
        _ => ProxyStatus::Malformed,
    }
}

/// Sound headers, and those that are wrong in one place.
fn headers() -> impl Strategy<Value = Vec<u8>> {
    let line = (
        any::<IpAddr>(),
        any::<IpAddr>(),
        any::<u16>(),
        "TCP[46]|UNKNOWN",
    )
        .prop_map(|(source, destination, port, family)| {
            format!("PROXY {family} {source} {destination} {port} 443\r\n").into_bytes()
        });
    let command = prop_oneof![Just(0x20), Just(0x21), any::<u8>()];
    let family = prop_oneof![Just(0x00), Just(0x11), Just(0x21), Just(0x31), any::<u8>()];
    let rest = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        proptest::collection::vec(any::<u8>(), 200..540),
    ];
    let binary =
        (command, family, rest).prop_map(|(command, family, rest)| binary(command, family, &rest));
    prop_oneof![line, binary]
}

proptest! {
    #[test]
    fn the_reader_equals_the_plain_one(
        header in headers(),
        behind in proptest::collection::vec(any::<u8>(), 0..20),
        kind in 0usize..4,
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let sound = [header, behind].concat();
        let mut changed = sound.clone();
        change_one(&mut changed, kind, at.index(sound.len()), byte);
        for stream in [sound, changed] {
            prop_assert_eq!(read(&stream), plainly(&stream), "{:?}", stream);
        }
    }
}
