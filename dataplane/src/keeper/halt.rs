//! Why the keeper ends the process before its time: one case per thing that an operator can do about it.

use crate::exit::Exit;
use crate::io::Errno;
use crate::wal::files::NumberedFile;
use crate::wal::name::{LogId, Sequence};
use std::fmt;

/// The end of the process, with what explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// Another process holds the directory.
    Locked {
        /// Its process id, as the lock file states it.
        holder: String,
    },
    /// Something durable is not what it was when it was written.
    Damage {
        /// The file.
        file: String,
        /// What is wrong, with the sequence where there is one.
        what: String,
    },
    /// A file holds what the manifest names another file.
    Misplaced {
        /// The file.
        file: String,
        /// The name of what is in it.
        belongs: String,
    },
    /// A file that the manifest does not name holds durable batches that their log lacks.
    Unaccounted {
        /// The file.
        file: String,
        /// The log.
        log: LogId,
        /// The last sequence that the file proves to have been durable.
        upto: Sequence,
    },
    /// The manifest is older than the files beside it.
    StaleManifest {
        /// A file that proves it.
        file: String,
        /// Generation that the file was written under.
        file_generation: u64,
        /// Generation of the manifest.
        manifest_generation: u64,
    },
    /// The manifest is older than a file beside it that a later start wrote.
    StaleStart {
        /// A file that proves it.
        file: String,
        /// Start that the file's log began in.
        file_start: u32,
        /// Start of the manifest.
        manifest_start: u32,
    },
    /// A file with a name of ours that another installation wrote.
    Foreign {
        /// The file.
        file: String,
    },
    /// There are logs or slices, but the secret that their keys were hashed with is missing or another one.
    Secret {
        /// What is wrong with it.
        what: String,
    },
    /// The secret that was given is not the one that the directory was made with.
    OtherSecret,
    /// There are logs or slices, but no manifest that names them.
    NoManifest {
        /// One of the files.
        file: String,
    },
    /// A restore into the directory is not complete.
    Restoring,
    /// A file operation failed.
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        file: String,
        /// The error.
        error: Errno,
    },
    /// The request itself cannot be carried out.
    Refused(String),
    /// The number space of starts is used up.
    StartsExhausted,
    /// A graceful stop took longer than it may.
    StopCutShort {
        /// What was missing for a clean one.
        missing: String,
    },
    /// The manifest would be longer than can be read back, or than leaves room for a start.
    ManifestFull {
        /// Bytes that it would take.
        bytes: usize,
        /// Bytes that it may take.
        bytes_max: usize,
    },
}

impl Halt {
    /// Whether a file that should be there is gone.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Halt::Io { error, .. } if *error == Errno::ENOENT)
    }

    /// Exit code of the process.
    pub(crate) fn code(&self) -> i32 {
        let exit = match self {
            Halt::Locked { .. } => Exit::Locked,
            Halt::Damage { .. }
            | Halt::Misplaced { .. }
            | Halt::Unaccounted { .. }
            | Halt::StaleManifest { .. }
            | Halt::StaleStart { .. }
            | Halt::NoManifest { .. }
            | Halt::Restoring => Exit::Damage,
            Halt::Io { .. } | Halt::StopCutShort { .. } => Exit::File,
            Halt::Secret { .. }
            | Halt::OtherSecret
            | Halt::StartsExhausted
            | Halt::ManifestFull { .. }
            | Halt::Foreign { .. }
            | Halt::Refused(_) => Exit::Configuration,
        };
        i32::from(exit.code())
    }
}

impl fmt::Display for Halt {
    #[rustfmt::skip] // a table
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::Locked { holder } => write!(out,
                "WAL_DIR is in use by {holder}: stop that process or give this one a WAL_DIR of its own"),
            Halt::Damage { file, what } => damage(out, file, what),
            Halt::Misplaced { file, belongs } => write!(out,
                "{file} holds what belongs in {belongs}: files of WAL_DIR were put in each other's places. Nothing was changed. Give each its own name again, or restore a backup; if what belongs in {file} is nowhere any more, `flk wal quarantine {file}` says what giving it up would cost"),
            Halt::Unaccounted { file, log, upto } => write!(out,
                "{file} is not named by the manifest, and it proves that log {log} was durable up to {upto}, which is more than the files that are named hold. Nothing was changed. Give {file} the name that it had, or restore a backup; to do without it, move it out of WAL_DIR"),
            Halt::StaleManifest { file, file_generation, manifest_generation } => write!(out,
                "the manifest (generation {manifest_generation}) is older than {file} (generation {file_generation}): WAL_DIR was put together from different moments. Restore all of it from one backup"),
            Halt::StaleStart { file, file_start, manifest_start } => write!(out,
                "the manifest (start {manifest_start}) is older than {file}, whose log began in start {file_start}: WAL_DIR was put together from different moments. Restore all of it from one backup"),
            Halt::Foreign { file } => write!(out, "{file} belongs to another installation, or to another node of this one: move it out of WAL_DIR"),
            Halt::Secret { what } => write!(out,
                "WAL_DIR holds logs, but the file `secret` is not usable ({what}): without it duplicates cannot be recognised. Put back the secret that belongs to this directory"),
            Halt::OtherSecret => out.write_str(
                "WAL_SECRET_FILE holds another secret than WAL_DIR was made with: its outcomes could not be found again. Nothing was changed. Name the file of that secret or none, or begin with an empty WAL_DIR"),
            Halt::NoManifest { file } => write!(out,
                "WAL_DIR holds {file}, but no manifest: restore all of it from one backup, or start with an empty WAL_DIR"),
            Halt::Restoring => out.write_str(
                "WAL_DIR is being restored, or its restore was interrupted: it is not complete. Nothing was changed. Run the same `flk restore` again until it ends, or remove the directory"),
            Halt::Io { doing, file, error } => failed(out, doing, file, *error),
            Halt::Refused(why) => out.write_str(why),
            Halt::StopCutShort { missing } => write!(out,
                "stopped, but not cleanly: {missing} when the time for it was over. Check the disk under WAL_DIR and its free space. All that was answered is durable; the next start is one as after a crash"),
            Halt::ManifestFull { bytes, bytes_max } => write!(out,
                "the manifest would take {bytes} bytes, and may take {bytes_max}: there are too many log segments. Delete old ones with `flk wal compact --older-than SECONDS`; larger WAL_SEGMENT_BYTES or DEDUP_MEMORY_MAX make fewer of them"),
            Halt::StartsExhausted => out.write_str(
                "this WAL_DIR was started 16,777,215 times, which is all that its numbering allows: begin a new one"),
        }
    }
}

/// Damage, and what an operator can do about it: of nothing but a segment a part can be given up.
fn damage(out: &mut fmt::Formatter<'_>, file: &str, what: &str) -> fmt::Result {
    write!(
        out,
        "{file} is damaged: {what}. Nothing was changed. Look at it with `flk wal verify`; restore a backup"
    )?;
    match NumberedFile::is_segment(file) {
        true => write!(
            out,
            ", or give up what is lost with `flk wal quarantine {file} --accept-loss` (without --accept-loss it only says what that is)"
        ),
        false => Ok(()),
    }
}

/// A file operation that failed, and what to check.
fn failed(out: &mut fmt::Formatter<'_>, doing: &str, file: &str, error: Errno) -> fmt::Result {
    let check = error.what_to_check();
    write!(out, "{doing} {file}: {error}. {check}, then start again")?;
    match error == Errno::EIO && doing == "reading" && NumberedFile::is_segment(file) {
        true => write!(
            out,
            "; if the device has lost these bytes for good, `flk wal quarantine {file}` says what can still be read"
        ),
        false => Ok(()),
    }
}
