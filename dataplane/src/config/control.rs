//! Settings of the control process. The data plane checks them, so that one file serves both, and acts on none of them.

use super::error::ConfigError;
use super::raw::RawConfig;
use super::traces::{self, OtlpSettings};
use super::variables::Variable;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What the control process is started with.
#[derive(Debug)]
pub struct ControlSettings {
    /// Where the admin API listens.
    pub admin_listen: SocketAddr,
    /// The file of the tokens; none: every process of this machine may use the API.
    pub admin_tokens_file: Option<PathBuf>,
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
        directory: raw
            .text(Variable::ControlDir)
            .map_or_else(beside, PathBuf::from),
        otlp: traces::otlp(raw)?,
    })
}
