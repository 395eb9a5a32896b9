"""What a gateway says of itself, and how fast: /readyz as a probe, and the counters of /metrics that a roll-out is judged by."""

import base64
import os
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

from rollout.terms import Failed

SAMPLE = re.compile(r'^(\w+)(?:\{(?:code|le)="([^"]+)"\})? ([0-9.e+]+)$', re.M)


@dataclass
class Counters:
    """Counters of one gateway, or the sum of several, since their starts."""

    answers: float = 0
    errors: float = 0
    ingested: float = 0
    escalated: float = 0
    buckets: dict = field(default_factory=dict)

    def plus(self, more, sign=1):
        keys = self.buckets.keys() | more.buckets.keys()
        return Counters(
            self.answers + sign * more.answers, self.errors + sign * more.errors, self.ingested + sign * more.ingested,
            self.escalated + sign * more.escalated, {key: self.buckets.get(key, 0) + sign * more.buckets.get(key, 0) for key in keys})

    def minus(self, before):
        return self.plus(before, -1)

    def went_back(self):
        """Of a difference: whether a counter fell, as it does where the process started again."""
        return min(self.answers, self.ingested) < 0

    def p95_s(self):
        """The upper edge of the bucket with the 95th of 100 answers; 0 without any."""
        bounds = sorted(self.buckets, key=float)
        whole = self.buckets[bounds[-1]] if bounds else 0
        return next((float(it) for it in bounds if self.buckets[it] >= 0.95 * whole), 0.0) if whole else 0.0


def fetch(url, timeout_s):
    """Status, text and seconds; the status is 0 and the text says why where nothing answers."""
    request = urllib.request.Request(url)
    if user := os.environ.get("METRICS_USER"):
        pair = f"{user}:{os.environ.get('METRICS_PASS', '')}"
        request.add_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read(1000).decode(errors="replace")
    except (OSError, ValueError) as error:
        status, text = 0, str(error)
    return status, text, time.monotonic() - began


def parse(text):
    """The counters of a page."""
    found = Counters()
    for name, label, value in SAMPLE.findall(text):
        value = float(value)
        if name == "http_requests_total":
            found.answers += value
            found.errors += value if label.startswith("5") else 0
        elif name == "http_request_duration_seconds_bucket":
            found.buckets[label.replace("+Inf", "inf")] = value
        elif name == "flk_ingest_total":
            found.ingested = value
        elif name == "flk_escalated":
            found.escalated = value
    if not found.buckets:
        raise Failed("/metrics has no http_request_duration_seconds: is this a gateway of flk?")
    return found


def counters(urls, timeout_s):
    """The sum over gateways."""
    found = Counters()
    for url in urls:
        status, text, _ = fetch(f"{url}/metrics", timeout_s)
        if status != 200:
            hint = ": METRICS_USER and METRICS_PASS say the password" if status == 401 else ""
            raise Failed(f"{url}/metrics: {status or text}{hint}")
        found = found.plus(parse(text))
    return found
