//! The verdict on an authentic record: a pure function of the record and one versioned set of parameters.
//! It never reads `sent_at`, `attempt` or a clock, and never changes a tolerance.

use crate::{
    params::{Params, ParamsVersion},
    record::{Record, Regime},
    signals::{budget::budget, regime::regime, theil_sen::SlopeCache},
};

/// Why a record is escalated: the first rule that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Claimed and recomputed D̂ differ by more than the tolerance.
    DHatOutOfTolerance,
    /// Coherence is not a fraction.
    CohStarOutOfBounds,
    /// The claims imply another regime.
    RegimeMismatch,
    /// Claimed and recomputed budget differ by more than the tolerance.
    BudgetDeviation,
    /// The agent states that it worked in a degraded mode.
    Degraded,
}

impl Reason {
    /// All reasons, in the order of the checks.
    pub const ALL: [Self; 5] = [
        Self::DHatOutOfTolerance,
        Self::CohStarOutOfBounds,
        Self::RegimeMismatch,
        Self::BudgetDeviation,
        Self::Degraded,
    ];

    /// The word used on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DHatOutOfTolerance => "d_hat_out_of_tolerance",
            Self::CohStarOutOfBounds => "coh_star_out_of_bounds",
            Self::RegimeMismatch => "regime_mismatch",
            Self::BudgetDeviation => "budget_deviation",
            Self::Degraded => "degraded",
        }
    }

    /// A number that never changes its meaning, for storage; never 0.
    pub const fn code(self) -> u8 {
        match self {
            Self::DHatOutOfTolerance => 1,
            Self::CohStarOutOfBounds => 2,
            Self::RegimeMismatch => 3,
            Self::BudgetDeviation => 4,
            Self::Degraded => 5,
        }
    }

    /// The reason of a stored number.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::DHatOutOfTolerance),
            2 => Some(Self::CohStarOutOfBounds),
            3 => Some(Self::RegimeMismatch),
            4 => Some(Self::BudgetDeviation),
            5 => Some(Self::Degraded),
            _ => None,
        }
    }
}

/// Reasons that later versions will give, by their numbers: a stored one of these was written by a newer version.
pub const RESERVED_REASONS: [(u8, &str); 4] = [
    (6, "counts_not_nested"),
    (7, "scale_out_of_range"),
    (8, "vrf_invalid"),
    (9, "flagged"),
];

/// The verdict, with claimed and recomputed numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The reason of an escalation; none if the record is accepted.
    pub escalated: Option<Reason>,
    /// As claimed, not rounded.
    pub d_hat: f64,
    /// Recomputed from scales and counts.
    pub recomputed_d_hat: f64,
    /// As claimed, not rounded.
    pub budget: f64,
    /// Recomputed from the claims.
    pub recomputed_budget: f64,
    /// Recomputed from the claims.
    pub regime: Regime,
    /// The parameter set that judged it.
    pub params_version: ParamsVersion,
}

impl Outcome {
    /// The HTTP status: 200 accepted, 202 escalated.
    pub const fn status(&self) -> u16 {
        match self.escalated {
            None => 200,
            Some(_) => 202,
        }
    }
}

/// Judges an authentic record.
pub fn judge(record: &Record<'_>, params: &Params, cache: &mut SlopeCache) -> Outcome {
    let recomputed_d_hat = cache.recompute(record);
    let regime = regime(record.d_hat, record.coh_star, params);
    let recomputed_budget = budget(record.d_hat, record.r, record.coh_star, params);
    Outcome {
        escalated: reason(record, params, recomputed_d_hat, regime, recomputed_budget),
        d_hat: record.d_hat,
        recomputed_d_hat,
        budget: record.budget,
        recomputed_budget,
        regime,
        params_version: params.version,
    }
}

fn reason(
    record: &Record<'_>,
    params: &Params,
    recomputed_d_hat: f64,
    regime: Regime,
    recomputed_budget: f64,
) -> Option<Reason> {
    if (record.d_hat - recomputed_d_hat).abs() > params.tol_d {
        return Some(Reason::DHatOutOfTolerance);
    }
    if !(0.0..=1.0 + params.tol_coh).contains(&record.coh_star) {
        return Some(Reason::CohStarOutOfBounds);
    }
    if record.regime != regime {
        return Some(Reason::RegimeMismatch);
    }
    if (record.budget - recomputed_budget).abs() > params.tol_budget {
        return Some(Reason::BudgetDeviation);
    }
    record.ft.degraded.then_some(Reason::Degraded)
}
