//! Notices to the operator, typed; the text is made where it is printed. They steer nothing.

mod line;

use crate::http::{Problem, ProxyFault};
pub use crate::keeper::holds::keep::LetGo;
use crate::mesh::keeper::Shortage;
use crate::wal::name::{LogId, Sequence};
use std::fmt;

/// How what was before a start ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing was before: it is the first start of an installation.
    Nothing,
    /// The last run ended with a clean-stop mark.
    CleanStop,
    /// The last run was cut short.
    UncleanStop,
}

/// Where the bytes come from that WAL_DIR may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cap {
    /// WAL_MAX_BYTES is set.
    Configured,
    /// It is a share of the file system.
    Share,
}

/// One line for the operator (standard error in production).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A new, empty installation was made.
    Installed,
    /// The directory was of format 1, and is of format 2 from now on.
    FormatRaised,
    /// Long work goes on: what, how many units are done, of how many.
    Progress {
        /// What is being done, in a few words.
        what: &'static str,
        /// Units done.
        done: u64,
        /// Units in all.
        of: u64,
    },
    /// A file that no manifest names was removed: nothing in it counted.
    OrphanRemoved(String),
    /// A file that no manifest names stays where it is.
    StrayKept {
        /// The file.
        file: String,
        /// Why it is not removed.
        why: &'static str,
    },
    /// An unconfirmed tail of a log was cut off.
    TornTail {
        /// The log.
        log: LogId,
        /// The file.
        file: String,
        /// The last batch that is kept.
        last: Sequence,
        /// How many bytes that are not zero lie behind it.
        bytes: u64,
    },
    /// The log has two decisions for one key, alive at the same time; the first stands.
    TwoOutcomes {
        /// Upper half of the key's hash.
        key_high: u64,
        /// Second of the expiry clock of the decision that stands.
        first_decided_at: u32,
        /// Second of the expiry clock of the decision that is ignored.
        second_decided_at: u32,
    },
    /// By the wall clock, more time passed while the gateway was down than the expiry clock may take at once.
    TimeWithheld {
        /// Seconds withheld in all, until released.
        withheld_s: u64,
    },
    /// Recovery is over.
    Recovered {
        /// Live decisions that are in no slice.
        decisions: u64,
        /// Decisions in slices.
        sealed: u64,
        /// Bodies found that never got a disposition.
        unanswered: u64,
        /// How long it took in microseconds of monotonic time.
        took_us: u64,
        /// What was before.
        before: Before,
    },
    /// The decisions that are in no slice do not fit the declared memory: submits are answered 503 until they are in slices.
    DecisionsOverMemory {
        /// Bytes needed.
        needed_bytes: u64,
        /// Bytes declared.
        limit_bytes: u64,
    },
    /// What does not fit the declared memory is in slices, and submits are taken.
    DecisionsInSlices {
        /// Decisions in slices.
        decisions: u64,
    },
    /// Damage was met in a closed segment while serving: nothing from there on of that log is sealed or deleted.
    DamageWhileSealing {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// A look-up met a damaged block of a slice.
    SliceDamaged {
        /// The file.
        file: String,
        /// Number of the block: its offset divided by 4 KiB.
        block: u32,
    },
    /// A look-up met an entry of a slice that only a newer flk can answer with.
    SliceNewer {
        /// The file.
        file: String,
        /// Number of the block: its offset divided by 4 KiB.
        block: u32,
        /// The part of the entry that is unknown.
        part: &'static str,
        /// Its number.
        number: u8,
    },
    /// A file operation failed while serving; the keeper goes on and tries again later.
    FileTrouble {
        /// What was being done.
        doing: &'static str,
        /// The file.
        file: String,
        /// The error.
        error: String,
    },
    /// A slice was written.
    Sealed {
        /// Decisions in it.
        decisions: u64,
        /// Segments that it covers.
        segments: u32,
    },
    /// Segments were deleted.
    Deleted {
        /// How many.
        segments: u32,
        /// Bytes that their files took.
        bytes: u64,
    },
    /// A segment was packed.
    Packed {
        /// Bytes that its file took.
        bytes: u64,
        /// Bytes that it takes now.
        packed_bytes: u64,
    },
    /// There is no room for the log and nothing may be deleted, or there is room again.
    SpaceLow {
        /// What is short; nothing: there is room again.
        why: Option<Shortage>,
        /// Free bytes of the file system; where the cap is meant, bytes that WAL_DIR takes.
        bytes: u64,
        /// Free bytes below which submits are refused; where the cap is meant, the cap.
        limit_bytes: u64,
        /// Where the cap comes from.
        cap: Cap,
        /// A hold that keeps what else could be deleted.
        hold: Option<String>,
    },
    /// Segments were deleted although a hold was not done with them.
    HoldReleased {
        /// The hold.
        hold: String,
        /// The log.
        log: LogId,
        /// First sequence that is gone.
        from: Sequence,
        /// Last sequence that is gone.
        to: Sequence,
        /// Why it was let go of.
        why: LetGo,
    },
    /// So many segments are kept that the oldest are deleted before their time.
    TooManySegments {
        /// How many.
        segments: u64,
    },
    /// Filters and indexes of slices take more memory than there is for them.
    SlicesTooLarge {
        /// Bytes that they take.
        bytes: u64,
        /// Bytes that they may take.
        limit_bytes: u64,
        /// Whether tables of this size were asked for.
        tables_are_asked_for: bool,
    },
    /// Tables are smaller than was planned, since slices need the memory.
    TablesSmaller {
        /// Bytes that filters and indexes of slices take.
        slices_bytes: u64,
        /// Bytes that the tables may take.
        bytes: u64,
        /// Bytes that they were to have.
        planned_bytes: u64,
    },
    /// A quarantine is about to give this up.
    GivingUp(String),
    /// Connections were closed to make room for new ones.
    Crowded {
        /// How many since the last line.
        closed_count: u64,
    },
    /// Clients speak another protocol than HTTP/1 to the port.
    Foreign {
        /// What they were answered: one of [`Problem::FOREIGN`].
        problem: Problem,
        /// How many connections since the last line.
        connections_count: u64,
    },
    /// Connections of trusted proxies ended because of what stood in front of them.
    ProxyFault {
        /// What was wrong.
        fault: ProxyFault,
        /// How many connections since the last line.
        connections_count: u64,
    },
    /// A graceful stop began.
    Draining,
}

impl fmt::Display for Notice {
    #[rustfmt::skip] // a table
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Installed => out.write_str("new installation made"),
            Notice::FormatRaised => out.write_str(
                "the log directory was of format 1 and is of format 2 from now on: flk 0.1 refuses it, a backup of before is the only way back",
            ),
            Notice::Progress { what, done, of } => write!(out, "{what}: {done} of {of}"),
            Notice::OrphanRemoved(file) => write!(out,
                "{file}: left over from a start or a deletion that was cut short; nothing in it counts; removed"),
            Notice::StrayKept { file, why } => write!(out,
                "{file}: not named by the manifest, and {why}; it is not used: move it out of WAL_DIR"),
            Notice::TornTail { log, file, last, bytes } => write!(out,
                "{file}: log {log} ends after {last}; {bytes} bytes of an unconfirmed write behind it were cut off"),
            Notice::TwoOutcomes { key_high, first_decided_at, second_decided_at } => write!(out,
                "two outcomes alive for key {key_high:016x}…: decided at {first_decided_at} s (stands) and at {second_decided_at} s (ignored); please report this"),
            Notice::TimeWithheld { withheld_s } => write!(out,
                "{withheld_s} s of time passed by the wall clock are withheld from expiry; if that time is real, `flk wal release-clock` lets it count"),
            Notice::Recovered { decisions, sealed, unanswered, took_us, before } => recovered(out, *decisions, *sealed, *unanswered, took_us / 1000, *before),
            Notice::DecisionsOverMemory { needed_bytes, limit_bytes } => write!(out,
                "live decisions that are in no slice need a DEDUP_MEMORY_MAX of {needed_bytes} bytes, and it is {limit_bytes}: submits are answered 503 until they are in slices; with that much a start admits at once"),
            Notice::DecisionsInSlices { decisions } => write!(out,
                "submits are admitted: all decisions found at the start are in slices now, {decisions} with those that were there, and read from there"),
            Notice::DamageWhileSealing { file, what } => write!(out,
                "{file}: damaged ({what}); nothing from there on of its log is sealed or deleted; see `flk wal verify`"),
            Notice::SliceDamaged { file, block } => write!(out,
                "{file}: block {block} is damaged: submits of ids that may be in it are answered 503 until those ids expire; a start looks at it only if one of them is in the log again; only a backup has what it held"),
            Notice::SliceNewer { file, block, part, number } => write!(out,
                "{file}: an entry in block {block} has {part} {number}, which this flk does not know: submits of its id are answered 503; use the flk that wrote it or a later one"),
            Notice::FileTrouble { doing, file, error } => write!(out, "{doing} {file}: {error}; trying again later"),
            Notice::Sealed { decisions, segments } => write!(out,
                "sealed {} of {}", counted(*decisions, "decision"), counted((*segments).into(), "segment")),
            Notice::Deleted { segments, bytes } => write!(out,
                "deleted {}, {}", counted((*segments).into(), "segment"), counted(*bytes, "byte")),
            Notice::Packed { bytes, packed_bytes } => write!(out,
                "packed a segment of {} into {packed_bytes}", counted(*bytes, "byte")),
            Notice::SpaceLow { why: Some(why), bytes, limit_bytes, cap, hold } => {
                space_low(out, *why, *bytes, *limit_bytes, *cap)?;
                match hold {
                    None => Ok(()),
                    Some(hold) => write!(out, "; hold {hold} keeps segments that could be deleted: see `flk wal hold list`, let its reader go on, drop it, or set WAL_HOLD_LIMIT=release"),
                }
            }
            Notice::HoldReleased { hold, log, from, to, why } => write!(out,
                "hold {hold} lost sequences {from} to {to} of log {log}, which were deleted: {}; `flk wal hold list` lists what it lost",
                let_go(*why)),
            Notice::SpaceLow { bytes, .. } => write!(out, "room for the log again ({bytes} bytes free)"),
            Notice::TooManySegments { segments } => write!(out,
                "{segments} log segments fill the manifest: the oldest are deleted before they reach WAL_MAX_AGE; larger WAL_SEGMENT_BYTES or DEDUP_MEMORY_MAX make fewer of them"),
            Notice::SlicesTooLarge { bytes, limit_bytes, tables_are_asked_for } => write!(out,
                "filters and indexes of slices take {bytes} bytes of memory, and {limit_bytes} are left for them: the kernel may end the process, and the next start {}; allow more memory, lower DEDUP_MEMORY_MAX or use fewer shards (FLK_CORES)",
                match tables_are_asked_for { true => "refuses this DEDUP_MEMORY_MAX", false => "makes the tables smaller" }),
            Notice::TablesSmaller { slices_bytes, bytes, planned_bytes } => write!(out,
                "filters and indexes of slices take {slices_bytes} bytes of memory: the dedup tables may take {bytes} instead of {planned_bytes}; allow more memory, or set DEDUP_MEMORY_MAX"),
            Notice::GivingUp(plan) => write!(out, "giving up what is damaged: {plan}"),
            Notice::Crowded { closed_count } => write!(out,
                "all connection slots are taken: {} closed to make room, idle or slow (limit: flk_connections_max; closed in all: flk_connections_evicted_total)", counted(*closed_count, "connection")),
            Notice::Foreign { problem, connections_count } => foreign(out, *problem, *connections_count),
            Notice::ProxyFault { fault, connections_count } => proxy_fault(out, *fault, *connections_count),
            Notice::Draining => out.write_str("draining"),
        }
    }
}

/// How a start went.
fn recovered(
    out: &mut fmt::Formatter<'_>,
    decisions: u64,
    sealed: u64,
    unanswered: u64,
    took_ms: u64,
    before: Before,
) -> fmt::Result {
    let stop = match before {
        Before::Nothing => {
            return write!(
                out,
                "first start of a new installation: nothing to recover, ready in {took_ms} ms"
            );
        }
        Before::CleanStop => "a clean",
        Before::UncleanStop => "an unclean",
    };
    let sealed = match sealed {
        0 => String::new(),
        1 => ", 1 more is in slices".to_owned(),
        _ => format!(", {sealed} more are in slices"),
    };
    let (decisions, were) = (
        counted(decisions, "live decision"),
        if unanswered == 1 { "was" } else { "were" },
    );
    let bodies = match unanswered {
        1 => "1 body".to_owned(),
        _ => format!("{unanswered} bodies"),
    };
    write!(
        out,
        "recovered {decisions} in {took_ms} ms after {stop} stop{sealed}; {bodies} {were} never answered"
    )
}

/// Why a hold did not keep what it was not done with.
fn let_go(why: LetGo) -> &'static str {
    match why {
        LetGo::Bytes => "it kept more than its bytes_max from being deleted",
        LetGo::Age => "it has not moved for longer than its age_max_s",
        LetGo::Room => "the room was needed",
    }
}

/// What is short, and what an operator can do about it.
fn space_low(
    out: &mut fmt::Formatter<'_>,
    why: Shortage,
    bytes: u64,
    limit_bytes: u64,
    cap: Cap,
) -> fmt::Result {
    match why {
        Shortage::Disk => write!(
            out,
            "disk nearly full ({bytes} bytes free, {limit_bytes} kept in reserve) and nothing may be deleted: submits are answered 503; make room on the file system, lower WAL_MAX_AGE or release pins"
        ),
        Shortage::Cap if cap == Cap::Configured => write!(
            out,
            "WAL_DIR takes {bytes} of the {limit_bytes} bytes that WAL_MAX_BYTES allows and nothing may be deleted: submits are answered 503; raise WAL_MAX_BYTES or release pins"
        ),
        Shortage::Cap => write!(
            out,
            "WAL_DIR takes {bytes} of the {limit_bytes} bytes that it may take, 80 % of the file system, and nothing may be deleted: submits are answered 503; set WAL_MAX_BYTES, enlarge the file system or release pins"
        ),
        Shortage::Segments => out.write_str("the manifest has no room for another log segment and none may be deleted: submits are answered 503; release pins, look for damaged logs with `flk wal verify`, and see docs/operations.md, too many segments"),
        Shortage::Descriptors => out.write_str("the process has as many files open as it may, so the log gets no further segment: submits are answered 503; raise its limit of open files (LimitNOFILE of the unit, or `prlimit --nofile` while it runs), and look at fs.file-max"),
        Shortage::Refused => write!(
            out,
            "the file system refuses new files in WAL_DIR ({bytes} bytes are free, so it is not full): submits are answered 503; look for a read-only mount, for `chattr +i` or `+a` (lsattr -d), and at the owner and mode of WAL_DIR"
        ),
    }
}

/// Which protocol it is, and where to look.
fn foreign(out: &mut fmt::Formatter<'_>, problem: Problem, connections_count: u64) -> fmt::Result {
    let protocol = match problem {
        Problem::TlsOnPlainPort => "TLS",
        Problem::Http2OnPlainPort => "HTTP/2",
        Problem::ProxyProtocol => "the PROXY protocol",
        _ => "another protocol",
    };
    let connections = counted(connections_count, "connection");
    let (status, code, detail) = (problem.status(), problem.code(), problem.detail());
    write!(
        out,
        "a client speaks {protocol} to this port, which speaks plain HTTP/1: {connections} answered {status} {code}. "
    )?;
    match (problem, detail.strip_suffix('.')) {
        (Problem::ProxyProtocol, Some(detail)) => write!(
            out,
            "{detail}, or let it be read: PROXY_PROTOCOL and TRUSTED_PROXIES."
        ),
        _ => out.write_str(detail),
    }
}

/// What was missed, and where to look.
fn proxy_fault(
    out: &mut fmt::Formatter<'_>,
    fault: ProxyFault,
    connections_count: u64,
) -> fmt::Result {
    let connections = counted(connections_count, "connection");
    let (with, remedy) = match fault {
        ProxyFault::Missing => (
            "without a",
            "Turn it on there, or set PROXY_PROTOCOL=optional.",
        ),
        ProxyFault::Malformed => (
            "with a malformed",
            "Look at what this upstream sends first.",
        ),
    };
    write!(
        out,
        "{connections} of trusted proxies {with} header of the PROXY protocol ended unanswered. {remedy}"
    )
}

/// A number of things, in the plural where it has to be.
pub(super) fn counted(count: u64, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        _ if thing.ends_with("ch") => format!("{count} {thing}es"),
        _ => format!("{count} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_all_else_is_plural() {
        for (segments, bytes, expect) in [
            (0, 0, "deleted 0 segments, 0 bytes"),
            (1, 4096, "deleted 1 segment, 4096 bytes"),
            (2, 1, "deleted 2 segments, 1 byte"),
        ] {
            let notice = Notice::Deleted { segments, bytes };
            assert_eq!(notice.to_string(), expect);
        }
        let sealed = |decisions, segments| {
            Notice::Sealed {
                decisions,
                segments,
            }
            .to_string()
        };
        assert_eq!(sealed(1, 1), "sealed 1 decision of 1 segment");
        assert_eq!(counted(1, "batch"), "1 batch");
        assert_eq!(counted(0, "batch"), "0 batches");
        assert_eq!(sealed(7, 3), "sealed 7 decisions of 3 segments");
    }
}
