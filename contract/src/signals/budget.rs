//! The budget that claimed D̂, r and coherence imply. It never looks at a claimed budget.

use crate::{number::round9, params::Params};

/// `base + α(1−r) + β·max(0, D̂−D0) + γ·coh★`, clamped to 0…1 and rounded to nine decimals.
pub fn budget(d_hat: f64, r: f64, coh_star: f64, params: &Params) -> f64 {
    let excess = d_hat - params.d0;
    let excess = if excess > 0.0 { excess } else { 0.0 };
    let sum =
        params.base + params.alpha * (1.0 - r) + params.beta * excess + params.gamma * coh_star;
    round9(clamp_unit(sum))
}

/// Clamps to 0…1; NaN (claims that overflow against each other) becomes 0.
fn clamp_unit(v: f64) -> f64 {
    if v > 0.0 { v.min(1.0) } else { 0.0 }
}
