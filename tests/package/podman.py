"""A podman with images, containers and volumes of its own below a directory. It knows how containers run on any machine; it judges nothing."""

import json
import os
import re
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What a machine without overlay mounts, cgroup v2 or a session of systemd has, and limits that are not above its hard ones.
CONFIGURATION = """
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
network_config_dir = "{directory}/networks"
"""


def free_port():
    """A port of this host that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Podman:
    def __init__(self, directory):
        configuration = Path(directory, "containers.conf")
        configuration.write_text(CONFIGURATION.format(directory=directory))
        self.environment = {**os.environ, "CONTAINERS_CONF": str(configuration)}
        self.command = ["podman", f"--root={directory}/store", f"--runroot={directory}/run", f"--tmpdir={directory}/tmp", "--storage-driver=vfs"]
    def run(self, *arguments, check=True, **more):
        """Runs one podman command; with `check` a failure carries what it said."""
        ran = subprocess.run([*self.command, *arguments], capture_output=True, text=True, timeout=120, env=self.environment, **more)
        assert not check or ran.returncode == 0, f"podman {' '.join(arguments)}: {ran.stdout}{ran.stderr}"
        return ran

    def load(self, archive):
        """The name of the image in an archive."""
        return self.run("load", "--quiet", "--input", str(archive)).stdout.rsplit("Loaded image: ", 1)[1].strip()

    def close(self):
        """Removes everything that was made here."""
        self.run("rm", "--force", "--time=0", "--all", check=False)
        self.run("volume", "prune", "--force", check=False)
        self.run("network", "prune", "--force", check=False)
        self.run("rmi", "--all", "--force", check=False)


class Gateway:
    """A container with a gateway on a free port of loopback. Records go to it by the command line in the same image."""

    def __init__(self, podman, image, name, *arguments, network="host"):
        self.podman, self.name = podman, name
        self.url = f"http://127.0.0.1:{free_port()}"
        variables = {"PCS_HMAC_KEY": "testsecret", "PORT": self.url.rsplit(":", 1)[1], "FLK_URL": self.url, "FLK_CORES": "1"}
        podman.run("create", f"--name={name}", f"--network={network}", "--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL",
                   "--security-opt=no-new-privileges", "--user=1000", f"--volume=data-{name}:/var/lib/flk",
                   *(f"--env={key}={value}" for key, value in variables.items()), *arguments, image)

    def metric(self, name):
        """The sum of a metric's series; only where the container has the network of the host."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as page:
            found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", page.read().decode(), re.M)
        assert found, f"no {name}"
        return sum(map(float, found))

    def flk(self, *arguments, stdin=""):
        """The command line beside the gateway."""
        return self.podman.run("exec", "--interactive", self.name, "flk", *arguments, input=stdin, check=False)

    def start(self, seconds=60):
        """Starts it, and waits until the keeper answers."""
        self.podman.run("start", self.name)
        deadline = time.monotonic() + seconds
        while self.flk("wal", "status").returncode != 0:
            state = self.podman.run("inspect", "--format={{.State.Status}}", self.name).stdout.strip()
            assert state == "running" and time.monotonic() < deadline, f"{state}: {self.logs()}"
            time.sleep(0.1)

    def submit(self, record):
        """The answer to a record, as `flk pcs submit --json` prints it."""
        ran = self.flk("pcs", "submit", "--json", "-", stdin=record)
        assert ran.stdout, ran.stderr
        return json.loads(ran.stdout.splitlines()[0])

    def kill(self):
        """Ends it at once, as a crash does."""
        self.podman.run("kill", "--signal=KILL", self.name)
        self.podman.run("wait", self.name)

    def stop(self):
        """Ends it as a platform does; the exit code comes back."""
        self.podman.run("stop", "--time=60", self.name)
        return int(self.podman.run("inspect", "--format={{.State.ExitCode}}", self.name).stdout)

    def logs(self):
        ran = self.podman.run("logs", self.name)
        return ran.stdout + ran.stderr


def as_line(path):
    """A record of a file, in one line."""
    return json.dumps(json.loads((ROOT / path).read_text()), separators=(",", ":")) + "\n"
