//! The regime that claimed D̂ and coherence imply. It never looks at a claimed regime.

use crate::{params::Params, record::Regime};

/// `sticky` if coherence is high and D̂ low, `non_sticky` if D̂ is high, else `mixed`.
pub fn regime(d_hat: f64, coh_star: f64, params: &Params) -> Regime {
    if coh_star >= params.coh_sticky && d_hat <= params.d_sticky {
        Regime::Sticky
    } else if d_hat >= params.d_non_sticky {
        Regime::NonSticky
    } else {
        Regime::Mixed
    }
}
