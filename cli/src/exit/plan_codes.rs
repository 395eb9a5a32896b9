//! Exit codes of the commands that help to plan a gateway: capacities and profiles. They are data.

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
