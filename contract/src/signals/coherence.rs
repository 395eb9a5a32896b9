//! coh★ and v★: the largest share of points in one bin, over M directions. The directions come from one fixed generator, so
//! that all implementations find the same direction for one input and seed; docs/contract.md defines it bit by bit. The
//! verifier never uses this file.

use crate::number::round9;

/// Default number of directions.
pub const DIRECTIONS_COUNT: u32 = 100;
/// Default number of histogram bins.
pub const BINS_COUNT: u32 = 20;
/// A narrower spread counts as one point.
const SPREAD_MIN: f64 = 1e-9;

/// The best direction and its share of the points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coherence {
    /// Largest fraction of points in one bin, rounded to nine decimals.
    pub coh_star: f64,
    /// The direction, each component rounded to nine decimals.
    pub v_star: [f64; 3],
}

/// Samples `directions_count` directions (at least one) and keeps the first of the best.
///
/// No points: 1.0 and the first direction.
pub fn coherence(
    points: &[[f64; 3]],
    seed: i64,
    directions_count: u32,
    bins_count: u32,
) -> Coherence {
    let mut generator = SplitMix64(seed as u64);
    let mut projections = Vec::with_capacity(points.len());
    let mut bins = vec![0u64; bins_count.max(1) as usize];
    let mut v_star = direction(&mut generator);
    let mut count_max = fullest_bin(points, v_star, &mut projections, &mut bins);
    for _ in 1..directions_count {
        let v = direction(&mut generator);
        let count = fullest_bin(points, v, &mut projections, &mut bins);
        if count > count_max {
            (count_max, v_star) = (count, v);
        }
    }
    let coh_star = if points.is_empty() {
        1.0
    } else {
        round9(count_max as f64 / points.len() as f64)
    };
    Coherence { coh_star, v_star }
}

/// The number of points in the fullest of the equal-width bins along `v`; the right edge belongs to the last bin.
fn fullest_bin(
    points: &[[f64; 3]],
    v: [f64; 3],
    projections: &mut Vec<f64>,
    bins: &mut [u64],
) -> u64 {
    projections.clear();
    projections.extend(
        points
            .iter()
            .map(|p| p[0] * v[0] + p[1] * v[1] + p[2] * v[2]),
    );
    let min = projections.iter().copied().fold(f64::INFINITY, f64::min);
    let max = projections
        .iter()
        .copied()
        .fold(f64::NEG_INFINITY, f64::max);
    let spread = max - min;
    if spread < SPREAD_MIN {
        return points.len() as u64;
    }
    bins.fill(0);
    let last = bins.len() - 1;
    for p in projections.iter() {
        let bin = ((p - min) / spread * bins.len() as f64).floor() as usize;
        bins[bin.min(last)] += 1;
    }
    bins.iter().copied().max().unwrap_or(0)
}

/// One direction, uniform on the sphere, rounded to nine decimals so that the last bit of a sine does not matter.
fn direction(generator: &mut SplitMix64) -> [f64; 3] {
    let z = 2.0 * generator.unit() - 1.0;
    let phi = 2.0 * std::f64::consts::PI * generator.unit();
    let rho = (1.0 - z * z).max(0.0).sqrt();
    [rho * libm::cos(phi), rho * libm::sin(phi), z].map(round9)
}

/// The generator of Steele, Lea and Flood (2014).
struct SplitMix64(u64);

impl SplitMix64 {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A multiple of 2^−53 in 0…1, 1 excluded.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generator_gives_the_published_first_values_of_seed_1234567() {
        let mut generator = SplitMix64(1_234_567);
        let values: [u64; 3] = std::array::from_fn(|_| generator.next());
        assert_eq!(
            values,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn points_in_one_place_are_coherent() {
        let found = coherence(&[[1.0, 2.0, 3.0]; 5], 42, 100, 20);
        assert_eq!(found.coh_star, 1.0);
        assert_eq!(found.v_star, coherence(&[], 42, 100, 20).v_star);
        assert_eq!(coherence(&[], 42, 100, 20).coh_star, 1.0);
    }

    #[test]
    fn the_right_edge_belongs_to_the_last_bin() {
        let mut bins = [0; 2];
        let points = [[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [1.0, 0.0, 0.0]];
        let count = fullest_bin(&points, [1.0, 0.0, 0.0], &mut Vec::new(), &mut bins);
        assert_eq!((count, bins), (2, [1, 2]));
    }

    #[test]
    fn directions_have_length_one() {
        let mut generator = SplitMix64(9);
        for _ in 0..1000 {
            let v = direction(&mut generator);
            let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
            assert!((length - 1.0).abs() < 2e-9, "{v:?}");
        }
    }
}
