"""Three kinds of agents, whose points are sticky, mixed or non_sticky, send signed records in bursts. Each answer has to be that of a new
record, with its own id and regime; the published gates decide how Locust ends. FIXTURES is a directory with `flk bench fixtures` of each
regime, which are read a line at a time and sent once."""

import json
import os

from harness.answers import fault
from locust import FastHttpUser, LoadTestShape, constant_pacing, events, task

FIXTURES = os.environ["FIXTURES"]
SECONDS = int(os.environ.get("SHAPE_SECONDS", "20"))

#: Users at rest and in a burst, of which each period has one.
USERS, USERS_BURST = 20, 100
PERIOD_S, BURST_S = 10, 3

#: The published gates, in milliseconds and as a part of all answers.
P95_MS_MAX, P99_MS_MAX, ERRORS_MAX = 200, 500, 0.01


def _records(regime):
    with open(os.path.join(FIXTURES, f"{regime}.ndjson"), encoding="ascii") as file:
        yield from file


RECORDS = {regime: _records(regime) for regime in ("sticky", "mixed", "non_sticky")}


class Agent(FastHttpUser):
    """An agent that sends five records a second."""

    abstract = True
    wait_time = constant_pacing(0.2)
    regime = None

    @task
    def submit(self):
        body = next(RECORDS[self.regime]).rstrip("\n")
        headers = {"Content-Type": "application/json"}
        with self.client.post("/v1/pcs/submit", data=body, headers=headers, name=self.regime, catch_response=True) as answer:
            wrong = fault(json.loads(body), answer.status_code, answer.headers.get("Flk-Dedup"), answer.text)
            if wrong:
                answer.failure(wrong)


class Sticky(Agent):
    """Most agents watch points that keep together."""

    regime, weight = "sticky", 3


class Mixed(Agent):
    """Some watch points of both kinds."""

    regime, weight = "mixed", 2


class NonSticky(Agent):
    """Few watch points that fill their space."""

    regime, weight = "non_sticky", 1


class Bursts(LoadTestShape):
    """Five times as many agents for three seconds of ten."""

    use_common_options = False

    def tick(self):
        passed = self.get_run_time()
        if passed >= SECONDS:
            return None
        users = USERS_BURST if passed % PERIOD_S < BURST_S else USERS
        return users, USERS_BURST


@events.quitting.add_listener
def judge(environment, **_):
    """Ends with 1 unless all gates hold."""
    total = environment.stats.total
    p95, p99 = total.get_response_time_percentile(0.95), total.get_response_time_percentile(0.99)
    broken = [
        text
        for text, is_broken in (
            ("no request was answered", total.num_requests == 0),
            (f"{total.num_failures} of {total.num_requests} answers were wrong", total.fail_ratio >= ERRORS_MAX),
            (f"p95 is {p95:.0f} ms", p95 >= P95_MS_MAX),
            (f"p99 is {p99:.0f} ms", p99 >= P99_MS_MAX),
        )
        if is_broken
    ]
    regimes = {name for name, _ in environment.stats.entries}
    broken += [f"no record of {regime} was sent" for regime in sorted(set(RECORDS) - regimes)]
    for text in broken:
        print(f"broken: {text}")
    environment.process_exit_code = 1 if broken else 0
