"""The chart, read by the programs that read it when it is installed: helm, and the schemas of the API server by kubeconform."""

import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

import chart

SUPPORTED = os.environ.get("FLK_KUBERNETES", "").split()


def kubeconform(version, location, manifests):
    """Kinds of the Prometheus Operator have a reader of their own."""
    return subprocess.run(
        [os.environ["FLK_KUBECONFORM"], "-strict", "-summary", "-output", "json", "-kubernetes-version", version,
         "-skip", "ServiceMonitor,PrometheusRule", "-schema-location", location, manifests],
        capture_output=True, text=True,
    )


class Renders(unittest.TestCase):
    maxDiff = None

    def test_helm_finds_nothing_to_mend(self):
        for values in ([], *chart.TOGGLES.values()):
            chart.helm("lint", "--strict", *chart.KUBERNETES, str(chart.CHART), *values)

    def test_a_kubernetes_before_those_that_are_supported_is_refused(self):
        self.assertEqual(chart.render("--kube-version", "1.27.0").returncode, 0)
        ran = chart.render("--kube-version", "1.26.9", check=False)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("requires kubeVersion: >=1.27", ran.stderr)

    def test_every_render_is_the_committed_one(self):
        made = dict(chart.renders())
        kept = {it.name for it in chart.GOLDEN.iterdir() if it.name != "tenants.values.yaml"}
        self.assertEqual(kept, set(made), "`make deploy-golden` makes them anew")
        for name, text in made.items():
            self.assertTrue(text, f"{name}: the toggle changes nothing") if name not in SAME else self.assertEqual(text, "", name)
            self.assertEqual((chart.GOLDEN / name).read_text(), text, f"{name}: `make deploy-golden`, then review the diff")

    def test_the_api_server_of_every_supported_version_knows_every_field(self):
        self.assertGreaterEqual(len(SUPPORTED), 2)
        with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as manifests:
            location = chart.schemas(directory, SUPPORTED)
            for name, values in {"default": [], **chart.TOGGLES}.items():
                Path(manifests, f"{name}.yaml").write_text(chart.render(*values).stdout)
            for version in SUPPORTED:
                ran = kubeconform(version, location, manifests)
                said = json.loads(ran.stdout)
                wrong = [f"{Path(it['filename']).name} {it['kind']}: {it['msg']}" for it in said["resources"] or []][:9]
                self.assertEqual((ran.returncode, wrong), (0, []), version)
                self.assertGreater(said["summary"]["valid"], 8 * len(chart.TOGGLES))
                self.assertEqual(said["summary"]["skipped"], 4)
            # and a field that none knows is found
            Path(manifests, "default.yaml").write_text(chart.render().stdout.replace("podManagementPolicy:", "podManagementPolice:"))
            ran = kubeconform(SUPPORTED[-1], location, manifests)
            self.assertEqual(ran.returncode, 1)
            self.assertIn("podManagementPolice", ran.stdout)

    def test_the_prometheus_operator_knows_every_field_of_its_kinds(self):
        def read(text):
            return subprocess.run([os.environ["FLK_OPERATOR"]], input=text, capture_output=True, text=True)

        text = chart.render(*chart.TOGGLES["production"]).stdout
        ran = read(text)
        self.assertEqual((ran.returncode, sorted(ran.stdout.split())), (0, ["PrometheusRule", "ServiceMonitor"]), ran.stderr)
        wrong = read(text.replace("metricRelabelings:", "metricRelabeling:"))
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("metricRelabeling", wrong.stderr)

# A toggle whose value is the default, and the only one there is.
SAME = {"dedup-backend.diff"}


class Pods(unittest.TestCase):
    """What an operator relies on in a pod."""

    @classmethod
    def setUpClass(cls):
        cls.objects = chart.objects()
        cls.set = chart.only("StatefulSet", cls.objects)
        cls.pod = cls.set["spec"]["template"]["spec"]
        cls.gateway, cls.control = cls.pod["containers"]

    def test_one_number_gives_cores_requests_and_limits(self):
        for cores in (1, 4, 48):
            memory = f"{cores * 4}Gi"
            values = ["--set", f"resources.cpu.cores={cores},resources.memory={memory}"]
            pod = chart.only("StatefulSet", chart.objects(*values))["spec"]["template"]["spec"]
            gateway, control = pod["containers"]
            for container in (gateway, control):
                self.assertEqual(chart.environment(container)["FLK_CORES"], str(cores))
                self.assertEqual(container["resources"]["requests"], container["resources"]["limits"], "Guaranteed")
            self.assertEqual(gateway["resources"]["limits"], {"cpu": str(cores), "memory": memory})

    def test_unpinned_has_a_share_of_a_node_and_asks_for_no_cores(self):
        pod = chart.only("StatefulSet", chart.objects(*chart.TOGGLES["unpinned"]))["spec"]["template"]["spec"]
        gateway = pod["containers"][0]
        self.assertNotIn("FLK_CORES", chart.environment(gateway))
        self.assertEqual(gateway["resources"]["requests"], {"cpu": "500m", "memory": "512Mi"})
        self.assertEqual(gateway["resources"]["limits"], {"cpu": "2000m", "memory": "2Gi"})

    def test_pod_security_restricted_admits_all_pods(self):
        for values in ([], *chart.TOGGLES.values()):
            found = chart.objects(*values)
            pods = [chart.only("StatefulSet", found)["spec"]["template"]["spec"], chart.only("Pod", found)["spec"]]
            for pod in pods:
                security = pod["securityContext"]
                self.assertTrue(security["runAsNonRoot"])
                self.assertEqual((security["runAsUser"], security["fsGroup"]), (1000, 1000))
                self.assertIn(security["seccompProfile"]["type"], ("RuntimeDefault", "Localhost"))
                self.assertFalse({"hostNetwork", "hostPID", "hostIPC"} & set(pod))
                allowed = {"configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim", "downwardAPI"}
                self.assertLessEqual({key for it in pod.get("volumes", []) for key in it} - {"name"}, allowed)
                for container in pod["containers"]:
                    own = container["securityContext"]
                    self.assertIs(own["allowPrivilegeEscalation"], False)
                    self.assertIs(own["readOnlyRootFilesystem"], True)
                    self.assertEqual(own["capabilities"], {"drop": ["ALL"]})
                    self.assertFalse({"privileged", "procMount"} & set(own))
                    self.assertFalse([port for port in container.get("ports", []) if "hostPort" in port])

    def test_probes_ask_what_is_promised(self):
        probes = {name: self.gateway[name] for name in ("livenessProbe", "readinessProbe", "startupProbe")}
        asked = {name: (it["httpGet"]["path"], it["periodSeconds"], it.get("initialDelaySeconds")) for name, it in probes.items()}
        self.assertEqual(asked, {
            "livenessProbe": ("/livez", 10, 10), "readinessProbe": ("/readyz", 5, 5), "startupProbe": ("/livez", 5, None),
        })
        self.assertGreaterEqual(5 * probes["startupProbe"]["failureThreshold"], 150)
        production = chart.only("StatefulSet", chart.objects(*chart.TOGGLES["production"]))
        startup = production["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
        # 1.2 billion ids, two bytes each, at 50 MB/s
        self.assertEqual(5 * startup["failureThreshold"], 195)

    def test_a_stop_has_the_time_that_the_gateway_takes(self):
        config = tomlfile(self.objects)
        delay = int(re.fullmatch(r"(\d+)s", config["http"]["drain_delay"])[1])
        page = (chart.ROOT / "docs/operations.md").read_text()
        bound = int(re.search(r"not complete (\d+) s after the delay", page)[1])
        self.assertGreater(self.pod["terminationGracePeriodSeconds"], delay + bound + 10)

    def test_one_pod_a_host_and_zones_alike(self):
        own = self.set["spec"]["selector"]["matchLabels"]
        [spread] = self.pod["topologySpreadConstraints"]
        self.assertEqual((spread["maxSkew"], spread["topologyKey"], spread["whenUnsatisfiable"]),
                         (1, "topology.kubernetes.io/zone", "DoNotSchedule"))
        [apart] = self.pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        self.assertEqual(apart["topologyKey"], "kubernetes.io/hostname")
        for selector in (spread["labelSelector"], apart["labelSelector"]):
            self.assertEqual(selector["matchLabels"], own)

    def test_every_selector_finds_the_gateways_and_not_the_test(self):
        labels = self.set["spec"]["template"]["metadata"]["labels"]
        test = chart.only("Pod", self.objects)["metadata"]["labels"]
        selectors = [
            chart.only("Service", self.objects, "flk")["spec"]["selector"],
            chart.only("Service", self.objects, "-pods")["spec"]["selector"],
            chart.only("PodDisruptionBudget", self.objects)["spec"]["selector"]["matchLabels"],
            chart.only("NetworkPolicy", self.objects)["spec"]["podSelector"]["matchLabels"],
            self.set["spec"]["selector"]["matchLabels"],
        ]
        for selector in selectors:
            self.assertLessEqual(selector.items(), labels.items())
            self.assertFalse(selector.items() <= test.items(), test)

    def test_the_autoscaler_scales_the_set_and_only_up(self):
        scaler = chart.only("HorizontalPodAutoscaler", self.objects)["spec"]
        self.assertEqual((scaler["minReplicas"], scaler["maxReplicas"]), (3, 10))
        self.assertEqual((scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"]), ("StatefulSet", self.set["metadata"]["name"]))
        shares = {it["resource"]["name"]: it["resource"]["target"]["averageUtilization"] for it in scaler["metrics"]}
        self.assertEqual(shares, {"cpu": 70, "memory": 80})
        self.assertEqual(scaler["behavior"]["scaleDown"], {"selectPolicy": "Disabled"})

    def test_the_policy_lets_in_whom_it_names_and_nothing_out(self):
        policy = chart.only("NetworkPolicy", self.objects)["spec"]
        self.assertEqual((policy["policyTypes"], policy["egress"]), (["Ingress", "Egress"], []))
        senders, prometheus = policy["ingress"]
        test = chart.only("Pod", self.objects)["metadata"]["labels"]
        self.assertLessEqual(senders["from"][1]["podSelector"]["matchLabels"].items(), test.items(), "helm test is let in")
        named = [it["namespaceSelector"].get("matchLabels", {}) for it in senders["from"]]
        self.assertEqual(named, [{"kubernetes.io/metadata.name": "ingress-nginx"}, {}])
        [scraper] = prometheus["from"]
        self.assertEqual(scraper["namespaceSelector"]["matchLabels"], {"kubernetes.io/metadata.name": "monitoring"})
        self.assertEqual(scraper["podSelector"]["matchLabels"], {"app": "prometheus"})

    def test_an_evicted_pod_leaves_two(self):
        self.assertEqual(chart.only("PodDisruptionBudget", self.objects)["spec"]["minAvailable"], 2)
        self.assertNotIn("replicas", self.set["spec"], "an upgrade would undo what the autoscaler did")
        self.assertEqual(chart.only("HorizontalPodAutoscaler", self.objects)["spec"]["minReplicas"], 3)
        fixed = chart.only("StatefulSet", chart.objects("--set", "autoscaling.enabled=false"))
        self.assertEqual(fixed["spec"]["replicas"], 3)


class Restarts(unittest.TestCase):
    """Which values start the pods anew: those that a gateway reads at its start only."""

    @staticmethod
    def digest(*values):
        template = chart.only("StatefulSet", chart.objects(*values))["spec"]["template"]
        return template["metadata"]["annotations"]["flk.io/config"]

    def test_what_control_brings_into_force_starts_nothing_anew(self):
        before = self.digest()
        for live in ("config.limits.rate=7", "tenants[0].id=acme,tenants[0].unsigned=true", "signing.alg=hmac-sha256-payload"):
            self.assertEqual(self.digest("--set", live), before, live)
        for other in ("config.wal.max_age=3d", "config.log.format=text", "drainDelay=20s", "config.traces.sample=0.5"):
            self.assertNotEqual(self.digest("--set", other), before, other)

    def test_without_control_every_setting_does(self):
        without = ["--set", "control.enabled=false"]
        self.assertNotEqual(self.digest(*without), self.digest(*without, "--set", "config.limits.rate=7"))


class Capacity(unittest.TestCase):
    """The chart's formula is that of the pages."""

    @staticmethod
    def volume(*values):
        claim = chart.only("StatefulSet", chart.objects(*values))["spec"]["volumeClaimTemplates"][0]
        return claim["spec"]["resources"]["requests"]["storage"]

    def test_the_volume_is_what_the_page_on_storage_reckons(self):
        page = (chart.ROOT / "docs/storage.md").read_text()
        beside = int(re.search(r"bytes of a body \+ (\d+)\)", page)[1])
        an_id = float(re.search(r"seconds of DEDUP_TTL × ([\d.]+)$", page, re.M)[1])
        day = 86400
        for rate, body, kept, ttl, cores in ((20, 640, 14, 14, 4), (1000, 640, 3, 14, 4), (100, 2000, 2, 7, 8)):
            slices = rate * ttl * day * an_id
            files = rate * (body + beside) * kept * day + slices * 1.1 + cores * 3 * 64 * 2**20
            expected = files / 0.8 / 2**30
            text = self.volume("--set", f"capacity.recordsPerSecond={rate},capacity.bodyBytes={body},resources.memory=16Gi",
                               "--set", f"config.wal.max_age={kept}d,config.dedup.ttl={ttl}d,resources.cpu.cores={cores}")
            found = int(text.removesuffix("Gi"))
            self.assertLessEqual(expected, found, text)
            self.assertLessEqual(found, expected + 1, text)

    def test_the_table_of_sizes_is_what_the_chart_computes(self):
        page = (chart.ROOT / "docs/deploy.md").read_text()
        rows = re.findall(r"^\| (\d+) \| (\d+d) \| (\d+Gi) \| (\d+) MiB \|$", page, re.M)
        self.assertGreaterEqual(len(rows), 4)
        for rate, kept, volume, memory in rows:
            said = chart.notes("--set", f"capacity.recordsPerSecond={rate},config.wal.max_age={kept},resources.memory=64Gi")
            found = re.search(r"^Volume of each gateway: (\w+),", said, re.M)[1], re.search(r"at least (\d+) MiB", said)[1]
            self.assertEqual(found, (volume, memory), f"{rate} records per second")

    def test_too_little_memory_is_refused_with_what_is_needed(self):
        page = (chart.ROOT / "docs/storage.md").read_text()
        an_id = float(re.search(r"memory  = .* × ([\d.]+)$", page, re.M)[1])
        ran = chart.render("--set", "capacity.recordsPerSecond=2000", check=False)
        self.assertEqual(ran.returncode, 1)
        said = re.search(r"resources.memory is 4Gi, and capacity.recordsPerSecond=2000 .* needs (\d+)Mi", ran.stderr)
        needed = 2000 * 14 * 86400 * an_id / 2**20 + 16 + 4 * 17 + 1024 * 1.25
        self.assertAlmostEqual(int(said[1]), needed, delta=5)
        chart.render("--set", f"capacity.recordsPerSecond=2000,resources.memory={int(said[1])}Mi")


class Refusals(unittest.TestCase):
    """A wrong value ends helm, and the message names the right one."""

    CASES = [
        # An unknown key: those that there are.
        (["replicas=3"], ["replicas", "replicaCount"]),
        (["resources.cpu.core=4"], ["/resources/cpu", "core", "cores"]),
        (["config.wal.maxAge=3d"], ["/config/wal", "maxAge", "max_age"]),
        (["config.limits.token_rate=7"], ["/config/limits", "token_rate", "rate"]),
        (["signing.algorithm=hmac"], ["/signing", "algorithm", "alg"]),
        (["tenants[0].id=acme,tenants[0].quota=7"], ["/tenants/0", "quota", "bytes_per_second"]),
        # A value that is not allowed: those that are.
        (["env.dedupBackend=redis"], ["/env/dedupBackend", "memory"]),
        (["signing.alg=rsa"], ["/signing/alg", "ed25519"]),
        (["seccomp.type=Unconfined"], ["/seccomp/type", "RuntimeDefault", "Localhost"]),
        (["resources.profile=fast"], ["/resources/profile", "pinned", "unpinned"]),
        (["topologySpread.zones=Never"], ["/topologySpread/zones", "DoNotSchedule", "ScheduleAnyway"]),
        # A number out of its range, or none.
        (["replicaCount=0"], ["/replicaCount", "minimum", "1"]),
        (["resources.cpu.cores=0"], ["/resources/cpu/cores", "minimum", "1"]),
        (["resources.cpu.cores=1.5"], ["/resources/cpu/cores", "integer"]),
        (["resources.memory=4G"], ["/resources/memory", "Gi"]),
        (["autoscaling.cpuPercent=700"], ["/autoscaling/cpuPercent", "maximum", "100"]),
        (["config.traces.sample=2"], ["/config/traces/sample", "maximum", "1"]),
        (["config.dedup.ttl=two weeks"], ["/config/dedup/ttl", "[smhd]"]),
        (["signing.enabled=yes please"], ["/signing/enabled", "boolean"]),
        # Values of the earlier gateway's chart: where they went.
        (["backend.replicas=3"], ["/backend", "replicaCount, image, resources"]),
        (["redis.enabled=true"], ["/redis", "env.dedupBackend is memory"]),
        (["postgresql.enabled=true"], ["/postgresql", "env.dedupBackend is memory"]),
        (["externalStore.host=db"], ["/externalStore", "env.dedupBackend is memory"]),
        (["resources.limits.cpu=4"], ["/resources/limits", "resources.cpu.cores"]),
        # Values that do not go together.
        (["replicaCount=1,autoscaling.enabled=false"],
         ["podDisruptionBudget.minAvailable is 2 and replicaCount 1", "podDisruptionBudget.enabled=false"]),
        (["autoscaling.minReplicas=2"], ["podDisruptionBudget.minAvailable is 2 and autoscaling.minReplicas 2"]),
        (["autoscaling.minReplicas=11"], ["minReplicas is 11 and maxReplicas 10"]),
        (["config.process.driver=uring"], ["seccomp.type=Localhost"]),
        (["ingress.enabled=true"], ["ingress.host"]),
        (["control.scrapeTokenSecret=a"], ["control.tokensSecret"]),
        (["config.traces.otlp_endpoint=http://collector:4318"], ["networkPolicy.egress"]),
        (["config.wal.segment_bytes=4097KiB"], ["config.wal.segment_bytes is 4097KiB", "multiple of 4KiB"]),
        # Names that Services do not allow.
        (["fullnameOverride=flk.prod"], ["/fullnameOverride", "flk.prod", "[a-z0-9-]"]),
        (["nameOverride=9"], ["/nameOverride", "string"]),
    ]

    def test_wrong_values(self):
        for values, expected in self.CASES:
            with self.subTest(values=values):
                ran = chart.render("--set", ",".join(values), check=False)
                said = chart.words(ran.stderr)
                self.assertEqual(ran.returncode, 1, said)
                for part in expected:
                    self.assertIn(part, said)

    def test_a_release_whose_name_no_service_allows_is_refused(self):
        for name in ("flk.prod", "9flk"):
            ran = chart.helm("template", name, str(chart.CHART), *chart.KUBERNETES, check=False)
            self.assertEqual(ran.returncode, 1)
            self.assertIn(f'would be called "{name}"', ran.stderr)
            self.assertIn("set fullnameOverride", ran.stderr)
            chart.helm("template", name, str(chart.CHART), *chart.KUBERNETES, "--set", "fullnameOverride=flk")

    def test_every_value_refuses_a_wrong_one_with_its_key_and_what_is_allowed(self):
        values, expected = {}, []
        for path, rule in leaves(chart.schema()):
            at = values
            for key in path[:-1]:
                at = at.setdefault(key, {})
            at[path[-1]], allowed = wrong(rule)
            expected.append((f"at '/{'/'.join(path)}': ", allowed))
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "wrong.yaml")
            file.write_text(yaml.safe_dump(values))
            ran = chart.render("-f", str(file), check=False)
        self.assertEqual(ran.returncode, 1)
        said = ran.stderr.replace(",", "").splitlines()
        for key, allowed in expected:
            with self.subTest(key):
                [line] = [it for it in said if key in it]
                self.assertIn(allowed.replace(",", ""), line)
        self.assertGreater(len(expected), 100)

    def test_every_value_is_in_the_schema_and_every_key_of_the_schema_a_value(self):
        schema = chart.schema()
        values = yaml.safe_load((chart.CHART / "values.yaml").read_text())

        def walk(schema, value, at):
            known = {key for key, inner in schema["properties"].items() if "const" not in inner}
            self.assertEqual(set(schema["propertyNames"]["enum"]), known, f"propertyNames of {at or 'the top'}")
            self.assertIs(schema["additionalProperties"], False, at)
            if not at.startswith("config"):
                self.assertEqual(set(value), known - {"global"}, at)
            for key, inner in value.items():
                if "properties" in schema["properties"][key]:
                    walk(schema["properties"][key], inner, f"{at}.{key}".lstrip("."))

        walk(schema, values, "")
        items = [schema["properties"]["tenants"]["items"]]
        items += [items[0]["properties"][key]["items"] for key in ("keys", "params")]
        for item in items:
            self.assertEqual(item["propertyNames"]["enum"], list(item["properties"]))


def leaves(schema, at=()):
    """Path and rule of each value that is not a map of known keys."""
    for key, rule in schema["properties"].items():
        if "properties" in rule:
            yield from leaves(rule, (*at, key))
        elif "const" not in rule:
            yield (*at, key), rule


def wrong(rule):
    """A value that a rule refuses, and what helm then names as allowed."""
    kind = rule.get("type", "")
    if "enum" in rule:
        return "?", rule["enum"][-1]
    if "pattern" in rule and "string" in kind:
        return "? ?", rule["pattern"].replace("\\", "\\\\")
    if "maximum" in rule and rule["maximum"] < 1_000_000:
        return rule["maximum"] + 1, f"maximum: got {rule['maximum'] + 1} want {rule['maximum']}"
    if "minimum" in rule:
        return rule["minimum"] - 1, f"minimum: got {rule['minimum'] - 1} want {rule['minimum']}"
    return 7, f"want {kind}"


def tomlfile(found):
    import tomllib

    [text] = [it["data"]["flk.toml"] for it in found if it["kind"] == "ConfigMap" and "flk.toml" in it["data"]]
    return tomllib.loads(text)


if __name__ == "__main__":
    unittest.main()
