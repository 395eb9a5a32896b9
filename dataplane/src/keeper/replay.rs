//! The replay of decisions: which of the decisions found for a key is its outcome. The only judge is [`stands`]; nothing is
//! verified or decided anew here.

use crate::dedup::Decided;
use crate::dedup::order::{Meeting, order, stands};
use crate::keeper::notice::Notice;
use crate::keeper::port::Port;

/// A second decision for a key, made while the first was alive. It counts for nothing, and an operator must look at it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TwoOutcomes {
    /// The decision that stands.
    pub(crate) first: Decided,
    /// The decision that is ignored.
    pub(crate) second: Decided,
}

/// Replays decisions that arrive in [`order`], one key after the other.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    standing: Option<Decided>,
    conflicts: Vec<TwoOutcomes>,
}

impl Replay {
    /// Takes the next decision. When it begins another key, the outcome of the key before comes out.
    pub(crate) fn push(&mut self, next: Decided) -> Option<Decided> {
        let Some(standing) = self.standing else {
            self.standing = Some(next);
            return None;
        };
        debug_assert!(order(&standing).0 <= order(&next).0, "sorted by key");
        if standing.key != next.key {
            self.standing = Some(next);
            return Some(standing);
        }
        let judged = stands(&standing, &next);
        assert_eq!(judged.decided.key, next.key, "one key, one outcome");
        if judged.meeting == Meeting::TwoOutcomes {
            self.conflicts.push(TwoOutcomes {
                first: standing,
                second: next,
            });
        }
        self.standing = Some(judged.decided);
        None
    }

    /// The outcome of the last key.
    pub(crate) fn finish(&mut self) -> Option<Decided> {
        self.standing.take()
    }

    /// The contradictions met since the last call.
    pub(crate) fn take_conflicts(&mut self) -> Vec<TwoOutcomes> {
        std::mem::take(&mut self.conflicts)
    }

    /// The outcome of each key of some decisions that are in [`order`].
    pub(crate) fn outcomes(&mut self, decisions: impl Iterator<Item = Decided>) -> Vec<Decided> {
        let mut all: Vec<Decided> = decisions.filter_map(|it| self.push(it)).collect();
        all.extend(self.finish());
        all
    }
}

/// Reports keys with two outcomes to the operator.
pub(crate) fn report_conflicts(port: &Port, replay: &mut Replay) {
    for two in replay.take_conflicts() {
        port.notify(Notice::TwoOutcomes {
            key_high: two.first.key.high,
            first_decided_at: two.first.decided_at,
            second_decided_at: two.second.decided_at,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::Key;
    use std::collections::BTreeMap;

    fn decided(key: u64, at: u32, expiry: u32, tag: u64) -> Decided {
        Decided {
            key: Key { high: key, low: 0 },
            digest_tag: tag,
            decided_at: at,
            expiry,
            ..Decided::default()
        }
    }

    fn replayed(mut decisions: Vec<Decided>) -> (Vec<Decided>, usize) {
        decisions.sort_by_key(order);
        let mut replay = Replay::default();
        let out = replay.outcomes(decisions.into_iter());
        (out, replay.take_conflicts().len())
    }

    /// The rule, plainly: walk each key's decisions by time, keep the first one alive, for as long as any of them lives.
    fn naive(decisions: &[Decided]) -> Vec<Decided> {
        let mut by_key: BTreeMap<Key, Vec<Decided>> = BTreeMap::new();
        for decision in decisions {
            by_key.entry(decision.key).or_default().push(*decision);
        }
        by_key
            .into_values()
            .map(|mut all| {
                all.sort_by_key(|d| (d.decided_at, d.digest_tag));
                let mut alive = all[0];
                for next in &all[1..] {
                    if next.decided_at >= alive.expiry {
                        alive = *next;
                    }
                    alive.expiry = alive.expiry.max(next.expiry);
                }
                alive
            })
            .collect()
    }

    #[test]
    fn a_decision_met_twice_is_one_decision() {
        let (out, conflicts) = replayed(vec![decided(1, 5, 100, 7), decided(1, 5, 100, 7)]);
        assert_eq!((out.len(), conflicts), (1, 0));
    }

    #[test]
    fn a_second_decision_counts_only_after_the_first_expired() {
        let (out, conflicts) = replayed(vec![decided(1, 100, 200, 8), decided(1, 5, 100, 7)]);
        assert_eq!((out[0].digest_tag, conflicts), (8, 0));
        let (out, conflicts) = replayed(vec![decided(1, 99, 200, 8), decided(1, 5, 100, 7)]);
        assert_eq!((out[0].digest_tag, conflicts), (7, 1), "the first stands");
        assert_eq!(out[0].expiry, 200, "as long as any of them would have");
    }

    #[test]
    fn agrees_with_the_naive_replay_on_many_small_cases() {
        let mut state = 1_u64;
        let mut draw = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..3_000 {
            let count = 1 + draw(12);
            let decisions: Vec<_> = (0..count)
                .map(|_| {
                    let at = draw(10) as u32;
                    decided(draw(3), at, at + 1 + draw(6) as u32, draw(2))
                })
                .collect();
            let (out, _) = replayed(decisions.clone());
            let key_and_answer = |all: Vec<Decided>| -> Vec<_> {
                all.iter()
                    .map(|d| (d.key, d.decided_at, d.digest_tag, d.expiry))
                    .collect()
            };
            assert_eq!(key_and_answer(out), key_and_answer(naive(&decisions)));
        }
    }
}
