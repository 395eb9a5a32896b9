"""Runs of k6: one scenario as the Makefile's variables say, or short slices of several. A run has records of its own, a gateway of its own
unless TARGET names one, and a directory below `--out` for what it wrote. It passes only if k6 says so and the memory of the gateway holds."""

import contextlib
import json
import os
import shutil
import subprocess
import time

from . import check, plan, report, watch
from .gateway import Gateway

#: Variables that a scenario reads (load/k6/lib), passed on where they are set.
VARIABLES = ("GATES", "RATE", "DURATION", "VUS", "ALLOW_REMOTE")

#: k6 ends like this if a threshold was broken.
THRESHOLD_BROKEN = 99

#: Slices of `smoke`: a minute together, at rates that a busy machine and a gateway without optimisation can keep.
SLICES = {
    "steady-1k-5m": {"DURATION": "12s", "RATE": "200"},
    "duplicates": {"DURATION": "12s", "RATE": "200"},
    "bad-signatures": {"DURATION": "12s", "RATE": "200"},
    "mixed-tenants": {"DURATION": "12s", "RATE": "200"},
    "burst": {"DURATION": "12s", "VUS": "50"},
}

#: A run that has to fail: its records are signed by a key that the gateway does not have.
WRONG_KEY = ("steady-1k-5m", {"DURATION": "3s", "RATE": "50"})


#: Wrong answers that are shown, of those that k6 has told.
WRONG_SHOWN_MAX = 3


class Run:
    """One run of a scenario; `variables` change its size."""

    def __init__(self, args, scenario, variables, name=None):
        if scenario not in check.SCENARIOS:
            raise plan.Refused(f"there is no scenario {scenario}: it is one of {', '.join(check.SCENARIOS)}")
        self.args, self.scenario, self.variables = args, scenario, variables
        self.directory = os.path.join(os.path.abspath(args.out), name or scenario)
        self.fixtures = os.path.join(self.directory, "fixtures")
        self.gateway_cpus, self.generator_cpus = plan.cpus(os.sched_getaffinity(0))
        self.options = check.inspect(args.k6, scenario, variables)
        self.needed = plan.fixtures(scenario, self.options)
        plan.check_memory(sum(self.needed.values()), report.memory_available_bytes())
        os.makedirs(self.fixtures, exist_ok=True)

    def on_own_gateway(self, key_file=None):
        """Runs it against a gateway of its own. Another key than the gateway's makes all records refused."""
        try:
            return self._on_own_gateway(key_file)
        finally:
            shutil.rmtree(self.fixtures)

    def _on_own_gateway(self, key_file):
        tenants = [name for name in self.needed if name.startswith("tenant-")]
        with Gateway(self.args.flk, self.directory, self.gateway_cpus, tenants) as gateway:
            for name in self.needed:
                self._sign(name, key_file or gateway.tenant_keys.get(name, gateway.key_file))
            watched = watch.Watch(gateway.process.pid, gateway.url)
            result = self._generate(gateway.url, watched)
        result["flush"] = gateway.flush
        result["gateway_cpus"] = self.gateway_cpus
        slope = watch.slope_verdict(watched.beside_tables)
        result["watch"] = {"cpu_s": watched.cpu_s, "rss_bytes": watched.rss_bytes, "slope": slope}
        return self._judged(result, memory_holds=slope[1] is not False)

    def on_target(self, url):
        """Runs it against a gateway that is there. Keys are those that flk finds in the environment."""
        plan.check_target(url, os.environ.get("ALLOW_REMOTE") == "1")
        if any(name.startswith("tenant-") for name in self.needed):
            raise plan.Refused(f"{self.scenario} needs tenants and keys of its own, and so a gateway of its own: leave out TARGET")
        try:
            for name in self.needed:
                self._sign(name, None)
            result = self._generate(url.rstrip("/"), contextlib.nullcontext())
        finally:
            shutil.rmtree(self.fixtures)
        return self._judged(result, memory_holds=True)

    def _sign(self, name, key_file):
        command = [self.args.flk, "bench", "fixtures", "--count", str(self.needed[name]), "--form", "parts"]
        command += ["--bad-signatures"] if name == "bad" else []
        command += ["--key-file", key_file] if key_file else []
        with open(os.path.join(self.fixtures, f"{name}.parts"), "wb") as file:
            if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file).returncode != 0:
                raise plan.Refused(f"no records were made for {name}")

    def _generate(self, url, watched):
        """Starts k6 and waits for it."""
        summary = os.path.join(self.directory, "summary.json")
        html = os.path.join(self.directory, "report.html")
        wrong = os.path.join(self.directory, "wrong.log")
        for path in (summary, html, wrong):
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)
        variables = {**self.variables, "BACKEND_URL": url, "FIXTURES": self.fixtures, "OUT": self.directory}
        given = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
        command = [self.args.k6, "run", "--quiet", "--no-color", "--log-format", "raw", "--console-output", wrong]
        # Without an API to steer it: two runs at a time would want the same port.
        command += ["--address", "", *given, check.path(self.scenario)]
        environment = {
            **check.environment(),
            "K6_WEB_DASHBOARD": "true",
            "K6_WEB_DASHBOARD_PORT": "-1",
            "K6_WEB_DASHBOARD_PERIOD": f"{max(1, self._seconds() // 100)}s",
            "K6_WEB_DASHBOARD_EXPORT": html,
        }
        print(f"load: {self.scenario} against {url}, {sum(self.needed.values())} records", flush=True)
        pin = lambda: os.sched_setaffinity(0, self.generator_cpus)  # noqa: E731
        began = time.monotonic()
        with watched:
            code, used = wait(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, preexec_fn=pin))
        seconds = time.monotonic() - began
        tell_first_lines(wrong)
        if not os.path.exists(summary):
            raise plan.Refused(f"k6 ended with {code} and without a summary")
        with open(summary, encoding="utf-8") as file:
            found = json.load(file)
        return {
            "scenario": self.scenario,
            "command": " ".join(["make", "load", f"SCENARIO={self.scenario}", *(f"{k}={v}" for k, v in self.variables.items())]),
            "code": code,
            "seconds": found["seconds"],
            "summary": found,
            "generator_cpus": self.generator_cpus,
            "generator_share": (used.ru_utime + used.ru_stime) / seconds / len(self.generator_cpus),
            "generator_memory_bytes": used.ru_maxrss * 1024,
        }

    def _seconds(self):
        scenario = self.options["scenarios"][self.scenario]
        stages = scenario.get("stages") or [scenario]
        return int(sum(plan.seconds(it["duration"]) for it in stages))

    def _judged(self, result, memory_holds):
        sent = result["summary"]["metrics"].get("iterations", {}).get("count", 0)
        broken = [it["gate"] for it in result["summary"]["gates"] if it["decides"] and not it["holds"]]
        if not memory_holds:
            broken.append("growth of memory")
        if not sent:
            broken.append("no request was sent")
        if result["code"] not in (0, THRESHOLD_BROKEN):
            broken.append(f"k6 ended with {result['code']}")
        elif (result["code"] == THRESHOLD_BROKEN) != any(it["decides"] and not it["holds"] for it in result["summary"]["gates"]):
            broken.append("k6 and the summary disagree on the gates")
        result["passed"] = not broken
        result["verdict"] = "**Passed.**" if not broken else f"**Broken:** {'; '.join(broken)}."
        path = os.path.join(self.directory, "REPORT.md")
        with open(path, "w", encoding="utf-8") as file:
            file.write(report.page(result, report.machine(self.directory)))
        print(f"load: {self.scenario}: {result['verdict'].replace('*', '')} {os.path.relpath(path)}", flush=True)
        return result


def wait(process):
    """The exit code of a process, and what it used. It is ended if the wait is interrupted."""
    try:
        _, status, used = os.wait4(process.pid, 0)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used


def tell_first_lines(path):
    """Shows what wrong answers were, if there were any."""
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
        lines = file.readlines()
        for line in lines[:WRONG_SHOWN_MAX]:
            print(f"  {line.rstrip()}")
        if len(lines) > WRONG_SHOWN_MAX:
            print(f"  and {len(lines) - WRONG_SHOWN_MAX} like these in {os.path.relpath(path)}")


def one(args):
    """The scenario of the command line."""
    variables = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    run = Run(args, args.scenario, variables)
    target = os.environ.get("TARGET")
    return (run.on_target(target) if target else run.on_own_gateway())["passed"]


def smoke(args):
    """Slices of several scenarios, and one with a key that the gateway does not have, which has to fail."""
    failed = []
    for name, variables in SLICES.items():
        result = Run(args, name, variables).on_own_gateway()
        if not result["passed"] or result["summary"]["metrics"]["errors"]["rate"] > 0:
            failed.append(name)
    scenario, variables = WRONG_KEY
    run = Run(args, scenario, variables, "wrong-key")
    key_file = os.path.join(run.directory, "other.key")
    with open(key_file, "w", encoding="ascii") as file:
        file.write("a key that no gateway has, of no use elsewhere")
    print("load: now with a key that the gateway does not have; this run has to fail", flush=True)
    result = run.on_own_gateway(key_file)
    metrics = result["summary"]["metrics"]
    if result["code"] != THRESHOLD_BROKEN or metrics["errors"]["rate"] != 1 or metrics["signature_failures"]["rate"] != 1:
        failed.append("wrong-key, which did not fail")
    print(f"load: smoke: {len(SLICES) + 1 - len(failed)} passed, {len(failed)} failed{''.join(f' ({it})' for it in failed)}")
    return not failed
