//! From a document to a snapshot: checks it, loads its keys and gives its tenants their numbers. The only place that makes a
//! [`Snapshot`].

use super::document::{
    Document, KeyDocument, LimitsDocument, ParamsDocument, Source, TenantDocument,
};
use super::fault::{Fault, SourceFault};
use super::tenant::{KeySchedule, Limit, Snapshot, Tenant, TenantKeys, TimedKey, TimedParams};
use super::{KEY_TABLES_COUNT_MAX, TENANTS_COUNT_MAX};
use crate::dedup::context::TenantId;
use flk_contract::signature::{VerifyingKey, wipe_stack};
use flk_contract::{Params, Scheme};
use std::cmp::Reverse;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Reads the text behind a source: of a file without its trailing newline.
pub type LoadSecret<'a> = &'a dyn Fn(&Source) -> Result<Zeroizing<String>, SourceFault>;

/// Gives tenants their numbers. One per process: a number is never given to another name, for requests in flight and
/// prepared state of shards refer to it. What is resolved by a clone that is dropped gets no numbers.
#[derive(Clone, Debug)]
pub struct Resolver {
    names: Vec<Arc<str>>,
}

impl Default for Resolver {
    /// It knows the tenant of requests that name none, under [`TenantId::DEFAULT`].
    fn default() -> Resolver {
        Resolver {
            names: vec![Arc::from("default")],
        }
    }
}

/// What to do with a key that cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingKeys {
    /// The document is refused: at publishing, nothing is applied by halves.
    Refuse,
    /// Its tenant admits nothing: at a start, the others are served.
    CloseTenant,
}

impl Resolver {
    /// The snapshot of a document.
    ///
    /// Besides it, the keys that are missing where [`MissingKeys::CloseTenant`] goes on without them.
    ///
    /// # Errors
    /// The first thing that is wrong; nothing was changed then.
    pub fn resolve(
        &mut self,
        document: &Document,
        load: LoadSecret<'_>,
        missing: MissingKeys,
    ) -> Result<(Snapshot, Vec<Fault>), Fault> {
        let resolved = self.resolve_keys(document, load, missing);
        wipe_stack();
        resolved
    }

    #[inline(never)] // its frame holds keys
    fn resolve_keys(
        &mut self,
        document: &Document,
        load: LoadSecret<'_>,
        missing: MissingKeys,
    ) -> Result<(Snapshot, Vec<Fault>), Fault> {
        document.check()?;
        let mut closed = Vec::new();
        let mut keys = Vec::with_capacity(document.tenants.len());
        for tenant in &document.tenants {
            keys.push(match (load_keys(tenant, load), missing) {
                (Ok(keys), _) => keys,
                (Err(fault), MissingKeys::Refuse) => return Err(fault),
                (Err(fault), MissingKeys::CloseTenant) => {
                    closed.push(fault);
                    TenantKeys::Unavailable
                }
            });
        }
        give_tables(&mut keys);
        let by_name = self.number(&document.tenants)?;
        let mut tenants: Vec<Tenant> = self.names.iter().map(gone).collect();
        for ((tenant, &id), keys) in document.tenants.iter().zip(&by_name).zip(keys) {
            let [rate, bytes, unauthenticated] = Limit::of_tenant(id, &tenant.limits);
            tenants[id.index()] = Tenant {
                name: Arc::clone(&self.names[id.index()]),
                is_enabled: tenant.enabled,
                keys,
                rate,
                bytes,
                unauthenticated,
                wal_share: tenant.wal_share.map_or(ALL, |percent| percent as u8),
                params: tenant.params.iter().filter_map(timed).collect(),
            };
        }
        let LimitsDocument { rate, burst, .. } = document.limits;
        let snapshot = Snapshot {
            number: document.number,
            digest: document.digest(),
            rate: Limit::new(0, u64::from(rate), u64::from(burst)),
            tenants,
            by_name,
        };
        Ok((snapshot, closed))
    }

    /// The numbers of these tenants; new names get new ones.
    fn number(&mut self, tenants: &[TenantDocument]) -> Result<Vec<TenantId>, Fault> {
        let is_new = |tenant: &&TenantDocument| !self.names.iter().any(|it| **it == *tenant.name);
        let new: Vec<Arc<str>> = tenants
            .iter()
            .filter(is_new)
            .map(|tenant| Arc::from(tenant.name.as_str()))
            .collect();
        if self.names.len() + new.len() > TENANTS_COUNT_MAX {
            return Err(Fault::invalid(
                "",
                format!(
                    "more than {TENANTS_COUNT_MAX} different tenants since the start: restart the data plane to forget those that are gone"
                ),
            ));
        }
        self.names.extend(new);
        let number = |tenant: &TenantDocument| {
            let at = self.names.iter().position(|name| **name == *tenant.name);
            TenantId::at(at.unwrap_or_default())
        };
        Ok(tenants.iter().map(number).collect())
    }
}

/// What is left of a tenant that a snapshot does not have: its name.
fn gone(name: &Arc<str>) -> Tenant {
    let none = Limit::new(0, 0, 0);
    Tenant {
        name: Arc::clone(name),
        is_enabled: false,
        keys: TenantKeys::Unavailable,
        rate: none,
        bytes: none,
        unauthenticated: none,
        wal_share: ALL,
        params: timed(&ParamsDocument::of(&Params::default()))
            .into_iter()
            .collect(),
    }
}

/// The share of a tenant that may fill a batch alone.
const ALL: u8 = 100;

fn timed(set: &ParamsDocument) -> Option<TimedParams> {
    Some(TimedParams {
        params: set.params()?,
        share: set.share,
        from_s: set.begins_s(),
    })
}

fn load_keys(tenant: &TenantDocument, load: LoadSecret<'_>) -> Result<TenantKeys, Fault> {
    if tenant.unsigned {
        return Ok(TenantKeys::Unsigned);
    }
    // It never grows: what it would leave behind holds keys.
    let mut keys = Vec::with_capacity(tenant.keys.len());
    for key in &tenant.keys {
        let loaded = load_key(key, load).map_err(|fault| Fault::Key {
            tenant: tenant.name.clone(),
            key: key.id.clone(),
            source: Box::new(key.source.clone()),
            fault,
        });
        keys.push(loaded?);
    }
    Ok(TenantKeys::Scheduled(KeySchedule { keys }))
}

fn load_key(key: &KeyDocument, load: LoadSecret<'_>) -> Result<TimedKey, SourceFault> {
    let scheme: Scheme = match key.scheme.parse() {
        Ok(scheme) => scheme,
        Err(error) => unreachable!("a checked document has known schemes only: {error}"),
    };
    let verifying = key.source.key(scheme, load)?;
    let found = verifying.id().to_string();
    if found != key.fingerprint {
        return Err(SourceFault::OtherKey { found });
    }
    Ok(TimedKey {
        name: Arc::from(key.id.as_str()),
        key: verifying,
        from_s: key.begins_s(),
        until_s: key.ends_s(),
    })
}

/// Gives Ed25519 keys their tables, as many as a snapshot may have: first to those that verify longest, then as the document
/// has them. Others are as good, and slower.
fn give_tables(tenants: &mut [TenantKeys]) {
    let keys = tenants.iter_mut().flat_map(|keys| match keys {
        TenantKeys::Scheduled(schedule) => schedule.keys.as_mut_slice(),
        TenantKeys::Unsigned | TenantKeys::Unavailable => &mut [],
    });
    let mut keys: Vec<&mut TimedKey> = keys.filter(|it| it.key.wants_table()).collect();
    keys.sort_by_key(|it| Reverse(it.until_s));
    for TimedKey { key, .. } in keys.into_iter().take(KEY_TABLES_COUNT_MAX) {
        key.add_table();
    }
}

impl Source {
    /// The key that it holds.
    ///
    /// # Errors
    /// It cannot be read, or holds no key of this scheme.
    pub fn key(&self, scheme: Scheme, load: LoadSecret<'_>) -> Result<VerifyingKey, SourceFault> {
        let whole = match self {
            Source::Public { base64 } => Zeroizing::new(base64.clone()),
            Source::File { .. } | Source::Environment { .. } => load(self)?,
        };
        let text = match self.index() {
            None => whole.as_str(),
            Some(at) => {
                let mut texts = whole.split(',');
                texts.nth(at as usize).ok_or(SourceFault::NoSuchText)?
            }
        };
        VerifyingKey::from_text(scheme, text).map_err(SourceFault::NotAKey)
    }
}
