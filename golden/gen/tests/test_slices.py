"""Decisions of a key: the fold against its words, and digests that do not see how decisions are spread over slices."""

import itertools
import unittest

from gen import slice_bytes, wal


def row(at, origin, digest, expiry):
    return {"decided_at": at, "origin": origin, "digest": digest * 32, "expiry": expiry}


class Slices(unittest.TestCase):
    def test_the_first_of_overlapping_lives_stands_until_the_later_expiry(self):
        rows = [row(10, 1, "aa", 100), row(10, 0, "bb", 50), row(40, 0, "00", 120)]
        for order in itertools.permutations(rows):
            standing, ignored = slice_bytes.fold(order)
            self.assertEqual(standing, rows[1] | {"expiry": 120})
            self.assertEqual(len(ignored), 2)

    def test_a_decision_at_the_expiry_begins_a_new_life(self):
        self.assertEqual(slice_bytes.fold([row(10, 0, "aa", 50), row(50, 9, "bb", 60)]), (row(50, 9, "bb", 60), []))

    def test_one_decision_met_twice_is_one(self):
        self.assertEqual(slice_bytes.fold([row(10, 0, "aa", 50)] * 2), (row(10, 0, "aa", 50), []))

    def test_sums_of_parts_are_the_sums_of_the_whole(self):
        rows = [wal.decision(name, 0, 28_000_000 + at) for at, name in enumerate(("sticky", "mixed", "non_sticky", "epoch_zero"))]
        rows = [one | {"key": slice_bytes.key_of(wal.SECRET_KEY, one["tenant"], one["pcs_id"]) >> 10 << 10} for one in rows]
        whole = slice_bytes.digests(rows)
        for cut in range(len(rows) + 1):
            sums = {}
            for part in (rows[:cut], rows[cut:]):
                for place, (count, total) in slice_bytes.digests(part).items():
                    before = sums.get(place, (0, 0))
                    sums[place] = (before[0] + count, (before[1] + total) % (1 << 128))
            self.assertEqual(sums, whole)
