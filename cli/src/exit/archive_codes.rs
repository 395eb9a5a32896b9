//! Exit codes of `flk archive`, as its help and the reference show them. It decides none.

use super::{Codes, Exit};

/// Of `flk archive run`.
pub(crate) const ARCHIVE_RUN_CODES: Codes = Codes(&[
    (
        Exit::Yes,
        "everything that was acknowledged before is archived",
    ),
    (
        Exit::Usage,
        "the command line is wrong, there is no log directory, or the place has the archive of another one",
    ),
    (
        Exit::Damage,
        "a file of the directory or an object of the place is damaged; what was archived before that stays",
    ),
    (
        Exit::Unavailable,
        "the store or the gateway did not answer, a body has no disposition yet, or the end of a log waits for the next start of a gateway; trying again is safe and goes on where it was",
    ),
    (
        Exit::File,
        "a file could not be read, or the place or the output not be written; trying again is safe",
    ),
    (
        Exit::Configuration,
        "a newer flk wrote the directory or the archive, or the store does not keep to conditions",
    ),
]);

/// Of `flk archive find`.
pub(crate) const ARCHIVE_FIND_CODES: Codes = Codes(&[
    (
        Exit::Yes,
        "found, and all of it shown, or as much as --limit says",
    ),
    (Exit::No, "nothing of it is in the archive"),
    (
        Exit::Usage,
        "the command line is wrong, or the place holds no archive",
    ),
    (
        Exit::Damage,
        "an object is damaged; what was found in the others is shown",
    ),
    (Exit::Unavailable, "the store did not answer"),
    (
        Exit::File,
        "the place could not be read, or the output not be written",
    ),
    (Exit::Configuration, "a newer flk made the archive"),
]);

/// Of `flk archive list`.
pub(crate) const ARCHIVE_LIST_CODES: Codes = Codes(&[
    (
        Exit::Yes,
        "shown; with --older-than, the newest run is older than that, or there was none",
    ),
    (
        Exit::No,
        "shown, and the newest run is not older than --older-than",
    ),
    (
        Exit::Usage,
        "the command line is wrong, or the place holds no archive",
    ),
    (Exit::Damage, "an object is damaged"),
    (Exit::Unavailable, "the store did not answer"),
    (
        Exit::File,
        "the place could not be read, or the output not be written",
    ),
    (Exit::Configuration, "a newer flk made the archive"),
]);

/// Of `flk archive verify`.
pub(crate) const ARCHIVE_VERIFY_CODES: Codes = Codes(&[
    (
        Exit::Yes,
        "every object is whole, and no body is there twice",
    ),
    (
        Exit::Usage,
        "the command line is wrong, or the place holds no archive",
    ),
    (
        Exit::Damage,
        "an object is damaged, missing or not expected, or a range of a log is in none (also one that the newest run had archived) or in two",
    ),
    (Exit::Unavailable, "the store did not answer"),
    (
        Exit::File,
        "the place could not be read, or the output not be written",
    ),
    (Exit::Configuration, "a newer flk made the archive"),
]);
