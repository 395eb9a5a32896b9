"""The growth of memory: a leak is seen, and tables that fill are none."""

import os
import unittest

from harness import watch


def samples(seconds, mib_per_minute):
    return [(t, 100 * watch.MIB + mib_per_minute * watch.MIB * t / 60) for t in range(0, seconds + 1, 5)]


class Growth(unittest.TestCase):
    def test_a_slope_is_that_of_the_line(self):
        for slope in (0, 0.4, 3, -1):
            self.assertAlmostEqual(watch.slope_mib_per_minute(samples(3600, slope)), slope)

    def test_a_start_does_not_count(self):
        grown = [(t, min(t, 50) * watch.MIB) for t in range(0, 3600, 5)]
        self.assertEqual(watch.slope_mib_per_minute(grown), 0)

    def test_a_leak_breaks_the_gate_and_less_does_not(self):
        self.assertIs(watch.slope_verdict(samples(3600, watch.SLOPE_MIB_PER_MINUTE_MAX * 1.1))[1], False)
        self.assertIs(watch.slope_verdict(samples(3600, watch.SLOPE_MIB_PER_MINUTE_MAX * 0.9))[1], True)

    def test_a_short_run_is_not_judged(self):
        self.assertIsNone(watch.slope_verdict(samples(60, 1000))[1])
        self.assertIsNone(watch.slope_verdict([])[1])

    def test_tables_of_all_shards_are_added_and_nothing_else(self):
        page = "\n".join(
            (
                "# HELP flk_dedup_bytes Bytes of the dedup tables.",
                'flk_dedup_bytes{shard="0"} 100',
                'flk_dedup_bytes{shard="1"} 20',
                'flk_dedup_bytes_max{shard="0"} 5000',
                "flk_slice_memory_bytes 3",
            )
        )
        self.assertEqual(watch.tables_bytes(page), 123)

    def test_a_process_is_read(self):
        self.assertGreaterEqual(watch.cpu_s(os.getpid()), 0)
        rss, anonymous = watch.memory_bytes(os.getpid())
        self.assertGreater(rss, anonymous)
        self.assertGreater(anonymous, 0)


if __name__ == "__main__":
    unittest.main()
