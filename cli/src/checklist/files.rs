//! Who may read the files of keys and write the configuration: settings name them, and their modes say it. It opens none of them.

use super::verdict::{Proof, Verdict};
use crate::config::FileArgs;
use flk_dataplane::config::{Mended, RawConfig};
use flk_dataplane::snapshot::Source;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Judges the files that settings name.
pub(super) fn proof(file: &FileArgs) -> Proof {
    let (raw, mistakes) = file.read();
    let keys = keys(raw, mistakes);
    let configuration = file.path();
    for path in &keys {
        if configuration != Some(path) && may(path, OTHERS_READ) {
            return (
                Verdict::Fail,
                format!("all users can read {0}: chmod o= {0}", path.display()),
            );
        }
    }
    for path in keys.iter().map(PathBuf::as_path).chain(configuration) {
        if may(path, OTHERS_WRITE) {
            return (
                Verdict::Fail,
                format!("all users can write {0}: chmod o-w {0}", path.display()),
            );
        }
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        if may(directory, OTHERS_WRITE) && !may(directory, STICKY) {
            let (shown, path) = (directory.display(), path.display());
            return (
                Verdict::Fail,
                format!("all users can replace {path}: chmod o-w {shown}"),
            );
        }
    }
    let count = keys.len() + usize::from(configuration.is_some_and(|it| !keys.contains(it)));
    match count {
        0 => (
            Verdict::Open,
            "settings name no file: keys are in the environment, or there are none".to_owned(),
        ),
        _ => (
            Verdict::Pass,
            format!("files and their directories: {count} looked at"),
        ),
    }
}

/// Files of secrets, those of tenants among them.
fn keys(raw: RawConfig, mistakes: Vec<flk_dataplane::config::ConfigError>) -> BTreeSet<PathBuf> {
    let mended = Mended::of(raw, mistakes);
    let tenants = mended.config.iter().flat_map(|it| &it.document.tenants);
    let sources = tenants.flat_map(|it| &it.keys).map(|it| &it.source);
    let of_tenants = sources.chain(mended.stand_ins.values());
    let of_tenants = of_tenants.filter_map(|source| match source {
        Source::File { path, .. } => Some(PathBuf::from(path)),
        Source::Environment { .. } | Source::Public { .. } => None,
    });
    let of_settings = mended.config.iter().flat_map(|config| {
        let further = [&config.wal_secret_file, &config.control.admin_tokens_file];
        let further = further.into_iter().flatten();
        config.paths_read.iter().chain(further).cloned()
    });
    let all = of_tenants.chain(of_settings);
    all.filter(|path| path.is_file()).collect()
}

/// Whether a bit of its mode is set. One that cannot be looked at is none that others reach.
fn may(path: &Path, bit: u32) -> bool {
    let found = std::fs::metadata(path);
    found.is_ok_and(|it| it.permissions().mode() & bit != 0)
}
