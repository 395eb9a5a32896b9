"""What the chart sets, read by flk itself: every render is checked, and pods are started and changed while they serve."""

import json
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import chart
import pod
from pod import KEY, Pod


class Checked(unittest.TestCase):
    def test_flk_knows_every_variable_and_every_key_of_every_render(self):
        for name, values in {"default": [], **chart.TOGGLES}.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as root:
                it = Pod(root, values)
                for container in it.spec["containers"]:
                    ran = it.run(container, ["/usr/local/bin/flk", "config", "check"])
                    self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
                    said = (ran.stdout + ran.stderr).lower()
                    self.assertNotIn("warning", said)
                    self.assertNotIn("ignored", said)

    def test_every_key_of_the_schema_is_one_of_flk(self):
        printed = subprocess.run([pod.BIN / "flk", "config", "schema"], capture_output=True, text=True, check=True).stdout
        known = json.loads(printed)["properties"]
        offered = chart.schema()["properties"]
        for section, of_chart in offered["config"]["properties"].items():
            self.assertLessEqual(set(of_chart["properties"]), set(known[section]["properties"]), section)
        tenant, ours = known["tenants"]["items"], offered["tenants"]["items"]
        self.assertEqual(set(ours["properties"]), set(tenant["properties"]))
        for inner in ("keys", "params"):
            theirs = set(tenant["properties"][inner]["items"]["properties"]) - {"env"}
            self.assertEqual(set(ours["properties"][inner]["items"]["properties"]), theirs, inner)

    def test_times_and_sizes_are_refused_outside_of_what_flk_allows(self):
        printed = subprocess.run([pod.BIN / "flk", "config", "schema"], capture_output=True, text=True, check=True).stdout
        known = json.loads(printed)["properties"]
        offered = {f"config.{section}.{key}": known[section]["properties"][key]
                   for section, of_chart in chart.schema()["properties"]["config"]["properties"].items() for key in of_chart["properties"]}
        offered["drainDelay"] = known["http"]["properties"]["drain_delay"]
        seen = 0
        for name, described in offered.items():
            found = re.search(r"Allowed: (\d+)([a-zA-Z]+) to (\d+)([a-zA-Z]+)", described["description"])
            if not found:
                continue
            seen += 1
            least, most = found[1] + found[2], found[3] + found[4]
            # no unit of the chart is that large
            most, over = ("1024TiB", "1025TiB") if most == "1PiB" else (most, f"{int(found[3]) + 1}{found[4]}")
            roomy = ["--set", "resources.memory=64Ti"]
            with self.subTest(name):
                for value in (least, most):
                    self.assertEqual(chart.render(*roomy, "--set", f"{name}={value}", check=False).returncode, 0, value)
                under = {"d": "23h", "h": "59m", "m": "59s", "s": "0s", "KiB": "1023B", "MiB": "1023KiB"}[found[2]]
                for value in (over, *([under] if int(found[1]) else [])):
                    ran = chart.render(*roomy, "--set", f"{name}={value}", check=False)
                    self.assertIn(f"{name} is {value}: allowed are {least} to {most}", chart.words(ran.stderr))
        self.assertEqual(seen, 9)

    def test_what_flk_keys_prints_for_helm_is_taken(self):
        for alg in ("hmac", "ed25519"):
            with self.subTest(alg), tempfile.TemporaryDirectory() as directory:
                made = subprocess.run([pod.BIN / "flk", "keys", "generate", "--alg", alg, "--emit", "helm"], cwd=directory,
                                      capture_output=True, text=True, check=True)
                path = Path(directory, "printed.yaml")
                path.write_text(made.stdout)
                rendered = chart.render("-f", str(path)).stdout
                self.assertIn(f'alg = "{alg}"', rendered)


class Served(unittest.TestCase):
    """Gateway and control as the pod has them."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.pods = []

    def pod(self, *values, **more):
        it = Pod(Path(self.directory.name, str(len(self.pods))), values, **more)
        self.pods.append(it)
        self.addCleanup(it.kill)
        return it

    def test_a_pod_takes_records_and_helm_test_says_so(self):
        it = self.pod()
        it.start()
        self.assertIn("200 accepted   miss", it.submit(KEY))
        self.assertIn("200 accepted   hit", it.submit(KEY))
        for container in it.test["containers"][:2]:
            ran = it.run(container)
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertEqual(it.stop(), [0, 0], it.logs())

    def test_helm_test_fails_where_the_gateway_does_not_serve_or_has_another_key(self):
        it = self.pod()
        telemetry, records = it.test["containers"][:2]
        self.assertEqual(it.run(telemetry).returncode, 69)
        self.assertEqual(it.run(records).returncode, 1)
        it.start()
        stranger = it.root / "stranger"
        stranger.write_text("a key that no gateway has, of 32 bytes")
        arguments = [f"--key-file={stranger}" if argument.startswith("--key-file") else argument for argument in records["args"]]
        refused = it.run(dict(records, args=arguments))
        self.assertEqual(refused.returncode, 1)
        self.assertIn("401 signature_invalid", refused.stdout)

    def test_a_changed_secret_and_a_changed_configmap_come_into_force_without_a_restart(self):
        it = self.pod()
        it.start()
        self.assertIn("200 accepted", it.submit(KEY))
        new = "the next key, of thirty-two bytes or more"
        pod.lay(it.at("/etc/flk/keys/default"), {"PCS_HMAC_KEY": new})
        it.wait("new key", lambda: "200 accepted" in it.submit(new, "plane.csv"))
        self.assertIn("401 refused", it.submit(KEY, "cube.csv"))
        [config] = [found["data"] for found in chart.objects("--set", "config.limits.rate=77") if found["kind"] == "ConfigMap"]
        pod.lay(it.at("/etc/flk/config"), {name: it.here(text) for name, text in config.items()})
        it.wait("new rate", lambda: "77" in "".join(line for line in it.logs().splitlines() if "rate" in line))
        self.assertEqual(it.stop(), [0, 0], it.logs())

    def test_metrics_ask_for_the_password_of_the_secret(self):
        it = self.pod(*chart.TOGGLES["metrics-basic-auth"])
        it.start()
        self.assertEqual(it.get("/metrics")[0], 401)
        self.assertEqual(it.get("/metrics", "prometheus:metrics password")[0], 200)
        for container in it.test["containers"][:2]:
            ran = it.run(container)
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_a_missing_secret_is_the_first_thing_that_the_log_says(self):
        it = self.pod(lacks=["pcs-hmac-secret"])
        ran = it.run(it.spec["containers"][0])
        self.assertEqual(ran.returncode, 78)
        self.assertIn("/etc/flk/keys/default/PCS_HMAC_KEY", ran.stderr.splitlines()[0])

    def test_a_pod_finds_its_records_again(self):
        it = self.pod()
        it.start()
        it.submit(KEY)
        it.kill()
        it.start()
        self.assertIn("200 accepted   hit", it.submit(KEY))

    def test_production_is_as_it_says(self):
        it = self.pod(*chart.TOGGLES["production"], change={"FLK_DRIVER": "auto"})
        it.start()
        said = it.flk("config", "show", "--origin")
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertEqual(it.stop(), [0, 0], it.logs())


if __name__ == "__main__":
    unittest.main()
