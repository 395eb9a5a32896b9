"""Where a fault is made: a gateway with a namespace of its own, those who send to it, and what the receiver is told of it. It makes no
fault and judges nothing but answers."""

import contextlib
import http.client
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import balanced
import chart
import pod
import runbooks

# The longest that a message may take beyond the times of its rule: a scrape, two evaluations, and a machine that is busy.
MESSAGE_S = 60


class Place:
    """A namespace with what runs in it; all of it ends with `end`."""

    def __init__(self, prometheus, receiver, root, namespace):
        self.prometheus, self.receiver, self.namespace = prometheus, receiver, namespace
        self.root = Path(root)
        self.root.mkdir()
        self.ends = contextlib.ExitStack()
        self.since = time.monotonic()
        self.gateway = None
        self.fired = {}
        self.resolved = {}
        # Commands that were run, by page and section.
        self.followed = {}

    def run(self, name, command, **more):
        """Starts a process, which ends with the place."""
        with open(self.root / f"{name}.log", "a") as log:
            process = subprocess.Popen(command, **{"stdout": log, "stderr": log, "cwd": self.root, **more})
        self.ends.callback(ended, process)
        return process

    def watch(self, job, address, **labels):
        """Has Prometheus look at something, and waits until it has."""
        self.prometheus.add(job, address, namespace=self.namespace, **labels)
        query = f'count(up{{job="{job}",namespace="{self.namespace}"}})'
        balanced.wait(f"{job} of {self.namespace} in Prometheus", lambda: self.prometheus.ask(query))

    def series(self, query):
        """Values of a query, in which NS is the selection of this place."""
        return self.prometheus.ask(query.replace("NS", f'namespace="{self.namespace}"'))

    def until(self, query, what=None, within=60):
        balanced.wait(f"{self.namespace}: {what or query}", lambda: self.series(query), within)

    def faulty(self):
        """From here on alerts count."""
        self.since = time.monotonic()

    def fires(self, *alerts, within=MESSAGE_S, namespace=None):
        """Waits until the receiver is told that each fires, and does then what its page says under Diagnosis."""
        for name in alerts:
            self.fired[name] = self.receiver.wait("firing", name, self.namespace if namespace is None else namespace, self.since, within)
        self.follow(alerts, "Diagnosis")

    def resolves(self, *alerts, within=MESSAGE_S, namespace=None):
        """Waits until the receiver is told that each, which fired, has resolved, and does then what its page says under Validation."""
        for name in alerts:
            place = self.namespace if namespace is None else namespace
            self.resolved[name] = self.receiver.wait("resolved", name, place, self.fired[name], within)
        self.follow(alerts, "Validation")

    def follow(self, alerts, section):
        for page in sorted({runbooks.page_of(it) for it in alerts}):
            if runbooks.MADE_HERE in runbooks.head(page):
                self.followed[page, section] = runbooks.follow(page, section, self.gateway)

    def end(self):
        self.ends.close()
        self.prometheus.remove(namespace=self.namespace)

    def logs(self):
        return "\n".join(f"{it.name}: {it.read_text(errors='replace')[-1500:]}" for it in sorted(self.root.glob("*.log")))


def ended(process):
    process.kill()
    process.wait()


class Gateway:
    """A gateway of a place, with one shard unless a variable says otherwise; Prometheus knows it when it serves."""

    def __init__(self, place, program="flk-dataplane", before=(), watched=True, stderr=None, **variables):
        self.place, self.program, self.before, self.stderr = place, program, list(before), stderr
        place.gateway = self
        self.port = pod.free_port()
        self.admin = pod.free_port()
        self.control = None
        self.env = {
            "PORT": str(self.port), "WAL_DIR": str(place.root / "wal"), "WAL_MAX_BYTES": "256MiB", "DEDUP_MEMORY_MAX": "16MiB", "FLK_CORES": "1",
            "PCS_HMAC_KEY": pod.KEY, "CONTROL_DIR": str(place.root / "control"), "ADMIN_LISTEN": f"127.0.0.1:{self.admin}", **variables,
        }
        self.start()
        if watched:
            place.watch("flk", f"127.0.0.1:{self.port}", pod="flk-0")

    def launch(self):
        """Starts the process, ready or not."""
        kept = {"stderr": self.stderr} if self.stderr else {}
        env = {"PATH": os.environ["PATH"], **self.env}
        self.process = self.place.run("gateway", [*self.before, pod.BIN / self.program], env=env, **kept)

    def start(self):
        self.launch()
        balanced.wait(f"a gateway of {self.place.namespace}", lambda: self.get("/readyz")[0] == 200 or self.over())

    def over(self):
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.place.logs()}"

    def with_control(self):
        """A control process beside it, which Prometheus knows as well."""
        self.start_control()
        self.place.watch("flk-control", f"127.0.0.1:{self.admin}", pod="flk-0")
        self.place.until("flk_control_dataplane_up{NS} == 1")
        return self

    def start_control(self):
        self.control = self.place.run("control", [pod.BIN / "flk-control"], env={"PATH": os.environ["PATH"], **self.env})
        balanced.wait("control", lambda: pod.get(f"http://127.0.0.1:{self.admin}/health")[0] == 200)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(timeout=60)

    def threads(self, name):
        """Threads whose names begin so."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sorted(int(it.name) for it in tasks if (it / "comm").read_text().startswith(name))

    def get(self, path):
        return pod.get(f"http://127.0.0.1:{self.port}{path}")

    def metric(self, name):
        found = re.search(rf"(?m)^{re.escape(name)} (\S+)", self.get("/metrics")[1])
        return float(found[1]) if found else None

    def flk(self, *arguments, text=""):
        ran = subprocess.run([pod.BIN / "flk", *map(str, arguments)], input=text, capture_output=True, text=True, timeout=60, cwd=self.place.root, env=self.env)
        assert ran.returncode == 0, f"{arguments}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def post(self, records, tenant=None):
        """Sends records in one request and gives the status of each."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": "application/x-ndjson", **({"X-Tenant-Id": tenant} if tenant else {})}
        connection.request("POST", "/v1/pcs/batch", b"\n".join(records) + b"\n", headers)
        answer = connection.getresponse()
        lines = answer.read().splitlines()
        connection.close()
        if answer.status != 200:
            return [answer.status] * len(records)
        return [int(re.search(rb'"status":(\d+)', line)[1]) for line in lines]

    def submit(self, record):
        """Sends one record by itself."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", "/v1/pcs/submit", record, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status


class Sender(threading.Thread):
    """Sends what `next_records` gives, batch after batch, until its end; it counts answers by status."""

    def __init__(self, gateway, next_records, pause_s, tenant=None, alone=False):
        super().__init__(daemon=True)
        self.gateway, self.next_records, self.pause_s, self.tenant, self.alone = gateway, next_records, pause_s, tenant, alone
        self.answers = {}
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            due = time.monotonic() + self.pause_s
            records = self.next_records()
            try:
                found = [self.gateway.submit(it) for it in records] if self.alone else self.gateway.post(records, self.tenant)
            except (OSError, http.client.HTTPException):
                found = [0] * len(records)
            for status in found:
                self.answers[status] = self.answers.get(status, 0) + 1
            self.stopping.wait(max(0, due - time.monotonic()))


def of_january(place):
    """A gateway on a directory of January: time since then is withheld, until an operator says that it has passed."""
    shutil.copytree(chart.ROOT / "golden/wal/v2", place.root / "wal")
    return Gateway(place)


@contextlib.contextmanager
def sending(gateway, next_records, pause_s, tenant=None, alone=False):
    sender = Sender(gateway, next_records, pause_s, tenant, alone)
    sender.start()
    try:
        yield sender
    finally:
        sender.stopping.set()
        sender.join(timeout=60)
        assert not sender.is_alive(), "a sender does not end"


class Stock:
    """Signed records with ids of their own, each given once."""

    def __init__(self, count=9000):
        self.records = balanced.records(count)
        self.lock = threading.Lock()

    def take(self, count):
        with self.lock:
            taken, self.records = self.records[:count], self.records[count:]
        assert len(taken) == count, "all records are used up"
        return taken


def escalating(records):
    """The same with a budget that does not follow from their numbers, signed again."""
    claims = re.sub(r'"budget":[0-9.]+', '"budget":9.5', b"\n".join(records).decode())
    signed = subprocess.run([pod.BIN / "flk", "pcs", "sign"], input=claims, env={"PCS_HMAC_KEY": pod.KEY}, capture_output=True, text=True, check=True)
    return signed.stdout.encode().splitlines()


def forged(record):
    """The same with a signature by no key."""
    return re.sub(rb'"sig":"[^"]{4}', b'"sig":"AAAA', record)


def golden(name):
    return re.sub(rb"\n\s*", b"", (chart.ROOT / "golden/records" / f"{name}.json").read_bytes())
