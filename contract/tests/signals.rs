//! The signals against plain twins, and against CPython's zlib where it is at hand.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::oracle;
use flk_contract::{
    Params, Regime, SlopeCache,
    build::{BuildOptions, build, read_csv},
    signals::{
        budget::budget,
        compressibility::compressibility,
        regime::regime,
        theil_sen::{TABLES_COUNT_MAX, d_hat_naive},
    },
};
use flk_testkit::Dice;
use flk_testkit::hex::hex;
use proptest::prelude::*;

fn scales_and_counts() -> impl Strategy<Value = (Vec<u32>, Vec<u64>)> {
    let scale = prop_oneof![1u32..64, 1u32..1 << 31, (1u32 << 31) - 4..1 << 31];
    let count = prop_oneof![1u64..4, 1u64..5000, 1u64..1 << 53];
    prop::collection::hash_set(scale, 2..12)
        .prop_map(|set| set.into_iter().collect::<Vec<u32>>())
        .prop_shuffle()
        .prop_flat_map(move |scales| {
            let counts = prop::collection::vec(count.clone(), scales.len());
            (Just(scales), counts)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn cached_slopes_give_the_same_bits_as_the_definition((scales, n_j) in scales_and_counts()) {
        let mut cache = SlopeCache::new();
        let naive = d_hat_naive(&scales, &n_j).to_bits();
        prop_assert_eq!(cache.d_hat(&scales, &n_j).to_bits(), naive);
        prop_assert_eq!(cache.d_hat(&scales, &n_j).to_bits(), naive);
    }

    #[test]
    fn one_cache_keeps_lists_apart_that_differ_in_their_order(
        (scales, n_j) in scales_and_counts(), by in 1usize..12, swapped in any::<bool>()
    ) {
        let mut cache = SlopeCache::new();
        let naive = d_hat_naive(&scales, &n_j).to_bits();
        prop_assert_eq!(cache.d_hat(&scales, &n_j).to_bits(), naive);
        let mut other = scales.clone();
        if swapped { other.swap(0, 1) } else { other.rotate_left(by % scales.len()) }
        let naive = d_hat_naive(&other, &n_j).to_bits();
        prop_assert_eq!(cache.d_hat(&other, &n_j).to_bits(), naive);
    }

    #[test]
    fn budgets_lie_between_zero_and_one(d in any::<f64>(), r in any::<f64>(), c in any::<f64>()) {
        let b = budget(d, r, c, &Params::default());
        prop_assert!((0.0..=1.0).contains(&b));
    }
}

#[test]
fn the_cache_is_bounded_and_right_beyond_its_bound() {
    let mut cache = SlopeCache::new();
    for first in 1..=200u32 {
        let (scales, n_j) = ([first, 1000, 2000], [3, 70, 900]);
        let expected = d_hat_naive(&scales, &n_j).to_bits();
        assert_eq!(cache.d_hat(&scales, &n_j).to_bits(), expected);
        assert!(cache.tables_count() <= TABLES_COUNT_MAX);
    }
    assert_eq!(cache.tables_count(), TABLES_COUNT_MAX);
    // an early list still answers from its table
    let (scales, n_j) = ([1, 1000, 2000], [3, 70, 900]);
    assert_eq!(
        cache.d_hat(&scales, &n_j).to_bits(),
        d_hat_naive(&scales, &n_j).to_bits()
    );
}

#[test]
fn the_median_of_an_even_number_is_the_upper_one() {
    // slopes sorted: 0 0 0 2/3 1 2; the two middle ones are 0 and 2/3
    let d = SlopeCache::new().d_hat(&[1, 2, 4, 8], &[1, 1, 1, 4]);
    assert_eq!(d, 0.666_666_667);
    assert_eq!(SlopeCache::new().d_hat(&[2, 4], &[1, 8]), 3.0);
}

#[test]
fn no_usable_slope_gives_zero() {
    // neighbours near 2^31 are closer than 1e-9 in log2
    let scales = [2_147_483_646, 2_147_483_647];
    assert_eq!(SlopeCache::new().d_hat(&scales, &[1, 1 << 50]).to_bits(), 0);
}

#[test]
fn a_median_of_zero_has_the_sign_that_a_stable_sort_gives() {
    // slopes with a −0.0 and several 0.0; a total order would put the −0.0 first
    let d = SlopeCache::new().d_hat(&[2, 4, 16, 8], &[2, 1, 1, 1]);
    assert_eq!(d.to_bits(), 0.0f64.to_bits());
    let d = SlopeCache::new().d_hat(&[8, 4, 2], &[5, 5, 5]);
    assert_eq!(d.to_bits(), (-0.0f64).to_bits());
}

#[test]
fn regimes_at_their_bounds() {
    let params = Params::default();
    assert_eq!(regime(1.5, 0.70, &params), Regime::Sticky);
    assert_eq!(regime(1.5, 0.699_999_999, &params), Regime::Mixed);
    assert_eq!(regime(1.500_000_001, 0.70, &params), Regime::Mixed);
    assert_eq!(regime(2.599_999_999, 0.0, &params), Regime::Mixed);
    assert_eq!(regime(2.6, 1.0, &params), Regime::NonSticky);
}

#[test]
fn budgets_by_hand() {
    let params = Params::default();
    assert_eq!(budget(1.0, 1.0, 0.0, &params), 0.1);
    assert_eq!(budget(2.2, 0.5, 0.5, &params), 0.35);
    assert_eq!(budget(2.6, 0.5, 0.5, &params), 0.55);
    assert_eq!(budget(9.0, 0.0, 1.0, &params), 1.0);
    assert_eq!(budget(0.0, 5.0, 0.0, &params), 0.0);
}

/// What CPython's stock zlib 1.2.13 makes of [`rows`], in bytes: stock zlib has made the same for years, zlib-ng makes others.
const STOCK_LENGTHS: [u32; 40] = [
    958, 623, 1228, 1462, 563, 879, 330, 469, 1281, 560, 483, 984, 1477, 1813, 718, 1413, 587, 381,
    768, 833, 798, 1574, 92, 977, 1063, 375, 766, 619, 1809, 1394, 63497, 32881, 54598, 39136,
    109501, 150326, 94324, 133248, 108514, 45724,
];

/// Texts of many lengths and alphabets.
fn rows() -> Vec<Vec<u8>> {
    let mut random = Dice::new(99);
    (0..40)
        .map(|i| {
            let bytes_count = random.below(if i < 30 { 3_000 } else { 300_000 }) as usize + 1;
            let alphabet = 1 + random.below(64);
            (0..bytes_count)
                .map(|_| b'0' + random.below(alphabet) as u8)
                .collect()
        })
        .collect()
}

fn ratio(length: f64, raw: &[u8]) -> f64 {
    flk_contract::number::round9((length / raw.len() as f64).min(1.0))
}

#[test]
fn compressed_lengths_are_those_of_stock_zlib() {
    for (raw, length) in rows().iter().zip(STOCK_LENGTHS) {
        let expected = ratio(length.into(), raw);
        assert_eq!(compressibility(raw), expected, "{} bytes", raw.len());
    }
}

#[test]
fn compressed_lengths_equal_those_of_cpythons_zlib() {
    let raws = rows();
    let input: String = raws.iter().map(|raw| hex(raw) + "\n").collect();
    let Some(answer) = oracle("zlib_lengths.py", &input) else {
        return;
    };
    let mut lines = answer.lines();
    // the host's Python may be linked to another zlib than the agents in the field are
    let version = lines.next().unwrap();
    if version.contains("zlib-ng") {
        flk_testkit::skipped(&format!(
            "this host's Python has {version}, which is not stock zlib"
        ));
        return;
    }
    for (raw, line) in raws.iter().zip(lines) {
        let expected = ratio(line.parse().unwrap(), raw);
        assert_eq!(compressibility(raw), expected, "{} bytes", raw.len());
    }
}

#[test]
fn a_built_record_is_valid_and_judged_acceptable() {
    let mut random = Dice::new(5);
    let mut csv = String::from("t,x,y,z\n");
    for i in 0..500 {
        let (x, y, z) = (random.unit(), random.unit(), random.unit());
        csv += &format!("{i},{x:.4},{y:.4},{z:.4}\n");
    }
    let owned = build(&read_csv(&csv).unwrap(), &BuildOptions::default()).unwrap();
    let mut body = Vec::new();
    flk_contract::record::write_json(&owned.view(), &mut body);
    let mut parser = flk_contract::Parser::new();
    let record = parser.parse(&body).unwrap();
    flk_contract::check_identity(&record).unwrap();
    let outcome = flk_contract::judge(&record, &Params::default(), &mut SlopeCache::new());
    assert_eq!(outcome.escalated, None);
    assert_eq!(outcome.recomputed_d_hat, owned.d_hat);
    assert_eq!(outcome.recomputed_budget, owned.budget);
}
