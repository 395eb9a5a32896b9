//! Clients behind proxies: whose word on an address counts, what ends a connection, and that budgets follow the address.

use super::charge::{acme, codes, limited};
use super::*;
use crate::http::{Problem, ProxyFault};
use crate::shard::config::ProxyProtocol;
use std::net::IpAddr;

const CLIENT: &str = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";
const OTHER: &str = "PROXY TCP4 192.0.2.2 198.51.100.1 56324 443\r\n";
const BINARY: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\0\x02\x01\xc6\x33\x64\x01\0\x01\0\x02";
const LIVE: &[u8] = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A room that trusts proxies of 10.0.0.0/8.
fn room(protocol: ProxyProtocol) -> Room {
    let mut room = Room::new(1, |config| {
        config.proxies.protocol = protocol;
        config.proxies.trusted = "10.0.0.0/8".parse().unwrap();
    });
    room.begin();
    room
}

fn proxy(room: &mut Room) -> ConnId {
    room.connect_at(0, address("10.1.1.1"))
}

/// How many headers were taken, named no address, were missing, malformed and refused.
fn counts(room: &Room) -> [u64; 5] {
    let headers = &room.stats.shards[0].proxy_headers;
    [
        &headers.taken,
        &headers.without_address,
        &headers.missing,
        &headers.malformed,
        &headers.refused,
    ]
    .map(|cell| cell.get())
}

/// The connection was ended, and not a byte was sent.
fn is_broken_off(room: &Room, conn: ConnId) -> bool {
    room.received(0, conn).is_empty() && room.shut.contains(&(0, conn))
}

#[test]
fn a_header_in_pieces_is_taken_and_what_follows_is_answered_in_order() {
    let mut room = room(ProxyProtocol::Required);
    for header in [CLIENT.as_bytes(), BINARY] {
        let requests = [
            post(&record(1)).as_bytes(),
            LIVE,
            post(&record(1)).as_bytes(),
        ]
        .concat();
        let stream = [header, &requests].concat();
        for piece_bytes in [
            1,
            7,
            header.len() - 1,
            header.len(),
            header.len() + 1,
            stream.len(),
        ] {
            let conn = proxy(&mut room);
            for piece in stream.chunks(piece_bytes) {
                room.send(0, conn, piece);
            }
            let received = room.received(0, conn);
            assert_eq!(
                statuses(&received),
                [200, 200, 200],
                "{piece_bytes}: {received}"
            );
        }
    }
    assert_eq!(counts(&room), [12, 0, 0, 0, 0]);
}

#[test]
fn a_header_is_refused_by_name_unless_a_trusted_proxy_sends_it_once() {
    let modes = [
        ProxyProtocol::Off,
        ProxyProtocol::Optional,
        ProxyProtocol::Required,
    ];
    for mode in modes {
        let mut room = room(mode);
        for header in [CLIENT.as_bytes(), BINARY] {
            let spoofer = room.connect_at(0, address("192.0.2.9"));
            room.send(0, spoofer, &[header, LIVE].concat());
            assert_eq!(codes(&room.received(0, spoofer)), ["proxy_protocol"]);
            let proxy = proxy(&mut room);
            room.send(0, proxy, &[header, header, LIVE].concat());
            assert_eq!(codes(&room.received(0, proxy)), ["proxy_protocol"]);
        }
        let taken = match mode {
            ProxyProtocol::Off => 0,
            ProxyProtocol::Optional | ProxyProtocol::Required => 2,
        };
        assert_eq!(counts(&room), [taken, 0, 0, 0, 4]);
    }
}

#[test]
fn without_a_header_a_trusted_proxy_is_served_where_it_is_optional_and_others_always_are() {
    for (mode, from, serves) in [
        (ProxyProtocol::Off, "10.1.1.1", true),
        (ProxyProtocol::Optional, "10.1.1.1", true),
        (ProxyProtocol::Optional, "192.0.2.9", true),
        (ProxyProtocol::Required, "10.1.1.1", false),
        (ProxyProtocol::Required, "::ffff:10.1.1.1", false),
        (ProxyProtocol::Required, "192.0.2.9", true),
    ] {
        let mut room = room(mode);
        let conn = room.connect_at(0, address(from));
        room.send(0, conn, &[b"\r\n", LIVE].concat());
        if serves {
            assert_eq!(statuses(&room.received(0, conn)), [200], "{mode:?} {from}");
        } else {
            assert!(is_broken_off(&room, conn), "{mode:?} {from}");
        }
        assert_eq!(counts(&room), [0, 0, u64::from(!serves), 0, 0]);
    }
}

#[test]
fn a_malformed_header_ends_the_connection_and_the_keeper_learns_how_many() {
    let mut room = room(ProxyProtocol::Optional);
    for header in [
        &b"PROXY TCP4 192.0.2.1\r\n"[..],
        b"\r\n\r\n\0\r\nQUIT\n\x31",
    ] {
        let conn = proxy(&mut room);
        room.send(0, conn, &[header, LIVE].concat());
        assert!(is_broken_off(&room, conn));
        // What still comes is thrown away, and the end of patience is the end.
        room.send(0, conn, LIVE);
        room.pass(1_100_000);
        assert!(room.closed.contains(&(0, conn)));
        assert_eq!(room.received(0, conn), "");
    }
    assert_eq!(counts(&room), [0, 0, 0, 2, 0]);
    let told = room
        .to_keeper
        .iter()
        .filter_map(|(_, message)| match message {
            ToKeeper::ProxyFault {
                fault,
                connections_count,
            } => Some((*fault, *connections_count)),
            _ => None,
        });
    let told: Vec<(ProxyFault, u32)> = told.collect();
    assert_eq!(
        told,
        [(ProxyFault::Malformed, 1), (ProxyFault::Malformed, 1)]
    );
}

#[test]
fn a_header_is_part_of_what_must_come_in_time() {
    let mut room = room(ProxyProtocol::Required);
    let [half, header, idle] = [proxy(&mut room), proxy(&mut room), proxy(&mut room)];
    room.send(0, half, &CLIENT.as_bytes()[..20]);
    room.send(0, header, &CLIENT.as_bytes()[..20]);
    room.pass(3_000_000);
    // The rest of the header and half a head: their clock began with the first byte of the header.
    room.send(0, header, &[&CLIENT.as_bytes()[20..], &LIVE[..10]].concat());
    room.pass(2_200_000);
    for conn in [half, header] {
        assert_eq!(codes(&room.received(0, conn)), ["head_timeout"]);
    }
    assert_eq!(room.received(0, idle), "");
    room.pass(75_000_000);
    assert!(
        room.closed.contains(&(0, idle)),
        "it is idle like any other"
    );
}

#[test]
fn other_protocols_are_named_behind_a_header_too() {
    let mut room = room(ProxyProtocol::Required);
    let conn = proxy(&mut room);
    room.send(
        0,
        conn,
        &[CLIENT.as_bytes(), b"\x16\x03\x01\x02\x00\x01\x00"].concat(),
    );
    let code = Problem::TlsOnPlainPort.code();
    assert_eq!(codes(&room.received(0, conn)), [code]);
}

#[test]
fn a_connection_with_a_header_and_nothing_else_ends_with_its_client() {
    let mut room = room(ProxyProtocol::Required);
    for header in [CLIENT, &CLIENT[..9], ""] {
        let conn = proxy(&mut room);
        room.send(0, conn, header.as_bytes());
        room.event(0, Event::Ended(conn));
        room.run();
        assert!(room.closed.contains(&(0, conn)), "{header:?}");
    }
    assert_eq!(counts(&room)[2..], [0, 0, 0]);
}

/// The code that a request of the tenant `acme` on a new connection gets.
fn code_of(room: &mut Room, from: &str, preface: &str, request: &str) -> String {
    let conn = room.connect_at(0, address(from));
    room.send(0, conn, [preface, request].concat().as_bytes());
    let [code] = &codes(&room.received(0, conn))[..] else {
        panic!("one answer: {}", room.received(0, conn));
    };
    code.clone()
}

/// A room with a limited tenant, in which the address has used up its part that sends this.
fn overdrawn(from: &str, preface: &str, forwarded: &str) -> Room {
    let mut room = limited(|config| {
        config.proxies.protocol = ProxyProtocol::Optional;
        config.proxies.trusted = "10.0.0.0/8".parse().unwrap();
    });
    let forged = forwarded_for(&acme(&record_signed(1, "no key of it")), forwarded);
    assert_eq!(
        code_of(&mut room, from, preface, &forged),
        "signature_invalid"
    );
    let is_address = |word: &&u32| **word > super::charge::UNAUTHENTICATED;
    let word = *room.buckets.taken.keys().find(is_address).unwrap();
    room.buckets.left = [(word, 0)].into();
    room
}

fn forwarded_for(request: &str, list: &str) -> String {
    match list {
        "" => request.to_owned(),
        _ => request.replace("Host: a", &format!("Host: a\r\nX-Forwarded-For: {list}")),
    }
}

#[test]
fn the_quota_of_an_address_is_that_of_the_address_in_the_header() {
    let mut room = overdrawn("10.1.1.1", CLIENT, "");
    for (from, preface, expect) in [
        ("10.1.1.1", CLIENT, "quota_exceeded"),
        ("10.1.1.1", OTHER, "200"),
        ("10.1.1.1", "PROXY UNKNOWN\r\n", "200"),
        ("10.1.1.1", "", "200"),
        ("10.9.9.9", CLIENT, "quota_exceeded"),
        ("192.0.2.1", "", "quota_exceeded"),
        ("192.0.2.2", "", "200"),
    ] {
        let code = code_of(&mut room, from, preface, &acme(&record(2)));
        assert_eq!(code, expect, "{from} {preface:?}");
    }
    let conn = proxy(&mut room);
    room.send(0, conn, &[BINARY, acme(&record(2)).as_bytes()].concat());
    assert_eq!(codes(&room.received(0, conn)), ["quota_exceeded"]);
}

#[test]
fn the_quota_of_an_address_is_that_of_the_last_one_that_is_no_trusted_proxy_s() {
    let in_header = "PROXY TCP4 10.2.2.2 198.51.100.1 1 2\r\n";
    for (from, preface, list, expect) in [
        ("10.1.1.1", "", "192.0.2.1", "quota_exceeded"),
        ("10.1.1.1", "", "192.0.2.2, 192.0.2.1", "quota_exceeded"),
        ("10.1.1.1", "", "192.0.2.1, 192.0.2.2", "200"),
        ("10.1.1.1", "", "192.0.2.1, 10.3.3.3", "quota_exceeded"),
        ("10.1.1.1", "", "192.0.2.1, somebody", "200"),
        ("10.1.1.1", "", "", "200"),
        // The header names another proxy: it is that one's word that counts.
        ("10.1.1.1", in_header, "192.0.2.1", "quota_exceeded"),
        // The header names a client: what it says of others counts for nothing, and it is charged itself.
        ("10.1.1.1", OTHER, "192.0.2.1", "200"),
        ("10.1.1.1", CLIENT, "192.0.2.2", "quota_exceeded"),
        ("192.0.2.2", "", "192.0.2.1", "200"),
        ("192.0.2.1", "", "192.0.2.2", "quota_exceeded"),
    ] {
        let mut room = overdrawn("10.1.1.1", "", "192.0.2.1");
        let request = forwarded_for(&acme(&record(2)), list);
        let code = code_of(&mut room, from, preface, &request);
        assert_eq!(code, expect, "{from} {preface:?} {list:?}");
        let asking = request.replace("Host: a", "Host: a\r\nExpect: 100-continue");
        let head = &asking[..asking.find("\r\n\r\n").unwrap() + 4];
        let code = code_of(&mut room, from, preface, head);
        let asked = match expect {
            "200" => "100",
            refused => refused,
        };
        assert_eq!(code, asked, "{from} {preface:?} {list:?}");
    }
}

#[test]
fn requests_of_one_connection_are_charged_to_the_client_of_each() {
    let mut room = overdrawn("10.1.1.1", "", "192.0.2.1");
    let conn = proxy(&mut room);
    let lists = ["192.0.2.2", "192.0.2.1", "", "192.0.2.1"];
    let requests = lists.map(|list| forwarded_for(&acme(&record(2)), list));
    room.send(0, conn, requests.concat().as_bytes());
    let received = codes(&room.received(0, conn));
    assert_eq!(received, ["200", "quota_exceeded", "200", "quota_exceeded"]);
}

/// Part of a large body, behind a header, in two turns: memory is held for the address of the proxy first.
fn begin_large(room: &mut Room, header: &str) -> ConnId {
    let conn = proxy(room);
    let body = "x".repeat(1_000_000);
    let text = [header, &post(&body)].concat();
    room.send(0, conn, &text.as_bytes()[..20]);
    room.send(0, conn, &text.as_bytes()[20..120_000]);
    conn
}

#[test]
fn memory_is_shared_out_by_the_addresses_in_headers() {
    let mut room = Room::new(1, |config| {
        config.limits.body_bytes_total_max = 1_100_000;
        config.limits.unread_bytes_total_max = 400_000;
        config.proxies.protocol = ProxyProtocol::Required;
        config.proxies.trusted = "10.0.0.0/8".parse().unwrap();
    });
    room.begin();
    let mut greedy = Vec::new();
    for _ in 0..4 {
        greedy.push(begin_large(&mut room, CLIENT));
        room.pass(50_000);
    }
    let modest = begin_large(&mut room, OTHER);
    assert_eq!(room.received(0, modest), "");
    assert_eq!(statuses(&room.received(0, greedy[3])), [503]);
    for conn in &greedy[..3] {
        assert_eq!(room.received(0, *conn), "");
    }
    for conn in greedy.into_iter().chain([modest]) {
        room.event(0, Event::Broken(conn));
    }
    room.run();
    assert_eq!(room.stats.shards[0].connections.get(), 0);
}

#[test]
fn whoever_waits_for_memory_with_half_a_header_goes_on_when_there_is_some() {
    let mut room = Room::new(1, |config| {
        config.limits.head_bytes_total_max = 16 * 1024;
        config.proxies.protocol = ProxyProtocol::Required;
        config.proxies.trusted = "10.0.0.0/8".parse().unwrap();
    });
    room.begin();
    let (holder, waiting) = (proxy(&mut room), proxy(&mut room));
    room.send(0, holder, &CLIENT.as_bytes()[..20]);
    room.send(0, waiting, &OTHER.as_bytes()[..20]);
    assert!(room.paused.contains(&(0, waiting.slot)));
    room.send(0, holder, &[&CLIENT.as_bytes()[20..], LIVE].concat());
    assert_eq!(statuses(&room.received(0, holder)), [200]);
    assert!(!room.paused.contains(&(0, waiting.slot)));
    room.send(0, waiting, &[&OTHER.as_bytes()[20..], LIVE].concat());
    assert_eq!(statuses(&room.received(0, waiting)), [200]);
}
