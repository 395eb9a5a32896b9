"""Rules and dashboards, read by promtool; their metrics are those of the registry, and every link leads somewhere."""

import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

import alerts
import chart
import rules


def promtool(*arguments):
    return subprocess.run([os.environ["FLK_PROMTOOL"], *arguments], capture_output=True, text=True)


class Rules(unittest.TestCase):
    def test_promtool_finds_nothing_to_mend(self):
        ran = promtool("check", "rules", "--lint=all", "--lint-fatal", str(rules.RULES))
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        # The credentials of the example are files that this machine does not have.
        with tempfile.TemporaryDirectory() as directory:
            text = (chart.ROOT / "deploy/prometheus/prometheus.yml").read_text()
            Path(directory, "prometheus.yml").write_text(text.replace("/etc/prometheus", directory))
            Path(directory, "rules.yml").write_text(rules.RULES.read_text())
            Path(directory, "flk-observer.token").write_text("token")
            ran = promtool("check", "config", str(Path(directory, "prometheus.yml")))
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_each_alert_is_quiet_waits_fires_and_resolves(self):
        found = {rule["alert"]: rule for rule in rules.alerts()}
        self.assertEqual(set(found), set(alerts.CASES))
        for name, case in alerts.CASES.items():
            with self.subTest(name):
                ran = self.unit_test(found[name], alerts.unit_test(found[name], case), case.step)
                self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    @staticmethod
    def unit_test(rule, test, step=1):
        """A test of promtool with one alert and the recording rules that it needs: others would only take time."""
        with tempfile.TemporaryDirectory() as directory:
            groups = rules.groups_for(rule)
            Path(directory, "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
            tests = {"rule_files": ["rules.yml"], "evaluation_interval": f"{step}m", "tests": [test]}
            # recording rules first: an alert whose rule was last evaluated a step ago would see nothing
            tests["group_eval_order"] = [it["name"] for it in groups]
            path = Path(directory, "tests.yml")
            path.write_text(yaml.safe_dump(tests))
            return promtool("test", "rules", str(path))

    def test_an_alert_that_does_not_fire_is_found(self):
        [rule] = [it for it in rules.alerts() if it["alert"] == "FLKBackendDown"]
        case = alerts.gauge(f"up{{{alerts.GATEWAY}}}", 1, 1)
        self.assertEqual(self.unit_test(rule, alerts.unit_test(rule, case)).returncode, 1)

    def test_what_a_page_says_is_a_sentence(self):
        """Templates of annotations: what Prometheus makes of them."""
        up = f"up{{{alerts.GATEWAY}}}"
        labels = dict(re.findall(r'(\w+)="([^"]*)"', alerts.GATEWAY))
        [rule] = [it for it in rules.alerts() if it["alert"] == "FLKBackendDown"]
        expected = {"exp_labels": {**labels, **rule["labels"]},
                    "exp_annotations": {**rule["annotations"], "description": "a has not answered Prometheus for a minute."}}
        test = {"interval": "1m", "input_series": [{"series": up, "values": "0x10"}],
                "alert_rule_test": [{"eval_time": "5m", "alertname": "FLKBackendDown", "exp_alerts": [expected]}]}
        ran = self.unit_test(rule, test)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_each_alert_says_how_bad_where_and_what_to_do(self):
        for rule in rules.alerts():
            name, notes = rule["alert"], rule["annotations"]
            self.assertRegex(name, r"^FLK[A-Z]")
            self.assertIn(rule["labels"]["severity"], ("page", "critical", "warning", "info"), name)
            self.assertEqual(set(rule["labels"]), {"severity", "component"}, name)
            self.assertEqual(set(notes), {"summary", "description", "runbook_url", "dashboard"}, name)
            self.assertTrue("$value" in notes["description"] or "$labels" in notes["description"] or name == "FLKNoTargets", name)
            self.assertTrue((chart.ROOT / notes["runbook_url"]).is_file(), f"{name}: {notes['runbook_url']}")

    def test_every_runbook_of_an_alert_names_it(self):
        for rule in rules.alerts():
            page = (chart.ROOT / rule["annotations"]["runbook_url"]).read_text()
            self.assertIn(f"`{rule['alert']}`", page, rule["annotations"]["runbook_url"])

    def test_the_pages_name_no_alert_that_is_not_there(self):
        known = {rule["alert"] for rule in rules.alerts()}
        for path in (chart.ROOT / "docs").rglob("*.md"):
            named = set(re.findall(r"`(FLK[A-Z]\w+)`", path.read_text())) - {it for it in ("FLK_CORES",)}
            self.assertLessEqual({it for it in named if "_" not in it}, known, path)


class Names(unittest.TestCase):
    """An unknown metric or label fails here, before a dashboard is empty."""

    def test_every_query_parses(self):
        groups = [{"name": f"query-{at}", "rules": [{"record": "query", "expr": rules.without_variables(query)}]}
                  for at, (_, query) in enumerate(rules.expressions())]
        self.assertGreater(len(groups), 150)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "queries.yml")
            path.write_text(yaml.safe_dump({"groups": groups}))
            ran = promtool("check", "rules", "--lint=none", str(path))
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_every_metric_is_one_of_the_registry(self):
        known = rules.series() | rules.recorded() | set(rules.FOREIGN)
        used = set()
        for where, query in rules.expressions():
            names = rules.names(rules.without_variables(query))
            self.assertLessEqual(names, known, f"{where}: {query}")
            used |= names
        self.assertLessEqual(set(rules.FOREIGN) - {"ALERTS"}, used, "foreign metrics that nothing uses")

    def test_a_name_that_is_not_there_is_found(self):
        self.assertEqual(rules.names('sum by (le) (rate(flk_nothing_bucket{job="flk"}[5m])) / on (pod) group_left () flk_shards > 1e3'),
                         {"flk_nothing_bucket", "flk_shards"})

    def test_every_label_is_one_of_its_metric(self):
        target = {"job", "namespace", "instance", "pod", "le"}
        registry = rules.registry()
        for where, query in rules.expressions():
            for name, selected in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", query):
                metric = registry.get(re.sub(r"_(bucket|sum|count)$", "", name)) or registry.get(name)
                if metric:
                    own = {it["ref"] for it in metric.get("attributes", [])}
                    self.assertLessEqual(set(re.findall(r"(\w+)\s*[=!]~?", selected)), own | target, f"{where}: {name}")

    def test_the_pages_name_no_metric_that_is_not_there(self):
        known = rules.series() | set(rules.registry())
        for path in sorted((chart.ROOT / "docs/runbooks").glob("*.md")):
            text = path.read_text()
            named = set(re.findall(r"(?<![\w:.])(?:flk|http_request|process)s?_[a-z0-9_]+", text))
            beginnings = {it for it in named if any(name.startswith(it) for name in known)}
            self.assertLessEqual(named - beginnings, set(rules.FOREIGN), path.name)
            self.assertLessEqual(set(re.findall(r"\b(?:job|instance):\w+:\w+", text)), rules.recorded(), path.name)

    def test_what_an_alert_counts_is_there_from_the_start(self):
        """A label that appears with the first error has no rate before it; these have a fixed set of values from the start."""
        fixed = {"code", "shard", "le", "reason", "regime", "stage", "result"}
        by_configuration = {"tenant", "key", "params", "hold", "number"}
        registry = rules.registry()
        for rule in rules.alerts():
            for name in rules.names(rule["expr"]) & set(registry):
                own = {it["ref"] for it in registry[name].get("attributes", [])}
                self.assertLessEqual(own, fixed | by_configuration, f"{rule['alert']}: {name}")


class Dashboards(unittest.TestCase):
    def test_they_are_what_the_generator_makes(self):
        before = {path.name: path.read_text() for path in rules.dashboards()}
        with tempfile.TemporaryDirectory() as directory:
            program = f"import sys; sys.path.insert(0, {str(chart.ROOT / 'deploy/grafana')!r}); import make; from pathlib import Path; " \
                      f"make.TARGET = Path({directory!r}); make.main()"
            subprocess.run(["python3", "-B", "-c", program], check=True)
            made = {path.name: path.read_text() for path in Path(directory).iterdir()}
        self.assertEqual(made, before, "python3 deploy/grafana/make.py")

    def test_each_panel_says_what_good_is_and_where_to_go(self):
        uids = {}
        for path in rules.dashboards():
            board = json.loads(path.read_text())
            uids[board["uid"]] = board
            ids = [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(ids), len(set(ids)), path.name)
            for panel in board["panels"]:
                self.assertTrue(panel["description"], panel["title"])
                self.assertTrue(panel["targets"], panel["title"])
                for link in panel.get("links", []):
                    self.assertTrue((chart.ROOT / link["url"]).is_file(), f"{path.name}: {link['url']}")
            taken = set()
            for panel in board["panels"]:
                at = panel["gridPos"]
                cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
                self.assertFalse(cells & taken, f"{path.name}: {panel['title']} overlaps")
                self.assertLessEqual(at["x"] + at["w"], 24)
                taken |= cells
        self.assertGreaterEqual(len(uids["flk-overview"]["panels"]), 11)
        self.assertEqual((uids["flk-overview"]["refresh"], uids["flk-overview"]["time"]["from"]), ("30s", "now-24h"))
        for rule in rules.alerts():
            self.assertIn(rule["annotations"]["dashboard"], uids, rule["alert"])


if __name__ == "__main__":
    unittest.main()
