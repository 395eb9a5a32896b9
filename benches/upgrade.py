#!/usr/bin/env python3
"""Restarts a gateway on kept sockets under an open loop of records, as an upgrade in place does, and prints what the senders saw: answers by
status, errors of connections, the longest wait. Ends with 1 unless every record was answered 200."""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

KEY = "a key of thirty-two bytes or more"
# What is no answer: each has to be 0.
ERRORS = ("lost", "foreign", "timed_out", "unsent", "unconnected")


def kept_socket():
    """A listening socket as flk-dataplane.socket makes it, for one shard."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", 0))
    made.listen(4096)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class Gateway:
    """One process after the other on the same socket and log."""

    def __init__(self, program, root, listening, cpu):
        self.program, self.listening = program, listening
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.log = open(Path(root, "gateway.log"), "w+")
        self.env = {"WAL_DIR": str(Path(root, "wal")), "PCS_HMAC_KEY": KEY, "FLK_CORES": f"{cpu}-{cpu}", "LISTEN_FDS": "1", "DEDUP_MEMORY_MAX": "1GiB"}
        self.process = None

    def start(self):
        # exec keeps the process id that the shell has
        command = ["sh", "-c", f"exec 3<&{self.listening.fileno()}; LISTEN_PID=$$ exec \"$0\"", self.program]
        self.process = subprocess.Popen(command, env=self.env, stderr=self.log, pass_fds=[self.listening.fileno()])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        if code:
            sys.exit(f"upgrade: the gateway ended with {code}: {self.said()}")

    def said(self):
        self.log.seek(0)
        return self.log.read()[-2000:]

    def ingested(self):
        """Records that this process observed; it is asked like any client, and waits like one."""
        while self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
                    return int(re.search(r"(?m)^flk_ingest_total (\d+)", answer.read().decode())[1])
            except TimeoutError:
                pass  # it waits in the queue of the socket
        sys.exit(f"upgrade: the gateway ended with {self.process.returncode}: {self.said()}")


def restart(gateway):
    """Stops and starts it; how long the stop took, and the start until an answer."""
    began = time.monotonic()
    gateway.stop()
    stopped = time.monotonic()
    gateway.start()
    gateway.ingested()
    return stopped - began, time.monotonic() - stopped


def measure(options, root):
    """The restarts with their times, and what flk bench saved."""
    with kept_socket() as listening:
        gateway = Gateway(options.bin / "flk-dataplane", root, listening, options.gateway_cpu)
        gateway.start()
        try:
            gateway.ingested()
            saved = Path(root, "run.json")
            bench = subprocess.Popen(
                [options.bin / "flk", "bench", gateway.url, f"--rate={options.rate}", f"--duration={options.seconds}s", f"--connections={options.connections}",
                 f"--cpus={options.load_cpu}", "--timeout=30s", f"--save={saved}", "--quiet"], env={"PCS_HMAC_KEY": KEY}, stdout=subprocess.DEVNULL)
            while not gateway.ingested() and bench.poll() is None:
                time.sleep(0.2)  # it signs its records first
            restarts = []
            for _ in range(options.restarts):
                time.sleep(options.seconds / (options.restarts + 1))
                restarts.append(restart(gateway))
            bench.wait()
            if not saved.exists():
                sys.exit(f"upgrade: flk bench ended with {bench.returncode}")
            return restarts, json.loads(saved.read_text())
        finally:
            gateway.process.kill()
            gateway.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, default=Path("target/release"), help="directory of flk and flk-dataplane (%(default)s)")
    parser.add_argument("--rate", type=int, default=20_000, help="records a second (%(default)s)")
    parser.add_argument("--seconds", type=int, default=30, help="how long (%(default)s)")
    parser.add_argument("--restarts", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--connections", type=int, default=256, help="(%(default)s)")
    parser.add_argument("--gateway-cpu", type=int, default=0, help="(%(default)s)")
    parser.add_argument("--load-cpu", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--directory", default="target", help="where the log is written, for so long (%(default)s)")
    options = parser.parse_args()
    options.bin = options.bin.resolve()
    with tempfile.TemporaryDirectory(dir=options.directory) as root:
        restarts, run = measure(options, os.path.realpath(root))
    figures, machine = run["figures"], run["machine"]
    print(f"{machine['cpu']}, {machine['cpus_count']} CPUs, Linux {machine['kernel']}; gateway on CPU {options.gateway_cpu}, load on CPU {options.load_cpu}")
    print(f"{figures['asked_per_s']:.0f} records/s asked, {figures['achieved_per_s']:.0f} answered, over {options.connections} connections; {figures['due']} records in "
          f"{figures['measured_s']:.0f} s")
    for number, (stop_s, start_s) in enumerate(restarts, 1):
        print(f"restart {number}: stop {stop_s * 1000:.0f} ms, start until an answer {start_s * 1000:.0f} ms")
    print("answers by status:", ", ".join(f"{status}: {count}" for status, count in figures["statuses"].items()) or "none")
    print("without an answer:", ", ".join(f"{name} {figures[name]}" for name in ERRORS))
    waits = figures["from_due"]
    print("longest wait of a record, from when it was due:",
          f"{waits['max_ns'] / 1e6:.0f} ms; p50 {waits['p50_ns'] / 1e6:.2f} ms, p99 {waits['p99_ns'] / 1e6:.0f} ms")
    if run["generator"]["was_limit"]:
        print("the generator was the limit:", "; ".join(run["generator"]["reasons"]))
    wrong = figures["statuses"].keys() != {"200"} or figures["wrong"] or any(figures[name] for name in ERRORS)
    print("a record was not answered 200" if wrong else f"no record failed in {len(restarts)} restarts")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
