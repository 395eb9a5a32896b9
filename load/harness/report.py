"""The report of a run as a page of Markdown: figures, gates, what the gateway used, and the machine. It measures nothing."""

import os
import platform
import subprocess

from .watch import MIB

#: A generator that uses so much of its CPUs has measured itself.
BUSY = 0.9


def machine(directory):
    """Rows that name the machine, the file system of the log and the commit."""
    model = _first("/proc/cpuinfo", "model name") or platform.processor() or "unknown"
    memory = _first("/proc/meminfo", "MemTotal")
    return [
        ("CPU", f"{model.strip()}, {os.cpu_count()} CPUs"),
        ("memory", f"{int(memory.split()[0]) // 1024} MiB" if memory else "unknown"),
        ("kernel", platform.release()),
        ("file system of the log", _output(["stat", "-f", "-c", "%T", directory])),
        ("commit", _output(["git", "describe", "--always", "--dirty", "--abbrev=12"])),
    ]


def memory_available_bytes():
    """Memory that a process can take without swapping; None where that is not known."""
    text = _first("/proc/meminfo", "MemAvailable")
    return int(text.split()[0]) * 1024 if text else None


def _first(path, name):
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.startswith(name):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return None


def _output(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def is_generator_the_limit(run):
    """Whether the generator had no CPU time left."""
    return run["generator_share"] >= BUSY


def page(run, rows):
    """The page of a run. `rows` name the machine."""
    metrics, lines = run["summary"]["metrics"], [f"# {run['scenario']}", ""]
    value = lambda name, stat: metrics.get(name, {}).get(stat, 0)  # noqa: E731
    requests = value("iterations", "count")
    lines += [f"`{run['command']}`", "", run["verdict"], "", "| figure | value |", "|---|---|"]
    latency = "http_req_duration"
    figures = [
        ("requests", f"{requests:.0f} in {run['seconds']:.1f} s, {requests / run['seconds']:.0f} per second"),
        ("latency p50, p95, p99", ", ".join(f"{value(latency, stat):.2f} ms" for stat in ("med", "p(95)", "p(99)"))),
        ("latency p99.9, maximum", ", ".join(f"{value(latency, stat):.2f} ms" for stat in ("p(99.9)", "max"))),
        ("answers other than 2xx", f"{value('non_2xx', 'count'):.0f}"),
        ("answers not as expected", f"{100 * value('errors', 'rate'):.3f} %"),
        ("answered as duplicates", f"{100 * value('dedup_hits', 'rate'):.1f} % of answers to valid records"),
        ("left out by the generator", f"{value('dropped_iterations', 'count'):.0f}"),
    ]
    lines += [f"| {name} | {text} |" for name, text in figures + _used(run, requests)]
    lines += ["", "| gate | bound | measured | |", "|---|---|---|---|"]
    for gate in run["summary"]["gates"]:
        word = "holds" if gate["holds"] else "**BROKEN**" if gate["decides"] else "would not hold"
        lines.append(f"| {gate['level']} | `{gate['gate']}` | {gate['measured']:.4g} | {word} |")
    lines += ["", "| machine | |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in rows]
    return "\n".join(lines) + "\n"


def _used(run, requests):
    limit = " (**it was the limit**: these are figures of the generator)" if is_generator_the_limit(run) else ""
    cpus = ",".join(map(str, run["generator_cpus"]))
    rows = [("CPU of the generator", f"{100 * run['generator_share']:.0f} % of CPU {cpus}{limit}")]
    rows.append(("memory of the generator", f"{run['generator_memory_bytes'] // MIB} MiB at most"))
    watch = run.get("watch")
    if watch is None:
        return rows + [("gateway", "not started by this run: neither CPU nor memory are known")]
    cpus, rss = ",".join(map(str, run["gateway_cpus"])), [it / MIB for it in watch["rss_bytes"]] or [0]
    per_request = 1e6 * watch["cpu_s"] / requests if requests else 0
    rows.append(("CPU of the gateway", f"{watch['cpu_s']:.2f} s on CPU {cpus}, {per_request:.1f} µs per request"))
    rows.append(("memory of the gateway", f"{rss[0]:.0f} MiB at the start, {max(rss):.0f} MiB at most, {rss[-1]:.0f} MiB at the end"))
    slope, holds = watch["slope"]
    word = {None: "too short a run to judge", True: "holds", False: "**BROKEN**"}[holds]
    rows.append(("growth of it beside tables of ids", f"{slope:.3f} MiB a minute ({word})"))
    rows.append(("flush", run["flush"]))
    return rows
