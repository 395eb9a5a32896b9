//! What the settings say of tenants, keys, limits and parameters, as the document that a start begins with and that control
//! publishes. It shows no key.

use super::error::{ConfigError, Place};
use super::keys;
use super::raw::RawConfig;
use super::secret_file::{KEY_CHARACTERS_MIN, shown_path};
use super::secrets::Secrets;
use super::tenants::{DEFAULT, RawKey, RawTenant};
use super::variables::{FILE_VARIABLE, Variable};
use crate::driver::clock;
use crate::snapshot::{
    Document, FORMAT, KeyDocument, LimitsDocument, LoadSecret, ParamsDocument, Source,
    TenantDocument,
};
use flk_contract::{Params, Scheme};
use std::path::Path;
use zeroize::Zeroizing;

/// What is allowed for tenants.
const ALLOWED: &str = "tenants as docs/operations.md describes them";

/// The document, where its keys are, and how many HMAC keys are shorter than advised.
pub(super) struct Desired {
    pub document: Document,
    pub secrets: Secrets,
    pub short_keys_count: usize,
}

/// Reads what the settings say.
pub(super) fn desired(raw: &RawConfig) -> Result<Desired, ConfigError> {
    let (from_variable, texts) = listed_tenants(raw)?;
    let secrets = Secrets::of(raw, texts.into_iter().chain(raw.variables()));
    let load = |source: &Source| secrets.load_in(raw.pass(), source);
    let typed: Vec<&RawTenant> = raw.tenants().iter().chain(&from_variable).collect();
    let mut short_keys_count = 0;
    let mut tenants = Vec::with_capacity(typed.len() + 1);
    let has_own_default = typed.iter().any(|tenant| tenant.name == DEFAULT);
    if !has_own_default && (typed.is_empty() || keys::is_configured(raw)) {
        let keys = keys::of_default(raw)?;
        short_keys_count += keys.short_count;
        tenants.push(TenantDocument {
            name: DEFAULT.to_owned(),
            enabled: true,
            unsigned: keys.documents.is_empty(),
            keys: keys.documents,
            limits: LimitsDocument::default(),
            wal_share: None,
            params: vec![ParamsDocument::of(&Params::default())],
            home: None,
        });
    }
    for tenant in &typed {
        tenants.push(tenant_of(tenant, &load, &mut short_keys_count)?);
    }
    tenants.sort_by(|a, b| a.name.cmp(&b.name));
    let document = Document {
        format: FORMAT,
        number: 0,
        limits: LimitsDocument {
            rate: raw.parsed(Variable::TokenRate, "0", "not a whole number within bounds")?,
            ..LimitsDocument::default()
        },
        tenants,
    };
    document.check().map_err(|fault| {
        let problem = fault.to_string();
        let is_of = |tenant: &&&RawTenant| names(&problem, &tenant.name);
        let place = typed.iter().find(is_of).and_then(|it| it.place.clone());
        error(place, problem)
    })?;
    Ok(Desired {
        document,
        secrets,
        short_keys_count,
    })
}

/// A key of a tenant of the file that cannot be loaded, by the places of both.
pub(super) struct WrongKey {
    pub tenant: usize,
    pub key: usize,
    pub error: ConfigError,
}

/// All of them. One that verifies nothing any more may be gone.
pub(super) fn wrong_keys(raw: &RawConfig) -> Vec<WrongKey> {
    let secrets = Secrets::of(raw, raw.variables());
    let load = |source: &Source| secrets.load_in(raw.pass(), source);
    let mut wrong = Vec::new();
    for (tenant, typed) in raw.tenants().iter().enumerate() {
        for (key, of) in typed.keys.iter().enumerate() {
            match key_of(typed, of, &load, &mut 0) {
                Err(error) if !is_over(of) => wrong.push(WrongKey { tenant, key, error }),
                Ok(_) | Err(_) => {}
            }
        }
    }
    wrong
}

/// Whether a refusal of a document begins with this tenant.
fn names(problem: &str, tenant: &str) -> bool {
    let rest = problem
        .strip_prefix("tenant ")
        .and_then(|it| it.strip_prefix(tenant));
    rest.is_some_and(|rest| rest.starts_with([':', ',']))
}

/// A tenant with the fingerprints of its keys.
fn tenant_of(
    typed: &RawTenant,
    load: LoadSecret<'_>,
    short_keys_count: &mut usize,
) -> Result<TenantDocument, ConfigError> {
    let mut keys = Vec::with_capacity(typed.keys.len());
    for key in &typed.keys {
        match key_of(typed, key, load, short_keys_count) {
            Ok(document) => keys.push(document),
            // It verifies nothing any more, so its file may be gone.
            Err(_) if is_over(key) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(TenantDocument {
        name: typed.name.clone(),
        enabled: typed.enabled,
        unsigned: typed.unsigned,
        keys,
        limits: typed.limits,
        wal_share: typed.wal_share,
        params: typed.params.clone(),
        home: typed.home.clone(),
    })
}

/// Whether a key has ended or was revoked.
fn is_over(key: &RawKey) -> bool {
    let now_s = clock::now().wall_us / 1_000_000;
    let ends = [key.not_after, key.revoked_at].into_iter().flatten();
    ends.min().is_some_and(|end| end <= now_s)
}

fn key_of(
    tenant: &RawTenant,
    typed: &RawKey,
    load: LoadSecret<'_>,
    short_keys_count: &mut usize,
) -> Result<KeyDocument, ConfigError> {
    let place = || typed.place.clone().or_else(|| tenant.place.clone());
    let wrong = |problem: String| {
        let (tenant, key) = (&tenant.name, &typed.id);
        error(place(), format!("tenant {tenant}, key {key}: {problem}"))
    };
    let scheme: Scheme = typed
        .scheme
        .parse()
        .map_err(|error| wrong(format!("{error}")))?;
    let key = typed
        .source
        .key(scheme, load)
        .map_err(|fault| wrong(format!("{}: {fault}", shown_source(&typed.source))))?;
    *short_keys_count += usize::from(key.is_short());
    Ok(KeyDocument {
        id: typed.id.clone(),
        scheme: scheme.to_string(),
        source: typed.source.clone(),
        fingerprint: key.id().to_string(),
        not_before: typed.not_before,
        not_after: typed.not_after,
        revoked_at: typed.revoked_at,
    })
}

/// A source as it may be shown: a text in the place of a file's or a variable's name may be the key itself.
pub fn shown_source(source: &Source) -> String {
    let is_shown = match source {
        Source::File { path, .. } => shown_path(Path::new(path)) == *path,
        Source::Environment { variable, .. } => is_name(variable),
        Source::Public { .. } => true,
    };
    match is_shown {
        true => source.to_string(),
        false => "(not shown)".to_owned(),
    }
}

/// Whether a text is the name of a variable and no key: words in capitals, or short. The base64 of URLs has underscores, too.
fn is_name(variable: &str) -> bool {
    let is_of_words = |it: u8| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_';
    variable.len() < KEY_CHARACTERS_MIN
        || variable.starts_with(OF_TENANTS)
        || (variable.contains('_') && variable.bytes().all(is_of_words))
}

/// What the names of the keys of the variable TENANTS begin with; no variable is called so.
const OF_TENANTS: &str = "TENANTS:";

fn error(place: Option<Place>, problem: String) -> ConfigError {
    let (variable, allowed) = match place {
        Some(_) => (FILE_VARIABLE, ALLOWED),
        None => (Variable::Tenants.name(), Variable::Tenants.allowed()),
    };
    ConfigError {
        variable,
        place: place.map(Box::new),
        argument: None,
        value: None,
        problem,
        allowed,
    }
}

/// Tenants of the variable TENANTS with one key each, and the texts of those keys.
type Listed = (Vec<RawTenant>, Vec<(String, Zeroizing<String>)>);

fn listed_tenants(raw: &RawConfig) -> Result<Listed, ConfigError> {
    let is_on = match raw.text(Variable::MultiTenant) {
        None | Some("0") => false,
        Some("1") => true,
        Some(_) => return Err(raw.error(Variable::MultiTenant, "neither 0 nor 1")),
    };
    let Some(text) = raw.text(Variable::Tenants) else {
        return Ok(Listed::default());
    };
    if !is_on {
        return Err(raw.error(Variable::Tenants, "MULTI_TENANT is not 1"));
    }
    let mut listed = Listed::default();
    for (at, entry) in (1..).zip(text.split(',')) {
        let mut parts = entry.splitn(3, ':');
        let (Some(name), Some(scheme), Some(key)) = (parts.next(), parts.next(), parts.next())
        else {
            let problem = format!("entry {at} is not id:alg:key");
            return Err(raw.error(Variable::Tenants, problem));
        };
        let variable = format!("{OF_TENANTS}{name}");
        listed
            .1
            .push((variable.clone(), Zeroizing::new(key.to_owned())));
        listed.0.push(RawTenant::with_key(
            name.trim(),
            scheme,
            Source::variable(variable),
        ));
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_the_place_of_a_variable_is_not_shown_whatever_is_in_it() {
        for name in ["KEY", "acme", "ACME_KEY_OF_THE_YEAR_2026", "TENANTS:acme"] {
            assert_eq!(shown_source(&Source::variable(name)), name);
        }
        for secret in [
            "kq7Vm2xPzR4tLw9sYb3nHc6jFd8gTa5e",
            "kq7Vm2xPzR4t_w9sYb3nHc6jFd8-Ta5e", // base64 of URLs
            "acme:kq7Vm2xPzR4tLw9sYb3nHc6jFd8",
        ] {
            let shown = shown_source(&Source::variable(secret));
            assert_eq!(shown, "(not shown)", "{secret}");
        }
    }
}
