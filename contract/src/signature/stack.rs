//! What functions leave on the stack. Prepared states of keys are wiped where they lie when they are dropped, but moves leave
//! copies behind, and later values that do not fill all their bytes carry them into other memory.

use std::hint::black_box;
use zeroize::Zeroize;

/// Bytes below a caller that are overwritten: more than the frames that prepare a key take, in builds without optimization too.
const STACK_BYTES: usize = 32 << 10;

/// Overwrites the stack below the caller, where functions that have returned may have left states of keys.
#[inline(never)]
pub fn wipe_stack() {
    let mut area = [0_u64; STACK_BYTES / 8];
    area.zeroize();
    black_box(&mut area);
}
