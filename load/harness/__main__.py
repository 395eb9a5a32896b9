"""`python3 -m harness`: `run SCENARIO` runs one scenario of load/k6, `smoke` slices of several and one that has to fail, `check` what can be
checked without a gateway, `locust` a slice of the Locust file. Called by the Makefile, which names the tools."""

import argparse
import os
import sys

from . import check, locust, runs
from .gateway import Failed
from .plan import Refused


def main():
    parser = argparse.ArgumentParser(prog="harness", description=__doc__)
    parser.add_argument("command", choices=["run", "smoke", "check", "locust"])
    parser.add_argument("scenario", nargs="?", default="steady-1k-5m")
    parser.add_argument("--k6", help="the k6 program")
    parser.add_argument("--flk", help="the flk program")
    parser.add_argument("--locust", help="the locust program")
    parser.add_argument("--out", default="target/load", help="where reports go")
    args = parser.parse_args()
    commands = {"run": runs.one, "smoke": runs.smoke, "check": check.all_scenarios, "locust": locust.run}
    try:
        return 0 if commands[args.command](args) else 1
    except (Refused, Failed) as error:
        print(f"load: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())
