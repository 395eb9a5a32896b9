//! Tenants as typed: tables of the configuration file, and the variable TENANTS. It knows their form; whether they may be
//! published is the snapshot's to say.

use super::error::{ConfigError, Place};
use super::toml_file::File;
use super::toml_table::{Table, tables_of};
use crate::snapshot::{LimitsDocument, ParamsDocument, Source};
use flk_contract::Params;
use toml::de::DeValue;

/// The tenant of requests that name none.
pub(super) const DEFAULT: &str = "default";

/// A tenant as typed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RawTenant {
    /// Where it begins; nothing: in the environment.
    pub place: Option<Place>,
    pub name: String,
    pub enabled: bool,
    pub unsigned: bool,
    pub keys: Vec<RawKey>,
    pub limits: LimitsDocument,
    pub wal_share: Option<u32>,
    pub params: Vec<ParamsDocument>,
    pub home: Option<String>,
}

/// A key as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawKey {
    pub place: Option<Place>,
    pub id: String,
    pub scheme: String,
    pub source: Source,
    pub not_before: Option<u64>,
    pub not_after: Option<u64>,
    pub revoked_at: Option<u64>,
}

impl RawTenant {
    /// A tenant of the environment with one key.
    pub(super) fn with_key(name: &str, scheme: &str, source: Source) -> RawTenant {
        RawTenant {
            place: None,
            name: name.to_owned(),
            enabled: true,
            unsigned: false,
            keys: vec![RawKey {
                place: None,
                id: "environment".to_owned(),
                scheme: scheme.to_owned(),
                source,
                not_before: None,
                not_after: None,
                revoked_at: None,
            }],
            limits: LimitsDocument::default(),
            wal_share: None,
            params: vec![ParamsDocument::of(&Params::default())],
            home: None,
        }
    }
}

/// Names of the limits of a tenant.
const LIMITS: [&str; 4] = [
    "rate",
    "burst",
    "bytes_per_second",
    "unauthenticated_bytes_per_second",
];

/// The numbers of a parameter set, as its table names them.
pub const PARAMS_NUMBERS: [&str; 11] = [
    "tol_d",
    "tol_coh",
    "tol_budget",
    "base",
    "alpha",
    "beta",
    "gamma",
    "d0",
    "coh_sticky",
    "d_sticky",
    "d_non_sticky",
];

/// Reads `[[tenants]]`.
pub(super) fn read(
    file: &File<'_>,
    at: usize,
    value: &DeValue<'_>,
    mistakes: &mut Vec<ConfigError>,
) -> Vec<RawTenant> {
    let Some(tables) = tables_of(value) else {
        let problem = "not an array of tables: write [[tenants]]".to_owned();
        mistakes.push(file.error(at, "tenants", problem));
        return Vec::new();
    };
    let mut tenants = Vec::with_capacity(tables.len());
    for (at, members) in tables {
        let table = Table {
            file,
            name: "tenants",
            at,
            members,
        };
        match tenant(&table, mistakes) {
            Ok(tenant) => tenants.push(tenant),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    tenants
}

fn tenant(
    table: &Table<'_, '_>,
    mistakes: &mut Vec<ConfigError>,
) -> Result<RawTenant, ConfigError> {
    let others = [
        "id",
        "enabled",
        "unsigned",
        "keys",
        "params",
        "wal_share",
        "home",
    ];
    let known: Vec<&str> = others.into_iter().chain(LIMITS).collect();
    table.only(&known, mistakes);
    let Some(name) = table.text("id")? else {
        return Err(table.wrong("id", "a tenant has no id"));
    };
    let mut keys = Vec::new();
    for (at, members) in table.tables("keys")? {
        let table = Table {
            file: table.file,
            name: "tenants.keys",
            at,
            members,
        };
        keys.push(key(&table, mistakes)?);
    }
    let mut params = Vec::new();
    for (at, members) in table.tables("params")? {
        let table = Table {
            file: table.file,
            name: "tenants.params",
            at,
            members,
        };
        params.push(params_of(&table, mistakes)?);
    }
    if params.is_empty() {
        params.push(ParamsDocument::of(&Params::default()));
    }
    // In the file they may stand in any order.
    params.sort_by_key(ParamsDocument::begins_s);
    let wal_share = table.whole("wal_share")?.map(|percent| {
        u32::try_from(percent).map_err(|_| table.wrong("wal_share", "it is more than 100 percent"))
    });
    Ok(RawTenant {
        place: Some(table.place()),
        name,
        enabled: table.truth("enabled")?.unwrap_or(true),
        unsigned: table.truth("unsigned")?.unwrap_or(false),
        keys,
        limits: limits(table)?,
        wal_share: wal_share.transpose()?,
        params,
        home: table.text("home")?,
    })
}

fn limits(table: &Table<'_, '_>) -> Result<LimitsDocument, ConfigError> {
    let small = |name: &str| match table.whole(name)? {
        None => Ok(0),
        Some(number) => u32::try_from(number)
            .map_err(|_| table.wrong(name, "it is more than 4294967295 requests per second")),
    };
    Ok(LimitsDocument {
        rate: small("rate")?,
        burst: small("burst")?,
        bytes_per_s: table.whole("bytes_per_second")?.unwrap_or(0),
        unauthenticated_bytes_per_s: table
            .whole("unauthenticated_bytes_per_second")?
            .unwrap_or(0),
    })
}

fn key(table: &Table<'_, '_>, mistakes: &mut Vec<ConfigError>) -> Result<RawKey, ConfigError> {
    let known = [
        "id",
        "scheme",
        "file",
        "entry",
        "env",
        "public",
        "not_before",
        "not_after",
        "revoked_at",
    ];
    table.only(&known, mistakes);
    let Some(id) = table.text("id")? else {
        return Err(table.wrong("id", "a key has no id"));
    };
    let sources = [
        table.text("file")?.map(Source::file),
        table.text("env")?.map(Source::variable),
        table
            .text("public")?
            .map(|base64| Source::Public { base64 }),
    ];
    let mut sources = sources.into_iter().flatten();
    let (Some(source), None) = (sources.next(), sources.next()) else {
        let problem = "a key has one of file, env and public (the base64 of an Ed25519 public key)";
        return Err(table.wrong("file", problem));
    };
    let source = match (source, table.text("entry")?) {
        (Source::File { path, .. }, entry) => Source::entry_of(path, entry),
        (source, None) => source,
        (_, Some(_)) => {
            let problem = "an entry is one of a file that SOPS encrypted: this key has no file";
            return Err(table.wrong("entry", problem));
        }
    };
    Ok(RawKey {
        place: Some(table.place()),
        id,
        scheme: table
            .text("scheme")?
            .unwrap_or_else(|| "hmac-sha256".to_owned()),
        source,
        not_before: table.time("not_before")?,
        not_after: table.time("not_after")?,
        revoked_at: table.time("revoked_at")?,
    })
}

fn params_of(
    table: &Table<'_, '_>,
    mistakes: &mut Vec<ConfigError>,
) -> Result<ParamsDocument, ConfigError> {
    let known: Vec<&str> = ["version", "share", "effective_from"]
        .into_iter()
        .chain(PARAMS_NUMBERS)
        .collect();
    table.only(&known, mistakes);
    let defaults = ParamsDocument::of(&Params::default());
    let Some(version) = table.text("version")? else {
        return Err(table.wrong("version", "a parameter set has no version"));
    };
    let share = table.whole("share")?.unwrap_or(1000);
    let number = |name: &str, default: f64| Ok(table.number(name)?.unwrap_or(default));
    Ok(ParamsDocument {
        version,
        share: u32::try_from(share)
            .map_err(|_| table.wrong("share", "it is more than 1000 thousandths"))?,
        effective_from: table.time("effective_from")?,
        tol_d: number("tol_d", defaults.tol_d)?,
        tol_coh: number("tol_coh", defaults.tol_coh)?,
        tol_budget: number("tol_budget", defaults.tol_budget)?,
        base: number("base", defaults.base)?,
        alpha: number("alpha", defaults.alpha)?,
        beta: number("beta", defaults.beta)?,
        gamma: number("gamma", defaults.gamma)?,
        d0: number("d0", defaults.d0)?,
        coh_sticky: number("coh_sticky", defaults.coh_sticky)?,
        d_sticky: number("d_sticky", defaults.d_sticky)?,
        d_non_sticky: number("d_non_sticky", defaults.d_non_sticky)?,
    })
}
