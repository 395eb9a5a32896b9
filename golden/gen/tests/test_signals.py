"""Signals against hand-computed values and slower twins."""

import hashlib
import unittest
import zlib

from gen import group_signals, signals
from gen.splitmix import SplitMix64


class Signals(unittest.TestCase):
    def test_exact_powers_have_exact_slopes(self):
        self.assertEqual(signals.d_hat([2, 4, 8], {2: 4, 4: 16, 8: 64}), 2.0)
        self.assertEqual(signals.d_hat([2, 4, 8], {2: 8, 4: 4, 8: 2}), -1.0)

    def test_median_of_an_even_number_is_the_upper_one(self):
        found = sorted(signals.slopes([2, 4, 8, 16], {2: 4, 4: 5, 8: 30, 16: 31}))
        upper = signals.d_hat([2, 4, 8, 16], {2: 4, 4: 5, 8: 30, 16: 31})
        self.assertEqual(len(found), 6)
        self.assertAlmostEqual(upper, found[3], places=9)
        self.assertGreater(upper - (found[2] + found[3]) / 2, signals.DEFAULTS.tol_d)

    def test_no_usable_slope_gives_zero(self):
        self.assertEqual(signals.d_hat([2147483646, 2147483647], {2147483646: 5, 2147483647: 9}), 0.0)

    def test_merkle_of_one_two_and_three_chunks_by_hand(self):
        def sha(data):
            return hashlib.sha256(data).hexdigest()

        a, b, c = b"a" * 64, b"b" * 64, b"c"
        self.assertEqual(signals.merkle_root(b""), "0" * 64)
        self.assertEqual(signals.merkle_root(a), sha(a))
        left = sha((sha(a) + sha(b)).encode())
        self.assertEqual(signals.merkle_root(a + b), left)
        right = sha((sha(c) + sha(c)).encode())
        self.assertEqual(signals.merkle_root(a + b + c), sha((left + right).encode()))

    def test_this_zlib_is_the_reference_encoder(self):
        # zlib-ng and others write other lengths; r would differ from what agents in the field send.
        raw = signals.raw_rows(group_signals.STREAMS["sample"][1])
        self.assertEqual(len(raw), 12899)
        self.assertEqual(signals.compressed_len(raw), REFERENCE_SAMPLE_LEN, zlib.ZLIB_RUNTIME_VERSION)

    def test_directions_are_unit_vectors_and_spread_out(self):
        generator = SplitMix64(3)
        mean = [0.0, 0.0, 0.0]
        for _ in range(4000):
            v = signals.direction(generator)
            self.assertAlmostEqual(sum(c * c for c in v), 1.0, places=8)
            mean = [m + c / 4000 for m, c in zip(mean, v)]
        self.assertLess(max(map(abs, mean)), 0.05)

    def test_points_in_one_place_are_coherent_and_spread_points_are_not(self):
        self.assertEqual(signals.coherence_along([(1.0, 2.0, 3.0)] * 5, (0.0, 0.6, 0.8)), 1.0)
        line = [(n / 100, 0.0, 0.0) for n in range(100)]
        self.assertLess(signals.coherence_along(line, (1.0, 0.0, 0.0)), 0.07)

    def test_cells_are_floored(self):
        self.assertEqual(signals.cells([(-0.1, 0.0, 0.0), (0.1, 0.0, 0.0)], 1), 2)
        self.assertEqual(signals.cells([(-0.0, 0.0, 0.0), (0.0, 0.0, 0.0)], 1), 1)

    def test_regime_thresholds_are_closed(self):
        self.assertEqual(signals.regime(1.5, 0.7), "sticky")
        self.assertEqual(signals.regime(2.6, 0.9), "non_sticky")
        self.assertEqual(signals.regime(2.5999999999999996, 0.9), "mixed")

    def test_budget_is_clamped(self):
        self.assertEqual(signals.budget(9.0, 0.0, 1.0), 1.0)
        self.assertEqual(signals.budget(0.0, 99.0, 0.0), 0.0)


# Length of the sample's zlib stream from zlib 1.2.13; 1.2.x and 1.3.x agree.
REFERENCE_SAMPLE_LEN = 3468
