"""A pod of the chart on this machine: its files as the kubelet lays them, its processes with their own variables. It judges nothing."""

import base64
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import chart

BIN = Path(os.environ.get("FLK_BIN", "/nonexistent"))
KEY = "a key of thirty-two bytes or more"
SOPS = chart.ROOT / "deploy/examples/sops"

# What the Secrets and the ConfigMap of a release's operator hold, by their names and entries.
HELD = {
    "pcs-hmac-secret": {"PCS_HMAC_KEY": KEY},
    "flk-metrics": {"METRICS_USER": "prometheus", "METRICS_PASS": "metrics password"},
    "flk-admin-tokens": {"tokens": f"anna:operator:{'0' * 64}\n"},
    "flk-age": {"keys.txt": (SOPS / "test-only.identity").read_text()},
    "acme-keys": {"current": "acme's key of thirty-two bytes or more", "keys.sops.yaml": (SOPS / "secret.sops.yaml").read_text()},
    "pcs-ed25519-config": {"PCS_ED25519_PUB_B64": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="},
}


def lay(directory, files):
    """Makes or replaces a volume as the kubelet does: files are links through ..data, which is exchanged in one step."""
    directory.mkdir(parents=True, exist_ok=True)
    version = directory / f"..{time.monotonic_ns()}"
    version.mkdir()
    for name, text in files.items():
        (version / name).write_text(text)
        (version / name).chmod(0o440)
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    old = os.readlink(directory / "..data") if (directory / "..data").is_symlink() else None
    (directory / "..new").symlink_to(version.name)
    (directory / "..new").rename(directory / "..data")
    if old:
        shutil.rmtree(directory / old)


def free_port():
    """A port of this host that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def get(url, user=None):
    """Status and text of a page, of errors the status alone; 0 where nothing answers."""
    request = urllib.request.Request(url)
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


class Pod:
    """The first pod of a render, below a directory."""

    def __init__(self, root, values=(), lacks=(), change=None):
        self.root = Path(root)
        self.objects = chart.objects(*values)
        self.spec = chart.only("StatefulSet", self.objects)["spec"]["template"]["spec"]
        self.test = chart.only("Pod", self.objects)["spec"]
        self.lacks = lacks
        self.change = change or {}
        self.processes = []
        self.port = free_port()
        (self.root / "var/lib/flk").mkdir(parents=True)
        mounts = {it["name"]: it["mountPath"] for it in self.spec["containers"][0]["volumeMounts"]}
        for volume in self.spec["volumes"]:
            if "configMap" in volume:
                [data] = [it["data"] for it in self.objects if it["kind"] == "ConfigMap" and it["metadata"]["name"] == volume["configMap"]["name"]]
                files = {name: self.here(text) for name, text in data.items()}
            elif volume["secret"]["secretName"] in lacks:
                continue
            else:
                held = HELD[volume["secret"]["secretName"]]
                items = volume["secret"].get("items") or [{"key": key, "path": key} for key in held]
                files = {it["path"]: held[it["key"]] for it in items}
            lay(self.at(mounts[volume["name"]]), files)

    def at(self, path):
        """Where a path of the pod is here."""
        return self.root / path.lstrip("/")

    def here(self, text):
        """A text of the pod with the places that it has here; ports are free ones."""
        text = re.sub(r"/(etc|var/lib)/flk\b", lambda it: f"{self.root}{it[0]}", text)
        return text.replace("port = 8080", f"port = {self.port}").replace("0.0.0.0:8081", "127.0.0.1:0")

    def environment(self, container):
        """All variables of a container; those of a missing object that is optional are left out, as the kubelet does."""
        found = {}
        for it in container.get("env", []):
            if "value" in it:
                found[it["name"]] = self.here(it["value"])
                continue
            [source] = it["valueFrom"].values()
            if source["name"] not in self.lacks:
                found[it["name"]] = HELD[source["name"]][source["key"]]
        if "FLK_CORES" in found:
            found["FLK_CORES"] = "1"
        return found | self.change

    def run(self, container, command=None, timeout=60):
        """Runs a container to its end."""
        command = command or container["command"] + container.get("args", [])
        ran = subprocess.run([self.program(command[0]), *self.arguments(command[1:])], env=self.environment(container),
                             capture_output=True, text=True, timeout=timeout)
        return ran

    def flk(self, *arguments, stdin=""):
        """A command in the gateway's container."""
        return subprocess.run([BIN / "flk", *arguments], env=self.environment(self.spec["containers"][0]), input=stdin,
                              capture_output=True, text=True, timeout=60)

    def arguments(self, arguments):
        url = re.compile(r"http://[a-z0-9-]+-0\.[a-z0-9-]+-pods:8080")
        # how fast this machine is, is not tested
        arguments = [it.replace("--latency-max=200ms", "--latency-max=1h") for it in arguments]
        return [url.sub(f"http://127.0.0.1:{self.port}", self.here(it)) for it in arguments]

    @staticmethod
    def program(path):
        assert path.startswith("/usr/local/bin/"), path
        return BIN / Path(path).name

    def start(self):
        """Starts all containers and waits until the pod is ready."""
        for container in self.spec["containers"]:
            with open(self.root / f"{container['name']}.log", "a") as log:
                process = subprocess.Popen([self.program(container["command"][0])], env=self.environment(container), stderr=log)
            self.processes.append(process)
        self.wait("readiness", lambda: self.get("/readyz")[0] == 200)

    def wait(self, what, holds, seconds=60):
        """Until something holds; a process that ended meanwhile ends it with its log."""
        deadline = time.monotonic() + seconds
        while not holds():
            ended = [it for it in self.processes if it.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"no {what}: {self.logs()}")
            time.sleep(0.05)

    def logs(self):
        return "\n".join(it.read_text() for it in sorted(self.root.glob("*.log")))

    def get(self, path, user=None):
        """Status and text of a page of the gateway."""
        return get(f"http://127.0.0.1:{self.port}{path}", user)

    def submit(self, key, events="sample.csv"):
        """Builds, signs and sends a record; the line of its answer."""
        built = subprocess.run([BIN / "flk", "pcs", "build", chart.ROOT / "golden/events" / events], capture_output=True, text=True, check=True)
        signed = subprocess.run([BIN / "flk", "pcs", "sign"], input=built.stdout, env={"PCS_HMAC_KEY": key}, capture_output=True, text=True, check=True)
        sent = subprocess.run([BIN / "flk", "pcs", "submit", "--url", f"http://127.0.0.1:{self.port}"], input=signed.stdout,
                              env={}, capture_output=True, text=True)
        return sent.stdout

    def kill(self):
        """Ends what still runs, at once."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()

    def stop(self):
        """Ends what was started, as the kubelet does; exit codes come back."""
        for process in self.processes:
            process.terminate()
        return [process.wait(timeout=60) for process in self.processes]
