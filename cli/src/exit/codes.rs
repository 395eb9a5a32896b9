//! What the exit codes mean, for each command that has a meaning of its own for them. They are data.

use super::{Codes, Exit};

/// All exit codes but those of `flk up` and `flk control run`, which end as the gateway does.
pub(super) const ALL: Codes = Codes(&[
    (Exit::Yes, "success"),
    (
        Exit::No,
        "done, but at least one record was refused or escalated, or could not be signed; a check of the host or of a gateway failed; an item of the checklist does not hold; two configurations differ; stored records would be judged otherwise; answers of a bench were wrong, or its conditions did not hold; or there is no such outcome",
    ),
    (
        Exit::Usage,
        "the command line, a setting or an input file is wrong, or the input is empty",
    ),
    (
        Exit::Damage,
        "a log directory is damaged, or an audit log was changed",
    ),
    (
        Exit::Unavailable,
        "a gateway or flk-control did not answer, or a running gateway holds the log directory; trying again is safe",
    ),
    (
        Exit::File,
        "the output, or a file of a log directory, could not be read or written",
    ),
    (
        Exit::Configuration,
        "the configuration of a gateway is wrong, or another flk wrote the log directory or the statistics",
    ),
    (
        Exit::Interrupted,
        "flk pcs submit or flk bench was interrupted before its end",
    ),
]);

/// Of `flk pcs build`.
pub(crate) const PCS_BUILD_CODES: Codes = Codes(&[
    (Exit::Yes, "the record was written"),
    (
        Exit::Usage,
        "the command line or the input is wrong, or the input is empty; nothing was written",
    ),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk pcs sign`.
pub(crate) const PCS_SIGN_CODES: Codes = Codes(&[
    (Exit::Yes, "all records were signed"),
    (
        Exit::No,
        "some records could not be signed; the others were",
    ),
    (
        Exit::Usage,
        "the command line, a key or the input is wrong, or the input is empty",
    ),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk pcs verify`.
pub(crate) const PCS_VERIFY_CODES: Codes = Codes(&[
    (Exit::Yes, "every record would be accepted"),
    (Exit::No, "some records would be escalated or refused"),
    (
        Exit::Usage,
        "the command line, a key or the input is wrong, or the input is empty",
    ),
    (
        Exit::File,
        "the output could not be written completely: not all records were checked",
    ),
]);

/// Of `flk pcs submit`.
pub(crate) const PCS_SUBMIT_CODES: Codes = Codes(&[
    (Exit::Yes, "every record was accepted or escalated"),
    (Exit::No, "all records were answered; some were refused"),
    (
        Exit::Usage,
        "the command line or the input is wrong, or the input is empty",
    ),
    (
        Exit::Unavailable,
        "some records got no answer, or the server is not a gateway; sending again is safe",
    ),
    (
        Exit::File,
        "the output could not be written, or was closed before every record was answered; sending again is safe",
    ),
    (
        Exit::Interrupted,
        "interrupted before every record was answered; sending again is safe",
    ),
]);

/// Of `flk bench`.
pub(crate) const BENCH_CODES: Codes = Codes(&[
    (
        Exit::Yes,
        "the run is over; all answers were right, and all conditions held",
    ),
    (
        Exit::No,
        "answers were wrong by the record contract, or a condition of --expect or --fail-if did not hold",
    ),
    (
        Exit::Usage,
        "the command line, a key or the saved run is wrong, or the run could not begin",
    ),
    (
        Exit::Unavailable,
        "the gateway did not answer, or is not ready, or no request was answered, or all answers were refusals (408, 429, 5xx)",
    ),
    (
        Exit::File,
        "a file, or the output, could not be written completely",
    ),
    (
        Exit::Interrupted,
        "interrupted; the report covers the run so far",
    ),
]);

/// Of `flk bench fixtures`.
pub(crate) const FIXTURES_CODES: Codes = Codes(&[
    (Exit::Yes, "all records were written"),
    (Exit::Usage, "the command line or a key is wrong"),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk keys generate`.
pub(crate) const KEYS_GENERATE_CODES: Codes = Codes(&[
    (Exit::Yes, "the key was made"),
    (
        Exit::Usage,
        "the command line is wrong, or a file is there already; it was not changed",
    ),
    (Exit::File, "a file, or the output, could not be written"),
]);

/// Of `flk keys list`.
pub(crate) const KEYS_LIST_CODES: Codes = Codes(&[
    (Exit::Yes, "listed"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::Unavailable, "the gateway of --url did not answer"),
    (Exit::File, "the output could not be written completely"),
    (
        Exit::Configuration,
        "the file cannot be read, or is wrong: flk config check names every mistake",
    ),
]);

/// Of `flk keys add`, `rotate` and `revoke`.
pub(crate) const KEYS_CHANGE_CODES: Codes = Codes(&[
    (Exit::Yes, "changed, or shown what would change"),
    (
        Exit::Usage,
        "the command line or the new key is wrong, or there is no such tenant or key; nothing was changed",
    ),
    (
        Exit::File,
        "the file cannot be written here, and the lines to change were printed; or the output could not be written",
    ),
    (
        Exit::Configuration,
        "the file cannot be read, or would be wrong; nothing was changed",
    ),
]);

/// Of commands that read a log directory.
pub(crate) const WAL_READ_CODES: Codes = Codes(&[
    (Exit::Yes, "no damage; a torn tail is none"),
    (
        Exit::Usage,
        "the command line is wrong, or there is no log directory",
    ),
    (Exit::Damage, "damage was found"),
    (
        Exit::Unavailable,
        "a serving gateway changed the directory faster than it could be opened; try again",
    ),
    (
        Exit::File,
        "a file could not be read, or the output could not be written completely",
    ),
    (
        Exit::Configuration,
        "no damage, but a newer flk wrote the directory: use that one",
    ),
]);

/// Of `flk dedup get`.
pub(crate) const DEDUP_GET_CODES: Codes = Codes(&[
    (Exit::Yes, "the outcome was printed"),
    (
        Exit::No,
        "no outcome of that id is stored for the tenant, or its time is over",
    ),
    (
        Exit::Usage,
        "the command line is wrong, or there is no log directory",
    ),
    (
        Exit::Damage,
        "not found where it can be read, and something is damaged: the outcome may lie there",
    ),
    (
        Exit::Unavailable,
        "a serving gateway changed the directory faster than it could be read; try again",
    ),
    (
        Exit::File,
        "a file could not be read, or the output could not be written completely",
    ),
    (
        Exit::Configuration,
        "a newer flk wrote the directory: use that one",
    ),
]);

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

/// Of commands that change a log directory.
pub(crate) const WAL_CHANGE_CODES: Codes = Codes(&[
    (Exit::Yes, "done, or shown what would be done"),
    (
        Exit::Usage,
        "the command line is wrong, there is nothing to do, or a newer flk wrote the directory; nothing was changed",
    ),
    (Exit::Damage, "damage was found; nothing was changed"),
    (
        Exit::Unavailable,
        "a gateway uses the directory, or did not answer; nothing was changed",
    ),
    (
        Exit::File,
        "a file, or the output, could not be read or written; the command can be repeated",
    ),
]);

/// Of commands that change a hold.
pub(crate) const HOLD_CODES: Codes = Codes(&[
    (Exit::Yes, "done, and durable"),
    (Exit::No, "the gateway refused; nothing was changed"),
    (
        Exit::Usage,
        "the command line is wrong, or without a gateway the change cannot be made; nothing was changed",
    ),
    (Exit::Damage, "damage was found; nothing was changed"),
    (
        Exit::Unavailable,
        "a gateway that is starting or ending uses the directory, or did not answer",
    ),
    (
        Exit::File,
        "a file, or the output, could not be read or written; the command can be repeated",
    ),
]);

/// Of `flk wal hold list`.
pub(crate) const HOLD_LIST_CODES: Codes = Codes(&[
    (Exit::Yes, "listed"),
    (Exit::No, "the gateway refused"),
    (
        Exit::Usage,
        "the command line is wrong, or there is no log directory",
    ),
    (Exit::Damage, "the manifest is damaged"),
    (Exit::Unavailable, "the gateway did not answer in time"),
    (
        Exit::File,
        "the manifest, or the output, could not be read or written",
    ),
    (Exit::Configuration, "a newer flk wrote the directory"),
]);

/// Of `flk wal secret generate`.
pub(crate) const WAL_SECRET_CODES: Codes = Codes(&[
    (Exit::Yes, "the secret was made"),
    (
        Exit::Usage,
        "the command line is wrong, or the file is there already; it was not changed",
    ),
    (Exit::File, "the file, or the output, could not be written"),
]);

/// Of commands to a serving gateway.
pub(crate) const SERVED_CODES: Codes = Codes(&[
    (Exit::Yes, "the gateway did it"),
    (Exit::No, "the gateway refused"),
    (Exit::Usage, "the command line is wrong"),
    (
        Exit::Unavailable,
        "no gateway serves from the directory, or it did not answer in time",
    ),
    (Exit::File, "the output could not be written"),
]);

/// Of `flk doctor`.
pub(crate) const DOCTOR_CODES: Codes = Codes(&[
    (
        Exit::Yes,
        "a gateway can run on this host; there may be warnings",
    ),
    (Exit::No, "a check failed or, with --strict, gave a warning"),
    (
        Exit::Usage,
        "the command line is wrong, or the token's file cannot be read",
    ),
    (
        Exit::Unavailable,
        "with --telemetry, a process of --url did not answer; what was found elsewhere was printed",
    ),
    (
        Exit::File,
        "the log of --log could not be read, or the output could not be written completely",
    ),
]);

/// Of `flk config check`.
pub(crate) const CONFIG_CODES: Codes = Codes(&[
    (Exit::Yes, "every setting is valid"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::File, "the output could not be written completely"),
    (
        Exit::Configuration,
        "a setting is wrong or missing, or a variable looks like a setting and is none; each mistake is named",
    ),
]);

/// Of `flk config show`.
pub(crate) const CONFIG_SHOW_CODES: Codes = Codes(&[
    (
        Exit::Yes,
        "shown; flk config check says whether the values are valid",
    ),
    (Exit::Usage, "the command line is wrong"),
    (Exit::File, "the output could not be written completely"),
    (
        Exit::Configuration,
        "the file, or a file of a secret, cannot be read",
    ),
]);

/// Of `flk config init`.
pub(crate) const CONFIG_INIT_CODES: Codes = Codes(&[
    (Exit::Yes, "the file was written"),
    (
        Exit::Usage,
        "the command line is wrong, or the file exists; nothing was changed",
    ),
    (Exit::File, "the file, or the output, could not be written"),
]);

/// Of `flk config diff`.
pub(crate) const CONFIG_DIFF_CODES: Codes = Codes(&[
    (Exit::Yes, "both files say the same"),
    (Exit::No, "they differ"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::File, "the output could not be written completely"),
    (
        Exit::Configuration,
        "one of the files cannot be read as a configuration",
    ),
]);

/// Of `flk config schema`.
pub(crate) const CONFIG_SCHEMA_CODES: Codes = Codes(&[
    (Exit::Yes, "it was printed"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk completions`, `flk man` and the reference of commands.
pub(crate) const REFERENCE_CODES: Codes = Codes(&[
    (Exit::Yes, "it was printed, or written"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk top`.
pub(crate) const TOP_CODES: Codes = Codes(&[
    (Exit::Yes, "shown; q, Ctrl-C or a signal ended the screen"),
    (Exit::Usage, "the command line is wrong"),
    (
        Exit::Unavailable,
        "no gateway answered, or it was restarted between both readings; trying again is safe",
    ),
    (Exit::File, "the output could not be written completely"),
    (
        Exit::Configuration,
        "a gateway of another version keeps its statistics in another layout: use its flk, or --url",
    ),
]);

/// Of commands that ask flk-control.
pub(crate) const CONTROL_CODES: Codes = Codes(&[
    (Exit::Yes, "done, or shown"),
    (Exit::No, "refused; nothing was changed"),
    (
        Exit::Usage,
        "the command line is wrong, or the token's file cannot be read",
    ),
    (
        Exit::Unavailable,
        "flk-control, or the gateway behind it, did not answer",
    ),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk control token`.
pub(crate) const TOKEN_CODES: Codes = Codes(&[
    (Exit::Yes, "a token was made"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::File, "the output could not be written completely"),
]);

/// Of `flk control audit verify`.
pub(crate) const AUDIT_CODES: Codes = Codes(&[
    (Exit::Yes, "every line follows the one before"),
    (
        Exit::Usage,
        "the command line is wrong, or there is no audit log",
    ),
    (Exit::Damage, "a line was changed, removed or moved"),
    (
        Exit::File,
        "the log could not be read, or the output not be written completely",
    ),
]);
