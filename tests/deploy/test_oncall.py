"""The example configuration of Alertmanager, read by amtool and by a real Alertmanager: who is told of which alert."""

import json
import subprocess
import tempfile
import unittest
from pathlib import Path

import balanced
import chart
import pod
import rules

CONFIG = chart.ROOT / "deploy/prometheus/alertmanager.yml"
AMTOOL = f"{balanced.BALANCERS}/usr/bin/amtool" if balanced.BALANCERS else "amtool"


# Debian's Alertmanager knows one place of its templates. Where they were only unpacked, it gets a view of the file system that has them there.
SHARE = f"{balanced.BALANCERS}/usr/share"
ALERTMANAGER = [
    "unshare", "--mount", "sh", "-c", f"mount -t overlay templates -o lowerdir={SHARE}:/usr/share /usr/share && exec \"$0\" \"$@\"",
    f"{balanced.BALANCERS}/usr/bin/prometheus-alertmanager",
] if balanced.BALANCERS else ["prometheus-alertmanager"]


def amtool(*arguments):
    return subprocess.run([AMTOOL, *map(str, arguments)], capture_output=True, text=True, timeout=60)


class Routes(unittest.TestCase):
    def test_amtool_has_nothing_to_mend(self):
        ran = amtool("check-config", CONFIG)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_every_alert_reaches_a_person_or_the_channel(self):
        receivers = {"page": "pager", "critical": "pager", "warning": "chat", "info": "chat"}
        self.assertEqual({it["labels"]["severity"] for it in rules.alerts()}, set(receivers))
        for severity, receiver in receivers.items():
            ran = amtool("config", "routes", "test", f"--config.file={CONFIG}", f"severity={severity}", "alertname=FLKAny")
            self.assertEqual(ran.stdout.split(), [receiver], severity)
        ran = amtool("config", "routes", "test", f"--config.file={CONFIG}", "alertname=FLKAny")
        self.assertEqual(ran.stdout.split(), ["chat"])

    def test_the_page_says_what_each_severity_is(self):
        page = (chart.ROOT / "docs/operations/on-call.md").read_text()
        for severity in {it["labels"]["severity"] for it in rules.alerts()}:
            self.assertIn(f"| `{severity}` |", page)


class Told(unittest.TestCase):
    """A real Alertmanager, whose pager and channel are this test."""

    def setUp(self):
        self.told = []

        def tell(path, body):
            self.told.append((path, json.loads(body)))
            return 202 if path == "/pager" else 200, "{}"

        server = balanced.Served(tell)
        self.addCleanup(server.end)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        root = Path(directory.name)
        (root / "pagerduty.key").write_text("0" * 32)
        (root / "slack.url").write_text(f"{server.url}/chat")
        text = CONFIG.read_text().replace("/etc/prometheus/", f"{root}/")
        text = text.replace("global:\n", f"global:\n  pagerduty_url: {server.url}/pager\n")
        for wait_s in ("30s", "10s", "5m"):
            text = text.replace(f"group_wait: {wait_s}", "group_wait: 0s")
        (root / "alertmanager.yml").write_text(text)
        self.url = f"http://127.0.0.1:{pod.free_port()}"
        with open(root / "log", "w") as log:
            self.process = subprocess.Popen(
                [*ALERTMANAGER, f"--config.file={root}/alertmanager.yml", f"--storage.path={root}/data",
                 f"--web.listen-address={self.url.removeprefix('http://')}", "--cluster.listen-address="], stdout=log, stderr=log)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        balanced.wait("Alertmanager", lambda: pod.get(f"{self.url}/-/ready")[0] == 200)

    def fire(self, name, **labels):
        [rule] = [it for it in rules.alerts() if it["alert"] == name]
        annotations = ["--annotation=" + key + "=" + value.split("{{")[0] for key, value in rule["annotations"].items()]
        every = {**rule["labels"], **labels}
        ran = amtool(f"--alertmanager.url={self.url}", "alert", "add", f"alertname={name}", *(f"{key}={value}" for key, value in every.items()), *annotations)
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_a_page_wakes_a_person_with_its_runbook_and_keeps_lesser_ones_of_its_part_quiet(self):
        self.fire("FLKBackendDown", namespace="ingest")
        balanced.wait("page", lambda: self.told)
        path, page = self.told[0]
        self.assertEqual((path, page["payload"]["severity"]), ("/pager", "critical"))
        self.assertIn("FLKBackendDown: ", page["payload"]["summary"])
        self.assertEqual(page["payload"]["custom_details"]["runbook"], "docs/runbooks/backend-down.md")
        self.fire("FLKHighLatency", namespace="ingest")
        self.fire("FLKWALDiskPressure", namespace="ingest")
        balanced.wait("message", lambda: len(self.told) > 1)
        path, message = self.told[1]
        self.assertEqual(path, "/chat")
        self.assertIn("FLKWALDiskPressure", message["attachments"][0]["title"])
        self.assertIn("docs/runbooks/wal-disk-pressure.md", message["attachments"][0]["text"])


if __name__ == "__main__":
    unittest.main()
