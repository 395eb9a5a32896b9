//! Records that a smoke test sends: new ones, one of them again, and one that was changed after it was signed. Their ids are of this run
//! alone, so an earlier run never makes one a duplicate. It keeps no key.

use super::client::{Client, in_words};
use super::line::{Found, failed, millis, ok, skipped};
use crate::bench::key::{self, KeyFiles};
use crate::exit::Failure;
use crate::keyring::KeyArgs;
use crate::submit::client::{NoReply, Reply};
use crate::submit::meaning::Meaning;
use flk_bench_load::claims::Regime;
use flk_bench_load::mix::{Kind, Order};
use flk_bench_load::record::{Carries, Recipe, Shape};
use std::time::{Duration, Instant};

const ORDER: Order = Order {
    kind: Kind::New,
    tenant: 0,
    key: 0,
};

/// The records of a run, made when they are needed.
pub(super) struct Records {
    recipe: Recipe,
    made_count: u64,
    first: Option<First>,
}

/// The record that was taken, and what was answered.
struct First {
    body: Vec<u8>,
    answer: Reply,
}

impl Records {
    /// Signed by the key of the command line.
    pub(super) fn new(keys: &KeyArgs) -> Result<Self, Failure> {
        let regime = Regime::default();
        let keys = key::read(
            &KeyFiles {
                keys,
                tenants_dir: None,
                tenants: &[],
                ed25519: None,
            },
            regime,
        )?;
        let shape = Shape {
            authority: "",
            path: "",
            carries: Carries::Record,
            tenants: &[],
            body_bytes: 0,
            shard_id: &format!("smoke-{:016x}", fastrand::u64(..)),
            regime,
        };
        Ok(Self {
            recipe: Recipe::new(&shape, keys),
            made_count: 0,
            first: None,
        })
    }

    fn next(&mut self) -> Vec<u8> {
        let signed = self.recipe.make(ORDER, self.made_count);
        self.made_count += 1;
        let mut body = Vec::new();
        self.recipe.write_body(&signed, &mut body);
        body
    }

    /// A new record is accepted.
    pub(super) fn submit(&mut self, client: &mut Client) -> Found {
        let body = self.next();
        match client.submit(&body) {
            Ok(answer) => match fault_of_new(&answer, &body) {
                None => {
                    self.first = Some(First { body, answer });
                    ok("200 accepted, miss")
                }
                Some(fault) => failed(fault),
            },
            Err(why) => no_reply(&why),
        }
    }

    /// The same again gets the first answer, byte for byte.
    pub(super) fn duplicate(&self, client: &mut Client) -> Found {
        let Some(First {
            body,
            answer: first,
        }) = &self.first
        else {
            return skipped("no record was taken");
        };
        let answer = match client.submit(body) {
            Ok(answer) => answer,
            Err(why) => return no_reply(&why),
        };
        if answer.status != first.status {
            return failed(format!(
                "the same record was answered {} first, then {}: are these different gateways?",
                first.status,
                in_words(&answer)
            ));
        }
        let dedup = answer.dedup.as_deref().unwrap_or("none");
        match (dedup, answer.body == first.body) {
            ("hit", true) => ok("200 accepted, hit: the first answer, byte for byte"),
            ("hit", false) => failed("a hit, but another answer than the first one"),
            (other, _) => failed(format!(
                "Flk-Dedup is {other} and not hit: behind this address several gateways answer, or it forgot the record"
            )),
        }
    }

    /// A record that was changed after it was signed is refused.
    pub(super) fn tampered(&self, client: &mut Client) -> Found {
        let Some(first) = &self.first else {
            // A gateway that refuses everything would pass.
            return skipped("no record was taken");
        };
        let Some(body) = changed(&first.body) else {
            return failed("the record of this program has no Merkle root: report it");
        };
        match client.submit(&body) {
            Ok(answer) if answer.status == 401 => ok(in_words(&answer)),
            Ok(answer) => failed(format!(
                "answered {} and not 401: does it verify signatures (PCS_SIGN_ALG)?",
                in_words(&answer)
            )),
            Err(why) => no_reply(&why),
        }
    }

    /// New records are answered in time.
    pub(super) fn latency(
        &mut self,
        client: &mut Client,
        requests: u32,
        latency_max: Duration,
    ) -> Found {
        if self.first.is_none() {
            return skipped("no record was taken");
        }
        let mut times = Vec::new();
        for number in 1..=requests {
            let body = self.next();
            let begin = Instant::now();
            let answer = client.submit(&body);
            times.push(begin.elapsed());
            let fault = match &answer {
                Ok(answer) => fault_of_new(answer, &body),
                Err(why) => Some(why.to_string()),
            };
            if let Some(fault) = fault {
                return failed(format!("record {number} of {requests}: {fault}"));
            }
        }
        let p95 = p95(&mut times);
        let (found, most) = (millis(p95), millis(latency_max));
        let said = format!("p95 of {requests} new records: {found}, at most {most}");
        match p95 <= latency_max {
            true => ok(said),
            false => failed(format!(
                "{said} (--latency-max); flk top shows where the time goes"
            )),
        }
    }
}

/// Why an answer is not that to a new record that holds.
fn fault_of_new(answer: &Reply, body: &[u8]) -> Option<String> {
    let dedup = answer.dedup.as_deref();
    match (Meaning::of(answer, body), dedup) {
        (Meaning::Accepted, Some("miss")) => None,
        (Meaning::Accepted, other) => Some(format!(
            "accepted, but Flk-Dedup is {} for a new record",
            other.unwrap_or("absent")
        )),
        (Meaning::Escalated, _) => Some(
            "escalated (202): the parameters of the tenant refuse a record that the default ones take"
                .to_owned(),
        ),
        (Meaning::NotAGateway(why), _) => Some(format!("not a gateway: {why}")),
        (Meaning::Limited | Meaning::Refused | Meaning::Unknown, _) => Some(in_words(answer)),
    }
}

fn no_reply(why: &NoReply) -> Found {
    failed(why.to_string())
}

/// The same record with another first digit of its Merkle root, which is signed.
fn changed(body: &[u8]) -> Option<Vec<u8>> {
    const NAME: &[u8] = br#""merkle_root":""#;
    let at = body.windows(NAME.len()).position(|it| it == NAME)? + NAME.len();
    let mut changed = body.to_vec();
    let digit = changed.get_mut(at)?;
    *digit = match *digit {
        b'0' => b'1',
        _ => b'0',
    };
    Some(changed)
}

/// Nearest rank.
fn p95(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    let rank = (times.len() * 95).div_ceil(100);
    times
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_95th_percentile_is_the_nearest_rank() {
        let ms = |ms: &u64| Duration::from_millis(*ms);
        let p95_of = |times: &[u64]| p95(&mut times.iter().map(ms).collect::<Vec<_>>());
        assert_eq!(p95_of(&[7]), ms(&7));
        assert_eq!(p95_of(&[9, 1]), ms(&9));
        let twenty: Vec<u64> = (1..=20).rev().collect();
        assert_eq!(p95_of(&twenty), ms(&19));
        assert_eq!(p95_of(&[]), Duration::ZERO);
    }

    #[test]
    fn one_digit_of_the_merkle_root_is_changed_and_nothing_else() {
        assert_eq!(
            changed(br#"{"merkle_root":"0a"}"#).unwrap(),
            br#"{"merkle_root":"1a"}"#
        );
        assert_eq!(
            changed(br#"{"merkle_root":"fa"}"#).unwrap(),
            br#"{"merkle_root":"0a"}"#
        );
        assert_eq!(changed(b"{}"), None);
    }
}
