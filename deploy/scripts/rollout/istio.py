"""Moves traffic between two releases of a cluster, by the weights of an Istio VirtualService. It changes weights only, all of them in one
step, only if nothing else was changed since they were read, and reads them back."""

import json

from rollout.kubernetes import Cluster
from rollout.terms import COLOURS, Failed, Refused, other

KIND = "virtualservices.networking.istio.io"


class Istio(Cluster):
    """A VirtualService whose routes have two destinations: the Services, or subsets, that are named as the releases are."""

    splits = True

    def __init__(self, virtual_service, namespace, label, names, context=None):
        super().__init__(namespace, label, names, context)
        self.virtual_service = virtual_service
        self.name = f"virtual service {namespace}/{virtual_service}"

    def read(self):
        """Its state, and of each route where each colour stands and its weight. What is not known is refused."""
        found = json.loads(self.ask("get", KIND, self.virtual_service, "-o", "json"))
        routes = found["spec"].get("http") or []
        if not routes:
            raise Refused(f"{self.name} has no http routes")
        return found["metadata"]["resourceVersion"], [self.colours(number, it.get("route") or []) for number, it in enumerate(routes)]

    def colours(self, number, destinations):
        """Index and weight of each colour in a route."""
        found = {}
        for index, it in enumerate(destinations):
            colour = self.colour(it.get("destination") or {})
            if not colour or colour in found:
                raise Refused(f"route {number} of {self.name} has a destination that is of no colour, or two of one: {json.dumps(it.get('destination'))}")
            found[colour] = (index, it.get("weight", 0))
        if set(found) != set(COLOURS):
            raise Refused(f"route {number} of {self.name} has to have two destinations, {self.names['blue']} and {self.names['green']}")
        return found

    def colour(self, destination):
        """The colour that a destination is; its host may be short or whole."""
        host = destination.get("host", "")
        hosts = {host.removesuffix(".cluster.local").removesuffix(".svc").removesuffix(f".{self.namespace}"), destination.get("subset")}
        return next((colour for colour in COLOURS if self.names[colour] in hosts), None)

    def shares(self):
        """The percents of the traffic that each colour gets. Half-known states are refused."""
        _, routes = self.read()
        weights = {tuple(route[colour][1] for colour in COLOURS) for route in routes}
        if len(weights) > 1:
            raise Refused(f"routes of {self.name} have different weights (blue, green: {sorted(weights)}): give them the same ones first")
        [parts] = weights
        whole = sum(parts)
        if not whole:
            raise Refused(f"no destination of {self.name} has a weight: give the right colour its weight first")
        return {colour: round(100 * part / whole) if part in (0, whole) else min(99, max(1, round(100 * part / whole))) for colour, part in zip(COLOURS, parts)}

    def share(self, colour, percent):
        """Gives a colour so much of the traffic, and the other one the rest."""
        version, routes = self.read()
        wanted = {colour: percent, other(colour): 100 - percent}
        patch = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}]
        for number, route in enumerate(routes):
            for it, (index, _) in route.items():
                # replaces a weight, and makes one where 0 was left out
                patch.append({"op": "add", "path": f"/spec/http/{number}/route/{index}/weight", "value": wanted[it]})
        self.ask("patch", KIND, self.virtual_service, "--type=json", "--patch", json.dumps(patch))
        if any(route[it][1] != wanted[it] for route in self.read()[1] for it in COLOURS):
            raise Failed(f"{self.name} did not take the weights {wanted}")
