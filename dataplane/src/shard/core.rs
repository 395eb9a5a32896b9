//! What a shard has once its log has begun: the log, its partitions of the dedup table, and the expiry clock. Before that
//! a shard serves health only; every stage of a record gets this as an argument, so that none of them can run without it.

use super::config::{BATCH_BLOCKS_BYTES, ShardConfig};
use crate::dedup::Key;
use crate::dedup::claims::{ClaimRequest, Claimant, Effects, Looker, Owner, OwnerConfig};
use crate::dedup::key::KeyHash;
use crate::dedup::protocol::ToOwner;
use crate::event::{Op, Outbox};
use crate::io::{Now, ShardId};
use crate::mesh::Message;
use crate::mesh::keeper::{Begin, ToKeeper};
use crate::snapshot::Snapshot;
use crate::throttle::Throttle;
use crate::wal::batch::{self, OpenBatch};
use crate::wal::buffer::Blocks;
use crate::wal::name::Sequence;
use crate::wal::writer::LogWriter;
use flk_contract::ParamsVersion;

/// The keeper is notified of damaged blocks of slices at most this often: where there is one, a check of all finds the others.
const DAMAGE_NOTIFIED_EVERY_US: u64 = 60_000_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Core {
    pub me: ShardId,
    pub begin: Box<Begin>,
    pub log: LogWriter,
    pub owner: Owner,
    pub hash: KeyHash,
    /// What the owner answered and asked for, and the deciding stage has not carried out.
    pub effects: Effects,
    /// When the keeper was notified of a damaged block.
    pub damage_notified: Throttle,
    /// Last resolved position that the keeper knows.
    pub resolved_notified: Sequence,
}

impl Core {
    pub(super) fn new(config: &ShardConfig, mut begin: Box<Begin>, snapshot: &Snapshot) -> Core {
        let limits = config.limits;
        let partitions = begin
            .owners
            .iter()
            .enumerate()
            .filter(|&(_, owner)| *owner == config.id);
        let mut mine = partitions.map(|(partition, _)| partition as u16);
        let first = mine.next().unwrap_or(0);
        let range = first..mine.next_back().map_or(first + 1, |last| last + 1);
        let owner = OwnerConfig {
            partitions: range,
            table_bytes_max: config.dedup_bytes_max,
            claims_max: (limits.flights_max + limits.looks_max) * u32::from(config.shards),
            ttl_s: config.ttl_s,
        };
        // The owner alone keeps them: what another set does without leaves memory.
        let owner = Owner::new(owner, std::mem::take(&mut begin.slices));
        let mut hash = KeyHash::new(begin.secret);
        hash.know(snapshot.names());
        let open = OpenBatch::new(batch::BatchLimits::default());
        let blocks = Box::new(Blocks::with_capacity(BATCH_BLOCKS_BYTES));
        let log = LogWriter::new(&begin.log_start(), open, blocks);
        Core {
            me: config.id,
            resolved_notified: log.durable(),
            hash,
            begin,
            log,
            owner,
            effects: Effects {
                answers: Vec::with_capacity(limits.flights_max as usize),
                looked: Vec::with_capacity(limits.looks_max as usize),
                reads: Vec::with_capacity(64),
                unusable: None,
            },
            damage_notified: Throttle::every_us(DAMAGE_NOTIFIED_EVERY_US),
        }
    }

    /// The expiry clock, in seconds since 2026-01-01 UTC.
    pub(super) fn clock_s(&self, now: Now) -> u32 {
        self.begin.clock.at(now.mono_us)
    }

    /// Notifies the keeper of a block that cannot answer, if one was met and it was not notified of another one lately.
    pub(super) fn tell_damage(&mut self, now: Now, outbox: &mut Outbox) {
        let unusable = self.effects.unusable.take();
        if let Some(unusable) = unusable
            && self.damage_notified.pass(now.mono_us)
        {
            let message = ToKeeper::SliceUnusable(unusable);
            outbox.ops.push(Op::Keeper(message));
        }
    }

    /// The version of the parameter set that a decision was made under.
    pub(super) fn params_version(&self, params: u16) -> ParamsVersion {
        let known = self.begin.params.get(usize::from(params)).copied();
        known.unwrap_or_default()
    }

    /// The shard that owns a key.
    #[inline]
    pub(super) fn owner_of(&self, key: Key) -> ShardId {
        self.begin.owners[usize::from(key.partition())]
    }

    /// Delivers a message to the owner of this key: in this shard at once, or to a peer over the mesh.
    #[inline]
    pub(super) fn notify_owner(
        &mut self,
        key: Key,
        message: &ToOwner,
        now: Now,
        outbox: &mut Outbox,
    ) {
        let owner = self.owner_of(key);
        if owner == self.me {
            self.on_owner_message(owner, message, now);
        } else {
            let message = Message::ToOwner(*message);
            outbox.ops.push(Op::Message(owner, message));
        }
    }

    /// A message of another shard, or of this one, about a key of this shard.
    #[inline]
    pub(super) fn on_owner_message(&mut self, from: ShardId, message: &ToOwner, now: Now) {
        let effects = &mut self.effects;
        match *message {
            ToOwner::Claim {
                ticket,
                // All tenants have the same TTL, and their keys differ.
                context: _,
                ref candidate,
            } => {
                let now_s = self.begin.clock.at(now.mono_us);
                let by = Claimant { from, ticket };
                let claim = ClaimRequest { by, candidate };
                self.owner.claim(claim, now_s, effects)
            }
            ToOwner::Withdraw { ticket, key } => self.owner.withdraw(from, ticket, key, effects),
            ToOwner::Durable { ticket, key, epoch } => {
                self.owner.durable(from, ticket, key, epoch, effects)
            }
            ToOwner::Look { ticket, key } => {
                let now_s = self.begin.clock.at(now.mono_us);
                let by = Looker { from, ticket };
                self.owner.look(by, key, now_s, effects)
            }
            ToOwner::LookNoMore { ticket, key } => {
                self.owner
                    .look_no_more(Looker { from, ticket }, key, effects)
            }
        }
    }
}
