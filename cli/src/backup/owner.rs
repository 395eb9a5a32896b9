//! Whose backups, or whose archive, are in a place. The object that says it is also the test that the store makes an object only where there is none: were
//! that not so, two backups could overwrite each other.

use super::store::{Objects, Place, Put, StoreError};
use crate::exit::{Exit, Failure};
use crate::wal::show::hex;
use flk_dataplane::wal::manifest::Manifest;
use flk_dataplane::wal::secret::Secret;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// What a place holds of a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// The object that says whose it is.
    pub(crate) object: &'static str,
    /// What it is, in words.
    pub(crate) things: &'static str,
    /// The version of its layout.
    pub(crate) format: u32,
}

/// The directory whose backups, or whose archive, are in a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) format: u32,
    installation: String,
    node: String,
}

impl Owner {
    pub(crate) fn of(kept: Kept, manifest: &Manifest) -> Self {
        Self {
            format: kept.format,
            installation: hex(&manifest.installation),
            node: hex(&manifest.node),
        }
    }

    /// Makes the place that of this directory, or finds that it is.
    pub(crate) fn claim(&self, kept: Kept, objects: &dyn Objects) -> Result<(), Failure> {
        let Kept { object, things, .. } = kept;
        let bytes = serde_json::to_vec(self)
            .map_err(|error| Failure::with(Exit::File, format!("{object}: {error}")))?;
        objects.put_new(object, bytes.clone())?;
        if objects.put_new(object, bytes)? == Put::Made {
            return Err(Failure::with(
                Exit::Configuration,
                format!(
                    "the store overwrites an object where it was told not to (If-None-Match: *): {things} could destroy each other there; use another store"
                ),
            ));
        }
        match Self::read(kept, objects)? {
            found if found == *self => Ok(()),
            found if found.format != self.format => Err(Failure::with(
                Exit::Configuration,
                format!(
                    "the place has {things} of another format ({}): use the flk that made them",
                    found.format
                ),
            )),
            _ => Err(Failure::usage(format!(
                "the place holds {things} of another log directory: give each one a place of its own"
            ))),
        }
    }

    /// Reads whose it is.
    fn read(kept: Kept, objects: &dyn Objects) -> Result<Self, Failure> {
        Self::decode(kept, &objects.get(kept.object)?)
    }

    /// The same, where there may be none.
    pub(crate) fn find(kept: Kept, objects: &dyn Objects) -> Result<Option<Self>, Failure> {
        match objects.get(kept.object) {
            Ok(found) => Self::decode(kept, &found).map(Some),
            Err(StoreError::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn decode(kept: Kept, found: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(found).map_err(|_| {
            let text = format!("the object {} is damaged: it cannot be read", kept.object);
            Failure::with(Exit::Damage, text)
        })
    }
}

/// Says that a place is none of these, in the words of a message; none if it is one.
pub(crate) fn no_place(
    kept: Kept,
    objects: &dyn Objects,
    place: &Place,
) -> Result<Option<String>, Failure> {
    let Kept { object, things, .. } = kept;
    match objects.get(object) {
        Ok(_) => Ok(None),
        Err(StoreError::Missing(_)) => Ok(Some(format!(
            "{place} is no place of {things}: it holds no {object}, which the first one makes"
        ))),
        Err(error) => Err(error.into()),
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
