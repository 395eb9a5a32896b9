//! Snapshots of the simulated world: which tenants are there, and which keys verify. The publisher makes documents, says so to
//! the oracle, and sends what they resolve to to shards while these serve. It judges nothing.

use super::count::Count;
use super::dice::Dice;
use super::oracle::Policy;
use super::process::KEEPER;
use super::queue::Happening;
use super::records::{KEYS_COUNT, SIGNERS, TENANTS, params, scheme};
use super::world::World;
use crate::event::Event;
use crate::mesh::keeper::ToShard;
use crate::sim_trace;
use crate::snapshot::{
    Document, FORMAT, KeyDocument, LimitsDocument, MissingKeys, ParamsDocument, Resolver, Snapshot,
    Source, SourceFault, TenantDocument,
};
use flk_contract::params::ParamsVersion;
use flk_contract::signature::VerifyingKey;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Who publishes snapshots. It draws from a stream of its own, so that seeds without it live as they did before.
pub struct Publisher {
    dice: Dice,
    /// The same for what a snapshot says of times and limits.
    more: Dice,
    /// What is granted of limits.
    pub(super) limits: Dice,
    /// How likely it publishes, per 10,000 events; 0: never, and there is one tenant.
    publishes: u32,
    resolver: Resolver,
}

impl Publisher {
    /// The publisher of a seed.
    pub fn draw(seed: u64) -> Publisher {
        let mut dice = Dice::new(seed.rotate_left(32) ^ 0x5eed);
        let publishes = match dice.chance(3000) {
            true => dice.pick(&[20, 100, 500]),
            false => 0,
        };
        Publisher {
            dice,
            more: Dice::new(seed.rotate_left(17) ^ 0x71e5),
            limits: Dice::new(seed.rotate_left(48) ^ 0x1171),
            publishes,
            resolver: Resolver::default(),
        }
    }

    /// How many keys there may be where each tenant has so many ids.
    pub fn keys_count(&self, ids: u32) -> u32 {
        match self.publishes {
            0 => ids,
            _ => KEYS_COUNT + ids,
        }
    }

    /// An id of the first tenant, or the same of another one.
    pub fn key_of_any(&mut self, id: u32) -> u32 {
        match self.publishes > 0 && self.dice.chance(3000) {
            true => KEYS_COUNT + id,
            false => id,
        }
    }

    fn policy(&mut self, wall_s: u64) -> Policy {
        let admits = !self.dice.chance(2000);
        let signers = [[true, false], [true, true], [true, true], [false, true]];
        let signers = self.dice.pick(&signers);
        let more = &mut self.more;
        let mut soon_s = |chance| {
            let is_timed = more.chance(chance);
            let at_s = wall_s + more.pick(&[0, 1, 2, 5]);
            is_timed.then_some(at_s)
        };
        let turn_s = soon_s(4000).filter(|_| signers == [true, true]);
        let other_params_s = soon_s(3000);
        Policy {
            admits,
            signers,
            turn_s,
            other_params_s,
            limited: self.more.chance(2000),
            wal_share: self.more.pick(&[None, None, Some(1), Some(40)]),
        }
    }

    /// The parameter sets that snapshots of a seed may name beside that of its settings.
    pub fn further_params(&self, set: u8) -> Option<ParamsVersion> {
        (self.publishes > 0).then(|| params(1 - set).version)
    }
}

impl World {
    /// What the process begins with: the newest snapshot that the oracle knows.
    pub(super) fn first_snapshot(&mut self) -> Arc<Snapshot> {
        self.publisher.resolver = Resolver::default();
        self.newest_snapshot()
    }

    #[allow(clippy::expect_used)] // made of constants, no request or recovery path
    fn newest_snapshot(&mut self) -> Arc<Snapshot> {
        let number = self.oracle.policies.len() - 1;
        let policies = self.oracle.policies[number];
        // A tenant that is not admitted is not there, or disabled: what comes of its requests is the same.
        let is_there = |name: &str| name == TENANTS[0] || !number.is_multiple_of(2);
        let mut tenants: Vec<TenantDocument> = TENANTS
            .into_iter()
            .zip(policies)
            .filter(|(name, policy)| policy.admits || is_there(name))
            .map(|(name, policy)| tenant(name, policy, self.settings.params))
            .collect();
        tenants.sort_by(|one, other| one.name.cmp(&other.name));
        let document = Document {
            format: FORMAT,
            number: number as u32,
            limits: LimitsDocument::default(),
            tenants,
        };
        let resolver = &mut self.publisher.resolver;
        let resolved = resolver.resolve(&document, &load, MissingKeys::Refuse);
        let (snapshot, _) = resolved.expect("a document that holds");
        Arc::new(snapshot)
    }

    /// A snapshot is published at times.
    pub(super) fn publish_at_times(&mut self) {
        let Publisher {
            dice, publishes, ..
        } = &mut self.publisher;
        if dice.chance(*publishes) {
            let wall_s = self.wall_us() / 1_000_000;
            let policies = TENANTS.map(|_| self.publisher.policy(wall_s));
            self.publish(policies);
        }
    }

    /// All is as the run began: what is asked for from now on can be answered.
    pub(super) fn publish_the_usual(&mut self) {
        if self.publisher.publishes > 0 {
            let policy = Policy::always(self.settings.signers);
            self.publish(TENANTS.map(|_| policy));
        }
    }

    fn publish(&mut self, policies: [Policy; TENANTS.len()]) {
        let number = self.oracle.publishes(policies);
        sim_trace!(
            self.now_us(),
            "snapshot {number} is published: {policies:?}"
        );
        self.counts.one(Count::Snapshots);
        let snapshot = self.newest_snapshot();
        let shards = self.process.as_ref().map_or(0, |it| it.shards.len());
        for shard in 0..shards as u16 {
            let configure = ToShard::Configure(Arc::clone(&snapshot));
            let delay_us = self.publisher.dice.delay_us(20, 50_000, 500);
            let what = Happening::ToShard(shard, Event::Keeper(configure));
            self.post(KEEPER, shard, delay_us, what);
        }
    }

    /// Tells the oracle what no shard judges under any more.
    pub(super) fn note_settled(&mut self) {
        let Some(process) = self.process.as_ref() else {
            return; // nobody judges
        };
        let shards = process.stats().shards.iter();
        if let Some(oldest) = shards.map(|page| page.snapshot.get()).min() {
            self.oracle.settles(oldest as usize);
        }
    }
}

fn tenant(name: &str, policy: Policy, set: u8) -> TenantDocument {
    let signers = (0..).zip(policy.signers).filter(|(_, is_there)| *is_there);
    let mut sets = vec![ParamsDocument::of(&params(set))];
    sets.extend(policy.other_params_s.map(|from_s| ParamsDocument {
        effective_from: Some(from_s),
        ..ParamsDocument::of(&params(1 - set))
    }));
    TenantDocument {
        name: name.to_owned(),
        enabled: policy.admits,
        unsigned: false,
        keys: signers
            .map(|(signer, _)| key(signer, policy.turn_s))
            .collect(),
        limits: LimitsDocument {
            rate: u32::from(policy.limited),
            ..LimitsDocument::default()
        },
        wal_share: policy.wal_share,
        params: sets,
        home: None,
    }
}

/// A key by the number of its signer, which is its source, too; at the turn the first one ends and the second one begins.
#[allow(clippy::expect_used)]
fn key(signer: usize, turn_s: Option<u64>) -> KeyDocument {
    let verifying = VerifyingKey::from_text(scheme(), SIGNERS[signer]).expect("a key");
    KeyDocument {
        id: signer.to_string(),
        scheme: scheme().to_string(),
        source: Source::file(signer.to_string()),
        fingerprint: verifying.id().to_string(),
        not_before: turn_s.filter(|_| signer == 1),
        not_after: turn_s.filter(|_| signer == 0),
        revoked_at: None,
    }
}

fn load(source: &Source) -> Result<Zeroizing<String>, SourceFault> {
    let signer: Option<usize> = source.to_string().parse().ok();
    let text = signer.and_then(|signer| SIGNERS.get(signer));
    text.map(|text| Zeroizing::new((*text).to_owned()))
        .ok_or(SourceFault::NoSuchText)
}
