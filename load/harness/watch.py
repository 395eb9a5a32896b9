"""What a process used while a run went on: CPU time, and memory every second. Memory counts without what the gateway states itself that its
tables of ids take, since these grow with every new id until they are sealed, and are bounded by a setting."""

import itertools
import os
import threading
import time

from . import gateway

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20

#: Memory beside the tables of ids may grow by this at most, over at least so long. An hour of `soak` has about 1.8 million requests: it is
#: 17 bytes for each, less than anything that could be forgotten of one.
SLOPE_MIB_PER_MINUTE_MAX = 0.5
SLOPE_S_MIN = 600

#: A page of metrics is asked for at every so many samples: it costs the gateway more than a record does.
METRICS_EVERY = 5

#: Memory that grows with the number of ids, as the gateway states it.
TABLES = ("flk_dedup_bytes", "flk_slice_memory_bytes")


def cpu_s(pid):
    """CPU time of a process, of user and system."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def memory_bytes(pid):
    """Resident memory of a process, and the part of it that no file stands behind."""
    found = {}
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in ("VmRSS", "RssAnon"):
                found[name] = int(rest.split()[0]) * 1024
    return found["VmRSS"], found["RssAnon"]


def tables_bytes(metrics):
    """What the tables of ids take, of all shards, in the text of /metrics."""
    total = 0
    for line in metrics.splitlines():
        if line.split("{")[0].split(" ")[0] in TABLES:
            total += float(line.rsplit(" ", 1)[1])
    return total


def slope_mib_per_minute(samples):
    """Growth of a line through samples of (seconds, bytes), by least squares. The first fifth is a start and does not count."""
    samples = samples[len(samples) // 5 :]
    if len(samples) < 2:
        return 0.0
    mean_t = sum(t for t, _ in samples) / len(samples)
    mean_b = sum(b for _, b in samples) / len(samples)
    spread = sum((t - mean_t) ** 2 for t, _ in samples)
    if spread == 0:
        return 0.0
    return sum((t - mean_t) * (b - mean_b) for t, b in samples) / spread * 60 / MIB


def slope_verdict(samples):
    """Slope, and whether it holds; None where the run was too short to say."""
    slope = slope_mib_per_minute(samples)
    if not samples or samples[-1][0] - samples[0][0] < SLOPE_S_MIN:
        return slope, None
    return slope, slope <= SLOPE_MIB_PER_MINUTE_MAX


class Watch:
    """Watches a gateway while the block of a `with` runs. The figures are complete after it."""

    def __init__(self, pid, url):
        self.pid, self.url = pid, url
        self.cpu_s = 0.0
        self.rss_bytes, self.beside_tables = [], []
        self._end = threading.Event()

    def __enter__(self):
        self._began, self._cpu_before = time.monotonic(), cpu_s(self.pid)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def _run(self):
        for at in itertools.count():
            try:
                rss, anonymous = memory_bytes(self.pid)
            except (OSError, KeyError):
                return  # it ended, which the run itself reports
            passed = time.monotonic() - self._began
            self.rss_bytes.append(rss)
            if at % METRICS_EVERY == 0 and (metrics := gateway.get(f"{self.url}/metrics")):
                self.beside_tables.append((passed, anonymous - tables_bytes(metrics)))
            if self._end.wait(1):
                return

    def __exit__(self, *_):
        try:
            self.cpu_s = cpu_s(self.pid) - self._cpu_before
        except OSError:
            pass
        self._end.set()
        self._thread.join()
