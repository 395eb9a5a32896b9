"""What a scenario needs, against what it can do at most."""

import unittest

from harness import plan


class Plans(unittest.TestCase):
    def test_durations_of_k6_are_read_and_nothing_else(self):
        for text, expect in (("5m0s", 300), ("1h0m0s", 3600), ("12s", 12), ("1714ms", 1.714), ("1m30s", 90)):
            self.assertAlmostEqual(plan.seconds(text), expect)
        for text in ("", "5", "5 m", "m", "-1s", "1d"):
            with self.assertRaises(ValueError):
                plan.seconds(text)

    def test_an_open_loop_needs_a_record_for_each_arrival(self):
        scenario = {"executor": "constant-arrival-rate", "rate": 10_000, "timeUnit": "1s", "duration": "1m0s"}
        self.assertEqual(plan.requests_max(scenario), 600_001)

    def test_users_need_no_more_than_they_can_send(self):
        stages = [{"duration": "1m0s", "target": 100}, {"duration": "5m0s", "target": 100}, {"duration": "1m0s", "target": 0}]
        needed = plan.requests_max({"executor": "ramping-vus", "startVUs": 0, "stages": stages})
        self.assertGreater(needed, 360_000)
        self.assertLess(needed, 362_000)
        self.assertEqual(plan.requests_max({"executor": "constant-vus", "vus": 50, "duration": "1h0m0s"}), 1_800_050)

    def test_an_unknown_executor_is_refused(self):
        with self.assertRaises(plan.Refused):
            plan.requests_max({"executor": "per-vu-iterations"})

    def test_each_file_of_a_scenario_has_its_part(self):
        options = {"scenarios": {"any": {"executor": "constant-arrival-rate", "rate": 1000, "duration": "3s"}}}
        self.assertEqual(plan.fixtures("spike", options), {"new": 3002})
        self.assertEqual(plan.fixtures("bad-signatures", options), {"new": 3002, "bad": 302})
        self.assertEqual(plan.fixtures("mixed-tenants", options), {f"tenant-{it}": 1002 for it in (1, 2, 3)})

    def test_more_records_than_memory_are_refused(self):
        records = 1_000_000
        plan.check_memory(records, None)
        plan.check_memory(records, 2 * records * plan.RECORD_MEMORY_BYTES)
        with self.assertRaises(plan.Refused):
            plan.check_memory(records, 2 * records * plan.RECORD_MEMORY_BYTES - 2)

    def test_only_this_machine_is_loaded_unless_asked_for(self):
        for url in ("http://127.0.0.1:8080", "http://127.3.2.1", "http://localhost:1/", "http://[::1]:8080"):
            plan.check_target(url, is_remote_allowed=False)
        for url in ("http://192.168.0.1:8080", "http://gateway.example", "http://localhost.example", "http://[::2]:8080"):
            plan.check_target(url, is_remote_allowed=True)
            with self.assertRaises(plan.Refused):
                plan.check_target(url, is_remote_allowed=False)
        for url in ("", "127.0.0.1:8080", "https://127.0.0.1", "http://"):
            with self.assertRaises(plan.Refused):
                plan.check_target(url, is_remote_allowed=True)

    def test_both_sides_have_cpus_of_their_own_where_there_are_two(self):
        self.assertEqual(plan.cpus({3}), ([3], [3]))
        self.assertEqual(plan.cpus({0, 1}), ([0], [1]))
        self.assertEqual(plan.cpus({4, 2, 9}), ([2], [4, 9]))


if __name__ == "__main__":
    unittest.main()
