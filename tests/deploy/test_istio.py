"""Weights of an Istio VirtualService: the example and every state that the driver makes of it, against the definitions of Istio's own API. The
API server is played by a file and a program that applies patches to it; no Istio runs here."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import yaml

import balanced
import chart
from test_flagger import closed

sys.path.insert(0, str(balanced.SCRIPTS))
from rollout.istio import Istio  # noqa: E402
from rollout.terms import Failed, Refused  # noqa: E402

EXAMPLE = chart.ROOT / "deploy/istio/virtual-service.yaml"

# What kubectl does here: shows the object, and applies the patches test and add to it, all or none.
KUBECTL = '''
import json, sys
path, arguments = sys.argv[1], sys.argv[2:]
state = json.load(open(path))
if "patch" in arguments:
    def at(path):
        *way, last = path.strip("/").split("/")
        found = state
        for it in way:
            found = found[int(it)] if isinstance(found, list) else found[it]
        return found, last
    for it in json.loads(arguments[arguments.index("--patch") + 1]):
        where, last = at(it["path"])
        if it["op"] == "test" and where.get(last) != it["value"]:
            sys.exit("the server rejected our request due to an error in our request")
        if it["op"] == "add":
            where[last] = it["value"]
    state["metadata"]["resourceVersion"] = str(int(state["metadata"]["resourceVersion"]) + 1)
    json.dump(state, open(path, "w"))
print(json.dumps(state))
'''


def documents():
    return list(yaml.safe_load_all(EXAMPLE.read_text()))


def check(*manifests):
    """What kubeconform finds in them, with the definitions of Istio's API."""
    with tempfile.TemporaryDirectory() as directory:
        for definition in yaml.safe_load_all(Path(os.environ["FLK_ISTIO"], "kubernetes/customresourcedefinitions.gen.yaml").read_text()):
            for version in definition["spec"]["versions"]:
                schema = closed(version["schema"]["openAPIV3Schema"])
                schema["properties"].update(metadata={"type": "object"}, apiVersion={"type": "string"}, kind={"type": "string"})
                kind, group = definition["spec"]["names"]["kind"].lower(), definition["spec"]["group"].split(".")[0]
                Path(directory, f"{kind}-{group}-{version['name']}.json").write_text(json.dumps(schema))
        found = Path(directory, "manifests.yaml")
        found.write_text(yaml.safe_dump_all(manifests))
        ran = subprocess.run([os.environ["FLK_KUBECONFORM"], "-strict", "-summary", "-output", "json",
                              "-schema-location", f"{directory}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", found], capture_output=True, text=True)
    said = json.loads(ran.stdout)
    return said["summary"]["valid"], [it["msg"] for it in said["resources"] or []]


class Example(unittest.TestCase):
    def test_istio_knows_every_field(self):
        self.assertEqual(check(*documents()), (3, []))

    def test_an_unknown_field_and_a_weight_that_is_no_number_are_found(self):
        [service, *_] = documents()
        service["spec"]["http"][0]["retires"] = {}
        self.assertIn("retires", " ".join(check(service)[1]))
        [service, *_] = documents()
        service["spec"]["http"][0]["route"][0]["weight"] = "much"
        self.assertIn("weight", " ".join(check(service)[1]))

    def test_destinations_are_services_of_two_releases_of_the_chart(self):
        [service, *rules] = documents()
        for colour, it in zip(("blue", "green"), service["spec"]["http"][0]["route"]):
            made = chart.helm("template", f"flk-{colour}", str(chart.CHART), "--namespace", "ingest", *chart.KUBERNETES).stdout
            ports = {found["metadata"]["name"]: [port["port"] for port in found["spec"]["ports"]]
                     for found in yaml.safe_load_all(made) if found and found["kind"] == "Service"}
            self.assertIn(it["destination"]["port"]["number"], ports[it["destination"]["host"]])
        self.assertEqual([it["spec"]["host"] for it in rules], ["flk-blue", "flk-green"])


class Moved(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.state = Path(directory.name, "state.json")
        program = Path(directory.name, "kubectl.py")
        program.write_text(KUBECTL)
        self.driver = Istio("flk-live", "ingest", "app.kubernetes.io/instance", {"blue": "flk-blue", "green": "flk-green"})
        self.driver.kubectl = [sys.executable, str(program), str(self.state)]
        [self.service, *_] = documents()
        self.put()

    def put(self):
        self.service["metadata"]["resourceVersion"] = "7"
        self.state.write_text(json.dumps(self.service))

    def routes(self):
        return self.service["spec"]["http"]

    def test_each_step_of_a_canary_is_a_state_that_istio_takes(self):
        self.assertEqual(self.driver.shares(), {"blue": 100, "green": 0})
        states = []
        for percent in (1, 10, 50, 100):
            self.driver.share("green", percent)
            self.assertEqual(self.driver.shares(), {"blue": 100 - percent, "green": percent})
            states.append(json.loads(self.state.read_text()))
        self.driver.share("blue", 100)
        self.assertEqual(self.driver.shares(), {"blue": 100, "green": 0})
        for number, it in enumerate(states):
            it["metadata"]["name"] = f"state-{number}"
        self.assertEqual(check(*states), (4, []))

    def test_all_routes_change_in_one_step_however_their_destinations_are_named(self):
        other = {"route": [{"destination": {"host": "flk-green.ingest.svc.cluster.local"}}, {"destination": {"host": "flk", "subset": "flk-blue"}, "weight": 100}]}
        self.routes().append(other)
        self.put()
        self.driver.share("green", 10)
        changed = json.loads(self.state.read_text())
        weights = [[it["weight"] for it in route["route"]] for route in changed["spec"]["http"]]
        self.assertEqual((weights, changed["metadata"]["resourceVersion"]), ([[90, 10], [10, 90]], "8"))

    def test_what_is_not_known_is_refused(self):
        cases = [
            (lambda: self.routes().clear(), "has no http routes"),
            (lambda: self.routes()[0]["route"].pop(), "has to have two destinations, flk-blue and flk-green"),
            (lambda: self.routes()[0]["route"].append({"destination": {"host": "flk-red"}}), "is of no colour.*flk-red"),
            (lambda: self.routes()[0]["route"].append({"destination": {"host": "flk-blue.ingest"}}), "two of one.*flk-blue.ingest"),
            (lambda: self.routes()[0]["route"][0].update(weight=0), "no destination .* has a weight"),
            (lambda: self.routes().append({"route": [{**it, "weight": 50} for it in self.routes()[0]["route"]]}), "different weights"),
        ]
        for change, message in cases:
            with self.subTest(message):
                [self.service, *_] = documents()
                change()
                self.put()
                with self.assertRaisesRegex(Refused, message):
                    self.driver.shares()

    def test_a_change_that_came_in_between_is_not_overwritten(self):
        read = self.driver.read

        def late():
            """Read, a moment before another command wrote."""
            found = read()
            self.service["metadata"]["resourceVersion"] = "8"
            self.state.write_text(json.dumps(self.service))
            return found

        self.driver.read = late
        with self.assertRaises(Failed):
            self.driver.share("green", 10)
        self.driver.read = read
        self.assertEqual(self.driver.shares(), {"blue": 100, "green": 0})

    def test_pods_of_a_colour_are_found_by_their_label_alone(self):
        self.state.write_text(json.dumps({"items": [{"metadata": {"name": "flk-green-0"}, "status": {"phase": "Running", "podIP": "10.0.0.7"}, "spec": {"containers": []}}]}))
        self.assertEqual(self.driver.urls("green"), ["http://10.0.0.7:8080"])
        self.assertEqual(self.driver.ready("green"), "not ready: flk-green-0")


if __name__ == "__main__":
    unittest.main()
