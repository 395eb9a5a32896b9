//! Files that hold one secret each, as container platforms mount them. What is read is never shown; errors name the file.
//! No copy of a secret outlives what is returned.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// No key is as long.
const SECRET_BYTES_MAX: usize = 64 * 1024;
/// Whoever writes a pipe, as shells do for `<(command)`, is waited for so often and so long.
const PIPE_WAITS_MAX: u32 = 100;
const PIPE_WAIT: Duration = Duration::from_millis(10);

/// The text of a secret: all of the file but one line end at its end. Wiped when it is dropped.
///
/// # Errors
/// What is wrong with the file, in words.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let bytes = read_bounded(path, SECRET_BYTES_MAX)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned())?;
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
    let mut bytes = Zeroizing::new(vec![0; bytes_max + 1]);
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
    match filled > bytes_max {
        true => Err(format!("it is longer than {bytes_max} bytes")),
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
        assert_eq!(read(&pipe).unwrap_err(), "it is empty");
        // Somebody has it open and writes nothing.
        let held = File::options().read(true).write(true).open(&pipe).unwrap();
        assert!(read(&pipe).unwrap_err().starts_with("it cannot be read"));
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
                match read(&pipe) {
                    Err(problem) if problem == "it is empty" => std::thread::yield_now(),
                    other => break other.unwrap(),
                }
            };
            assert_eq!(text.as_str(), "a key");
        });
        assert!(read(Path::new("/dev/zero")).unwrap_err().contains("longer"));
    }
}
