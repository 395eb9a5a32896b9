//! Holds as one JSON object, for the command that lists them. Offline, what only a serving keeper knows is left out.

use crate::keeper::holds::keep::done_with;
use crate::wal::manifest::{Hold, LogEntry, Manifest, ReleasedRange};
use std::collections::BTreeMap;

/// The holds of a directory that no gateway serves from.
pub fn holds_json(manifest: &Manifest) -> String {
    holds_json_with(manifest, manifest.clock.expiry_s, None)
}

/// The holds at this second of the expiry clock, with what each of them keeps from being deleted, where that is known.
pub(super) fn holds_json_with(
    manifest: &Manifest,
    now_s: u32,
    kept_bytes: Option<&BTreeMap<String, u64>>,
) -> String {
    let sections = &manifest.sections;
    let one = |hold: &Hold| {
        let kept_bytes = kept_bytes.map(|kept| kept.get(&hold.name).copied().unwrap_or(0));
        let bytes_max = Some(hold.bytes_max).filter(|bytes| *bytes != u64::MAX);
        let released = sections.released.iter().filter(|it| it.hold == hold.name);
        let positions = hold.done.iter();
        let positions = positions.map(|it| format!("\"{}:{}\"", it.log, it.upto.counter()));
        format!(
            "{{\"name\":{},\"owner\":{},\"bytes_max\":{},\"age_max_s\":{},\"made_at_s\":{},\"moved_at_s\":{},\"age_s\":{},\
             \"behind_bytes\":{},\"kept_bytes\":{},\"done\":[{}],\"released\":[{}]}}",
            quoted(&hold.name),
            quoted(&hold.owner),
            or_null(bytes_max),
            hold.age_max_s,
            hold.made_at_s,
            hold.moved_at_s,
            now_s.saturating_sub(hold.moved_at_s),
            behind_bytes(manifest, hold),
            or_null(kept_bytes),
            positions.collect::<Vec<_>>().join(","),
            released.map(range).collect::<Vec<_>>().join(","),
        )
    };
    let holds: Vec<String> = sections.holds.iter().map(one).collect();
    format!("{{\"holds\":[{}]}}", holds.join(","))
}

/// Bytes of closed segments that a hold is not done with.
pub(super) fn behind_bytes(manifest: &Manifest, hold: &Hold) -> u64 {
    let of_log = |log: &LogEntry| -> u64 {
        let done = done_with(hold, log.id);
        let states = log.segments.iter().map(|entry| entry.state);
        let behind = states.filter(|it| it.extent().is_some_and(|extent| extent.last > done));
        behind.filter_map(|it| it.file_bytes()).sum()
    };
    manifest.logs.iter().map(of_log).sum()
}

fn range(range: &ReleasedRange) -> String {
    let (log, from, to) = (range.log, range.from.counter(), range.to.counter());
    format!(
        "{{\"from\":\"{log}:{from}\",\"to\":\"{log}:{to}\",\"at_s\":{}}}",
        range.at_s
    )
}

fn or_null(number: Option<u64>) -> String {
    number.map_or("null".to_string(), |number| number.to_string())
}

/// A text of visible ASCII and spaces as JSON.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
