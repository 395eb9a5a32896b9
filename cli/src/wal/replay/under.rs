//! What stored bodies are judged under: the keys of the command line for every tenant, or a configuration with its tenants. The
//! verdict itself is the data plane's ([`flk_dataplane::verdict`]); here stand only keys and parameters.

use crate::exit::{Exit, Failure};
use crate::fault;
use crate::keyring::Verifying;
use crate::keys::now_s;
use flk_contract::Params;
use flk_dataplane::config::{Config, ConfigError, Environment, Flags};
use flk_dataplane::dedup::key::KeyHash;
use flk_dataplane::http::Problem;
use flk_dataplane::snapshot::{
    ActiveKeys, MissingKeys, Resolver, Snapshot, Tenant, TenantKeys, judging_set,
};
use flk_dataplane::verdict::{Case, Judge, Judged, Refusal};
use flk_dataplane::wal::secret::Secret;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Keys and parameters.
pub(super) struct Under {
    kind: Kind,
    /// As if every body had come in this second; none: each in its own.
    at_s: Option<u64>,
}

enum Kind {
    /// These keys for every tenant, and the default parameters.
    Keys(ActiveKeys),
    /// A configuration. The hash tells which parameter set a record gets where several share a tenant.
    Configuration(Box<Snapshot>, KeyHash),
}

impl Under {
    /// The keys of the command line. Like those of a gateway, they have tables: a log has many signatures.
    pub(super) fn keys(keys: Verifying, at_s: Option<u64>) -> Self {
        let active = match keys {
            Verifying::Off => ActiveKeys::Unsigned,
            Verifying::Keys(mut keyring) => {
                keyring.set.add_tables();
                ActiveKeys::Set(keyring.set)
            }
        };
        let kind = Kind::Keys(active);
        Self { kind, at_s }
    }

    /// The configuration in a file, as a gateway reads it here.
    pub(super) fn configuration(
        file: &Path,
        secret: impl FnOnce() -> Result<Vec<u8>, Failure>,
        at_s: Option<u64>,
    ) -> Result<Self, Failure> {
        let refused = |text: String| Failure::with(Exit::Configuration, text);
        if let Err(error) = std::fs::File::open(file) {
            let (file, why) = (file.display(), fault::why(&error));
            return Err(Failure::usage(format!("--config {file}: {why}")));
        }
        let flags = Flags {
            file: Some(file.display().to_string()),
            settings: Vec::new(),
        };
        let config = Config::from_process(Environment::default(), &flags)
            .map_err(|mistakes| refused(mistakes_of(file, &mistakes)))?;
        let judges_s = at_s.map_or_else(now_s, Ok)?;
        let judges = config.document.judges_at(judges_s);
        judges.map_err(|fault| refused(format!("--config {}: {fault}", file.display())))?;
        let load = |source: &_| config.secrets.load(source);
        let resolved = Resolver::default().resolve(&config.document, &load, MissingKeys::Refuse);
        let (snapshot, _) = resolved.map_err(|fault| refused(fault.to_string()))?;
        let shares = snapshot.all().any(|tenant| tenant.params.len() > 1);
        let hash = match shares {
            false => [0; 16],
            true => {
                let secret = Secret::decode(&secret()?);
                secret
                    .map_err(|fault| Failure::with(Exit::Damage, fault.to_string()))?
                    .key
            }
        };
        let kind = Kind::Configuration(Box::new(snapshot), KeyHash::new(hash));
        Ok(Self { kind, at_s })
    }
}

/// The mistakes of a configuration. One that is no TOML says nothing of what it lacks.
fn mistakes_of(file: &Path, mistakes: &[ConfigError]) -> String {
    let is_no_toml = |it: &&ConfigError| it.place.as_ref().is_some_and(|it| it.key == "TOML");
    if let Some(no_toml) = mistakes.iter().find(is_no_toml) {
        return format!("--config {}: {no_toml}", file.display());
    }
    let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    all.join("\nflk: ")
}

/// Judges bodies under it. Each thread has its own.
pub(super) struct Scratch<'u> {
    under: &'u Under,
    names: &'u Names,
    judge: Judge,
    params: Params,
    /// Tenants that were met, with the keys of the second in which the last body came.
    tenants: Vec<Met<'u>>,
}

/// Names of tenants by the numbers that all threads use.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<Vec<String>>);

impl Names {
    fn number(&self, name: &str) -> u32 {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = names.iter().position(|it| it == name);
        at.unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        }) as u32
    }

    /// All of them, by number.
    pub(super) fn all(&self) -> Vec<String> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.clone()
    }
}

/// A tenant that was met.
struct Met<'u> {
    name: String,
    number: u32,
    /// None if the configuration does not have it, or if there is no configuration.
    tenant: Option<&'u Tenant>,
    keys: ActiveKeys,
    valid_s: Range<u64>,
}

impl<'u> Scratch<'u> {
    pub(super) fn new(under: &'u Under, names: &'u Names) -> Self {
        Self {
            under,
            names,
            judge: Judge::default(),
            params: Params::default(),
            tenants: Vec::new(),
        }
    }

    /// The place of a tenant among those that were met here.
    fn meet(&mut self, name: &str) -> usize {
        if let Some(at) = self.tenants.iter().position(|it| it.name == name) {
            return at;
        }
        let tenant = match &self.under.kind {
            Kind::Keys(_) => None,
            Kind::Configuration(snapshot, _) => {
                let id = snapshot.named(name.as_bytes());
                id.map(|id| snapshot.tenant(id)).filter(|it| it.is_enabled)
            }
        };
        self.tenants.push(Met {
            name: name.to_owned(),
            number: self.names.number(name),
            tenant,
            keys: ActiveKeys::None,
            valid_s: 0..0,
        });
        self.tenants.len() - 1
    }

    /// The number of a tenant.
    pub(super) fn number(&mut self, name: &str) -> u32 {
        let at = self.meet(name);
        self.tenants[at].number
    }

    /// The verdict on a body of a tenant that came in this second.
    pub(super) fn verdict(
        &mut self,
        tenant: &str,
        wall_s: u64,
        body: &[u8],
    ) -> Result<Judged, Problem> {
        let wall_s = self.under.at_s.unwrap_or(wall_s);
        let at = self.meet(tenant);
        let met = &mut self.tenants[at];
        let said = match (&self.under.kind, met.tenant) {
            (Kind::Keys(keys), _) => {
                let mut case = WithKeys {
                    keys,
                    params: &self.params,
                };
                self.judge.verdict(body, &mut case)
            }
            (Kind::Configuration(..), None) => return Err(Problem::UnknownTenant),
            (Kind::Configuration(_, hash), Some(tenant)) => {
                met.take_keys(tenant, wall_s);
                let mut case = WithTenant {
                    hash,
                    tenant,
                    keys: &met.keys,
                    wall_s,
                    params: &self.params,
                };
                self.judge.verdict(body, &mut case)
            }
        };
        said.map_err(|Refusal { problem, .. }| problem)
    }
}

impl Met<'_> {
    /// Takes the keys of this second.
    fn take_keys(&mut self, tenant: &Tenant, wall_s: u64) {
        if self.valid_s.contains(&wall_s) {
            return;
        }
        self.keys = tenant.keys.active(wall_s);
        self.valid_s = match &tenant.keys {
            TenantKeys::Scheduled(schedule) => schedule.unchanged(wall_s),
            TenantKeys::Unsigned | TenantKeys::Unavailable => 0..u64::MAX,
        };
    }
}

struct WithKeys<'a> {
    keys: &'a ActiveKeys,
    params: &'a Params,
}

impl Case for WithKeys<'_> {
    fn keys(&self) -> &ActiveKeys {
        self.keys
    }

    fn params(&mut self, _: &str) -> &Params {
        self.params
    }
}

struct WithTenant<'a> {
    hash: &'a KeyHash,
    tenant: &'a Tenant,
    keys: &'a ActiveKeys,
    wall_s: u64,
    /// Those of a tenant without any, which no checked configuration has.
    params: &'a Params,
}

impl Case for WithTenant<'_> {
    fn keys(&self) -> &ActiveKeys {
        self.keys
    }

    fn params(&mut self, pcs_id: &str) -> &Params {
        let sets = self.tenant.judging(self.wall_s);
        let set = match sets {
            [one] => Some(one),
            sets => judging_set(sets, self.hash.key(&self.tenant.name, pcs_id)),
        };
        set.map_or(self.params, |set| &set.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::{Env, KeyArgs};

    #[test]
    fn ed25519_keys_of_the_command_line_have_tables_as_those_of_a_gateway_have() {
        let of = |name: &str| match name {
            "PCS_SIGN_ALG" => Some("ed25519".into()),
            // The base point of the curve.
            "PCS_ED25519_PUB_B64" => Some("WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY=".into()),
            _ => None,
        };
        let keys = KeyArgs::default().verifying(&Env(&of)).unwrap();
        let Kind::Keys(ActiveKeys::Set(set)) = Under::keys(keys, None).kind else {
            panic!("keys of the command line are a set");
        };
        assert_eq!(set.ids().count(), 1);
        assert!(!set.wants_tables());
    }
}
