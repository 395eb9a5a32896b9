//! The directory that is restored. A file in it says so until it is complete, and no gateway starts while that file is there; the
//! manifest comes last. So an interrupted restore is never taken for a log directory, least of all for an empty one.

use super::kept::{Backup, fetch};
use crate::backup::index::{FileKept, Holds, sha256};
use crate::backup::ready;
use crate::exit::{Exit, Failure};
use crate::fault;
use crate::progress::Progress;
use flk_dataplane::wal::files::{
    MANIFEST, MANIFEST_NEW, NumberedFile, RESTORING, SECRET, SNAPSHOTS,
};
use flk_dataplane::wal::manifest::{MANIFEST_BYTES_MAX, Manifest, SegmentEntry, SegmentState};
use flk_dataplane::wal::scan::ReadAt;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{DirEntry, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// So much of a segment is unpacked at once.
const PIECE_BYTES: usize = 1 << 20;

/// What a restore restores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Name of the index.
    pub(super) backup: String,
    /// SHA-256 of the index.
    pub(super) sha256: String,
    /// Where it is cut, as the command line says it.
    pub(super) cuts: Vec<String>,
    /// The incarnation of the restored directory; drawn once.
    pub(super) incarnation: String,
}

/// A directory that is being restored.
pub(super) struct Target {
    path: PathBuf,
    /// Locked while this process restores.
    _marker: File,
    pub(super) plan: Plan,
    pub(super) written_bytes: u64,
    pub(super) there_bytes: u64,
}

impl Target {
    /// Takes an empty directory, or one in which a restore of the same backup was interrupted.
    pub(super) fn take(path: &Path, plan: Plan) -> Result<Self, Failure> {
        let failed = |error: io::Error| failed(path, &error);
        crate::backup::make_directory(path).map_err(failed)?;
        let marker_path = path.join(RESTORING);
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        let marker = match options.open(&marker_path) {
            Ok(marker) => marker,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                refuse_used(path)?;
                options
                    .create_new(true)
                    .open(&marker_path)
                    .map_err(failed)?
            }
            Err(error) => return Err(failed(error)),
        };
        lock(&marker, path)?;
        let plan = agree(&marker, path, plan)?;
        File::open(path)
            .and_then(|it| it.sync_all())
            .map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            _marker: marker,
            plan,
            written_bytes: 0,
            there_bytes: 0,
        })
    }

    /// Writes all files of a backup that a manifest names, each as far as it says.
    pub(super) fn files(
        &mut self,
        backup: &Backup<'_>,
        manifest: &Manifest,
    ) -> Result<(), Failure> {
        let mut progress = Progress::every_minute();
        for (_, entry) in manifest.segments() {
            let name = NumberedFile::Segment(entry.file).to_string();
            let bytes = entry.state.file_bytes().unwrap_or(0);
            match (backup.stated(entry)?.state, entry.state) {
                // It was cut, and a packed file is whole or none.
                (SegmentState::Packed(..), SegmentState::Closed(_)) => {
                    self.unpacked(backup, entry, &name, bytes)?;
                }
                _ => self.file(backup, backup.named(&name)?, bytes)?,
            }
            progress.tick(|_| self.progress());
        }
        for slice in &manifest.slices {
            let name = NumberedFile::Slice(slice.file).to_string();
            self.file(backup, backup.named(&name)?, slice.bytes)?;
            progress.tick(|_| self.progress());
        }
        let snapshots = self.path.join(SNAPSHOTS);
        let is_snapshot = |file: &&FileKept| file.holds == Holds::Snapshot;
        for file in backup.index.files.iter().filter(is_snapshot) {
            crate::backup::make_directory(&snapshots)
                .map_err(|error| failed(&snapshots, &error))?;
            self.file(backup, file, file.bytes)?;
        }
        progress.clear();
        for directory in [&snapshots, &self.path]
            .into_iter()
            .filter(|it| it.exists())
        {
            sync(directory)?;
        }
        Ok(())
    }

    /// The incarnation of the directory, as it was drawn when its restore began.
    pub(super) fn incarnation(&self) -> Result<[u8; 16], Failure> {
        let number = u128::from_str_radix(&self.plan.incarnation, 16);
        number.map(u128::to_be_bytes).map_err(|_| {
            let marker = self.path.join(RESTORING);
            let text = format!("{} is damaged: remove the directory", marker.display());
            Failure::with(Exit::Damage, text)
        })
    }

    fn progress(&self) -> String {
        format!("{} MiB written", self.written_bytes >> 20)
    }

    /// Writes the first bytes of a file, unless they are there.
    fn file(&mut self, backup: &Backup<'_>, file: &FileKept, bytes: u64) -> Result<(), Failure> {
        let path = self.path.join(&file.name);
        if bytes == file.bytes && holds(&path, file) {
            self.there_bytes += bytes;
            return Ok(());
        }
        let failed = |error: io::Error| failed(&path, &error);
        let mut out = create(&path)?;
        let mut left = bytes;
        for part in &file.parts {
            if left == 0 {
                break;
            }
            let read = fetch(backup.objects, part)?;
            let wanted = usize::try_from(left).map_or(read.len(), |left| left.min(read.len()));
            out.write_all(&read[..wanted]).map_err(failed)?;
            left -= wanted as u64;
        }
        if left > 0 {
            let text = format!(
                "the index has fewer bytes of {} than the manifest states",
                file.name
            );
            return Err(Failure::with(Exit::Damage, text));
        }
        out.sync_all().map_err(failed)?;
        self.written_bytes += bytes;
        Ok(())
    }

    /// Writes the first bytes of a segment that is packed in the backup, as it was before.
    fn unpacked(
        &mut self,
        backup: &Backup<'_>,
        entry: &SegmentEntry,
        name: &str,
        bytes: u64,
    ) -> Result<(), Failure> {
        let path = self.path.join(name);
        let failed = |error: io::Error| failed(&path, &error);
        let segment = backup.segment(entry)?;
        let mut out = create(&path)?;
        let mut offset = 0;
        while offset < bytes {
            let wanted =
                usize::try_from(bytes - offset).map_or(PIECE_BYTES, |it| it.min(PIECE_BYTES));
            let read = ready(segment.read_at(offset, wanted)).map_err(|errno| {
                let failure = segment.file().failure();
                failure.unwrap_or_else(|| {
                    let why = fault::why_number(errno);
                    Failure::with(Exit::File, format!("cannot read {name}: {why}"))
                })
            })?;
            if read.len() != wanted {
                let text = format!("{name} is shorter than the manifest of the backup states");
                return Err(Failure::with(Exit::Damage, text));
            }
            out.write_all(&read).map_err(failed)?;
            offset += wanted as u64;
        }
        out.sync_all().map_err(failed)?;
        self.written_bytes += bytes;
        Ok(())
    }

    /// Makes the secret and the manifest, and with them a log directory.
    pub(super) fn finish(self, secret: &[u8], manifest: &Manifest) -> Result<(), Failure> {
        self.replace(SECRET, "secret.new", secret)?;
        let bytes = manifest.encode_within(MANIFEST_BYTES_MAX);
        let bytes = bytes.map_err(|fault| Failure::with(Exit::Damage, fault.to_string()))?;
        self.replace(MANIFEST, MANIFEST_NEW, &bytes)?;
        let marker = self.path.join(RESTORING);
        std::fs::remove_file(&marker).map_err(|error| failed(&marker, &error))?;
        sync(&self.path)
    }

    /// Makes a file whole or not at all.
    fn replace(&self, name: &str, unfinished: &str, bytes: &[u8]) -> Result<(), Failure> {
        let (path, new) = (self.path.join(name), self.path.join(unfinished));
        let failed = |error: io::Error| failed(&path, &error);
        let mut file = create(&new)?;
        file.write_all(bytes).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        std::fs::rename(&new, &path).map_err(failed)?;
        sync(&self.path)
    }
}

/// Keeps other restores out. Another one may have ended, and removed the file, since it was opened: the directory is no longer ours then.
pub(super) fn lock(marker: &File, path: &Path) -> Result<(), Failure> {
    let locked = flock(marker, FlockOperation::NonBlockingLockExclusive).is_ok();
    match locked && marker.metadata().is_ok_and(|it| it.nlink() > 0) {
        true => Ok(()),
        false => Err(Failure::unavailable(format!(
            "another process restores {}",
            path.display()
        ))),
    }
}

/// Refuses a directory that holds anything but what says that it is restored.
fn refuse_used(path: &Path) -> Result<(), Failure> {
    let entries = std::fs::read_dir(path).map_err(|error| failed(path, &error))?;
    let is_other =
        |entry: io::Result<DirEntry>| entry.map_or(true, |it| it.file_name() != RESTORING);
    match entries.into_iter().any(is_other) {
        false => Ok(()),
        true => Err(Failure::usage(format!(
            "{} is not empty: restore into a directory that is, or that is not there yet",
            path.display()
        ))),
    }
}

/// Writes down what is restored, or reads what an earlier restore wrote down.
fn agree(mut marker: &File, path: &Path, plan: Plan) -> Result<Plan, Failure> {
    let failed = |error: io::Error| failed(&path.join(RESTORING), &error);
    let mut text = String::new();
    marker.read_to_string(&mut text).map_err(failed)?;
    let Ok(before) = serde_json::from_str::<Plan>(&text) else {
        // It was interrupted before it wrote anything else; or this is no file of a restore.
        refuse_used(path)?;
        let bytes = serde_json::to_vec(&plan).map_err(|error| failed(error.into()))?;
        marker.set_len(0).map_err(failed)?;
        rustix::io::pwrite(marker, &bytes, 0).map_err(|error| failed(error.into()))?;
        marker.sync_all().map_err(failed)?;
        return Ok(plan);
    };
    let same = Plan {
        incarnation: before.incarnation.clone(),
        ..plan
    };
    match same == before {
        true => Ok(before),
        false => Err(Failure::usage(format!(
            "in {} the restore of another backup, or of another point in time, was interrupted ({}): go on with that one, or remove the directory",
            path.display(),
            before.backup
        ))),
    }
}

/// Whether a file holds what was backed up.
fn holds(path: &Path, file: &FileKept) -> bool {
    let Ok(mut there) = File::open(path) else {
        return false;
    };
    let same_length = there.metadata().is_ok_and(|it| it.len() == file.bytes);
    same_length
        && file.parts.iter().all(|part| {
            let mut bytes = vec![0; part.bytes as usize];
            there.read_exact(&mut bytes).is_ok() && sha256(&bytes) == part.sha256
        })
        // Written by a process that was interrupted, and perhaps not synced.
        && there.sync_all().is_ok()
}

/// Begins a file, its owner's alone.
fn create(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).map_err(|error| failed(path, &error))
}

fn sync(directory: &Path) -> Result<(), Failure> {
    let synced = File::open(directory).and_then(|it| it.sync_all());
    synced.map_err(|error| failed(directory, &error))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    let (path, why) = (path.display(), fault::why(error));
    Failure::with(Exit::File, format!("cannot write {path}: {why}"))
}
