//! The exit codes of commands that read stored bodies.

use super::{Codes, Exit};

/// Of `flk wal replay`.
pub(crate) const REPLAY_CODES: Codes = Codes(&[
    (Exit::Yes, "no body would be judged otherwise"),
    (Exit::No, "some bodies would be judged otherwise"),
    (
        Exit::Usage,
        "the command line or a key is wrong, or there is no log directory or no file of --config",
    ),
    (
        Exit::Damage,
        "a log is damaged; what could be read was not compared",
    ),
    (
        Exit::Unavailable,
        "a gateway changes its directory faster than it can be read; trying again is safe",
    ),
    (
        Exit::File,
        "a file of the directory, or the output, could not be read or written",
    ),
    (
        Exit::Configuration,
        "the configuration is wrong, or a newer flk wrote the directory",
    ),
]);

/// Of `flk wal export`.
pub(crate) const EXPORT_CODES: Codes = Codes(&[
    (Exit::Yes, "all rows were written"),
    (
        Exit::Usage,
        "the command line is wrong, there is no log directory, or the file is there already",
    ),
    (Exit::Damage, "a log is damaged; no file was made"),
    (
        Exit::Unavailable,
        "a gateway changes its directory faster than it can be read; trying again is safe",
    ),
    (
        Exit::File,
        "a file of the directory, or the output, could not be read or written; no file was made",
    ),
    (
        Exit::Configuration,
        "a newer flk wrote the directory; no file was made",
    ),
]);
