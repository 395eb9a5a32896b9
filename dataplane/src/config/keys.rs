//! Keys and passwords. Their values are never shown: errors name the variable and the rule.

use super::error::ConfigError;
use super::raw::RawConfig;
use super::variables::Variable;
use crate::shard::config::MetricsAuth;
use crate::snapshot::KeyDocument;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flk_contract::signature::{KEYS_COUNT_MAX, KeyError, VerifyingKey};
use flk_contract::{Algorithm, Scheme};
use zeroize::Zeroizing;

/// The keys of the tenant of requests that name none.
#[derive(Debug)]
pub(super) struct DefaultKeys {
    /// None: signatures are not looked at.
    pub(super) documents: Vec<KeyDocument>,
    /// Number of HMAC keys shorter than advised.
    pub(super) short_count: usize,
}

/// Settings that hold HMAC keys; of the second a list.
const HMAC: [Variable; 4] = [
    Variable::HmacKey,
    Variable::HmacKeys,
    Variable::HmacKeyNew,
    Variable::HmacKeyOld,
];

/// Whether anything is said of those keys.
pub(super) fn is_configured(raw: &RawConfig) -> bool {
    let all = [Variable::SignAlg, Variable::Ed25519Pub];
    all.iter().chain(&HMAC).any(|it| raw.text(*it).is_some())
}

/// How records of that tenant are authenticated.
pub(super) fn of_default(raw: &RawConfig) -> Result<DefaultKeys, ConfigError> {
    let name = raw.text(Variable::SignAlg).unwrap_or("hmac");
    if name == "none" {
        return match raw.text(Variable::AllowUnsigned) {
            Some("1") => Ok(DefaultKeys {
                documents: Vec::new(),
                short_count: 0,
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

fn hmac(raw: &RawConfig, scheme: Scheme) -> Result<DefaultKeys, ConfigError> {
    let mut all = Vec::new();
    for variable in HMAC {
        match (raw.text(variable), variable) {
            (None, _) => {}
            (Some(text), Variable::HmacKeys) => all.extend(listed(variable, text)),
            (Some(text), _) => all.push((variable, None, text)),
        }
    }
    if all.is_empty() {
        return Err(raw.error(
            Variable::HmacKey,
            format!("PCS_SIGN_ALG={scheme} needs a key in PCS_HMAC_KEY or PCS_HMAC_KEYS"),
        ));
    }
    key_set(raw, scheme, &all)
}

fn ed25519(raw: &RawConfig, scheme: Scheme) -> Result<DefaultKeys, ConfigError> {
    let Some(keys) = raw.text(Variable::Ed25519Pub) else {
        return Err(raw.error(
            Variable::Ed25519Pub,
            format!("PCS_SIGN_ALG={scheme} needs a public key"),
        ));
    };
    let all: Vec<_> = listed(Variable::Ed25519Pub, keys).collect();
    key_set(raw, scheme, &all)
}

fn key_set(raw: &RawConfig, scheme: Scheme, all: &[Typed<'_>]) -> Result<DefaultKeys, ConfigError> {
    let mut documents = Vec::with_capacity(all.len());
    let mut short_count = 0;
    for (at, &(variable, index, text)) in all.iter().enumerate() {
        if all[..at].iter().any(|(_, _, earlier)| *earlier == text) {
            continue;
        }
        let key = VerifyingKey::from_text(scheme, text)
            .map_err(|problem| raw.error(variable, problem))?;
        if documents.len() == KEYS_COUNT_MAX {
            return Err(raw.error(variable, KeyError::TooMany));
        }
        short_count += usize::from(key.is_short());
        let fingerprint = key.id().to_string();
        documents.push(KeyDocument {
            id: fingerprint.clone(),
            scheme: scheme.to_string(),
            source: raw.source(variable).at(index),
            fingerprint,
            not_before: None,
            not_after: None,
            revoked_at: None,
        });
    }
    Ok(DefaultKeys {
        documents,
        short_count,
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
            // One allocation of its final length: a text that grows leaves copies.
            let plain = Zeroizing::new([user, ":", pass].concat());
            let expected = Zeroizing::new(STANDARD.encode(plain.as_bytes()).into_bytes());
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
