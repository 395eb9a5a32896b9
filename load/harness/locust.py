"""A run of the Locust file: records of three regimes by three kinds of agents, in bursts, against a gateway of its own."""

import os
import shutil
import subprocess

from . import plan
from .gateway import Gateway

REGIMES = ("sticky", "mixed", "non_sticky")

#: Records of each regime for each second: more than the users of load/locustfile.py can send.
RECORDS_PER_S = 500

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(args):
    """Runs it for DURATION (20s); whether Locust found all answers right and the published gates held."""
    seconds = int(plan.seconds(os.environ.get("DURATION") or "20s"))
    directory = os.path.join(os.path.abspath(args.out), "locust")
    fixtures = os.path.join(directory, "fixtures")
    os.makedirs(fixtures, exist_ok=True)
    gateway_cpus, generator_cpus = plan.cpus(os.sched_getaffinity(0))
    with Gateway(args.flk, directory, gateway_cpus) as gateway:
        for regime in REGIMES:
            command = [args.flk, "bench", "fixtures", "--count", str(seconds * RECORDS_PER_S), "--regime", regime]
            with open(os.path.join(fixtures, f"{regime}.ndjson"), "wb") as file:
                subprocess.run([*command, "--key-file", gateway.key_file], stdout=file, check=True)
        command = [args.locust, "-f", os.path.join(HERE, "locustfile.py"), "--headless", "--only-summary"]
        command += ["--host", gateway.url, "--html", os.path.join(directory, "report.html")]
        environment = {**os.environ, "FIXTURES": fixtures, "SHAPE_SECONDS": str(seconds)}
        pin = lambda: os.sched_setaffinity(0, generator_cpus)  # noqa: E731
        print(f"load: locust against {gateway.url} for {seconds} s", flush=True)
        code = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, preexec_fn=pin).returncode
    shutil.rmtree(fixtures)
    print(f"load: locust: {'passed' if code == 0 else f'FAILED with {code}'}: {os.path.relpath(directory)}/report.html")
    return code == 0
