//! The one source of chance: every choice of a run is drawn from here, so that a seed is a run.
//! It owns 64 bits of state (SplitMix64) and knows nothing of what is chosen.

/// A stream of choices.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The stream of a seed; neighbouring seeds are unrelated.
    pub fn new(seed: u64) -> Dice {
        let mut dice = Dice {
            state: seed ^ 0x6a09_e667_f3bc_c908,
        };
        dice.state = dice.next().rotate_left(17) ^ dice.next();
        dice
    }

    /// The next 64 bits.
    #[allow(clippy::should_implement_trait)] // an endless stream is no iterator: nobody wants its adapters here
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 if there is none.
    pub fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(limit);
        (wide >> 64) as u64
    }

    /// A number of `from..=to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from).saturating_add(1))
    }

    /// True in that many of 10,000 cases.
    pub fn chance(&mut self, per_10_000: u32) -> bool {
        self.below(10_000) < u64::from(per_10_000)
    }

    /// One of the choices; the first of an empty list does not exist.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(count);
        while out.len() < count {
            let word = self.next().to_le_bytes();
            let wanted = (count - out.len()).min(word.len());
            out.extend_from_slice(&word[..wanted]);
        }
        out
    }

    /// A delay that is mostly short and sometimes long: `usual` at most in most cases, up to `rare` else.
    pub fn delay_us(&mut self, usual: u64, rare: u64, rare_per_10_000: u32) -> u64 {
        if self.chance(rare_per_10_000) {
            self.between(usual, rare)
        } else {
            self.between(1, usual.max(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_stream_and_its_bounds_hold() {
        let mut one = Dice::new(7);
        let mut two = Dice::new(7);
        let mut other = Dice::new(8);
        let drawn: Vec<u64> = (0..100).map(|_| one.next()).collect();
        assert!(drawn.iter().all(|&value| value == two.next()));
        assert!(drawn.iter().any(|&value| value != other.next()));
        assert!((0..1000).all(|_| (3..=5).contains(&one.between(3, 5))));
        let seen: std::collections::BTreeSet<u64> = (0..1000).map(|_| one.below(4)).collect();
        assert_eq!(seen.len(), 4, "every choice comes up");
        assert_eq!(one.below(0), 0);
        assert_eq!(one.bytes(11).len(), 11);
    }
}
