"""What every scenario has to be, without a gateway: k6 can read it, its name is that of its file, and the published gates decide it."""

import json
import os
import subprocess

from .plan import Refused, fixtures

SCENARIOS = (
    "baseline",
    "burst",
    "steady-1k-5m",
    "spike",
    "soak",
    "duplicates",
    "bad-signatures",
    "mixed-tenants",
    "gate-10k",
)

#: The gates that were published, and the rule that a generator leaves nothing out.
PUBLISHED = {
    "http_req_failed": ["rate<0.01"],
    "http_req_duration": ["p(95)<200", "p(99)<500"],
    "errors": ["rate<0.01"],
    "signature_failures": ["rate<0.001"],
    "dropped_iterations": ["count==0"],
}

#: What GATES=strict and GATES=own add for latencies.
STRICT = ["p(95)<100", "p(99)<150"]

#: What GATES=own adds for latencies of one scenario.
OWN = {"steady-1k-5m": ["p(95)<2"]}

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def path(scenario):
    """The file of a scenario."""
    return os.path.join(HERE, "k6", f"{scenario}.js")


def environment():
    """The environment of k6: nothing is sent to anybody, and nothing is fetched."""
    offline = {"K6_NO_USAGE_REPORT": "true", "K6_AUTO_EXTENSION_RESOLUTION": "false", "K6_BINARY_PROVISIONING": "false"}
    return {**os.environ, **offline}


def inspect(k6, scenario, variables):
    """The options of a scenario under these variables, as k6 itself reads them."""
    given = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
    command = [k6, "inspect", *given, path(scenario)]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if ran.returncode != 0:
        raise Refused(f"k6 cannot read {scenario}:\n{ran.stderr}")
    return json.loads(ran.stdout)


def faults(scenario, options, gates):
    """What is wrong with a scenario under a value of GATES."""
    found, thresholds = [], options.get("thresholds") or {}
    wanted = {name: list(bounds) for name, bounds in PUBLISHED.items()}
    wanted["http_req_duration"] += STRICT if gates != "published" else []
    if gates == "own":
        wanted["errors"].append("rate==0")
        wanted["http_req_duration"] += OWN.get(scenario, [])
    for name, bounds in wanted.items():
        if sorted(thresholds.get(name) or []) != sorted(bounds):
            found.append(f"{scenario} (GATES={gates}): {name} has {thresholds.get(name)}, and not {bounds}")
    if list(options.get("scenarios") or {}) != [scenario]:
        found.append(f"{scenario}: its scenario has another name than its file")
    elif min(fixtures(scenario, options).values()) < 1:
        found.append(f"{scenario}: it sends nothing")
    return found


def all_scenarios(args):
    """Checks them all, and that none is left out."""
    there = {name.removesuffix(".js") for name in os.listdir(os.path.join(HERE, "k6")) if name.endswith(".js")}
    found = [f"{name}: not in the list of harness/check.py" for name in sorted(there ^ set(SCENARIOS))]
    for scenario in SCENARIOS:
        for gates in ("published", "strict", "own"):
            found += faults(scenario, inspect(args.k6, scenario, {"GATES": gates}), gates)
    for fault in found:
        print(f"load: {fault}")
    print(f"load: {len(SCENARIOS)} scenarios read by k6, {len(found)} faults")
    return not found
