"""What is installed on a host: units, users, files, kernel settings and the seccomp profile, each read by the program that reads it there."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import chart
import pod

SYSTEMD = chart.ROOT / "deploy/systemd"
HOST = chart.ROOT / "deploy/host"
UNITS = ("flk-dataplane.service", "flk-control.service")
COLOURS = ("blue", "green")
SOCKET = "flk-dataplane.socket"


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, **more)


class Units(unittest.TestCase):
    def installed(self, directory, *drop_ins):
        """The units with programs that are there, and drop-ins of the first."""
        for name in UNITS:
            text = (SYSTEMD / name).read_text().replace("/usr/local/bin/flk-", "/bin/true #")
            Path(directory, name).write_text(text)
        of_gateway = Path(directory, f"{UNITS[0]}.d")
        of_gateway.mkdir()
        for name in drop_ins:
            shutil.copy(SYSTEMD / name, of_gateway)
        return [str(Path(directory, name)) for name in UNITS]

    def verify(self, directory, *units):
        """What a service manager says of units below a directory."""
        return run("systemd-analyze", "verify", *units, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{directory}:"})

    def taken(self, directory, *units):
        """It has nothing against ours."""
        ran = self.verify(directory, *units)
        ours = [line for line in ran.stderr.splitlines() if "flk-" in line]
        self.assertEqual((ran.returncode, ours), (0, []), ran.stderr)

    def test_a_service_manager_takes_them_with_each_drop_in(self):
        for drop_ins in ((), ("cores.conf",), ("portable.conf",), ("cores.conf", "portable.conf", "kept-port.conf")):
            with tempfile.TemporaryDirectory() as directory:
                units = self.installed(directory, *drop_ins)
                shutil.copy(SYSTEMD / SOCKET, directory)
                self.taken(directory, *units)

    def test_the_port_can_be_a_unit_with_one_queue_or_one_of_each_shard(self):
        text = (SYSTEMD / SOCKET).read_text()
        repeated = text.replace("ListenStream=0.0.0.0:8080\n", "ListenStream=0.0.0.0:8080\n" * 4)
        self.assertNotEqual(text, repeated)
        for each in (text, repeated):
            with tempfile.TemporaryDirectory() as directory:
                units = self.installed(directory)
                Path(directory, SOCKET).write_text(each)
                self.taken(directory, *units, str(Path(directory, SOCKET)))

    def test_a_drop_in_with_a_wrong_line_is_found(self):
        with tempfile.TemporaryDirectory() as directory:
            units = self.installed(directory, "cores.conf")
            drop_in = Path(directory, f"{UNITS[0]}.d/cores.conf")
            drop_in.write_text(drop_in.read_text().replace("2-5", "a few"))
            ran = self.verify(directory, *units)
            self.assertIn("CPU affinity", ran.stderr)

    def test_they_are_exposed_to_little(self):
        for name in UNITS:
            ran = run("systemd-analyze", "security", "--offline=true", "--threshold=20", str(SYSTEMD / name))
            self.assertEqual(ran.returncode, 0, f"above 2.0: {ran.stdout[-300:]}{ran.stderr}")

    def test_a_service_manager_takes_the_units_of_each_colour(self):
        with tempfile.TemporaryDirectory() as directory:
            instances = []
            for name in UNITS:
                text = of_colours(name).read_text().replace("/opt/flk/%i/flk-", "/bin/true #")
                Path(directory, of_colours(name).name).write_text(text)
                for colour in COLOURS:
                    instances.append(Path(directory, of_colours(name).name.replace("@", f"@{colour}")))
                    instances[-1].symlink_to(of_colours(name).name)
            self.taken(directory, *map(str, instances))
            for it in instances:
                ran = run("systemd-analyze", "security", "--offline=true", "--threshold=20", str(it))
                self.assertEqual(ran.returncode, 0, f"above 2.0: {ran.stdout[-300:]}{ran.stderr}")

    def test_the_units_of_colours_are_the_others_with_names_and_places_of_their_own(self):
        for name in UNITS:
            own = settings(of_colours(name).read_text())
            expected = [of_its_own(line) for line in settings((SYSTEMD / name).read_text())]
            at = expected.index("EnvironmentFile=-/etc/flk/environment")
            expected.insert(at + 1, "EnvironmentFile=/etc/flk/%i.environment")
            self.assertEqual(own, expected, name)

    def test_a_stop_has_the_time_that_the_gateway_takes(self):
        page = (chart.ROOT / "docs/operations.md").read_text()
        bound = int(re.search(r"not complete (\d+) s after the delay", page)[1])
        example = variables(SYSTEMD / "environment.example")
        delay = int(example["FLK_DRAIN_DELAY"].removesuffix("s"))
        seconds = int(re.search(r"^TimeoutStopSec=(\d+)$", (SYSTEMD / UNITS[0]).read_text(), re.M)[1])
        self.assertGreaterEqual(seconds, delay + bound + 10)

    def test_cores_and_shards_of_the_drop_in_are_as_many(self):
        text = (SYSTEMD / "cores.conf").read_text()
        first, last = re.search(r"^CPUAffinity=(\d+)-(\d+)$", text, re.M).groups()
        self.assertEqual(int(re.search(r"FLK_CORES=(\d+)", text)[1]), int(last) - int(first) + 1)

    def test_user_and_directories_are_made(self):
        with tempfile.TemporaryDirectory() as root:
            Path(root, "etc").mkdir()
            ran = run("systemd-sysusers", f"--root={root}", str(SYSTEMD / "flk.sysusers.conf"))
            self.assertEqual(ran.returncode, 0, ran.stderr)
            self.assertRegex(Path(root, "etc/passwd").read_text(), r"(?m)^flk:.*:/var/lib/flk:.*/nologin$")
            ran = run("systemd-tmpfiles", f"--root={root}", "--create", str(SYSTEMD / "flk.tmpfiles.conf"))
            self.assertEqual(ran.returncode, 0, ran.stderr)
            keys = Path(root, "etc/flk/keys").stat()
            group = re.search(r"(?m)^flk:[^:]*:(\d+):", Path(root, "etc/group").read_text())[1]
            self.assertEqual((keys.st_mode & 0o777, keys.st_uid, keys.st_gid), (0o750, 0, int(group)))


def of_colours(name):
    """The template of a unit."""
    return SYSTEMD / "colours" / name.replace(".", "@.")


def of_its_own(line):
    """A line of a unit with the name and the places of a colour."""
    key, value = line.split("=", 1) if "=" in line else (line, "")
    if key == "Description":
        return f"{line}, %i"
    if key in ("StateDirectory", "WorkingDirectory"):
        return f"{line}/%i"
    if key in ("Environment", "ExecStart", "Wants", "After"):
        for old, new in (("/var/lib/flk/", "/var/lib/flk/%i/"), ("/usr/local/bin/", "/opt/flk/%i/"), ("flk-dataplane.service", "flk-dataplane@%i.service")):
            value = value.replace(old, new)
        return f"{key}={value}"
    return line


def settings(text):
    """Lines of a unit without comments."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def variables(path):
    """All variables of an environment file, those behind a single # too."""
    lines = (line.removeprefix("#") for line in path.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))


class Settings(unittest.TestCase):
    def test_flk_knows_every_variable_of_the_example(self):
        with tempfile.TemporaryDirectory() as directory:
            found = variables(SYSTEMD / "environment.example")
            for name in ("hmac.key", "metrics.password"):
                Path(directory, name).write_text(pod.KEY)
            found = {name: value.replace("/etc/flk/keys", directory) for name, value in found.items()}
            self.assertGreater(len(found), 6)
            ran = run(str(pod.BIN / "flk"), "config", "check", env=found)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_flk_knows_every_variable_of_a_colour_and_haproxy_its_port(self):
        haproxy = (chart.ROOT / "deploy/haproxy/haproxy.cfg").read_text()
        servers = dict(re.findall(r"(?m)^    server (\w+) 127\.0\.0\.1:(\d+)", haproxy))
        both = {}
        for colour in COLOURS:
            own = variables(SYSTEMD / f"colours/{colour}.environment")
            self.assertEqual(own["PORT"], servers[colour])
            with tempfile.TemporaryDirectory() as directory:
                Path(directory, "hmac.key").write_text(pod.KEY)
                ran = run(str(pod.BIN / "flk"), "config", "check", env={**own, "PCS_HMAC_KEY_FILE": f"{directory}/hmac.key"})
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
            both[colour] = own
        different = {name for name in both["blue"] if both["blue"][name] != both["green"][name]}
        self.assertEqual(different, {"PORT", "ADMIN_LISTEN"})

    def test_one_line_gives_a_shell_what_both_units_have(self):
        """It stands in three places, word by word, and outweighs in the order of the service manager."""
        pages = ("docs/operations/on-call.md", "docs/production-checklist.md", "deploy/debian/README.Debian")
        [line] = {re.search(r"(?m)^ *(set -a; .*)$", (chart.ROOT / page).read_text())[1] for page in pages}
        with tempfile.TemporaryDirectory() as directory:
            text = (SYSTEMD / "environment.example").read_text()
            Path(directory, "environment").write_text(text.replace("/etc/flk", directory) + "CONTROL_DIR=/elsewhere\n")
            ran = run("sh", "-euc", f"{line.replace('/etc/flk', directory)}; exec env", env={"PATH": "/usr/bin:/bin"}, check=True)
            found = dict(it.split("=", 1) for it in ran.stdout.splitlines())
            expected = {}
            for name in UNITS:
                expected |= dict(re.findall(r"(?m)^Environment=(\w+)=(.*)$", (SYSTEMD / name).read_text().replace("/etc/flk", directory)))
            self.assertEqual(set(expected), {"FLK_CONFIG", "WAL_DIR", "CONTROL_DIR"})
            expected |= dict(re.findall(r"(?m)^([A-Z_]+)=(.*)$", Path(directory, "environment").read_text()))
            self.assertEqual({name: found.get(name) for name in expected}, expected)

            # and flk takes it
            Path(directory, "flk.toml").touch()
            Path(directory, "keys").mkdir()
            Path(directory, "keys/hmac.key").write_text(pod.KEY)
            for command in ("config check", "keys list"):
                ran = run("sh", "-euc", f"{line.replace('/etc/flk', directory)}; exec flk {command}", env={"PATH": f"{pod.BIN.resolve()}:/usr/bin:/bin"})
                self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_each_kernel_setting_has_its_reason_and_is_one(self):
        reason = ""
        for line in (HOST / "sysctl-flk.conf").read_text().splitlines():
            if line.startswith("#"):
                reason = line
            elif line:
                self.assertTrue(reason, line)
                name, value = (part.strip() for part in line.split("="))
                self.assertTrue(value.isdigit(), line)
                self.assertTrue(Path("/proc/sys", name.replace(".", "/")).exists(), name)
                reason = ""


class Seccomp(unittest.TestCase):
    """The profile, enforced by runc: a gateway starts under it with io_uring, and without its three calls on the portable driver."""

    def spec(self, bundle, profile, root):
        """A container that sees this machine's programs, and has a directory of its own to write."""
        run("runc", "spec", cwd=bundle, check=True)
        path = Path(bundle, "config.json")
        spec = json.loads(path.read_text())
        # for the programs of this machine, whose libraries they are
        own = {str(pod.BIN.resolve()), "/usr", "/lib", "/lib64", "/bin", "/etc/ssl"}
        binds = [{"destination": it, "type": "bind", "source": os.path.realpath(it), "options": ["bind", "ro"]} for it in sorted(own) if Path(it).exists()]
        binds.append({"destination": root, "type": "bind", "source": root, "options": ["bind", "rw"]})
        spec["mounts"] = [it for it in spec["mounts"] if "cgroup" not in it["destination"]] + binds
        spec["process"].update(terminal=False, cwd="/", noNewPrivileges=True, args=["/bin/false"])
        spec["process"]["user"] = {"uid": 1000, "gid": 1000}
        spec["process"]["capabilities"] = {key: [] for key in spec["process"]["capabilities"]}
        spec["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 16384, "soft": 16384}]
        spec["root"]["readonly"] = True
        spec["linux"]["namespaces"] = [it for it in spec["linux"]["namespaces"] if it["type"] not in ("network", "cgroup")]
        spec["linux"].pop("resources", None)
        spec["linux"]["seccomp"] = {key: value for key, value in profile.items() if key != "syscalls"}
        spec["linux"]["seccomp"]["syscalls"] = [{key: value for key, value in it.items() if key != "comment"} for it in profile["syscalls"]]
        return spec, path

    def ran(self, profile, container, command=None):
        """Runs a process of the pod in a container; its end and what it said."""
        with tempfile.TemporaryDirectory(dir="/tmp") as directory:
            root = Path(directory, "pod")
            root.mkdir()
            it = pod.Pod(root)
            # as the kubelet leaves volumes with an fsGroup: root's, and the group's
            for path in root.rglob("*"):
                os.chown(path, 0, 1000, follow_symlinks=False)
            os.chmod(it.at("/var/lib/flk"), 0o2775)
            for path in (directory, root):
                os.chmod(path, 0o755)
            Path(directory, "rootfs").mkdir()
            spec, path = self.spec(directory, profile, str(root))
            process = it.spec["containers"][container]
            spec["process"]["args"] = command or [str(pod.BIN.resolve() / Path(process["command"][0]).name)]
            spec["process"]["env"] = [f"{name}={value}" for name, value in it.environment(process).items()]
            path.write_text(json.dumps(spec))
            name = f"flk-test-{os.getpid()}-{time.monotonic_ns()}"
            runc = ["runc", "--root", str(Path(directory, "state")), "run", "--bundle", directory, name]
            if command:
                return subprocess.run(runc, capture_output=True, text=True, timeout=60, cwd=directory)
            with open(Path(directory, "pod/gateway.log"), "w") as log:
                running = subprocess.Popen(runc, stderr=log, stdout=log, cwd=directory)
            it.processes.append(running)
            try:
                it.wait("readiness", lambda: it.get("/readyz")[0] == 200)
                answers = [it.submit(pod.KEY), it.submit(pod.KEY)]
                running.terminate()
                code = running.wait(timeout=60)
            finally:
                if running.poll() is None:
                    run("runc", "--root", str(Path(directory, "state")), "delete", "--force", name)
                    running.kill()
            return code, answers, it.logs()

    def profile(self):
        return json.loads((HOST / "seccomp-flk.json").read_text())

    def test_a_gateway_has_all_that_it_needs_and_uses_io_uring(self):
        code, answers, log = self.ran(self.profile(), 0)
        self.assertEqual(code, 0, log)
        self.assertIn("200 accepted   miss", answers[0])
        self.assertIn("200 accepted   hit", answers[1])
        self.assertRegex(log, r"driver\s+uring|\"uring")
        self.assertIn("Landlock", log)

    def test_without_its_three_calls_the_portable_driver_runs(self):
        profile = self.profile()
        for it in profile["syscalls"]:
            it["names"] = [name for name in it["names"] if not name.startswith("io_uring")]
        profile["syscalls"] = [it for it in profile["syscalls"] if it["names"]]
        code, answers, log = self.ran(profile, 0)
        self.assertEqual(code, 0, log)
        self.assertIn("200 accepted   hit", answers[1])
        self.assertIn("portable", log)

    def test_it_refuses_what_a_gateway_never_does(self):
        allowed = {name for it in self.profile()["syscalls"] for name in it["names"] if it["action"] == "SCMP_ACT_ALLOW"}
        never = {"mount", "umount2", "ptrace", "bpf", "keyctl", "add_key", "unshare", "setns", "init_module", "finit_module", "kexec_load", "reboot",
                 "swapon", "pivot_root", "chroot", "perf_event_open", "userfaultfd", "process_vm_readv", "process_vm_writev", "clock_settime",
                 "settimeofday", "open_by_handle_at", "acct", "iopl", "ioperm"}
        self.assertFalse(allowed & never)
        ran = self.ran(self.profile(), 0, ["/bin/unshare", "--user", "/bin/true"])
        self.assertNotEqual(ran.returncode, 0)
        self.assertIn("Operation not permitted", ran.stderr)


if __name__ == "__main__":
    unittest.main()
