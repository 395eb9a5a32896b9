"""A real Prometheus with the rules in shorter times, a real Alertmanager behind it, and a receiver that remembers what it is told. It
starts, asks and remembers; it judges nothing."""

import json
import os
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

import yaml

import balanced
import chart
import pod
import rules
import shorter
from test_oncall import ALERTMANAGER

TOOLS = Path(os.environ.get("FLK_PROMETHEUS", "/usr"))
EXPORTERS = Path(os.environ.get("FLK_EXPORTERS", "/"))

# What Prometheus shows to control processes, with or without a file of tokens.
TOKEN = "the token of an observer"

# One message an alert, at once, when it fires and when it resolves. Who is woken in production is what test_oncall looks at.
NOTIFY = {
    "route": {"receiver": "test", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"},
}


class Receiver:
    """What Alertmanager sends to, with the moment of each message."""

    def __init__(self):
        self.told = []
        self.changed = threading.Condition()
        self.server = balanced.Served(self.tell)

    def tell(self, _, body):
        with self.changed:
            for it in json.loads(body)["alerts"]:
                self.told.append((it["status"], it["labels"]["alertname"], it["labels"].get("namespace", ""), time.monotonic()))
            self.changed.notify_all()
        return 200, ""

    def wait(self, status, alert, namespace, since, seconds):
        """Until it is told this; the moment at which it was."""
        def found():
            return [at for said, name, place, at in self.told if (said, name, place) == (status, alert, namespace) and at >= since]

        with self.changed:
            if not self.changed.wait_for(found, timeout=seconds):
                told = sorted({f"{said} {name}" for said, name, place, _ in self.told if place == namespace})
                raise AssertionError(f"{namespace}: not told that {alert} is {status} within {seconds} s, but: {', '.join(told) or 'nothing'}")
            return found()[0]


def started(case, root, name, command, **more):
    """A process with its log below a directory; it ends with the test."""
    with open(Path(root, f"{name}.log"), "a") as log:
        process = subprocess.Popen(command, cwd=root, stdout=log, stderr=log, **more)

    def end():
        process.kill()
        process.wait()

    case.addClassCleanup(end)
    return process


class Alertmanager:
    def __init__(self, case, root, receiver):
        config = {**NOTIFY, "receivers": [{"name": "test", "webhook_configs": [{"url": receiver.server.url, "send_resolved": True}]}]}
        Path(root, "alertmanager.yml").write_text(yaml.safe_dump(config))
        self.address = f"127.0.0.1:{pod.free_port()}"
        started(case, root, "alertmanager", [*ALERTMANAGER, f"--config.file={root}/alertmanager.yml", f"--storage.path={root}/alertmanager",
                                             f"--web.listen-address={self.address}", "--cluster.listen-address="])
        balanced.wait("Alertmanager", lambda: pod.get(f"http://{self.address}/-/ready")[0] == 200)


class Prometheus:
    """The one of deploy/prometheus, with targets that come and go in files, asked every second."""

    def __init__(self, case, root, alertmanager, blackbox="127.0.0.1:9115"):
        self.root = Path(root)
        self.root.mkdir()
        self.lock = threading.Lock()
        config = yaml.safe_load((chart.ROOT / "deploy/prometheus/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": [alertmanager.address]}]
        # kube-state-metrics, which deploy/prometheus has no part in
        config["scrape_configs"].append({"job_name": "kube", "honor_labels": True})
        self.targets = {}
        for job in config["scrape_configs"]:
            job.pop("static_configs", None)
            job["file_sd_configs"] = [{"files": [f"{job['job_name']}.targets.json"]}]
            self.targets[job["job_name"]] = []
            if "authorization" in job:
                job["authorization"] = {"credentials_file": "token"}
            for it in job.get("relabel_configs", []):
                if it.get("replacement") == "127.0.0.1:9115":
                    it["replacement"] = blackbox
        (self.root / "token").write_text(TOKEN)
        (self.root / "rules.yml").write_text(yaml.safe_dump({"groups": shorter.shortened(rules.groups())}))
        (self.root / "prometheus.yml").write_text(yaml.safe_dump(config))
        for job in self.targets:
            self.write(job)
        self.url = f"http://127.0.0.1:{pod.free_port()}"
        started(case, self.root, "prometheus", [TOOLS / "bin/prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                                                f"--web.listen-address={self.url.removeprefix('http://')}"])
        balanced.wait("Prometheus", lambda: pod.get(f"{self.url}/-/ready")[0] == 200)

    def write(self, job):
        path = self.root / f"{job}.targets.json"
        path.with_suffix(".new").write_text(json.dumps(self.targets[job]))
        path.with_suffix(".new").rename(path)

    def add(self, job, address, **labels):
        with self.lock:
            self.targets[job].append({"targets": [address], "labels": labels})
            self.write(job)

    def remove(self, **labels):
        """All targets with these labels."""
        with self.lock:
            for job, targets in self.targets.items():
                kept = [it for it in targets if not labels.items() <= it["labels"].items()]
                if len(kept) < len(targets):
                    self.targets[job] = kept
                    self.write(job)

    def ask(self, query):
        """Values of an instant query."""
        status, text = pod.get(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
        assert status == 200, query
        return [float(it["value"][1]) for it in json.loads(text)["data"]["result"]]


def blackbox(case, root, certificates):
    """Debian's blackbox exporter with its own modules, which believes these certificates; its address."""
    address = f"127.0.0.1:{pod.free_port()}"
    started(case, root, "blackbox", [EXPORTERS / "usr/bin/prometheus-blackbox-exporter", f"--config.file={EXPORTERS}/etc/prometheus/blackbox.yml",
                                     f"--web.listen-address={address}"], env={**os.environ, "SSL_CERT_FILE": str(certificates)})
    balanced.wait("blackbox exporter", lambda: pod.get(f"http://{address}/-/healthy")[0] == 200)
    return address
