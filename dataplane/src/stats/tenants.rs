//! Counters by tenant, key and parameter set, in tables of fixed size: one row each for the first that come, and one for all
//! that come when a table is full. A row keeps its name for the life of the process. It knows no configuration.

use super::Cell;
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
#[repr(C)]
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

    pub(super) fn is_set(&self) -> bool {
        self.len.load(Ordering::Relaxed) > 0
    }

    /// The name, or what stands for all others.
    pub(super) fn or_other(&self) -> String {
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
#[repr(C)]
pub struct TenantRow {
    pub(super) name: Name,
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
    pub(super) name: Name,
    /// Signatures that it verified.
    pub verified: Cell,
    /// The last second of the wall clock in which it did; 0: never.
    pub last_seen_s: Cell,
}

/// What is counted of a parameter set under a tenant.
#[derive(Debug, Default)]
#[repr(C)]
pub struct ParamsRow {
    pub(super) tenant: Cell,
    pub(super) name: Name,
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

    /// All rows of tenants.
    pub(super) fn tenants(&self) -> &[TenantRow] {
        &self.tenants
    }

    /// All rows of keys.
    pub(super) fn keys(&self) -> &[KeyRow] {
        &self.keys
    }

    /// All rows of parameter sets.
    pub(super) fn all_params(&self) -> &[ParamsRow] {
        &self.params
    }

    /// The name of the tenant that something called this belongs to.
    pub(super) fn tenant_of(&self, tenant: &Cell, named: &Name) -> String {
        match named.is_set() {
            true => self.tenant(Row(tenant.get() as u16)).name.or_other(),
            false => OTHER.to_owned(),
        }
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
