"""Moves traffic between two releases of a cluster, by the selector of a Service that both stand behind. A selector knows no shares:
it is one or the other. It changes nothing but this one label of the selector, and only if it still has the value that was read. Other ways
to move traffic in a cluster have kubectl and the pods of a release from here."""

import json
import subprocess

from rollout.terms import COLOURS, Failed, Refused, url


class Cluster:
    """Two releases whose pods differ in one label."""

    def __init__(self, namespace, label, names, context=None):
        self.label = label
        self.names = names
        self.namespace = namespace
        self.kubectl = ["kubectl", "--namespace", namespace, *(["--context", context] if context else [])]

    def ask(self, *arguments):
        """What kubectl prints."""
        try:
            ran = subprocess.run([*self.kubectl, *arguments], capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed(f"kubectl {arguments[0]}: {error}") from error
        if ran.returncode:
            raise Failed(f"kubectl {' '.join(arguments[:3])}: {ran.stderr.strip()}")
        return ran.stdout

    def labels(self):
        """What pods of both colours have besides."""
        return {}

    def pods(self, colour):
        """The pods of a colour, but those that have ended."""
        labels = {**self.labels(), self.label: self.names[colour]}
        selected = ",".join(f"{name}={value}" for name, value in labels.items())
        pods = json.loads(self.ask("get", "pods", "--selector", selected, "-o", "json"))["items"]
        return [it for it in pods if it["status"].get("phase") not in ("Succeeded", "Failed")]

    def ready(self, colour):
        """Nothing, or which pods are not ready."""
        pods = self.pods(colour)
        if not pods:
            return f"there is no pod with {self.label}={self.names[colour]}"
        waiting = [it["metadata"]["name"] for it in pods if not is_ready(it)]
        return f"not ready: {', '.join(waiting)}" if waiting else ""

    def urls(self, colour):
        """The addresses of its gateways: run this where addresses of pods are reached, or say --url."""
        found = []
        for it in self.pods(colour):
            if address := it["status"].get("podIP"):
                ports = [port["containerPort"] for container in it["spec"]["containers"] for port in container.get("ports", []) if port.get("name") == "http"]
                found.append(url(address, (ports or [8080])[0]))
        return found

    def errors(self, colour):
        """Nothing counts for it."""
        return None


class Kubernetes(Cluster):
    """A Service whose selector has a label with the name of one of two releases."""

    splits = False

    def __init__(self, service, namespace, label, names, context=None):
        super().__init__(namespace, label, names, context)
        self.service = service
        self.name = f"service {namespace}/{service}"

    def labels(self):
        return self.selector()

    def selector(self):
        """All labels that the Service selects by."""
        return json.loads(self.ask("get", "service", self.service, "-o", "json"))["spec"].get("selector") or {}

    def colour(self):
        """The colour that the Service selects."""
        selector = self.selector()
        found = [colour for colour in COLOURS if self.names[colour] == selector.get(self.label)]
        if not found:
            raise Refused(f"the selector of {self.name} has {self.label}={selector.get(self.label)}: allowed is {self.names['blue']} or {self.names['green']}")
        return found[0]

    def shares(self):
        """All to the one, nothing to the other."""
        live = self.colour()
        return {colour: 100 if colour == live else 0 for colour in COLOURS}

    def share(self, colour, percent):
        """Gives a colour all traffic."""
        if percent != 100:
            raise Refused(f"the selector of {self.name} takes no {percent} %: --virtual-service and deploy/flagger have shares in a cluster")
        live = self.colour()
        path = "/spec/selector/" + self.label.replace("~", "~0").replace("/", "~1")
        patch = [
            {"op": "test", "path": path, "value": self.names[live]},
            {"op": "replace", "path": path, "value": self.names[colour]},
        ]
        try:
            self.ask("patch", "service", self.service, "--type=json", "--patch", json.dumps(patch))
        except Failed as error:
            raise Failed(f"{self.name} was not changed; its selector has {self.label}={self.selector().get(self.label)}: {error}") from error
        if self.colour() != colour:
            raise Failed(f"{self.name} does not select {self.names[colour]} although it was patched")


def is_ready(pod):
    conditions = pod["status"].get("conditions", [])
    return any(it["type"] == "Ready" and it["status"] == "True" for it in conditions) and "deletionTimestamp" not in pod["metadata"]
