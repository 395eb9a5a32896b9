"""A real Prometheus scrapes a real gateway and its control process, evaluates the rules, and is asked every query of the dashboards."""

import json
import os
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

import pod
import rules

# Keys that begin and end, so that their ages are known.
VALUES = [
    "--set", "keySecrets[0]=acme-keys,tenants[0].id=acme,tenants[0].keys[0].id=current",
    "--set", "tenants[0].keys[0].file=/etc/flk/keys/acme-keys/current",
    "--set", "tenants[0].keys[0].not_before=2026-01-01T00:00:00Z,tenants[0].keys[0].not_after=2099-01-01T00:00:00Z",
]


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        admin, cls.port = pod.free_port(), pod.free_port()
        cls.pod = pod.Pod(Path(directory.name, "pod"), VALUES, change={"ADMIN_LISTEN": f"127.0.0.1:{admin}"})
        cls.addClassCleanup(cls.pod.kill)
        cls.pod.start()
        held = cls.pod.flk("wal", "hold", "set", "nightly")
        assert held.returncode == 0, held.stderr
        cls.configure(Path(directory.name), admin)
        with open(Path(directory.name, "prometheus.log"), "w") as log:
            cls.prometheus = subprocess.Popen(
                [os.environ["FLK_PROMTOOL"].removesuffix("promtool") + "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                 f"--web.listen-address=127.0.0.1:{cls.port}", "--enable-feature=exemplar-storage"], cwd=directory.name, stderr=log, stdout=log)
        cls.addClassCleanup(cls.prometheus.wait)
        cls.addClassCleanup(cls.prometheus.kill)
        # some records between the first scrape and the last one, so that rates and quantiles are of something
        cls.pod.wait("targets", lambda: len(cls.ask("up == 1") or []) == 2)
        sent = subprocess.run([pod.BIN / "flk", "bench", f"http://127.0.0.1:{cls.pod.port}", "--rate=50", "--duration=6s", "--warm-up=0s", "--connections=4",
                               "--duplicates=40%", "--bad-signatures=5%", "--quiet"], env={"PCS_HMAC_KEY": pod.KEY}, capture_output=True, text=True)
        assert sent.returncode == 0, sent.stdout + sent.stderr
        cls.pod.wait("what was sent", lambda: cls.ask("job:flk_dedup_hits:ratio_stddev7d") and (cls.ask("flk_ingest_total") or [0])[0] >= 300)

    @classmethod
    def configure(cls, directory, admin):
        """Rules and scrapes as they are installed, more often."""
        groups = [{**group, "interval": "1s"} for group in rules.groups()]
        (directory / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
        own = [{"source_labels": ["__name__"], "regex": "flk_control_.*", "action": "keep"}]
        labels = {"namespace": "ingest", "pod": "flk-0"}
        jobs = [
            {"job_name": "flk", "static_configs": [{"targets": [f"127.0.0.1:{cls.pod.port}"], "labels": labels}]},
            {"job_name": "flk-control", "static_configs": [{"targets": [f"127.0.0.1:{admin}"], "labels": labels}], "metric_relabel_configs": own},
        ]
        config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": ["rules.yml"], "scrape_configs": jobs}
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))

    @classmethod
    def ask(cls, query):
        """Values of an instant query; none while Prometheus does not answer."""
        address = f"http://127.0.0.1:{cls.port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                said = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None
            raise AssertionError(f"{query}: {error.read().decode()}") from error
        except OSError:
            return None
        return [float(it["value"][1]) for it in said["data"]["result"]]

    def test_every_panel_has_data(self):
        asked = 0
        for where, query in rules.expressions():
            if ".json: " in where:
                with self.subTest(where):
                    self.assertTrue(self.ask(rules.without_variables(query)), query)
                    asked += 1
        self.assertGreater(asked, 80)

    def test_every_record_has_a_value(self):
        for name in rules.recorded():
            self.assertTrue(self.ask(name), name)

    def test_on_a_gateway_that_serves_nothing_is_paged(self):
        firing = [rule["alert"] for rule in rules.alerts() if self.ask(f'ALERTS{{alertname="{rule["alert"]}",severity=~"page|critical"}}')]
        self.assertEqual(firing, [])

    def test_every_series_that_an_alert_counts_is_there(self):
        known = rules.series()
        for rule in rules.alerts():
            for name in rules.names(rule["expr"]) & known:
                # a suspect snapshot is named only while there is one to watch
                if name != "flk_control_snapshot_suspect":
                    self.assertTrue(self.ask(name), f"{rule['alert']}: {name}")


if __name__ == "__main__":
    unittest.main()
