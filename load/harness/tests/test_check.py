"""The check of a scenario sees what is missing, and a wrong answer is seen as one."""

import copy
import unittest

from harness import answers, check, runs


def options(scenario):
    return {
        "scenarios": {scenario: {"executor": "constant-arrival-rate", "rate": 10, "duration": "1s"}},
        "thresholds": copy.deepcopy(check.PUBLISHED),
    }


class Checks(unittest.TestCase):
    def test_a_scenario_with_the_published_gates_has_no_fault(self):
        self.assertEqual(check.faults("spike", options("spike"), "published"), [])

    def test_each_gate_that_is_missing_or_weaker_is_a_fault(self):
        for name in check.PUBLISHED:
            without, weaker = options("spike"), options("spike")
            del without["thresholds"][name]
            weaker["thresholds"][name][0] += "0"
            for wrong in (without, weaker):
                self.assertEqual(len(check.faults("spike", wrong, "published")), 1, name)

    def test_stricter_levels_add_bounds(self):
        self.assertEqual(len(check.faults("spike", options("spike"), "strict")), 1)
        self.assertEqual(len(check.faults("steady-1k-5m", options("steady-1k-5m"), "own")), 2)

    def test_a_scenario_of_another_name_is_a_fault(self):
        self.assertEqual(len(check.faults("spike", options("burst"), "published")), 1)

    def test_slices_are_of_scenarios_that_exist(self):
        self.assertLessEqual({*runs.SLICES, runs.WRONG_KEY[0]}, set(check.SCENARIOS))


class Answers(unittest.TestCase):
    RECORD = {"pcs_id": "a", "regime": "mixed", "epoch": 1}

    def test_the_answer_to_a_new_record_has_its_id_and_regime(self):
        self.assertIsNone(answers.fault(self.RECORD, 200, "miss", '{"pcs_id":"a","regime":"mixed"}'))

    def test_anything_else_is_wrong(self):
        right = '{"pcs_id":"a","regime":"mixed"}'
        for status, dedup, text in (
            (202, "miss", right),
            (401, None, "{}"),
            (0, None, ""),
            (200, "hit", right),
            (200, "miss", '{"pcs_id":"b","regime":"mixed"}'),
            (200, "miss", '{"pcs_id":"a","regime":"sticky"}'),
            (200, "miss", '{"pcs_id":"a"}'),
        ):
            self.assertIsNotNone(answers.fault(self.RECORD, status, dedup, text), (status, dedup, text))


if __name__ == "__main__":
    unittest.main()
