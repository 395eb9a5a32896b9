//! Exit codes of the commands that help to plan a gateway and to take it into production. They are data.

use super::{Codes, Exit};

/// Of `flk capacity`.
pub(crate) const CAPACITY_CODES: Codes = Codes(&[
    (Exit::Yes, "computed"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk profile list` and `show`.
pub(crate) const PROFILE_CODES: Codes = Codes(&[
    (Exit::Yes, "printed"),
    (
        Exit::Usage,
        "the command line is wrong, or there is no such profile",
    ),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk checklist`.
pub(crate) const CHECKLIST_CODES: Codes = Codes(&[
    (
        Exit::Yes,
        "no item fails; with --strict, none is open either",
    ),
    (Exit::No, "an item does not hold; with --strict, or is open"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk smoke`.
pub(crate) const SMOKE_CODES: Codes = Codes(&[
    (Exit::Yes, "the gateway is healthy: no check failed"),
    (Exit::No, "a check failed, or nothing answered"),
    (
        Exit::Usage,
        "the command line or a key is wrong; nothing was sent",
    ),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk support-bundle`.
pub(crate) const BUNDLE_CODES: Codes = Codes(&[
    (
        Exit::Yes,
        "the file was written; it says what could not be collected",
    ),
    (
        Exit::Usage,
        "the command line is wrong, the file is there already and was not changed, or it would be one of the log directory",
    ),
    (Exit::File, "the file, or the output, could not be written"),
]);
