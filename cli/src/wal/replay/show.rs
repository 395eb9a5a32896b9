//! What a replay found, as a table and as JSON: differences by tenant, reason and regime, and what was not compared. Ids are
//! shown where they are asked for; nothing else of a record is.

use super::tally::{Cell, Comparison, Tally, Was, Would, compare};
use crate::exit::Failure;
use crate::output::{Output, counted, printable};
use crate::wal::stored::disposed::{DecidedAs, Disposed, problem_word};
use flk_dataplane::wal::name::LogId;
use flk_dataplane::wal::tail::{Missing, WhyMissing};
use serde_json::{Value, json};

/// A table of the differences, and sums.
pub(super) fn text(
    tally: &Tally,
    missing: &[(LogId, Missing)],
    output: &mut Output,
) -> Result<(), Failure> {
    let shown = tally.cells.iter();
    let shown: Vec<_> = shown
        .filter(|((_, was, would), _)| compare(*was, *would) != Comparison::Same)
        .map(|((tenant, was, would), cell)| (tenant, was_text(*was), would_text(*would), cell))
        .collect();
    let width = |title: &str, of: &dyn Fn(usize) -> usize| {
        (0..shown.len()).map(of).max().unwrap_or(0).max(title.len())
    };
    let tenant = width("tenant", &|at| shown[at].0.len());
    let was = width("stored", &|at| shown[at].1.len());
    let would = width("would be", &|at| shown[at].2.len());
    if !shown.is_empty() {
        let line = format!(
            "{:tenant$}  {:was$}  {:would$}  {:>10}",
            "tenant", "stored", "would be", "bodies"
        );
        output.line(line)?;
    }
    for (name, is, now, cell) in &shown {
        let count = cell.count;
        output.line(format!(
            "{name:tenant$}  {is:was$}  {now:would$}  {count:>10}"
        ))?;
        for example in &cell.examples {
            output.line(format!("    {}", printable(example)))?;
        }
    }
    for (log, it) in missing {
        output.line(missing_text(*log, it))?;
    }
    output.line(sums(tally))
}

fn sums(tally: &Tally) -> String {
    let totals = tally.totals();
    let bodies = counted(totals.bodies, "body");
    let mut text = format!(
        "{bodies}: {} as stored, {} would differ",
        totals.same, totals.differ
    );
    let mut more = |count: u64, what: &str| {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    };
    more(totals.unanswered, "without an outcome");
    more(totals.erased, "erased");
    more(
        totals.other_numbers,
        "of those as stored with other recomputed numbers",
    );
    text
}

/// One JSON object for each row, as stored or not, and one with the sums.
pub(super) fn json(
    tally: &Tally,
    missing: &[(LogId, Missing)],
    output: &mut Output,
) -> Result<(), Failure> {
    for ((tenant, was, would), cell) in &tally.cells {
        output.line(row_json(tenant, *was, *would, cell).to_string())?;
    }
    for (log, it) in missing {
        let why = why_missing(it.why);
        let value = json!({"type": "missing", "log": log.to_string(), "first": it.from.to_string(),
            "last": it.to.to_string(), "why": why});
        output.line(value.to_string())?;
    }
    let totals = tally.totals();
    let value = json!({
        "type": "total",
        "bodies": totals.bodies,
        "same": totals.same,
        "differ": totals.differ,
        "without_outcome": totals.unanswered,
        "erased": totals.erased,
        "other_numbers": totals.other_numbers,
    });
    output.line(value.to_string())
}

fn row_json(tenant: &str, was: Was, would: Would, cell: &Cell) -> Value {
    let differs = match compare(was, would) {
        Comparison::Same => json!(false),
        Comparison::Differs => json!(true),
        Comparison::Nothing => Value::Null,
    };
    json!({
        "type": "row",
        "tenant": tenant,
        "stored": was_json(was),
        "would_be": would_json(would),
        "differs": differs,
        "bodies": cell.count,
        "other_numbers": cell.other_numbers,
        "examples": cell.examples,
    })
}

fn was_json(was: Was) -> Value {
    let first = was
        .first
        .map(|first| verdict_json(Disposed::Decided(first).word(), first));
    match was.disposed {
        Disposed::Decided(verdict) => verdict_json(was.disposed.word(), verdict),
        Disposed::Refused(status, code) => refused_json(status, code),
        other => json!({"disposition": other.word(), "first": first}),
    }
}

fn would_json(would: Would) -> Value {
    match would {
        Would::Decided(verdict) => verdict_json(Disposed::Decided(verdict).word(), verdict),
        Would::Refused(status, code) => refused_json(status, code),
        Would::Duplicate => json!({"disposition": "duplicate"}),
        Would::Conflict => json!({"disposition": "conflict"}),
        Would::Erased => json!({"disposition": "erased"}),
    }
}

fn verdict_json(word: &str, verdict: DecidedAs) -> Value {
    json!({
        "disposition": word,
        "status": verdict.status(),
        "reason": verdict.reason_word(),
        "regime": verdict.regime_word(),
    })
}

fn refused_json(status: u16, code: u8) -> Value {
    json!({"disposition": "refused", "status": status, "code": problem_word(code)})
}

fn was_text(was: Was) -> String {
    match (was.disposed, was.first) {
        (Disposed::Decided(verdict), _) => verdict_text(verdict),
        (Disposed::Refused(status, code), _) => refused_text(status, code),
        (other, Some(first)) => format!("{} of {}", other.word(), verdict_text(first)),
        (other, None) => other.word().to_owned(),
    }
}

fn would_text(would: Would) -> String {
    match would {
        Would::Decided(verdict) => verdict_text(verdict),
        Would::Refused(status, code) => refused_text(status, code),
        Would::Duplicate => "duplicate".to_owned(),
        Would::Conflict => "conflict".to_owned(),
        Would::Erased => "erased, not judged".to_owned(),
    }
}

fn verdict_text(verdict: DecidedAs) -> String {
    let regime = verdict.regime_word();
    match verdict.reason_word() {
        None => format!("200 accepted, {regime}"),
        Some(reason) => format!("202 {reason}, {regime}"),
    }
}

fn refused_text(status: u16, code: u8) -> String {
    format!("{status} {}", problem_word(code))
}

fn missing_text(log: LogId, it: &Missing) -> String {
    let why = why_missing(it.why);
    format!("log {log}: batches {} to {} were {why}", it.from, it.to)
}

/// Why batches are missing, in words.
pub(crate) const fn why_missing(why: WhyMissing) -> &'static str {
    match why {
        WhyMissing::GivenUp => "given up",
        WhyMissing::Deleted => "deleted",
    }
}
