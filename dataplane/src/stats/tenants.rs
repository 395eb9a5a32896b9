//! Counters by tenant, key and parameter set, in tables of fixed size: one row each for the first that come, and one for all
//! that come when a table is full. A row keeps its name for the life of the process. It knows no configuration.

use super::{Cell, Stats};
use flk_contract::verify::Reason;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tenants with a row of their own.
pub const TENANT_ROWS: usize = 64;
/// Keys with a row of their own, all tenants together.
pub const KEY_ROWS: usize = 256;
/// Pairs of tenant and parameter set with a row of their own.
pub const PARAMS_ROWS: usize = 128;

/// What the row of all others is called.
const OTHER: &str = "other";

/// Longest name in bytes; longer ones are cut.
const NAME_BYTES_MAX: usize = 64;

/// A name with one writer, written once.
#[derive(Debug, Default)]
pub struct Name {
    bytes: [AtomicU64; NAME_BYTES_MAX / 8],
    len: AtomicU64,
}

impl Name {
    fn set(&self, name: &str) {
        for (cell, part) in self.bytes.iter().zip(name.as_bytes().chunks(8)) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            cell.store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
        let len = name.len().min(NAME_BYTES_MAX) as u64;
        // Who sees the length sees the bytes.
        self.len.store(len, Ordering::Release);
    }

    fn is(&self, name: &str) -> bool {
        let words = self.bytes.iter().zip(name.as_bytes().chunks(8));
        let mut same = words.map(|(cell, part)| {
            let word = cell.load(Ordering::Relaxed).to_le_bytes();
            word[..part.len()] == *part
        });
        self.len.load(Ordering::Relaxed) == name.len() as u64 && same.all(|same| same)
    }

    fn is_set(&self) -> bool {
        self.len.load(Ordering::Relaxed) > 0
    }

    /// The name, or what stands for all others.
    fn or_other(&self) -> String {
        if !self.is_set() {
            return OTHER.to_owned();
        }
        let len = self.len.load(Ordering::Acquire) as usize;
        let words = self.bytes.iter();
        let bytes: Vec<u8> = words
            .flat_map(|cell| cell.load(Ordering::Relaxed).to_le_bytes())
            .take(len)
            .collect();
        String::from_utf8(bytes).unwrap_or_default()
    }
}

/// What is counted of a tenant.
#[derive(Debug, Default)]
pub struct TenantRow {
    name: Name,
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
pub struct KeyRow {
    tenant: Cell,
    name: Name,
    /// Signatures that it verified.
    pub verified: Cell,
    /// The last second of the wall clock in which it did; 0: never.
    pub last_seen_s: Cell,
}

/// What is counted of a parameter set under a tenant.
#[derive(Debug, Default)]
pub struct ParamsRow {
    tenant: Cell,
    name: Name,
    /// First outcomes that accept.
    pub accepted: Cell,
    /// First outcomes that escalate.
    pub escalated: Cell,
    /// Escalations by the reason's number, from 1.
    pub reasons: [Cell; 5],
}

/// The tables of one shard. The last row of each is that of all others.
#[derive(Debug)]
pub struct TenantPages {
    tenants: [TenantRow; TENANT_ROWS + 1],
    keys: [KeyRow; KEY_ROWS + 1],
    params: [ParamsRow; PARAMS_ROWS + 1],
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

impl TenantPages {
    /// The row of the tenant that the process knows as its `index`-th. A number belongs to one name for ever.
    pub fn tenant_row(&self, index: usize, name: &str) -> Row {
        let (_, own) = split(&self.tenants);
        match own.get(index) {
            Some(row) if row.name.is_set() => {}
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

    /// What is counted of a parameter set.
    pub fn params(&self, row: Row) -> &ParamsRow {
        &self.params[usize::from(row.0)]
    }

    fn tenant_labels(&self, row: &TenantRow) -> String {
        format!("tenant=\"{}\"", row.name.or_other())
    }

    fn labels(&self, tenant: &Cell, what: &str, name: &Name) -> String {
        let of = match name.is_set() {
            true => self.tenant(Row(tenant.get() as u16)).name.or_other(),
            false => OTHER.to_owned(),
        };
        format!("tenant=\"{of}\",{what}=\"{}\"", name.or_other())
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
fn place<T>(table: &[T], tenant: Row, name: &str, of: impl Fn(&T) -> (&Cell, &Name)) -> Row {
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

/// A column of a table: name, help, and its place in a row.
type Column<T> = (&'static str, &'static str, fn(&T) -> &Cell);

#[rustfmt::skip] // a table
const TENANTS: [Column<TenantRow>; 7] = [
    ("flk_ingest_by_tenant", "Submissions by tenant, whatever their answer.", |row| &row.ingest),
    ("flk_accepted_by_tenant", "First outcomes that accept, by tenant.", |row| &row.accepted),
    ("flk_escalated_by_tenant", "First outcomes that escalate, by tenant.", |row| &row.escalated),
    ("flk_signature_errors_by_tenant", "Records refused because of their signature, by tenant.", |row| &row.signature_errors),
    ("flk_dedup_hits_by_tenant", "Duplicates answered with the stored outcome, by tenant.", |row| &row.dedup_hits),
    ("flk_rate_limited_by_tenant", "Requests over a rate, by tenant.", |row| &row.rate_limited),
    ("flk_quota_exceeded_by_tenant", "Requests over a quota of bytes, by tenant.", |row| &row.quota_exceeded),
];

#[rustfmt::skip] // a table
const PARAMS: [Column<ParamsRow>; 2] = [
    ("flk_accepted_by_params", "First outcomes that accept, by parameter set.", |row| &row.accepted),
    ("flk_escalated_by_params", "First outcomes that escalate, by parameter set.", |row| &row.escalated),
];

/// Samples of one metric by their labels. Rows of one name, of whatever shard, are one sample.
#[derive(Default)]
struct Samples(BTreeMap<String, u64>);

impl Samples {
    /// Counts a row; rows without a name are there only if something was counted in them.
    fn count(&mut self, name: &Name, labels: String, value: u64, join: fn(u64, u64) -> u64) {
        if name.is_set() || value > 0 {
            let sample = self.0.entry(labels).or_insert(0);
            *sample = join(*sample, value);
        }
    }

    fn write(&self, name: &str, help: &str, kind: &str, out: &mut String) {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in &self.0 {
            let _ = writeln!(out, "{name}{{{labels}}} {value}");
        }
    }
}

/// Renders the tables of all shards.
pub(super) fn render(stats: &Stats, out: &mut String) {
    let pages: Vec<&TenantPages> = stats.shards.iter().map(|page| &page.tenants).collect();
    for (name, help, cell) in TENANTS {
        let mut samples = Samples::default();
        for page in &pages {
            for row in &page.tenants {
                samples.count(&row.name, page.tenant_labels(row), cell(row).get(), sum);
            }
        }
        samples.write(name, help, "counter", out);
    }
    let (mut verified, mut seen) = (Samples::default(), Samples::default());
    for page in &pages {
        for row in &page.keys {
            let labels = page.labels(&row.tenant, "key", &row.name);
            verified.count(&row.name, labels.clone(), row.verified.get(), sum);
            seen.count(&row.name, labels, row.last_seen_s.get(), u64::max);
        }
    }
    let help = "Signatures that a key verified.";
    verified.write("flk_key_verified_total", help, "counter", out);
    let help = "When a key verified last, in seconds since the Unix epoch; 0: not since the start.";
    seen.write("flk_key_last_seen_seconds", help, "gauge", out);
    render_params(&pages, out);
}

fn render_params(pages: &[&TenantPages], out: &mut String) {
    for (name, help, cell) in PARAMS {
        let mut samples = Samples::default();
        for page in pages {
            for row in &page.params {
                let labels = page.labels(&row.tenant, "params", &row.name);
                samples.count(&row.name, labels, cell(row).get(), sum);
            }
        }
        samples.write(name, help, "counter", out);
    }
    let mut samples = Samples::default();
    for page in pages {
        for row in &page.params {
            let labels = page.labels(&row.tenant, "params", &row.name);
            for (code, cell) in (1..).zip(&row.reasons) {
                let reason = Reason::from_code(code).map_or("", |reason| reason.as_str());
                let labels = format!("{labels},reason=\"{reason}\"");
                samples.count(&row.name, labels, cell.get(), sum);
            }
        }
    }
    let name = "flk_escalated_by_params_and_reason";
    let help = "First outcomes that escalate, by parameter set and reason.";
    samples.write(name, help, "counter", out);
}

fn sum(one: u64, other: u64) -> u64 {
    one.wrapping_add(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(stats: &Stats) -> String {
        let mut text = String::new();
        render(stats, &mut text);
        text
    }

    #[test]
    fn rows_of_one_name_are_one_sample_of_all_shards() {
        let stats = Stats::new(2);
        for (shard, page) in (1..).zip(&stats.shards) {
            let page = &page.tenants;
            let name = "a-name.of_64-characters-".repeat(3)[..64].to_owned();
            let tenant = page.tenant_row(1, &name);
            page.tenant(tenant).ingest.add(shard);
            let key = page.key_row(tenant, "2026-11");
            assert_eq!(page.key_row(tenant, "2026-11"), key);
            assert_ne!(page.key_row(tenant, "2026-12"), key);
            page.key(key).verified.add(10);
            page.key(key).last_seen_s.set(100 + shard);
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
        assert!(!text.contains("other"), "{text}");
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
