//! Snapshots for the tests of this module. Keys are texts behind sources of their own name.

use super::config::KEY;
use crate::snapshot::*;
use flk_contract::signature::VerifyingKey;
use flk_contract::{Params, Scheme};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A key of HMAC whose text this is, under this id.
pub(super) fn key(id: &str, text: &str) -> KeyDocument {
    let scheme: Scheme = "hmac".parse().unwrap();
    let verifying = VerifyingKey::from_text(scheme, text).unwrap();
    KeyDocument {
        id: id.to_owned(),
        scheme: scheme.to_string(),
        source: Source::file(text),
        fingerprint: verifying.id().to_string(),
        not_before: None,
        not_after: None,
        revoked_at: None,
    }
}

/// A tenant with the usual key.
pub(super) fn tenant(name: &str) -> TenantDocument {
    TenantDocument {
        name: name.to_owned(),
        enabled: true,
        unsigned: false,
        keys: vec![key("usual", KEY)],
        limits: LimitsDocument::default(),
        wal_share: None,
        params: vec![ParamsDocument::of(&Params::default())],
        home: None,
    }
}

/// A document with these tenants.
pub(super) fn document(number: u32, tenants: &[&str]) -> Document {
    Document {
        format: FORMAT,
        number,
        limits: LimitsDocument::default(),
        tenants: tenants.iter().map(|name| tenant(name)).collect(),
    }
}

/// Resolves it.
pub(super) fn resolve(resolver: &mut Resolver, document: &Document) -> Arc<Snapshot> {
    let load = |source: &Source| match source.to_string().as_str() {
        "lost" => Err(SourceFault::NoSuchText),
        text => Ok(Zeroizing::new(text.to_owned())),
    };
    let resolved = resolver.resolve(document, &load, MissingKeys::CloseTenant);
    Arc::new(resolved.unwrap().0)
}

/// What rooms begin with: the default tenant with the usual key.
pub(super) fn usual() -> Arc<Snapshot> {
    resolve(&mut Resolver::default(), &document(0, &["default"]))
}

/// The same with a process-wide rate.
pub(super) fn rated() -> Arc<Snapshot> {
    let mut document = document(0, &["default"]);
    document.limits.rate = 100;
    resolve(&mut Resolver::default(), &document)
}
