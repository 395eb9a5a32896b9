//! The verdict on an authentic record: a pure function of the record and one versioned set of parameters.
//! It never reads `sent_at`, `attempt` or a clock, and never changes a tolerance.

use crate::{
    record::{Record, Regime},
    signals::{budget::budget, regime::regime, theil_sen::SlopeCache},
};

/// The name of a parameter set: 1–32 characters of `[A-Za-z0-9._-]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParamsVersion {
    bytes: [u8; 32],
    bytes_count: u8,
}

impl ParamsVersion {
    /// The default set.
    pub const ONE: Self = {
        let mut bytes = [0; 32];
        bytes[0] = b'1';
        Self {
            bytes,
            bytes_count: 1,
        }
    };

    /// Checks a name.
    pub fn new(text: &str) -> Result<Self, BadParamsVersion> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if !(1..=32).contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(BadParamsVersion);
        }
        let mut bytes = [0; 32];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self {
            bytes,
            bytes_count: text.len() as u8,
        })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.bytes_count));
        bytes
            .and_then(|b| std::str::from_utf8(b).ok())
            .unwrap_or_default()
    }
}

impl Default for ParamsVersion {
    fn default() -> Self {
        Self::ONE
    }
}

impl std::fmt::Debug for ParamsVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ParamsVersion({})", self.as_str())
    }
}

impl std::fmt::Display for ParamsVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ParamsVersion {
    type Err = BadParamsVersion;

    fn from_str(text: &str) -> Result<Self, BadParamsVersion> {
        Self::new(text)
    }
}

/// The text cannot name a parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadParamsVersion;

impl std::fmt::Display for BadParamsVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a parameter version is 1 to 32 characters of A-Z a-z 0-9 . _ -")
    }
}

impl std::error::Error for BadParamsVersion {}

/// Tolerances and weights; a verdict uses one whole set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    /// The name stored with every outcome judged under this set.
    pub version: ParamsVersion,
    /// Largest difference of claimed and recomputed D̂.
    pub tol_d: f64,
    /// How far coherence may lie above 1.
    pub tol_coh: f64,
    /// Largest difference of claimed and recomputed budget.
    pub tol_budget: f64,
    /// The constant term of the budget.
    pub base: f64,
    /// Weight of compressibility.
    pub alpha: f64,
    /// Weight of D̂ above `d0`.
    pub beta: f64,
    /// Weight of coherence.
    pub gamma: f64,
    /// D̂ up to which the budget does not grow.
    pub d0: f64,
    /// Least coherence of `sticky`.
    pub coh_sticky: f64,
    /// Largest D̂ of `sticky`.
    pub d_sticky: f64,
    /// Least D̂ of `non_sticky`.
    pub d_non_sticky: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            version: ParamsVersion::ONE,
            tol_d: 0.15,
            tol_coh: 0.05,
            tol_budget: 0.01,
            base: 0.10,
            alpha: 0.30,
            beta: 0.50,
            gamma: 0.20,
            d0: 2.2,
            coh_sticky: 0.70,
            d_sticky: 1.5,
            d_non_sticky: 2.6,
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_parameter_set_has_1_to_32_plain_characters() {
        let longest = "Aa0._-Aa0._-Aa0._-Aa0._-Aa0._-Aa";
        assert_eq!(longest.len(), 32);
        for name in ["1", longest] {
            assert_eq!(ParamsVersion::new(name).unwrap().as_str(), name);
        }
        for name in ["", &format!("{longest}1"), "a b", "a/b", "é"] {
            assert_eq!(ParamsVersion::new(name), Err(BadParamsVersion), "{name}");
        }
    }
}
