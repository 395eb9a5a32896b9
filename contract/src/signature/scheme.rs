//! The names of the signature schemes. A scheme is an attribute of a key; a record cannot choose one.

use crate::canonical::NumberForm;

/// What is computed over the payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC-SHA256 over the payload's SHA-256 digest.
    #[default]
    HmacSha256,
    /// Ed25519 over the payload's SHA-256 digest.
    Ed25519,
    /// HMAC-SHA256 over the payload itself, for agents that skip the digest.
    HmacSha256Payload,
}

impl Algorithm {
    /// The canonical name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::HmacSha256Payload => "hmac-sha256-payload",
        }
    }
}

/// An algorithm and the number form of the payload that it is computed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scheme {
    /// What is computed.
    pub algorithm: Algorithm,
    /// How the payload writes its floats.
    pub form: NumberForm,
}

impl Scheme {
    /// All schemes.
    pub const ALL: [Self; 6] = [
        Self::new(Algorithm::HmacSha256, NumberForm::Repr),
        Self::new(Algorithm::Ed25519, NumberForm::Repr),
        Self::new(Algorithm::HmacSha256Payload, NumberForm::Repr),
        Self::new(Algorithm::HmacSha256, NumberForm::Fixed9),
        Self::new(Algorithm::Ed25519, NumberForm::Fixed9),
        Self::new(Algorithm::HmacSha256Payload, NumberForm::Fixed9),
    ];

    /// A scheme from its parts.
    pub const fn new(algorithm: Algorithm, form: NumberForm) -> Self {
        Self { algorithm, form }
    }
}

const FIXED9: &str = ";num=fixed9";

impl std::fmt::Display for Scheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.algorithm.as_str())?;
        match self.form {
            NumberForm::Repr => Ok(()),
            NumberForm::Fixed9 => f.write_str(FIXED9),
        }
    }
}

impl std::str::FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(text: &str) -> Result<Self, UnknownScheme> {
        let (name, form) = match text.strip_suffix(FIXED9) {
            Some(name) => (name, NumberForm::Fixed9),
            None => (text, NumberForm::Repr),
        };
        let algorithm = match name {
            "hmac" | "hmac-sha256" => Algorithm::HmacSha256,
            "ed25519" => Algorithm::Ed25519,
            "hmac-sha256-payload" => Algorithm::HmacSha256Payload,
            _ => return Err(UnknownScheme),
        };
        Ok(Self { algorithm, form })
    }
}

/// The text names no scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownScheme;

impl std::fmt::Display for UnknownScheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "a scheme is `hmac-sha256` (or `hmac`), `ed25519` or `hmac-sha256-payload`, \
             each optionally followed by `;num=fixed9`",
        )
    }
}

impl std::error::Error for UnknownScheme {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_reads_back_from_its_own_text() {
        for scheme in Scheme::ALL {
            assert_eq!(scheme.to_string().parse(), Ok(scheme));
        }
    }

    #[test]
    fn short_name_means_the_default_scheme() {
        assert_eq!("hmac".parse(), Ok(Scheme::default()));
        assert_eq!(
            "hmac;num=fixed9".parse::<Scheme>().map(|s| s.to_string()),
            Ok("hmac-sha256;num=fixed9".to_owned())
        );
    }

    #[test]
    fn other_texts_name_no_scheme() {
        for text in [
            "",
            "none",
            "HMAC",
            "hmac ",
            "ed25519;num=repr",
            "hmac;num=fixed9;num=fixed9",
            ";num=fixed9",
        ] {
            assert_eq!(text.parse::<Scheme>(), Err(UnknownScheme), "{text}");
        }
    }
}
