"""Makes the dashboards of deploy/helm/flk/files/dashboards: `python3 deploy/grafana/make.py`. Nobody edits the JSON by hand.

A panel is a title, queries with their legends, a unit, what good looks like, and the runbook for when it does not.
"""

import json
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "helm/flk/files/dashboards"
PER_ROW = {"stat": 6, "timeseries": 3}
SELECT = 'job="flk",namespace=~"$namespace"'
EACH = SELECT + ',instance=~"$instance"'
CONTROL = 'job="flk-control",namespace=~"$namespace"'


def panel(title, queries, unit, good, runbook, kind="timeseries", steps=None):
    """`queries`: query and legend. `steps`: colours and from which value on."""
    thresholds = [{"color": color, "value": value} for color, value in steps or [("green", None)]]
    made = {
        "type": kind,
        "title": title,
        "description": good,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "fieldConfig": {"defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": thresholds}}, "overrides": []},
        "targets": [{"refId": chr(65 + at), "expr": expr, "legendFormat": legend} for at, (expr, legend) in enumerate(queries)],
    }
    if runbook:
        made["links"] = [{"title": f"Runbook: {runbook}", "url": f"docs/runbooks/{runbook}.md", "targetBlank": True}]
    return made


def stat(*arguments, **more):
    return panel(*arguments, kind="stat", **more)


def rate(name, by="", labels=EACH, window="$__rate_interval"):
    """Increase per second, of all or by labels."""
    return f"sum{f' by ({by})' if by else ''} (rate({name}{{{labels}}}[{window}]))"


def quantile(q, name, by="", more=""):
    """A quantile of a histogram."""
    return f"histogram_quantile({q}, sum by (le{', ' + by if by else ''}) (rate({name}_bucket{{{EACH}{more}}}[$__rate_interval])))"


def worst(name, labels=EACH):
    return f"{name}{{{labels}}}"


HIT_RATIO = f"sum(rate(flk_dedup_hits{{{SELECT}}}[15m])) / sum(rate(flk_ingest_total{{{SELECT}}}[15m]))"
ERRORS_1H = f'sum(rate(http_requests_total{{{SELECT},code=~"5.."}}[1h]))'
OVERVIEW = [
    stat("Records in this range", [(f"sum(increase(flk_ingest_total{{{SELECT}}}[$__range]))", "records")], "short",
         "What senders send. A fall to 0 is a sender's or a balancer's fault, or ours.", "backend-down"),
    stat("Accepted", [(f"sum(increase(flk_accepted{{{SELECT}}}[$__range]))", "accepted")], "short",
         "First outcomes that accept: nearly all of what is new.", "escalation-spike-202"),
    stat("Duplicates", [(f"sum(increase(flk_dedup_hits{{{SELECT}}}[$__range]))", "duplicates")], "short",
         "Records that were sent again and got the stored answer.", "dedup-anomaly"),
    stat("Escalated", [(f"sum(increase(flk_escalated{{{SELECT}}}[$__range]))", "escalated")], "short",
         "First outcomes that escalate: at most 2 % of the records.", "escalation-spike-202"),
    stat("Duplicates, share", [(HIT_RATIO, "share")], "percentunit", "40 % or more is expected: agents retry.", "dedup-anomaly",
         steps=[("red", None), ("yellow", 0.1), ("green", 0.4)]),
    stat("Error budget, burn of an hour", [(f"(sum(rate(flk_escalated{{{SELECT}}}[1h])) + {ERRORS_1H}) / sum(rate(flk_ingest_total{{{SELECT}}}[1h])) / 0.02", "burn")],
         "none", "Below 1: fewer than 2 % of the records escalate or meet a 5xx.", "error-budget-burn",
         steps=[("green", None), ("yellow", 0.5), ("red", 1)]),
    panel("Records per second", [(rate("flk_ingest_total", window="1m"), "all")], "reqps", "Follows the senders.", "backend-down"),
    panel("Answers that are no 2xx", [(f'sum by (code) (rate(http_requests_total{{{EACH},code!~"2.."}}[$__rate_interval]))', "{{code}}")], "reqps",
          "No 5xx. 401 below one a second; 429 where a rate is meant to hold.", "server-errors"),
    panel("Time to answer", [(quantile(q, "http_request_duration_seconds"), f"p{100 * q:g}") for q in (0.5, 0.95, 0.99)], "s",
          "p95 below 2 ms on a disk of its own; 200 ms are promised.", "latency-surge", steps=[("green", None), ("red", 0.2)]),
    panel("Signature errors", [(rate("flk_signature_errors", "instance"), "{{instance}}")], "reqps", "Below one a second.", "signature-spike",
          steps=[("green", None), ("yellow", 1), ("red", 10)]),
    panel("Gateways", [(f"sum(up{{{SELECT}}})", "that answer"), (f"count(up{{{SELECT}}})", "in all")], "short", "Both lines are one.", "backend-down"),
    panel("What waits", [(f"sum({name}{{{EACH}}})", name) for name in ("flk_log_waiting", "flk_room_waiting", "flk_memory_waiting")], "short",
          "Near 0. The log waits for the disk, room for a batch, memory for slow senders.", "latency-surge"),
    panel("Outcomes by regime", [(rate("flk_outcomes_by_regime_total", "regime"), "{{regime}}")], "reqps", "A steady mix.", "escalation-spike-202"),
]
SLO = [
    stat("Answers that are no 5xx, 3 days", [("min(1 - job:http_5xx:ratio_rate3d)", "share")], "percentunit", "99.9 % or more.", "error-budget-burn",
         steps=[("red", None), ("green", 0.999)]),
    stat("Answers within 200 ms, an hour", [("min(job:http_within_200ms:ratio_rate1h)", "share")], "percentunit", "95 % or more.", "latency-surge",
         steps=[("red", None), ("green", 0.95)]),
    stat("Escalated, a day", [("max(job:flk_escalated:ratio_rate1d)", "share")], "percentunit", "2 % or less.", "escalation-spike-202",
         steps=[("green", None), ("red", 0.02)]),
    stat("Duplicates, 15 minutes", [("min(job:flk_dedup_hits:ratio_rate15m)", "share")], "percentunit", "40 % or more is expected; it is no promise.", "dedup-anomaly",
         steps=[("yellow", None), ("green", 0.4)]),
    panel("Burn of the budget of 2 %", [("job:flk_error_budget:burn1h", "an hour, {{namespace}}"), ("job:flk_error_budget:ratio_rate5m / 0.02", "5 minutes, {{namespace}}")],
          "none", "Below 1.", "error-budget-burn", steps=[("green", None), ("red", 1)]),
    panel("Burn of the budget of 0.1 %", [(f"job:http_5xx:ratio_rate{window} / 0.001", window) for window in ("5m", "1h", "6h", "3d")], "none",
          "Below 1. It pages at 14.4 over an hour, and at 6 over six hours.", "error-budget-burn", steps=[("green", None), ("red", 1)]),
    panel("p50, p95, p99", [(f"job:http_request_duration_seconds:{it}", it) for it in ("p50", "p95", "p99")], "s", "p95 below 200 ms.", "latency-surge"),
    panel("Duplicates beside their mean of 7 days", [("job:flk_dedup_hits:ratio_rate15m", "now"), ("job:flk_dedup_hits:ratio_avg7d", "mean"),
          ("job:flk_dedup_hits:ratio_avg7d + 3 * job:flk_dedup_hits:ratio_stddev7d", "upper bound"),
          ("job:flk_dedup_hits:ratio_avg7d - 3 * job:flk_dedup_hits:ratio_stddev7d", "lower bound")], "percentunit", "Within the band.", "dedup-anomaly"),
]
SHARDS = [
    stat("Shards that stand still", [(f"sum(flk_shard_stuck{{{EACH}}})", "shards")], "short", "0.", "shard-stuck", steps=[("green", None), ("red", 1)]),
    stat("Shards", [(f"sum(flk_shards{{{EACH}}})", "shards")], "short", "One a core.", None),
    stat("Connections of those that fit", [(f"sum(flk_connections{{{EACH}}}) / sum(flk_connections_max{{{EACH}}})", "share")], "percentunit", "Below 80 %.", "latency-surge",
         steps=[("green", None), ("red", 0.8)]),
    panel("CPU of each shard", [(rate("flk_shard_cpu_seconds_total", "instance, shard"), "{{instance}} {{shard}}")], "percentunit", "Below 80 %, and alike.", "latency-surge"),
    panel("Times that the CPU was taken", [(rate("flk_shard_involuntary_switches_total", "instance, shard"), "{{instance}} {{shard}}")], "ops",
          "Near 0 with exclusive cores.", "shard-stuck"),
    panel("Time that the hypervisor took", [(rate("flk_shard_steal_seconds_total", "instance"), "{{instance}}")], "percentunit", "Near 0.", "latency-surge"),
    panel("Where the time goes (p99)", [(quantile(0.99, "flk_stage_seconds", "stage"), "{{stage}}")], "s", "wal_wait and decision_wait are the disk's; the rest is far below.", "latency-surge"),
    panel("Turns", [(rate("flk_turns_total", "instance"), "{{instance}}")], "ops", "More with load; fewer and larger when it is saturated.", None),
    panel("Messages between shards", [(f"sum by (instance) (flk_mailbox_messages_max{{{EACH}}})", "{{instance}}")], "short", "Hundreds at most.", "latency-surge"),
]
WAL = [
    stat("Failed writes, an hour", [(f"sum(increase(flk_wal_errors{{{EACH}}}[1h]))", "writes")], "short", "0.", "wal-errors", steps=[("green", None), ("red", 1)]),
    stat("Bodies are kept for", [(f"min(flk_wal_horizon_seconds{{{EACH}}})", "shortest")], "s", "WAL_MAX_AGE, once a gateway has run for so long.", "wal-disk-pressure"),
    stat("Manifest", [(f"max(flk_manifest_bytes{{{EACH}}} / flk_manifest_bytes_max{{{EACH}}})", "share")], "percentunit", "Below 50 %.", "wal-disk-pressure",
         steps=[("green", None), ("red", 0.8)]),
    panel("Flush", [(quantile(q, "flk_wal_flush_seconds", "instance"), f"p{100 * q:g} {{{{instance}}}}") for q in (0.5, 0.99)], "s",
          "What `flk doctor` measured; p99 below 20 ms.", "latency-surge"),
    panel("Flushes per second", [(rate("flk_wal_syncs", "instance"), "{{instance}}")], "ops", "Fewer than records: a flush is shared.", None),
    panel("Records of a batch", [(f"{rate('flk_wal_batch_records_sum', 'instance')} / {rate('flk_wal_batch_records_count', 'instance')}", "{{instance}}")], "short",
          "Grows with load.", None),
    panel("Bytes written per second", [(rate("flk_wal_bytes_written", "instance"), "{{instance}}")], "Bps", "Records times their size.", None),
    panel("Segments", [(worst("flk_wal_segments"), "{{instance}}")], "short", "Steady once WAL_MAX_AGE has passed.", "wal-disk-pressure"),
    panel("Horizon beside WAL_MAX_AGE", [(worst("flk_wal_horizon_seconds"), "{{instance}}"), (f"max(flk_wal_horizon_seconds_max{{{EACH}}})", "WAL_MAX_AGE")], "s",
          "One line.", "wal-disk-pressure"),
    panel("Holds: time since they moved", [(worst("flk_wal_hold_age_seconds"), "{{instance}} {{hold}}")], "s", "Below a day for a daily backup.", "hold-behind"),
    panel("Holds: bytes behind", [(worst("flk_wal_hold_behind_bytes"), "{{instance}} {{hold}}")], "bytes", "Falls with each backup.", "hold-behind"),
]
DEDUP = [
    stat("Duplicates, share", [(HIT_RATIO, "share")], "percentunit", "40 % or more is expected.", "dedup-anomaly", steps=[("red", None), ("yellow", 0.1), ("green", 0.4)]),
    stat("Conflicts, an hour", [(f"sum(increase(flk_dedup_conflicts{{{EACH}}}[1h]))", "records")], "short", "0: no agent signs two contents under one id.", "dedup-anomaly",
         steps=[("green", None), ("yellow", 1)]),
    stat("Blocks that could not be read, an hour",
         [(f"sum(increase(flk_slice_read_errors_total{{{EACH}}}[1h])) + sum(increase(flk_slice_blocks_damaged_total{{{EACH}}}[1h]))", "blocks")], "short", "0.", "damaged-wal",
         steps=[("green", None), ("red", 1)]),
    panel("Tables", [(f"flk_dedup_bytes{{{EACH}}} / flk_dedup_bytes_max{{{EACH}}}", "{{instance}}")], "percentunit",
          "A saw below 50 %: a seal begins at a quarter. From 98 % on records are refused.", "high-memory", steps=[("green", None), ("red", 0.9)]),
    panel("Filters of slices", [(worst("flk_slice_memory_bytes"), "{{instance}}"), (f"min(flk_slice_memory_bytes_max{{{EACH}}} > 0)", "there is for them")], "bytes",
          "Well below what there is.", "high-memory"),
    panel("Keys that are not sealed", [(worst("flk_dedup_keys"), "{{instance}}")], "short", "A saw.", None),
    panel("Slices", [(worst("flk_slices"), "{{instance}}")], "short", "20 or fewer.", None),
    panel("Blocks read per new record", [(f"{rate('flk_slice_reads_total', 'instance')} / {rate('flk_ingest_total', 'instance')}", "{{instance}}")], "none",
          "The share of duplicates, and 0.04 for what is new.", "dedup-anomaly"),
    panel("Duplicates by tenant", [(rate("flk_dedup_hits_by_tenant", "tenant"), "{{tenant}}")], "reqps", "A steady mix.", "dedup-anomaly"),
]
KEYS = [
    stat("Tenants that admit nothing", [(f"sum(flk_tenants_closed{{{EACH}}})", "tenants")], "short", "0.", "key-rotation", steps=[("green", None), ("red", 1)]),
    stat("Snapshot in force", [(f"max(flk_snapshot_number{{{EACH}}})", "newest"), (f"min(flk_snapshot_number{{{EACH}}})", "oldest")], "short", "Grows with each change.", "configuration"),
    stat("Configuration in force", [(f"min(flk_control_configuration_in_force{{{CONTROL}}})", "1: yes")], "short", "1.", "configuration", steps=[("red", None), ("green", 1)]),
    panel("Age of keys", [(f"time() - (flk_key_begins_seconds{{{EACH}}} > 0)", "{{tenant}} {{key}}")], "s", "Below 90 days.", "key-rotation"),
    panel("Time until keys end", [(f"(flk_key_ends_seconds{{{EACH}}} > 0) - time()", "{{tenant}} {{key}}")], "s", "A successor is used before it ends.", "key-rotation"),
    panel("Signatures that each key verified", [(rate("flk_key_verified_total", "tenant, key"), "{{tenant}} {{key}}")], "reqps", "An old key falls to 0 before it ends.", "key-rotation"),
    panel("Records by tenant", [(rate("flk_ingest_by_tenant", "tenant"), "{{tenant}}")], "reqps", "What each was planned for.", "throttling-429"),
    panel("429 by tenant", [(f"{rate('flk_rate_limited_by_tenant', 'tenant')} + {rate('flk_quota_exceeded_by_tenant', 'tenant')}", "{{tenant}}")], "reqps", "0, or meant.", "throttling-429"),
    panel("Signature errors by tenant", [(rate("flk_signature_errors_by_tenant", "tenant"), "{{tenant}}")], "reqps", "0.", "signature-spike"),
    panel("Changes and failures of control", [(rate("flk_control_snapshots_published_total", labels=CONTROL), "published"),
          (rate("flk_control_snapshots_refused_total", labels=CONTROL), "refused"), (rate("flk_control_reload_failures_total", labels=CONTROL), "wrong")], "ops",
          "No refusals, and nothing wrong.", "configuration"),
]
RUNTIME = [
    panel("CPU", [(f"rate(process_cpu_seconds_total{{{EACH}}}[$__rate_interval]) / flk_shards{{{EACH}}}", "{{instance}}")], "percentunit", "Below 80 % of its cores.", "latency-surge"),
    panel("Memory", [(worst("process_resident_memory_bytes"), "{{instance}}")], "bytes", "Steady: tables, filters, and buffers of connections.", "high-memory"),
    panel("Open files", [(f"process_open_fds{{{EACH}}} / process_max_fds{{{EACH}}}", "{{instance}}")], "percentunit", "Below 80 %.", "latency-surge"),
    panel("Connections", [(worst("flk_connections"), "{{instance}}"), (f"sum by (instance) (flk_connections_max{{{EACH}}})", "places of {{instance}}")], "short", "Below the places.", "latency-surge"),
    panel("Connections closed to make room", [(rate("flk_connections_evicted_total", "instance"), "{{instance}}")], "ops", "0.", "latency-surge"),
    panel("Memory held for requests", [(f"flk_request_bytes{{{EACH}}} + flk_unsent_bytes{{{EACH}}}", "{{instance}}")], "bytes", "Some MiB; bounded.", "high-memory"),
    panel("Log lines that were lost or left out", [(rate("flk_log_lines_dropped_total", "instance"), "lost {{instance}}"),
          (rate("flk_log_lines_left_out_total", "instance"), "left out {{instance}}")], "ops", "0.", "server-errors"),
    panel("Time since the start", [(f"time() - process_start_time_seconds{{{EACH}}}", "{{instance}}")], "s", "Grows.", "backend-down"),
    panel("Versions", [(f"count by (version) (flk_build_info{{{EACH}}})", "{{version}}")], "short", "One, but while an upgrade runs.", None),
]
BOARDS = {
    "overview": ("flk: overview", OVERVIEW), "slo": ("flk: service levels", SLO), "shards": ("flk: shards", SHARDS), "wal": ("flk: log and disk", WAL),
    "dedup": ("flk: dedup", DEDUP), "keys": ("flk: keys, tenants, configuration", KEYS), "runtime": ("flk: process", RUNTIME),
}


def placed(panels):
    """Stats in rows of six, graphs in rows of three."""
    made, top, row, last = [], 0, 0, None
    for number, it in enumerate(panels, 1):
        per_row, height = PER_ROW[it["type"]], 4 if it["type"] == "stat" else 8
        if row == per_row or (last and last != it["type"]):
            top, row = top + (4 if last == "stat" else 8), 0
        made.append({"id": number, **it, "gridPos": {"x": row * 24 // per_row, "y": top, "w": 24 // per_row, "h": height}})
        row, last = row + 1, it["type"]
    return made


def board(name, title, panels):
    variable = {"type": "query", "datasource": {"type": "prometheus", "uid": "${datasource}"}, "includeAll": True, "multi": True,
                "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "refresh": 2}
    variables = [
        {"name": "datasource", "type": "datasource", "query": "prometheus"},
        {"name": "namespace", **variable, "query": 'label_values(flk_build_info{job="flk"}, namespace)'},
        {"name": "instance", **variable, "query": f"label_values(flk_build_info{{{SELECT}}}, instance)"},
    ]
    others = [{"title": other, "type": "link", "url": f"/d/flk-{key}", "includeVars": True, "keepTime": True} for key, (other, _) in BOARDS.items() if key != name]
    return {
        "uid": f"flk-{name}", "title": title, "tags": ["flk"], "schemaVersion": 39, "editable": False, "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"}, "links": others, "templating": {"list": variables}, "panels": placed(panels),
    }


def text(made):
    """One line a panel, so that a diff says which one changed."""
    head = {key: value for key, value in made.items() if key != "panels"}
    lines = ",\n".join("    " + json.dumps(it, ensure_ascii=False) for it in made["panels"])
    return json.dumps(head, ensure_ascii=False)[:-1] + ', "panels": [\n' + lines + "\n]}\n"


def main():
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, (title, panels) in BOARDS.items():
        (TARGET / f"{name}.json").write_text(text(board(name, title, panels)))


if __name__ == "__main__":
    main()
