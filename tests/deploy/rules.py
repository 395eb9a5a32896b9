"""The rules, the dashboards and the registry as data. It judges nothing."""

import json
import re

import yaml

import chart

RULES = chart.CHART / "files/rules.yml"
DASHBOARDS = chart.CHART / "files/dashboards"

# Metrics of other programs, and those of flk that no process serves.
FOREIGN = {
    "up": "Prometheus",
    "ALERTS": "Prometheus",
    "probe_success": "blackbox exporter",
    "probe_ssl_earliest_cert_expiry": "blackbox exporter",
    "node_filesystem_avail_bytes": "node exporter",
    "node_filesystem_size_bytes": "node exporter",
    "node_timex_offset_seconds": "node exporter",
    "kubelet_volume_stats_available_bytes": "kubelet",
    "kubelet_volume_stats_capacity_bytes": "kubelet",
    "kube_pod_container_resource_limits": "kube-state-metrics",
    "flk_backup_taken_timestamp_seconds": "flk backup",
    "flk_backup_verified_timestamp_seconds": "flk restore",
}


def groups():
    return yaml.safe_load(RULES.read_text())["groups"]


def alerts():
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


def recorded():
    return {rule["record"] for group in groups() for rule in group["rules"] if "record" in rule}


def groups_for(alert):
    """One alert and the recording rules that it rests on, in their groups."""
    needed, before = {alert["alert"]}, None
    while needed != before:
        before = set(needed)
        for group in groups():
            for rule in group["rules"]:
                if (rule.get("alert") or rule["record"]) in needed:
                    needed |= names(rule["expr"]) & recorded()
    kept = ({**group, "rules": [it for it in group["rules"] if (it.get("alert") or it["record"]) in needed]} for group in groups())
    return [group for group in kept if group["rules"]]


def expressions():
    """Where each query stands, and the query."""
    for group in groups():
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"]
    for path in dashboards():
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield f"{path.name}: {panel['title']}", target["expr"]
        for variable in board.get("templating", {}).get("list", []):
            if variable["type"] == "query":
                yield f"{path.name}: ${variable['name']}", re.sub(r"^label_values\((.*),\s*\w+\)$", r"\1", variable["query"])


def dashboards():
    return sorted(DASHBOARDS.glob("*.json"))


def without_variables(query):
    """A query of a dashboard as Prometheus gets it."""
    query = query.replace("$__rate_interval", "5m").replace("$__range", "1d").replace("$__interval", "1m")
    return re.sub(r"\$\{?\w+\}?", ".*", query)


def names(query):
    """Metrics that a query names."""
    query = re.sub(r'"(\\.|[^"\\])*"', '""', query)
    query = re.sub(r"\{[^}]*\}", "", query)
    query = re.sub(r"\[[^\]]*\]", "", query)
    query = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", query)
    words = re.findall(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])", query)
    return set(words) - {"and", "or", "unless", "by", "without", "on", "ignoring", "bool", "offset", "group_left", "group_right", "e"}


def registry():
    """Name, kind and labels of each metric of flk."""
    found = yaml.safe_load((chart.ROOT / "docs/telemetry/registry/metrics.yaml").read_text())["groups"]
    return {it["metric_name"]: it for it in found}


def series():
    """All names of samples that a process serves."""
    found = set()
    for name, it in registry().items():
        ends = ("_bucket", "_sum", "_count") if it["instrument"] == "histogram" else ("",)
        found |= {name + end for end in ends}
    return found
