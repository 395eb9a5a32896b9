"""For each alert: series under which it does not fire, and under which it does. From this come unit tests of promtool, in which the
first is in force before and after the second: each alert is quiet, waits for its time, fires and resolves."""

from dataclasses import dataclass, field

JOB = 'job="flk",namespace="ingest"'
GATEWAY = f'{JOB},instance="a",pod="flk-0"'
CONTROL = 'job="flk-control",namespace="ingest",instance="a"'


@dataclass
class Case:
    """Values are those of a gauge, or with `per_second` what a counter grows by."""

    quiet: dict
    firing: dict
    labels: str                     # of the alert, beside those of its rule
    before: int = 60                # minutes of quiet before, of the fault, and after it
    during: int = 60
    after: int = 60
    step: int = 1                   # minutes from one sample to the next
    per_second: set = field(default_factory=set)


def counters(quiet, firing, labels=JOB, **more):
    """All of them counters."""
    return Case(quiet, firing, labels, per_second=set(quiet) | set(firing), **more)


def gauge(series, quiet, firing, labels=GATEWAY, **more):
    """One gauge."""
    return Case({series: quiet}, {series: firing}, labels, **more)


def grows(name, labels=GATEWAY, **more):
    """A counter that must not grow."""
    series = f"{name}{{{labels}}}"
    return counters({series: 0}, {series: 0.1}, labels, **more)


OK, UNAVAILABLE = (f'http_requests_total{{{GATEWAY},code="{code}"}}' for code in (200, 503))
INGEST, ESCALATED, HITS = (f"{name}{{{GATEWAY}}}" for name in ("flk_ingest_total", "flk_escalated", "flk_dedup_hits"))
DAY = 1440


def answers(share, **more):
    """Answers of which a share is 503."""
    return counters({OK: 100, UNAVAILABLE: 0}, {OK: 100 * (1 - share), UNAVAILABLE: 100 * share}, **more)


def histogram(name, of, edges, quiet, firing, **more):
    """Counts of each bucket per second, with the edge below which all are."""
    def below(edge):
        return {f'{name}_bucket{{{of},le="{it}"}}': 100 if float(it) >= edge else 0 for it in edges} | {f"{name}_count{{{of}}}": 100}
    return counters(below(quiet), below(firing), **more)


def duplicates(quiet, firing, **more):
    """Shares of duplicates among 100 records a second."""
    return counters({INGEST: 100, HITS: 100 * quiet}, {INGEST: 100, HITS: 100 * firing}, **more)


CONFIGURATION = (f"flk_control_configuration_in_force{{{CONTROL}}}", f"flk_control_rollback_holds{{{CONTROL}}}")
KEY = f'{GATEWAY},tenant="acme",key="2026-11"'
PVC = 'namespace="ingest",persistentvolumeclaim="data-flk-0"'

CASES = {
    "FLKErrorBudgetBurn": counters({INGEST: 100, ESCALATED: 1, OK: 100, UNAVAILABLE: 0}, {INGEST: 100, ESCALATED: 1.5, OK: 99, UNAVAILABLE: 1}),
    "FLKAvailabilityBurnFast": answers(0.05, before=120, after=120),
    "FLKAvailabilityBurnSlow": answers(0.01, before=600, during=480, after=600, step=5),
    "FLKAvailabilityBurnTrend": answers(0.005, before=4 * DAY, during=2 * DAY, after=4 * DAY, step=15),
    "FLKEscalationsDaily": counters({INGEST: 100, ESCALATED: 1}, {INGEST: 100, ESCALATED: 5}, before=2 * DAY, during=DAY, after=2 * DAY, step=15),
    "FLKHighLatency": histogram("http_request_duration_seconds", GATEWAY, ("0.1", "0.2", "0.5", "+Inf"), 0.1, 0.5),
    "FLKHighServerErrors": answers(0.02),
    "FLKSignatureFailuresSpike": counters({f"flk_signature_errors{{{GATEWAY}}}": 5}, {f"flk_signature_errors{{{GATEWAY}}}": 20}),
    "FLKDedupAnomalyLow": duplicates(0.4, 0.01),
    "FLKDedupAnomalyHigh": duplicates(0.4, 0.99),
    "FLKDedupOutOfBand": duplicates(0.4, 0.6, before=7 * DAY, during=120, after=DAY, step=5),
    "FLKBackendDown": gauge(f"up{{{GATEWAY}}}", 1, 0),
    "FLKNoTargets": gauge(f"up{{{GATEWAY}}}", 1, None, 'job="flk"'),
    "FLKHealthCheckFailing": gauge('probe_success{job="flk-health",instance="a"}', 1, 0, 'job="flk-health",instance="a"'),
    "FLKRestarting": counters({f"process_start_time_seconds{{{GATEWAY}}}": 0}, {f"process_start_time_seconds{{{GATEWAY}}}": 1}, GATEWAY),
    "FLKShardUnhealthy": gauge(f'flk_shard_stuck{{{GATEWAY},shard="3"}}', 0, 1, f'{GATEWAY},shard="3"'),
    "FLKControlDown": gauge(f"up{{{CONTROL}}}", 1, 0, CONTROL),
    "FLKControlAlone": gauge(f"flk_control_dataplane_up{{{CONTROL}}}", 1, 0, CONTROL),
    "FLKHighCPU": Case(
        {f"process_cpu_seconds_total{{{GATEWAY}}}": 2, f"flk_shards{{{GATEWAY}}}": 4},
        {f"process_cpu_seconds_total{{{GATEWAY}}}": 3.6, f"flk_shards{{{GATEWAY}}}": 4},
        GATEWAY, per_second={f"process_cpu_seconds_total{{{GATEWAY}}}"},
    ),
    "FLKHighMemory": Case(
        {f"process_resident_memory_bytes{{{GATEWAY}}}": 3e9,
         'kube_pod_container_resource_limits{namespace="ingest",pod="flk-0",container="gateway",resource="memory"}': 4e9},
        {f"process_resident_memory_bytes{{{GATEWAY}}}": 3.6e9}, GATEWAY,
    ),
    "FLKDedupMemoryNearlyFull": Case({f"flk_dedup_bytes{{{GATEWAY}}}": 1e8, f"flk_dedup_bytes_max{{{GATEWAY}}}": 1e9},
                                     {f"flk_dedup_bytes{{{GATEWAY}}}": 9.5e8}, GATEWAY),
    "FLKSliceMemoryNearlyFull": Case({f"flk_slice_memory_bytes{{{GATEWAY}}}": 1e8, f"flk_slice_memory_bytes_max{{{GATEWAY}}}": 1e9},
                                     {f"flk_slice_memory_bytes{{{GATEWAY}}}": 9.5e8}, GATEWAY, during=120),
    "FLKSliceMemoryExceeded": grows("flk_slice_memory_exceeded_total", after=120),
    "FLKWALDiskPressure": Case(
        {f"kubelet_volume_stats_available_bytes{{{PVC}}}": 3e11, f"kubelet_volume_stats_capacity_bytes{{{PVC}}}": 1e12},
        {f"kubelet_volume_stats_available_bytes{{{PVC}}}": 1e11}, PVC,
    ),
    "FLKWALHorizonShort": Case(
        {f"flk_wal_horizon_seconds{{{GATEWAY}}}": 86000, f"flk_wal_horizon_seconds_max{{{GATEWAY}}}": 86400,
         f"process_start_time_seconds{{{GATEWAY}}}": -90000},
        {f"flk_wal_horizon_seconds{{{GATEWAY}}}": 40000}, GATEWAY, during=120,
    ),
    "FLKWALErrors": grows("flk_wal_errors"),
    "FLKWALSpaceUnknown": grows("flk_wal_space_errors_total"),
    "FLKWALCrowded": grows("flk_wal_segments_crowded_out_total", after=120),
    "FLKHoldLost": grows("flk_wal_hold_releases_total", after=120),
    "FLKHoldOld": gauge(f'flk_wal_hold_age_seconds{{{GATEWAY},hold="nightly"}}', 3600, 100000, f'{GATEWAY},hold="nightly"'),
    "FLKBackupOld": gauge('flk_backup_taken_timestamp_seconds{job="node",instance="a"}', 0, -100000, 'job="node",instance="a"'),
    "FLKBackupUnproven": gauge('flk_backup_verified_timestamp_seconds{job="node",instance="a"}', 0, -800000, 'job="node",instance="a"'),
    "FLKFlushSlow": histogram("flk_wal_flush_seconds", GATEWAY, ("0.001", "0.01", "0.1", "1", "+Inf"), 0.01, 1, labels=GATEWAY,
                              before=DAY, during=60, after=120),
    "FLKSliceUnreadable": Case(
        {f"flk_slice_read_errors_total{{{GATEWAY}}}": 0, f"flk_slice_blocks_damaged_total{{{GATEWAY}}}": 0},
        {f"flk_slice_blocks_damaged_total{{{GATEWAY}}}": 0.1}, GATEWAY,
        per_second={f"flk_slice_read_errors_total{{{GATEWAY}}}", f"flk_slice_blocks_damaged_total{{{GATEWAY}}}"},
    ),
    "FLKClaimFault": grows("flk_claim_faults_total", after=120),
    "FLKDedupConflicts": grows("flk_dedup_conflicts"),
    "FLKKeyOld": gauge(f"flk_key_begins_seconds{{{KEY}}}", 20 * 86400, 1, KEY, before=92 * DAY, during=2 * DAY, after=2 * DAY, step=720),
    "FLKKeyEnds": gauge(f"flk_key_ends_seconds{{{KEY}}}", 900000, 200000, KEY),
    "FLKTenantsClosed": gauge(f"flk_tenants_closed{{{GATEWAY}}}", 0, 2),
    "FLKConfigurationNotInForce": Case({CONFIGURATION[0]: 1, CONFIGURATION[1]: 0}, {CONFIGURATION[0]: 0}, CONTROL),
    "FLKSnapshotSuspect": gauge(f'flk_control_snapshot_suspect{{{CONTROL},number="8"}}', 0, 1, f'{CONTROL},number="8"'),
    "FLKRestartNeeded": gauge(f"flk_control_restart_needed{{{CONTROL}}}", 0, 2, CONTROL, during=120),
    "FLKTokensWrong": gauge(f"flk_control_tokens_wrong{{{CONTROL}}}", 0, 1, CONTROL),
    "FLKThrottled": counters(
        {f'flk_rate_limited_by_tenant{{{GATEWAY},tenant="acme"}}': 0, f'flk_quota_exceeded_by_tenant{{{GATEWAY},tenant="acme"}}': 0},
        {f'flk_rate_limited_by_tenant{{{GATEWAY},tenant="acme"}}': 5, f'flk_quota_exceeded_by_tenant{{{GATEWAY},tenant="acme"}}': 0},
        f'{JOB},tenant="acme"',
    ),
    "FLKConnectionsEvicted": counters({f"flk_connections_evicted_total{{{GATEWAY}}}": 0}, {f"flk_connections_evicted_total{{{GATEWAY}}}": 9}, GATEWAY),
    "FLKLogLinesDropped": grows("flk_log_lines_dropped_total"),
    "FLKPortableDriver": gauge(f"flk_driver_fallback{{{GATEWAY}}}", 0, 1),
    "FLKTimeWithheld": gauge(f"flk_clock_withheld_seconds{{{GATEWAY}}}", 0, 7200),
    "FLKClockDrift": gauge('node_timex_offset_seconds{job="node",instance="a"}', 0.001, -2, 'job="node",instance="a"'),
    "FLKCertificateExpiry": gauge('probe_ssl_earliest_cert_expiry{job="flk-health",instance="a"}', 9000000, 100000,
                                  'job="flk-health",instance="a"', during=120),
}


def values(case, series):
    """All samples of a series in promtool's notation, and whether it is there at all."""
    def samples(phase, minutes, last):
        value = phase.get(series, case.quiet[series])
        for _ in range(minutes // case.step):
            if series in case.per_second:
                last += value * 60 * case.step
                yield repr(round(last, 6))
            else:
                yield "_" if value is None else repr(value)

    found = []
    for phase, minutes in ((case.quiet, case.before), (case.firing, case.during), (case.quiet, case.after)):
        last = float(found[-1]) if found and series in case.per_second else 0.0
        found += samples(phase, minutes, last)
    return " ".join(found)


def minutes(text):
    """Minutes of a time of Prometheus such as 10m or 1h."""
    return int(text[:-1]) * {"s": 1 / 60, "m": 1, "h": 60}[text[-1]] if text else 0


def unit_test(rule, case):
    """A test of promtool for one alert."""
    own = {**rule["labels"], "alertname": rule["alert"], "alertstate": "firing"}
    fires = ",".join(f'{key}="{value}"' for key, value in own.items())
    firing = [{"labels": f"ALERTS{{{case.labels},{fires}}}", "value": 1}]
    query = f'ALERTS{{alertname="{rule["alert"]}",alertstate="firing"}}'
    moments = [(case.before - case.step, []), (case.before + case.during - case.step, firing),
               (case.before + case.during + case.after - case.step, [])]
    wait = minutes(rule.get("for", ""))
    if wait > case.step:
        # one evaluation earlier than its time it still waits
        moments.append((case.before + wait - case.step, []))
    return {
        "name": rule["alert"],
        "interval": f"{case.step}m",
        "input_series": [{"series": series, "values": values(case, series)} for series in case.quiet],
        "promql_expr_test": [{"expr": query, "eval_time": f"{int(at)}m", "exp_samples": found} for at, found in sorted(moments)],
    }
