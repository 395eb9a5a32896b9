//! Counters by tenant, key and parameter set, in tables of fixed size: one row each for the first that come, and one for all
//! that come when a table is full. A row keeps its name for the life of the process. It knows no configuration.

use super::Cell;
use super::cell::Text;

/// Tenants with a row of their own.
pub const TENANT_ROWS: usize = 64;
/// Keys with a row of their own, all tenants together.
pub const KEY_ROWS: usize = 256;
/// Pairs of tenant and parameter set with a row of their own.
pub const PARAMS_ROWS: usize = 128;

/// What is counted of a tenant.
#[derive(Debug, Default)]
#[repr(C)]
pub struct TenantRow {
    pub(super) name: Text<8>,
    /// Submissions that named it, from their heads on.
    pub ingest: Cell,
    /// First outcomes that accept.
    pub accepted: Cell,
    /// First outcomes that escalate.
    pub escalated: Cell,
    /// Records refused because of their signature.
    pub signature_errors: Cell,
    /// Duplicates answered with a stored outcome.
    pub dedup_hits: Cell,
    /// Requests over a rate.
    pub rate_limited: Cell,
    /// Requests over a quota of bytes.
    pub quota_exceeded: Cell,
}

/// What is counted of a key.
#[derive(Debug, Default)]
#[repr(C)]
pub struct KeyRow {
    pub(super) tenant: Cell,
    pub(super) name: Text<8>,
    /// Signatures that it verified.
    pub verified: Cell,
    /// The beginning of the last second of the wall clock in which it did, in microseconds; 0: never.
    pub last_seen_us: Cell,
    /// From when it verifies, wall clock in microseconds; 0: from ever, or it is not in force.
    pub(super) begins_us: Cell,
    /// Until when; 0: no end is known, or it is not in force.
    pub(super) ends_us: Cell,
}

/// When a key verifies, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTimes {
    /// The row of the key.
    pub row: Row,
    /// From here on; 0: from ever.
    pub from_s: u64,
    /// Up to here, excluded; `u64::MAX`: without an end.
    pub until_s: u64,
}

/// What is counted of a parameter set under a tenant.
#[derive(Debug, Default)]
#[repr(C)]
pub struct ParamsRow {
    pub(super) tenant: Cell,
    pub(super) name: Text<8>,
    /// First outcomes that accept.
    pub accepted: Cell,
    /// First outcomes that escalate.
    pub escalated: Cell,
    /// Escalations by the reason's number, from 1.
    pub reasons: [Cell; 5],
}

/// The tables of one shard. The last row of each is that of all others.
#[derive(Debug)]
#[repr(C)]
pub struct TenantPages {
    pub(super) tenants: [TenantRow; TENANT_ROWS + 1],
    pub(super) keys: [KeyRow; KEY_ROWS + 1],
    pub(super) params: [ParamsRow; PARAMS_ROWS + 1],
}

impl Default for TenantPages {
    fn default() -> TenantPages {
        TenantPages {
            tenants: std::array::from_fn(|_| TenantRow::default()),
            keys: std::array::from_fn(|_| KeyRow::default()),
            params: std::array::from_fn(|_| ParamsRow::default()),
        }
    }
}

/// A row of a table by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row(u16);

impl Row {
    /// Its place in the table.
    pub fn number(self) -> u16 {
        self.0
    }

    /// The one at this place, if any table is so long.
    pub fn numbered(place: u64) -> Option<Row> {
        let is_place = place <= KEY_ROWS.max(TENANT_ROWS).max(PARAMS_ROWS) as u64;
        is_place.then_some(Row(place as u16))
    }
}

impl TenantPages {
    /// The row of the tenant that the process knows as its `index`-th. A number belongs to one name for ever.
    pub fn tenant_row(&self, index: usize, name: &str) -> Row {
        let (_, own) = split(&self.tenants);
        match own.get(index) {
            Some(row) if row.name.is(name) => {}
            Some(row) => row.name.set(name),
            None => return Row(TENANT_ROWS as u16),
        }
        Row(index as u16)
    }

    /// The row of a key of a tenant: the same each time.
    pub fn key_row(&self, tenant: Row, name: &str) -> Row {
        place(&self.keys, tenant, name, |row| (&row.tenant, &row.name))
    }

    /// The row of a parameter set under a tenant: the same each time.
    pub fn params_row(&self, tenant: Row, version: &str) -> Row {
        place(&self.params, tenant, version, |row| {
            (&row.tenant, &row.name)
        })
    }

    /// What is counted of a tenant.
    pub fn tenant(&self, row: Row) -> &TenantRow {
        &self.tenants[usize::from(row.0)]
    }

    /// What is counted of a key.
    pub fn key(&self, row: Row) -> &KeyRow {
        &self.keys[usize::from(row.0)]
    }

    /// These are the keys in force; of all others no times are shown any more.
    pub fn show_key_times(&self, in_force: &[KeyTimes]) {
        let (_, own) = split(&self.keys);
        let mut times = vec![None; own.len()];
        for key in in_force {
            // Keys without a row of their own have no times.
            if let Some(place) = times.get_mut(usize::from(key.row.0)) {
                *place = Some(key);
            }
        }
        let us = |seconds: u64| seconds.saturating_mul(1_000_000);
        for (row, key) in own.iter().zip(times) {
            row.begins_us.set(us(key.map_or(0, |it| it.from_s)));
            row.ends_us.set(match key.map(|it| it.until_s) {
                None | Some(u64::MAX) => 0,
                Some(until_s) => us(until_s),
            });
        }
    }

    /// What is counted of a parameter set.
    pub fn params(&self, row: Row) -> &ParamsRow {
        &self.params[usize::from(row.0)]
    }
}

/// The row of all others, and those before it.
fn split<T>(table: &[T]) -> (&T, &[T]) {
    match table.split_last() {
        Some(split) => split,
        None => unreachable!("a table has a row at least"),
    }
}

/// The row of something that belongs to a tenant: its own, or the first free one, or that of all others, where all that
/// belongs to tenants without a row is counted, too.
fn place<T>(table: &[T], tenant: Row, name: &str, of: impl Fn(&T) -> (&Cell, &Text<8>)) -> Row {
    let (_, own) = split(table);
    let number = u64::from(tenant.0);
    let is_it_or_free = |row: &T| {
        let (of_tenant, named) = of(row);
        !named.is_set() || (of_tenant.get() == number && named.is(name))
    };
    let at = match usize::from(tenant.0) < TENANT_ROWS {
        true => own.iter().position(is_it_or_free),
        false => None,
    };
    let Some(at) = at else {
        return Row(own.len() as u16);
    };
    let (of_tenant, named) = of(&own[at]);
    if !named.is_set() {
        of_tenant.set(number);
        named.set(name);
    }
    Row(at as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Stats;
    use crate::stats::exposition::{Format, render};

    fn rendered(stats: &Stats) -> String {
        let mut text = String::new();
        render(&stats.parts(), Format::Prometheus, &mut text);
        text
    }

    #[test]
    fn rows_of_one_name_are_one_sample_of_all_shards() {
        let stats = Stats::new(2);
        for (shard, page) in (1..).zip(stats.shards.iter()) {
            let page = &page.tenants;
            let name = "a-name.of_64-characters-".repeat(3)[..64].to_owned();
            let tenant = page.tenant_row(1, &name);
            page.tenant(tenant).ingest.add(shard);
            let key = page.key_row(tenant, "2026-11");
            assert_eq!(page.key_row(tenant, "2026-11"), key);
            assert_ne!(page.key_row(tenant, "2026-12"), key);
            page.key(key).verified.add(10);
            page.key(key).last_seen_us.set((100 + shard) * 1_000_000);
            let params = page.params_row(tenant, "2");
            page.params(params).escalated.add(1);
            page.params(params).reasons[0].add(1);
        }
        let text = rendered(&stats);
        let name = "a-name.of_64-characters-a-name.of_64-characters-a-name.of_64-cha";
        for line in [
            format!("flk_ingest_by_tenant{{tenant=\"{name}\"}} 3"),
            format!("flk_key_verified_total{{tenant=\"{name}\",key=\"2026-11\"}} 20"),
            format!("flk_key_last_seen_seconds{{tenant=\"{name}\",key=\"2026-11\"}} 102"),
            format!("flk_escalated_by_params{{tenant=\"{name}\",params=\"2\"}} 2"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
        assert!(
            text.contains(",params=\"2\",reason=\"d_hat_out_of_tolerance\"} 2\n"),
            "{text}"
        );
        assert!(!text.contains("=\"other\""), "{text}");
    }

    #[test]
    fn a_place_that_no_table_has_is_that_of_all_others() {
        let stats = Stats::new(1);
        let page = &stats.shards[0].tenants;
        let key = page.key_row(page.tenant_row(0, "acme"), "only");
        page.key(key).verified.add(7);
        for place in [TENANT_ROWS as u64 + 1, u64::MAX] {
            page.keys[usize::from(key.number())].tenant.set(place);
            let text = rendered(&stats);
            let sample = "flk_key_verified_total{tenant=\"other\",key=\"only\"} 7\n";
            assert!(text.contains(sample), "{text}");
        }
    }

    #[test]
    fn times_are_those_of_keys_in_force() {
        let stats = Stats::new(2);
        let show = |keys: &[(&str, u64, u64)]| {
            for page in stats.shards.iter().map(|page| &page.tenants) {
                let tenant = page.tenant_row(0, "acme");
                let of = |&(name, from_s, until_s): &(&str, u64, u64)| KeyTimes {
                    row: page.key_row(tenant, name),
                    from_s,
                    until_s,
                };
                page.show_key_times(&keys.iter().map(of).collect::<Vec<_>>());
            }
            let text = rendered(&stats);
            let of_key = |line: &&str| line.contains("key=\"") && !line.contains("_total");
            let sample = |line: &str| line.replace("{tenant=\"acme\",key=", " ");
            let lines = text.lines().filter(of_key).map(sample);
            let lines = lines.filter(|line| !line.contains("last_seen"));
            lines.collect::<Vec<_>>()
        };
        let shown = show(&[("old", 0, 1_800_000_000), ("new", 1_790_000_000, u64::MAX)]);
        let expect = [
            "flk_key_begins_seconds \"new\"} 1790000000",
            "flk_key_begins_seconds \"old\"} 0",
            "flk_key_ends_seconds \"new\"} 0",
            "flk_key_ends_seconds \"old\"} 1800000000",
        ];
        assert_eq!(shown, expect);
        let shown = show(&[("new", 1_790_000_000, 1_900_000_000)]);
        let expect = [
            "flk_key_begins_seconds \"new\"} 1790000000",
            "flk_key_begins_seconds \"old\"} 0",
            "flk_key_ends_seconds \"new\"} 1900000000",
            "flk_key_ends_seconds \"old\"} 0",
        ];
        assert_eq!(shown, expect);
    }

    #[test]
    fn what_comes_when_a_table_is_full_is_counted_together() {
        let stats = Stats::new(1);
        let page = &stats.shards[0].tenants;
        for at in 0..TENANT_ROWS + 3 {
            let row = page.tenant_row(at, &format!("t{at}"));
            page.tenant(row).accepted.add(1);
            let key = page.key_row(row, "only");
            page.key(key).verified.add(1);
        }
        let last = page.tenant_row(0, "t0");
        for at in 0..KEY_ROWS {
            let key = page.key_row(last, &format!("k{at}"));
            page.key(key).verified.add(1);
        }
        let text = rendered(&stats);
        assert!(
            text.contains("flk_accepted_by_tenant{tenant=\"other\"} 3\n"),
            "{text}"
        );
        let keys = format!(
            "flk_key_verified_total{{tenant=\"other\",key=\"other\"}} {}\n",
            3 + TENANT_ROWS
        );
        assert!(text.contains(&keys), "{keys}{text}");
        let lines = text
            .lines()
            .filter(|line| line.starts_with("flk_accepted_by_tenant"));
        assert_eq!(lines.count(), TENANT_ROWS + 1);
    }
}
