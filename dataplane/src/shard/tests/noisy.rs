//! A tenant that sends ten times its quota gets its quota, and the other one all that it asks for.

use super::charge::{acme, codes};
use super::snapshots::{document, resolve};
use super::*;
use crate::snapshot::{LimitsDocument, Resolver};

const PER_S: u32 = 20;
const SECONDS: u64 = 20;
const NOISY: u64 = 10 * PER_S as u64 * SECONDS;

/// A room with the driver's own buckets, in which `acme` is limited.
fn room(limits: LimitsDocument) -> Room {
    let mut first = document(0, &["acme", "default"]);
    first.tenants[0].limits = limits;
    let first = resolve(&mut Resolver::default(), &first);
    let mut room = Room::new(1, |config| config.snapshot = first.clone());
    room.buckets.real = Some(crate::driver::rate::Buckets::default());
    room.begin();
    room
}

/// What a connection got since the last look.
fn taken(room: &mut Room, conn: ConnId) -> String {
    let bytes = room.sent.remove(&(0, conn.slot)).unwrap_or_default();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn nine_of_ten_requests_above_a_quota_are_429_and_none_of_the_other_tenant_is() {
    let mut room = room(LimitsDocument {
        rate: PER_S,
        burst: 1,
        ..LimitsDocument::default()
    });
    let (noisy, quiet) = (room.connect(0), room.connect(0));
    let (mut granted, mut refused) = (0, 0);
    for number in 0..NOISY {
        room.pass(1_000_000 * SECONDS / NOISY);
        room.send(0, noisy, acme(&record(number)).as_bytes());
        let answer = taken(&mut room, noisy);
        match codes(&answer)[..] {
            [ref code] if code == "200" => granted += 1,
            [ref code] if code == "rate_limited" => {
                // The next one fits within a twentieth of a second: rounded up to whole ones.
                assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
                refused += 1;
            }
            ref other => panic!("{other:?}"),
        }
        if number % 2 == 0 {
            room.send(0, quiet, post(&record(NOISY + number)).as_bytes());
            assert_eq!(codes(&taken(&mut room, quiet)), ["200"]);
        }
    }
    assert_eq!(granted + refused, NOISY);
    let off = (refused as f64 / NOISY as f64 - 0.9).abs();
    assert!(off <= 0.01, "{refused} of {NOISY}");
    let written = kinds(&room).iter().filter(|kind| *kind == "body").count() as u64;
    assert_eq!(
        written,
        granted + NOISY / 2,
        "what is refused is not in the log"
    );
}

#[test]
fn who_waits_for_as_long_as_it_was_told_is_served_and_who_comes_before_is_not() {
    let mut room = room(LimitsDocument {
        bytes_per_s: 100,
        ..LimitsDocument::default()
    });
    let conn = room.connect(0);
    room.send(0, conn, acme(&record(1)).as_bytes());
    assert_eq!(
        codes(&taken(&mut room, conn)),
        ["200"],
        "the first may overdraw it"
    );
    room.send(0, conn, acme(&record(2)).as_bytes());
    let told = taken(&mut room, conn);
    let (_, rest) = told.split_once("\r\nRetry-After: ").unwrap();
    let wait_s: u64 = rest.split("\r\n").next().unwrap().parse().unwrap();
    assert!(wait_s > 1, "{told}");
    room.pass((wait_s - 1) * 1_000_000 - 1_000);
    room.send(0, conn, acme(&record(2)).as_bytes());
    assert_eq!(codes(&taken(&mut room, conn)), ["quota_exceeded"]);
    room.pass(1_001_000);
    room.send(0, conn, acme(&record(2)).as_bytes());
    assert_eq!(codes(&taken(&mut room, conn)), ["200"]);
}
