//! Whose backups are in a place. The object that says it is also the test that the store makes an object only where there is none: were
//! that not so, two backups could overwrite each other.

use super::names::OWNER;
use super::store::{Objects, Put};
use crate::exit::{Exit, Failure};
use crate::wal::show::hex;
use flk_dataplane::wal::manifest::Manifest;
use flk_dataplane::wal::secret::Secret;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The directory whose backups are in a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    format: u32,
    installation: String,
    node: String,
}

impl Owner {
    pub(super) fn of(manifest: &Manifest) -> Self {
        Self {
            format: super::index::FORMAT,
            installation: hex(&manifest.installation),
            node: hex(&manifest.node),
        }
    }

    /// Makes the place that of this directory, or finds that it is.
    pub(super) fn claim(&self, objects: &dyn Objects) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(self)
            .map_err(|error| Failure::with(Exit::File, format!("{OWNER}: {error}")))?;
        objects.put_new(OWNER, bytes.clone())?;
        if objects.put_new(OWNER, bytes)? == Put::Made {
            return Err(Failure::with(
                Exit::Configuration,
                "the store overwrites an object where it was told not to (If-None-Match: *): backups could destroy each other there; use another store",
            ));
        }
        let found = objects.get(OWNER)?;
        match serde_json::from_slice::<Self>(&found) {
            Ok(found) if found == *self => Ok(()),
            Ok(_) => Err(Failure::usage(
                "the place holds backups of another log directory: give each one a place of its own",
            )),
            Err(error) => Err(Failure::with(Exit::Damage, format!("{OWNER}: {error}"))),
        }
    }
}

/// Makes a directory for its owner only, and its name durable.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    let made = DirBuilder::new().mode(0o700).create(path);
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    let synced = File::open(parent.unwrap_or(Path::new("."))).and_then(|it| it.sync_all());
    match made {
        Ok(()) => synced,
        // A process that made it may have been interrupted before its name was durable. Above one that others made we may have no rights.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Refuses a secret that is not that of a directory.
pub(crate) fn check_secret(
    path: &Path,
    bytes: &[u8],
    manifest: &Manifest,
) -> Result<Secret, Failure> {
    let path = path.display();
    match Secret::decode(bytes) {
        Ok(secret) if secret.id == manifest.secret => Ok(secret),
        Ok(_) => Err(Failure::usage(format!(
            "{path} is the secret of another log directory: name that of this one"
        ))),
        Err(fault) => Err(Failure::with(Exit::Damage, format!("{path}: {fault}"))),
    }
}
