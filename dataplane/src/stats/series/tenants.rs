//! The samples by tenant, key and parameter set: rows of one name, of whatever shard, are one sample.

use super::Series;
use crate::stats::Cell;
use crate::stats::cell::Text;
use crate::stats::format::Number;
use crate::stats::page::Parts;
use crate::stats::tenants::{KeyRow, ParamsRow, Row, TenantPages, TenantRow};
use flk_contract::verify::Reason;
use std::collections::BTreeMap;

/// What the row of all others is called.
const OTHER: &str = "other";

/// The tenant of a row, or what stands for all others.
pub(crate) fn tenant_name(parts: &Parts<'_>, row: u16) -> String {
    let mut pages = parts.shards.iter().map(|page| &page.tenants.tenants);
    let named = pages.find_map(|rows| rows.get(usize::from(row)).filter(|row| row.name.is_set()));
    named.map_or_else(|| OTHER.to_owned(), |row| row.name.get())
}

/// The key of a row of a shard, or what stands for all others.
pub(crate) fn key_name(parts: &Parts<'_>, shard: u16, row: Row) -> String {
    let page = parts.shards.get(usize::from(shard));
    let found = page.and_then(|page| page.tenants.keys.get(usize::from(row.number())));
    found.map_or_else(|| OTHER.to_owned(), |row| shown(&row.name))
}

/// A name, or what stands for all others.
fn shown(name: &Text<8>) -> String {
    match name.is_set() {
        true => name.get(),
        false => OTHER.to_owned(),
    }
}

/// Whether what belongs to a tenant has a name, and the names of both. The tenant is written before the name, and read behind it.
fn labels(pages: &TenantPages, tenant: &Cell, name: &Text<8>) -> (bool, [String; 2]) {
    if !name.is_set() {
        return (false, [OTHER, OTHER].map(str::to_owned));
    }
    // Another process may read the page while it is damaged: a place that is none is no reason to stop.
    let place = usize::try_from(tenant.get()).ok();
    let row = place.and_then(|it| pages.tenants.get(it));
    let of = row.map_or_else(|| OTHER.to_owned(), |it| shown(&it.name));
    (true, [of, name.get()])
}

/// Samples of one metric by their labels. Rows of one name, of whatever shard, are one sample.
struct Samples<const N: usize>(BTreeMap<[String; N], u64>);

impl<const N: usize> Samples<N> {
    /// Counts a row; rows without a name are there only if something was counted in them.
    fn count(&mut self, is_set: bool, labels: [String; N], value: u64, join: fn(u64, u64) -> u64) {
        if is_set || value > 0 {
            let sample = self.0.entry(labels).or_insert(0);
            *sample = join(*sample, value);
        }
    }

    fn put(&self, put: &mut Series<'_>) {
        for (labels, value) in &self.0 {
            put(&labels.each_ref().map(String::as_str), Number(*value));
        }
    }
}

/// A column of the table of tenants.
pub(in crate::stats) fn tenants(
    parts: &Parts<'_>,
    put: &mut Series<'_>,
    cell: impl Fn(&TenantRow) -> &Cell,
) {
    let mut samples = Samples(BTreeMap::new());
    for row in parts.shards.iter().flat_map(|page| &page.tenants.tenants) {
        let (is_set, labels) = (row.name.is_set(), [shown(&row.name)]);
        samples.count(is_set, labels, cell(row).get(), u64::wrapping_add);
    }
    samples.put(put);
}

/// A column of the table of keys.
fn keys(
    parts: &Parts<'_>,
    put: &mut Series<'_>,
    cell: impl Fn(&KeyRow) -> &Cell,
    join: fn(u64, u64) -> u64,
) {
    let mut samples = Samples(BTreeMap::new());
    for page in parts.shards.iter().map(|page| &page.tenants) {
        for row in &page.keys {
            let (is_set, labels) = labels(page, &row.tenant, &row.name);
            samples.count(is_set, labels, cell(row).get(), join);
        }
    }
    samples.put(put);
}

pub(in crate::stats) fn keys_verified(parts: &Parts<'_>, put: &mut Series<'_>) {
    keys(parts, put, |row| &row.verified, u64::wrapping_add);
}

pub(in crate::stats) fn keys_seen(parts: &Parts<'_>, put: &mut Series<'_>) {
    keys(parts, put, |row| &row.last_seen_us, u64::max);
}

pub(in crate::stats) fn keys_begin(parts: &Parts<'_>, put: &mut Series<'_>) {
    keys(parts, put, |row| &row.begins_us, u64::max);
}

pub(in crate::stats) fn keys_end(parts: &Parts<'_>, put: &mut Series<'_>) {
    keys(parts, put, |row| &row.ends_us, u64::max);
}

/// A column of the table of parameter sets.
pub(in crate::stats) fn params(
    parts: &Parts<'_>,
    put: &mut Series<'_>,
    cell: impl Fn(&ParamsRow) -> &Cell,
) {
    let mut samples = Samples(BTreeMap::new());
    for page in parts.shards.iter().map(|page| &page.tenants) {
        for row in &page.params {
            let (is_set, labels) = labels(page, &row.tenant, &row.name);
            samples.count(is_set, labels, cell(row).get(), u64::wrapping_add);
        }
    }
    samples.put(put);
}

pub(in crate::stats) fn params_reasons(parts: &Parts<'_>, put: &mut Series<'_>) {
    let mut samples = Samples(BTreeMap::new());
    for page in parts.shards.iter().map(|page| &page.tenants) {
        for row in &page.params {
            let (is_set, [tenant, params]) = labels(page, &row.tenant, &row.name);
            for (code, cell) in (1..).zip(&row.reasons) {
                let reason = Reason::from_code(code).map_or("", |reason| reason.as_str());
                let labels = [tenant.clone(), params.clone(), reason.to_owned()];
                samples.count(is_set, labels, cell.get(), u64::wrapping_add);
            }
        }
    }
    samples.put(put);
}
