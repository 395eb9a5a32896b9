"""What a cluster makes of a release with the chart's own values."""

import json
import re
import unittest

import chart
import cluster
from release import Release


class Installed(unittest.TestCase):
    """One release; its tests look and change nothing."""

    @classmethod
    def setUpClass(cls):
        cls.release = Release("installed")
        cls.addClassCleanup(cls.release.end)
        cls.cluster = cls.release.cluster
        cls.first_notes = cls.release.install()
        cls.release.secret()
        cls.pods = cls.release.pods()
        cls.nodes = {it["metadata"]["name"]: it["metadata"]["labels"]["topology.kubernetes.io/zone"] for it in cls.cluster.get("/api/v1/nodes")}

    def test_each_zone_has_one_gateway(self):
        self.assertEqual(sorted(self.pods), ["flk-0", "flk-1", "flk-2"])
        zones = sorted(self.nodes[it["spec"]["nodeName"]] for it in self.pods.values())
        self.assertEqual(zones, sorted(cluster.ZONES))

    def test_each_gateway_has_a_volume_of_its_zone(self):
        claims = self.release.claims()
        self.assertEqual(sorted(claims), ["data-flk-0", "data-flk-1", "data-flk-2"])
        volumes = set()
        for name, pod in self.pods.items():
            claim = claims[f"data-{name}"]
            self.assertEqual((claim["status"]["phase"], claim["spec"]["accessModes"]), ("Bound", ["ReadWriteOnce"]))
            self.assertIn({"name": "data", "persistentVolumeClaim": {"claimName": f"data-{name}"}}, pod["spec"]["volumes"])
            volume = self.cluster.get(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")
            [term] = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
            self.assertEqual(term["matchExpressions"][0]["values"], [self.nodes[pod["spec"]["nodeName"]]])
            volumes.add(claim["spec"]["volumeName"])
        self.assertEqual(len(volumes), 3)

    def test_the_claims_ask_for_the_size_that_the_notes_reckon(self):
        said = re.search(r"^Volume of each gateway: (\w+),", self.first_notes, re.M)[1]
        self.assertEqual({it["spec"]["resources"]["requests"]["storage"] for it in self.release.claims().values()}, {said})

    def test_senders_find_every_gateway_by_the_service(self):
        found = self.cluster.wait("endpoints", lambda: len(self.release.addresses("flk")) == 3 and self.release.addresses("flk"))
        self.assertEqual({it["targetRef"]["name"] for it in found}, set(self.pods))
        for it in found:
            self.assertTrue(it["conditions"]["ready"])
            self.assertEqual(it["addresses"], [self.pods[it["targetRef"]["name"]]["status"]["podIP"]])
            self.assertEqual([(port["name"], port["port"]) for port in it["ports"]], [("http", 8080)])
        service = self.cluster.get(self.release.path("services", "flk"))["spec"]
        self.assertEqual((service["sessionAffinity"], service["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"]), ("ClientIP", 10800))

    def test_each_gateway_has_a_name_of_its_own(self):
        self.assertEqual(self.cluster.get(self.release.path("services", "flk-pods"))["spec"]["clusterIP"], "None")
        self.assertEqual({it["hostname"]: it["targetRef"]["name"] for it in self.release.addresses("flk-pods")}, {name: name for name in self.pods})

    def test_the_autoscaler_made_three_and_controls_the_set(self):
        self.assertEqual(self.release.set()["spec"]["replicas"], 3)
        path = self.release.path("horizontalpodautoscalers", "flk", "autoscaling/v2")
        scaler = self.cluster.wait("verdict of the autoscaler", lambda: (it := self.cluster.get(path)) and cluster.condition(it, "AbleToScale") and it)
        self.assertEqual((scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"], scaler["status"]["currentReplicas"]), (3, 10, 3))
        self.assertEqual(scaler["spec"]["behavior"]["scaleDown"]["selectPolicy"], "Disabled")

    def test_four_cores_are_four_everywhere_and_the_pod_is_guaranteed(self):
        for name, pod in self.pods.items():
            self.assertEqual(pod["status"]["qosClass"], "Guaranteed", name)
            gateway, control = pod["spec"]["containers"]
            self.assertEqual(gateway["resources"]["limits"], {"cpu": "4", "memory": "4Gi"})
            for container in (gateway, control):
                self.assertEqual(container["resources"]["requests"], container["resources"]["limits"])
                self.assertEqual(chart.environment(container)["FLK_CORES"], "4")

    def test_pod_security_restricted_admitted_the_pods_and_refuses_others(self):
        labels = self.cluster.get("/api/v1/namespaces/installed")["metadata"]["labels"]
        self.assertEqual(labels["pod-security.kubernetes.io/enforce"], "restricted")
        spec = {key: value for key, value in self.pods["flk-0"]["spec"].items() if key != "nodeName"}
        other = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other"}, "spec": spec}
        self.cluster.create(other, namespace="installed", dry=True)
        spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
        ran = self.cluster.create(other, namespace="installed", dry=True, check=False)
        self.assertEqual(ran.returncode, 1)
        self.assertIn('violates PodSecurity "restricted', ran.stderr)

    def test_the_notes_say_which_secret_is_missing_until_it_is_there(self):
        self.assertIn("Secret pcs-hmac-secret with PCS_HMAC_KEY: NOT SEEN", self.first_notes)
        # dry, but by the server: it looks the Secret up
        said = self.release.helm("upgrade", "--dry-run=server").stdout
        self.assertIn("Secret pcs-hmac-secret with PCS_HMAC_KEY. To make it", said)
        self.assertNotIn("NOT SEEN", said)

    def test_the_commands_of_the_notes_that_need_no_kubelet_work(self):
        ran = []
        for line in self.first_notes.splitlines():
            if found := re.match(r"  kubectl (-n installed (?:rollout|get) .*?)\s*(#.*)?$", line):
                self.cluster.kubectl(*found[1].split())
                ran.append(found[1].split()[2])
        self.assertEqual(ran, ["rollout", "get"])

    def test_the_budget_lets_one_go(self):
        path = self.release.path("poddisruptionbudgets", "flk", "policy/v1")
        status = self.cluster.wait("budget", lambda: (it := self.cluster.get(path)["status"]).get("currentHealthy") == 3 and it)
        self.assertEqual((status["expectedPods"], status["desiredHealthy"], status["disruptionsAllowed"]), (3, 2, 1))


class Tested(unittest.TestCase):
    """`helm test`, as far as a cluster without containers shows it: the pod, its commands, and what helm makes of its end."""

    @classmethod
    def setUpClass(cls):
        cls.release = Release("tested")
        cls.addClassCleanup(cls.release.end)
        cls.release.secret()
        cls.release.install()

    def run_test(self):
        """The pod of a test as the API server had it, and how helm ended."""
        since = self.release.cluster.version(self.release.path("pods"))
        ran = self.release.helm("test", check=False)
        made = [pod for what, pod in self.release.cluster.history("tested", since) if what == "ADDED" and "helm.sh/hook" in pod["metadata"].get("annotations", {})]
        self.assertEqual(len(made), 1, ran.stderr)
        return made[0], ran

    def test_it_asks_every_gateway_by_a_name_that_is_there(self):
        pod, ran = self.run_test()
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("Succeeded", ran.stdout)
        asked = set()
        for container in pod["spec"]["containers"]:
            command = container["command"] + container.get("args", [])
            self.assertEqual(command[0], "/usr/local/bin/flk")
            [(host, service, port)] = re.findall(r"http://([\w-]+)\.([\w-]+):(\d+)", " ".join(command))
            names = {it["hostname"] for it in self.release.addresses(service)}
            self.assertIn(host, names)
            self.assertEqual(port, "8080")
            asked.add(host)
        self.assertEqual(asked, set(self.release.pods()))
        self.assertFalse(self.release.cluster.exists(self.release.path("pods", pod["metadata"]["name"])), "it is removed after a success")

    def test_a_command_that_fails_fails_it(self):
        self.release.helm("upgrade", "--set", "image.tag=broken")
        self.addCleanup(self.release.helm, "rollback")
        pod, ran = self.run_test()
        self.assertEqual(ran.returncode, 1, ran.stdout)
        self.assertIn("Failed", ran.stdout)
        self.assertTrue(self.release.cluster.exists(self.release.path("pods", pod["metadata"]["name"])), "it is left to be looked at")


class Admitted(unittest.TestCase):
    """Every render, by the API server: fields, defaults, validation, and Pod Security for the pods."""

    # Kinds that a cluster knows by the Prometheus Operator only; `make test-deploy` has its types read them.
    FOREIGN = {"ServiceMonitor", "PrometheusRule"}

    @classmethod
    def setUpClass(cls):
        cls.release = Release("admitted")
        cls.cluster = cls.release.cluster
        cls.cluster.create(
            {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "ingest"}, "value": 1000},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "flk", "namespace": "admitted"}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "ingest", "namespace": "admitted"}},
        )

    def render(self, values):
        """All objects of a render, with the pod of the set as one of its own."""
        for it in chart.objects(*values):
            if it["kind"] in self.FOREIGN or it["kind"] == "ServiceAccount":
                continue
            it["metadata"]["namespace"] = "admitted"
            yield it
            if it["kind"] == "StatefulSet":
                template = it["spec"]["template"]
                # The controller adds the claims.
                claims = [{"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": "data"}} for claim in it["spec"]["volumeClaimTemplates"]]
                yield {
                    "apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "of-the-set", "namespace": "admitted"},
                    "spec": {**template["spec"], "volumes": template["spec"]["volumes"] + claims},
                }

    def test_every_render_is_admitted_without_a_warning(self):
        for name, values in {"default": [], **chart.TOGGLES}.items():
            with self.subTest(name):
                ran = self.cluster.create(*self.render(values), namespace="admitted", dry=True, check=False)
                self.assertEqual((ran.returncode, ran.stderr), (0, ""))
                self.assertGreaterEqual(len(ran.stdout.splitlines()), 6)

    def test_an_unpinned_gateway_is_burstable(self):
        [pod] = [it for it in self.render(chart.TOGGLES["unpinned"]) if it["metadata"]["name"] == "of-the-set"]
        made = self.cluster.create(pod, namespace="admitted", dry=True)
        self.assertEqual(made.stdout.split()[0], "pod/of-the-set")
        shown = self.cluster.kubectl("-n", "admitted", "create", "--dry-run=server", "-o", "jsonpath={.status.qosClass}", "-f", "-", given=json.dumps(pod))
        self.assertEqual(shown.stdout, "Burstable")


if __name__ == "__main__":
    unittest.main()
