"""The record of all roll-outs of a balancer: a JSON object a line, each with its reason, synced before the next step. It is also the
lock: one roll-out at a time. It never changes a line that is there."""

import fcntl
import getpass
import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path

from rollout.terms import Refused

# A roll-out that ended; every other event is one in the middle.
ENDS = ("promoted", "rolled_back", "not_switched", "unchanged")

# What every event says, and what some say besides. Later commands decide by them.
FIELDS = {"time", "reason", "rollout", "from", "from_release", "to"}
FIELDS_OF = {
    "promoted": {"live", "serves"}, "rolled_back": {"live", "serves"}, "step": {"release", "percent"}, "held": {"release", "percent"},
}


class Audit:
    """An open file, locked until the process ends."""

    def __init__(self, path, balancer):
        self.path = Path(path)
        self.balancer = balancer
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.path, "a+", encoding="utf-8")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(f"another roll-out holds {self.path}: wait for its end") from error
        self.lines = self.read()

    def read(self):
        """Lines of this balancer. What cannot be read is refused: the last event decides what may be done next."""
        self.file.seek(0)
        found = []
        for number, line in enumerate(self.file, 1):
            try:
                event = json.loads(line)
                balancer, _ = event["balancer"], event["event"]
            except (ValueError, KeyError, TypeError) as error:
                raise Refused(f"{self.path}, line {number}, is no JSON of an event (a write that was cut?): correct or delete that line") from error
            if not line.endswith("\n"):
                raise Refused(f"{self.path}, line {number}, has no end: add one")
            ours = balancer == self.balancer
            if missing := ours and sorted((FIELDS | FIELDS_OF.get(event["event"], set())) - event.keys()):
                raise Refused(f"{self.path}, line {number}, lacks {', '.join(missing)}: correct or delete that line")
            if ours:
                found.append(event)
        return found

    def last(self):
        """The newest event, or an empty one."""
        return self.lines[-1] if self.lines else {}

    def live(self):
        """The newest event that says which release serves, or an empty one."""
        return next((it for it in reversed(self.lines) if it["event"] in ("promoted", "rolled_back")), {})

    def unfinished(self):
        """The newest event, if its roll-out has no end."""
        last = self.last()
        return last if last and last["event"] not in ENDS else {}

    def write(self, event, reason, **more):
        """Appends an event, and says it."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": now, "event": event, "balancer": self.balancer, "reason": reason, "actor": actor(), **more}
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.lines.append(line)
        print(f"{now[11:19]} {event}: {reason}", file=sys.stderr)


def actor():
    """The user who called sudo, or the user."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
