"""A release of the chart in a namespace of its own that enforces Pod Security `restricted`. It asserts nothing."""

import json

import chart
import cluster

SELECTOR = "app.kubernetes.io/name=flk,app.kubernetes.io/instance=flk"
# Pods become ready when a test says so.
HELD = ["--set-string", r"podAnnotations.flk\.test/ready=no"]
READY = ["--set-string", r"podAnnotations.flk\.test/ready=yes"]


class Release:
    """The chart as `flk`, and what the cluster made of it."""

    def __init__(self, namespace):
        self.cluster = cluster.shared()
        self.namespace = namespace
        labels = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
        self.cluster.create(*cluster.volumes(namespace))
        self.cluster.namespace(namespace, labels)

    def path(self, kind, name="", group=""):
        """Where the API has objects of a kind in this namespace."""
        return f"/{f'apis/{group}' if group else 'api/v1'}/namespaces/{self.namespace}/{kind}{'/' if name else ''}{name}"

    def helm(self, verb, *arguments, check=True):
        """A verb of helm for this release: install and upgrade take the chart and values."""
        of_chart = [str(chart.CHART)] if verb in ("install", "upgrade") else []
        name = ["get", arguments[0], "flk"] if verb == "get" else [verb, "flk"]
        arguments = arguments[1:] if verb == "get" else arguments
        return self.cluster.helm(*name, *of_chart, "--namespace", self.namespace, *arguments, check=check)

    def install(self, *values):
        """Installs it, and waits until all pods are ready; what helm said."""
        said = self.helm("install", *values).stdout
        self.ready(3)
        return said

    def secret(self):
        """What the notes ask for."""
        self.cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pcs-hmac-secret"},
                             "stringData": {"PCS_HMAC_KEY": "a key of thirty-two bytes or more"}}, namespace=self.namespace)

    def set(self):
        """The StatefulSet."""
        return self.cluster.get(self.path("statefulsets", "flk", "apps/v1"))

    def pods(self):
        """The gateways, by name."""
        found = self.cluster.get(f"{self.path('pods')}?labelSelector={SELECTOR}")
        return {it["metadata"]["name"]: it for it in found if "deletionTimestamp" not in it["metadata"]}

    def uids(self):
        """Which pods these are: one that is made anew has another."""
        return {name: it["metadata"]["uid"] for name, it in self.pods().items()}

    def claims(self):
        """The volume claims that the command of the notes lists."""
        return {it["metadata"]["name"]: it for it in self.cluster.get(f"{self.path('persistentvolumeclaims')}?labelSelector=app.kubernetes.io/instance=flk")}

    def ready(self, count):
        """Waits until so many gateways have been ready for minReadySeconds, and the set knows it."""
        self.cluster.wait(f"{count} gateways in {self.namespace}", lambda: settled(it := self.set()) and it["status"].get("availableReplicas") == count)

    def renewed(self, name, old):
        """Waits until a pod was made anew and runs; it comes back."""
        def found():
            it = self.pods().get(name)
            return it and it["metadata"]["uid"] != old and it["status"]["phase"] == "Running" and it

        return self.cluster.wait(f"new {name} in {self.namespace}", found)

    def let_ready(self, *names):
        """Lets pods that are held become ready, and waits for it."""
        self.cluster.kubectl("-n", self.namespace, "annotate", "--overwrite", "pod", *names, "flk.test/ready=yes")
        self.cluster.wait(f"{names} ready", lambda: all(cluster.condition(self.pods()[name], "Ready") for name in names))

    def addresses(self, service):
        """Endpoints of a Service, as its slices have them."""
        slices = self.cluster.get(f"{self.path('endpointslices', group='discovery.k8s.io/v1')}?labelSelector=kubernetes.io/service-name={service}")
        return [{**it, "ports": found["ports"]} for found in slices for it in found["endpoints"] or []]

    def evict(self, name):
        """Asks for an eviction as `kubectl drain` does."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": self.namespace}}
        return self.cluster.kubectl("create", "--raw", f"{self.path('pods', name)}/eviction", "-f", "-", given=json.dumps(body), check=False)

    def end(self):
        """Leaves the namespace to the next release: its pods take CPUs of the nodes."""
        self.helm("uninstall", "--ignore-not-found", check=False)


def settled(found):
    """Whether the controller has seen the set as it is."""
    return found["status"].get("observedGeneration") == found["metadata"]["generation"]

