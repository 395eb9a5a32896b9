//! Encrypted values of SOPS documents: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`. What is decrypted is wiped when it is
//! dropped.

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{AesGcm, aes::Aes256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The key of all values of a document.
pub(super) type DataKey = Zeroizing<[u8; 32]>;

/// Types of values that SOPS writes.
const TYPES: [&str; 7] = ["str", "int", "float", "bool", "bytes", "time", "comment"];

/// Decrypts a value; `additional` is what it is bound to. Nothing: it was changed, moved, or made with another key.
pub(super) fn open(value: &str, key: &DataKey, additional: &str) -> Option<Zeroizing<Vec<u8>>> {
    let inside = value
        .strip_prefix("ENC[AES256_GCM,data:")?
        .strip_suffix(']')?;
    let (data, rest) = inside.split_once(",iv:")?;
    let (nonce, rest) = rest.split_once(",tag:")?;
    let (tag, kind) = rest.split_once(",type:")?;
    let bytes = |text: &str| STANDARD.decode(text).ok();
    let nonce: [u8; 32] = bytes(nonce)?.try_into().ok()?;
    let tag: [u8; 16] = bytes(tag)?.try_into().ok()?;
    // Decrypted where it is.
    let mut data = Zeroizing::new(bytes(data)?);
    let cipher = AesGcm::<Aes256, U32>::new(&(**key).into());
    let (nonce, tag) = (nonce.into(), tag.into());
    let additional = additional.as_bytes();
    let opened =
        cipher.decrypt_inout_detached(&nonce, additional, data.as_mut_slice().into(), &tag);
    (opened.is_ok() && TYPES.contains(&kind)).then_some(data)
}
