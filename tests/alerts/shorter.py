"""The rules of deploy/prometheus with shorter times, so that a test can wait for them. A time of t seconds becomes √(t / 12): five minutes
become 5 s, an hour 17 s, three days 147 s. A longer time stays longer than a shorter one. Nothing but `for`, `interval` and ranges of
queries is a time here: limits, labels and texts stay as they are."""

import math
import re

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
RANGE = re.compile(r"\[(\d+(?:ms|[smhd]))\]")
# Times of rules beside the ranges in their queries.
KEYS = ("for", "interval")


def seconds(text):
    """A time of the rules, such as 10m, in seconds."""
    return int(text[:-1]) * SECONDS[text[-1]]


def shorter_s(time_s):
    return math.sqrt(time_s / 12)


def shorter(text):
    """The same as the rules write it, in milliseconds."""
    return f"{round(shorter_s(seconds(text)) * 1000)}ms"


def with_times(groups, made):
    """The groups, with each time as `made` gives it."""
    def rule(it):
        times = {key: made(it[key]) for key in KEYS if key in it}
        return {**it, **times, "expr": RANGE.sub(lambda found: f"[{made(found[1])}]", it["expr"])}

    return [{**group, **{key: made(group[key]) for key in KEYS if key in group}, "rules": [rule(it) for it in group["rules"]]} for group in groups]


def shortened(groups):
    """What the test has Prometheus evaluate."""
    return with_times(groups, shorter)


def times(groups):
    """Every time of the groups, in their order."""
    found = []

    def kept(text):
        found.append(text)
        return text

    with_times(groups, kept)
    return found
