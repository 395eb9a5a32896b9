//! The snapshot that a start begins with, as a document: what the settings say of tenants, keys and limits. It resolves
//! nothing and shows no key.

use super::{Config, Signing};
use crate::snapshot::{
    Document, FORMAT, LimitsDocument, ParamsDocument, Source, SourceFault, TenantDocument,
};
use flk_contract::Params;
use zeroize::Zeroizing;

impl Config {
    /// The document of snapshot 0.
    pub fn document(&self) -> Document {
        let default = TenantDocument {
            name: "default".to_owned(),
            enabled: true,
            unsigned: matches!(*self.signing, Signing::Unsigned),
            keys: self.keys.clone(),
            limits: LimitsDocument::default(),
            params: vec![ParamsDocument::of(&Params::default())],
            home: None,
        };
        Document {
            format: FORMAT,
            number: 0,
            limits: LimitsDocument {
                rate: self.token_rate,
                ..LimitsDocument::default()
            },
            tenants: vec![default],
        }
    }

    /// The text behind a source of [`Config::document`], as it was when the settings were read.
    ///
    /// # Errors
    /// The settings name no such source.
    pub fn load_key(&self, source: &Source) -> Result<Zeroizing<String>, SourceFault> {
        self.key_texts.load(source)
    }
}
