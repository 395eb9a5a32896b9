//! Every line that the control process can say, and those that `flk up` says besides its gateway: name, level, how often, what
//! stands in front of it as text, and its fields. Nothing else is said. Names never change their meaning.

use flk_dataplane::log_events;
use flk_dataplane::logs::Lead::{self, Words};
use flk_dataplane::logs::Rate::{self, Always};

/// Of what may happen at any rate.
const OFTEN: Rate = Rate::Per10s(10);
/// Of what comes in lists of up to fifty lines: one list is whole.
const LISTED: Rate = Rate::Per10s(60);

const CONTROL: Lead = Words("flk-control: ");
/// Lines that belong to the one before them.
const DETAIL: Lead = Words("flk-control:   ");

log_events! {
    /// All events of the control process.
    Control in EVENTS;

    /// An argument of the command line is wrong; the process ends with 64.
    ArgumentRefused "control.arguments_refused" Error Always, CONTROL => {}
    /// A setting is wrong; the process ends with 78.
    SettingRefused "control.config_refused" Error Always, CONTROL => {}
    /// The process does not start, or ends before its time.
    Failed "control.failed" Error Always, CONTROL => {
        /// The code that the process ends with.
        exit_code: u8,
    }
    /// A thread panicked.
    Panicked "control.panicked" Error Always, CONTROL => {
        /// The thread.
        thread: String,
    }
    /// A crash may leave the memory of this process in a file.
    CoreDumpsOn "control.core_dumps_on" Warn Always, CONTROL => {
        /// The error.
        error: String,
    }
    /// The service manager cannot be notified of a start, a reload or a stop.
    ServiceManagerFailed "control.service_manager_failed" Warn OFTEN, CONTROL => {
        /// The error.
        error: String,
    }
    /// The end of standard input cannot be waited for.
    StdinFailed "control.stdin_failed" Warn Always, CONTROL => {
        /// The error.
        error: String,
    }
    /// The last line of the audit log was torn by a crash.
    AuditTorn "audit.torn" Warn Always, CONTROL => {
        /// The file that keeps it.
        file: String,
    }
    /// A change was refused, and the audit log, whose last line is of it, cannot take the line that says so.
    AuditOwes "audit.owes" Error Always, CONTROL => {}
    /// The audit log has the line that it owed.
    AuditSettled "audit.settled" Info Always, CONTROL => {}
    /// The admin API serves.
    AdminListening "admin.listening" Info Always, CONTROL => {
        /// Address and port.
        address: String,
        /// Whether requests need a token.
        needs_token: bool,
    }
    /// The console is served.
    ConsoleServed "console.served" Info Always, CONTROL => {
        /// Where browsers find it, on this host.
        url: String,
    }
    /// The admin API cannot listen yet.
    AdminWaiting "admin.waiting" Warn Always, CONTROL => {
        /// Address and port.
        address: String,
        /// The error.
        error: String,
    }
    /// The data plane answers.
    DataplaneAnswers "dataplane.answers" Info OFTEN, CONTROL => {
        /// Number of the snapshot in force.
        snapshot: u32,
    }
    /// The data plane does not answer.
    DataplaneAway "dataplane.away" Warn OFTEN, CONTROL => {
        /// The error.
        error: String,
    }
    /// A line of the file of tokens is wrong, or the file cannot be read.
    TokensWrong "tokens.wrong" Error LISTED, CONTROL => {}
    /// The file of tokens is right again.
    TokensRight "tokens.right" Info OFTEN, CONTROL => {
        /// The file.
        file: String,
    }
    /// Spans of traced records are exported.
    SpansExported "traces.exported" Info Always, CONTROL => {
        /// Where to.
        url: String,
    }
    /// The collector of spans takes none.
    CollectorAway "traces.collector_away" Warn OFTEN, CONTROL => {
        /// Address of the collector.
        collector: String,
        /// Why.
        reason: String,
    }
    /// The collector of spans takes them again.
    CollectorAnswers "traces.collector_answers" Info OFTEN, CONTROL => {
        /// Address of the collector.
        collector: String,
    }
    /// The configuration has a mistake; what is in force stays so.
    ConfigWrong "configuration.wrong" Error LISTED, CONTROL => {}
    /// The data plane was started with other settings than the configuration has, which takes their place.
    StartedOtherwise "configuration.started_otherwise" Warn OFTEN, CONTROL => {}
    /// A setting changed that only a restart of the data plane or of this process brings into force.
    RestartNeeded "configuration.restart_needed" Warn LISTED, CONTROL => {}
    /// A reload changed nothing.
    ReloadUnchanged "reload.unchanged" Info OFTEN, CONTROL => {
        /// Number of the snapshot in force.
        snapshot: u32,
    }
    /// A reload was refused.
    ReloadRefused "reload.refused" Error OFTEN, CONTROL => {}
    /// A snapshot was refused; what is in force stays so.
    SnapshotRefused "snapshot.refused" Error OFTEN, CONTROL => {}
    /// A snapshot came into force.
    SnapshotPublished "snapshot.published" Info Always, CONTROL => {
        /// Its number.
        snapshot: u32,
        /// Number of the one before.
        snapshot_before: u32,
        /// What or who caused it.
        actor: String,
    }
    /// One change that a snapshot brought.
    SnapshotChange "snapshot.change" Info LISTED, DETAIL => {
        /// Number of the snapshot.
        snapshot: u32,
    }
    /// A snapshot brought further changes.
    SnapshotChangesMore "snapshot.changes_more" Info Always, DETAIL => {
        /// Number of the snapshot.
        snapshot: u32,
        /// How many.
        changes_count: usize,
    }
    /// A rollback came into force and stays until the configuration changes.
    SnapshotRolledBack "snapshot.rolled_back" Info Always, CONTROL => {
        /// Its number.
        snapshot: u32,
        /// Number of the snapshot whose content it has.
        rollback_of: u32,
    }
    /// A rollback from before this start still holds.
    RollbackHolds "snapshot.rollback_holds" Info Always, CONTROL => {
        /// Its number.
        snapshot: u32,
        /// Number of the snapshot whose content it has.
        rollback_of: u32,
    }
    /// Answers of one status became much more frequent under a new snapshot.
    SnapshotSuspect "snapshot.suspect" Warn Always, CONTROL => {
        /// Number of the snapshot.
        snapshot: u32,
        /// The status.
        status: u16,
        /// Its share of all answers in the minute before, from 0 to 1.
        share_before: f64,
        /// The same under the snapshot.
        share: f64,
    }
    /// Lines could not be written.
    LinesDropped "control.logs_dropped" Warn Always, CONTROL => {
        /// How many since the last line.
        lines_count: u64,
    }
    /// Lines of one event exceeded its rate and were left out.
    LinesLeftOut "control.logs_left_out" Warn Always, CONTROL => {
        /// Name of the event.
        of_event: &'static str,
        /// How many in ten seconds.
        lines_count: u64,
    }
}

log_events! {
    /// All events of `flk up`, besides those of its gateway.
    Up in UP_EVENTS;

    /// An argument of the command line is wrong; the process ends with 2.
    UpArgumentRefused "up.arguments_refused" Error Always, Words("") => {}
    /// A setting, an option or a file keeps the gateway from starting.
    UpRefused "up.refused" Error Always, Words("flk: ") => {
        /// The code that the process ends with.
        exit_code: u8,
    }
    /// The gateway runs with a development key.
    UpDevKey "up.dev_key" Info Always, Words("") => {
        /// The file.
        file: String,
        /// Whether this start made it.
        is_new: bool,
    }
    /// Other users can read the development key.
    UpDevKeyReadable "up.dev_key_readable" Warn Always, Words("flk: warning: ") => {
        /// The file.
        file: String,
    }
    /// A line of the commands to try next.
    UpHint "up.hint" Info Always, Words("") => {}
    /// The control process beside the gateway ended and is started again; a growing pause bounds these lines.
    UpControlEnded "up.control_ended" Warn Always, CONTROL => {
        /// Milliseconds until it is started again.
        pause_ms: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_dataplane::logs::events::EVENTS as DATAPLANE;
    use std::collections::BTreeSet;

    #[test]
    fn no_event_of_another_part_has_the_same_name() {
        let all = || [DATAPLANE, EVENTS, UP_EVENTS].into_iter().flatten();
        let names: BTreeSet<&str> = all().map(|kind| kind.name).collect();
        assert_eq!(names.len(), all().count());
        for kind in all() {
            assert!(kind.brief.ends_with('.'), "{}", kind.name);
            let lower = |it: u8| it.is_ascii_lowercase() || it == b'_' || it == b'.';
            assert!(kind.name.bytes().all(lower), "{}", kind.name);
        }
    }

    /// A list of mistakes or changes is never cut by the rate of its lines.
    #[test]
    fn a_list_is_shorter_than_the_rate_of_its_lines() {
        let Rate::Per10s(most) = LISTED else {
            unreachable!("it has a rate");
        };
        assert!(crate::controller::LINES_MAX < most as usize);
    }
}
