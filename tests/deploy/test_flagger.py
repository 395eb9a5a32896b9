"""The manifests for Flagger, against the definitions of its own release; their queries by promtool; their criteria against those of the scripts."""

import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

import balanced
import chart
import rules

FLAGGER = chart.ROOT / "deploy/flagger"


def documents():
    return [it for path in sorted(FLAGGER.glob("*.yaml")) for it in yaml.safe_load_all(path.read_text())]


def closed(schema):
    """A schema in which an object with known fields has no others, as API servers prune or refuse them."""
    if isinstance(schema, list):
        return [closed(it) for it in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if "properties" in found and not found.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    return found


def rendered(query, interval="5m"):
    """A query as Flagger asks it."""
    known = {"namespace": "ingest", "target": "flk-live", "interval": interval}
    return re.sub(r"\{\{ (\w+) \}\}", lambda it: known[it[1]], query)


class Manifests(unittest.TestCase):
    def check(self, directory, manifests):
        """kubeconform's findings, with schemas of Flagger's definitions and of an API server."""
        for definition in yaml.safe_load_all(Path(os.environ["FLK_FLAGGER"], "artifacts/flagger/crd.yaml").read_text()):
            for version in definition["spec"]["versions"]:
                schema = closed(version["schema"]["openAPIV3Schema"])
                schema["properties"].update(metadata={"type": "object"}, apiVersion={"type": "string"}, kind={"type": "string"})
                name = f"{definition['spec']['names']['singular']}-flagger-{version['name']}.json"
                Path(directory, name).write_text(json.dumps(schema))
        version = os.environ["FLK_KUBERNETES"].split()[-1]
        ran = subprocess.run(
            [os.environ["FLK_KUBECONFORM"], "-strict", "-summary", "-output", "json", "-kubernetes-version", version, "-skip", "ServiceMonitor",
             "-schema-location", chart.schemas(directory, [version]), "-schema-location", f"{directory}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", manifests],
            capture_output=True, text=True)
        said = json.loads(ran.stdout)
        return said["summary"], [it["msg"] for it in said["resources"] or []]

    def test_flagger_and_the_api_server_know_every_field(self):
        with tempfile.TemporaryDirectory() as directory:
            summary, wrong = self.check(directory, str(FLAGGER))
        self.assertEqual(wrong, [])
        self.assertEqual((summary["valid"], summary["skipped"]), (5, 1))

    def test_an_unknown_field_is_found(self):
        with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as manifests:
            text = (FLAGGER / "canary.yaml").read_text()
            Path(manifests, "canary.yaml").write_text(text.replace("threshold:", "threshhold:"))
            _, wrong = self.check(directory, manifests)
        self.assertIn("threshhold", " ".join(wrong))

    def test_the_prometheus_operator_knows_every_field_of_its_kind(self):
        ran = subprocess.run([os.environ["FLK_OPERATOR"]], input=(FLAGGER / "live.yaml").read_text(), capture_output=True, text=True)
        self.assertEqual((ran.returncode, ran.stdout.split()), (0, ["ServiceMonitor"]), ran.stderr)

    def test_the_service_selects_pods_of_the_chart(self):
        [service] = [it for it in documents() if it["kind"] == "Service"]
        made = chart.helm("template", "flk-blue", str(chart.CHART), "--namespace", "ingest", *chart.KUBERNETES).stdout
        [pods] = [it for it in yaml.safe_load_all(made) if it and it["kind"] == "StatefulSet"]
        self.assertLessEqual(service["spec"]["selector"].items(), pods["spec"]["template"]["metadata"]["labels"].items())


class Criteria(unittest.TestCase):
    def setUp(self):
        [self.canary] = [it for it in documents() if it["kind"] == "Canary"]
        self.templates = {it["metadata"]["name"]: it["spec"]["query"] for it in documents() if it["kind"] == "MetricTemplate"}

    def test_every_metric_is_one_of_the_registry(self):
        for name, query in self.templates.items():
            self.assertTrue(rules.names(rendered(query)), name)
            self.assertLessEqual(rules.names(rendered(query)), rules.series(), name)

    def test_the_queries_count_what_they_say_and_the_release_that_is_tried_only(self):
        tried = 'namespace="ingest",service="flk-live-canary"'
        series = [
            (f'http_requests_total{{{tried},code="200"}}', "0+540x20"), (f'http_requests_total{{{tried},code="503"}}', "0+60x20"),
            (f"flk_ingest_total{{{tried}}}", "0+600x20"), (f"flk_escalated{{{tried}}}", "0+30x20"),
            (f'http_request_duration_seconds_bucket{{{tried},le="0.1"}}', "0+570x20"), (f'http_request_duration_seconds_bucket{{{tried},le="+Inf"}}', "0+600x20"),
            # the release that serves has errors only
            ('http_requests_total{namespace="ingest",service="flk-live-primary",code="503"}', "0+600x20"),
            ('flk_escalated{namespace="ingest",service="flk-live-primary"}', "0+600x20"),
        ]
        expected = {"flk-errors": 10, "flk-escalations": 5, "flk-p95": 0.1}
        self.assertEqual(set(expected), set(self.templates))
        test = {
            "interval": "1m", "input_series": [{"series": name, "values": values} for name, values in series],
            "promql_expr_test": [{"expr": rendered(query), "eval_time": "15m", "exp_samples": [{"labels": "{}", "value": expected[name]}]}
                                 for name, query in self.templates.items()],
        }
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "tests.yml")
            path.write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "1m", "tests": [test]}))
            ran = subprocess.run([os.environ["FLK_PROMTOOL"], "test", "rules", str(path)], capture_output=True, text=True)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_limits_and_times_are_those_of_the_scripts(self):
        ran = subprocess.run([balanced.SCRIPTS / "canary", "--help"], capture_output=True, text=True, env={**os.environ, "COLUMNS": "500"})
        default = dict(re.findall(r"--(\S+-max|steps) \w+ .*\((\S+)\)$", ran.stdout, re.M))
        analysis = self.canary["spec"]["analysis"]
        limits = {it["name"]: it["thresholdRange"]["max"] for it in analysis["metrics"]}
        self.assertEqual(f"{limits['errors']}%", default["errors-max"])
        self.assertEqual(f"{limits['p95'] * 1000:.0f}ms", default["p95-max"])
        self.assertEqual({it["templateRef"]["name"] for it in analysis["metrics"]}, set(self.templates))
        # what is held: as many looks as there are weights beside each other, each as long as the interval
        self.assertEqual(analysis["stepWeights"], sorted(set(analysis["stepWeights"])), "equal steps stop Flagger")
        minutes = int(analysis["interval"].removesuffix("m"))
        held = [(percent, minutes * sum(percent <= it < percent + 20 if percent > 1 else it < 10 for it in analysis["stepWeights"])) for percent in (1, 10, 50)]
        self.assertEqual(",".join(f"{percent}:{f'{minutes // 60}h' if minutes >= 60 else f'{minutes}m'}" for percent, minutes in held) + ",100:5m", default["steps"])


if __name__ == "__main__":
    unittest.main()
