"""blue-green and rollback by the selector of a Service, in a real Kubernetes control plane, with real gateways. Pods are played by kwok, so the
gateways are reached by --url, and senders send to them directly. `make test-roll-kube` runs it."""

import os
import subprocess
import sys
import tempfile
import unittest

import balanced
import cluster
from balanced import Gateways, Installer, Scripts, Senders, wait

sys.path.insert(0, str(balanced.SCRIPTS))
from rollout.kubernetes import Kubernetes  # noqa: E402
from rollout.terms import Failed  # noqa: E402

NAMESPACE = "roll-out"
INSTANCE = "app.kubernetes.io/instance"


def pod_of(colour, **annotations):
    """A pod as the chart labels it."""
    labels = {"app.kubernetes.io/name": "flk", INSTANCE: f"flk-{colour}"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"flk-{colour}-0", "labels": labels, "annotations": annotations}, "spec": cluster.PAUSE}


class Selected(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.records = balanced.records()
        cls.cluster = cluster.shared()
        cls.cluster.namespace(NAMESPACE)
        cls.cluster.create(pod_of("blue"), pod_of("green"), namespace=NAMESPACE)

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.gateways = Gateways(directory.name, ["blue", "green"])
        self.addCleanup(self.gateways.end)
        self.gateways.releases["better"] = {}
        self.gateways.up()
        installer = Installer(self.gateways)
        self.addCleanup(installer.end)
        urls = [f"--url={name}=http://127.0.0.1:{port}" for name, port in self.gateways.ports.items()]
        self.scripts = Scripts(directory.name, ["--service=flk-live", f"--namespace={NAMESPACE}", *urls], installer)
        self.scripts.env |= {"KUBECONFIG": str(self.cluster.config), "PATH": f"{cluster.TOOLS}:{os.environ['PATH']}"}
        service = {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "flk-live"},
            "spec": {"selector": {"app.kubernetes.io/name": "flk", INSTANCE: "flk-blue"}, "ports": [{"name": "http", "port": 8080}]},
        }
        self.cluster.create(service, namespace=NAMESPACE)
        self.addCleanup(self.cluster.kubectl, "-n", NAMESPACE, "delete", "service", "flk-live")

    def send(self, colour):
        senders = Senders(self.gateways.ports[colour], self.records, count=20)
        self.addCleanup(senders.stop)
        senders.start()

    def pods(self):
        """The pods behind the Service, as the cluster sees it."""
        path = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices?labelSelector=kubernetes.io/service-name=flk-live"
        return {it["targetRef"]["name"] for found in self.cluster.get(path) for it in found["endpoints"] or []}

    def ended(self, ran, code):
        self.assertEqual(ran.returncode, code, ran.stdout + ran.stderr)
        return ran

    def test_a_good_release_is_selected_and_goes_back_at_a_word(self):
        self.cluster.wait("blue", lambda: self.pods() == {"flk-blue-0"})
        self.send("green")
        self.ended(self.scripts.roll("blue-green", "better", "--watch=3s"), 0)
        self.cluster.wait("green", lambda: self.pods() == {"flk-green-0"})
        self.assertEqual(self.scripts.events(), ["started", "healthy", "step", "held", "promoted"])
        self.assertEqual(self.scripts.lines()[-1]["balancer"], f"service {NAMESPACE}/flk-live")
        self.ended(self.scripts.back(), 0)
        self.cluster.wait("blue", lambda: self.pods() == {"flk-blue-0"})
        selector = self.cluster.get(f"/api/v1/namespaces/{NAMESPACE}/services/flk-live")["spec"]["selector"]
        self.assertEqual(selector, {"app.kubernetes.io/name": "flk", INSTANCE: "flk-blue"})

    def test_a_bad_release_is_taken_back(self):
        env = {"FLK_DRIVER": "portable", "FLK_TEST_LIMITS": "deadline=100ms", "FLK_HANG_AT": "LogWritten:40:3000"}
        self.gateways.releases["errors"] = {"program": "flk-dataplane-planted", "env": env}
        running = self.scripts.begin("blue-green", "errors", "--watch=60s")
        wait("step", lambda: "step" in self.scripts.events())
        self.send("green")
        _, said = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 1, said)
        self.assertRegex(self.scripts.lines()[-1]["reason"], "answers were errors")
        self.cluster.wait("blue", lambda: self.pods() == {"flk-blue-0"})

    def test_a_pod_that_is_not_ready_gets_no_traffic(self):
        self.cluster.kubectl("-n", NAMESPACE, "delete", "pod", "flk-green-0", "--grace-period=0", "--force")
        self.cluster.create(pod_of("green", **{"flk.test/ready": "no"}), namespace=NAMESPACE)
        self.addCleanup(self.cluster.kubectl, "-n", NAMESPACE, "annotate", "--overwrite", "pod", "flk-green-0", "flk.test/ready=yes")
        self.ended(self.scripts.roll("blue-green", "better", "--health-tries=25"), 1)
        last = self.scripts.lines()[-1]
        self.assertEqual(last["event"], "not_switched")
        self.assertIn("not ready: flk-green-0", last["reason"])
        self.assertEqual(self.pods(), {"flk-blue-0"})

    def test_what_is_not_known_is_refused(self):
        self.assertIn("takes no shares", self.ended(self.scripts.roll("canary", "better"), 3).stderr)
        patch = f'[{{"op":"replace","path":"/spec/selector/{INSTANCE.replace("/", "~1")}","value":"other"}}]'
        self.cluster.kubectl("-n", NAMESPACE, "patch", "service", "flk-live", "--type=json", "-p", patch)
        self.assertIn("allowed is flk-blue or flk-green", self.ended(self.scripts.roll("blue-green", "better"), 3).stderr)
        self.assertEqual(self.scripts.events(), [])
        self.scripts.target[0] = "--service=flk-none"
        self.assertIn("not found", self.ended(self.scripts.roll("blue-green", "better"), 3).stderr)

    def test_a_selector_that_changed_meanwhile_is_not_overwritten(self):
        class Late(Kubernetes):
            """Read blue, a moment ago."""

            def colour(self):
                return "blue"

        kubectl = [str(cluster.TOOLS / "kubectl"), "--kubeconfig", str(self.cluster.config), "-n", NAMESPACE]
        driver = Late("flk-live", NAMESPACE, INSTANCE, {"blue": "flk-blue", "green": "flk-green"})
        driver.kubectl = kubectl
        patch = f'[{{"op":"replace","path":"/spec/selector/{INSTANCE.replace("/", "~1")}","value":"other"}}]'
        subprocess.run([*kubectl, "patch", "service", "flk-live", "--type=json", "-p", patch], check=True, capture_output=True)
        with self.assertRaisesRegex(Failed, f"was not changed; its selector has {INSTANCE}=other"):
            driver.share("green", 100)
        self.assertEqual(driver.selector()[INSTANCE], "other")


if __name__ == "__main__":
    unittest.main()
