//! The refusals of all shards with the names that metrics have for tenants and keys. It reads the page and writes nothing.

use super::page::Parts;
use super::refusals::Noted;
use super::series::tenants::{key_name, tenant_name};

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When, in microseconds since 1970.
    pub wall_us: u64,
    /// The shard.
    pub shard: u16,
    /// Number of the problem.
    pub problem: u8,
    /// The field of the record that it is about; empty: none.
    pub field: &'static str,
    /// The tenant, where the request came so far.
    pub tenant: Option<String>,
    /// The key that verified.
    pub key: Option<String>,
}

/// The refusals of all shards, the newest first.
pub(crate) fn all(parts: &Parts<'_>) -> Vec<Refused> {
    let shards = (0..).zip(parts.shards);
    let named = |(shard, noted): (u16, Noted)| Refused {
        wall_us: noted.wall_us,
        shard,
        problem: noted.problem,
        field: noted.field,
        tenant: noted.tenant.map(|row| tenant_name(parts, row.number())),
        key: noted.key.map(|row| key_name(parts, shard, row)),
    };
    let of_shards =
        shards.flat_map(|(shard, page)| page.refusals.newest().map(move |noted| (shard, noted)));
    let mut all: Vec<Refused> = of_shards.map(named).collect();
    all.sort_by_key(|it| std::cmp::Reverse(it.wall_us));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Stats;

    #[test]
    fn refusals_of_all_shards_have_the_names_of_metrics_and_the_newest_is_first() {
        let stats = Stats::new(2);
        // Shards give rows of their own to keys: the same row is another key elsewhere.
        let first = &stats.shards[0].tenants;
        first.key_row(first.tenant_row(3, "acme"), "2026-10");
        for (wall_us, page) in (10..).zip(stats.shards.iter()) {
            let tenant = page.tenants.tenant_row(3, "acme");
            page.refusals.note(&Noted {
                wall_us,
                problem: 60,
                tenant: Some(tenant),
                key: Some(page.tenants.key_row(tenant, "2026-11")),
                ..Noted::default()
            });
        }
        stats.shards[1].refusals.note(&Noted {
            wall_us: 7,
            ..Noted::default()
        });
        let found = all(&stats.parts());
        let order: Vec<_> = found.iter().map(|it| (it.wall_us, it.shard)).collect();
        assert_eq!(order, [(11, 1), (10, 0), (7, 1)]);
        for refused in &found[..2] {
            assert_eq!(refused.tenant.as_deref(), Some("acme"));
            assert_eq!(refused.key.as_deref(), Some("2026-11"));
        }
        assert_eq!((&found[2].tenant, &found[2].key), (&None, &None));
    }
}
