"""The Debian package, by dpkg in a Debian of its own: what it installs, how it starts, and what upgrade, removal and purge leave."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import podman

ROOTFS = os.environ.get("FLK_ROOTFS", "/nonexistent")
PACKAGES = sorted(Path(os.environ.get("FLK_DEB", "/nonexistent")).glob("flk_*.deb"))
RECORD = podman.as_line("golden/records/pcs_tiny_case_1.json")
KEPT = ("var/lib/flk/wal", "etc/flk/keys/hmac.key", "etc/flk/flk.toml")


class Debian:
    """A root file system, and processes in namespaces of their own in it: what they start ends with them."""

    def __init__(self, directory):
        self.root = Path(directory, "debian")
        self.root.mkdir()
        subprocess.run(["tar", "--extract", "--file", ROOTFS, "--directory", self.root, "--exclude=./dev/*"], check=True)
        Path(self.root, "dev/null").touch()

    def command(self, *command):
        inside = 'mount -t proc proc "$0/proc" && for it in null zero random urandom; do touch "$0/dev/$it" && mount --bind "/dev/$it" "$0/dev/$it"; done && ' \
                 'ip link set lo up && root="$0" && exec chroot "$root" "$@"'
        return ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc", "sh", "-euc", inside, str(self.root), *command]

    def run(self, *command, check=True, stdin=""):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        ran = subprocess.run(self.command(*command), capture_output=True, text=True, timeout=300, input=stdin, env=environment)
        assert not check or ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
        return ran

    def install(self, package):
        shutil.copy(package, self.root / "tmp")
        return self.run("dpkg", "--install", f"/tmp/{package.name}").stdout

    def path(self, name):
        return self.root / name.lstrip("/")


# The line of README.Debian that gives a shell the settings of both units.
SETTINGS = re.search(r"(?m)^ *(set -a; .*; set \+a)$", (podman.ROOT / "deploy/debian/README.Debian").read_text())[1]

# A service manager cannot run in a chroot: this starts the gateway as its unit does, by the same user and variables, those of the unit first,
# sends a record, and stops it.
SERVE = r"""
set -a; eval "$(sed -n 's/^Environment=//p' /usr/lib/systemd/system/flk-dataplane.service)"; . /etc/flk/environment
LISTEN=127.0.0.1; FLK_DRAIN_DELAY=0s; FLK_CORES=1; set +a
cd /var/lib/flk
setpriv --reuid=flk --regid=flk --init-groups --no-new-privs /usr/bin/flk-dataplane 2>> /tmp/gateway.log &
gateway=$!
tries=0
until flk wal status --dir /var/lib/flk/wal > /tmp/status 2>&1; do
    kill -0 $gateway && tries=$((tries + 1)) && [ $tries -lt 600 ] || { cat /tmp/gateway.log >&2; exit 1; }
    sleep 0.1
done
stat --format=%U /proc/$gateway >&2
flk pcs sign --key-file /etc/flk/keys/hmac.key - | flk pcs submit --json -
kill $gateway
wait $gateway
"""


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="flk-deb-", dir=os.environ.get("TMPDIR", "/var/tmp"))
        cls.addClassCleanup(cls.directory.cleanup)
        cls.older, cls.newer = PACKAGES

    def debian(self):
        directory = tempfile.mkdtemp(dir=self.directory.name)
        self.addCleanup(shutil.rmtree, directory)
        return Debian(directory)

    def serve(self, it):
        """The answer to the record, from a gateway that was started for it."""
        ran = it.run("sh", "-euc", SERVE, stdin=RECORD)
        self.assertIn("flk", ran.stderr.split())
        answer = json.loads(ran.stdout)
        return answer["status"], answer["dedup"]

    def configured(self):
        """The older package with a key and a configuration file, as README.Debian says."""
        it = self.debian()
        said = it.install(self.older)
        self.assertIn("not started", said)
        it.run("sh", "-euc", "(umask 027; head -c 32 /dev/urandom | base64 > /etc/flk/keys/hmac.key); chgrp flk /etc/flk/keys/hmac.key")
        self.file_is_read_by_the_group(it)
        it.run("sh", "-euc", "flk config init - > /etc/flk/flk.toml")
        self.file_is_read_by_the_group(it)
        return it

    def file_is_read_by_the_group(self, it):
        """By the user flk, with the settings of the units; root writes it."""
        gid = int(re.search(r"(?m)^flk:[^:]*:(\d+):", it.path("etc/group").read_text())[1])
        found = it.path("etc/flk/flk.toml").stat()
        self.assertEqual((found.st_mode & 0o7777, found.st_uid, found.st_gid), (0o640, 0, gid))
        as_flk = "exec setpriv --reuid=flk --regid=flk --init-groups"
        it.run("sh", "-euc", f"{SETTINGS}; {as_flk} cat /etc/flk/flk.toml")
        said = it.run("sh", "-euc", f"{SETTINGS}; {as_flk} flk config check").stdout
        self.assertIn("each is valid", said)

    def test_it_has_what_a_host_needs(self):
        listed = subprocess.run(["dpkg-deb", "--contents", self.older], capture_output=True, text=True, check=True).stdout
        files = {line.split()[5].removeprefix("."): line.split()[:2] for line in listed.splitlines()}
        for name in ("/usr/bin/flk", "/usr/bin/flk-dataplane", "/usr/bin/flk-control"):
            self.assertIn(files[name], (["-rwxr-xr-x", "root/root"], ["-rwxr-xr-x", "0/0"]))
        for name in ("/usr/lib/systemd/system/flk-dataplane.service", "/usr/lib/systemd/system/flk-control.service", "/etc/flk/environment",
                     "/usr/lib/sysusers.d/flk.conf", "/usr/lib/tmpfiles.d/flk.conf", "/usr/lib/sysctl.d/60-flk.conf", "/usr/share/doc/flk/README.Debian",
                     "/usr/share/doc/flk/copyright"):
            self.assertIn("-rw-r--r--", files[name], name)
        self.assertTrue(any(name.startswith("/usr/share/man/man1/flk-pcs-submit.1") for name in files))
        field = subprocess.run(["dpkg-deb", "--field", self.older, "Depends"], capture_output=True, text=True, check=True).stdout
        self.assertRegex(field, r"libc6 \(>= ")
        conffiles = subprocess.run(["dpkg-deb", "--info", self.older, "conffiles"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(conffiles.split(), ["/etc/flk/environment"])

    def test_scripts_are_clean(self):
        """Those of the package, and those that make it, the image and the secrets of Compose."""
        with tempfile.TemporaryDirectory() as directory:
            for name in ("postinst", "prerm", "postrm"):
                text = subprocess.run(["dpkg-deb", "--info", self.older, name], capture_output=True, text=True, check=True).stdout
                self.assertNotIn("#DEBHELPER#", text)
                Path(directory, name).write_text(text)
            ours = [podman.ROOT / it for it in ("deploy/debian/build", "deploy/image/build", "deploy/image/sbom", "deploy/compose/secrets", "tests/package/services")]
            ran = subprocess.run(["shellcheck", *ours, *Path(directory).iterdir()], capture_output=True, text=True)
        self.assertEqual(ran.stdout, "", ran.stderr)
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_install_start_upgrade_remove_and_purge(self):
        it = self.configured()
        passwd = it.path("etc/passwd").read_text()
        self.assertRegex(passwd, r"(?m)^flk:.*:/var/lib/flk:.*nologin$")
        uid, gid = map(int, re.search(r"(?m)^flk:[^:]*:(\d+):(\d+):", passwd).groups())
        keys, state = it.path("etc/flk/keys").stat(), it.path("var/lib/flk").stat()
        self.assertEqual((keys.st_mode & 0o7777, keys.st_uid, keys.st_gid), (0o750, 0, gid))
        self.assertEqual((state.st_mode & 0o7777, state.st_uid, state.st_gid), (0o700, uid, gid))
        self.units_are_taken(it)

        self.assertEqual(self.serve(it), (200, "miss"))
        self.assertEqual(self.serve(it), (200, "hit"))

        settings = it.path("etc/flk/environment")
        settings.write_text(settings.read_text() + "WAL_MAX_AGE=7d\n")
        before = {name: self.content(it.path(name)) for name in KEPT}
        said = it.install(self.newer)
        self.assertNotIn("not started", said)
        self.assertEqual({name: self.content(it.path(name)) for name in KEPT}, before)
        self.assertIn("WAL_MAX_AGE=7d", settings.read_text())
        self.assertEqual(self.serve(it), (200, "hit"))

        it.run("dpkg", "--remove", "flk")
        self.assertFalse(it.path("usr/bin/flk").exists())
        for name in (*KEPT, "etc/flk/environment"):
            self.assertTrue(it.path(name).exists(), name)
        it.install(self.newer)
        self.assertEqual(self.serve(it), (200, "hit"))

        said = it.run("dpkg", "--purge", "flk").stdout
        self.assertIn("/var/lib/flk stays", said)
        self.assertFalse(it.path("etc/flk/environment").exists())
        for name in KEPT:
            self.assertTrue(it.path(name).exists(), name)
        it.install(self.newer)
        self.assertEqual(self.serve(it), (200, "hit"))

        it.run("touch", "/etc/flk/purge-everything")
        it.run("dpkg", "--purge", "flk")
        self.assertFalse(it.path("var/lib/flk").exists())
        self.assertFalse(it.path("etc/flk").exists())

    def test_a_key_alone_is_enough_to_start(self):
        it = self.debian()
        it.install(self.older)
        it.run("sh", "-euc", "(umask 027; head -c 32 /dev/urandom | base64 > /etc/flk/keys/hmac.key); chgrp flk /etc/flk/keys/hmac.key")
        self.assertEqual(self.serve(it), (200, "miss"))
        self.assertEqual(it.path("etc/flk/flk.toml").read_text(), "")
        it.run("sh", "-euc", f"{SETTINGS}; flk keys list; flk config show --origin")

    def test_links_among_its_pages_lead_to_files(self):
        it = self.debian()
        it.install(self.older)
        pages = it.path("usr/share/doc/flk")
        seen = 0
        for page in pages.rglob("*.md"):
            for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
                target = Path(os.path.normpath(page.parent / link))
                # others are of the sources, as README.Debian says
                if target.is_relative_to(pages) and page != pages / "CHANGELOG.md":
                    seen += 1
                    self.assertTrue(target.exists(), f"{page.name}: {link}")
        self.assertGreater(seen, 200)

    def test_scripts_of_roll_outs_run_where_they_are_packed(self):
        """Those in Python by that of this machine: it is only suggested, and the least Debian has none."""
        it = self.debian()
        it.install(self.older)
        scripts = it.path("usr/share/doc/flk/examples/scripts")
        self.assertIn("usage: smoke", it.run("/usr/share/doc/flk/examples/scripts/smoke", "--help").stdout)
        for name in ("blue-green", "canary", "rollback"):
            ran = subprocess.run([scripts / name, "--help"], capture_output=True, text=True)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            self.assertIn("exit codes:", ran.stdout)

    def test_a_purge_without_data_leaves_nothing(self):
        it = self.debian()
        it.install(self.older)
        it.run("dpkg", "--purge", "flk")
        self.assertFalse(it.path("var/lib/flk").exists())
        self.assertFalse(it.path("etc/flk").exists())

    def test_without_a_key_the_gateway_says_which_file_is_missing(self):
        it = self.debian()
        it.install(self.older)
        ran = it.run("sh", "-euc", "set -a; . /etc/flk/environment; set +a; cd /var/lib/flk; exec setpriv --reuid=flk --regid=flk --init-groups flk-dataplane",
                     check=False)
        self.assertEqual(ran.returncode, 78)
        self.assertIn("/etc/flk/keys/hmac.key", ran.stderr.splitlines()[0])

    def units_are_taken(self, it):
        """By the service manager's own check, with the programs that they name."""
        for unit in ("flk-dataplane.service", "flk-control.service"):
            ran = it.run("systemd-analyze", "verify", "--man=no", f"/usr/lib/systemd/system/{unit}", check=False)
            ours = [line for line in ran.stderr.splitlines() if "flk" in line]
            self.assertEqual(ours, [], ran.stderr)
            ran = it.run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit, check=False)
            self.assertEqual(ran.returncode, 0, ran.stdout[-300:] + ran.stderr)

    @staticmethod
    def content(path):
        """A digest of a file, or of each file of a directory."""
        files = [path] if path.is_file() else sorted(it for it in path.rglob("*") if it.is_file())
        return {str(it): hashlib.sha256(it.read_bytes()).hexdigest() for it in files}


if __name__ == "__main__":
    unittest.main()
