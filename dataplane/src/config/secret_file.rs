//! Files that hold secrets, as container platforms mount them: plain, or encrypted (which is opened elsewhere). What is read is
//! never shown; errors name the file. No copy of a secret outlives what is returned.

use crate::logs::redact::holds_identity;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// No key is as long.
const SECRET_BYTES_MAX: usize = 64 * 1024;
/// An encrypted document may hold the keys of many tenants.
const SEALED_BYTES_MAX: usize = 256 * 1024;
/// How long the writer of a pipe, such as a shell's `<(command)`, is waited for: by a gateway that serves, and by a command or a
/// start, which have no other work.
const PIPE_WAIT_MAX: Duration = Duration::from_secs(1);
const PIPE_WAIT_OF_COMMANDS_MAX: Duration = Duration::from_secs(30);
/// Time between two looks at a pipe.
const PIPE_WAIT: Duration = Duration::from_millis(10);

/// Why a file was not read. It shows nothing of the file.
#[derive(Debug)]
pub enum ReadError {
    /// The system refused it.
    Io(io::Error),
    /// It is a pipe, a device or a directory.
    NotRegular,
    /// Its writer wrote nothing for so long.
    Silent(Duration),
    /// It is longer than so many bytes.
    TooLong(usize),
    /// It is not UTF-8.
    NotText,
    /// Its name is an age identity.
    Identity,
}

impl fmt::Display for ReadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(error) => write!(out, "it cannot be read: {error}"),
            ReadError::NotRegular => out.write_str(
                "it must be a regular file, because it is read more than once: a pipe, a device or a directory is none",
            ),
            ReadError::Silent(waited) => write!(
                out,
                "it cannot be read: nothing was written into this pipe for {} s",
                waited.as_secs()
            ),
            ReadError::TooLong(bytes_max) => write!(out, "it is longer than {bytes_max} bytes"),
            ReadError::NotText => out.write_str("it is not UTF-8"),
            ReadError::Identity => out.write_str(
                "this is an identity itself: put it into a file, or into SOPS_AGE_KEY",
            ),
        }
    }
}

impl std::error::Error for ReadError {}

/// A shorter text is no key that anybody should use, and a longer one without a directory or an ending is hardly a file's name.
pub(super) const KEY_CHARACTERS_MIN: usize = 20;

/// The name of a file as it may be shown. A text that is no path may be the secret itself, set in the place of its file.
pub fn shown_path(path: &Path) -> String {
    let text = path.display().to_string();
    let looks_like_a_path = text.contains(['/', '.']) || text.len() < KEY_CHARACTERS_MIN;
    let is_path = looks_like_a_path && !text.ends_with('=') && !holds_identity(&text);
    match is_path || SecretPath::typed(&text).path.exists() {
        true => text,
        false => "(not shown)".to_owned(),
    }
}

/// A file, and which value of it where it is a SOPS document with several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPath {
    /// The file.
    pub path: PathBuf,
    /// Keys and numbers of elements with dots between them.
    pub entry: Option<String>,
}

impl SecretPath {
    /// Of its parts.
    pub fn new(path: impl Into<PathBuf>, entry: Option<String>) -> SecretPath {
        SecretPath {
            path: path.into(),
            entry,
        }
    }

    /// Reads `FILE` or `FILE#ENTRY`. A file whose name has a `#` in it is meant as a whole.
    pub fn typed(text: &str) -> SecretPath {
        match text.rsplit_once('#') {
            Some((path, entry))
                if !path.is_empty() && !entry.is_empty() && !Path::new(text).exists() =>
            {
                SecretPath::new(path, Some(entry.to_owned()))
            }
            _ => SecretPath::new(text, None),
        }
    }
}

impl fmt::Display for SecretPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&shown_path(&self.path))?;
        match &self.entry {
            Some(entry) => write!(out, ", entry {entry}"),
            None => Ok(()),
        }
    }
}

/// All bytes of a secret's file or pipe.
pub(super) fn read_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let bytes = read_bounded(path, SEALED_BYTES_MAX, PIPE_WAIT_MAX);
    bytes.map_err(|error| error.to_string())
}

/// The bytes of a regular file that may be encrypted.
pub(super) fn read_sealed(path: &Path) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    read_regular(path, SEALED_BYTES_MAX)
}

/// The text of a file that is never encrypted, and is read whenever something is to be opened with it.
pub(super) fn read_plain(path: &Path) -> Result<Zeroizing<String>, String> {
    let bytes = read_regular(path, SECRET_BYTES_MAX);
    text_of(&bytes.map_err(|error| error.to_string())?)
}

/// The bytes of a file or pipe of a secret, for a command that reads it once.
///
/// # Errors
/// It cannot be read, or is longer than any such file.
pub fn read_once(path: &Path) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    read_bounded(path, SEALED_BYTES_MAX, PIPE_WAIT_OF_COMMANDS_MAX)
}

pub(super) fn text_of(bytes: &[u8]) -> Result<Zeroizing<String>, String> {
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(format!("it is longer than {SECRET_BYTES_MAX} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    match text.is_empty() {
        true => Err("it is empty".to_owned()),
        false => Ok(Zeroizing::new(text.to_owned())),
    }
}

/// Opens a file to read it. A named pipe that nothing writes would hold up its reader, at each start and each publishing.
///
/// # Errors
/// The system refuses it.
pub fn open(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
}

/// The same; a text that is an identity and no path is reported as that.
fn open_named(path: &Path) -> Result<File, ReadError> {
    open(path).map_err(|error| match holds_identity(&path.to_string_lossy()) {
        true => ReadError::Identity,
        false => ReadError::Io(error),
    })
}

/// All bytes of a regular file that is not longer than this. Of anything else nothing is read, so that it is not emptied.
pub(super) fn read_regular(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    read_open(open_regular(path)?, bytes_max)
}

/// Opens a regular file; anything else is refused.
pub(super) fn open_regular(path: &Path) -> Result<File, ReadError> {
    let file = open_named(path)?;
    match file.metadata().map_err(ReadError::Io)?.is_file() {
        true => Ok(file),
        false => Err(ReadError::NotRegular),
    }
}

/// All bytes of an open file that is not longer than this.
///
/// # Errors
/// It is longer, or cannot be read.
pub fn read_open(file: File, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    read_all(file, bytes_max, Duration::ZERO)
}

/// The same of a pipe as well, whose writer is waited for.
fn read_bounded(
    path: &Path,
    bytes_max: usize,
    wait_max: Duration,
) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    read_all(open_named(path)?, bytes_max, wait_max)
}

fn read_all(
    mut file: File,
    bytes_max: usize,
    wait_max: Duration,
) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    let mut waited = Duration::ZERO;
    // Of its final length from the beginning: memory that grows leaves copies.
    let said = file.metadata().map_or(0, |it| it.len());
    let expected = usize::try_from(said).unwrap_or(usize::MAX);
    let room = expected.max(SECRET_BYTES_MAX).min(bytes_max);
    let mut bytes = Zeroizing::new(vec![0; room + 1]);
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if waited >= wait_max {
                    return Err(ReadError::Silent(wait_max));
                }
                waited += PIPE_WAIT;
                std::thread::sleep(PIPE_WAIT);
            }
            Err(error) => return Err(ReadError::Io(error)),
        }
    }
    match filled > room {
        true => Err(ReadError::TooLong(room)),
        false => {
            bytes.truncate(filled);
            Ok(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::opened::{form_of, read};
    use super::super::sealed::AgeKeys;
    use super::*;
    use std::process::Command;

    fn named_pipe(directory: &Path) -> std::path::PathBuf {
        let path = directory.join("pipe");
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        path
    }

    #[test]
    fn a_named_pipe_that_nobody_writes_is_refused_and_waited_for_by_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = named_pipe(directory.path());
        let secret = SecretPath::new(&pipe, None);
        let read = || read(&secret, &AgeKeys::default()).map(|(text, _)| text);
        assert_eq!(read().unwrap_err(), "it is empty");
        // Somebody has it open and writes nothing.
        let held = File::options().read(true).write(true).open(&pipe).unwrap();
        let problem = read().unwrap_err();
        assert!(problem.contains("nothing was written"), "{problem}");
        drop(held);
    }

    #[test]
    fn of_what_must_be_a_regular_file_a_pipe_is_refused_and_keeps_what_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = named_pipe(directory.path());
        let expected = "it must be a regular file";
        // Whatever is written or not, and whatever kind it is.
        assert!(read_plain(&pipe).unwrap_err().starts_with(expected));
        let mut held = File::options().read(true).write(true).open(&pipe).unwrap();
        std::io::Write::write_all(&mut held, b"a key\n").unwrap();
        for path in [&pipe, Path::new("/dev/null"), directory.path()] {
            assert!(read_plain(path).unwrap_err().starts_with(expected));
            assert_eq!(form_of(path), None);
        }
        let mut left = [0; 16];
        assert_eq!(held.read(&mut left).unwrap(), 6);
        assert!(left.starts_with(b"a key\n"));
    }

    #[test]
    fn a_text_that_may_be_the_secret_itself_is_not_shown_as_the_name_of_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let existing = directory.path().join("key");
        std::fs::write(&existing, "a key").unwrap();
        let entry = format!("{}#acme.current", existing.display());
        for path in [
            existing.to_str().unwrap(),
            &entry,
            "/nowhere/key",
            "gone.key",
            "src",
        ] {
            assert_eq!(shown_path(Path::new(path)), path);
        }
        let identity = format!("AGE-SECRET-KEY-1{}", "Q".repeat(58));
        let base64 = "c2VzYW1l/c2VzYW1lc2VzYW1lc2VzYW1lc2VzYW1lc2U=";
        for secret in [
            "kq7Vm2xPzR4tLw9sYb3nHc6jFd8gTa5e",
            base64,
            &identity,
            &format!("./{identity}"),
        ] {
            assert_eq!(shown_path(Path::new(secret)), "(not shown)");
            let problem = read(&SecretPath::typed(secret), &AgeKeys::default()).unwrap_err();
            let is_identity = problem.starts_with("this is an identity itself");
            assert_eq!(is_identity, secret.contains("AGE-"), "{problem}");
        }
    }

    #[test]
    fn a_pipe_that_is_written_is_read_and_a_file_without_an_end_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = named_pipe(directory.path());
        std::thread::scope(|scope| {
            // A reader that came too early is gone before a byte is written: again then.
            scope.spawn(|| while std::fs::write(&pipe, "a key\n").is_err() {});
            let text = loop {
                match read_once(&pipe)
                    .map_err(|error| error.to_string())
                    .and_then(|it| text_of(&it))
                {
                    Err(problem) if problem == "it is empty" => std::thread::yield_now(),
                    other => break other.unwrap(),
                }
            };
            assert_eq!(text.as_str(), "a key");
        });
        let endless = SecretPath::typed("/dev/zero");
        let problem = read(&endless, &AgeKeys::default()).unwrap_err();
        assert!(problem.contains("longer"));
    }

    #[test]
    fn an_entry_is_named_behind_the_file_unless_the_file_is_called_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(path("a#b"), "a key").unwrap();
        assert_eq!(
            SecretPath::typed(&path("a#b")),
            SecretPath::new(path("a#b"), None)
        );
        assert_eq!(
            SecretPath::typed(&path("keys#acme.current")),
            SecretPath::new(path("keys"), Some("acme.current".to_owned()))
        );
        assert_eq!(SecretPath::typed("#b"), SecretPath::new("#b", None));
        assert_eq!(SecretPath::typed("a#"), SecretPath::new("a#", None));
    }
}
