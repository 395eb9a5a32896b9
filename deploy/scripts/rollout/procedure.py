"""The order of a roll-out and of a way back. Whatever goes wrong once traffic was moved ends with all traffic on the old colour, or
with exit code 4 and a line that says which step an operator has to take."""

import os
import signal
import subprocess
import sys
import uuid

from rollout import gateway
from rollout.judge import Watch, all_ready, wait_ready
from rollout.terms import BAD, DONE, STUCK, Failed, Interrupted, Refused, described, other, spoken


# Each ends a roll-out by way of back().
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def hear():
    """From here on the first signal raises, once; what comes after it is ignored, so that nothing ends the way back."""
    def interrupt(number, _frame):
        deaf()
        raise Interrupted(signal.Signals(number).name)

    for it in SIGNALS:
        signal.signal(it, interrupt)


def deaf():
    """What comes now is not to be ended in the middle."""
    for it in SIGNALS:
        signal.signal(it, signal.SIG_IGN)


def settled(driver, audit):
    """The colour that has all traffic, where balancer and audit agree that this is so."""
    shares = driver.shares()
    unfinished = audit.unfinished()
    if unfinished and unfinished["event"] in ("step", "held", "stuck"):
        raise Refused(
            f"the roll-out of {unfinished.get('release')} to {unfinished.get('to')} has no end in {audit.path} "
            f"(now {said(shares)}): `rollback` ends it, `--resume` goes on with it")
    live = next((colour for colour, part in shares.items() if part == 100), None)
    if not live:
        raise Refused(f"both colours take traffic ({said(shares)}), and no roll-out of {audit.path} says why: `rollback --to COLOUR` gives it to one")
    known = audit.live()
    if known and known["live"] != live:
        raise Refused(
            f"{driver.name} gives all traffic to {live}, {audit.path} says {known['live']}: was haproxy restarted without its state file, or changed by hand? "
            "`rollback --to COLOUR` gives it to the right one")
    return live


def said(shares):
    return ", ".join(f"{colour} {part} %" for colour, part in shares.items())


class RollOut:
    """One roll-out of a release to the colour that is idle."""

    def __init__(self, driver, audit, options):
        self.driver, self.audit, self.options = driver, audit, options
        self.id = uuid.uuid4().hex[:12]
        self.live = self.idle = self.before = None

    def write(self, event, reason, **more):
        line = {"rollout": self.id, "release": self.options.release, "from": self.live, "from_release": self.before, "to": self.idle}
        self.audit.write(event, reason, **line, **more)

    def urls(self, colour=None):
        """Addresses of the gateways of a colour: typed ones, or those that the balancer knows."""
        colour = colour or self.idle
        return self.options.url.get(colour) or self.driver.urls(colour)

    def run(self):
        """The exit code."""
        options = self.options
        if not self.driver.splits and len(options.steps) > 1:
            raise Refused(f"{self.driver.name} takes no shares: use blue-green, --virtual-service, or deploy/flagger")
        first = 0
        if options.resume:
            first = self.resumed()
        else:
            self.live = settled(self.driver, self.audit)
            self.idle = other(self.live)
            self.before = self.audit.live().get("serves")
            if self.before == options.release:
                self.write("unchanged", f"{options.release} serves already, on {self.live}")
                return DONE
            try:
                wrong = self.prepare()
            except Exception as error:
                wrong = f"interrupted: {described(error)}"
            if wrong:
                self.write("not_switched", wrong)
                return BAD
        return self.move(first)

    def resumed(self):
        """The number of the step in which a roll-out of this release was interrupted."""
        last, options = self.audit.unfinished(), self.options
        if last.get("event") not in ("step", "held") or last.get("release") != options.release:
            raise Refused(f"{self.audit.path} has no unfinished roll-out of {options.release}: leave --resume out")
        self.live, self.idle, self.id, self.before = last["from"], last["to"], last["rollout"], last["from_release"]
        shares = self.driver.shares()
        if abs(last["percent"] - shares[self.idle]) > 3:  # weights are whole numbers
            raise Refused(f"{self.audit.path} says {last['percent']} % for {self.idle}, {self.driver.name} has {said(shares)}: `rollback` ends this roll-out")
        found = [number for number, (percent, _) in enumerate(options.steps) if percent >= last["percent"]]
        return found[0]

    def prepare(self):
        """Deploys to the idle colour, which has no traffic; nothing, or what is wrong with it."""
        options = self.options
        self.write("started", f"{options.release} goes to {self.idle}, {self.live} serves")
        around = {**os.environ, "FLK_COLOUR": self.idle, "FLK_RELEASE": options.release}
        ran = subprocess.run(["/bin/sh", "-c", options.deploy], env=around)
        if ran.returncode:
            return f"the command of --deploy ended with {ran.returncode}"
        wrong = wait_ready(self.driver, self.idle, self.urls, options.health_tries, options.health_every, options.limits.timeout_s)
        if wrong:
            return wrong
        for url in self.urls():
            ran = subprocess.run([*options.smoke, url])
            if ran.returncode:
                return f"the smoke test of {url} ended with {ran.returncode}"
        self.write("healthy", f"{self.idle} is ready, and its smoke test passed")
        return ""

    def move(self, first):
        """Goes through the steps, and back if one of them is bad. Whatever ends this early goes back as well."""
        figures = {}
        try:
            try:
                wrong, figures = self.steps(first)
            finally:
                # one signal may still come before this is over, and it is the last one: hear() sees to that
                deaf()
        except Exception as error:
            wrong = f"interrupted: {described(error)}"
        if not wrong:
            self.write("promoted", f"{self.options.release} has all traffic, and did well", live=self.idle, serves=self.options.release, figures=figures)
            return DONE
        return self.back(wrong, figures)

    def steps(self, first):
        """Why the release has to go, if it has to, and its last figures."""
        options = self.options
        before = gateway.counters(self.urls(self.live), options.limits.timeout_s)
        escalated_before = before.escalated / before.ingested if before.ingested else 0
        for percent, hold_s in options.steps[first:]:
            watch = Watch(self.driver, self.idle, self.urls(), options.limits, escalated_before)
            # the line comes first: a process that is killed between the two leaves no change without a line
            self.write("step", f"{self.idle} gets {percent} % for {spoken(hold_s)}", percent=percent, hold_s=hold_s)
            self.driver.share(self.idle, percent)
            wrong = watch.run(hold_s)
            if wrong:
                return wrong, watch.figures
            self.write("held", f"{percent} % for {spoken(hold_s)} did well", percent=percent, figures=watch.figures)
        return "", watch.figures

    def back(self, wrong, figures):
        """Gives all traffic to the old colour. No signal is heard any more."""
        try:
            self.driver.share(self.live, 100)
        except Exception as error:
            self.write("stuck", f"{wrong}; and the way back failed: {described(error)}. Run `rollback`, or give {self.live} all traffic by hand", figures=figures)
            return STUCK
        self.write("rolled_back", wrong, live=self.live, serves=self.before, figures=figures)
        return BAD


def rollback(driver, audit, options):
    """Gives all traffic to the colour that had it before, or to the one that is named."""
    target = destination(audit, options.to)
    if not target:
        live = audit.live()
        print(f"nothing to roll back: {live['live']} serves since {live['time']}, when it was rolled back to", file=sys.stderr)
        return DONE
    to, serves = target
    if options.to and not audit.unfinished() and audit.live().get("live") == to and driver.shares()[to] == 100:
        print(f"nothing to do: {to} has all traffic", file=sys.stderr)
        return DONE
    urls = options.url.get(to) or driver.urls(to)
    wrong = all_ready(driver, to, urls, options.timeout)
    if wrong and not options.even_if_unready:
        raise Refused(f"{to} cannot take the traffic ({wrong}): start its release first, or say --even-if-unready")
    line = {"rollout": audit.last().get("rollout"), "from": to, "from_release": serves, "to": other(to)}
    deaf()
    try:
        driver.share(to, 100)
        shares = driver.shares()
        if shares[to] != 100:
            raise Failed(f"{driver.name} has {said(shares)}")
    except Exception as error:
        audit.write("stuck", f"{options.reason}; and the switch to {to} failed: {described(error)}", **line)
        return STUCK
    audit.write("rolled_back", options.reason, live=to, serves=serves, **line)
    wrong = all_ready(driver, to, urls, options.timeout)
    if wrong:
        print(f"{to} has all traffic, but is not healthy: {wrong}", file=sys.stderr)
        return BAD
    return DONE


def destination(audit, named):
    """The colour to go back to, and the release on it; nothing, if the last roll-out was rolled back."""
    if named:
        serves = next((it.get("serves") for it in reversed(audit.lines) if it.get("live") == named), None)
        return named, serves
    last = audit.unfinished() or audit.live()
    if not last:
        raise Refused(f"{audit.path} has no roll-out of {audit.balancer}: --to COLOUR names the colour that is to serve")
    if last["event"] == "rolled_back":
        return None
    return last["from"], last["from_release"]
