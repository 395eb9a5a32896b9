//! Measures how many Ed25519 signatures of digests one thread judges per second: by the strict check of ed25519-dalek, by the verdict of
//! this crate under keys without tables, and by the same under keys with them. The three take turns in one run, so that they meet the
//! same machine.
//!
//! `make bench-ed25519` builds and runs it. `--rounds` (400) turns of each way. It fails where a verdict is wrong, never for slowness.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use flk_contract::signature::{BASE_TABLE_BYTES, KEY_TABLE_BYTES, PublicKey};

/// Signatures that a way judges in its turn: some milliseconds, so that other programs meet few of the turns.
const TURN_COUNT: usize = 128;
/// Keys that sign in turn: one, some, and more than have tables in a gateway: theirs do not stay in the nearest cache.
const KEYS_COUNTS: [usize; 3] = [1, 16, 128];
const GOAL_PER_S: f64 = 40_000.0;
const GOAL_RATIO: f64 = 1.5;

struct Signed {
    key: usize,
    digest: [u8; 32],
    signature: [u8; 64],
}

/// The three ways, under the same keys.
struct Ways {
    strict: Vec<VerifyingKey>,
    plain: Vec<PublicKey>,
    with_table: Vec<PublicKey>,
    signed: Vec<Signed>,
}

/// Signatures per second of the ways, in one round.
struct Round {
    strict: f64,
    plain: f64,
    with_table: f64,
}

impl Ways {
    /// Other numbers make other keys and digests.
    fn under(keys_count: usize) -> Option<Self> {
        let mut seeds = (0_u64..).map(|number| {
            let mut seed = [0x5a; 32];
            seed[..8].copy_from_slice(&number.to_le_bytes());
            seed
        });
        let pairs: Vec<SigningKey> = (&mut seeds)
            .take(keys_count)
            .map(|seed| SigningKey::from_bytes(&seed))
            .collect();
        let strict: Vec<VerifyingKey> = pairs.iter().map(SigningKey::verifying_key).collect();
        let plain = strict
            .iter()
            .map(|key| PublicKey::from_bytes(key.to_bytes()).ok());
        let plain: Vec<PublicKey> = plain.collect::<Option<_>>()?;
        let mut with_table = plain.clone();
        with_table.iter_mut().for_each(PublicKey::add_table);
        let signed = seeds.take(TURN_COUNT).enumerate().map(|(at, digest)| {
            let key = at % keys_count;
            let signature = pairs[key].sign(&digest).to_bytes();
            Signed {
                key,
                digest,
                signature,
            }
        });
        Some(Self {
            strict,
            plain,
            with_table,
            signed: signed.collect(),
        })
    }

    /// Each way once; none: a verdict was wrong.
    fn round(&self) -> Option<Round> {
        let strict = self.rate(|it| {
            let signature = Signature::from_bytes(&it.signature);
            self.strict[it.key]
                .verify_strict(&it.digest, &signature)
                .is_ok()
        });
        let plain = self.rate(|it| self.plain[it.key].verify(&it.digest, &it.signature));
        let with_table = self.rate(|it| self.with_table[it.key].verify(&it.digest, &it.signature));
        Some(Round {
            strict: strict?,
            plain: plain?,
            with_table: with_table?,
        })
    }

    fn rate(&self, is_valid: impl Fn(&Signed) -> bool) -> Option<f64> {
        let begun = Instant::now();
        let are_valid = self
            .signed
            .iter()
            .all(|it| black_box(is_valid(black_box(it))));
        let took = begun.elapsed();
        are_valid.then_some(TURN_COUNT as f64 / took.as_secs_f64())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One line of the table; whether both goals were met.
fn line(keys_count: usize, rounds: &[Round]) -> bool {
    let of = |rate: fn(&Round) -> f64| median(rounds.iter().map(rate).collect());
    let (strict, plain, new) = (
        of(|it| it.strict),
        of(|it| it.plain),
        of(|it| it.with_table),
    );
    let ratio = of(|it| it.with_table / it.strict);
    println!(
        "| {keys_count} | {strict:.0} | {plain:.0} | {new:.0} | {:.1} | {ratio:.2} |",
        1e6 / new,
    );
    new >= GOAL_PER_S && ratio >= GOAL_RATIO
}

/// The CPU and how busy it was, as far as the system says.
fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model
        .unwrap_or("unknown CPU")
        .trim_start_matches([' ', '\t', ':']);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {count} CPUs, load average {load} at the start")
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip_while(|it| it != "--rounds").skip(1);
    let rounds_count = arguments
        .next()
        .and_then(|it| it.parse().ok())
        .unwrap_or(400_usize);
    println!("Machine: {}\n", machine());
    println!(
        "One thread, {rounds_count} rounds of {TURN_COUNT} signatures in each way; medians. The ratio is that of a round.\n"
    );
    println!(
        "| keys | dalek strict /s | without table /s | with table /s | µs | with table : strict |"
    );
    println!("|---|---|---|---|---|---|");
    let mut are_met = true;
    for keys_count in KEYS_COUNTS {
        let rounds = Ways::under(keys_count).and_then(|ways| {
            (0..rounds_count.max(1))
                .map(|_| ways.round())
                .collect::<Option<Vec<_>>>()
        });
        let Some(rounds) = rounds else {
            eprintln!("ed25519_rate: a valid signature was refused");
            return ExitCode::FAILURE;
        };
        are_met &= line(keys_count, &rounds);
    }
    println!(
        "\nTables: {KEY_TABLE_BYTES} bytes for each key, {BASE_TABLE_BYTES} bytes for all together."
    );
    let is_met = if are_met { "met" } else { "missed" };
    println!("Goal of {GOAL_PER_S:.0}/s and {GOAL_RATIO} times the strict check: {is_met}.");
    ExitCode::SUCCESS
}
