//! The payload of an age file: chunks of 64 KiB, each with its number and whether it is the last one in its nonce. It holds one
//! plaintext in memory, which is wiped when it is dropped.

use super::AgeError;
use super::file_key::{FileKey, derive};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use zeroize::Zeroizing;

/// Bytes of a full chunk without its tag.
const CHUNK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;
/// Random bytes in front of the first chunk.
pub(super) const NONCE_BYTES: usize = 16;

/// Whether a chunk is the last one of its file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Within,
    Last,
}

fn cipher(file_key: &FileKey, nonce: &[u8]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&(*derive(&file_key[..], nonce, b"payload")).into())
}

/// Eleven bytes of its number, the highest first, and one that says whether it is the last.
fn nonce(number: u64, place: Place) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(place == Place::Last);
    nonce.into()
}

/// Decrypts what is behind the header.
pub(super) fn open(file_key: &FileKey, payload: &[u8]) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    let Some((salt, sealed)) = payload.split_at_checked(NONCE_BYTES) else {
        return Err(AgeError::Header("the file ends before its payload"));
    };
    let cipher = cipher(file_key, salt);
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    let chunks = sealed.chunks(CHUNK_BYTES + TAG_BYTES);
    let count = chunks.len() as u64;
    if count == 0 {
        return Err(AgeError::Payload("it has no chunk"));
    }
    for (number, chunk) in (0..).zip(chunks) {
        let place = match number + 1 == count {
            true => Place::Last,
            false => Place::Within,
        };
        let Some((sealed, tag)) = chunk.split_last_chunk::<TAG_BYTES>() else {
            return Err(AgeError::Payload("a chunk is shorter than its tag"));
        };
        if sealed.is_empty() && number > 0 {
            return Err(AgeError::Payload("its last chunk is empty"));
        }
        let begin = plain.len();
        plain.extend_from_slice(sealed);
        let opened = cipher.decrypt_inout_detached(
            &nonce(number, place),
            &[],
            (&mut plain[begin..]).into(),
            &(*tag).into(),
        );
        opened.map_err(|_| AgeError::Payload("a chunk was changed, cut off or added"))?;
    }
    Ok(plain)
}

/// Encrypts all of a file's content. What is returned stands behind the header.
pub(super) fn seal(file_key: &FileKey, salt: &[u8; NONCE_BYTES], plain: &[u8]) -> Vec<u8> {
    let cipher = cipher(file_key, salt);
    let count = plain.len().div_ceil(CHUNK_BYTES).max(1);
    // Of its final length: a text that grows would leave parts of it that are not encrypted yet.
    let mut sealed = Vec::with_capacity(NONCE_BYTES + plain.len() + count * TAG_BYTES);
    sealed.extend_from_slice(salt);
    for number in 0..count {
        let chunk = &plain[number * CHUNK_BYTES..plain.len().min((number + 1) * CHUNK_BYTES)];
        let place = match number + 1 == count {
            true => Place::Last,
            false => Place::Within,
        };
        let begin = sealed.len();
        sealed.extend_from_slice(chunk);
        let nonce = nonce(number as u64, place);
        match cipher.encrypt_inout_detached(&nonce, &[], (&mut sealed[begin..]).into()) {
            Ok(tag) => sealed.extend_from_slice(&tag),
            Err(error) => unreachable!("a chunk is 64 KiB at most: {error}"),
        }
    }
    sealed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_last_chunk_behind_others_is_refused() {
        let (key, salt) = (FileKey::new([7; 16]), [9; NONCE_BYTES]);
        let cipher = cipher(&key, &salt);
        let mut payload = salt.to_vec();
        for (number, place, length) in [(0, Place::Within, CHUNK_BYTES), (1, Place::Last, 0)] {
            let mut chunk = vec![b'a'; length];
            let nonce = nonce(number, place);
            let tag = cipher.encrypt_inout_detached(&nonce, &[], chunk.as_mut_slice().into());
            payload.extend(chunk);
            payload.extend(tag.unwrap());
        }
        let empty = AgeError::Payload("its last chunk is empty");
        assert_eq!(open(&key, &payload).unwrap_err(), empty);
        // Alone it is that of an empty file.
        assert!(open(&key, &seal(&key, &salt, b"")).unwrap().is_empty());
    }
}
