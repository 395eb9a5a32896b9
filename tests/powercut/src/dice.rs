//! Chance from one seed, so that a run's choices can be repeated (its timing cannot). Nothing here is fit for secrets.

/// SplitMix64.
pub(crate) struct Dice(u64);

impl Dice {
    /// Begins with a seed.
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next 64 bits.
    pub(crate) fn next_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    /// A number below `end`, which is at least 1. The bias of the division is of no importance here.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next_bits() % end.max(1)
    }
}
