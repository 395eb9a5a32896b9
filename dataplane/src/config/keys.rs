//! Keys and passwords. Their values are never shown: errors name the variable and the rule.

use super::error::ConfigError;
use super::raw::{RawConfig, Variable};
use crate::shard::config::{MetricsAuth, Signing};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flk_contract::{Algorithm, KeySet, Scheme};
use zeroize::Zeroizing;

/// How records are authenticated, and how many HMAC keys are shorter than advised.
pub(super) fn signing(raw: &RawConfig) -> Result<(Signing, usize), ConfigError> {
    let name = raw.text(Variable::SignAlg).unwrap_or("hmac");
    if name == "none" {
        return match raw.text(Variable::AllowUnsigned) {
            Some("1") => Ok((Signing::Unsigned, 0)),
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
    let keys = match scheme.algorithm {
        Algorithm::Ed25519 => ed25519(raw, scheme)?,
        Algorithm::HmacSha256 | Algorithm::HmacSha256Payload => hmac(raw, scheme)?,
    };
    let short = keys.short_keys_count();
    Ok((Signing::Keys(keys), short))
}

fn hmac(raw: &RawConfig, scheme: Scheme) -> Result<KeySet, ConfigError> {
    let one = raw
        .text(Variable::HmacKey)
        .map(|key| (Variable::HmacKey, key));
    let several = raw
        .text(Variable::HmacKeys)
        .into_iter()
        .flat_map(|keys| keys.split(','));
    let all: Vec<_> = one
        .into_iter()
        .chain(several.map(|key| (Variable::HmacKeys, key)))
        .collect();
    if all.is_empty() {
        return Err(raw.error(
            Variable::HmacKey,
            format!("PCS_SIGN_ALG={scheme} needs a key in PCS_HMAC_KEY or PCS_HMAC_KEYS"),
        ));
    }
    key_set(raw, scheme, &all)
}

fn ed25519(raw: &RawConfig, scheme: Scheme) -> Result<KeySet, ConfigError> {
    let Some(keys) = raw.text(Variable::Ed25519Pub) else {
        return Err(raw.error(
            Variable::Ed25519Pub,
            format!("PCS_SIGN_ALG={scheme} needs a public key"),
        ));
    };
    let all: Vec<_> = keys
        .split(',')
        .map(|key| (Variable::Ed25519Pub, key))
        .collect();
    key_set(raw, scheme, &all)
}

fn key_set(
    raw: &RawConfig,
    scheme: Scheme,
    all: &[(Variable, &str)],
) -> Result<KeySet, ConfigError> {
    let mut builder = KeySet::builder();
    let mut last = Variable::HmacKey;
    for (at, &(variable, text)) in all.iter().enumerate() {
        last = variable;
        if all[..at].iter().any(|(_, earlier)| *earlier == text) {
            continue;
        }
        builder = builder
            .add(scheme, text)
            .map_err(|problem| raw.error(variable, problem))?;
    }
    builder.build().map_err(|problem| raw.error(last, problem))
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
