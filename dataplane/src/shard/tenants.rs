//! What is in force in this turn: the snapshot, and of each tenant the keys that verify in this second and the parameter sets
//! that judge. It is changed at the border of a turn only, so that a body is judged wholly under what its turn began with. It
//! reads no clock and allocates only where something changes.

use super::Ingress;
use super::charge::Tally;
use crate::dedup::Key;
use crate::dedup::context::{Context, TenantId};
use crate::http::Problem;
use crate::io::Now;
use crate::snapshot::{ActiveKeys, Snapshot, Tenant, TenantKeys, lot};
use crate::stats::tenants::{KeyTimes, Row, TenantPages};
use flk_contract::params::ParamsVersion;
use flk_contract::{KeyId, Params};
use std::ops::Range;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub(super) struct InForce {
    snapshot: Arc<Snapshot>,
    /// By [`TenantId`].
    tenants: Vec<TenantInForce>,
    /// Whether anything is limited at all.
    has_limits: bool,
    /// Seconds of the wall clock in which the keys and parameter sets of all tenants are those that judge here.
    valid_s: Range<u64>,
}

/// What judges the records of a tenant.
#[derive(Debug)]
pub(super) struct TenantInForce {
    pub keys: ActiveKeys,
    /// Seconds in which these are the active keys, and no other parameter set begins.
    valid_s: Range<u64>,
    /// Those that judge, then the others: those that will, or those that did.
    params: Vec<ParamsInForce>,
    judging_count: usize,
    tally: Tally,
    /// Where it is counted.
    pub row: Row,
    /// Where its keys are, by what signatures name them.
    key_rows: Vec<(KeyId, Row)>,
}

/// A parameter set, as outcomes name it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ParamsInForce {
    pub params: Params,
    /// Its number in [`crate::dedup::Decided::params`].
    pub number: u16,
    /// Where it is counted.
    pub row: Row,
    /// Records whose lot is below this get it, if no set before did.
    below: u32,
    /// Since when it judges, in seconds of the wall clock.
    from_s: u64,
}

/// Every second.
const ALWAYS: Range<u64> = 0..u64::MAX;

impl InForce {
    /// A snapshot from this second on, counted in this page. `versions` are the parameter sets by number, as far as they are
    /// known. What was in force before says which sets have begun, should the wall clock have been set back since.
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        versions: &[ParamsVersion],
        wall_s: u64,
        page: &TenantPages,
        before: Option<&InForce>,
    ) -> InForce {
        let tenants = (0..).zip(snapshot.all()).map(|(index, tenant)| {
            let row = page.tenant_row(index, &tenant.name);
            let params = in_force(tenant, versions, |version| page.params_row(row, version));
            let mut of = TenantInForce {
                keys: ActiveKeys::None,
                valid_s: ALWAYS,
                judging_count: together(&params),
                params,
                tally: Tally::default(),
                row,
                key_rows: key_rows(tenant, |name| page.key_row(row, name)),
            };
            if let Some(before) = before.and_then(|it| it.tenants.get(index)) {
                of.begin_what_had_begun(before);
            }
            of.at(tenant, wall_s);
            of
        });
        let tenants: Vec<TenantInForce> = tenants.collect();
        page.show_key_times(&key_times(&snapshot, &tenants));
        let mut this = InForce {
            tenants,
            has_limits: has_limits(&snapshot),
            snapshot,
            valid_s: ALWAYS,
        };
        this.valid_s = this.overlap();
        this
    }

    /// The parameter sets have got these numbers.
    pub(super) fn number(&mut self, versions: &[ParamsVersion]) {
        for (of, tenant) in self.tenants.iter_mut().zip(self.snapshot.all()) {
            for set in &mut of.params {
                set.number = number(tenant, &set.params, versions);
            }
        }
    }

    /// It is this second, which may be before the last one: the wall clock is set at times.
    pub(super) fn at(&mut self, wall_s: u64) {
        if self.valid_s.contains(&wall_s) {
            return; // nothing begins or ends
        }
        for (of, tenant) in self.tenants.iter_mut().zip(self.snapshot.all()) {
            if !of.valid_s.contains(&wall_s) {
                of.at(tenant, wall_s);
            }
        }
        self.valid_s = self.overlap();
    }

    fn overlap(&self) -> Range<u64> {
        let all = self.tenants.iter().map(|tenant| &tenant.valid_s);
        all.fold(ALWAYS, |both, one| {
            both.start.max(one.start)..both.end.min(one.end)
        })
    }

    /// The first second in which other keys or parameter sets judge.
    fn changes_at_s(&self) -> Option<u64> {
        (self.valid_s.end < u64::MAX).then_some(self.valid_s.end)
    }

    /// The snapshot.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What a request of this tenant name enters under; none: the default tenant.
    pub(super) fn admit(&self, name: Option<&[u8]>) -> Result<Context, Problem> {
        let tenant = match name {
            Some(name) => self.snapshot.named(name).ok_or(Problem::UnknownTenant)?,
            None => TenantId::DEFAULT,
        };
        self.admit_again(tenant)
    }

    /// The same for a tenant that was found when the head came: another snapshot may be in force since.
    pub(super) fn admit_again(&self, tenant: TenantId) -> Result<Context, Problem> {
        if !self.snapshot.tenant(tenant).is_enabled {
            return Err(Problem::UnknownTenant);
        }
        match self.of(tenant).keys {
            ActiveKeys::Unavailable => Err(Problem::KeysUnavailable),
            ActiveKeys::Set(_) | ActiveKeys::None | ActiveKeys::Unsigned => Ok(Context {
                tenant,
                snapshot: self.snapshot.number,
            }),
        }
    }

    /// What judges records of a tenant.
    pub(super) fn of(&self, tenant: TenantId) -> &TenantInForce {
        &self.tenants[tenant.index()]
    }

    /// Whether anything is limited at all.
    pub(super) fn has_limits(&self) -> bool {
        self.has_limits
    }

    /// A tenant as its snapshot has it.
    pub(super) fn tenant(&self, tenant: TenantId) -> &Tenant {
        self.snapshot.tenant(tenant)
    }

    /// For counting the requests of a tenant within a turn.
    pub(super) fn tally(&mut self, tenant: TenantId) -> &mut Tally {
        &mut self.tenants[tenant.index()].tally
    }

    /// Its name, as log records hold it.
    pub(super) fn name(&self, tenant: TenantId) -> &str {
        &self.snapshot.tenant(tenant).name
    }
}

fn has_limits(snapshot: &Snapshot) -> bool {
    let of_tenants = snapshot
        .all()
        .flat_map(|it| [it.rate, it.bytes, it.unauthenticated]);
    let mut all = of_tenants.chain([snapshot.rate]);
    all.any(|limit| limit.per_s > 0)
}

impl TenantInForce {
    /// Takes the keys and parameter sets of this second.
    fn at(&mut self, tenant: &Tenant, wall_s: u64) {
        (self.keys, self.valid_s) = active(tenant, wall_s);
        while let Some(from_s) = self.next_s().filter(|&from_s| from_s <= wall_s) {
            self.begin(from_s);
        }
        let next_s = self.next_s().unwrap_or(u64::MAX);
        self.valid_s.end = self.valid_s.end.min(next_s);
    }

    /// When the parameter sets that judge next begin. Those that judge stay, wherever the wall clock is set.
    fn next_s(&self) -> Option<u64> {
        let (judging, others) = self.params.split_at(self.judging_count);
        let next_s = others.first()?.from_s;
        (next_s > judging.first()?.from_s).then_some(next_s)
    }

    /// The sets that stand behind those that judge, and begin at this time, judge from now on.
    fn begin(&mut self, from_s: u64) {
        self.params.rotate_left(self.judging_count);
        debug_assert_eq!(self.params[0].from_s, from_s);
        self.judging_count = together(&self.params);
    }

    /// What judged under the snapshot before has begun, if it is to begin at the same time.
    fn begin_what_had_begun(&mut self, before: &TenantInForce) {
        let Some(judged) = before.params.first() else {
            return;
        };
        let is_next = |set: &ParamsInForce| {
            set.from_s == judged.from_s && set.params.version == judged.params.version
        };
        if let Some(from_s) = self.next_s()
            && self.params[self.judging_count..].iter().any(is_next)
        {
            self.begin(from_s);
        }
    }

    /// Where a key of it is counted.
    pub(super) fn key_row(&self, key: KeyId) -> Option<Row> {
        let mut rows = self.key_rows.iter();
        rows.find(|(id, _)| *id == key).map(|(_, row)| *row)
    }

    /// Where the outcomes of a parameter set are counted.
    pub(super) fn params_row(&self, number: u16) -> Option<Row> {
        let mut sets = self.params.iter();
        sets.find(|set| set.number == number).map(|set| set.row)
    }

    /// The parameter set that judges the record of this key, by its keyed hash: agents cannot choose.
    pub(super) fn params_of(&self, key: Key) -> &ParamsInForce {
        let judging = &self.params[..self.judging_count];
        let Some((last, others)) = judging.split_last() else {
            unreachable!("a checked document has parameters for each tenant");
        };
        if others.is_empty() {
            return last;
        }
        let lot = lot(key);
        let found = others.iter().find(|set| lot < set.below);
        found.unwrap_or(last)
    }
}

impl Ingress {
    /// When other keys or parameter sets judge, as far as the wall clock tells now.
    pub(super) fn keys_change_us(&self, now: Now) -> Option<u64> {
        let at_us = self.in_force.changes_at_s()?.saturating_mul(1_000_000);
        let left_us = at_us.saturating_sub(now.wall_us);
        Some(now.mono_us.saturating_add(left_us))
    }
}

/// The keys that are active in a second, and in which seconds they are.
fn active(tenant: &Tenant, wall_s: u64) -> (ActiveKeys, Range<u64>) {
    let TenantKeys::Scheduled(schedule) = &tenant.keys else {
        return (tenant.keys.active(wall_s), ALWAYS);
    };
    (tenant.keys.active(wall_s), schedule.unchanged(wall_s))
}

/// The number of a tenant's parameter set. Where no record is judged there may be none: before the log has begun, and of a
/// tenant that is gone.
fn number(tenant: &Tenant, params: &Params, versions: &[ParamsVersion]) -> u16 {
    match versions.iter().position(|it| *it == params.version) {
        Some(number) => number as u16,
        None if versions.is_empty() || !tenant.is_enabled => 0,
        None => unreachable!("the keeper numbers parameter sets before a snapshot needs them"),
    }
}

fn key_rows(tenant: &Tenant, row: impl Fn(&str) -> Row) -> Vec<(KeyId, Row)> {
    let TenantKeys::Scheduled(schedule) = &tenant.keys else {
        return Vec::new();
    };
    let keys = schedule.keys.iter();
    keys.map(|key| (key.key.id(), row(&key.name))).collect()
}

/// When the scheduled keys of all tenants verify.
fn key_times(snapshot: &Snapshot, tenants: &[TenantInForce]) -> Vec<KeyTimes> {
    let scheduled = snapshot.all().zip(tenants).flat_map(|(tenant, in_force)| {
        let keys = match &tenant.keys {
            TenantKeys::Scheduled(schedule) => schedule.keys.as_slice(),
            _ => &[],
        };
        keys.iter().zip(&in_force.key_rows)
    });
    let times = scheduled.map(|(key, (_, row))| KeyTimes {
        row: *row,
        from_s: key.from_s,
        until_s: key.until_s,
    });
    times.collect()
}

/// How many of the sets at the front judge together.
fn together(sets: &[ParamsInForce]) -> usize {
    let begins = sets.first().map(|first| first.from_s);
    let same = sets.iter().take_while(|set| Some(set.from_s) == begins);
    same.count()
}

/// The parameter sets of a tenant by their numbers, with running sums of the shares of those that judge together.
fn in_force(
    tenant: &Tenant,
    versions: &[ParamsVersion],
    row: impl Fn(&str) -> Row,
) -> Vec<ParamsInForce> {
    let (mut below, mut since_s) = (0, 0);
    let sets = tenant.params.iter().map(|set| {
        let begun = if set.from_s == since_s { below } else { 0 };
        (below, since_s) = (begun + set.share, set.from_s);
        ParamsInForce {
            params: set.params,
            number: number(tenant, &set.params, versions),
            row: row(set.params.version.as_str()),
            below,
            from_s: set.from_s,
        }
    });
    sets.collect()
}
