//! Why the keeper ends the process before its time: one case per thing that an operator can do about it.

use crate::event::Errno;
use crate::exit::Exit;
use crate::wal::files::NumberedFile;
use std::fmt;

/// The end of the process, with what explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// Another process holds the directory.
    Locked {
        /// What the lock file says about it (its process id).
        holder: String,
    },
    /// Something durable is not what it was when it was written.
    Damage {
        /// The file.
        file: String,
        /// What is wrong, with the sequence where there is one.
        what: String,
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
    /// There are logs or slices, but the secret that their keys were hashed with is missing or another one.
    Secret {
        /// What is wrong with it.
        what: String,
    },
    /// There are logs or slices, but no manifest that names them.
    NoManifest {
        /// One of the files.
        file: String,
    },
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
}

impl Halt {
    /// Exit code of the process.
    pub(crate) fn code(&self) -> i32 {
        let exit = match self {
            Halt::Locked { .. } => Exit::Locked,
            Halt::Damage { .. } | Halt::StaleManifest { .. } | Halt::NoManifest { .. } => {
                Exit::Damage
            }
            Halt::Io { .. } => Exit::File,
            Halt::Secret { .. } | Halt::StartsExhausted | Halt::Refused(_) => Exit::Configuration,
        };
        i32::from(exit.code())
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::Locked { holder } => write!(
                out,
                "WAL_DIR is in use by {holder}: stop that process or give this one a WAL_DIR of its own"
            ),
            Halt::Damage { file, what } => {
                write!(
                    out,
                    "{file} is damaged: {what}. Nothing was changed. Look at it with `flk wal verify`; restore a backup"
                )?;
                match NumberedFile::is_segment(file) {
                    true => write!(
                        out,
                        ", or give up what is lost with `flk wal quarantine {file} --accept-loss` (without --accept-loss it only says what that is)"
                    ),
                    // Of nothing else a part could be given up.
                    false => Ok(()),
                }
            }
            Halt::StaleManifest {
                file,
                file_generation,
                manifest_generation,
            } => write!(
                out,
                "the manifest (generation {manifest_generation}) is older than {file} (generation {file_generation}): WAL_DIR was put together from different moments. Restore all of it from one backup"
            ),
            Halt::Secret { what } => write!(
                out,
                "WAL_DIR holds logs, but the file `secret` is not usable ({what}): without it duplicates cannot be recognised. Put back the secret that belongs to this directory"
            ),
            Halt::NoManifest { file } => write!(
                out,
                "WAL_DIR holds {file}, but no manifest: restore all of it from one backup, or start with an empty WAL_DIR"
            ),
            Halt::Io { doing, file, error } => {
                write!(
                    out,
                    "{doing} {file}: {error}. Check the disk, its free space and the permissions of WAL_DIR, then start again"
                )?;
                match *error == Errno::EIO && *doing == "reading" && NumberedFile::is_segment(file) {
                    true => write!(
                        out,
                        "; if the device has lost these bytes for good, `flk wal quarantine {file}` says what can still be read"
                    ),
                    false => Ok(()),
                }
            }
            Halt::Refused(why) => out.write_str(why),
            Halt::StartsExhausted => out.write_str(
                "this WAL_DIR was started 16,777,215 times, which is all that its numbering allows: begin a new one",
            ),
        }
    }
}
