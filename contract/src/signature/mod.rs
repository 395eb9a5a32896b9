//! Authenticity of a record: schemes, key sets and the one rule of verification, used wherever a signature is checked. Keys
//! never leave this module as text, and a refusal says nothing that would help a forger.

mod ed25519;
mod key_error;
mod keys;
mod multiples;
mod scheme;
mod stack;
mod verify;

pub use ed25519::{BASE_TABLE_BYTES, KEY_TABLE_BYTES, PublicKey};
pub use key_error::KeyError;
pub use keys::{
    HMAC_KEY_BYTES_ADVISED, KEYS_COUNT_MAX, KeyId, KeySet, KeySetBuilder, SigningKey, VerifyingKey,
    key_text_of_file,
};
pub use scheme::{Algorithm, Scheme, UnknownScheme};
pub use stack::wipe_stack;
pub use verify::{Scratch, Unauthentic, Verified, authenticate, authenticate_unsigned, sign};
