//! Identities and recipients of age: X25519 keys and their texts. A private key is wiped when it is dropped and never shown.

use super::AgeError;
use super::file_key::{FILE_KEY_BYTES, FileKey, derive};
use super::stanza::Stanza;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use curve25519_dalek::MontgomeryPoint;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Bytes of an authentication tag.
const TAG_BYTES: usize = 16;
const INFO: &[u8] = b"age-encryption.org/v1/X25519";
const RECIPIENT: Hrp = Hrp::parse_unchecked("age");
const IDENTITY: Hrp = Hrp::parse_unchecked("age-secret-key-");

/// Whom a file is encrypted to: an X25519 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient([u8; 32]);

/// A private key that opens files.
pub struct Identity {
    secret: Zeroizing<[u8; 32]>,
    recipient: Recipient,
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Identity").field(&self.recipient).finish()
    }
}

impl FromStr for Recipient {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Recipient, AgeError> {
        let bytes = bech32_bytes(text, RECIPIENT).ok_or(AgeError::NotARecipient)?;
        Ok(Recipient(*bytes))
    }
}

impl Identity {
    /// Reads `AGE-SECRET-KEY-1…`.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Identity, AgeError> {
        let is_upper = !text.bytes().any(|byte| byte.is_ascii_lowercase());
        let secret = bech32_bytes(text, IDENTITY).filter(|_| is_upper);
        let secret = secret.ok_or(AgeError::NotAnIdentity)?;
        let recipient = Recipient(MontgomeryPoint::mul_base_clamped(*secret).to_bytes());
        Ok(Identity { secret, recipient })
    }

    /// Whom a file is encrypted to that this identity opens.
    pub fn recipient(&self) -> Recipient {
        self.recipient
    }

    /// The file key, if this stanza is for this identity.
    ///
    /// # Errors
    /// The stanza has a form that none has.
    pub(super) fn unwrap(&self, stanza: &Stanza<'_>) -> Result<Option<FileKey>, AgeError> {
        let share = stanza.x25519_share()?;
        let shared = MontgomeryPoint(share).mul_clamped(*self.secret);
        let shared = Zeroizing::new(shared.to_bytes());
        if shared.iter().all(|&byte| byte == 0) {
            return Err(AgeError::Header("a recipient has a share of low order"));
        }
        let cipher = wrapping(&shared, &share, self.recipient);
        let (sealed, tag) = stanza.body.split_at(FILE_KEY_BYTES);
        let mut key: FileKey = Zeroizing::new([0; FILE_KEY_BYTES]);
        key.copy_from_slice(sealed);
        let mut tag_bytes = [0; TAG_BYTES];
        tag_bytes.copy_from_slice(tag);
        let opened = cipher.decrypt_inout_detached(
            &Nonce::default(),
            &[],
            key.as_mut_slice().into(),
            &tag_bytes.into(),
        );
        Ok(opened.is_ok().then_some(key))
    }
}

impl Recipient {
    /// Share and wrapped file key for this recipient, with these random bytes.
    pub(super) fn wrap(
        self,
        file_key: &FileKey,
        random: &Zeroizing<[u8; 32]>,
    ) -> ([u8; 32], [u8; FILE_KEY_BYTES + TAG_BYTES]) {
        let share = MontgomeryPoint::mul_base_clamped(**random).to_bytes();
        let shared = Zeroizing::new(MontgomeryPoint(self.0).mul_clamped(**random).to_bytes());
        let cipher = wrapping(&shared, &share, self);
        let mut body = [0; FILE_KEY_BYTES + TAG_BYTES];
        let (key, tag) = body.split_at_mut(FILE_KEY_BYTES);
        key.copy_from_slice(&file_key[..]);
        match cipher.encrypt_inout_detached(&Nonce::default(), &[], key.into()) {
            Ok(made) => tag.copy_from_slice(&made),
            Err(error) => unreachable!("a file key is 16 bytes: {error}"),
        }
        (share, body)
    }
}

/// What wraps a file key.
fn wrapping(shared: &[u8; 32], share: &[u8; 32], recipient: Recipient) -> ChaCha20Poly1305 {
    let mut salt = [0; 64];
    salt[..32].copy_from_slice(share);
    salt[32..].copy_from_slice(&recipient.0);
    ChaCha20Poly1305::new(&(*derive(shared, &salt, INFO)).into())
}

/// The 32 bytes of a text. No copy of them is made on the heap.
fn bech32_bytes(text: &str, expected: Hrp) -> Option<Zeroizing<[u8; 32]>> {
    let checked = CheckedHrpstring::new::<Bech32>(text).ok()?;
    let mut bytes = Zeroizing::new([0; 32]);
    let mut found = checked.byte_iter();
    if checked.hrp() != expected || found.len() != bytes.len() {
        return None;
    }
    bytes.fill_with(|| found.next().unwrap_or_default());
    checked.validate_segwit_padding().ok()?;
    Some(bytes)
}
