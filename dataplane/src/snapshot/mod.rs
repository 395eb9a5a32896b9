//! The configuration that records are judged under, as numbered, immutable snapshots: [`Document`] is what is published and
//! stored, [`Snapshot`] what shards run. It loads keys through a function that it is given; it opens no file and sends
//! nothing.

mod canonical;
mod check;
mod document;
mod fault;
mod resolve;
mod tenant;

pub use canonical::Digest;
pub use check::is_name;
pub use document::{
    Document, FORMAT, KeyDocument, LimitsDocument, ParamsDocument, Source, TenantDocument,
};
pub use fault::{Fault, SourceFault};
pub use resolve::{LoadSecret, MissingKeys, Resolver};
pub(crate) use tenant::lot;
pub use tenant::{
    ActiveKeys, KeySchedule, Limit, Snapshot, Tenant, TenantKeys, TimedKey, TimedParams,
    judging_set,
};

/// Tenants of one snapshot, and tenants that one run of the process has known at all: each has its place in tables.
pub const TENANTS_COUNT_MAX: usize = 4096;

/// Keys of a tenant in one snapshot: those in force, those to come, and those that are over.
pub const TENANT_KEYS_COUNT_MAX: usize = 16;

/// Ed25519 keys of one snapshot that have a table. While a snapshot replaces another, both have theirs.
pub const KEY_TABLES_COUNT_MAX: usize = 64;

#[cfg(test)]
mod tests;
