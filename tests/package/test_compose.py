"""The Compose files: read by the library of docker compose, and run by podman-compose, with images of Debian's packages in the place of
those that cannot be pulled here. Grafana is in no Debian: its service is read and not run."""

import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
import tomllib
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import podman

READ = os.environ.get("FLK_COMPOSE_READ", "/nonexistent")
COMPOSE = podman.ROOT / "deploy/compose"
RECORD = podman.as_line("golden/records/pcs_tiny_case_1.json")
# Services of Debian's packages, with the entry points that the published images have.
SERVICES = {"PROMETHEUS_IMAGE": ("prometheus", ['ENTRYPOINT ["/usr/bin/prometheus"]']), "CADDY_IMAGE": ("caddy", []), "REDIS_IMAGE": ("redis", [])}


def read(*files, cwd=COMPOSE, **variables):
    return subprocess.run([READ, *files], capture_output=True, text=True, cwd=cwd, env={"PATH": os.environ["PATH"], **variables})


class Files(unittest.TestCase):
    """By compose-go: the schema of the specification, merges, variables, and that what is named is there."""

    def project(self, *files, **variables):
        ran = read(*files, **variables)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return json.loads(ran.stdout)

    def test_each_set_of_files_is_a_project(self):
        whole = {"gateway", "control", "prometheus", "grafana", "agent", "redis", "postgres"}
        self.assertEqual(set(self.project("compose.yml")["services"]), whole)
        self.assertEqual(set(self.project("compose.yml", "tls.yml", "uring.yml")["services"]), whole | {"caddy"})
        self.assertEqual(set(self.project("test.yml")["services"]), {"gateway", "redis"})

    def test_their_image_is_the_one_of_this_version(self):
        version = tomllib.loads((podman.ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
        found = {**self.project("compose.yml")["services"], "gateway of tests": self.project("test.yml")["services"]["gateway"]}
        for name in ("gateway", "control", "agent", "gateway of tests"):
            self.assertEqual(found[name]["image"], f"localhost/flk:{version}", name)

    def test_a_key_that_the_specification_does_not_know_is_refused(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "compose.yml")
            path.write_text((COMPOSE / "compose.yml").read_text().replace("read_only: true", "readonly: true", 1))
            ran = read(str(path))
        self.assertEqual(ran.returncode, 1)
        self.assertIn("readonly", ran.stderr)

    def test_what_is_mounted_from_this_repository_is_there(self):
        for it in self.project("compose.yml", "tls.yml")["services"].values():
            for mount in it.get("volumes", []):
                if mount["type"] == "bind":
                    self.assertTrue(Path(mount["source"]).exists(), mount)

    def test_ours_have_few_rights_and_no_address_but_loopback(self):
        services = self.project("compose.yml")["services"]
        for name in ("gateway", "control", "agent"):
            it = services[name]
            self.assertEqual((it["user"], it["read_only"], it["cap_drop"]), ("1000:1000", True, ["ALL"]), name)
            self.assertIn("no-new-privileges:true", it["security_opt"])
        for name, it in services.items():
            for port in it.get("ports", []):
                self.assertEqual(port["host_ip"], "127.0.0.1", name)

    def test_the_seccomp_profile_of_the_overlay_is_there(self):
        options = self.project("compose.yml", "uring.yml")["services"]["gateway"]["security_opt"]
        [profile] = [it.removeprefix("seccomp=") for it in options if it.startswith("seccomp=")]
        self.assertIn("io_uring_setup", (COMPOSE / profile).read_text())
        self.assertIn("no-new-privileges:true", options)

    def test_the_stack_of_tests_is_as_promised(self):
        it = self.project("test.yml")["services"]["gateway"]
        self.assertEqual((it["environment"]["PCS_HMAC_KEY"], it["environment"]["TOKEN_RATE"]), ("testsecret", "1000"))
        asked = {key: it["healthcheck"][key] for key in ("interval", "timeout", "retries", "start_period")}
        self.assertEqual(asked, {"interval": "2s", "timeout": "1s", "retries": 10, "start_period": "5s"})


class Secrets(unittest.TestCase):
    """The script that makes them, with an flk of another directory."""

    def made(self, flk, cwd):
        with tempfile.TemporaryDirectory() as directory:
            script = Path(shutil.copy(COMPOSE / "secrets", directory))
            ran = subprocess.run([script], capture_output=True, text=True, cwd=cwd, env={"PATH": "/usr/bin:/bin", "FLK": flk})
            return ran, sorted(it.name for it in Path(directory).glob("secrets.d/*"))

    def test_a_relative_flk_is_that_of_the_caller(self):
        flk = Path(os.environ["FLK"]).resolve()
        for relative, cwd in ((f"./{flk.name}", flk.parent), (f"{flk.parent.name}/{flk.name}", flk.parent.parent)):
            ran, names = self.made(relative, cwd)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            self.assertEqual(names, ["grafana.password", "hmac.key", "observer.token", "postgres.password", "tokens"])

    def test_no_flk_is_said_and_nothing_is_made(self):
        ran, names = self.made("target/none/flk", "/")
        self.assertEqual((ran.returncode, names), (1, []))
        self.assertIn("/target/none/flk does not run", ran.stderr)


class Stack:
    """deploy/ in a directory of its own, and what podman-compose starts of it there."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.podman = podman.Podman(directory)
        shutil.copytree(podman.ROOT / "deploy", self.directory / "deploy", ignore=shutil.ignore_patterns("secrets.d"))
        self.compose = self.directory / "deploy/compose"
        self.files = ["compose.yml"]
        self.ports = {name: podman.free_port() for name in ("FLK_PUBLISH", "FLK_PUBLISH_ADMIN", "PROMETHEUS_PUBLISH", "CADDY_PUBLISH")}
        self.environment = {
            **self.podman.environment, "PYTHONDONTWRITEBYTECODE": "1", "FLK_NOFILE": "8192", "WAL_MAX_BYTES": "2GiB", "DEDUP_MEMORY_MAX": "64MiB",
            **{name: f"127.0.0.1:{port}" for name, port in self.ports.items()},
            "FLK_IMAGE": self.podman.load(Path(os.environ["FLK_IMAGE"], "flk.oci.tar")),
        }
        # who names one limit gets podman's own of the others, which may be above this machine's
        (self.compose / "limits.yml").write_text("services: {gateway: {ulimits: {nproc: 4096}}}\n")
        # podman-compose calls a program, not a program with arguments
        self.program = self.directory / "podman"
        self.program.write_text("#!/bin/sh\nexec " + " ".join(self.podman.command) + ' "$@"\n')
        self.program.chmod(0o755)
        for variable, (name, changes) in SERVICES.items():
            changes = [f"--change={it}" for it in changes]
            self.podman.run("import", "--quiet", *changes, str(Path(os.environ["FLK_SERVICES"], f"{name}.tar")), f"localhost/{name}:debian")
            self.environment[variable] = f"localhost/{name}:debian"

    def run(self, *arguments, check=True, stdin=""):
        files = [it for name in self.files for it in ("--file", name)]
        command = [os.environ["FLK_PODMAN_COMPOSE"], "--podman-path", str(self.program), *files, *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=180, cwd=self.compose, env=self.environment, input=stdin)
        assert not check or ran.returncode == 0, f"{arguments}: {ran.stdout}{ran.stderr}"
        return ran

    def agent(self, *arguments, stdin=""):
        return self.run("--profile", "agent", "run", "--rm", "-T", "agent", *arguments, stdin=stdin).stdout

    def get(self, port, path, **more):
        """A page of a published port; none while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=10, **more) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def ask(self, query):
        page = self.get("PROMETHEUS_PUBLISH", f"/api/v1/query?{urllib.parse.urlencode({'query': query})}")
        return json.loads(page)["data"]["result"] if page else []

    def wait(self, what, holds, seconds=120):
        deadline = time.monotonic() + seconds
        while not (found := holds()):
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what}: {self.run('ps', check=False).stdout}{self.run('logs', check=False).stdout[-4000:]}")
            time.sleep(0.2)
        return found


class Runs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="flk-compose-")
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.stack = Stack(cls.directory)
        cls.addClassCleanup(cls.stack.podman.close)

    def test_records_pass_metrics_are_scraped_and_nothing_stays(self):
        it = self.stack
        made = subprocess.run([it.compose / "secrets"], capture_output=True, text=True)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(made.stdout.count("made"), 5)
        again = subprocess.run([it.compose / "secrets"], capture_output=True, text=True)
        self.assertEqual((again.returncode, again.stdout), (0, ""))

        it.files = ["compose.yml", "tls.yml", "limits.yml"]
        self.addCleanup(it.run, "down", "--volumes", check=False)
        it.run("up", "--detach", "gateway", "control", "prometheus", "caddy")
        it.wait("readiness", lambda: it.get("FLK_PUBLISH", "/readyz") == "OK")
        signed = it.agent("pcs", "sign", "--key-file", "/run/secrets/hmac.key", "-", stdin=RECORD)
        answers = [json.loads(it.agent("pcs", "submit", "--json", "-", stdin=signed)) for _ in range(2)]
        self.assertEqual([(answer["status"], answer["dedup"]) for answer in answers], [(200, "miss"), (200, "hit")])
        self.prometheus_sees(it)
        self.tls_stands_before_it(it, signed)
        it.run("down", "--volumes")
        self.assertEqual(it.podman.run("volume", "ls", "--quiet").stdout, "")
        self.assertEqual(it.podman.run("ps", "--all", "--quiet").stdout, "")

    def prometheus_sees(self, it):
        """Gateway and control are scraped, what was sent is counted, and the rules are evaluated."""
        it.wait("targets", lambda: {found["metric"]["job"] for found in it.ask("up == 1")} == {"flk", "flk-control", "prometheus"})
        it.wait("records", lambda: [found for found in it.ask("flk_ingest_total") if float(found["value"][1]) >= 2])
        self.assertTrue(it.wait("control", lambda: it.ask("flk_control_dataplane_up == 1")))
        self.assertTrue(it.wait("rules", lambda: it.ask("job:flk_dedup_hits:ratio_rate15m")))

    def tls_stands_before_it(self, it, signed):
        """A record by TLS, under the certificate of Caddy's own authority, and no page of operators."""
        authority = "/data/caddy/pki/authorities/local/root.crt"
        name = it.podman.run("ps", "--filter=label=com.docker.compose.service=caddy", "--format={{.Names}}").stdout.strip()
        root = it.directory / "root.crt"
        it.wait("authority", lambda: it.podman.run("cp", f"{name}:{authority}", str(root), check=False).returncode == 0)
        trust = ssl.create_default_context(cafile=root)
        url = f"https://localhost:{it.ports['CADDY_PUBLISH']}"
        request = urllib.request.Request(f"{url}/v1/pcs/submit", signed.encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, context=trust, timeout=10) as answer:
            self.assertEqual((answer.status, answer.headers["Flk-Dedup"]), (200, "hit"))
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/metrics", context=trust, timeout=10)
        self.assertEqual(refused.exception.code, 404)

    def test_the_stack_of_tests_becomes_healthy(self):
        it = self.stack
        it.files = ["test.yml"]
        self.addCleanup(it.run, "--profile", "stores", "down", "--volumes", check=False)
        it.run("--profile", "stores", "up", "--detach")
        for service, command in (("gateway", ["flk", "wal", "status"]), ("redis", ["redis-cli", "ping"])):
            name = it.podman.run("ps", f"--filter=label=com.docker.compose.service={service}", "--format={{.Names}}").stdout.strip()
            it.wait(service, lambda: it.podman.run("exec", name, *command, check=False).returncode == 0)
            # what the healthcheck says is what it runs by a timer of systemd, which is not everywhere: here it is run by hand
            it.wait(f"health of {service}", lambda: it.podman.run("healthcheck", "run", name, check=False).returncode == 0)


if __name__ == "__main__":
    unittest.main()
