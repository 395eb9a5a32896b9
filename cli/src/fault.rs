//! Errors of the operating system in words for the user, without error numbers and without texts of libraries.

use flk_dataplane::config::ReadError;
use flk_dataplane::io::Errno;
use std::io::{self, ErrorKind};

/// Why a file or a connection could not be used.
pub(crate) fn why(error: &io::Error) -> String {
    let text = match error.kind() {
        ErrorKind::NotFound => "there is no such file or directory",
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::IsADirectory => "it is a directory",
        ErrorKind::NotADirectory => "a part of the path is not a directory",
        ErrorKind::InvalidData => "it is not UTF-8 text",
        ErrorKind::StorageFull => "no space is left on the device",
        ErrorKind::FileTooLarge => {
            "this process may make no file of this length (ulimit -f; LimitFSIZE of a unit)"
        }
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        ErrorKind::BrokenPipe => "the reader closed it",
        ErrorKind::ConnectionRefused => "connection refused: nothing listens there",
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => "the connection was reset",
        ErrorKind::HostUnreachable => "the host cannot be reached",
        ErrorKind::NetworkUnreachable => "the network cannot be reached",
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "no answer in time",
        ErrorKind::UnexpectedEof => "it ended too early",
        _ => return of_the_system(error),
    };
    text.to_owned()
}

/// The same for a file of a configuration or of a secret.
pub(crate) fn why_unread(error: &ReadError) -> String {
    match error {
        ReadError::Io(error) => why(error),
        other => other.to_string(),
    }
}

/// The same for a number that a driver reports.
pub(crate) fn why_number(error: Errno) -> String {
    why(&io::Error::from_raw_os_error(error.0))
}

/// The text of the system, without its number.
fn of_the_system(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_an_error_is_shown() {
        for number in 1..134 {
            let said = why(&io::Error::from_raw_os_error(number));
            assert!(!said.is_empty() && !said.contains("os error"), "{said}");
        }
        assert_eq!(why(&io::Error::from_raw_os_error(5)), "input/output error");
    }
}
