//! Rows, segments and ends of logs as text and as JSON.

use crate::output::printable;
use crate::wal::row::Row;
use crate::wal::survey::Survey;
use flk_dataplane::wal::files::NumberedFile;
use flk_dataplane::wal::manifest::{LogEntry, SegmentEntry, SegmentState};
use flk_dataplane::wal::scan::{LogEnd, LogVerdict};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

/// Wall-clock time of a reading.
pub(crate) fn time_text(wall_us: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_micros(wall_us)).to_string()
}

/// File name of a segment.
pub(super) fn file_name(segment: &SegmentEntry) -> String {
    NumberedFile::Segment(segment.file).to_string()
}

const fn state_word(state: &SegmentState) -> &'static str {
    match state {
        SegmentState::Next => "next",
        SegmentState::Open => "open",
        SegmentState::Closed(_) => "closed",
        SegmentState::Packed(..) => "packed",
        SegmentState::Last(_) => "last",
    }
}

/// A segment as the manifest states it.
pub(super) fn segment_line(
    log: &LogEntry,
    segment: &SegmentEntry,
    file_bytes: Option<u64>,
) -> String {
    let name = file_name(segment);
    let extent = match segment.state.extent() {
        Some(it) if it.first <= it.last => {
            format!(
                "batches {} to {}, {} bytes in use",
                it.first, it.last, it.bytes
            )
        }
        Some(_) => "no batches".to_owned(),
        None if segment.state == SegmentState::Next => {
            "named ahead, perhaps not used yet".to_owned()
        }
        None => "in use, extent not stated yet".to_owned(),
    };
    let file = file_bytes.map_or(
        "THE FILE IS MISSING: a gateway will not start".to_owned(),
        |bytes| format!("{bytes} bytes long"),
    );
    let (id, ordinal, state) = (log.id, segment.ordinal, state_word(&segment.state));
    format!("{name}  log {id} #{ordinal}  {state:<6}  {extent}, {file}")
}

/// The same as JSON.
pub(super) fn segment_json(
    log: &LogEntry,
    segment: &SegmentEntry,
    file_bytes: Option<u64>,
) -> Value {
    let extent = segment.state.extent();
    json!({
        "type": "segment",
        "file": file_name(segment),
        "log": log.id.to_string(),
        "ordinal": segment.ordinal,
        "state": state_word(&segment.state),
        "first": extent.map(|it| it.first.to_string()),
        "last": extent.map(|it| it.last.to_string()),
        "bytes_in_use": extent.map(|it| it.bytes),
        "file_bytes": file_bytes,
    })
}

/// A body and its disposition.
pub(super) fn row_line(row: &Row) -> String {
    let place = format!("{}.{}", row.place.sequence, row.place.index);
    let status = row
        .disposed
        .status()
        .map_or("---".to_owned(), |it| it.to_string());
    let why = row
        .disposed
        .why()
        .map_or(String::new(), |why| format!(" ({why})"));
    let pcs_id = row
        .pcs_id
        .as_ref()
        .map_or("-".to_owned(), |id| printable(id));
    let line = row
        .line
        .map_or(String::new(), |line| format!("  line {line}"));
    format!(
        "log {} {place:<10} {}  {}  {:>6} B  {status} {}{why}  {pcs_id}{line}",
        row.log,
        time_text(row.wall_us),
        row.tenant,
        row.bytes,
        row.disposed.word(),
    )
}

/// The same as JSON.
pub(super) fn row_json(row: &Row) -> Value {
    let mut value = json!({
        "type": "record",
        "log": row.log.to_string(),
        "sequence": row.place.sequence.to_string(),
        "index": row.place.index,
        "line": row.line,
        "received": time_text(row.wall_us),
        "tenant": row.tenant,
        "bytes": row.bytes,
        "disposition": row.disposed.word(),
        "status": row.disposed.status(),
        "why": row.disposed.why(),
        "pcs_id": row.pcs_id,
    });
    if let Some(body) = &row.body {
        match std::str::from_utf8(body) {
            Ok(text) => value["body"] = json!(text),
            Err(_) => value["body_hex"] = json!(hex(body)),
        }
    }
    value
}

/// A body on one line, without control characters.
pub(crate) fn body_line(body: &[u8]) -> String {
    let mut line = String::from("    ");
    for character in String::from_utf8_lossy(body).chars() {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

/// Lowercase hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How a log ends.
pub(super) fn end_text(survey: &Survey<'_>, end: &LogEnd) -> String {
    let upto = match end.batches {
        0 => "no batches".to_owned(),
        1 => format!("1 batch, {}", end.last),
        count => format!("{count} batches up to {}", end.last),
    };
    match &end.verdict {
        LogVerdict::Whole | LogVerdict::TornTail { .. } if survey.is_live() && end.batches == 0 => {
            "no batches yet; a gateway has it open".to_owned()
        }
        LogVerdict::Whole | LogVerdict::TornTail { .. } if survey.is_live() => {
            format!("{upto} whole, and it is being written")
        }
        LogVerdict::Whole => upto,
        LogVerdict::TornTail { .. } => format!(
            "{}; {upto} whole; the next start cuts it, and nothing acknowledged is lost",
            end.verdict
        ),
        LogVerdict::Damage(damage) => format!("damage in {damage}; {upto} whole before that"),
        verdict => format!("{verdict}; {upto} whole before that"),
    }
}
