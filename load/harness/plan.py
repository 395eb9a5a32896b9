"""What a scenario needs before it can run: how many records of which file, derived from the options that the scenario itself declares, and
the CPUs of both sides. Pure functions; nothing is started here."""

import ipaddress
import math
import re
from urllib.parse import urlsplit

#: Bytes of memory that k6 takes for a record at its peak, when it has read the file: 945 were measured (load/README.md).
RECORD_MEMORY_BYTES = 1000

#: Requests of a virtual user per second at most: it waits a tenth of a second between two (load/k6/lib/shape.js).
USER_REQUESTS_PER_S = 10

#: Files of a scenario beside `new`, each with the part of all requests that takes records from it.
FILES = {
    "bad-signatures": {"new": 1, "bad": 1 / 10},
    "mixed-tenants": {"tenant-1": 1 / 3, "tenant-2": 1 / 3, "tenant-3": 1 / 3},
}

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


class Refused(Exception):
    """A run that must not begin, and why."""


def seconds(text):
    """A duration as k6 writes it, such as 1m30s or 500ms."""
    parts = re.findall(r"([\d.]+)(ns|us|µs|ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text} is no duration")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def requests_max(scenario):
    """Most requests that a scenario of k6 can send, from its options as `k6 inspect` prints them."""
    kind = scenario["executor"]
    if kind == "constant-arrival-rate":
        per_s = scenario["rate"] / seconds(scenario.get("timeUnit") or "1s")
        return math.ceil(per_s * seconds(scenario["duration"])) + 1
    if kind == "constant-vus":
        user_seconds, users = scenario["vus"] * seconds(scenario["duration"]), scenario["vus"]
    elif kind == "ramping-vus":
        now, user_seconds = scenario.get("startVUs") or 0, 0
        users = max(stage["target"] for stage in scenario["stages"])
        for stage in scenario["stages"]:
            user_seconds += seconds(stage["duration"]) * (now + stage["target"]) / 2
            now = stage["target"]
        # As users go they finish what they began, and their number is a whole one at any time.
        user_seconds += users
    else:
        raise Refused(f"the executor {kind} is not known here: say in harness/plan.py how many requests it can send")
    return math.ceil(user_seconds * USER_REQUESTS_PER_S) + users


def fixtures(name, options):
    """The records of each file that a scenario of this name can need."""
    requests = sum(requests_max(it) for it in options["scenarios"].values())
    files = FILES.get(name, {"new": 1})
    return {file: math.ceil(requests * part) + 1 for file, part in files.items()}


def check_memory(records, available_bytes):
    """Refuses a run whose records do not fit into half of the memory that is free."""
    needed = records * RECORD_MEMORY_BYTES
    if available_bytes is not None and needed > available_bytes / 2:
        mib = 1 << 20
        raise Refused(
            f"{records} records take about {needed // mib} MiB in k6, and half of the free memory is "
            f"{available_bytes // 2 // mib} MiB: choose a smaller DURATION, RATE or VUS"
        )


def check_target(url, is_remote_allowed):
    """Refuses an address that is not on this machine, unless that was asked for."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise Refused(f"TARGET is {url}, but it must be an address such as http://127.0.0.1:8080")
    try:
        is_here = ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        is_here = parts.hostname == "localhost"
    if not is_here and not is_remote_allowed:
        raise Refused(f"{parts.hostname} is not on this machine: ALLOW_REMOTE=1 allows to load it")


def cpus(allowed):
    """CPUs of the gateway and of the generator: none in common where there are two or more. A generator such as k6 needs more CPU for a
    request than the gateway, so it gets the larger half."""
    allowed = sorted(allowed)
    if len(allowed) < 2:
        return allowed, allowed
    half = len(allowed) // 2
    return allowed[:half], allowed[half:]
