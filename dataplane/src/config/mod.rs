//! Configuration in two steps: [`RawConfig`] has the texts of the environment, [`Config`] the checked values. All are checked
//! before anything starts; an error names the variable, its value and what is allowed. Secrets never leave this module as
//! text.

mod control;
mod document;
mod environment;
mod error;
mod file;
mod flags;
mod keys;
mod logs;
mod masked;
mod mended;
mod opened;
mod pass;
mod pipes;
mod profile;
mod raw;
pub mod sealed;
mod secret_file;
mod secrets;
mod set;
mod shape;
mod tenants;
pub mod time;
mod toml_file;
mod toml_table;
mod traces;
pub mod units;
mod unknown;
mod variables;
mod wal_secret;

pub use control::{ConsoleAccess, ControlSettings};
pub use document::shown_source;
pub use environment::{Environment, is_setting, names_of_keys};
pub use error::{ConfigError, Place};
pub use file::text_of_file;
pub use flags::Flags;
pub use logs::log_format_of_start;
pub use mended::Mended;
pub use opened::{form_of, read as read_secret};
pub use pipes::read_pipes;
pub use profile::{PROFILES, Profile};
pub use raw::RawConfig;
pub use secret_file::{ReadError, SecretPath, open as open_file, read_once, read_open, shown_path};
pub use secrets::Secrets;
pub use set::Origin;
pub use shape::Shape;
pub use tenants::PARAMS_NUMBERS;
pub use traces::{Endpoint, OtlpHeaders, OtlpSettings};
pub use unknown::{unread_of_otel, warnings};
pub use variables::{FILE_VARIABLE, VARIABLES, Variable};
pub use wal_secret::{SecretFileError, read as read_wal_secret};

use crate::driver::affinity::is_cores;
use crate::driver::agent::start::Begin;
use crate::driver::core_dumps::CoreDumps;
use crate::driver::group::ReadGroup;
use crate::driver::probe::{DriverNameError, Requested};
use crate::driver::sandbox::Wanted;
use crate::http::{LookUps, Networks, NetworksError};
use crate::keeper::config::HoldLimit;
use crate::logs::Format;
use crate::shard::config::{MetricsAuth, Proxies, ProxyProtocol, TraceLimits};
use crate::snapshot::{Document, is_name};
use crate::wal::segment::Region;
use flk_contract::signature::wipe_stack;
use sealed::AgeKeys;
use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Stands for a key or password where there is none, so that what comes behind it is checked as well.
pub const STAND_IN_KEY: &str = "this key is in no gateway and only lets checks go on";

/// The checked settings.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Directory of all durable state.
    pub wal_dir: PathBuf,
    /// Tenants, keys, limits and parameters: snapshot 0.
    pub document: Document,
    /// Where the texts of keys are.
    pub secrets: Secrets,
    /// What opens encrypted files of secrets.
    pub age_keys: AgeKeys,
    /// Which snapshot a start begins with.
    pub snapshot: Begin,
    /// Number of HMAC keys shorter than advised; printed at the start.
    pub short_keys_count: usize,
    /// Credentials of `/metrics`.
    pub metrics_auth: Option<MetricsAuth>,
    /// The text of `FLK_CORES`, if it is set.
    pub cores: Option<String>,
    /// The requested driver.
    pub driver: Requested,
    /// Whether files and sockets are restricted once all are open.
    pub sandbox: Wanted,
    /// Files and directories that settings were read from.
    pub paths_read: Vec<PathBuf>,
    /// Whether a crash may leave the memory in a file.
    pub core_dumps: CoreDumps,
    /// How long an outcome answers duplicates, in seconds.
    pub dedup_ttl_s: u32,
    /// Memory of the dedup tables of all shards; none: a share of the memory that this process may use.
    pub dedup_memory_bytes_max: Option<u64>,
    /// Bytes of WAL_DIR; none: 80 % of the file system.
    pub wal_bytes_max: Option<u64>,
    /// What holds do at their limits.
    pub hold_limit: HoldLimit,
    /// The group whose members may read the log.
    pub wal_dir_group: Option<ReadGroup>,
    /// Age of log segments in seconds.
    pub wal_age_max_s: u32,
    /// Length of a log segment in bytes; none: by the size of the log.
    pub segment_bytes: Option<u64>,
    /// Time between SIGTERM and the closing of the listeners.
    pub drain_delay: Duration,
    /// How long a connection without a request stays open.
    pub keepalive: Duration,
    /// Largest body in bytes.
    pub body_bytes_max: u64,
    /// Largest body of a batch.
    pub batch_bytes_max: u64,
    /// Most lines of a batch.
    pub batch_lines_max: u16,
    /// Whether clients may look outcomes up.
    pub look_ups: LookUps,
    /// Whose word on the address of a client counts.
    pub proxies: Proxies,
    /// Which records are traced.
    pub traces: TraceLimits,
    /// File of the secret that a new directory begins with.
    pub wal_secret_file: Option<PathBuf>,
    /// Where this gateway runs.
    pub region: Option<Region>,
    /// How log lines are written.
    pub log_format: Format,
    /// What the control process is started with.
    pub control: ControlSettings,
    /// Variables whose values a profile gave, each with its place there.
    pub of_profile: Vec<(&'static str, Place)>,
}

impl Config {
    /// Reads and checks the settings of this process: the file that they name, the environment and these arguments. The texts
    /// of secrets are wiped.
    ///
    /// # Errors
    /// Every setting that is wrong, with its value (never a secret's) and what is allowed; one at least.
    pub fn from_process(
        environment: Environment,
        flags: &Flags,
    ) -> Result<Config, Vec<ConfigError>> {
        let (_, config) = Config::with_texts(&environment, flags)?;
        Ok(config)
    }

    /// The same with the texts that the settings have.
    ///
    /// # Errors
    /// As [`Config::from_process`].
    pub fn with_texts(
        environment: &Environment,
        flags: &Flags,
    ) -> Result<(RawConfig, Config), Vec<ConfigError>> {
        RawConfig::refuse_other_than_text(environment).map_err(|mistake| vec![mistake])?;
        let (raw, mistakes) = RawConfig::read_all(&|name| environment.get(name), flags);
        let resolved = match mistakes.first() {
            None => Config::resolve(&raw),
            Some(first) => Err(first.clone()),
        };
        match resolved {
            Ok(config) => Ok((raw, config)),
            Err(first) => {
                let all = Mended::of(raw, mistakes).mistakes;
                // A file that is being changed may be right by now; the next look says so.
                Err(match all.is_empty() {
                    true => vec![first],
                    false => all,
                })
            }
        }
    }

    /// Reads and checks variables from a function.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        Config::resolve(&RawConfig::read(env, &Flags::default())?)
    }

    /// Checks the texts.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn resolve(raw: &RawConfig) -> Result<Config, ConfigError> {
        let resolved = Config::resolve_keys(raw);
        wipe_stack();
        resolved
    }

    #[inline(never)] // its frame holds keys
    fn resolve_keys(raw: &RawConfig) -> Result<Config, ConfigError> {
        let seconds = Duration::from_secs;
        let listen = listen_address(raw)?;
        if raw.text(Variable::DedupBackend).unwrap_or("memory") != "memory" {
            return Err(raw.error(Variable::DedupBackend, "this version has no other store"));
        }
        if let Some(text) = raw.text(Variable::AgeIdentity) {
            sealed::check_identities(text)
                .map_err(|problem| raw.error(Variable::AgeIdentity, problem))?;
        }
        let desired = document::desired(raw)?;
        let body_bytes_max = raw.size(Variable::BodyMax, "1MiB", 1024..=1024 * 1024)?;
        let wal_dir = raw.wal_dir().to_owned();
        Ok(Config {
            listen,
            control: control::settings(raw, &wal_dir)?,
            wal_dir,
            document: desired.document,
            secrets: desired.secrets,
            age_keys: raw.age_keys().clone(),
            snapshot: match raw.text(Variable::Snapshot).unwrap_or("last") {
                "last" => Begin::LastStored,
                "environment" => Begin::Environment,
                _ => return Err(raw.error(Variable::Snapshot, "no such choice")),
            },
            short_keys_count: desired.short_keys_count,
            metrics_auth: keys::metrics_auth(raw)?,
            cores: cores(raw)?,
            driver: match raw.text(Variable::Driver).unwrap_or("auto").parse() {
                Ok(driver) => driver,
                Err(DriverNameError(_)) => {
                    return Err(raw.error(Variable::Driver, "no such driver"));
                }
            },
            sandbox: match is_on(raw, Variable::Sandbox, "on")? {
                true => Wanted::On,
                false => Wanted::Off,
            },
            paths_read: raw.paths_read(),
            core_dumps: core_dumps(raw)?,
            dedup_ttl_s: raw.duration(Variable::DedupTtl, "14d", 1..=1_000 * 86_400)? as u32,
            dedup_memory_bytes_max: raw.size_if_set(Variable::DedupMemoryMax, 1 << 20..=1 << 44)?,
            wal_bytes_max: raw.size_if_set(Variable::WalMaxBytes, 64 << 20..=1 << 50)?,
            wal_dir_group: wal_dir_group(raw)?,
            hold_limit: hold_limit(raw)?,
            wal_age_max_s: raw.duration(Variable::WalMaxAge, "14d", 60..=10_000 * 86_400)? as u32,
            segment_bytes: segment_bytes(raw)?,
            wal_secret_file: raw.text(Variable::WalSecretFile).map(PathBuf::from),
            region: region(raw)?,
            log_format: match Format::named(raw.text(Variable::LogFormat).unwrap_or("text")) {
                Some(format) => format,
                None => return Err(raw.error(Variable::LogFormat, "no such format")),
            },
            drain_delay: seconds(raw.duration(Variable::DrainDelay, "0s", 0..=3600)?),
            keepalive: seconds(raw.duration(Variable::HttpKeepalive, "75s", 1..=3600)?),
            body_bytes_max,
            batch_bytes_max: raw.size(Variable::BatchMaxBytes, "4MiB", 1 << 10..=4 << 20)?,
            batch_lines_max: batch_lines_max(raw)?,
            look_ups: match is_on(raw, Variable::LookUps, "off")? {
                true => LookUps::On,
                false => LookUps::Off,
            },
            proxies: proxies(raw)?,
            traces: traces::limits(raw)?,
            of_profile: of_profile(raw),
        })
    }

    /// Why this host refuses a setting, and that a profile has it, where that is so.
    pub fn with_profile(&self, reason: &dyn Display) -> String {
        let reason = reason.to_string();
        let is_of_name = |it: char| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_';
        let named = reason.split(|it| !is_of_name(it)).next();
        match self
            .of_profile
            .iter()
            .find(|(name, _)| Some(*name) == named)
        {
            Some((_, place)) => format!("{reason} (profile {place})"),
            None => reason,
        }
    }
}

/// What a profile says, and nothing outweighs.
fn of_profile(raw: &RawConfig) -> Vec<(&'static str, Place)> {
    let said = VARIABLES.iter().filter_map(|&it| match raw.origin(it) {
        Origin::Profile(place) => Some((it.name(), place)),
        _ => None,
    });
    said.collect()
}

/// The text that says which CPUs shards run on, if it is set.
fn cores(raw: &RawConfig) -> Result<Option<String>, ConfigError> {
    let text = raw.text(Variable::Cores);
    match text.is_none_or(is_cores) {
        true => Ok(text.map(str::to_owned)),
        false => Err(raw.error(Variable::Cores, "not a count (4) or a list of CPUs (0,2-5)")),
    }
}

/// Most lines of a batch: the log has a place for more, and memory for answers has not.
fn batch_lines_max(raw: &RawConfig) -> Result<u16, ConfigError> {
    let lines_max: u16 = raw.parsed(Variable::BatchMaxRecords, "4096", "not a whole number")?;
    match lines_max {
        1..=4096 => Ok(lines_max),
        _ => Err(raw.error(Variable::BatchMaxRecords, "out of bounds")),
    }
}

/// A setting that is on or off.
fn is_on(raw: &RawConfig, variable: Variable, default: &str) -> Result<bool, ConfigError> {
    match raw.text(variable).unwrap_or(default) {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(raw.error(variable, "neither on nor off")),
    }
}

/// The address to listen on. An IPv6 address may be in brackets, as in a URL.
fn listen_address(raw: &RawConfig) -> Result<SocketAddr, ConfigError> {
    let text = raw.text(Variable::Listen).unwrap_or("127.0.0.1").trim();
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(inside) => inside.parse::<Ipv6Addr>().map(IpAddr::from),
        None => text.parse::<IpAddr>(),
    };
    let address = address.map_err(|_| raw.error(Variable::Listen, "not an IP address"))?;
    let port = raw.parsed(Variable::Port, "8080", "not a port")?;
    Ok(SocketAddr::new(address, port))
}

/// Length of a log segment, if it is set.
fn segment_bytes(raw: &RawConfig) -> Result<Option<u64>, ConfigError> {
    let variable = Variable::SegmentBytes;
    let bytes = raw.size_if_set(variable, 4 << 20..=1 << 30)?;
    match bytes.is_none_or(|bytes| bytes.is_multiple_of(4096)) {
        true => Ok(bytes),
        false => Err(raw.error(variable, "it is not a multiple of 4 KiB")),
    }
}

/// Where this gateway runs, if it is set.
fn region(raw: &RawConfig) -> Result<Option<Region>, ConfigError> {
    let Some(text) = raw.text(Variable::RegionId) else {
        return Ok(None);
    };
    match Region::new(text).filter(|_| is_name(text)) {
        Some(region) => Ok(Some(region)),
        None => Err(raw.error(Variable::RegionId, "no such name")),
    }
}

/// The group whose members may read the log.
fn wal_dir_group(raw: &RawConfig) -> Result<Option<ReadGroup>, ConfigError> {
    let group = raw.text(Variable::WalDirGroup).map(ReadGroup::find);
    group
        .transpose()
        .map_err(|why| raw.error(Variable::WalDirGroup, why))
}

/// What holds do at their limits.
fn hold_limit(raw: &RawConfig) -> Result<HoldLimit, ConfigError> {
    match raw.text(Variable::HoldLimit).unwrap_or("release") {
        "release" => Ok(HoldLimit::Release),
        "refuse" => Ok(HoldLimit::Refuse),
        _ => Err(raw.error(Variable::HoldLimit, "no such limit")),
    }
}

/// Whether core dumps are written.
fn core_dumps(raw: &RawConfig) -> Result<CoreDumps, ConfigError> {
    match raw.text(Variable::CoreDumps) {
        None => Ok(CoreDumps::Refused),
        Some("1") => Ok(CoreDumps::Allowed),
        Some(_) => Err(raw.error(Variable::CoreDumps, "not 1")),
    }
}

/// Whose word on the address of a client counts.
fn proxies(raw: &RawConfig) -> Result<Proxies, ConfigError> {
    let trusted: Networks = match raw.text(Variable::TrustedProxies) {
        None => Networks::default(),
        Some(text) => text
            .parse()
            .map_err(|error: NetworksError| raw.error(Variable::TrustedProxies, error))?,
    };
    let protocol = match raw.text(Variable::ProxyProtocol).unwrap_or("off") {
        "off" => ProxyProtocol::Off,
        "optional" => ProxyProtocol::Optional,
        "required" => ProxyProtocol::Required,
        _ => return Err(raw.error(Variable::ProxyProtocol, "no such choice")),
    };
    if protocol != ProxyProtocol::Off && trusted.is_empty() {
        let problem = "TRUSTED_PROXIES names no network";
        return Err(raw.error(Variable::ProxyProtocol, problem));
    }
    Ok(Proxies { protocol, trusted })
}

/// The settings of a gateway with this profile and a key, for tests.
#[cfg(test)]
pub(crate) fn profile_config(profile: &Profile) -> Config {
    let env = |name: &str| match name {
        "FLK_PROFILE" => Some(profile.name.to_owned()),
        "PCS_HMAC_KEY" => Some(STAND_IN_KEY.to_owned()),
        _ => None,
    };
    match Config::from_env(&env) {
        Ok(config) => config,
        Err(error) => panic!("{}: {error}", profile.name),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_file;
#[cfg(test)]
mod tests_profile;
#[cfg(test)]
mod tests_tenants;
