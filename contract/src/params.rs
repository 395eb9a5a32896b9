//! The parameters of a verdict: tolerances and weights under a name that outcomes carry.

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
