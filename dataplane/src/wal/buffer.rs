//! Memory that the log writes from: whole 4 KiB blocks at 4 KiB alignment, as direct IO wants it.
//! It owns bytes and their length in blocks; it knows nothing of what is in them.

use bytemuck::{Pod, Zeroable};

/// The unit of everything on disk: offsets and lengths of log writes are multiples of this many bytes.
pub const BLOCK_BYTES: usize = 4096;

#[derive(Clone, Copy)]
#[repr(C, align(4096))]
struct Block([u8; BLOCK_BYTES]);

// SAFETY: a `Block` is plain bytes: any bit pattern is valid, there is no padding (size equals the array's), no pointer.
#[allow(unsafe_code)]
unsafe impl Zeroable for Block {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Pod for Block {}

/// A growable run of aligned blocks.
#[derive(Default)]
pub struct Blocks {
    blocks: Vec<Block>,
}

impl Blocks {
    /// An empty run with room for `bytes`, rounded up to whole blocks.
    pub fn with_capacity(bytes: usize) -> Blocks {
        Blocks {
            blocks: Vec::with_capacity(bytes.div_ceil(BLOCK_BYTES)),
        }
    }

    /// Makes the run exactly as long as `bytes` rounded up to whole blocks, all zero.
    pub fn reset(&mut self, bytes: usize) {
        self.blocks.clear();
        self.blocks
            .resize(bytes.div_ceil(BLOCK_BYTES), Block([0; BLOCK_BYTES]));
    }

    /// Puts a zero block before all others.
    pub fn push_front(&mut self) {
        self.blocks.insert(0, Block([0; BLOCK_BYTES]));
    }

    /// The bytes, a whole number of blocks.
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.blocks)
    }

    /// The bytes, a whole number of blocks.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.blocks)
    }

    /// Length in bytes, a multiple of [`BLOCK_BYTES`].
    pub fn len(&self) -> usize {
        self.blocks.len() * BLOCK_BYTES
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Blocks({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_and_zero_after_reset() {
        let mut blocks = Blocks::with_capacity(10_000);
        blocks.reset(5_000);
        assert_eq!(blocks.len(), 2 * BLOCK_BYTES);
        assert_eq!(blocks.bytes().as_ptr() as usize % BLOCK_BYTES, 0);
        blocks.bytes_mut().fill(7);
        blocks.reset(4_097);
        assert!(blocks.bytes().iter().all(|&byte| byte == 0));
    }
}
