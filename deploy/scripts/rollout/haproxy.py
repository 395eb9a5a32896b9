"""Moves traffic between the colours of a backend of haproxy, by its runtime API. It changes weights only, and reads each change back."""

import csv
import io
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from rollout.terms import COLOURS, Failed, Refused, other, url

RUNNING = 2  # srv_op_state
WEIGHT_MAX = 256


@dataclass
class Server:
    """A line of `show servers state`."""

    name: str
    colour: str
    host: str
    port: str
    weight: int
    running: bool
    administered: int


class Haproxy:
    """A backend whose servers are named by their colours: blue, green, or blue1, blue2, green1, green2."""

    splits = True

    def __init__(self, address, backend, state_file=None):
        self.address = address
        self.backend = backend
        self.state_file = state_file
        self.name = f"haproxy {backend}"

    def ask(self, command):
        """The answer of haproxy to a command."""
        host, _, port = self.address.rpartition(":")
        try:
            if "/" in self.address:
                asked = socket.socket(socket.AF_UNIX)
                asked.settimeout(5)
                asked.connect(self.address)
            else:
                asked = socket.create_connection((host, int(port)), timeout=5)
            with asked:
                asked.sendall(command.encode() + b"\n")
                answer = b""
                while more := asked.recv(65536):
                    answer += more
        except (OSError, ValueError) as error:
            raise Failed(f"haproxy does not answer at {self.address} ({error}): is there a `stats socket … level admin` there?") from error
        return answer.decode()

    def servers(self):
        """All servers, in the order of the configuration. What this program does not know is refused."""
        lines = self.ask(f"show servers state {self.backend}").splitlines()
        at = next((number for number, line in enumerate(lines) if line.startswith("# ")), None)
        if at is None:
            raise Refused(f"haproxy has no backend {self.backend}: {' '.join(lines).strip()}")
        found = []
        header = lines[at].removeprefix("# ").split()
        for line in filter(str.strip, lines[at + 1 :]):
            it = dict(zip(header, line.split()))
            colour = re.fullmatch(r"(blue|green)(-?\d+)?", it["srv_name"])
            if not colour:
                raise Refused(f"server {self.backend}/{it['srv_name']} is of no colour: names are blue or green, with a number or without")
            running = int(it["srv_op_state"]) == RUNNING
            found.append(Server(it["srv_name"], colour[1], it["srv_addr"], it["srv_port"], int(it["srv_uweight"]), running, int(it["srv_admin_state"])))
        for colour in COLOURS:
            if not any(it.colour == colour for it in found):
                raise Refused(f"backend {self.backend} has no server {colour}")
        return found

    def shares(self):
        """The percents of the traffic that each colour gets. Half-known states are refused."""
        found = self.servers()
        for it in found:
            if it.administered:
                raise Refused(f"server {self.backend}/{it.name} is in maintenance or drained by hand: `set server {self.backend}/{it.name} state ready` first")
        sums = {}
        for colour in COLOURS:
            weights = {it.weight for it in found if it.colour == colour}
            if len(weights) > 1:
                raise Refused(f"servers of {colour} have different weights ({sorted(weights)}): give them the same one first")
            sums[colour] = sum(it.weight for it in found if it.colour == colour)
        whole = sum(sums.values())
        if not whole:
            raise Refused(f"no server of backend {self.backend} has a weight: it serves nothing; give the right colour its weight first")
        return {colour: round(100 * part / whole) if part in (0, whole) else min(99, max(1, round(100 * part / whole))) for colour, part in sums.items()}

    def share(self, colour, percent):
        """Gives a colour so much of the traffic, and the other one the rest."""
        found = self.servers()
        count = {it: sum(server.colour == it for server in found) for it in COLOURS}
        rest = other(colour)
        wanted = weights(percent, count[colour], count[rest])
        wanted = {colour: wanted[0], rest: wanted[1]}
        # what grows goes first, so that at no time all are 0
        for it in sorted(found, key=lambda server: wanted[server.colour] < server.weight):
            said = self.ask(f"set weight {self.backend}/{it.name} {wanted[it.colour]}").strip()
            if said:
                raise Failed(f"haproxy refuses a weight of {wanted[it.colour]} for {self.backend}/{it.name}: {said}")
        wrong = [it.name for it in self.servers() if it.weight != wanted[it.colour]]
        if wrong:
            raise Failed(f"haproxy did not take the weights of {', '.join(wrong)}")
        if self.state_file:
            # where the next start of haproxy finds them (server-state-file)
            new = Path(f"{self.state_file}.new")
            new.write_text(self.ask("show servers state"))
            new.rename(self.state_file)

    def ready(self, colour):
        """Nothing, or what haproxy has against a colour."""
        down = [it.name for it in self.servers() if it.colour == colour and not it.running]
        return f"haproxy's checks of {', '.join(down)} fail" if down else ""

    def urls(self, colour):
        """The addresses of its gateways."""
        return [url(it.host, it.port) for it in self.servers() if it.colour == colour]

    def errors(self, colour):
        """Requests to a colour, and answers that were errors or did not come, since haproxy's start."""
        names = {it.name for it in self.servers() if it.colour == colour}
        rows = csv.DictReader(io.StringIO(self.ask("show stat").removeprefix("# ")))
        rows = [it for it in rows if it["pxname"] == self.backend and it["svname"] in names]
        total = {key: sum(int(it[key] or 0) for it in rows) for key in ("req_tot", "hrsp_5xx", "econ", "eresp")}
        return total["req_tot"], total["hrsp_5xx"] + total["econ"] + total["eresp"]


def weights(percent, count, count_of_rest):
    """The weight of a server of a colour that is to get this percentage, and that of one of the other colour."""
    part, rest = percent * count_of_rest, (100 - percent) * count
    scale = min(1, WEIGHT_MAX / max(part, rest))
    return tuple(max(1, round(it * scale)) if it else 0 for it in (part, rest))
