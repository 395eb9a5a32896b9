//! Snapshots of the simulated world: which keys verify, under which parameters. It makes documents and resolves them; it
//! applies nothing.

use super::plan::Settings;
use super::records::{SIGNERS, params, scheme};
use crate::snapshot::{
    Document, FORMAT, KeyDocument, LimitsDocument, MissingKeys, ParamsDocument, Resolver, Snapshot,
    Source, SourceFault, TenantDocument,
};
use flk_contract::signature::VerifyingKey;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a run begins with.
#[allow(clippy::expect_used)] // made of constants, no request or recovery path
pub(super) fn first(settings: Settings, resolver: &mut Resolver) -> Arc<Snapshot> {
    let resolved = resolver.resolve(&document(settings), &load, MissingKeys::Refuse);
    let (snapshot, _) = resolved.expect("a document that holds");
    Arc::new(snapshot)
}

fn document(settings: Settings) -> Document {
    let signers = (0..)
        .zip(settings.signers)
        .filter(|(_, verifies)| *verifies);
    Document {
        format: FORMAT,
        number: 0,
        limits: LimitsDocument::default(),
        tenants: vec![TenantDocument {
            name: "default".to_owned(),
            enabled: true,
            unsigned: false,
            keys: signers.map(|(signer, _)| key(signer)).collect(),
            limits: LimitsDocument::default(),
            params: vec![ParamsDocument::of(&params(settings.params))],
            home: None,
        }],
    }
}

/// A key by the number of its signer, which is its source, too.
#[allow(clippy::expect_used)]
fn key(signer: usize) -> KeyDocument {
    let verifying = VerifyingKey::from_text(scheme(), SIGNERS[signer]).expect("a key");
    KeyDocument {
        id: signer.to_string(),
        scheme: scheme().to_string(),
        source: Source::file(signer.to_string()),
        fingerprint: verifying.id().to_string(),
        not_before: None,
        not_after: None,
        revoked_at: None,
    }
}

fn load(source: &Source) -> Result<Zeroizing<String>, SourceFault> {
    let signer: Option<usize> = source.to_string().parse().ok();
    let text = signer.and_then(|signer| SIGNERS.get(signer));
    text.map(|text| Zeroizing::new((*text).to_owned()))
        .ok_or(SourceFault::NoSuchText)
}
