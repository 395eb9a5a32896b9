//! Opening WAL_DIR: it is locked, an installation is made where there is none, and manifest, secret and files are checked to
//! belong together. Logs and slices are not read here.

use crate::io::Errno;
use crate::keeper::clock::Reading;
use crate::keeper::config::KeeperConfig;
use crate::keeper::directory;
use crate::keeper::files::{Files, READ};
use crate::keeper::halt::Halt;
use crate::keeper::notice::Notice;
use crate::keeper::port::Port;
use crate::keeper::store::ManifestStore;
use crate::keeper::strays::{self, Named};
use crate::wal::files::{MANIFEST, NumberedFile, RESTORING};
use crate::wal::manifest::Manifest;
use crate::wal::secret::Secret;
use std::collections::BTreeSet;

/// A directory that was read and found whole; nothing in it was changed yet.
pub(crate) struct Opened {
    pub(crate) store: ManifestStore,
    pub(crate) secret: Secret,
    /// Files with our kind of name that the manifest does not name.
    pub(crate) orphans: Vec<String>,
}

/// What is to be done about segments that are not there or cannot be read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// They are damage: nothing is opened.
    Refused,
    /// They are damage that an operator is about to give up.
    Segments,
}

impl Missing {
    /// Whether a file may be missing, or unreadable.
    fn tolerates(self, name: &str) -> bool {
        self == Missing::Segments && NumberedFile::is_segment(name)
    }
}

/// Locks the directory, makes an installation where there is none, and checks that manifest, secret and files belong
/// together.
pub(crate) async fn open(
    port: &Port,
    config: KeeperConfig,
    missing: Missing,
) -> Result<Opened, Halt> {
    let files = Files::new(port.clone());
    directory::lock(&files, config.pid).await?;
    // A process that was killed may have renamed its manifest and not synced the directory. What we make or unlink by what
    // we read must not become durable before it.
    files.sync_dir().await?;
    let names = files.list().await?;
    if names.iter().any(|name| name == RESTORING) {
        return Err(Halt::Restoring);
    }
    if !names.iter().any(|name| name == MANIFEST) {
        install(port, &files, &config, &names).await?;
    }
    let manifest = read_manifest(&files).await?;
    let secret = directory::read_secret(&files, manifest.secret, config.secret).await?;
    let named = named_files(&manifest);
    refuse_absent(&named, &names, missing)?;
    let mut orphans = names;
    orphans.retain(|name| NumberedFile::parse(name).is_some() && !named.contains(name));
    let store = ManifestStore::new(port.clone(), config, manifest);
    refuse_newer(&store, &orphans, &named, missing).await?;
    Ok(Opened {
        store,
        secret,
        orphans,
    })
}

/// Every file that the manifest names must be there.
fn refuse_absent(named: &BTreeSet<String>, names: &[String], missing: Missing) -> Result<(), Halt> {
    let there: BTreeSet<&String> = names.iter().collect();
    let mut absent = named.iter().filter(|name| !there.contains(name));
    match absent.find(|name| !missing.tolerates(name)) {
        None => Ok(()),
        Some(absent) => Err(Halt::Damage {
            file: absent.clone(),
            what: "the manifest names it, and it is not there".to_string(),
        }),
    }
}

/// Looks at the beginning of each orphan and each segment for a sign of a later manifest than ours. Segments are used again
/// in place: a later manifest may have given a preallocated segment, or one that this manifest knows as closed, to another
/// log.
async fn refuse_newer(
    store: &ManifestStore,
    orphans: &[String],
    named: &BTreeSet<String>,
    missing: Missing,
) -> Result<(), Halt> {
    let segments = named.iter().filter(|name| NumberedFile::is_segment(name));
    let orphans = orphans.iter().map(|name| (name, Named::No));
    for (name, is_named) in orphans.chain(segments.map(|name| (name, Named::Yes))) {
        match strays::refuse_newer(store, name, is_named).await {
            Err(
                Halt::Io {
                    error: Errno::EIO | Errno::ENOENT,
                    ..
                }
                | Halt::Misplaced { .. },
            ) if missing.tolerates(name) => {}
            looked => looked?,
        }
    }
    Ok(())
}

/// Makes an empty directory: secret first, then the manifest that means it. All directories with this secret are one
/// installation.
async fn install(
    port: &Port,
    files: &Files,
    config: &KeeperConfig,
    names: &[String],
) -> Result<(), Halt> {
    let left_over = names
        .iter()
        .find(|name| NumberedFile::parse(name).is_some());
    if let Some(file) = left_over {
        return Err(Halt::NoManifest { file: file.clone() });
    }
    let secret = directory::make_secret(files, config.secret).await?;
    let manifest = Manifest {
        installation: secret.id,
        node: files.random().await?,
        incarnation: files.random().await?,
        secret: secret.id,
        clock: Reading::first(port.now().wall_us).into(),
        ..Manifest::default()
    };
    let mut store = ManifestStore::new(port.clone(), config.clone(), manifest);
    let first = store.draft();
    store.replace(first).await?;
    port.notify(Notice::Installed);
    Ok(())
}

async fn read_manifest(files: &Files) -> Result<Manifest, Halt> {
    let file = files.open(MANIFEST, READ).await?;
    let bytes = files.read_whole(&file).await?;
    files.close(&file).await;
    Manifest::decode(&bytes).map_err(|fault| match fault.is_newer() {
        true => Halt::Refused(fault.to_string()),
        false => Halt::Damage {
            file: MANIFEST.to_string(),
            what: fault.to_string(),
        },
    })
}

/// Names of all files that a manifest names.
fn named_files(manifest: &Manifest) -> BTreeSet<String> {
    let slices: BTreeSet<u64> = manifest.slices.iter().map(|slice| slice.file).collect();
    let name = |file: u64| match slices.contains(&file) {
        true => NumberedFile::Slice(file).to_string(),
        false => NumberedFile::Segment(file).to_string(),
    };
    manifest.files().into_iter().map(name).collect()
}
