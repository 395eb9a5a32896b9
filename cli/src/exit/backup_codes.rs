//! Exit codes of `flk backup` and `flk restore`, as their help and the reference show them. It decides none.

use super::{Codes, Exit};

/// Of `flk backup`.
pub(crate) const BACKUP_CODES: Codes = Codes(&[
    (Exit::Yes, "the backup is there, whole"),
    (
        Exit::Usage,
        "the command line is wrong, there is no log directory, or the place has backups of another one; no backup was made",
    ),
    (
        Exit::Damage,
        "a file of the directory or an object of the place is damaged; no backup was made",
    ),
    (
        Exit::Unavailable,
        "the store did not answer, or the gateway did not confirm what it wrote; trying again is safe and goes on with what was sent",
    ),
    (
        Exit::File,
        "a file could not be read, or the place or the output not be written; trying again is safe",
    ),
    (
        Exit::Configuration,
        "a newer flk wrote the directory, or the store does not keep to conditions; no backup was made",
    ),
]);

/// Of `flk backup list`.
pub(crate) const BACKUP_LIST_CODES: Codes = Codes(&[
    (
        Exit::Yes,
        "shown; with --older-than, the newest backup is older than that, or there is none (also where the place is no place of backups)",
    ),
    (
        Exit::No,
        "shown, and the newest is not older than --older-than",
    ),
    (
        Exit::Usage,
        "the command line is wrong, or the place cannot be opened",
    ),
    (Exit::Damage, "an index is damaged"),
    (Exit::Unavailable, "the store did not answer"),
    (
        Exit::File,
        "the place could not be read, or the output not be written",
    ),
    (Exit::Configuration, "a newer flk wrote a backup"),
]);

/// Of `flk backup prune`.
pub(crate) const BACKUP_PRUNE_CODES: Codes = Codes(&[
    (
        Exit::Yes,
        "what may go is gone; with --dry-run, it was shown",
    ),
    (
        Exit::Usage,
        "the command line is wrong, or the place cannot be opened or is no place of backups",
    ),
    (Exit::Damage, "an index is damaged; nothing was removed"),
    (
        Exit::Unavailable,
        "the store did not answer, or a backup or another prune is under way; the same command goes on where it was",
    ),
    (
        Exit::File,
        "the place could not be read or changed, or the output not be written",
    ),
    (
        Exit::Configuration,
        "a newer flk wrote a backup; nothing was removed",
    ),
]);

/// Of `flk restore`.
pub(crate) const RESTORE_CODES: Codes = Codes(&[
    (
        Exit::Yes,
        "the directory is restored; with --verify, everything is as the backup states",
    ),
    (
        Exit::Usage,
        "the command line is wrong, there is no such backup, the secret is missing or another one, the directory is not empty, or the logs cannot be cut there",
    ),
    (
        Exit::Damage,
        "the backup, or what was restored, is damaged; the directory is not complete and no gateway starts from it",
    ),
    (
        Exit::Unavailable,
        "the store did not answer, or another process restores the directory; the same command goes on where it was",
    ),
    (
        Exit::File,
        "a file could not be read or written; the same command goes on where it was",
    ),
    (Exit::Configuration, "a newer flk made the backup"),
]);
