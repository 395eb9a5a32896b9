//! The key that all recipients of a file get, and keys that are derived. All are wiped when they are dropped.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of the key that all recipients of a file get.
pub(super) const FILE_KEY_BYTES: usize = 16;

/// The key that all recipients of a file get.
pub(super) type FileKey = Zeroizing<[u8; FILE_KEY_BYTES]>;

/// HKDF with SHA-256: 32 bytes.
pub(super) fn derive(secret: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut derived = Zeroizing::new([0; 32]);
    match Hkdf::<Sha256>::new(Some(salt), secret).expand(info, &mut derived[..]) {
        Ok(()) => derived,
        Err(error) => unreachable!("32 bytes are one block: {error}"),
    }
}
