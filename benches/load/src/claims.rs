//! What records of a run claim: the numbers of one of three regimes, as texts that stand in a body. They hold, so that a gateway
//! accepts each record. It knows nothing of keys, and not when something is sent.

/// The regime that the numbers of a record make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Regime {
    /// Points that keep together.
    #[default]
    Sticky,
    /// Neither of the others.
    Mixed,
    /// Points that fill their space.
    NonSticky,
}

impl Regime {
    /// All of them.
    pub const ALL: [Regime; 3] = [Regime::Sticky, Regime::Mixed, Regime::NonSticky];

    /// As records name it.
    pub const fn name(self) -> &'static str {
        match self {
            Regime::Sticky => "sticky",
            Regime::Mixed => "mixed",
            Regime::NonSticky => "non_sticky",
        }
    }

    /// The texts of its numbers.
    pub(crate) const fn texts(self) -> &'static Texts {
        match self {
            Regime::Sticky => &STICKY,
            Regime::Mixed => &MIXED,
            Regime::NonSticky => &NON_STICKY,
        }
    }
}

/// Numbers as they stand in a body, in the form that is signed.
pub(crate) struct Texts {
    /// Occupied cells at the scales 2, 4, 8, 16 and 32.
    pub(crate) n_j: &'static str,
    pub(crate) d_hat: &'static str,
    pub(crate) budget: &'static str,
    pub(crate) coh_star: &'static str,
    pub(crate) r: &'static str,
}

pub(crate) const STICKY: Texts = Texts {
    n_j: r#"{"2":3,"4":7,"8":19,"16":50,"32":134}"#,
    d_hat: "1.409123457",
    budget: "0.422543205",
    coh_star: "0.731234567",
    r: "0.412345678",
};

const MIXED: Texts = Texts {
    n_j: r#"{"2":5,"4":18,"8":66,"16":271,"32":1043}"#,
    d_hat: "1.944374401",
    budget: "0.352543211",
    coh_star: "0.381234567",
    r: "0.412345678",
};

const NON_STICKY: Texts = Texts {
    n_j: r#"{"2":7,"4":46,"8":311,"16":2021,"32":13205}"#,
    d_hat: "2.721744908",
    budget: "0.561415664",
    coh_star: "0.121234567",
    r: "0.412345678",
};

/// The numbers that all records of a run claim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claims {
    /// D-hat.
    pub d_hat: f64,
    /// The budget.
    pub budget: f64,
    /// The coherence.
    pub coh_star: f64,
    /// The compressibility.
    pub r: f64,
}

impl Claims {
    /// Those of records of a regime.
    pub fn of(regime: Regime) -> Claims {
        // Constants of this file, which a test compares with their texts.
        let number = |text: &str| text.parse().unwrap_or(f64::NAN);
        let texts = regime.texts();
        Claims {
            d_hat: number(texts.d_hat),
            budget: number(texts.budget),
            coh_star: number(texts.coh_star),
            r: number(texts.r),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_those_of_the_texts() {
        for regime in Regime::ALL {
            let (claims, texts) = (Claims::of(regime), regime.texts());
            for (number, text) in [
                (claims.d_hat, texts.d_hat),
                (claims.budget, texts.budget),
                (claims.coh_star, texts.coh_star),
                (claims.r, texts.r),
            ] {
                assert_eq!(number.to_string(), text);
            }
        }
    }
}
