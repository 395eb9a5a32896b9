//! What shards run: tenants with their keys loaded, by the numbers that the process gave them. Immutable; a change is
//! another snapshot.

use super::{Digest, LimitsDocument, TENANTS_COUNT_MAX};
use crate::dedup::Key;
use crate::dedup::context::TenantId;
use flk_contract::Params;
use flk_contract::params::ParamsVersion;
use flk_contract::signature::{KeyError, KeySet, VerifyingKey};
use std::ops::Range;
use std::sync::Arc;

/// A token bucket of the process. Its state is one shared word, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which word.
    pub word: u32,
    /// Units per second; 0: no limit.
    pub per_s: u64,
    /// Units at once.
    pub burst: u64,
}

/// A snapshot with its keys.
#[derive(Debug)]
pub struct Snapshot {
    /// Its number.
    pub number: u32,
    /// The digest of its document.
    pub digest: Digest,
    /// Requests of all tenants.
    pub rate: Limit,
    /// All tenants that this process has known, by [`TenantId`]; those of this snapshot are in `by_name`.
    pub(super) tenants: Vec<Tenant>,
    /// Tenants of this snapshot, ascending by name.
    pub(super) by_name: Vec<TenantId>,
}

/// A tenant, or what is left of one that this snapshot has no more.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its name, as log records hold it.
    pub name: Arc<str>,
    /// Whether its requests are admitted.
    pub is_enabled: bool,
    /// How its records are authenticated.
    pub keys: TenantKeys,
    /// Requests.
    pub rate: Limit,
    /// Bytes of bodies.
    pub bytes: Limit,
    /// Bytes of bodies without a valid signature.
    pub unauthenticated: Limit,
    /// How much of a batch of the log its bodies may fill, in percent.
    pub wal_share: u8,
    /// Parameter sets, ascending by when they begin to judge; never empty. Before the first begins, it judges all the same.
    pub params: Vec<TimedParams>,
}

/// A parameter set, its share, and when it judges.
#[derive(Clone, Copy, Debug)]
pub struct TimedParams {
    /// The set.
    pub params: Params,
    /// Thousandths of the records.
    pub share: u32,
    /// From this second of the Unix epoch on, instead of those that began before.
    pub from_s: u64,
}

/// How records of a tenant are authenticated.
#[derive(Clone, Debug)]
pub enum TenantKeys {
    /// By the keys that are active at receipt.
    Scheduled(KeySchedule),
    /// Signatures are not looked at.
    Unsigned,
    /// A key could not be loaded: nothing is admitted, for a valid record might get 401.
    Unavailable,
}

/// How records of a tenant are authenticated in a second.
#[derive(Debug)]
pub enum ActiveKeys {
    /// Any of these verifies.
    Set(KeySet),
    /// No key is active: no record is authentic.
    None,
    /// Signatures are not looked at.
    Unsigned,
    /// A key could not be loaded: nothing is admitted.
    Unavailable,
}

/// Keys and when each verifies.
#[derive(Clone, Debug, Default)]
pub struct KeySchedule {
    /// In the order in which they are tried.
    pub keys: Vec<TimedKey>,
}

/// A key and when it verifies, in seconds since the Unix epoch.
#[derive(Clone, Debug)]
pub struct TimedKey {
    /// The operator's name of it.
    pub name: Arc<str>,
    /// The key.
    pub key: VerifyingKey,
    /// From here on.
    pub from_s: u64,
    /// Up to here, this second excluded; the earlier of its end and its revocation.
    pub until_s: u64,
}

impl TimedKey {
    /// Whether it verifies in this second.
    pub fn is_active(&self, wall_s: u64) -> bool {
        (self.from_s..self.until_s).contains(&wall_s)
    }
}

impl TenantKeys {
    /// What authenticates in this second.
    pub fn active(&self, wall_s: u64) -> ActiveKeys {
        let schedule = match self {
            TenantKeys::Unsigned => return ActiveKeys::Unsigned,
            TenantKeys::Unavailable => return ActiveKeys::Unavailable,
            TenantKeys::Scheduled(schedule) => schedule,
        };
        match schedule.active(wall_s) {
            Ok(Some(set)) => ActiveKeys::Set(set),
            Ok(None) => ActiveKeys::None,
            Err(error) => unreachable!("a checked document has no more active keys: {error}"),
        }
    }
}

impl Tenant {
    /// The parameter sets that judge records which were received in this second: those that begin together, last of all that
    /// have begun.
    pub fn judging(&self, wall_s: u64) -> &[TimedParams] {
        let begun = self.params.iter().rev().find(|set| set.from_s <= wall_s);
        let from_s = begun.or(self.params.first()).map(|set| set.from_s);
        let start = self.params.partition_point(|set| Some(set.from_s) < from_s);
        let end = self
            .params
            .partition_point(|set| Some(set.from_s) <= from_s);
        &self.params[start..end]
    }
}

/// The parameter set among those that judge together that judges the record of this key, by its keyed hash: agents cannot
/// choose. None only where there are none.
pub fn judging_set(sets: &[TimedParams], key: Key) -> Option<&TimedParams> {
    let lot = lot(key);
    let mut below = 0;
    let found = sets.iter().find(|set| {
        below += set.share;
        lot < below
    });
    found.or(sets.last())
}

/// Lots of records, and what the shares of a tenant's parameter sets come to.
const LOTS: u32 = 1000;

/// Where a record falls when parameter sets have shares. The upper bits of a key choose its partition, and its shard: the
/// lower ones are independent of them.
pub(crate) fn lot(key: Key) -> u32 {
    ((u128::from(key.low) * u128::from(LOTS)) >> 64) as u32
}

impl KeySchedule {
    /// The keys that verify in this second; none: no record is authentic.
    ///
    /// # Errors
    /// More keys are active than a set takes, which no checked document has.
    pub fn active(&self, wall_s: u64) -> Result<Option<KeySet>, KeyError> {
        let active = self.keys.iter().filter(|key| key.is_active(wall_s));
        let mut builder = KeySet::builder();
        for key in active {
            builder = builder.add_key(key.key.clone())?;
        }
        match builder.build() {
            Ok(set) => Ok(Some(set)),
            Err(KeyError::None) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The seconds around this one in which no key begins or ends.
    pub fn unchanged(&self, wall_s: u64) -> Range<u64> {
        let borders = self.keys.iter().flat_map(|key| [key.from_s, key.until_s]);
        let since = borders.filter(|&at| at <= wall_s).max().unwrap_or(0);
        since..self.changes_behind(wall_s).unwrap_or(u64::MAX)
    }

    /// The next second behind this one in which another set of keys is active.
    pub fn changes_behind(&self, wall_s: u64) -> Option<u64> {
        let all = self.keys.iter().flat_map(|key| [key.from_s, key.until_s]);
        all.filter(|&at| at > wall_s && at < u64::MAX).min()
    }
}

impl Snapshot {
    /// The tenant of this name, if this snapshot has it.
    pub fn named(&self, name: &[u8]) -> Option<TenantId> {
        let found = self
            .by_name
            .binary_search_by(|&id| self.tenant(id).name.as_bytes().cmp(name));
        Some(self.by_name[found.ok()?])
    }

    /// A tenant that this process has known up to this snapshot.
    pub fn tenant(&self, id: TenantId) -> &Tenant {
        &self.tenants[id.index()]
    }

    /// All tenants that this process has known up to this snapshot, by [`TenantId`].
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Tenant> {
        self.tenants.iter()
    }

    /// The tenants of this snapshot, ascending by name.
    pub fn ids(&self) -> impl Iterator<Item = TenantId> + '_ {
        self.by_name.iter().copied()
    }

    /// Names of all tenants that this process has known, by [`TenantId`].
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tenants.iter().map(|tenant| &*tenant.name)
    }

    /// The parameter-set versions that records are judged under, each once.
    pub fn versions(&self) -> Vec<ParamsVersion> {
        let tenants = self.by_name.iter().map(|&id| self.tenant(id));
        let sets = tenants.flat_map(|tenant| &tenant.params);
        let mut versions = Vec::new();
        for TimedParams { params, .. } in sets {
            if !versions.contains(&params.version) {
                versions.push(params.version);
            }
        }
        versions
    }

    /// When another key set is active for one of its tenants, behind this second.
    pub fn changes_behind(&self, wall_s: u64) -> Option<u64> {
        let schedules = self.by_name.iter().map(|&id| &self.tenant(id).keys);
        let changes = schedules.filter_map(|keys| match keys {
            TenantKeys::Scheduled(schedule) => schedule.changes_behind(wall_s),
            TenantKeys::Unsigned | TenantKeys::Unavailable => None,
        });
        changes.min()
    }
}

impl Limit {
    /// Words of the limits of all tenants, and of all tenants together.
    const OF_TENANTS_COUNT: u32 = 1 + 3 * TENANTS_COUNT_MAX as u32;
    /// Words behind those, which addresses share.
    const OF_ADDRESSES_COUNT: u32 = 1 << 16;
    /// All words.
    pub const WORDS_COUNT: u32 = Limit::OF_TENANTS_COUNT + Limit::OF_ADDRESSES_COUNT;

    /// The same limit for one address, by a keyed hash of it. It is a quarter, so that one client that cannot sign does not
    /// close its tenant for all others.
    pub fn of_address(self, hash: u16) -> Limit {
        Limit {
            word: Limit::OF_TENANTS_COUNT + u32::from(hash),
            per_s: self.per_s.div_ceil(4),
            burst: self.burst.div_ceil(4),
        }
    }

    /// The bucket of a rate and a burst: 0 for the burst is twice the rate.
    pub(super) fn new(word: u32, per_s: u64, burst: u64) -> Limit {
        let burst = match burst {
            0 => per_s.saturating_mul(2),
            _ => burst,
        };
        Limit { word, per_s, burst }
    }

    /// The three buckets of a tenant.
    pub(super) fn of_tenant(id: TenantId, limits: &LimitsDocument) -> [Limit; 3] {
        let first = 1 + 3 * id.index() as u32;
        [
            Limit::new(first, u64::from(limits.rate), u64::from(limits.burst)),
            Limit::new(first + 1, limits.bytes_per_s, 0),
            Limit::new(first + 2, limits.unauthenticated_bytes_per_s, 0),
        ]
    }
}
