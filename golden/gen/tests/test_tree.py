"""The tree as a whole: expectations hold, names are unique, every status is there."""

import json
import pathlib
import tempfile
import unittest

from gen import build_tree, judge, records


class Tree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tree = build_tree.build()

    def test_there_are_at_least_sixty_bodies_and_each_escalation(self):
        cases = records.all_cases()
        self.assertGreaterEqual(len(cases), 60)
        self.assertEqual({c.reason for c in cases} - {None},
                         {"d_hat_out_of_tolerance", "coh_star_out_of_bounds", "regime_mismatch", "budget_deviation", "degraded"})
        self.assertEqual({c.code for c in cases} - {None},
                         {"malformed_json", "missing_field", "invalid_field", "unsupported_schema", "unsupported_version", "pcs_id_mismatch", "signature_invalid"})

    def test_a_changed_expectation_would_be_noticed(self):
        case = records.all_cases()[0]
        answer = judge.judge(case.body.replace(b'"r": 0.5', b'"r": 0.6'), case.scheme, case.keys)
        self.assertEqual((answer.status, answer.code), (401, "signature_invalid"))

    def test_every_file_that_a_scenario_sends_exists(self):
        for path, data in self.tree.files.items():
            if path.startswith("http/") and path.count("/") == 1:
                for step in json.loads(data)["steps"]:
                    for part in step["send"]:
                        self.assertIn(part.get("file", path), self.tree.files)

    def test_no_two_scenarios_share_an_id(self):
        owners = {}
        for path, data in self.tree.files.items():
            if path.startswith("http/") and path.count("/") == 1:
                for step in json.loads(data)["steps"]:
                    for response in step["responses"]:
                        if response.get("body", "").startswith("{"):
                            one = json.loads(response["body"])["pcs_id"]
                            self.assertEqual(owners.setdefault(one, path), path)

    def test_writing_removes_what_is_no_longer_generated(self):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            (root / "records").mkdir()
            (root / "records" / "stale.json").write_bytes(b"{}")
            self.assertIn("not generated: records/stale.json", self.tree.differences(root))
            self.tree.write(root)
            self.assertEqual(self.tree.differences(root), [])
