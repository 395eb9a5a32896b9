"""Whom the network policy lets in, by the pods and namespaces that the API server finds for its selectors. Nothing here enforces it."""

import unittest
import urllib.parse

import yaml

import cluster
from release import Release


def query(selector):
    """The parameter that lets the API server apply a selector."""
    terms = [f"{key}={value}" for key, value in (selector or {}).get("matchLabels", {}).items()]
    assert not set(selector or {}) - {"matchLabels"}, selector
    return urllib.parse.urlencode({"labelSelector": ",".join(terms)})


class Policy(unittest.TestCase):
    # Pods of other namespaces, with their labels.
    OTHERS = {
        "ingress-nginx": {"controller": {"app.kubernetes.io/name": "ingress-nginx"}},
        "monitoring": {"prometheus": {"app": "prometheus"}, "grafana": {"app": "grafana"}},
        "agents": {"agent": {"flk.io/agent": "true"}, "web": {"app": "web"}},
    }

    @classmethod
    def setUpClass(cls):
        cls.release = Release("network")
        cls.addClassCleanup(cls.release.end)
        cls.cluster = cls.release.cluster
        cls.release.install("--set", "control.tokensSecret=flk-admin-tokens")
        for namespace, pods in cls.OTHERS.items():
            cls.cluster.namespace(namespace)
            cls.cluster.create(*({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": cluster.PAUSE}
                                 for name, labels in pods.items()), namespace=namespace)
        cls.cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "neighbour"}, "spec": cluster.PAUSE}, namespace="network")
        cls.policy = cls.cluster.get(cls.release.path("networkpolicies", "flk", "networking.k8s.io/v1"))["spec"]

    def found(self, namespace, selector):
        """Names of the pods of a namespace that a selector takes."""
        return {f"{namespace}/{it['metadata']['name']}" for it in self.cluster.get(f"/api/v1/namespaces/{namespace}/pods?{query(selector)}")}

    def let_in(self, port):
        """Every pod of the cluster that may connect to a port of a gateway."""
        found = set()
        for rule in self.policy["ingress"]:
            if port in [it["port"] for it in rule["ports"]]:
                for peer in rule["from"]:
                    assert peer.keys() <= {"namespaceSelector", "podSelector"}, peer
                    if "namespaceSelector" in peer:
                        spaces = self.cluster.get(f"/api/v1/namespaces?{query(peer['namespaceSelector'])}")
                        spaces = [it["metadata"]["name"] for it in spaces]
                    else:
                        spaces = ["network"]
                    for space in spaces:
                        found |= self.found(space, peer.get("podSelector"))
        # Other tests have namespaces of their own.
        return {it for it in found if it.split("/")[0] in {"network", *self.OTHERS}}

    def test_it_is_about_the_gateways_and_no_other_pod(self):
        self.assertEqual(self.found("network", self.policy["podSelector"]), {f"network/flk-{at}" for at in range(3)})
        self.assertEqual(self.found("network", {}) - self.found("network", self.policy["podSelector"]), {"network/neighbour"})

    def test_records_come_from_agents_and_the_ingress_and_prometheus_may_ask(self):
        self.assertEqual(self.let_in("http"), {"ingress-nginx/controller", "agents/agent", "monitoring/prometheus"})

    def test_only_prometheus_reaches_the_admin_api(self):
        self.assertEqual(self.let_in("admin"), {"monitoring/prometheus"})

    def test_the_ports_are_ports_of_the_pods(self):
        named = {port["name"] for it in self.release.pods()["flk-0"]["spec"]["containers"] for port in it.get("ports", [])}
        self.assertEqual({it["port"] for rule in self.policy["ingress"] for it in rule["ports"]}, named)

    def test_the_pod_of_helm_test_comes_in_as_an_agent_does(self):
        hooks = self.cluster.helm("get", "hooks", "flk", "-n", "network").stdout
        labels = yaml.safe_load(hooks)["metadata"]["labels"]
        self.cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tester", "labels": labels}, "spec": cluster.PAUSE}, namespace="network")
        self.addCleanup(self.cluster.kubectl, "-n", "network", "delete", "pod", "tester", "--wait=true")
        self.assertIn("network/tester", self.let_in("http"))
        self.assertNotIn("network/tester", self.found("network", self.policy["podSelector"]))

    def test_nothing_goes_out(self):
        self.assertEqual((self.policy["policyTypes"], self.policy.get("egress", [])), (["Ingress", "Egress"], []))


if __name__ == "__main__":
    unittest.main()
