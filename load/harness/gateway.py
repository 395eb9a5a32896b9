"""A gateway of a run: started on a free port with an empty log and keys of its own, watched from outside, and stopped. It removes only the
directory that it made."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

START_S_MAX = 60
STOP_S_MAX = 30

_LISTENS = re.compile(r"listens on (http://\S+)")
_FLUSH = re.compile(r"flush\s+(.+ for one durable block.*)")


class Failed(Exception):
    """A gateway that did not do what it should, and what it said."""


class Gateway:
    """Use it in a `with`; `key_file` signs for the default tenant, `tenant_keys` for the others."""

    def __init__(self, flk, directory, cpus, tenants=()):
        self.flk, self.cpus, self.tenants = flk, cpus, tenants
        self.data = os.path.join(directory, "data")
        self.key_file = os.path.join(self.data, "load.key")
        self.tenant_keys = {name: os.path.join(self.data, f"{name}.key") for name in tenants}
        self.process, self.url, self.flush = None, None, "unknown"
        self._said, self._reader = [], None

    def __enter__(self):
        shutil.rmtree(self.data, ignore_errors=True)
        os.makedirs(self.data, mode=0o700)
        config = os.path.join(self.data, "flk.toml")
        lines = []
        for name, path in self.tenant_keys.items():
            _write_secret(path)
            lines += ["[[tenants]]", f'id = "{name}"', f'keys = [{{ id = "load", file = "{path}" }}]', ""]
        with open(config, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
        cpus = ",".join(map(str, self.cpus))
        # A comma makes a list of it where there is one CPU only: a number alone is how many.
        command = [self.flk, "up", "--listen", "127.0.0.1", "--port", "0", "--no-control", "--cores", f"{cpus},"]
        command += ["--data", self.data, "--config", config]
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "FLK_DRIVER") if name in os.environ}
        environment["PCS_HMAC_KEY"] = _write_secret(self.key_file)
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=lambda: os.sched_setaffinity(0, self.cpus),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._await_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        code = self._stop()
        shutil.rmtree(self.data, ignore_errors=True)
        if code != 0:
            raise Failed(f"the gateway ended with {code}:\n{self.said()}")

    def _stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._reader.join()
        return code

    def said(self):
        """The end of what it printed."""
        return "".join(self._said[-30:])

    def _read(self):
        for line in self.process.stdout:
            self._said.append(line)
            if found := _LISTENS.search(line):
                self.url = found[1]
            if found := _FLUSH.search(line):
                self.flush = found[1].strip()

    def _await_ready(self):
        end = time.monotonic() + START_S_MAX
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failed(f"the gateway did not start:\n{self.said()}")
            if self.url and status(f"{self.url}/readyz") == 200:
                return
            time.sleep(0.05)
        raise Failed(f"the gateway was not ready within {START_S_MAX} s:\n{self.said()}")


def _write_secret(path):
    text = secrets.token_urlsafe(32)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)
    return text


def status(url):
    """The status of an answer, or None where there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def get(url):
    """The body of an answer, or nothing."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return ""
