//! Settings of the control process. The data plane checks them, so that one file serves both, and acts on none of them.

use super::error::ConfigError;
use super::raw::RawConfig;
use super::traces::{self, OtlpSettings};
use super::variables::Variable;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where the console is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleAccess {
    /// Nowhere.
    Off,
    /// Where the admin API listens on loopback.
    Local,
    /// Wherever the admin API listens; browsers reach it by TLS, which a proxy ends.
    Tls,
    /// Wherever the admin API listens, without TLS.
    Plain,
}

impl ConsoleAccess {
    /// Whether it is served by an API that listens there.
    pub fn is_served_at(self, listen: SocketAddr) -> bool {
        match self {
            ConsoleAccess::Off => false,
            ConsoleAccess::Local => listen.ip().is_loopback(),
            ConsoleAccess::Tls | ConsoleAccess::Plain => true,
        }
    }
}

/// What the control process is started with.
#[derive(Debug)]
pub struct ControlSettings {
    /// Where the admin API listens.
    pub admin_listen: SocketAddr,
    /// The file of the tokens; none: every process of this machine may use the API.
    pub admin_tokens_file: Option<PathBuf>,
    /// Where the console is served.
    pub console: ConsoleAccess,
    /// Directory of the audit log.
    pub directory: PathBuf,
    /// Where spans are sent; none: nowhere.
    pub otlp: Option<OtlpSettings>,
}

/// Checks them.
pub(super) fn settings(raw: &RawConfig, wal_dir: &Path) -> Result<ControlSettings, ConfigError> {
    let admin_listen = raw.parsed(
        Variable::AdminListen,
        "127.0.0.1:8081",
        "not an IP address with a port",
    )?;
    let beside = || match wal_dir.parent() {
        Some(parent) => parent.join("control"),
        None => wal_dir.join("control"),
    };
    Ok(ControlSettings {
        admin_listen,
        admin_tokens_file: raw.text(Variable::AdminTokensFile).map(PathBuf::from),
        console: console(raw)?,
        directory: raw
            .text(Variable::ControlDir)
            .map_or_else(beside, PathBuf::from),
        otlp: traces::otlp(raw)?,
    })
}

fn console(raw: &RawConfig) -> Result<ConsoleAccess, ConfigError> {
    match raw.text(Variable::AdminConsole).unwrap_or("local") {
        "off" => Ok(ConsoleAccess::Off),
        "local" => Ok(ConsoleAccess::Local),
        "tls" => Ok(ConsoleAccess::Tls),
        "plain" => Ok(ConsoleAccess::Plain),
        _ => Err(raw.error(Variable::AdminConsole, "no such choice")),
    }
}
