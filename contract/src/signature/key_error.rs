//! Why a key cannot be used, in words that say what to do.

/// Why a key was not loaded. Never holds key text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// An empty HMAC key.
    Empty,
    /// Not 44 characters of canonical, padded, standard base64.
    Ed25519NotBase64,
    /// Not the canonical encoding of a point of the curve.
    Ed25519NotAPoint,
    /// A point with a component of small order: implementations disagree on signatures under it.
    Ed25519Weak,
    /// More than four keys.
    TooMany,
    /// No key at all.
    None,
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "the HMAC key is empty; give at least one byte, better 32 or more",
            Self::Ed25519NotBase64 => {
                "an Ed25519 key is the standard base64 of its raw 32 bytes (44 characters, the last one `=`)"
            }
            Self::Ed25519NotAPoint => {
                "the Ed25519 public key is not the canonical encoding of a curve point; copy it again from the agent"
            }
            Self::Ed25519Weak => {
                "the Ed25519 public key has a small-order part and is refused; generate a new key pair"
            }
            Self::TooMany => "at most 4 keys may be active at a time; remove the oldest",
            Self::None => "no key is configured",
        })
    }
}

impl std::error::Error for KeyError {}
