//! Number text against CPython: repr, rounding to nine decimals, `%.9f`. FLK_NUMBERS=1000000 compares that many doubles.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::excessive_precision
)]

mod common;

use common::oracle;
use flk_contract::number::{round9, write_fixed9, write_repr};
use flk_testkit::Dice;

const COUNT_DEFAULT: usize = 20_000;
const CHUNK: usize = 50_000;

fn repr(v: f64) -> String {
    let mut out = Vec::new();
    write_repr(&mut out, v);
    String::from_utf8(out).unwrap()
}

fn fixed9(v: f64) -> String {
    let mut out = Vec::new();
    write_fixed9(&mut out, v);
    String::from_utf8(out).unwrap()
}

/// One double of the kinds where number text goes wrong.
fn sample(random: &mut Dice) -> f64 {
    let sign = if random.below(2) == 0 { 1.0 } else { -1.0 };
    let unit = random.unit();
    let magnitude = match random.below(14) {
        0 => f64::from_bits(random.next_bits() & !(1 << 63)),
        1 => f64::from_bits(random.below(1 << 52)),
        2 => 1e-5 + unit * 9e-5,
        3 => 1e15 * 10f64.powf(2.0 * unit),
        4 => half_way(random),
        5 => unit,
        6 => (random.below(10_000) as f64) / 1000.0,
        7 => random.below(1 << 54) as f64,
        8 => neighbour(10f64.powi(random.below(617) as i32 - 308), random),
        9 => neighbour(2f64.powi(random.below(2000) as i32 - 1000), random),
        // exact binary halves of the ninth decimal: only %.9f sees the tie
        10 => (random.below(1 << 52)) as f64 / 1024.0,
        11 => neighbour(random.below(1_000_000) as f64 / 1e9, random),
        12 => unit * 1e-8,
        _ => (unit * 1e9).round() / 1e9 * 10f64.powi(random.below(8) as i32),
    };
    if magnitude.is_finite() {
        sign * magnitude
    } else {
        0.0
    }
}

/// A decimal text with a 5 behind the ninth decimal, or the double next to it.
fn half_way(random: &mut Dice) -> f64 {
    let digits_count = random.below(8) as u32;
    let whole = random.below(10u64.pow(digits_count));
    let text = format!("{whole}.{:09}5", random.below(1_000_000_000));
    neighbour(text.parse().unwrap(), random)
}

fn neighbour(v: f64, random: &mut Dice) -> f64 {
    match random.below(3) {
        0 => v.next_down(),
        1 => v.next_up(),
        _ => v,
    }
}

const EDGES: [f64; 24] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.0001,
    0.00001,
    9.999999999999999e-5,
    1e15,
    1e16,
    9_999_999_999_999_998.0,
    1e17,
    1e22,
    1e23,
    f64::MIN_POSITIVE,
    5e-324,
    f64::MAX,
    f64::MIN,
    0.1234567885,
    0.5e-9,
    -0.5e-9,
    0.499_999_999_999_999_94e-9,
    0.9999999995,
    9.9999999995,
    4_503_599_627_370_497.5,
];

#[test]
fn number_text_equals_cpythons() {
    let count = std::env::var("FLK_NUMBERS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(COUNT_DEFAULT);
    let mut random = Dice::new(0x6e75_6d62_6572);
    let mut compared = 0;
    while compared < count {
        let mut values: Vec<f64> = if compared == 0 {
            EDGES.to_vec()
        } else {
            vec![]
        };
        values.extend((0..CHUNK.min(count - compared)).map(|_| sample(&mut random)));
        let input: String = values
            .iter()
            .map(|v| format!("{:016x}\n", v.to_bits()))
            .collect();
        let Some(answer) = oracle("number_text.py", &input) else {
            return;
        };
        let lines: Vec<&str> = answer.lines().collect();
        assert_eq!(lines.len(), values.len());
        for (v, line) in values.iter().zip(lines) {
            let rounded = round9(*v);
            let ours = [repr(*v), repr(rounded), fixed9(rounded), fixed9(*v)].join(" ");
            assert_eq!(ours, line, "bits {:016x}", v.to_bits());
        }
        compared += values.len();
    }
    eprintln!("compared {compared} doubles with CPython");
}

#[test]
fn payload_numbers_are_the_text_of_the_rounded_value() {
    // the payload writer takes a short cut around the rounded double; this is its plain twin
    let mut random = Dice::new(7);
    let mut owned = common::parsed(&common::json(&common::members()));
    for _ in 0..50_000 {
        owned.d_hat = sample(&mut random);
        let mut payload = Vec::new();
        flk_contract::canonical::write_payload(
            &owned.view(),
            flk_contract::NumberForm::Repr,
            &mut payload,
        );
        let expected = format!("{{\"D_hat\":{},\"budget\"", repr(round9(owned.d_hat)));
        assert!(
            payload.starts_with(expected.as_bytes()),
            "bits {:016x}",
            owned.d_hat.to_bits()
        );
    }
}

/// What the comparison with CPython teaches, for machines without it.
#[test]
fn number_text_of_the_edges_is_pinned() {
    for (v, text, rounded, fixed) in [
        (0.0, "0.0", "0.0", "0.000000000"),
        (-0.0, "-0.0", "-0.0", "-0.000000000"),
        (1.0, "1.0", "1.0", "1.000000000"),
        (0.0001, "0.0001", "0.0001", "0.000100000"),
        (0.00001, "1e-05", "1e-05", "0.000010000"),
        (1e-9, "1e-09", "1e-09", "0.000000001"),
        (-1e-12, "-1e-12", "-0.0", "-0.000000000"),
        (
            1e15,
            "1000000000000000.0",
            "1000000000000000.0",
            "1000000000000000.000000000",
        ),
        (
            9999999999999998.0,
            "9999999999999998.0",
            "9999999999999998.0",
            "9999999999999998.000000000",
        ),
        (1e16, "1e+16", "1e+16", "10000000000000000.000000000"),
        (5e-324, "5e-324", "0.0", "0.000000000"),
        (0.1234567885, "0.1234567885", "0.123456789", "0.123456789"),
        (0.5e-9, "5e-10", "1e-09", "0.000000001"),
        (0.9999999995, "0.9999999995", "1.0", "1.000000000"),
        (
            123456.7890123456,
            "123456.7890123456",
            "123456.789012346",
            "123456.789012346",
        ),
        // 2^33 + 2^-10: %.9f sees an exact tie and goes to even, the shortest text has fewer decimals
        (
            8589934592.0009765625,
            "8589934592.000977",
            "8589934592.000977",
            "8589934592.000976562",
        ),
        (
            1.7976931348623157e308,
            "1.7976931348623157e+308",
            "1.7976931348623157e+308",
            "",
        ),
    ] {
        assert_eq!(repr(v), text);
        assert_eq!(repr(round9(v)), rounded);
        if !fixed.is_empty() {
            assert_eq!(fixed9(round9(v)), fixed);
        }
    }
}
