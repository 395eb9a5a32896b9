//! The document of a configuration with one tenant. It stands here only until the data plane's own configuration makes it.

use flk_dataplane::config::Config;
use flk_dataplane::shard::config::Signing;
use flk_dataplane::snapshot::{
    Document, FORMAT, KeyDocument, LimitsDocument, ParamsDocument, Source, TenantDocument,
};

/// The document of snapshot 0.
pub(crate) fn of(config: &Config) -> Document {
    let keys = match &*config.signing {
        Signing::Unsigned => Vec::new(),
        Signing::Keys(keys) => keys.ids().map(|(id, _)| id.to_string()).collect(),
    };
    let key = |fingerprint: &String| KeyDocument {
        id: fingerprint.clone(),
        scheme: "hmac-sha256".to_owned(),
        source: Source::Environment {
            variable: "PCS_HMAC_KEY".to_owned(),
            index: None,
        },
        fingerprint: fingerprint.clone(),
        not_before: None,
        not_after: None,
        revoked_at: None,
    };
    Document {
        format: FORMAT,
        number: 0,
        limits: LimitsDocument {
            rate: config.token_rate,
            ..LimitsDocument::default()
        },
        tenants: vec![TenantDocument {
            name: "default".to_owned(),
            enabled: true,
            unsigned: keys.is_empty(),
            keys: keys.iter().map(key).collect(),
            limits: LimitsDocument::default(),
            params: vec![ParamsDocument::of(&flk_contract::Params::default())],
            home: None,
        }],
    }
}
