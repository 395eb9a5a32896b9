//! What a document may say: names, times, limits and parameter sets within their bounds. It looks at nothing else.

use super::document::{
    Document, KeyDocument, LimitsDocument, ParamsDocument, Source, TenantDocument,
};
use super::fault::Fault;
use super::{FORMAT, TENANT_KEYS_COUNT_MAX, TENANTS_COUNT_MAX};
use flk_contract::params::ParamsVersion;
use flk_contract::signature::KEYS_COUNT_MAX;
use flk_contract::{Algorithm, Params, Scheme};
use std::collections::{BTreeMap, BTreeSet};

/// Largest whole number of a document: what a double holds exactly, as RFC 8785 wants it.
const WHOLE_MAX: u64 = 1 << 53;
/// Parameter sets of a tenant at a time.
const PARAMS_COUNT_MAX: usize = 2;
/// What the shares of a tenant's parameter sets come to.
const SHARES: u32 = 1000;

impl Document {
    /// Whether everything in it is allowed.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn check(&self) -> Result<(), Fault> {
        if self.format != FORMAT {
            return Err(Fault::Format(self.format));
        }
        if self.tenants.len() > TENANTS_COUNT_MAX {
            let problem = format!("more than {TENANTS_COUNT_MAX} tenants");
            return Err(Fault::invalid("", problem));
        }
        let pairs = self.tenants.windows(2);
        if let Some(pair) = pairs.into_iter().find(|pair| pair[0].name >= pair[1].name) {
            let problem = "it is there twice, or tenants are not ascending by name";
            return Err(Fault::invalid(format!("tenant {}", pair[1].name), problem));
        }
        limits("limits", &self.limits)?;
        if self.limits.bytes_per_s > 0 || self.limits.unauthenticated_bytes_per_s > 0 {
            let problem =
                "limits of bytes are those of tenants; all together have a rate and a burst";
            return Err(Fault::invalid("limits", problem));
        }
        let mut versions = BTreeMap::new();
        for tenant in &self.tenants {
            tenant.check()?;
            for set in &tenant.params {
                let numbers = set.numbers();
                if *versions.entry(&set.version).or_insert(numbers.clone()) != numbers {
                    let place = format!("tenant {}, parameters {}", tenant.name, set.version);
                    let problem = "another tenant has other numbers under this version";
                    return Err(Fault::invalid(place, problem));
                }
            }
        }
        Ok(())
    }

    /// Whether each tenant has a parameter set that judges in this second. A document without one would be judged by a set
    /// before its time, so it is not published.
    ///
    /// # Errors
    /// A tenant whose first set begins later.
    pub fn judges_at(&self, wall_s: u64) -> Result<(), Fault> {
        let sets = self
            .tenants
            .iter()
            .map(|tenant| (&tenant.name, tenant.params.first()));
        let mut sets = sets.filter_map(|(name, set)| Some((name, set?)));
        match sets.find(|(_, set)| set.begins_s() > wall_s) {
            Some((name, set)) => Err(Fault::invalid(
                format!("tenant {name}, parameters {}", set.version),
                "they are effective later only, and no other set judges until then: keep the one in force beside them",
            )),
            None => Ok(()),
        }
    }
}

impl TenantDocument {
    fn check(&self) -> Result<(), Fault> {
        let place = format!("tenant {}", self.name);
        name(&place, &self.name)?;
        limits(&place, &self.limits)?;
        self.attributes(&place)?;
        match (self.unsigned, self.keys.len()) {
            (true, 0) | (false, 1..=TENANT_KEYS_COUNT_MAX) => {}
            (true, _) => return Err(Fault::invalid(place, "it is unsigned and has keys")),
            (false, 0) => return Err(Fault::invalid(place, "it has no key")),
            (false, count) => {
                let problem = format!(
                    "it has {count} keys; at most {TENANT_KEYS_COUNT_MAX} are kept: remove those that are over"
                );
                return Err(Fault::invalid(place, problem));
            }
        }
        let mut ids = BTreeSet::new();
        let mut fingerprints = BTreeSet::new();
        for key in &self.keys {
            let place = format!("{place}, key {}", key.id);
            key.check(&place)?;
            if !ids.insert(&key.id) {
                return Err(Fault::invalid(place, "another key has this id"));
            }
            if !fingerprints.insert(&key.fingerprint) {
                return Err(Fault::invalid(place, "another key has the same bytes"));
            }
        }
        self.active_keys(&place)?;
        self.params(&place)
    }

    fn attributes(&self, place: &str) -> Result<(), Fault> {
        match self.wal_share {
            None | Some(1..=100) => {}
            Some(other) => {
                let problem = format!("its wal_share is {other}; 1 to 100 percent is allowed");
                return Err(Fault::invalid(place, problem));
            }
        }
        match &self.home {
            Some(home) => name(&format!("{place}, home"), home),
            None => Ok(()),
        }
    }

    /// At most four keys are active at a time.
    fn active_keys(&self, place: &str) -> Result<(), Fault> {
        for at in self.keys.iter().map(KeyDocument::begins_s) {
            let is_active = |key: &&KeyDocument| (key.begins_s()..key.ends_s()).contains(&at);
            let active = self.keys.iter().filter(is_active).count();
            if active > KEYS_COUNT_MAX {
                let problem = format!(
                    "{active} keys are active at second {at}; at most {KEYS_COUNT_MAX} may be at a time"
                );
                return Err(Fault::invalid(place, problem));
            }
        }
        Ok(())
    }

    fn params(&self, place: &str) -> Result<(), Fault> {
        if !(1..=PARAMS_COUNT_MAX).contains(&self.params.len()) {
            let problem = format!("it has not 1 to {PARAMS_COUNT_MAX} parameter sets");
            return Err(Fault::invalid(place, problem));
        }
        if !self.params.is_sorted_by_key(ParamsDocument::begins_s) {
            let problem = "its parameter sets are not ascending by effective_from";
            return Err(Fault::invalid(place, problem));
        }
        // Two numbers of 32 bits do not fit into one.
        let together = self.params.chunk_by(|a, b| a.begins_s() == b.begins_s());
        let mut sums = together.map(|sets| sets.iter().map(|set| u64::from(set.share)).sum());
        if sums.any(|sum: u64| sum != u64::from(SHARES)) {
            let problem = format!(
                "the shares of its parameter sets that judge at the same time do not come to {SHARES}"
            );
            return Err(Fault::invalid(place, problem));
        }
        let mut sets = self.params.iter();
        sets.try_for_each(|set| set.check(&format!("{place}, parameters {}", set.version)))
    }
}

impl KeyDocument {
    /// The first second in which it verifies.
    pub(super) fn begins_s(&self) -> u64 {
        self.not_before.unwrap_or(0)
    }

    /// The first second in which it no longer does.
    pub(super) fn ends_s(&self) -> u64 {
        let ends = [self.not_after, self.revoked_at].into_iter().flatten();
        ends.min().unwrap_or(u64::MAX)
    }

    fn check(&self, place: &str) -> Result<(), Fault> {
        name(place, &self.id)?;
        let Ok(scheme) = self.scheme.parse::<Scheme>() else {
            let problem = format!("{} is no signature scheme", self.scheme);
            return Err(Fault::invalid(place, problem));
        };
        let is_public = matches!(self.source, Source::Public { .. });
        if is_public && scheme.algorithm != Algorithm::Ed25519 {
            let problem = "only an Ed25519 public key may stand in the configuration itself";
            return Err(Fault::invalid(place, problem));
        }
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if self.fingerprint.len() != 16 || !self.fingerprint.bytes().all(is_hex) {
            return Err(Fault::invalid(
                place,
                "its fingerprint is not 16 hexadecimal digits",
            ));
        }
        let times = [self.not_before, self.not_after, self.revoked_at];
        if times.into_iter().flatten().any(|at| at >= WHOLE_MAX) {
            return Err(Fault::invalid(place, "a time is out of bounds"));
        }
        match self.not_after {
            Some(end) if end <= self.begins_s() => {
                Err(Fault::invalid(place, "it ends before it begins"))
            }
            _ => Ok(()),
        }
    }
}

impl ParamsDocument {
    /// A set under a share of all records.
    pub fn of(params: &Params) -> ParamsDocument {
        ParamsDocument {
            version: params.version.to_string(),
            share: SHARES,
            effective_from: None,
            tol_d: params.tol_d,
            tol_coh: params.tol_coh,
            tol_budget: params.tol_budget,
            base: params.base,
            alpha: params.alpha,
            beta: params.beta,
            gamma: params.gamma,
            d0: params.d0,
            coh_sticky: params.coh_sticky,
            d_sticky: params.d_sticky,
            d_non_sticky: params.d_non_sticky,
        }
    }

    /// What its name stands for: without what may change from one snapshot to the next.
    pub fn numbers(&self) -> ParamsDocument {
        ParamsDocument {
            share: 0,
            effective_from: None,
            ..self.clone()
        }
    }

    /// The first second in which it judges.
    pub fn begins_s(&self) -> u64 {
        self.effective_from.unwrap_or(0)
    }

    /// The set as it judges; none where the version is no name of a set.
    pub fn params(&self) -> Option<Params> {
        Some(Params {
            version: ParamsVersion::new(&self.version).ok()?,
            tol_d: self.tol_d,
            tol_coh: self.tol_coh,
            tol_budget: self.tol_budget,
            base: self.base,
            alpha: self.alpha,
            beta: self.beta,
            gamma: self.gamma,
            d0: self.d0,
            coh_sticky: self.coh_sticky,
            d_sticky: self.d_sticky,
            d_non_sticky: self.d_non_sticky,
        })
    }

    fn check(&self, place: &str) -> Result<(), Fault> {
        let Some(set) = self.params() else {
            let problem = flk_contract::params::BadParamsVersion.to_string();
            return Err(Fault::invalid(place, problem));
        };
        if self.begins_s() >= WHOLE_MAX {
            return Err(Fault::invalid(place, "its effective_from is out of bounds"));
        }
        let bounds = [
            ("tol_d", set.tol_d, 0.0, 3.0),
            ("tol_coh", set.tol_coh, 0.0, 1.0),
            ("tol_budget", set.tol_budget, 0.0, 1.0),
            ("base", set.base, 0.0, 1.0),
            ("alpha", set.alpha, 0.0, 1.0),
            ("beta", set.beta, 0.0, 1.0),
            ("gamma", set.gamma, 0.0, 1.0),
            ("d0", set.d0, 0.0, 3.0),
            ("coh_sticky", set.coh_sticky, 0.0, 1.0),
            ("d_sticky", set.d_sticky, 0.0, 3.0),
            ("d_non_sticky", set.d_non_sticky, set.d_sticky, 3.0),
        ];
        match bounds
            .into_iter()
            .find(|(_, value, least, most)| !(*least..=*most).contains(value))
        {
            Some((what, value, least, most)) => {
                let problem = format!("{what} is {value}; {least} to {most} is allowed");
                Err(Fault::invalid(place, problem))
            }
            None => Ok(()),
        }
    }
}

/// Whether a tenant, a key or a region may have this name: what the header `X-Tenant-Id` may hold.
pub fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn name(place: &str, name: &str) -> Result<(), Fault> {
    match is_name(name) {
        true => Ok(()),
        false => Err(Fault::invalid(
            place,
            "a name is 1 to 64 characters of A-Z a-z 0-9 . _ -",
        )),
    }
}

fn limits(place: &str, limits: &LimitsDocument) -> Result<(), Fault> {
    let bytes = [limits.bytes_per_s, limits.unauthenticated_bytes_per_s];
    if bytes.into_iter().any(|per_s| per_s >= WHOLE_MAX) {
        return Err(Fault::invalid(place, "a limit is out of bounds"));
    }
    if limits.rate == 0 && limits.burst > 0 {
        return Err(Fault::invalid(place, "there is a burst and no rate"));
    }
    Ok(())
}
