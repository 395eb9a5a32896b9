//! The log line of each notice: its event, with the numbers and names that programs filter by. It says nothing itself.

use super::{Before, Notice};
use crate::http::ProxyFault;
use crate::logs::Line;
use crate::logs::events as say;
use crate::mesh::keeper::Shortage;

impl Notice {
    /// The line for the operator.
    #[rustfmt::skip] // a table
    pub fn line(self) -> Line {
        let text = self.to_string();
        match self {
            Notice::Installed => Line::new(say::Installed {}, text),
            Notice::FormatRaised => Line::new(say::FormatRaised {}, text),
            Notice::Progress { what, done, of } => Line::new(
                say::Progress { what, done_count: done, units_count: of }, text),
            Notice::OrphanRemoved(file) => Line::new(say::OrphanRemoved { file }, text),
            Notice::StrayKept { file, .. } => Line::new(say::StrayKept { file }, text),
            Notice::TornTail { log, file, bytes, .. } => Line::new(
                say::TornTail { log: log.to_string(), file, torn_bytes: bytes }, text),
            Notice::TwoOutcomes { key_high, first_decided_at, second_decided_at } => Line::new(
                say::TwoOutcomes { key_hash: format!("{key_high:016x}"), first_decided_at_s: first_decided_at, second_decided_at_s: second_decided_at }, text),
            Notice::TimeWithheld { withheld_s } => Line::new(say::TimeWithheld { withheld_s }, text),
            Notice::Recovered { decisions, sealed, unanswered, took_us, before } => Line::new(
                say::Recovered { decisions_count: decisions, sealed_count: sealed, unanswered_count: unanswered, took_ms: took_us / 1000, before: before.name() }, text),
            Notice::DecisionsOverMemory { needed_bytes, limit_bytes } => Line::new(
                say::DecisionsOverMemory { needed_bytes, memory_bytes_max: limit_bytes }, text),
            Notice::DecisionsInSlices { decisions } => Line::new(
                say::DecisionsInSlices { decisions_count: decisions }, text),
            Notice::DamageWhileSealing { file, .. } => Line::new(say::SegmentDamaged { file }, text),
            Notice::SliceDamaged { file, block } => Line::new(say::SliceDamaged { file, block_number: block }, text),
            Notice::SliceNewer { file, block, .. } => Line::new(say::SliceNewer { file, block_number: block }, text),
            Notice::FileTrouble { doing, file, error } => Line::new(say::FileTrouble { doing, file, error }, text),
            Notice::Sealed { decisions, segments } => Line::new(
                say::Sealed { decisions_count: decisions, segments_count: segments }, text),
            Notice::Deleted { segments, bytes } => Line::new(
                say::SegmentsDeleted { segments_count: segments, freed_bytes: bytes }, text),
            Notice::Packed { bytes, packed_bytes } => Line::new(
                say::SegmentPacked { segment_bytes: bytes, packed_bytes }, text),
            Notice::SpaceLow { why: Some(why), bytes, limit_bytes, hold, .. } => Line::new(
                say::SpaceLow { shortage: shortage(why), bytes, limit_bytes, hold: hold.unwrap_or_default() }, text),
            Notice::HoldReleased { hold, log, from, to, .. } => Line::new(
                say::HoldReleased { hold, log: log.to_string(), from: from.to_string(), to: to.to_string() }, text),
            Notice::SpaceLow { why: None, bytes, .. } => Line::new(say::SpaceFound { bytes }, text),
            Notice::TooManySegments { segments } => Line::new(
                say::SegmentsTooMany { segments_count: segments }, text),
            Notice::SlicesTooLarge { bytes, limit_bytes, .. } => Line::new(
                say::SlicesTooLarge { bytes, bytes_max: limit_bytes }, text),
            Notice::TablesSmaller { bytes, planned_bytes, .. } => Line::new(
                say::TablesSmaller { bytes, planned_bytes }, text),
            Notice::GivingUp(_) => Line::new(say::GivingUp {}, text),
            Notice::Crowded { closed_count } => Line::new(say::Crowded { closed_count }, text),
            Notice::Foreign { problem, connections_count } => Line::new(
                say::ForeignProtocol { code: problem.code(), status: problem.status(), connections_count }, text),
            Notice::ProxyFault { fault, connections_count } => Line::new(
                say::ProxyFault { fault: fault_name(fault), connections_count }, text),
            Notice::Draining => Line::new(say::Draining {}, text),
        }
    }
}

impl Before {
    fn name(self) -> &'static str {
        match self {
            Before::Nothing => "nothing",
            Before::CleanStop => "clean_stop",
            Before::UncleanStop => "unclean_stop",
        }
    }
}

fn shortage(why: Shortage) -> &'static str {
    match why {
        Shortage::Disk => "disk",
        Shortage::Cap => "cap",
        Shortage::Refused => "refused",
        Shortage::Descriptors => "descriptors",
        Shortage::Segments => "segments",
    }
}

fn fault_name(fault: ProxyFault) -> &'static str {
    match fault {
        ProxyFault::Missing => "missing",
        ProxyFault::Malformed => "malformed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Format;

    #[test]
    fn a_notice_has_the_same_words_in_both_formats_and_its_numbers_as_fields() {
        let notice = Notice::Sealed {
            decisions: 7,
            segments: 3,
        };
        let words = notice.to_string();
        let line = notice.line();
        assert_eq!(line.render(Format::Text, 0), format!("flk: {words}"));
        let json = line.render(Format::Json, 0);
        let fields = r#""decisions_count":7,"segments_count":3}"#;
        assert!(json.ends_with(fields), "{json}");
        assert!(json.contains(&words), "{json}");
    }
}
