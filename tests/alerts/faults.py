"""What is done to gateways, and which alerts it must cause: a list that the files `of_*.py` fill. It does nothing itself."""

from dataclasses import dataclass
from typing import Callable

FAULTS = []


@dataclass
class Fault:
    alerts: tuple
    make: Callable

    @property
    def name(self):
        return self.make.__name__

    @property
    def sentence(self):
        """As docs/testing.md has it."""
        return self.name.replace("_", " ")


def causes(*alerts):
    """A function that makes a fault at a place, waits until these alerts fire, takes it away and waits until they resolve."""
    def listed(make):
        FAULTS.append(Fault(alerts, make))
        return make

    return listed


def provoked():
    """Every alert that some fault causes, with the sentences of its faults."""
    found = {}
    for it in FAULTS:
        for name in it.alerts:
            found.setdefault(name, []).append(it.sentence)
    return found
