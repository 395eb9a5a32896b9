//! The Merkle root over 64-byte chunks. Parents hash the hex texts of their children, as existing agents do.

use crate::hash::{hex32, sha256};

const CHUNK_BYTES: usize = 64;

/// The root's lowercase hex text; 64 zeros for no bytes. An odd last node is paired with itself.
pub fn merkle_root(raw: &[u8]) -> String {
    let mut level: Vec<[u8; 64]> = raw
        .chunks(CHUNK_BYTES)
        .map(|chunk| hex32(&sha256(&[chunk])))
        .collect();
    while level.len() > 1 {
        level = level.chunks(2).map(parent).collect();
    }
    let root = level.first().copied().unwrap_or([b'0'; 64]);
    root.iter().map(|b| char::from(*b)).collect()
}

fn parent(children: &[[u8; 64]]) -> [u8; 64] {
    let parts: &[&[u8]] = match children {
        [left, right] => &[left, right],
        [only] => &[only, only],
        _ => &[],
    };
    hex32(&sha256(parts))
}

#[cfg(test)]
mod tests {
    use super::{hex32, merkle_root, sha256};

    fn leaf(bytes: &[u8]) -> [u8; 64] {
        hex32(&sha256(&[bytes]))
    }

    #[test]
    fn nothing_has_the_zero_root() {
        assert_eq!(merkle_root(b""), "0".repeat(64));
    }

    #[test]
    fn one_chunk_is_its_own_root() {
        assert_eq!(merkle_root(&[7; 64]).as_bytes(), leaf(&[7; 64]));
    }

    #[test]
    fn an_odd_last_node_is_paired_with_itself() {
        let (a, b, c) = (leaf(&[1; 64]), leaf(&[2; 64]), leaf(&[3; 5]));
        let ab = hex32(&sha256(&[&a, &b]));
        let cc = hex32(&sha256(&[&c, &c]));
        let root = hex32(&sha256(&[&ab, &cc]));
        let raw = [&[1; 64][..], &[2; 64], &[3; 5]].concat();
        assert_eq!(merkle_root(&raw).as_bytes(), root);
    }
}
