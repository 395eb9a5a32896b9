"""Gateways behind a real balancer, and senders before it. It starts, stops and counts; it judges only whether every record
was accepted."""

import asyncio
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import chart
import pod

SCRIPTS = chart.ROOT / "deploy/scripts"
# Where Debian's packages of balancers were unpacked; without it those of this machine.
BALANCERS = os.environ.get("FLK_BALANCERS", "")
SHELLCHECK = f"{BALANCERS}/usr/bin/shellcheck" if BALANCERS else "shellcheck"


def program(name):
    """A balancer's command, and the variables with which it finds its libraries."""
    if not BALANCERS:
        return name, os.environ
    return f"{BALANCERS}/usr/sbin/{name}", {**os.environ, "LD_LIBRARY_PATH": f"{BALANCERS}/usr/lib/x86_64-linux-gnu"}


def wait(what, holds, seconds=60):
    """Until something holds; what it gives comes back."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come in {seconds} s")
        time.sleep(0.05)
    return found


class Gateways:
    """Gateways with names, each with a port and a directory of its own. Releases differ in program and settings."""

    def __init__(self, root, names):
        self.root = Path(root)
        self.ports = {name: pod.free_port() for name in names}
        self.releases = {"good": {}}
        self.running = {}

    def start(self, name, release="good"):
        """Starts a release where another one ran, or none; it ends first, as a unit's does."""
        self.stop(name)
        wanted = self.releases[release]
        own = {
            "PORT": str(self.ports[name]), "WAL_DIR": str(self.root / name), "WAL_MAX_BYTES": "256MiB", "DEDUP_MEMORY_MAX": "16MiB",
            "FLK_CORES": "1", "PCS_HMAC_KEY": pod.KEY, "TRUSTED_PROXIES": "127.0.0.0/8",
        }
        with open(self.root / f"{name}.log", "a") as log:
            self.running[name] = subprocess.Popen([pod.BIN / wanted.get("program", "flk-dataplane")], env={**own, **wanted.get("env", {})}, stderr=log)

    def stop(self, name):
        """SIGTERM, and its end; the exit code."""
        process = self.running.pop(name, None)
        if process:
            process.terminate()
            return process.wait(timeout=60)

    def ready(self, name):
        return pod.get(f"http://127.0.0.1:{self.ports[name]}/readyz")[0] == 200

    def up(self):
        for name in self.ports:
            self.start(name)
        for name in self.ports:
            wait(f"{name} ready", lambda name=name: self.ready(name))

    def metric(self, name, metric):
        found = re.search(rf"^{metric} (\d+)", pod.get(f"http://127.0.0.1:{self.ports[name]}/metrics")[1], re.M)
        return int(found[1])

    def end(self):
        for process in self.running.values():
            process.kill()
            process.wait()
        self.running.clear()


class Served:
    """A server on a port of loopback, until its end. `answer` gets the path and the body of a request, and gives status and text."""

    def __init__(self, answer):
        served = self
        self.requests = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                served.requests += 1
                status, text = answer(self.path, self.rfile.read(int(self.headers.get("Content-Length", 0))))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def end(self):
        self.server.shutdown()
        self.server.server_close()


class Installer(Served):
    """What --deploy talks to: it puts a release on a colour."""

    def __init__(self, gateways):
        def put(path, _):
            _, colour, release = path.split("/")
            if release not in gateways.releases:
                return 404, ""
            gateways.start(colour, release)
            return 204, ""

        super().__init__(put)
        self.command = f"curl -fsS -X POST {self.url}/$FLK_COLOUR/$FLK_RELEASE"


class SlowWay(Served):
    """A way to a gateway on which each page takes so long."""

    def __init__(self, port, delay_s):
        def late(path, _):
            time.sleep(delay_s)
            return pod.get(f"http://127.0.0.1:{port}{path}")

        super().__init__(late)


class Haproxy:
    """The haproxy of deploy/haproxy, with ports of this test; `servers` are lines in the place of its own."""

    def __init__(self, root, gateways, servers=None):
        self.root = Path(root)
        self.port = pod.free_port()
        self.socket = self.root / "admin.sock"
        self.state = self.root / "flk.state"
        text = (chart.ROOT / "deploy/haproxy/haproxy.cfg").read_text()
        for old, new in [
            ("/run/haproxy/admin.sock mode 660", f"{self.socket} mode 600"), ("/var/lib/haproxy/flk.state", str(self.state)),
            ("bind :8080", f"bind 127.0.0.1:{self.port}"), ("    log /dev/log local0\n", ""),
        ]:
            assert old in text, old
            text = text.replace(old, new)
        if servers:
            text = re.sub(r"(?m)^    server .*\n", "", text) + "".join(f"    {line}\n" for line in servers)
        for name, port in gateways.ports.items():
            text, count = re.subn(rf"(?m)^(    server {name} 127\.0\.0\.1):\d+", rf"\1:{port}", text)
            assert count == 1, name
        (self.root / "haproxy.cfg").write_text(text)
        self.process = None

    def start(self):
        command, env = program("haproxy")
        with open(self.root / "haproxy.log", "a") as log:
            self.process = subprocess.Popen([command, "-db", "-f", self.root / "haproxy.cfg"], env=env, stdout=log, stderr=log)
        wait("haproxy", lambda: self.socket.exists() and "UP" in self.ask("show stat"))

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as asked:
            try:
                asked.connect(str(self.socket))
            except OSError:
                return ""
            asked.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: asked.recv(65536), b"")).decode()

    def weights(self):
        lines = [line.split() for line in self.ask("show servers state flk").splitlines()[1:] if line]
        at = lines[0].index("srv_uweight") - 1
        return {line[3]: int(line[at]) for line in lines[1:]}

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Senders(threading.Thread):
    """Senders with an address of 127.0.0.0/8 and a kept connection each, which send signed records at a rate, and never twice at once. Each
    opens its connection anew where an answer says so."""

    def __init__(self, port, records, count=100, per_second=3.0):
        super().__init__(daemon=True)
        self.port, self.records, self.count, self.pause_s = port, records, count, 1 / per_second
        self.answers = {}
        self.wrong = []
        self.outcomes = {}
        self.stopping = False

    def run(self):
        asyncio.run(self.all())

    async def all(self):
        await asyncio.gather(*(self.one(number) for number in range(self.count)))

    async def one(self, number):
        connection = None
        await asyncio.sleep(self.pause_s * number / self.count)
        turn = number
        while not self.stopping:
            due = time.monotonic() + self.pause_s
            record = self.records[turn % len(self.records)]
            turn += self.count
            try:
                if not connection:
                    source = (f"127.{1 + number // 250}.0.{1 + number % 250}", 0)
                    connection = await asyncio.open_connection("127.0.0.1", self.port, local_addr=source)
                status, headers, body = await asyncio.wait_for(self.exchange(connection, record), 30)
                self.count_answer(status, record, body)
                if headers.get(b"connection", b"").lower() == b"close":
                    connection[1].close()
                    connection = None
            except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
                self.count_answer(0, record, repr(error).encode())
                if connection:
                    connection[1].close()
                connection = None
            await asyncio.sleep(max(0, due - time.monotonic()))
        if connection:
            connection[1].close()

    async def exchange(self, connection, record):
        reader, writer = connection
        writer.write(b"POST /v1/pcs/submit HTTP/1.1\r\nHost: flk\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(record), record))
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers[b"content-length"]))
        return int(head[0].split()[1]), headers, body

    def count_answer(self, status, record, body):
        self.answers[status] = self.answers.get(status, 0) + 1
        if status in (200, 202):
            self.outcomes.setdefault(record, set()).add(body)
        else:
            self.wrong.append((status, body[:200]))

    def stop(self):
        """Ends them when their last answers are there."""
        self.stopping = True
        self.join(timeout=60)
        assert not self.is_alive(), "senders do not end"


def all_accepted(case, senders):
    """Ends senders: each record was answered 200, always with the same bytes."""
    senders.stop()
    case.assertEqual(senders.wrong[:5], [])
    case.assertEqual(set(senders.answers), {200})
    case.assertEqual([it for it in senders.outcomes.values() if len(it) != 1], [])


def records(count=4000):
    """Signed records, all accepted by a gateway with the key."""
    made = subprocess.run([pod.BIN / "flk", "bench", "fixtures", f"--count={count}"], env={"PCS_HMAC_KEY": pod.KEY}, capture_output=True, check=True)
    return made.stdout.splitlines()


class Scripts:
    """The scripts of deploy/scripts against a balancer, with times that a test can wait for."""

    # how fast this machine is, is not tested
    PATIENT = ["--every=200ms", "--timeout=10s", "--p95-max=20s", "--requests-min=30", "--health-every=200ms", "--health-tries=150",
               f"--smoke={SCRIPTS}/smoke --options '--latency-max=60s --requests=2'"]

    def __init__(self, root, target, installer):
        self.audit = Path(root, "rollout.jsonl")
        self.target = [*target, f"--audit={self.audit}"]
        self.deploy = f"--deploy={installer.command}" if installer else "--deploy=true"
        self.env = {**os.environ, "FLK": str(pod.BIN / "flk"), "PCS_HMAC_KEY": pod.KEY}

    def command(self, name, *arguments):
        return [sys.executable, "-B", str(SCRIPTS / name), *self.target, *arguments]

    def run(self, name, *arguments, stdin=""):
        return subprocess.run(self.command(name, *arguments), env=self.env, input=stdin, capture_output=True, text=True, timeout=120)

    def roll(self, name, release, *arguments):
        return self.run(name, release, self.deploy, *self.PATIENT, *arguments)

    def begin(self, name, release, *arguments):
        """Starts it and goes on."""
        return subprocess.Popen(self.command(name, release, self.deploy, *self.PATIENT, *arguments), env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def back(self, *arguments, word="ROLLBACK"):
        return self.run("rollback", "--reason=the test says so", *arguments, stdin=f"{word}\n")

    def lines(self):
        return [json.loads(line) for line in self.audit.read_text().splitlines()] if self.audit.exists() else []

    def events(self):
        return [it["event"] for it in self.lines()]


def end_now(process, how=signal.SIGKILL):
    """Ends a process and gives its exit code."""
    process.send_signal(how)
    process.communicate(timeout=60)
    return process.returncode
