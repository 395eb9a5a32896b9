"""A Kubernetes control plane of its own: etcd, API server, controllers, scheduler, and kwok, which plays the kubelets. It asserts nothing.

Everything listens on free ports of loopback, lies in a directory below the temporary one, and is ended by its process id.
"""

import atexit
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pod import free_port

TOOLS = Path(os.environ.get("FLK_KUBE", "/nonexistent"))
STAGES = Path(__file__).parent / "stages.yaml"
# More nodes than gateways, most of them in one zone: what the chart does not ask for would go wrong.
ZONES = {"a": 4, "b": 2, "c": 2}
WAIT_SECONDS_MAX = 180


class Cluster:
    """Runs from `start` to `stop`; `kubectl` and `helm` speak to it as its administrator."""

    def __init__(self):
        self.root = Path(tempfile.mkdtemp(prefix="flk-kube-"))
        self.processes = {}
        self.memory = {}
        self.config = self.root / "kubeconfig"

    def start(self):
        """Until the API server is ready and the nodes are."""
        etcd, port = f"http://127.0.0.1:{free_port()}", free_port()
        peers = f"http://127.0.0.1:{free_port()}"
        self.run("etcd", "server", f"--data-dir={self.root}/etcd", "--name=flk", f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
                 f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}", f"--initial-cluster=flk={peers}", "--unsafe-no-fsync",
                 "--log-level=warn")
        self.credentials(port)
        self.run("apiserver", "kube-apiserver", f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
                 f"--secure-port={port}", f"--cert-dir={self.root}/pki", "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16",
                 "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={self.root}/accounts.key",
                 f"--service-account-signing-key-file={self.root}/accounts.key", f"--token-auth-file={self.root}/tokens.csv", "--authorization-mode=RBAC")
        self.wait("certificate of the API server", (self.root / "pki/apiserver.crt").exists)
        self.wait("API server", lambda: self.kubectl("get", "--raw", "/readyz", check=False).returncode == 0)
        as_admin = f"--kubeconfig={self.config}"
        self.run("controllers", "kube-controller-manager", as_admin, "--leader-elect=false", "--secure-port=0",
                 f"--service-account-private-key-file={self.root}/accounts.key", f"--root-ca-file={self.root}/pki/apiserver.crt",
                 "--horizontal-pod-autoscaler-sync-period=1s")
        self.run("scheduler", "kube-scheduler", as_admin, "--leader-elect=false", "--secure-port=0")
        self.run("kwok", "kwok", as_admin, f"--config={STAGES}", "--manage-all-nodes=true", "--node-lease-duration-seconds=40", "--cidr=10.0.0.0/16", "--node-ip=127.0.0.1")
        self.create(*nodes(), STORAGE_CLASS)
        self.wait("nodes", lambda: all(condition(it, "Ready") for it in self.get("/api/v1/nodes")))
        return self

    def credentials(self, port):
        """An administrator's token, a key for service accounts, and the file that tells clients of both."""
        token = secrets.token_hex(16)
        (self.root / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
        subprocess.run(["openssl", "genrsa", "-out", self.root / "accounts.key", "2048"], check=True, capture_output=True)
        self.config.touch(mode=0o600)
        self.config.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "flk",
            "clusters": [{"name": "flk", "cluster": {
                "server": f"https://127.0.0.1:{port}", "certificate-authority": f"{self.root}/pki/apiserver.crt",
            }}],
            "users": [{"name": "admin", "user": {"token": token}}],
            "contexts": [{"name": "flk", "context": {"cluster": "flk", "user": "admin"}}],
        }))

    def run(self, name, tool, *arguments):
        """Starts a process of the control plane."""
        with open(self.root / f"{name}.log", "w") as log:
            self.processes[name] = subprocess.Popen([TOOLS / tool, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                    cwd=self.root, env=self.environment())

    def environment(self):
        """No settings of the user who runs the tests."""
        return {"HOME": str(self.root), "KUBECONFIG": str(self.config), "PATH": "/usr/bin:/bin"}

    def stop(self):
        """Ends every process, the newest first, and removes the directory."""
        for name, process in reversed(self.processes.items()):
            self.memory[name] = peak_memory(process.pid)
            # Nothing of it is needed afterwards.
            process.kill()
            process.wait()
        self.processes.clear()
        shutil.rmtree(self.root, ignore_errors=True)

    def wait(self, what, holds):
        """Until something holds; what it returned comes back. A process that ended meanwhile, or no end in sight, is a failure with the logs."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not (found := holds()):
            ended = [name for name, it in self.processes.items() if it.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"no {what}; ended: {ended}\n{self.logs()}")
            time.sleep(0.1)
        return found

    def logs(self):
        """The last lines of every process."""
        return "\n".join(f"== {it.name}\n" + "\n".join(line[:300] for line in it.read_text().splitlines()[-5:]) for it in sorted(self.root.glob("*.log")))

    def kubectl(self, *arguments, given="", check=True):
        """Runs kubectl; `given` comes to its standard input."""
        return self.tool(TOOLS / "kubectl", arguments, given, check)

    def helm(self, *arguments, check=True):
        """Runs helm with the cluster."""
        return self.tool(os.environ["FLK_HELM"], arguments, "", check)

    def tool(self, program, arguments, given, check):
        ran = subprocess.run([program, *arguments], input=given, capture_output=True, text=True, env=self.environment())
        if check and ran.returncode:
            raise AssertionError(f"{Path(program).name} {' '.join(map(str, arguments))}: {ran.stderr}")
        return ran

    def get(self, path):
        """An object of the API; of a list, its items."""
        found = json.loads(self.kubectl("get", "--raw", path).stdout)
        return found["items"] if found["kind"].endswith("List") else found

    def version(self, path):
        """Where the history of a list stands."""
        return json.loads(self.kubectl("get", "--raw", path).stdout)["metadata"]["resourceVersion"]

    def exists(self, path):
        """Whether the API has this object."""
        return self.kubectl("get", "--raw", path, check=False).returncode == 0

    def create(self, *objects, namespace=None, dry=False, check=True):
        """Creates objects; a field that the API server does not know is an error."""
        options = ["--validate=strict", *(["-n", namespace] if namespace else []), *(["--dry-run=server"] if dry else [])]
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        return self.kubectl("create", *options, "-f", "-", given=listed, check=check)

    def namespace(self, name, labels=None):
        """Makes a namespace, and waits until pods can be made in it."""
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}})
        self.wait("service account", lambda: self.exists(f"/api/v1/namespaces/{name}/serviceaccounts/default"))

    def history(self, namespace, since):
        """Everything that happened to pods of a namespace from a version on, as (what, pod) pairs in order."""
        mark = f"mark-{secrets.token_hex(4)}"
        # The watch is read until the marker appears, so nothing before it is missed.
        self.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": mark}, "spec": PAUSE}, namespace=namespace)
        path = f"/api/v1/namespaces/{namespace}/pods?watch=1&resourceVersion={since}"
        found = []
        with subprocess.Popen([TOOLS / "kubectl", "get", "--raw", path], stdout=subprocess.PIPE, text=True, env=self.environment()) as watch:
            for line in watch.stdout:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise AssertionError(f"the history since {since} is gone: {line}")
                if event["object"]["metadata"]["name"] == mark:
                    break
                if not event["object"]["metadata"]["name"].startswith("mark-"):
                    found.append((event["type"], event["object"]))
            watch.kill()
        self.kubectl("-n", namespace, "delete", "pod", mark, "--wait=false")
        return found


def nodes():
    """What kwok plays: hosts of 32 CPUs."""
    for zone, count in ZONES.items():
        for at in range(count):
            size = {"cpu": "32", "memory": "128Gi", "pods": "110"}
            name = f"{zone}{at}"
            yield {
                "apiVersion": "v1", "kind": "Node", "status": {"allocatable": size, "capacity": size},
                "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
            }


def volumes(prefix, size="100Gi"):
    """Disks as a cloud has them, each in a zone: three in each, for one release."""
    for zone in ZONES:
        for at in range(3):
            terms = [{"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}]}]
            yield {
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"{prefix}-{zone}{at}"},
                "spec": {
                    "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "persistentVolumeReclaimPolicy": "Retain",
                    "hostPath": {"path": f"/nonexistent/{prefix}-{zone}{at}"}, "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
                },
            }


# Disks are bound when a pod is scheduled, so that the pod's zone decides.
STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "kubernetes.io/no-provisioner",
    "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": True,
}
# A pod that Pod Security `restricted` admits and that is nobody's business.
PAUSE = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{"name": "pause", "image": "pause", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}],
}


def condition(found, kind):
    """Whether a condition of an object is true."""
    return any(it["type"] == kind and it["status"] == "True" for it in found.get("status", {}).get("conditions", []))


def peak_memory(process):
    """MiB that a process used at most."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    [line] = [it for it in text.splitlines() if it.startswith("VmHWM")] or ["VmHWM: 0 kB"]
    return int(line.split()[1]) // 1024


RUNNING = []


def shared():
    """The cluster of this run, which ends with it."""
    if not RUNNING:
        it = Cluster()
        RUNNING.append(it)
        # Also where the run is ended from outside.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        atexit.register(finish, it)
        began = time.monotonic()
        it.start()
        print(f"the control plane is ready after {time.monotonic() - began:.0f} s", file=sys.stderr)
    return RUNNING[0]


def finish(it):
    """Ends the cluster and says what it needed."""
    it.stop()
    print(f"memory of the control plane: {sum(it.memory.values())} MiB ({', '.join(f'{name} {size}' for name, size in it.memory.items())})", file=sys.stderr)
