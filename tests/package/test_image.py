"""The container image: what is in it, and a gateway of it under a real runtime, with the default seccomp profile and with ours."""

import hashlib
import io
import json
import os
import re
import shutil
import struct
import subprocess
import tarfile
import tempfile
import tomllib
import unittest
from pathlib import Path

import podman

IMAGE = Path(os.environ.get("FLK_IMAGE", "/nonexistent"))
ARCHIVE = IMAGE / "flk.oci.tar"
PROFILE = podman.ROOT / "deploy/host/seccomp-flk.json"
RECORD = podman.as_line("golden/records/pcs_tiny_case_1.json")
PROGRAMS = ("flk", "flk-control", "flk-dataplane")


class Archive:
    """An image as it lies in its archive."""

    def __init__(self, path):
        with tarfile.open(path) as archive:
            self.files = {it.name.removeprefix("./"): archive.extractfile(it).read() for it in archive if it.isfile()}
        [self.manifest_digest] = [it["digest"] for it in json.loads(self.files["index.json"])["manifests"]]
        self.manifest = json.loads(self.blob(self.manifest_digest))
        self.config = json.loads(self.blob(self.manifest["config"]["digest"]))

    def blob(self, digest):
        content = self.files["blobs/sha256/" + digest.removeprefix("sha256:")]
        assert hashlib.sha256(content).hexdigest() == digest.removeprefix("sha256:")
        return content

    def entries(self):
        """All entries of all layers with their contents."""
        for layer in self.manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(self.blob(layer["digest"]))) as tar:
                yield from ((it, tar.extractfile(it).read() if it.isfile() else b"") for it in tar)


def needs_a_loader(program):
    """Whether a 64-bit ELF file names an interpreter, or a library among its dynamic entries."""
    offset, = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    for header in range(offset, offset + size * count, size):
        kind, _, at, _, _, length = struct.unpack_from("<IIQQQQ", program, header)
        if kind == 3:
            return True
        if kind == 2 and any(tag == 1 for tag, _ in struct.iter_unpack("<QQ", program[at:at + length])):
            return True
    return False


class Contents(unittest.TestCase):
    def setUp(self):
        self.archive = Archive(ARCHIVE)

    def test_there_are_three_static_programs_and_nothing_to_run_beside(self):
        found = {it.name.rstrip("/"): (it, content) for it, content in self.archive.entries()}
        files = sorted(name for name, (it, _) in found.items() if not it.isdir())
        self.assertEqual(files, ["etc/group", "etc/passwd", *(f"usr/local/bin/{name}" for name in PROGRAMS)])
        for name in PROGRAMS:
            entry, program = found[f"usr/local/bin/{name}"]
            self.assertEqual((entry.mode & 0o7777, entry.uid, entry.gid), (0o755, 0, 0), name)
            self.assertTrue(program.startswith(b"\x7fELF\x02"), name)
            self.assertFalse(needs_a_loader(program), name)
        self.assertTrue(needs_a_loader(Path("/bin/true").read_bytes()), "what needs a loader is found")
        state = found["var/lib/flk"][0]
        self.assertEqual((state.mode & 0o7777, state.uid, state.gid), (0o700, 1000, 1000))

    def test_no_path_of_the_building_machine_is_in_a_program(self):
        places = [str(podman.ROOT).encode(), str(Path.home() / ".cargo").encode()]
        for entry, content in self.archive.entries():
            for place in places:
                self.assertNotIn(place, content, f"{entry.name}: {content[max(0, content.find(place) - 80):][:200]}")

    def test_configuration_and_labels(self):
        config = self.archive.config["config"]
        self.assertEqual(config["User"], "1000:1000")
        self.assertEqual(config["Cmd"], ["/usr/local/bin/flk-dataplane"])
        self.assertEqual(config["WorkingDir"], "/var/lib/flk")
        self.assertEqual(config["Volumes"], {"/var/lib/flk": {}})
        self.assertEqual(config["StopSignal"], "SIGTERM")
        self.assertNotIn("Entrypoint", config)
        labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
        self.assertEqual(sorted(labels), ["created", "description", "licenses", "revision", "title", "version"])
        self.assertEqual(labels["version"], tomllib.loads((podman.ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"])
        self.assertRegex(labels["revision"], r"^[0-9a-f]{40}(-dirty)?$")
        self.assertEqual(self.archive.config["created"], labels["created"])

    def test_packed_again_it_has_the_same_bytes(self):
        labels = self.archive.config["config"]["Labels"]
        with tempfile.TemporaryDirectory() as directory:
            programs = Path(directory, "programs")
            programs.mkdir()
            for entry, content in self.archive.entries():
                if entry.name.startswith("usr/local/bin/f"):
                    (programs / Path(entry.name).name).write_bytes(content)
            created = self.archive.config["created"]
            epoch = subprocess.run(["date", "-u", f"--date={created}", "+%s"], capture_output=True, text=True, check=True).stdout.strip()
            about = {"VERSION": labels["org.opencontainers.image.version"], "REVISION": labels["org.opencontainers.image.revision"]}
            subprocess.run([podman.ROOT / "deploy/image/build", programs, Path(directory, "out")], check=True,
                           env={**os.environ, **about, "SOURCE_DATE_EPOCH": epoch})
            self.assertEqual(Path(directory, "out/digest").read_text(), (IMAGE / "digest").read_text())
            self.assertEqual(Path(directory, "out/flk.oci.tar").read_bytes(), ARCHIVE.read_bytes())
        self.assertEqual((IMAGE / "digest").read_text().strip(), self.archive.manifest_digest)

    def test_a_program_with_libraries_is_refused(self):
        with tempfile.TemporaryDirectory() as directory:
            for name in PROGRAMS:
                shutil.copy("/bin/true", Path(directory, name))
            ran = subprocess.run([podman.ROOT / "deploy/image/build", directory, Path(directory, "out")], capture_output=True, text=True,
                                 env={**os.environ, "VERSION": "0", "REVISION": "0", "SOURCE_DATE_EPOCH": "0"})
        self.assertEqual(ran.returncode, 1)
        self.assertIn("needs a loader", ran.stderr)


class Parts(unittest.TestCase):
    """The SBOM beside the image."""

    def test_it_names_what_is_linked(self):
        sbom = json.loads((IMAGE / "flk.cdx.json").read_text())
        self.assertEqual(sbom["bomFormat"], "CycloneDX")
        self.assertEqual(sbom["metadata"]["component"]["name"], "flk")
        found = {(it["name"], it["version"]) for it in sbom["components"] if it["purl"].startswith("pkg:cargo/")}
        linked = subprocess.run(["cargo", "tree", "--locked", "--offline", "-p", "flk", "-p", "flk-control", "-p", "flk-dataplane", "--edges=normal,build",
                                 "--prefix=none", "--format={p}"], capture_output=True, text=True, check=True, cwd=podman.ROOT).stdout
        linked = {(name, version) for name, version in re.findall(r"^(\S+) v(\S+)", linked, re.M)} - {("flk", sbom["metadata"]["component"]["version"])}
        self.assertEqual(linked - found, set())
        locked = {(it["name"], it["version"]) for it in tomllib.loads((podman.ROOT / "Cargo.lock").read_text())["package"]}
        self.assertEqual(found - locked, set())
        self.assertIn("glibc", {it["name"] for it in sbom["components"]})
        self.assertNotIn(str(podman.ROOT), json.dumps(sbom))


class Runs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="flk-image-")
        cls.podman = podman.Podman(cls.directory)
        cls.image = cls.podman.load(ARCHIVE)

    @classmethod
    def tearDownClass(cls):
        cls.podman.close()
        shutil.rmtree(cls.directory)

    def life(self, name, *arguments, uring, **more):
        """A record, again, after a crash again, and a stop. What the gateway says of its driver, it does."""
        it = podman.Gateway(self.podman, self.image, name, *arguments, **more)
        it.start()
        self.assertEqual(self.outcome(it), (200, "miss"))
        self.assertEqual(self.outcome(it), (200, "hit"))
        it.kill()
        it.start()
        self.assertEqual(self.outcome(it), (200, "hit"))
        log = it.logs()
        self.assertRegex(log, r"driver\s+uring" if uring else r"driver\s+portable")
        doctor = it.flk("doctor", "--telemetry", "--url", it.url)
        self.assertEqual(doctor.returncode, 0, doctor.stdout + doctor.stderr)
        if not more:
            self.assertEqual(it.metric("flk_uring_enters_total") > 0, uring)
        self.assertEqual(it.stop(), 0, it.logs())
        self.assertIn("after an unclean stop", log)

    def outcome(self, it):
        answer = it.submit(RECORD)
        return answer["status"], answer["dedup"]

    def test_under_the_default_profile_it_serves_by_the_portable_driver_and_says_so(self):
        self.life("default", uring=False)

    def test_under_ours_it_uses_io_uring(self):
        self.life("ours", f"--security-opt=seccomp={PROFILE}", uring=True)

    def test_it_needs_no_network(self):
        self.life("alone", f"--security-opt=seccomp={PROFILE}", uring=True, network="none")

    def test_there_is_no_shell(self):
        for program in ("/bin/sh", "sh", "/bin/busybox", "apt-get"):
            ran = self.podman.run("run", "--rm", "--network=none", self.image, program, "-c", "true", check=False)
            self.assertNotEqual(ran.returncode, 0)
            self.assertRegex(ran.stderr, "no such file|not found")

    def test_without_a_key_the_first_line_says_what_is_missing(self):
        ran = self.podman.run("run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", self.image, check=False)
        self.assertEqual(ran.returncode, 78)
        self.assertIn("PCS_HMAC_KEY", (ran.stdout + ran.stderr).splitlines()[0])


if __name__ == "__main__":
    unittest.main()
