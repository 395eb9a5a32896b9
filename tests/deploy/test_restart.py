"""Gateways that are restarted one after the other, each on its own log, behind a real haproxy and a real nginx: no sender sees an error."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import balanced
import chart
import pod
from balanced import Gateways, Haproxy, Senders, wait

NAMES = ["first", "second", "third"]


class Nginx:
    """The nginx of deploy/nginx, with ports of this test."""

    def __init__(self, root, gateways):
        self.root = Path(root)
        self.port = pod.free_port()
        text = (chart.ROOT / "deploy/nginx/flk.conf").read_text().replace("listen 8080;", f"listen 127.0.0.1:{self.port};")
        ports = iter(gateways.ports.values())
        text, count = re.subn(r"server 127\.0\.0\.1:\d+", lambda _: f"server 127.0.0.1:{next(ports)}", text)
        assert count == len(gateways.ports), count
        temporary = "".join(f"{it}_temp_path {root}/{it};" for it in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.root / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {root}/nginx.pid; error_log {root}/nginx.log; events {{}}\n"
            f"http {{ access_log off; {temporary}\n{text}}}\n")
        self.process = None

    def start(self):
        command, env = balanced.program("nginx")
        self.process = subprocess.Popen([command, "-e", self.root / "nginx.log", "-c", self.root / "nginx.conf"], env=env)
        wait("nginx", lambda: pod.get(f"http://127.0.0.1:{self.port}/readyz")[0] == 200)

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Restarted(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        self.gateways = Gateways(self.root, NAMES)
        self.addCleanup(self.gateways.end)

    def restart_all(self, balancer, delay, back):
        """One after the other, the next one when the last one has traffic again; then every answer is looked at."""
        self.gateways.releases["good"] = {"env": {"FLK_DRAIN_DELAY": delay}}
        self.gateways.up()
        self.addCleanup(balancer.end)
        balancer.start()
        senders = Senders(balancer.port, balanced.records())
        self.addCleanup(lambda: senders.is_alive() and senders.stop())
        senders.start()
        for name in NAMES:
            wait("answers", lambda: self.gateways.metric(name, "flk_ingest_total") > 50)
            self.assertEqual(self.gateways.stop(name), 0)
            self.gateways.start(name)
            wait("ready", lambda: self.gateways.ready(name))
            back(name)
            wait("traffic", lambda: self.gateways.metric(name, "flk_ingest_total") > 20)
        balanced.all_accepted(self, senders)
        self.assertGreater(senders.answers[200], 500)

    def test_behind_haproxy_whose_checks_take_a_gateway_out(self):
        haproxy = Haproxy(self.root, self.gateways, [f"server {name} 127.0.0.1:1" for name in NAMES])
        # down after two checks, one a second, each of which may take a second
        self.restart_all(haproxy, "4s", lambda name: wait("UP", lambda: re.search(rf"(?m)^flk,{name},.*,UP,", haproxy.ask("show stat"))))

    def test_behind_nginx_which_goes_on_with_the_next(self):
        self.restart_all(Nginx(self.root, self.gateways), "0s", lambda name: None)

    def test_nginx_goes_on_with_the_next_while_one_recovers_its_log(self):
        starting = balanced.Served(lambda path, body: (503, '{"code":"starting"}'))
        self.addCleanup(starting.end)
        self.gateways.up()
        self.gateways.stop("second")
        self.gateways.ports["second"] = starting.port
        nginx = Nginx(self.root, self.gateways)
        self.addCleanup(nginx.end)
        nginx.start()
        senders = Senders(nginx.port, balanced.records())
        self.addCleanup(lambda: senders.is_alive() and senders.stop())
        senders.start()
        wait("answers", lambda: sum(senders.answers.values()) > 500)
        balanced.all_accepted(self, senders)
        self.assertGreater(starting.requests, 0)


if __name__ == "__main__":
    unittest.main()
