//! Signing and the verdict on a signature. A payload is written and hashed once per number form, however many keys are active.
//! Every fault of `sig`, and identity texts that are too long, are `Unauthentic` here and never malformed.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    keys::{KeyId, KeySet, Secret, SigningKey, Verifier, VerifyingKey},
    scheme::Algorithm,
};
use crate::{
    canonical::{self, NumberForm, PayloadBuf},
    hash::HmacKey,
    record::{Record, TEXT_BYTES_MAX},
};

const HMAC_TEXT_BYTES: usize = 44;
const ED25519_TEXT_BYTES: usize = 88;

/// Buffers of verification, reused from record to record.
#[derive(Debug, Default)]
pub struct Scratch {
    payload: PayloadBuf,
}

impl Scratch {
    /// Buffers for every payload.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Proof that a record was signed by an active key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The key that verified it; [`KeyId::NONE`] if signing is off.
    pub key: KeyId,
    /// SHA-256 of the payload in the default number form, whatever the key's scheme.
    pub signing_digest: [u8; 32],
}

/// Why a record is not authentic. For metrics and tools only: clients get one answer for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unauthentic {
    /// `pcs_id` or `merkle_root` is longer than 128 bytes; nothing was computed.
    TextTooLong,
    /// `sig` is absent, empty or not a string.
    Absent,
    /// `sig` is not canonical base64 of a signature's length.
    NotASignature,
    /// No active key verifies it.
    NoKeyVerifies,
}

impl std::fmt::Display for Unauthentic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TextTooLong => "`pcs_id` or `merkle_root` is longer than 128 bytes",
            Self::Absent => "the record has no signature",
            Self::NotASignature => {
                "`sig` is not canonical, padded, standard base64 of a signature's length"
            }
            Self::NoKeyVerifies => "no active key verifies the signature",
        })
    }
}

impl std::error::Error for Unauthentic {}

/// Decides whether an active key signed the record.
pub fn authenticate(
    record: &Record<'_>,
    keys: &KeySet,
    scratch: &mut Scratch,
) -> Result<Verified, Unauthentic> {
    keys.verify(record, scratch)
}

/// Replaces [`authenticate`] if signing is off: any `sig` passes, the length rule stays.
pub fn authenticate_unsigned(
    record: &Record<'_>,
    scratch: &mut Scratch,
) -> Result<Verified, Unauthentic> {
    check_lengths(record)?;
    Ok(Verified {
        key: KeyId::NONE,
        signing_digest: canonical::digest(record, NumberForm::Repr, &mut scratch.payload),
    })
}

fn check_lengths(record: &Record<'_>) -> Result<(), Unauthentic> {
    if record.pcs_id.len() > TEXT_BYTES_MAX || record.merkle_root.len() > TEXT_BYTES_MAX {
        return Err(Unauthentic::TextTooLong);
    }
    Ok(())
}

impl KeySet {
    /// Decides whether one of these keys signed the record.
    pub fn verify(
        &self,
        record: &Record<'_>,
        scratch: &mut Scratch,
    ) -> Result<Verified, Unauthentic> {
        check_lengths(record)?;
        let signature = Signature::decode(record.sig)?;
        for form in [NumberForm::Repr, NumberForm::Fixed9] {
            let mut candidates = self
                .keys()
                .iter()
                .filter(|key| key.scheme.form == form && signature.fits(key))
                .peekable();
            if candidates.peek().is_none() {
                continue;
            }
            let digest = canonical::digest(record, form, &mut scratch.payload);
            let payload = scratch.payload.bytes();
            if let Some(key) = candidates.find(|key| signature.is_by(key, payload, &digest)) {
                let signing_digest = match form {
                    NumberForm::Repr => digest,
                    NumberForm::Fixed9 => {
                        canonical::digest(record, NumberForm::Repr, &mut scratch.payload)
                    }
                };
                return Ok(Verified {
                    key: key.id,
                    signing_digest,
                });
            }
        }
        Err(Unauthentic::NoKeyVerifies)
    }
}

/// A decoded `sig`; its length tells the algorithm.
enum Signature {
    Hmac([u8; 32]),
    Ed25519([u8; 64]),
}

impl Signature {
    fn decode(text: &str) -> Result<Self, Unauthentic> {
        match text.len() {
            0 => Err(Unauthentic::Absent),
            HMAC_TEXT_BYTES => decode(text).map(Self::Hmac),
            ED25519_TEXT_BYTES => decode(text).map(Self::Ed25519),
            _ => Err(Unauthentic::NotASignature),
        }
    }

    const fn fits(&self, key: &VerifyingKey) -> bool {
        matches!(
            (self, &key.verifier),
            (Self::Hmac(_), Verifier::Hmac(_)) | (Self::Ed25519(_), Verifier::Ed25519(_))
        )
    }

    fn is_by(&self, key: &VerifyingKey, payload: &[u8], digest: &[u8; 32]) -> bool {
        match (self, &key.verifier) {
            (Self::Hmac(tag), Verifier::Hmac(hmac)) => {
                hmac.verify(signed_bytes(key.scheme.algorithm, payload, digest), tag)
            }
            (Self::Ed25519(signature), Verifier::Ed25519(public)) => {
                public.verify(digest, signature)
            }
            _ => false,
        }
    }
}

/// Exactly `N` bytes of canonical base64.
fn decode<const N: usize>(text: &str) -> Result<[u8; N], Unauthentic> {
    // the decoder needs space for its estimate, up to two bytes more than the result
    let mut room = [0; 66];
    match STANDARD.decode_slice(text, &mut room) {
        Ok(bytes_count) if bytes_count == N => room
            .first_chunk()
            .copied()
            .ok_or(Unauthentic::NotASignature),
        _ => Err(Unauthentic::NotASignature),
    }
}

fn signed_bytes<'b>(algorithm: Algorithm, payload: &'b [u8], digest: &'b [u8; 32]) -> &'b [u8] {
    match algorithm {
        Algorithm::HmacSha256 | Algorithm::Ed25519 => digest,
        Algorithm::HmacSha256Payload => payload,
    }
}

/// The base64 text of the record's signature by `key`.
pub fn sign(key: &SigningKey, record: &Record<'_>) -> String {
    let mut payload = PayloadBuf::new();
    let digest = canonical::digest(record, key.scheme.form, &mut payload);
    match &key.secret {
        Secret::Hmac(bytes) => {
            let message = signed_bytes(key.scheme.algorithm, payload.bytes(), &digest);
            STANDARD.encode(HmacKey::new(bytes).tag(message))
        }
        Secret::Ed25519(pair) => {
            use ed25519_dalek::Signer as _;
            STANDARD.encode(pair.sign(&digest).to_bytes())
        }
    }
}
