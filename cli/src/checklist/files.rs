//! Who may read the files of secrets and write the configuration: settings name them, and their modes say it. It judges by modes alone.

use super::verdict::{Proof, fail, open, pass};
use crate::config::FileArgs;
use flk_dataplane::config::{ConfigError, Mended, RawConfig, VARIABLES};
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
    let unread = mistakes.iter().find(|it| is_of_secret(it));
    let unread = unread.map(ToString::to_string);
    let secrets = secrets(raw, mistakes);
    let configuration = file.path();
    for path in &secrets {
        if configuration != Some(path) && may(path, OTHERS_READ) {
            return fail(format!(
                "all users can read {0}: chmod o= {0}",
                path.display()
            ));
        }
    }
    for path in secrets.iter().map(PathBuf::as_path).chain(configuration) {
        if may(path, OTHERS_WRITE) {
            return fail(format!(
                "all users can write {0}: chmod o-w {0}",
                path.display()
            ));
        }
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        if may(directory, OTHERS_WRITE) && !may(directory, STICKY) {
            let (shown, path) = (directory.display(), path.display());
            return fail(format!("all users can replace {path}: chmod o-w {shown}"));
        }
    }
    let count = secrets.len() + usize::from(configuration.is_some_and(|it| !secrets.contains(it)));
    match (unread, count) {
        (Some(unread), _) => open(unread),
        (None, 0) => open("settings name no file: keys are in the environment, or there are none"),
        (None, _) => pass(format!("files and their directories: {count} looked at")),
    }
}

/// Whether a mistake is about a secret or its file: that file is not among those that were read.
fn is_of_secret(mistake: &ConfigError) -> bool {
    let mut secrets = VARIABLES.iter().filter(|it| it.is_secret());
    secrets.any(|it| it.name() == mistake.variable || it.file_name() == Some(mistake.variable))
}

/// Files of secrets: those of settings, and of the keys of tenants.
fn secrets(raw: RawConfig, mistakes: Vec<ConfigError>) -> BTreeSet<PathBuf> {
    let of_settings: Vec<PathBuf> = raw.secret_files().map(Path::to_owned).collect();
    let mended = Mended::of(raw, mistakes);
    let of_tenants = mended.sources().filter_map(|source| match source {
        Source::File { path, .. } => Some(PathBuf::from(path)),
        Source::Environment { .. } | Source::Public { .. } => None,
    });
    let further = mended.config.iter().flat_map(|config| {
        let further = [&config.wal_secret_file, &config.control.admin_tokens_file];
        further.into_iter().flatten().cloned()
    });
    let all = of_settings.into_iter().chain(of_tenants).chain(further);
    all.filter(|path| path.is_file()).collect()
}

/// Whether a bit of its mode is set. One that cannot be looked at is none that others reach.
fn may(path: &Path, bit: u32) -> bool {
    let found = std::fs::metadata(path);
    found.is_ok_and(|it| it.permissions().mode() & bit != 0)
}
