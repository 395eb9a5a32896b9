//! A judged record as a table: claimed and recomputed numbers, and one sentence with the reason.

use crate::output::{number_text, printable};
use crate::pcs::verdict::{Judged, Verdict};
use flk_contract::signals::{budget::budget, regime::regime};
use flk_contract::{OwnedRecord, Params, Reason, SlopeCache};
use std::fmt::Write as _;

/// The numbers that the claims and the counts imply, whatever the verdict is.
pub(crate) struct Recomputed {
    pub(crate) d_hat: f64,
    pub(crate) regime: &'static str,
    pub(crate) budget: f64,
}

impl Recomputed {
    pub(crate) fn of(record: &OwnedRecord, params: &Params) -> Self {
        let (d_hat, coh_star) = (record.d_hat, record.coh_star);
        Self {
            d_hat: SlopeCache::new().d_hat(&record.scales, &record.n_j),
            regime: regime(d_hat, coh_star, params).as_str(),
            budget: budget(d_hat, record.r, coh_star, params),
        }
    }
}

/// Several lines: the first identifies the record, the last has the verdict.
pub(crate) fn table(line: u64, judged: &Judged, params: &Params) -> String {
    let mut out = String::new();
    // writing to a string cannot fail
    let _ = write_table(&mut out, line, judged, params);
    out
}

fn write_table(out: &mut String, line: u64, judged: &Judged, params: &Params) -> std::fmt::Result {
    match &judged.record {
        None => writeln!(out, "line {line}: not a record")?,
        Some(record) => {
            let id = printable(&record.pcs_id);
            let shard = printable(&record.shard_id);
            let epoch = record.epoch;
            writeln!(
                out,
                "line {line}: pcs_id {id}, shard {shard}, epoch {epoch}"
            )?;
            write_signature(out, judged)?;
            write_numbers(out, judged, record, params)?;
        }
    }
    write_verdict(out, judged, params)
}

fn write_signature(out: &mut String, judged: &Judged) -> std::fmt::Result {
    match (&judged.signed_by, judged.status()) {
        (Some((key, scheme)), _) => writeln!(out, "  signature  valid, by key {key} ({scheme})"),
        (None, 401) => writeln!(out, "  signature  not valid"),
        (None, _) => writeln!(out, "  signature  not checked: signing is off"),
    }
}

fn write_numbers(
    out: &mut String,
    judged: &Judged,
    record: &OwnedRecord,
    params: &Params,
) -> std::fmt::Result {
    let again = Recomputed::of(record, params);
    let broken = match &judged.verdict {
        Verdict::Outcome(outcome) => outcome.escalated,
        Verdict::Refused { .. } => None,
    };
    let apart = |most: f64| format!("at most {} apart", number_text(most));
    let bounds = format!("from 0 to {}", number_text(1.0 + params.tol_coh));
    let degraded = if record.degraded { "true" } else { "false" };
    let d_hat = (number_text(record.d_hat), number_text(again.d_hat));
    let coh_star = number_text(record.coh_star);
    let regime = (record.regime.as_str(), again.regime);
    let budget = (number_text(record.budget), number_text(again.budget));

    let mut row =
        |name: &str, claimed: &str, recomputed: &str, rule: &str, reason: Option<Reason>| {
            let mark = if reason.is_some() && reason == broken {
                "  <- here"
            } else {
                ""
            };
            writeln!(
                out,
                "  {name:<10} {claimed:<20} {recomputed:<20} {rule}{mark}"
            )
        };
    row("", "claimed", "recomputed", "must be", None)?;
    let of = Some(Reason::DHatOutOfTolerance);
    row("D_hat", &d_hat.0, &d_hat.1, &apart(params.tol_d), of)?;
    row(
        "coh_star",
        &coh_star,
        "-",
        &bounds,
        Some(Reason::CohStarOutOfBounds),
    )?;
    row(
        "regime",
        regime.0,
        regime.1,
        "the same",
        Some(Reason::RegimeMismatch),
    )?;
    let of = Some(Reason::BudgetDeviation);
    row(
        "budget",
        &budget.0,
        &budget.1,
        &apart(params.tol_budget),
        of,
    )?;
    row("degraded", degraded, "-", "false", Some(Reason::Degraded))
}

fn write_verdict(out: &mut String, judged: &Judged, params: &Params) -> std::fmt::Result {
    let (word, status) = (judged.word(), judged.status());
    match &judged.verdict {
        Verdict::Outcome(outcome) => match outcome.escalated {
            None => writeln!(
                out,
                "  {word} ({status}) under parameters {}",
                params.version
            ),
            Some(reason) => writeln!(
                out,
                "  {word} ({status}, {}): {}",
                reason.as_str(),
                sentence(reason)
            ),
        },
        Verdict::Refused { problem, why, hint } => {
            writeln!(out, "  {word} ({status}, {}): {why}", problem.code())?;
            match hint {
                Some(hint) => writeln!(out, "  hint: {hint}"),
                None => Ok(()),
            }
        }
    }
}

const fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::DHatOutOfTolerance => "the claimed D_hat does not follow from scales and N_j",
        Reason::CohStarOutOfBounds => "coh_star is not a fraction",
        Reason::RegimeMismatch => "the claimed D_hat and coh_star imply another regime",
        Reason::BudgetDeviation => "the claimed D_hat, r and coh_star imply another budget",
        Reason::Degraded => "the agent says that it worked with reduced means",
    }
}
