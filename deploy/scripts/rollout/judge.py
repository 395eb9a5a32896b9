"""Whether a release does well, while it serves: readiness and times of probes from outside, the counters of its gateways, and what the
balancer counts. Each verdict is a sentence with the figure and its limit. It moves no traffic."""

import time
from dataclasses import dataclass

from rollout import gateway
from rollout.terms import Failed, percent, spoken

PROBES_MIN = 10
FAILED_IN_TURN = 2
# How many times as many escalations as before are still the traffic, and not the release.
ESCALATIONS_BESIDE = 1.5


@dataclass
class Limits:
    """What a release may do at most."""

    errors: float
    p95_s: float
    escalations: float
    requests_min: int
    every_s: float
    timeout_s: float


class Watch:
    """A release under traffic, from its first moment on."""

    def __init__(self, driver, colour, urls, limits, escalated_before):
        self.driver, self.colour, self.urls, self.limits = driver, colour, urls, limits
        self.escalations_max = max(limits.escalations, ESCALATIONS_BESIDE * escalated_before)
        self.probes_s = []
        self.failed = 0
        self.began = self.counters()
        self.began_at_balancer = driver.errors(colour)
        self.figures = {}

    def counters(self):
        return gateway.counters(self.urls, self.limits.timeout_s)

    def run(self, hold_s):
        """Watches for so long; nothing, or why the release has to go."""
        end = time.monotonic() + hold_s
        while True:
            wrong = self.look()
            left = end - time.monotonic()
            if wrong or left <= 0:
                return wrong or self.enough()
            time.sleep(min(self.limits.every_s, left))

    def look(self):
        """One look: nothing, or why the release has to go."""
        wrong = self.probe()
        if wrong:
            self.failed += 1
            return f"{wrong}, {self.failed} times in turn" if self.failed >= FAILED_IN_TURN else ""
        self.failed = 0
        return self.judge()

    def probe(self):
        """Asks each gateway whether it is ready."""
        if not self.urls:
            return f"{self.colour} has no address"
        for url in self.urls:
            status, text, took_s = gateway.fetch(f"{url}/readyz", self.limits.timeout_s)
            if status != 200:
                return f"{url}/readyz answers {status} ({text[:120].strip()})" if status else f"{url}/readyz does not answer ({text})"
            self.probes_s.append(took_s)
        return ""

    def judge(self):
        """Holds the figures against the limits."""
        limits = self.limits
        try:
            since = self.counters().minus(self.began)
        except Failed as error:
            return f"its counters cannot be read: {error}"
        if since.went_back():
            return "a gateway of it ended and started again: its counters went back"
        answers, errors = int(since.answers), int(since.errors)
        if self.began_at_balancer:
            at_balancer = [now - before for now, before in zip(self.driver.errors(self.colour), self.began_at_balancer)]
            answers, errors = max(answers, at_balancer[0]), max(errors, at_balancer[1])
        probe_s = sorted(self.probes_s)[int(0.95 * (len(self.probes_s) - 1))]
        escalated = since.escalated / since.ingested if since.ingested else 0
        self.figures = {
            "records": int(since.ingested), "answers": answers, "errors": errors, "p95_s": since.p95_s(),
            "probe_p95_s": round(probe_s, 4), "escalated_ratio": round(escalated, 5),
        }
        if since.ingested + errors < limits.requests_min:
            return ""
        if errors > limits.errors * answers:
            return f"{errors} of {answers} answers were errors ({percent(errors / max(answers, 1))}, at most {percent(limits.errors)})"
        if since.p95_s() > limits.p95_s:
            return f"95 % of its answers took up to {since.p95_s():g} s (at most {limits.p95_s:g} s)"
        if len(self.probes_s) >= PROBES_MIN and probe_s > limits.p95_s:
            return f"95 % of the probes took up to {probe_s:.3f} s (at most {limits.p95_s:g} s)"
        if escalated > self.escalations_max:
            return f"{int(since.escalated)} of {int(since.ingested)} records were escalated ({percent(escalated)}, at most {percent(self.escalations_max)})"
        return ""

    def enough(self):
        """At the end: whether there was enough to judge by."""
        records = self.figures.get("records", 0)
        if self.failed:
            return "the last probe failed"
        if records < self.limits.requests_min:
            return f"only {records} records came, too few to judge by (at least {self.limits.requests_min}: --requests-min)"
        return ""


def all_ready(driver, colour, urls, timeout_s):
    """Nothing, or what keeps a colour from taking traffic."""
    if not urls:
        return f"{colour} has no address"
    for url in urls:
        status, text, _ = gateway.fetch(f"{url}/readyz", timeout_s)
        if status != 200:
            return f"{url}/readyz: {status or text}"
    return driver.ready(colour)


def wait_ready(driver, colour, urls, tries, every_s, timeout_s):
    """Asks so many times; nothing, or what the last answer was."""
    wrong = ""
    for number in range(tries):
        if number:
            time.sleep(every_s)
        wrong = all_ready(driver, colour, urls(), timeout_s)
        if not wrong:
            return ""
    return f"not healthy after {tries} tries, one each {spoken(every_s)}: {wrong}"
