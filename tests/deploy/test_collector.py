"""Traces of a real gateway in a real OpenTelemetry Collector: what its client's header asked for arrives, with the spans of the registry; a
Collector that is away or refuses changes nothing for records."""

import http.client
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

import balanced
import chart
import pod
from balanced import Gateways, wait

ROOT = "POST /v1/pcs/submit"
# Records whose keys all belong to the shard that took them have no hop to another one.
HOP = "flk.owner_hop"


def declared():
    """Names of all spans, as the registry has them."""
    groups = yaml.safe_load((chart.ROOT / "docs/telemetry/registry/spans.yaml").read_text())["groups"]
    return {it["name"]["note"] for it in groups if it["type"] == "span"}


class Collector:
    """A Collector on a port that stays; what it got is in a file."""

    def __init__(self, root):
        self.root = Path(root)
        self.port = pod.free_port()
        self.process = None

    def start(self, protocol=None, processors=None):
        """Starts it with further settings of its receiver, and with processors."""
        http = {"endpoint": f"127.0.0.1:{self.port}", **(protocol or {})}
        pipeline = {"receivers": ["otlp"], "processors": list(processors or {}), "exporters": ["debug"]}
        config = {
            "receivers": {"otlp": {"protocols": {"http": http}}}, "processors": processors or {},
            "exporters": {"debug": {"verbosity": "detailed", "use_internal_logger": False}},
            "service": {"pipelines": {"traces": pipeline}, "telemetry": {"metrics": {"level": "none"}}},
        }
        (self.root / "collector.yaml").write_text(yaml.safe_dump(config))
        with open(self.root / "spans.txt", "a") as spans, open(self.root / "collector.log", "a") as log:
            self.process = subprocess.Popen([os.environ["FLK_COLLECTOR"], f"--config={self.root}/collector.yaml"], stdout=spans, stderr=log)
        wait("the Collector", self.serves)

    def serves(self):
        """Whether it answers. That this is no POST is an answer."""
        assert self.process.poll() is None, (self.root / "collector.log").read_text()
        return pod.get(f"http://127.0.0.1:{self.port}/v1/traces")[0] == 405

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=30)
            self.process = None

    def spans(self):
        """Each span as a map of what the Collector says of it."""
        found = []
        for text in re.split(r"(?m)^Span #\d+$", (self.root / "spans.txt").read_text())[1:]:
            found.append(dict(re.findall(r"(?m)^ {4}(\w[\w ]*?) *: (.*)$", text)) | dict(re.findall(r"(?m)^ +-> ([\w.]+): \w+\((.*)\)$", text)))
        return found

    def traces(self):
        """Spans by the ids of their traces."""
        found = {}
        for it in self.spans():
            found.setdefault(it["Trace ID"], []).append(it)
        return found


class Traced(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.root = Path(directory.name)
        cls.records = iter(balanced.records(400))
        cls.collector = Collector(cls.root)
        cls.addClassCleanup(cls.collector.stop)
        cls.gateways = Gateways(cls.root, ["one"])
        cls.addClassCleanup(cls.gateways.end)
        env = {"FLK_CORES": "2", "TRACES_PER_SECOND_MAX": "10000", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{cls.collector.port}", "CONTROL_DIR": str(cls.root / "control")}
        cls.gateways.releases["good"] = {"env": env}
        cls.gateways.up()
        cls.admin = pod.free_port()
        env |= {"PORT": str(cls.gateways.ports["one"]), "WAL_DIR": str(cls.root / "one"), "PCS_HMAC_KEY": pod.KEY, "ADMIN_LISTEN": f"127.0.0.1:{cls.admin}"}
        with open(cls.root / "control.log", "w") as log:
            control = subprocess.Popen([pod.BIN / "flk-control"], env=env, stderr=log)
        cls.addClassCleanup(control.wait)
        cls.addClassCleanup(control.kill)
        wait("control", lambda: cls.counter("flk_control_dataplane_up") == 1)
        cls.traces = 0

    @classmethod
    def counter(cls, name):
        found = re.search(rf"(?m)^{name} (\d+)", pod.get(f"http://127.0.0.1:{cls.admin}/metrics")[1])
        return int(found[1]) if found else 0

    def tearDown(self):
        self.collector.stop()

    def send(self, count, sampled=True):
        """Sends records of traces that their clients began; each is accepted. The ids of the traces, and of the span of each client."""
        sent = {}
        connection = http.client.HTTPConnection("127.0.0.1", self.gateways.ports["one"], timeout=30)
        for _ in range(count):
            type(self).traces += 1
            trace, parent = f"{0xabc0000 + self.traces:032x}", f"{0xcafe0000 + self.traces:016x}"
            headers = {"Content-Type": "application/json", "traceparent": f"00-{trace}-{parent}-0{int(sampled)}"}
            connection.request("POST", "/v1/pcs/submit", next(self.records), headers)
            answer = connection.getresponse()
            answer.read()
            self.assertEqual(answer.status, 200)
            sent[trace] = parent
        connection.close()
        return sent

    def arrive(self, sent):
        wait("traces", lambda: sent.keys() <= self.collector.traces().keys())
        traces = self.collector.traces()
        return {trace: traces[trace] for trace in sent}

    def test_each_sampled_record_is_a_trace_of_its_client_with_all_its_spans(self):
        self.collector.start()
        left_out = self.send(20, sampled=False)
        sent = self.send(60)
        names = set()
        for trace, spans in self.arrive(sent).items():
            found = [it["Name"] for it in spans]
            self.assertEqual(len(found), len(set(found)), "a span came twice")
            self.assertEqual(set(found) - {HOP}, declared() - {HOP}, trace)
            names |= set(found)
            [root] = [it for it in spans if it["Name"] == ROOT]
            self.assertEqual((root["Parent ID"], root["Kind"], root["http.response.status_code"]), (sent[trace], "Server", "200"))
            known = {it["ID"] for it in spans}
            self.assertLessEqual({it["Parent ID"] for it in spans if it is not root}, known)
        # of sixty keys some belong to the other shard
        self.assertEqual(names, declared())
        self.assertFalse(left_out.keys() & self.collector.traces().keys())

    def test_what_came_while_it_was_away_arrives_when_it_is_back(self):
        failed = self.counter("flk_control_span_export_failures_total")
        sent = self.send(20)
        wait("an attempt that failed", lambda: self.counter("flk_control_span_export_failures_total") > failed)
        self.collector.start()
        self.arrive(sent)

    def test_one_that_refuses_for_good_costs_its_spans_and_no_record(self):
        self.collector.start(protocol={"max_request_body_size": 16})
        refused = self.counter("flk_control_spans_refused_total")
        lost = self.send(20)
        wait("refused spans", lambda: self.counter("flk_control_spans_refused_total") >= refused + 20 * (len(declared()) - 1))
        self.collector.stop()
        self.collector.start()
        self.arrive(self.send(5))
        self.assertFalse(lost.keys() & self.collector.traces().keys())

    def test_one_that_refuses_for_want_of_memory_gets_them_later(self):
        self.collector.start(processors={"memory_limiter": {"check_interval": "50ms", "limit_mib": 1}})
        failed = self.counter("flk_control_span_export_failures_total")
        sent = self.send(20)
        wait("an attempt that failed", lambda: self.counter("flk_control_span_export_failures_total") > failed)
        self.collector.stop()
        self.collector.start()
        self.arrive(sent)


if __name__ == "__main__":
    unittest.main()
