//! Any bytes as what a proxy says of a client: the verdict on a header must not depend on how it was cut into packets, nor on
//! what follows it, and only an address that is written in the list comes out of `X-Forwarded-For`.
#![no_main]

use flk_dataplane::http::proxy::{BINARY_BYTES_MAX, LINE_BYTES_MAX};
use flk_dataplane::http::{Networks, ProxyStatus, forwarded_client, read_proxy_header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = read_proxy_header(bytes);
    for cut in 0..bytes.len().min(BINARY_BYTES_MAX + 8) {
        let part = read_proxy_header(&bytes[..cut]);
        assert!(
            part == ProxyStatus::Partial || part == whole,
            "cut at {cut}: {part:?}, whole: {whole:?}"
        );
    }
    match whole {
        ProxyStatus::Complete(header) => {
            let bytes_max = match bytes[0] {
                b'P' => LINE_BYTES_MAX,
                _ => BINARY_BYTES_MAX,
            };
            assert!(header.header_len <= bytes_max);
            assert_eq!(read_proxy_header(&bytes[..header.header_len]), whole);
        }
        ProxyStatus::Partial => assert!(bytes.len() < BINARY_BYTES_MAX),
        ProxyStatus::Absent | ProxyStatus::Malformed => {}
    }
    forwarded(bytes);
});

fn forwarded(list: &[u8]) {
    let head = [b"POST / HTTP/1.1\r\nX-Forwarded-For: ", list, b"\r\n\r\n"].concat();
    let none = forwarded_client(&head, &Networks::default());
    let all: Networks = "0.0.0.0/0,::/0".parse().expect("networks");
    let first = forwarded_client(&head, &all);
    assert_eq!(none.is_some(), first.is_some(), "the last element decides");
    let text = String::from_utf8_lossy(list);
    for address in none.into_iter().chain(first).filter(|it| it.is_ipv4()) {
        assert!(
            text.contains(&address.to_string()),
            "{address} is not in {text:?}"
        );
    }
}
