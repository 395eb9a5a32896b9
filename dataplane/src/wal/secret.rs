//! The secret file: the key of the keyed hash, without which neither logs nor slices can be used.
//! Only its bytes; that the file is readable by its owner alone is the keeper's business.

use crate::wal::checksum::{Reader, crc};
use std::fmt;

/// The first eight bytes of a secret file.
pub const SECRET_MAGIC: [u8; 8] = *b"flk-secr";

/// Length of a secret file.
pub const SECRET_BYTES: usize = 48;

/// The installation's hash key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret {
    /// Random id; the manifest repeats it.
    pub id: [u8; 16],
    /// The key.
    pub key: [u8; 16],
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Secret")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why bytes are not a secret file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretFault {
    /// Not [`SECRET_BYTES`] long.
    Length,
    /// The first bytes are not a secret's.
    Magic,
    /// The checksum does not match.
    Checksum,
    /// The checksum matches, but the format version is another one.
    Version(u32),
}

impl fmt::Display for SecretFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretFault::Length => write!(out, "the secret file is not {SECRET_BYTES} bytes long"),
            SecretFault::Magic => out.write_str("the file is not a secret file"),
            SecretFault::Checksum => {
                out.write_str("the checksum of the secret file does not match")
            }
            SecretFault::Version(found) => {
                write!(
                    out,
                    "the secret file has format version {found}, this flk reads 1"
                )
            }
        }
    }
}

impl std::error::Error for SecretFault {}

impl Secret {
    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SECRET_BYTES);
        out.extend_from_slice(&SECRET_MAGIC);
        out.extend_from_slice(&1u32.to_le_bytes());
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&self.key);
        out.extend_from_slice(&crc(&out).to_le_bytes());
        out
    }

    /// Reads the bytes of the file.
    pub fn decode(bytes: &[u8]) -> Result<Secret, SecretFault> {
        let bytes: &[u8; SECRET_BYTES] = bytes.try_into().map_err(|_| SecretFault::Length)?;
        if !bytes.starts_with(&SECRET_MAGIC) {
            return Err(SecretFault::Magic);
        }
        let (covered, checksum) = bytes.split_last_chunk::<4>().ok_or(SecretFault::Length)?;
        if crc(covered) != u32::from_le_bytes(*checksum) {
            return Err(SecretFault::Checksum);
        }
        let mut reader = Reader::new(&covered[SECRET_MAGIC.len()..]);
        let fields =
            |reader: &mut Reader<'_>| Some((reader.u32()?, reader.array()?, reader.array()?));
        match fields(&mut reader) {
            Some((1, id, key)) => Ok(Secret { id, key }),
            Some((version, _, _)) => Err(SecretFault::Version(version)),
            None => Err(SecretFault::Length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_reads_back_and_every_flipped_bit_is_refused() {
        let secret = Secret {
            id: [1; 16],
            key: [2; 16],
        };
        let whole = secret.encode();
        assert_eq!(whole.len(), SECRET_BYTES);
        assert_eq!(Secret::decode(&whole), Ok(secret));
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Secret::decode(&flipped).is_err(), "bit {bit}");
        }
        assert_eq!(Secret::decode(&whole[1..]), Err(SecretFault::Length));
    }

    #[test]
    fn a_secret_of_another_format_is_refused_by_its_version() {
        let secret = Secret {
            id: [1; 16],
            key: [2; 16],
        };
        let mut bytes = secret.encode();
        bytes[8] = 2;
        let covered = bytes.len() - 4;
        let checksum = crc(&bytes[..covered]);
        bytes[covered..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Secret::decode(&bytes), Err(SecretFault::Version(2)));
    }

    #[test]
    fn the_key_is_not_in_debug_output() {
        let secret = Secret {
            id: [1; 16],
            key: [77; 16],
        };
        assert!(!format!("{secret:?}").contains("77"));
    }
}
