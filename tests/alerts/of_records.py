"""Faults that senders see or make: keys that cannot be loaded, records that escalate, forged ones, too many, duplicates and conflicts."""

import time

import balanced
from configured import Configured
from faults import causes
from halted import pauses, traced
from place import Gateway, escalating, forged, golden, sending


@causes("FLKTenantsClosed", "FLKHighServerErrors", "FLKErrorBudgetBurn", "FLKAvailabilityBurnFast", "FLKAvailabilityBurnSlow", "FLKAvailabilityBurnTrend")
def a_key_is_replaced_while_control_is_away_and_the_gateway_restarts(place):
    file = Configured(place, tenant_key="acme's key of thirty-two bytes or more")
    gateway = Gateway(place, FLK_CONFIG=str(file.path)).with_control()
    # A gateway goes on with the snapshot that it stored, so there has to be one.
    file.write(rate=5000)
    place.until("flk_snapshot_number{NS} == 1")
    gateway.control.kill()
    gateway.control.wait()
    batch = place.stock.take(10)
    with sending(gateway, lambda: batch, 0.2):
        place.until("job:http_5xx:ratio_rate1h{NS} == 0")
        file.key = file.key.rename(file.key.with_name("acme-2.key"))
        file.write()
        gateway.stop()
        gateway.start()
        place.until("flk_tenants_closed{NS} == 1")
        place.faulty()
        refused = place.stock.take(5)
        with sending(gateway, lambda: refused, 0.5, tenant="acme") as sender:
            place.fires("FLKTenantsClosed", "FLKHighServerErrors", "FLKAvailabilityBurnFast", "FLKErrorBudgetBurn", "FLKAvailabilityBurnSlow",
                        "FLKAvailabilityBurnTrend")
        assert set(sender.answers) == {503}, sender.answers
        gateway.start_control()
        # six hours are 42 s here
        place.resolves("FLKTenantsClosed", "FLKHighServerErrors", "FLKAvailabilityBurnFast", "FLKErrorBudgetBurn", "FLKAvailabilityBurnSlow",
                       "FLKAvailabilityBurnTrend", within=90)


@causes("FLKEscalationsDaily")
def an_agent_sends_records_that_escalate(place):
    gateway = Gateway(place)
    right = place.stock.take(20)
    wrong = iter(escalating(place.stock.take(300)))
    with sending(gateway, lambda: right, 0.5):
        place.until("job:flk_escalated:ratio_rate1d{NS} == 0")
        place.faulty()
        with sending(gateway, lambda: [next(wrong) for _ in range(2)], 0.5) as sender:
            place.fires("FLKEscalationsDaily")
        assert set(sender.answers) == {202}, sender.answers
    # A day has not passed, so that right records have to outweigh them.
    many = right * 25
    with sending(gateway, lambda: many, 0.2):
        place.resolves("FLKEscalationsDaily")


@causes("FLKSignatureFailuresSpike")
def records_come_with_a_signature_by_no_key(place):
    gateway = Gateway(place)
    wrong = [forged(it) for it in place.stock.take(10)]
    place.until("job:flk_ingest:rate5m{NS} == 0")
    place.faulty()
    with sending(gateway, lambda: wrong, 0.4) as sender:
        place.fires("FLKSignatureFailuresSpike")
    assert set(sender.answers) == {401}, sender.answers
    place.resolves("FLKSignatureFailuresSpike")


@causes("FLKThrottled")
def a_tenant_sends_more_than_its_rate(place):
    file = Configured(place, tenant_key="acme's key of thirty-two bytes or more", rate=5)
    gateway = Gateway(place, FLK_CONFIG=str(file.path))
    batch = place.stock.take(5)
    place.until('flk_rate_limited_by_tenant{NS,tenant="acme"} == 0')
    place.faulty()
    with sending(gateway, lambda: batch, 0.2, tenant="acme") as sender:
        place.fires("FLKThrottled")
    assert sender.answers.get(429, 0) > sender.answers.get(401, 0), sender.answers
    place.resolves("FLKThrottled")


@causes("FLKDedupOutOfBand", "FLKDedupAnomalyHigh", "FLKDedupAnomalyLow")
def the_share_of_duplicates_is_another_one(place):
    gateway = Gateway(place)
    known = place.stock.take(20)
    gateway.post(known)

    def batches(new, of=10):
        return lambda: place.stock.take(new) + known[:of - new]

    with sending(gateway, batches(6), 0.4):
        # Three standard deviations of a week, which is 224 s here: enough of it has to be as ever.
        place.until("count_over_time(job:flk_dedup_hits:ratio_rate15m{NS}[224s:1s]) > 110 and job:flk_dedup_hits:ratio_rate15m{NS} > 0.3",
                    what="a usual share", within=200)
    place.faulty()
    with sending(gateway, batches(0), 0.4):
        place.fires("FLKDedupAnomalyHigh", "FLKDedupOutOfBand")
    with sending(gateway, batches(6), 0.4):
        place.resolves("FLKDedupAnomalyHigh", "FLKDedupOutOfBand")
    with sending(gateway, batches(4, of=4), 0.4):
        place.fires("FLKDedupAnomalyLow")
    with sending(gateway, batches(6), 0.4):
        place.resolves("FLKDedupAnomalyLow")


@causes("FLKDedupConflicts")
def one_id_is_signed_with_other_contents(place):
    gateway = Gateway(place, PCS_HMAC_KEY="testsecret")
    assert gateway.submit(golden("same_id_first")) == 200
    other = golden("same_id_conflict")
    place.until("flk_dedup_conflicts{NS} == 0")
    place.faulty()
    with sending(gateway, lambda: [other] * 5, 0.5):
        place.fires("FLKDedupConflicts")
    assert gateway.metric("flk_dedup_conflicts") > 10
    place.resolves("FLKDedupConflicts")


@causes("FLKHighLatency", "FLKFlushSlow")
def a_disk_becomes_slow(place):
    gateway = Gateway(place, FLK_DRIVER="portable")
    [thread] = gateway.threads("flk-flush")
    with sending(gateway, lambda: place.stock.take(1), 0.1, alone=True) as sender:
        # Four times the mean of a day, of which there has to be something.
        place.until("count_over_time(instance:flk_wal_flush_seconds:p99{NS}[85s:1s]) > 55", what="a usual flush", within=120)
        place.faulty()
        with traced(thread):
            deadline = time.monotonic() + 60
            firing = 'count(ALERTS{NS,alertname=~"FLKHighLatency|FLKFlushSlow",alertstate="firing"}) == 2'
            pauses(thread, 2, 0.2, lambda: time.monotonic() > deadline or place.series(firing))
        place.fires("FLKHighLatency", "FLKFlushSlow")
        place.resolves("FLKHighLatency", "FLKFlushSlow")
    assert set(sender.answers) == {200}, sender.answers
    balanced.wait("readiness", lambda: gateway.get("/readyz")[0] == 200)
