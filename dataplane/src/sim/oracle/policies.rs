//! What snapshots say of tenants and at which seconds of the wall clock, and which verdicts follow from that. It knows the seconds
//! between sending and answer, and nothing of when a shard took its turn.

use super::terms::{Meaning, Rules, SeenAnswer, Walls};
use super::{Case, Oracle};
use crate::sim::records::{TENANTS, tenant_of};

/// What a snapshot says of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether it is there and enabled.
    pub admits: bool,
    /// Whether each key is there.
    pub signers: [bool; 2],
    /// From this second of the wall clock on the second key verifies, and the first one no more; none: each always does.
    pub turn_s: Option<u64>,
    /// From this second on the other parameter set judges.
    pub other_params_s: Option<u64>,
    /// Whether its requests may be over a rate.
    pub limited: bool,
    /// How much of a batch its bodies may fill, in percent.
    pub wal_share: Option<u32>,
}

impl Policy {
    /// What a run begins with.
    pub fn of(rules: &Rules) -> Policy {
        Policy::always(rules.signers)
    }

    /// Keys that verify always, and nothing else.
    pub fn always(signers: [bool; 2]) -> Policy {
        Policy {
            admits: true,
            signers,
            turn_s: None,
            other_params_s: None,
            limited: false,
            wal_share: None,
        }
    }

    /// Whether a record of this signer may be taken while the wall clock shows one of these seconds, and whether it may be
    /// refused.
    pub fn may_verify(&self, signer: usize, walls: Walls) -> (bool, bool) {
        let (before, behind) = match self.turn_s {
            _ if !self.admits => return (false, false),
            _ if !self.signers[signer] => return (false, true),
            None => return (true, false),
            Some(turn_s) => (walls.least_s < turn_s, walls.most_s >= turn_s),
        };
        match signer {
            0 => (before, behind),
            _ => (behind, before),
        }
    }
}

/// Whether one of these policies may take a record of this signer within these seconds, and whether one may refuse it.
pub(super) fn may_verify(
    policies: impl Iterator<Item = Policy>,
    signer: usize,
    walls: Walls,
) -> (bool, bool) {
    policies
        .map(|it| it.may_verify(signer, walls))
        .fold((false, false), |all, one| (all.0 || one.0, all.1 || one.1))
}

/// What an answer says of a request that never came into the log.
pub(super) enum TurnedAway {
    /// Nothing.
    No,
    /// None of the policies allows it.
    Wrongly,
    /// One allows it.
    As(Meaning),
}

/// Whether it was refused for its tenant or a rate, and whether one of these policies allows that.
pub(super) fn turned_away(
    mut policies: impl Iterator<Item = Policy>,
    answer: &SeenAnswer,
) -> TurnedAway {
    let says = |status, code| answer.status == status && answer.body.contains(code);
    let (allowed, meaning) = if says(401, "\"unknown_tenant\"") {
        (policies.any(|it| !it.admits), Meaning::Refused)
    } else if says(429, "\"rate_limited\"") {
        (policies.any(|it| it.admits && it.limited), Meaning::Limited)
    } else {
        return TurnedAway::No;
    };
    match allowed {
        true => TurnedAway::As(meaning),
        false => TurnedAway::Wrongly,
    }
}

/// The wall clock as the oracle sees it.
#[derive(Clone, Debug, Default)]
pub struct WallClock {
    now_s: u64,
    most_s: u64,
    /// What it showed before and behind each time when it was set.
    jumps: Vec<(u64, u64)>,
}

impl WallClock {
    /// It shows this.
    pub fn shows(&mut self, now_s: u64) {
        self.now_s = now_s;
        self.most_s = self.most_s.max(now_s);
    }

    /// It is set.
    pub fn jumps(&mut self, from_s: u64, to_s: u64) {
        self.jumps.push((from_s, to_s));
        self.shows(from_s);
        self.shows(to_s);
    }

    /// The most that it ever showed.
    pub fn most_s(&self) -> u64 {
        self.most_s
    }

    /// This moment.
    pub fn now(&self) -> Walls {
        Walls {
            least_s: self.now_s,
            most_s: self.now_s,
            jumps: self.jumps.len(),
        }
    }

    /// All from that moment to this one.
    pub fn since(&self, then: Walls) -> Walls {
        let jumps = self.jumps[then.jumps..].iter();
        let set = jumps.flat_map(|&(from_s, to_s)| [from_s, to_s]);
        let all = set.chain([then.least_s, then.most_s, self.now_s]);
        all.fold(then, |walls, at_s| Walls {
            least_s: walls.least_s.min(at_s),
            most_s: walls.most_s.max(at_s),
            ..walls
        })
    }
}

impl Oracle {
    /// A snapshot is published; its number comes back.
    pub fn publishes(&mut self, policy: [Policy; TENANTS.len()]) -> usize {
        self.policies.push(policy);
        self.policies.len() - 1
    }

    /// Nothing is judged under an older snapshot than this any more.
    pub fn settles(&mut self, number: usize) {
        self.settled = self.settled.max(number);
    }

    /// Whether this parameter set may have judged a record. One that judged once does so on, wherever the clock is set.
    pub(super) fn may_judge(&self, case: &Case<'_>, params: u8) -> bool {
        let request = &self.requests[case.serial as usize];
        let walls = self.wall.since(request.walls);
        let tenant = tenant_of(case.key);
        let mut policies = self.policies[request.since_snapshot..].iter();
        policies.any(|of| match of[tenant].other_params_s {
            None => params == self.rules.params,
            Some(from_s) if params == self.rules.params => walls.least_s < from_s,
            Some(from_s) => self.wall.most_s() >= from_s,
        })
    }
}
