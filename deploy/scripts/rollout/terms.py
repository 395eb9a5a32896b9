"""Words that all parts use: the two colours, addresses, amounts as they are typed, and the ways in which a roll-out ends. It does nothing."""

import re
from datetime import timedelta

COLOURS = ("blue", "green")

# Exit codes. A roll-out that ends with 1 left the traffic where it was, or brought it back.
DONE, BAD, USAGE, REFUSED, STUCK = 0, 1, 2, 3, 4


class Refused(Exception):
    """The state is not one to begin from; nothing was changed."""


class Failed(Exception):
    """A program or a balancer did not do what it was told."""


class Interrupted(Exception):
    """A signal that asks for an end."""


def described(error):
    """What an error says. One that nobody foresaw says little without its kind."""
    if isinstance(error, (Refused, Failed, Interrupted, OSError)):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def other(colour):
    return COLOURS[1 - COLOURS.index(colour)]


def url(host, port):
    """The address of a gateway; one of IPv6 has its brackets."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def seconds(text):
    """Seconds of 500ms, 10s, 15m or 1h."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not found:
        raise ValueError(f"{text}: allowed is a number with ms, s, m or h, such as 15m")
    return float(found[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[found[2]]


def ratio(text):
    """The part of one that a percentage is: 2 % is 0.02."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)
    if not found or float(found[1]) > 100:
        raise ValueError(f"{text}: allowed is 0% to 100%, such as 0.1%")
    return float(found[1]) / 100


def steps(text):
    """Pairs of percent and seconds of 1:15m,10:30m,50:1h,100:5m."""
    found = []
    for part in text.split(","):
        percent, _, hold = part.partition(":")
        if not percent.isdigit() or not 1 <= int(percent) <= 100 or not hold:
            raise ValueError(f"{part}: allowed is PERCENT:TIME, such as 10:30m")
        found.append((int(percent), seconds(hold)))
    percents = [percent for percent, _ in found]
    if percents != sorted(set(percents)) or percents[-1] != 100:
        raise ValueError(f"{text}: percents have to grow, and the last one has to be 100")
    return found


def spoken(amount_s):
    """Seconds as a person says them."""
    return str(timedelta(seconds=round(amount_s))) if amount_s >= 120 else f"{amount_s:g} s"


def percent(part):
    return f"{part * 100:.3g} %"
