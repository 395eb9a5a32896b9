//! Files that hold secrets, as container platforms mount them: plain, or encrypted for an age identity. What is read is never
//! shown; errors name the file. No copy of a secret outlives what is returned.

use super::sealed::{self, AgeKeys, Form};
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// No key is as long.
const SECRET_BYTES_MAX: usize = 64 * 1024;
/// An encrypted document may hold the keys of many tenants.
const SEALED_BYTES_MAX: usize = 256 * 1024;
/// Whoever writes a pipe, as shells do for `<(command)`, is waited for so often and so long.
const PIPE_WAITS_MAX: u32 = 100;
const PIPE_WAIT: Duration = Duration::from_millis(10);

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
        write!(out, "{}", self.path.display())?;
        match &self.entry {
            Some(entry) => write!(out, ", entry {entry}"),
            None => Ok(()),
        }
    }
}

/// The text of a secret: all of a plain file, or what an encrypted one holds, but one line end at its end. Wiped when it is
/// dropped. Besides it, how the file is encrypted.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn read(
    secret: &SecretPath,
    keys: &AgeKeys,
) -> Result<(Zeroizing<String>, Option<Form>), String> {
    let bytes = read_bounded(&secret.path, SEALED_BYTES_MAX)?;
    let form = Form::of(&bytes);
    let opened = sealed::open(bytes, secret.entry.as_deref(), keys);
    let text = text_of(&opened.map_err(|error| error.to_string())?)?;
    Ok((text, form))
}

/// How a file is encrypted; nothing: it is plain, or cannot be read.
pub fn form_of(path: &Path) -> Option<Form> {
    Form::of(&read_bounded(path, SEALED_BYTES_MAX).ok()?)
}

/// The same of a file that is never encrypted.
pub(super) fn read_plain(path: &Path) -> Result<Zeroizing<String>, String> {
    text_of(&read_bounded(path, SECRET_BYTES_MAX)?)
}

fn text_of(bytes: &[u8]) -> Result<Zeroizing<String>, String> {
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

/// All bytes of a file that is not longer than this.
pub(super) fn read_bounded(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let cannot = |error: std::io::Error| format!("it cannot be read: {error}");
    // A named pipe that nobody writes would hold up whoever reads it, at each start and each publishing.
    let mut file = File::options()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(cannot)?;
    let mut waits_left = PIPE_WAITS_MAX;
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
            Err(error) if error.kind() == ErrorKind::WouldBlock && waits_left > 0 => {
                waits_left -= 1;
                std::thread::sleep(PIPE_WAIT);
            }
            Err(error) => return Err(cannot(error)),
        }
    }
    match filled > room {
        true => Err(format!("it is longer than {room} bytes")),
        false => {
            bytes.truncate(filled);
            Ok(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(read_plain(&pipe).unwrap_err(), "it is empty");
        // Somebody has it open and writes nothing.
        let held = File::options().read(true).write(true).open(&pipe).unwrap();
        assert!(
            read_plain(&pipe)
                .unwrap_err()
                .starts_with("it cannot be read")
        );
        drop(held);
    }

    #[test]
    fn a_pipe_that_is_written_is_read_and_a_file_without_an_end_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = named_pipe(directory.path());
        std::thread::scope(|scope| {
            // A reader that came too early is gone before a byte is written: again then.
            scope.spawn(|| while std::fs::write(&pipe, "a key\n").is_err() {});
            let text = loop {
                match read_plain(&pipe) {
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
