"""Faults of processes: stopped, killed, refused, crowded, unread."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import balanced
from faults import causes
from halted import halted
from place import Gateway, of_january


@causes("FLKBackendDown", "FLKHealthCheckFailing")
def a_gateway_is_stopped_and_goes_on(place):
    gateway = Gateway(place)
    place.watch("flk-health", f"http://127.0.0.1:{gateway.port}/readyz")
    place.until('probe_success{NS} == 1')
    place.faulty()
    gateway.process.send_signal(signal.SIGSTOP)
    place.fires("FLKBackendDown", "FLKHealthCheckFailing")
    gateway.process.send_signal(signal.SIGCONT)
    place.resolves("FLKBackendDown", "FLKHealthCheckFailing")


@causes("FLKBackendDown", "FLKPortableDriver")
def the_uring_driver_is_asked_for_where_the_kernel_refuses_it(place):
    gateway = Gateway(place)
    gateway.stop()
    gateway.before = [sys.executable, str(Path(__file__).with_name("without_uring.py"))]
    gateway.env["FLK_DRIVER"] = "uring"
    place.faulty()
    gateway.launch()
    assert gateway.process.wait(timeout=60) == 78, place.logs()
    place.fires("FLKBackendDown")
    # Asked for nothing, it takes the portable one.
    gateway.env["FLK_DRIVER"] = "auto"
    gateway.start()
    place.resolves("FLKBackendDown")
    assert gateway.metric("flk_uring_enters_total") == 0
    place.fires("FLKPortableDriver")
    # Where it is meant, nothing is to be said.
    gateway.stop()
    gateway.env["FLK_DRIVER"] = "portable"
    gateway.start()
    place.resolves("FLKPortableDriver")


@causes("FLKTimeWithheld")
def a_gateway_starts_months_after_its_last_reading_of_the_clock(place):
    place.faulty()
    gateway = of_january(place)
    place.fires("FLKTimeWithheld")
    gateway.flk("wal", "release-clock", "--dir", gateway.env["WAL_DIR"])
    place.resolves("FLKTimeWithheld")


@causes("FLKRestarting")
def a_gateway_is_killed_again_and_again(place):
    gateway = Gateway(place)
    place.until("process_start_time_seconds{NS}")
    place.faulty()
    for _ in range(4):
        [before] = place.series("process_start_time_seconds{NS}")
        gateway.stop(signal.SIGKILL)
        gateway.start()
        place.until(f"process_start_time_seconds{{NS}} != {before!r}")
    place.fires("FLKRestarting")
    place.resolves("FLKRestarting")


@causes("FLKShardUnhealthy")
def one_of_two_shards_stands_still(place):
    gateway = Gateway(place, FLK_CORES="2")
    place.faulty()
    for thread in gateway.threads("flk-shard"):
        with halted(thread):
            # The shard that answers Prometheus would take the figures with it: then it is the other one's turn.
            deadline = time.monotonic() + 8
            while time.monotonic() < deadline and not place.series("flk_shard_stuck{NS} == 1"):
                time.sleep(0.2)
            if place.series("flk_shard_stuck{NS} == 1"):
                place.fires("FLKShardUnhealthy")
                break
    place.resolves("FLKShardUnhealthy")


@causes("FLKControlAlone", "FLKControlDown")
def a_gateway_is_killed_and_then_its_control_process(place):
    gateway = Gateway(place).with_control()
    place.faulty()
    gateway.stop(signal.SIGKILL)
    place.fires("FLKControlAlone")
    gateway.start()
    place.resolves("FLKControlAlone")
    gateway.control.kill()
    gateway.control.wait()
    place.fires("FLKControlDown")
    assert gateway.get("/readyz")[0] == 200
    gateway.start_control()
    place.resolves("FLKControlDown")


@causes("FLKConnectionsEvicted")
def more_connections_are_opened_than_there_are_places(place):
    gateway = Gateway(place, before=["prlimit", "--nofile=128"])
    places = gateway.metric("flk_connections_max")
    assert places < 200, places
    opened = []
    try:
        def crowd():
            opened.extend(socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(4))
            time.sleep(0.25)
            return len(opened) > places

        balanced.wait("all places taken", crowd)
        place.faulty()
        balanced.wait("an alert", lambda: crowd() and place.series('ALERTS{NS,alertname="FLKConnectionsEvicted",alertstate="firing"}'))
        place.fires("FLKConnectionsEvicted")
    finally:
        for it in opened:
            it.close()
    place.resolves("FLKConnectionsEvicted")


@causes("FLKLogLinesDropped")
def what_reads_the_lines_of_a_gateway_is_gone(place):
    reading, writing = os.pipe()
    gateway = Gateway(place, stderr=place.ends.enter_context(os.fdopen(writing, "wb")))
    place.until("flk_log_lines_dropped_total{NS} == 0")
    place.faulty()
    os.close(reading)

    def line():
        # each is a line more, but those of one kind that come too fast
        gateway.process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        return place.series('ALERTS{NS,alertname="FLKLogLinesDropped"}')

    balanced.wait("lines that are dropped", line)
    place.fires("FLKLogLinesDropped")
    gateway.stop()
    gateway.stderr = None
    gateway.start()
    place.resolves("FLKLogLinesDropped")


@causes("FLKNoTargets")
def a_prometheus_is_told_of_no_gateway(place):
    # absent() is about all gateways of a Prometheus, so this place has one of its own
    place.prometheus = place.another_prometheus()
    gateway = Gateway(place)
    place.until("up{NS} == 1")
    place.faulty()
    place.prometheus.remove(pod="flk-0")
    place.fires("FLKNoTargets", namespace="")
    place.prometheus.add("flk", f"127.0.0.1:{gateway.port}", namespace=place.namespace, pod="flk-0")
    place.resolves("FLKNoTargets", namespace="")
