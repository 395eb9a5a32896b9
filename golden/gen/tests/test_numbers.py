"""Number texts against slower twins."""

import json
import math
import unittest
from fractions import Fraction

from gen import group_numbers
from gen.number_text import bits, fixed9, from_bits, round9, shortest
from gen.splitmix import SplitMix64


def naive_shortest_digits(value):
    """The fewest significant digits that read back, by trying."""
    return next(n for n in range(1, 18) if float("%.*e" % (n - 1, value)) == value)


def naive_round9(value):
    """Half away from zero on the digits of the shortest text, with integers only."""
    text = Fraction(repr(value))
    scaled = abs(text) * 10**9
    whole = scaled.numerator // scaled.denominator
    if (scaled - whole) * 2 >= 1:
        whole += 1
    rounded = float(Fraction(whole, 10**9))
    return math.copysign(rounded, value)


class Numbers(unittest.TestCase):
    def test_shortest_text_reads_back_and_has_no_digit_too_many(self):
        for value in group_numbers.values():
            text = shortest(value)
            self.assertEqual(bits(float(text)), bits(value))
            digits = text.lstrip("-").split("e")[0].replace(".", "").lstrip("0").rstrip("0")
            if value and abs(value) >= 2.3e-308:
                self.assertEqual(len(digits), len(("%.*e" % (naive_shortest_digits(value) - 1, value)).lstrip("-").split("e")[0].replace(".", "").rstrip("0")))

    def test_rounding_equals_its_integer_twin(self):
        for value in group_numbers.values():
            self.assertEqual(bits(round9(value)), bits(naive_round9(value)), value)

    def test_rounding_is_decided_on_the_text_not_on_the_binary_value(self):
        self.assertEqual(round9(0.1234567885), 0.123456789)
        self.assertNotEqual(round(0.1234567885, 9), 0.123456789)

    def test_rounding_twice_changes_nothing(self):
        for value in group_numbers.values():
            self.assertEqual(bits(round9(round9(value))), bits(round9(value)))

    def test_zero_keeps_its_sign(self):
        self.assertEqual(shortest(round9(-1e-10)), "-0.0")
        self.assertEqual(fixed9(-1e-10), "-0.000000000")
        self.assertEqual(shortest(round9(0.0)), "0.0")

    def test_exponent_form_starts_below_1e_minus_4_and_at_1e16(self):
        for text in ("0.0001", "1e-05", "1e-09", "1e+16", "9999999999999998.0", "1e-100"):
            self.assertEqual(shortest(float(text)), text)

    def test_fixed_form_is_the_rounded_double_in_exact_binary(self):
        for value in group_numbers.values():
            exact = Fraction(round9(value)) * 10**9
            self.assertEqual(Fraction(fixed9(value)) * 10**9, round(exact))

    def test_bits_name_the_double(self):
        generator = SplitMix64(1)
        for _ in range(100):
            text = "%016x" % (generator.next() >> 2)
            self.assertEqual(bits(from_bits(text)), text)

    def test_json_agrees_on_every_text(self):
        for value in group_numbers.values():
            self.assertEqual(json.dumps(value), shortest(value))
