//! Keys and key sets: loading, refusals, and short ids that may be shown. Key bytes are wiped when dropped and never
//! printed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{
    ed25519::PublicKey,
    key_error::KeyError,
    scheme::{Algorithm, Scheme},
};
use crate::{
    canonical::NumberForm,
    hash::{self, HmacKey},
};

/// Most keys of a set that are active at a time.
pub const KEYS_COUNT_MAX: usize = 4;
/// A shorter HMAC key causes a warning, not a refusal.
pub const HMAC_KEY_BYTES_ADVISED: usize = 32;
const ID_LABEL: &[u8] = b"flk key id 1";

/// A short name of a key that is safe to show, log and store. It depends on the scheme too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    /// "No key", if signing is off.
    pub const NONE: Self = Self([0; 8]);

    fn of_tag(tag: [u8; 32]) -> Self {
        let mut id = [0; 8];
        id.copy_from_slice(&tag[..8]);
        Self(id)
    }

    fn of_hmac(scheme: Scheme, key: &HmacKey) -> Self {
        let label = [ID_LABEL, b"\0", scheme.to_string().as_bytes()].concat();
        Self::of_tag(key.tag(&label))
    }

    fn of_ed25519(scheme: Scheme, public: &[u8; 32]) -> Self {
        let scheme = scheme.to_string();
        Self::of_tag(hash::sha256(&[
            ID_LABEL,
            b"\0",
            scheme.as_bytes(),
            b"\0",
            public,
        ]))
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The text of a key file without its one trailing newline.
pub fn key_text_of_file(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

fn decode_32(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    // the decoder needs space for its estimate, not for the result
    let mut bytes = Zeroizing::new([0; 36]);
    let decoded = STANDARD.decode_slice(text, bytes.as_mut_slice());
    let mut key = Zeroizing::new([0; 32]);
    if decoded != Ok(32) {
        return Err(KeyError::Ed25519NotBase64);
    }
    key.copy_from_slice(&bytes[..32]);
    Ok(key)
}

#[derive(Clone, Debug)]
pub(super) enum Verifier {
    Hmac(HmacKey),
    Ed25519(PublicKey),
}

/// A key that verifies signatures.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    pub(super) id: KeyId,
    pub(super) scheme: Scheme,
    pub(super) verifier: Verifier,
    is_short: bool,
}

impl VerifyingKey {
    /// The key that `text` spells: for HMAC the text's own bytes, for Ed25519 the base64 of the public key.
    ///
    /// # Errors
    /// The text is no key of this scheme.
    pub fn from_text(scheme: Scheme, text: &str) -> Result<Self, KeyError> {
        match scheme.algorithm {
            Algorithm::HmacSha256 | Algorithm::HmacSha256Payload => {
                Self::hmac(scheme, text.as_bytes())
            }
            Algorithm::Ed25519 => Self::ed25519(scheme, *decode_32(text)?),
        }
    }

    /// Its id, which may be shown.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The scheme that it verifies.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether it is an HMAC key shorter than [`HMAC_KEY_BYTES_ADVISED`].
    pub const fn is_short(&self) -> bool {
        self.is_short
    }

    /// Whether a table would make it faster: it is an Ed25519 key without one.
    pub const fn wants_table(&self) -> bool {
        matches!(&self.verifier, Verifier::Ed25519(public) if !public.has_table())
    }

    /// Gives it the table that an Ed25519 key may have: see [`PublicKey::add_table`]. Another key stays as it is.
    pub fn add_table(&mut self) {
        if let Verifier::Ed25519(public) = &mut self.verifier {
            public.add_table();
        }
    }

    fn hmac(scheme: Scheme, bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.is_empty() {
            return Err(KeyError::Empty);
        }
        let key = HmacKey::new(bytes);
        Ok(Self {
            id: KeyId::of_hmac(scheme, &key),
            scheme,
            verifier: Verifier::Hmac(key),
            is_short: bytes.len() < HMAC_KEY_BYTES_ADVISED,
        })
    }

    fn ed25519(scheme: Scheme, bytes: [u8; 32]) -> Result<Self, KeyError> {
        Ok(Self {
            id: KeyId::of_ed25519(scheme, &bytes),
            scheme,
            verifier: Verifier::Ed25519(PublicKey::from_bytes(bytes)?),
            is_short: false,
        })
    }
}

/// The keys that are active: a record is authentic if any of them verifies it.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
}

impl KeySet {
    /// Starts an empty set.
    pub fn builder() -> KeySetBuilder {
        KeySetBuilder {
            set: Self {
                keys: Vec::with_capacity(KEYS_COUNT_MAX),
            },
        }
    }

    /// Ids and schemes of the keys, in the order given.
    pub fn ids(&self) -> impl Iterator<Item = (KeyId, Scheme)> + '_ {
        self.keys.iter().map(|key| (key.id, key.scheme))
    }

    /// How many HMAC keys are shorter than advised.
    pub fn short_keys_count(&self) -> usize {
        self.keys.iter().filter(|key| key.is_short).count()
    }

    /// Whether tables would make any of them faster.
    pub fn wants_tables(&self) -> bool {
        self.keys.iter().any(VerifyingKey::wants_table)
    }

    /// Gives each Ed25519 key the table that it may have: see [`PublicKey::add_table`].
    pub fn add_tables(&mut self) {
        self.keys.iter_mut().for_each(VerifyingKey::add_table);
    }

    pub(super) fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }
}

/// Collects the keys of a set.
#[derive(Debug)]
pub struct KeySetBuilder {
    set: KeySet,
}

impl KeySetBuilder {
    /// Adds the verifying key that `text` spells: see [`VerifyingKey::from_text`].
    pub fn add(self, scheme: Scheme, text: &str) -> Result<Self, KeyError> {
        self.add_key(VerifyingKey::from_text(scheme, text)?)
    }

    /// Adds the key that verifies what `key` signs.
    pub fn add_signing(self, key: &SigningKey) -> Result<Self, KeyError> {
        let verifying = match &key.secret {
            Secret::Hmac(bytes) => VerifyingKey::hmac(key.scheme, bytes)?,
            Secret::Ed25519(pair) => {
                VerifyingKey::ed25519(key.scheme, pair.verifying_key().to_bytes())?
            }
        };
        self.add_key(verifying)
    }

    /// Adds a key.
    pub fn add_key(mut self, key: VerifyingKey) -> Result<Self, KeyError> {
        if self.set.keys.len() == KEYS_COUNT_MAX {
            return Err(KeyError::TooMany);
        }
        self.set.keys.push(key);
        Ok(self)
    }

    /// The set; it needs at least one key.
    pub fn build(self) -> Result<KeySet, KeyError> {
        if self.set.keys.is_empty() {
            return Err(KeyError::None);
        }
        Ok(self.set)
    }
}

pub(super) enum Secret {
    Hmac(Zeroizing<Vec<u8>>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// A signing key, for agents and the command line.
pub struct SigningKey {
    pub(super) scheme: Scheme,
    pub(super) secret: Secret,
}

impl SigningKey {
    /// The key that `text` spells: for HMAC the text's own bytes, for Ed25519 the base64 of the private seed.
    pub fn from_text(scheme: Scheme, text: &str) -> Result<Self, KeyError> {
        match scheme.algorithm {
            Algorithm::HmacSha256 | Algorithm::HmacSha256Payload => {
                if text.is_empty() {
                    return Err(KeyError::Empty);
                }
                Ok(Self {
                    scheme,
                    secret: Secret::Hmac(Zeroizing::new(text.as_bytes().to_vec())),
                })
            }
            Algorithm::Ed25519 => Ok(Self::from_seed(scheme.form, &*decode_32(text)?)),
        }
    }

    /// The Ed25519 key of a raw seed.
    pub fn from_seed(form: NumberForm, seed: &[u8; 32]) -> Self {
        Self {
            scheme: Scheme::new(Algorithm::Ed25519, form),
            secret: Secret::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(seed))),
        }
    }

    /// The scheme that it signs with.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The id of the key that verifies what this one signs.
    pub fn id(&self) -> KeyId {
        match &self.secret {
            Secret::Hmac(bytes) => KeyId::of_hmac(self.scheme, &HmacKey::new(bytes)),
            Secret::Ed25519(pair) => {
                KeyId::of_ed25519(self.scheme, pair.verifying_key().as_bytes())
            }
        }
    }

    /// The base64 of the public key; none for HMAC.
    pub fn public_key_base64(&self) -> Option<String> {
        match &self.secret {
            Secret::Hmac(_) => None,
            Secret::Ed25519(pair) => Some(STANDARD.encode(pair.verifying_key().as_bytes())),
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({}, {})", self.scheme, self.id())
    }
}
