//! Keys and passwords. Their values are never shown: errors name the variable and the rule.

use super::error::ConfigError;
use super::raw::{RawConfig, Variable};
use crate::shard::config::MetricsAuth;
use crate::snapshot::{KeyDocument, Source, SourceFault};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flk_contract::signature::VerifyingKey;
use flk_contract::{Algorithm, KeySet, Scheme};
use zeroize::Zeroizing;

/// How records of the default tenant are authenticated.
#[derive(Debug)]
pub enum Signing {
    /// Any key of the set that is active verifies.
    Keys(KeySet),
    /// Signatures are not looked at. Never the default; a start warns of it.
    Unsigned,
}

/// Texts of keys by where they are.
#[derive(Default)]
pub(super) struct KeyTexts(Vec<(Source, Zeroizing<String>)>);

impl KeyTexts {
    /// The text behind a source.
    pub(super) fn load(&self, source: &Source) -> Result<Zeroizing<String>, SourceFault> {
        let is_it = |(known, _): &&(Source, Zeroizing<String>)| known == source;
        match self.0.iter().find(is_it) {
            Some((_, text)) => Ok(text.clone()),
            None => Err(SourceFault::Unreadable("it is not set".to_owned())),
        }
    }
}

impl std::fmt::Debug for KeyTexts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("KeyTexts(..)")
    }
}

/// The keys of the default tenant.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) signing: Signing,
    /// Number of HMAC keys shorter than advised.
    pub(super) short_count: usize,
    /// As a snapshot names them.
    pub(super) documents: Vec<KeyDocument>,
    /// Their texts.
    pub(super) texts: KeyTexts,
}

/// How records are authenticated.
pub(super) fn keys(raw: &RawConfig) -> Result<Keys, ConfigError> {
    let name = raw.text(Variable::SignAlg).unwrap_or("hmac");
    if name == "none" {
        return match raw.text(Variable::AllowUnsigned) {
            Some("1") => Ok(Keys {
                signing: Signing::Unsigned,
                short_count: 0,
                documents: Vec::new(),
                texts: KeyTexts::default(),
            }),
            _ => Err(raw.error(Variable::SignAlg, "unsigned operation accepts anything from anyone; set FLK_ALLOW_UNSIGNED=1 to mean it")),
        };
    }
    if raw
        .text(Variable::AllowUnsigned)
        .is_some_and(|value| value != "1")
    {
        return Err(raw.error(Variable::AllowUnsigned, "not 1"));
    }
    let scheme: Scheme = name
        .parse()
        .map_err(|problem| raw.error(Variable::SignAlg, problem))?;
    match scheme.algorithm {
        Algorithm::Ed25519 => ed25519(raw, scheme),
        Algorithm::HmacSha256 | Algorithm::HmacSha256Payload => hmac(raw, scheme),
    }
}

/// A key as it is typed: its setting, which of several texts with commas between them it is, and its text.
type Typed<'a> = (Variable, Option<u32>, &'a str);

/// The keys of a list.
fn listed(variable: Variable, text: &str) -> impl Iterator<Item = Typed<'_>> {
    let texts = (0..).zip(text.split(','));
    texts.map(move |(at, text)| (variable, Some(at), text))
}

fn hmac(raw: &RawConfig, scheme: Scheme) -> Result<Keys, ConfigError> {
    let one = raw
        .text(Variable::HmacKey)
        .map(|key| (Variable::HmacKey, None, key));
    let several = raw
        .text(Variable::HmacKeys)
        .into_iter()
        .flat_map(|keys| listed(Variable::HmacKeys, keys));
    let all: Vec<_> = one.into_iter().chain(several).collect();
    if all.is_empty() {
        return Err(raw.error(
            Variable::HmacKey,
            format!("PCS_SIGN_ALG={scheme} needs a key in PCS_HMAC_KEY or PCS_HMAC_KEYS"),
        ));
    }
    key_set(raw, scheme, &all)
}

fn ed25519(raw: &RawConfig, scheme: Scheme) -> Result<Keys, ConfigError> {
    let Some(keys) = raw.text(Variable::Ed25519Pub) else {
        return Err(raw.error(
            Variable::Ed25519Pub,
            format!("PCS_SIGN_ALG={scheme} needs a public key"),
        ));
    };
    let all: Vec<_> = listed(Variable::Ed25519Pub, keys).collect();
    key_set(raw, scheme, &all)
}

fn key_set(raw: &RawConfig, scheme: Scheme, all: &[Typed<'_>]) -> Result<Keys, ConfigError> {
    let mut builder = KeySet::builder();
    let mut documents = Vec::with_capacity(all.len());
    let mut texts = Vec::with_capacity(all.len());
    let mut last = Variable::HmacKey;
    for (at, &(variable, index, text)) in all.iter().enumerate() {
        last = variable;
        if all[..at].iter().any(|(_, _, earlier)| *earlier == text) {
            continue;
        }
        let key = VerifyingKey::from_text(scheme, text)
            .map_err(|problem| raw.error(variable, problem))?;
        let fingerprint = key.id().to_string();
        let source = Source::Environment {
            variable: variable.name().to_owned(),
            index,
        };
        let whole = raw.text(variable).unwrap_or_default();
        texts.push((source.clone(), Zeroizing::new(whole.to_owned())));
        documents.push(KeyDocument {
            id: fingerprint.clone(),
            scheme: scheme.to_string(),
            source,
            fingerprint,
            not_before: None,
            not_after: None,
            revoked_at: None,
        });
        builder = builder
            .add_key(key)
            .map_err(|problem| raw.error(variable, problem))?;
    }
    let keys = builder
        .build()
        .map_err(|problem| raw.error(last, problem))?;
    Ok(Keys {
        short_count: keys.short_keys_count(),
        signing: Signing::Keys(keys),
        documents,
        texts: KeyTexts(texts),
    })
}

/// The expected `Authorization` header of `/metrics`.
pub(super) fn metrics_auth(raw: &RawConfig) -> Result<Option<MetricsAuth>, ConfigError> {
    match (
        raw.text(Variable::MetricsUser),
        raw.text(Variable::MetricsPass),
    ) {
        (None, None) => Ok(None),
        (Some(user), Some(_)) if user.contains(':') => {
            Err(raw.error(Variable::MetricsUser, "it holds a colon"))
        }
        (Some(user), Some(pass)) => {
            let expected = STANDARD.encode(format!("{user}:{pass}")).into_bytes();
            Ok(Some(MetricsAuth { expected }))
        }
        (Some(_), None) => {
            Err(raw.error(Variable::MetricsPass, "METRICS_USER is set and it is not"))
        }
        (None, Some(_)) => {
            Err(raw.error(Variable::MetricsUser, "METRICS_PASS is set and it is not"))
        }
    }
}
