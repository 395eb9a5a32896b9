//! The file of the secret that a new directory begins with. What is wrong with it is said with its name, and never with a byte
//! of it.

use super::secret_file::{ReadError, open_regular, read_open, shown_path};
use crate::wal::secret::{SECRET_BYTES, Secret, SecretFault};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Permissions that only the owner may have: to change it, and all of users outside of its group.
const OF_OTHERS: u32 = 0o027;
/// Permissions of its group.
const OF_GROUP: u32 = 0o070;

/// Why a secret is not taken from a file.
#[derive(Debug)]
pub struct SecretFileError {
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    Read(ReadError),
    /// Others may use it; its permissions.
    Open(u32),
    /// Its group may read it, and neither root nor this user gave that group the right to; its permissions, and the two users.
    Owner {
        mode: u32,
        owner: u32,
        user: u32,
    },
    Content(SecretFault),
}

impl fmt::Display for SecretFileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = shown_path(&self.path);
        write!(out, "WAL_SECRET_FILE={path}: ")?;
        match &self.fault {
            Fault::Read(error) => error.fmt(out),
            Fault::Open(mode) => write!(
                out,
                "others than its owner may use it (mode {mode:o}), and at most its group may read it: chmod 600 {path}, or 640 for a group; in Kubernetes defaultMode: 0400"
            ),
            Fault::Owner { mode, owner, user } => write!(
                out,
                "its group may read it (mode {mode:o}), and user {owner} owns it, who could choose that group: let root or user {user} own it, as which this process runs, or chmod 600 {path}"
            ),
            Fault::Content(fault) => write!(
                out,
                "{fault}; flk wal secret generate --out FILE makes one that is right"
            ),
        }
    }
}

impl std::error::Error for SecretFileError {}

/// Reads the secret.
///
/// # Errors
/// The file cannot be read, others than its owner (and a group that root or this user lets read) may use it, or it holds no secret.
pub fn read(path: &Path) -> Result<Secret, SecretFileError> {
    read_private(path).map_err(|fault| SecretFileError {
        path: path.to_owned(),
        fault,
    })
}

fn read_private(path: &Path) -> Result<Secret, Fault> {
    let file = open_regular(path).map_err(Fault::Read)?;
    let metadata = file.metadata();
    let metadata = metadata.map_err(|error| Fault::Read(ReadError::Io(error)))?;
    let user = rustix::process::geteuid().as_raw();
    judge(metadata.mode() & 0o777, metadata.uid(), user)?;
    let bytes = match read_open(file, SECRET_BYTES) {
        Ok(bytes) => bytes,
        Err(ReadError::TooLong(_)) => return Err(Fault::Content(SecretFault::Length)),
        Err(error) => return Err(Fault::Read(error)),
    };
    Secret::decode(&bytes).map_err(Fault::Content)
}

/// Whether a secret may have these permissions and this owner, in a process of this user. A group may read it: what is mounted
/// into a container under an `fsGroup` is always readable for that group.
fn judge(mode: u32, owner: u32, user: u32) -> Result<(), Fault> {
    if mode & OF_OTHERS != 0 {
        return Err(Fault::Open(mode));
    }
    if mode & OF_GROUP != 0 && owner != 0 && owner != user {
        return Err(Fault::Owner { mode, owner, user });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    const SECRET: Secret = Secret {
        id: [0x11; 16],
        key: [0x77; 16],
    };

    fn file(bytes: &[u8], mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_secret_is_read_from_a_file_that_its_owner_and_at_most_a_group_can_read() {
        for mode in [0o600, 0o400, 0o640, 0o440] {
            let file = file(&SECRET.encode(), mode);
            assert_eq!(read(file.path()).unwrap(), SECRET);
        }
    }

    #[test]
    fn what_is_wrong_with_the_file_is_said_with_its_name_and_none_of_its_bytes() {
        let whole = SECRET.encode();
        let mut flipped = whole.clone();
        flipped[30] ^= 1;
        for (bytes, mode, said) in [
            (
                &whole[..],
                0o660,
                "others than its owner may use it (mode 660), and at most its group may read it: chmod 600",
            ),
            (
                &whole[..],
                0o604,
                "others than its owner may use it (mode 604), and at most its group may read it: chmod 600",
            ),
            (&whole[..47], 0o600, "the secret file is not 48 bytes long"),
            (
                &[&whole[..], b"\n"].concat(),
                0o600,
                "the secret file is not 48 bytes long",
            ),
            (b"", 0o600, "the secret file is not 48 bytes long"),
            (&[b'w'; 48], 0o600, "the file is not a secret file"),
            (
                &flipped,
                0o600,
                "the checksum of the secret file does not match",
            ),
        ] {
            let file = file(bytes, mode);
            let error = read(file.path()).unwrap_err().to_string();
            let begin = format!("WAL_SECRET_FILE={}: {said}", file.path().display());
            assert!(error.starts_with(&begin), "{error}");
            assert!(!error.contains("www") && !error.contains("wwww"), "{error}");
        }
        let error = read(Path::new("/nowhere/secret")).unwrap_err().to_string();
        assert!(
            error.starts_with("WAL_SECRET_FILE=/nowhere/secret: it cannot be read: "),
            "{error}"
        );
    }

    #[test]
    fn a_group_may_only_read_and_only_where_root_or_this_user_lets_it() {
        const USER: u32 = 1000;
        for owner in [0, USER, 1001] {
            for mode in 0..=0o777 {
                let is_private = mode & 0o077 == 0;
                let is_shared = mode & 0o027 == 0 && owner != 1001;
                let may = judge(mode, owner, USER).is_ok();
                assert_eq!(may, is_private || is_shared, "{mode:o} of {owner}");
            }
        }
        let fault = judge(0o440, 1001, USER).unwrap_err();
        let error = SecretFileError {
            path: "/etc/flk/secret".into(),
            fault,
        };
        let said = error.to_string();
        assert!(
            said.contains("its group may read it (mode 440), and user 1001 owns it"),
            "{said}"
        );
        assert!(said.contains("root or user 1000"), "{said}");
    }
}
