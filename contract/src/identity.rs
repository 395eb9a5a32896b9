//! The identity rule: `pcs_id` is the SHA-256 of Merkle root, epoch and shard, so that a retry is recognised as the same record.
//! It is checked only after a valid signature: before that a client must learn nothing about an id.

use crate::{hash, number::digits, record::Record};

/// What is wrong with the identity of a validly signed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityMismatch {
    /// `merkle_root` is not 1–128 hex characters.
    MerkleRoot,
    /// `pcs_id` is not the lowercase hex SHA-256 of `merkle_root|epoch|shard_id`.
    PcsId,
}

impl std::fmt::Display for IdentityMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::MerkleRoot => "`merkle_root` must be 1 to 128 hex characters",
            Self::PcsId => {
                "`pcs_id` must be the lowercase hex SHA-256 of merkle_root, `|`, epoch, `|`, shard_id"
            }
        })
    }
}

impl std::error::Error for IdentityMismatch {}

/// The identity of a Merkle root at an epoch of a shard.
pub fn pcs_id(merkle_root: &str, epoch: u64, shard_id: &str) -> [u8; 32] {
    let mut text = [0; 20];
    let epoch = digits::of(epoch, &mut text);
    hash::sha256(&[
        merkle_root.as_bytes(),
        b"|",
        epoch,
        b"|",
        shard_id.as_bytes(),
    ])
}

/// Checks form and rule of the identity and returns its bytes. To be called only after the signature was found valid.
pub fn check_identity(record: &Record<'_>) -> Result<[u8; 32], IdentityMismatch> {
    let root = record.merkle_root.as_bytes();
    // no early exit, so that the compiler can compare many bytes at a time
    let is_hex = |ok: bool, b: &u8| ok & b.is_ascii_hexdigit();
    if !(1..=128).contains(&root.len()) || !root.iter().fold(true, is_hex) {
        return Err(IdentityMismatch::MerkleRoot);
    }
    let id = pcs_id(record.merkle_root, record.epoch, record.shard_id);
    if record.pcs_id.as_bytes() != hash::hex32(&id) {
        return Err(IdentityMismatch::PcsId);
    }
    Ok(id)
}
