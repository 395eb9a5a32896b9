//! SHA-256 and HMAC-SHA256 behind two small types, so that the implementation can change in one place.
//! Hardware support is detected at run time; nothing is assumed when building.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// SHA-256 of the parts, one after the other.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// HMAC-SHA256 with the key already absorbed, so that a record costs no hashing of the key. Wiped when dropped.
#[derive(Clone)]
pub struct HmacKey(Hmac<Sha256>);

/// The prepared state can sign, so it is wiped as a key is. It consists of states of SHA-256, which the feature `zeroize` of
/// that crate wipes; without it this does not compile.
const _: fn() = || {
    fn is_wiped_when_dropped<T: zeroize::ZeroizeOnDrop>() {}
    is_wiped_when_dropped::<Sha256>();
};

impl HmacKey {
    /// Prepares a key of any length.
    pub fn new(key: &[u8]) -> Self {
        match Hmac::new_from_slice(key) {
            Ok(state) => Self(state),
            Err(_) => unreachable!("HMAC takes keys of any length"),
        }
    }

    /// The 32-byte tag of `message`.
    pub fn tag(&self, message: &[u8]) -> [u8; 32] {
        let mut state = self.0.clone();
        state.update(message);
        state.finalize().into_bytes().into()
    }

    /// Compares `tag` with the tag of `message` in constant time.
    pub fn verify(&self, message: &[u8], tag: &[u8; 32]) -> bool {
        let mut state = self.0.clone();
        state.update(message);
        state.verify_slice(tag).is_ok()
    }
}

impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HmacKey(hidden)")
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The lowercase hex text of 32 bytes.
pub fn hex32(bytes: &[u8; 32]) -> [u8; 64] {
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&HEX_PAIRS[usize::from(*byte)]);
    }
    text
}

/// The 32 bytes of a lowercase hex text; `None` for any other text.
pub fn bytes_of_hex32(text: &[u8]) -> Option<[u8; 32]> {
    bytes_of_hex(text)
}

/// So many bytes of a lowercase hex text; `None` for a text of another length, or any other one.
#[inline]
pub fn bytes_of_hex<const BYTES: usize>(text: &[u8]) -> Option<[u8; BYTES]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * BYTES {
        return None;
    }
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

/// The two lowercase hex digits of every byte.
const HEX_PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [HEX[byte >> 4], HEX[byte & 15]];
        byte += 1;
    }
    pairs
};

/// The lowercase hex digit of the low four bits.
pub(crate) fn hex_digit(nibble: u32) -> u8 {
    HEX[(nibble & 15) as usize]
}
