"""What a cluster does when a release changes: evictions, upgrades, rollbacks, and the end. Pods become ready only when a test lets them."""

import datetime
import shlex
import unittest

import chart
import cluster
from release import HELD, Release

TEXT = ["--set", "config.log.format=text"]


class Changing(unittest.TestCase):
    """A release of its own for each test."""

    def installed(self, *values):
        """A release with three ready gateways."""
        release = Release(self.id().rsplit("test_", 1)[1].replace("_", "-")[:40].rstrip("-"))
        self.addCleanup(release.end)
        release.secret()
        release.helm("install", *HELD, *values)
        release.cluster.wait("three pods", lambda: len(release.pods()) == 3 and all(it["status"].get("phase") == "Running" for it in release.pods().values()))
        release.let_ready(*release.pods())
        release.ready(3)
        return release


class Evicted(Changing):
    def test_the_budget_refuses_a_second_eviction(self):
        release = self.installed()
        path = release.path("poddisruptionbudgets", "flk", "policy/v1")
        release.cluster.wait("budget", lambda: release.cluster.get(path)["status"].get("disruptionsAllowed") == 1)
        before = release.uids()
        first = release.evict("flk-0")
        self.assertEqual(first.returncode, 0, first.stderr)
        # the one that replaces it is not ready
        release.renewed("flk-0", before["flk-0"])
        second = release.evict("flk-1")
        self.assertEqual(second.returncode, 1)
        self.assertIn("disruption budget", second.stderr)
        self.assertEqual(release.uids()["flk-1"], before["flk-1"])
        # one that serves nothing may go all the same, so that its node can be drained
        made = release.uids()["flk-0"]
        again = release.evict("flk-0")
        self.assertEqual(again.returncode, 0, again.stderr)
        release.renewed("flk-0", made)
        release.let_ready("flk-0")
        release.cluster.wait("budget", lambda: release.cluster.get(path)["status"].get("disruptionsAllowed") == 1)
        third = release.evict("flk-1")
        self.assertEqual(third.returncode, 0, third.stderr)

    def test_a_gateway_comes_back_to_its_volume(self):
        release = self.installed()
        before, node = release.claims()["data-flk-0"], release.pods()["flk-0"]["spec"]["nodeName"]
        # with its node gone, only another one of the zone has the volume
        release.cluster.kubectl("cordon", node)
        self.addCleanup(release.cluster.kubectl, "uncordon", node)
        old = release.uids()["flk-0"]
        self.assertEqual(release.evict("flk-0").returncode, 0)
        pod = release.renewed("flk-0", old)
        self.assertEqual(release.claims()["data-flk-0"]["spec"]["volumeName"], before["spec"]["volumeName"])
        self.assertEqual((pod["spec"]["nodeName"] != node, pod["spec"]["nodeName"][0]), (True, node[0]))


class Upgraded(Changing):
    def roll(self, release, before):
        """Lets one new pod after the other become ready; before it is, the others are those that were there."""
        for name in ("flk-2", "flk-1", "flk-0"):
            release.renewed(name, before[name])
            now = release.uids()
            left = {it: uid for it, uid in before.items() if it < name}
            self.assertEqual({it: now.get(it) for it in left}, left, f"{name} is not ready yet")
            release.let_ready(name)
        release.ready(3)

    def check_order(self, history):
        """Every pod was ready for as long as the chart says when the next one was deleted."""
        ready, order = {}, []
        for what, pod in history:
            name, since = pod["metadata"]["name"], pod["metadata"].get("deletionTimestamp")
            if since and name not in order:
                order.append(name)
                others = {it for it in ready if it != name}
                self.assertEqual(len(others), 2, f"{name} went while others were not ready: {ready}")
                asked = time_of(since) - pod["metadata"]["deletionGracePeriodSeconds"]
                for it in others:
                    self.assertGreaterEqual(asked - ready[it], MIN_READY_SECONDS - 1, f"{name} went too soon after {it}")
            if what == "DELETED" or since or not cluster.condition(pod, "Ready"):
                ready.pop(name, None)
            else:
                [it] = [it for it in pod["status"]["conditions"] if it["type"] == "Ready"]
                ready[name] = time_of(it["lastTransitionTime"])
        self.assertEqual(order, ["flk-2", "flk-1", "flk-0"])

    def changed(self, release, change):
        """Carries out a change and the roll that follows, with the history checked."""
        before = release.uids()
        path = release.path("pods")
        # events of the pods as they are, so that the history knows which were ready
        since = release.cluster.version(path)
        release.cluster.kubectl("-n", release.namespace, "annotate", "--overwrite", "pod", *before, f"flk.test/seen={since}")
        change()
        self.roll(release, before)
        self.check_order(release.cluster.history(release.namespace, since))

    def test_an_upgrade_and_a_rollback_roll_one_pod_at_a_time(self):
        release = self.installed()
        claims = {name: it["metadata"]["uid"] for name, it in release.claims().items()}
        self.changed(release, lambda: release.helm("upgrade", *HELD, *TEXT))
        self.assertIn('format = "text"', release.cluster.get(release.path("configmaps", "flk"))["data"]["flk.toml"])
        self.changed(release, lambda: release.helm("rollback"))
        self.assertIn('format = "json"', release.cluster.get(release.path("configmaps", "flk"))["data"]["flk.toml"])
        self.assertEqual({name: it["metadata"]["uid"] for name, it in release.claims().items()}, claims)

    def test_a_release_that_never_becomes_ready_takes_one_gateway_and_a_rollback_mends_it(self):
        release = self.installed()
        before = release.uids()
        release.helm("upgrade", *HELD, "--set", "image.tag=broken")
        broken = release.renewed("flk-2", before["flk-2"])
        self.assertEqual(broken["spec"]["containers"][0]["image"], "flk:broken")
        release.cluster.wait("endpoints", lambda: {it["targetRef"]["name"] for it in release.addresses("flk") if it["conditions"]["ready"]} == {"flk-0", "flk-1"})
        release.helm("rollback")
        mended = release.renewed("flk-2", broken["metadata"]["uid"])
        self.assertNotEqual(mended["spec"]["containers"][0]["image"], "flk:broken")
        release.let_ready("flk-2")
        release.ready(3)
        now = release.uids()
        self.assertEqual((now["flk-0"], now["flk-1"]), (before["flk-0"], before["flk-1"]), "the others served all the time")

    def test_what_control_brings_into_force_touches_no_pod(self):
        release = self.installed()
        before, made = release.uids(), release.set()["metadata"]["generation"]
        release.helm("upgrade", *HELD, "--set", "config.limits.rate=7,tenants[0].id=acme,tenants[0].unsigned=true")
        self.assertIn("rate = 7", release.cluster.get(release.path("configmaps", "flk"))["data"]["flk.toml"])
        self.assertEqual(release.set()["metadata"]["generation"], made)
        self.assertEqual(release.uids(), before)

    def test_waiting_helm_waits_for_every_pod(self):
        # these become ready by themselves
        release = Release("waiting-helm")
        self.addCleanup(release.end)
        release.helm("install")
        release.ready(3)
        release.helm("upgrade", *TEXT, "--wait", "--timeout=120s")
        found = release.set()
        self.assertEqual((found["status"]["updatedReplicas"], found["status"]["readyReplicas"], found["status"]["updateRevision"]),
                         (3, 3, found["status"]["currentRevision"]))
        refused = release.helm("upgrade", *HELD, "--wait", "--timeout=3s", check=False)
        self.assertEqual(refused.returncode, 1, "a pod that is not ready")


class Scaled(Changing):
    def scale(self, release, count):
        release.cluster.kubectl("-n", release.namespace, "scale", "statefulset/flk", f"--replicas={count}")

    def test_an_upgrade_and_a_rollback_keep_the_number_of_the_autoscaler(self):
        release = self.installed()
        self.scale(release, 4)
        release.helm("upgrade", *HELD, "--set", "config.limits.rate=7")
        self.assertEqual(release.set()["spec"]["replicas"], 4)
        release.helm("rollback")
        self.assertEqual(release.set()["spec"]["replicas"], 4)

    def test_turning_the_autoscaler_on_takes_no_gateway_away(self):
        release = self.installed("--set", "autoscaling.enabled=false")
        before = release.uids()
        since = release.cluster.version(release.path("pods"))
        release.helm("upgrade", *HELD)
        release.helm("upgrade", *HELD, "--set", "config.limits.rate=7")
        release.cluster.wait("autoscaler", lambda: cluster.condition(release.cluster.get(release.path("horizontalpodautoscalers", "flk", "autoscaling/v2")), "AbleToScale"))
        self.assertEqual([pod["metadata"]["name"] for _, pod in release.cluster.history(release.namespace, since) if "deletionTimestamp" in pod["metadata"]], [])
        self.assertEqual(release.uids(), before)


class Volumes(Changing):
    def test_a_larger_plan_keeps_the_claims_and_says_how_to_enlarge_them(self):
        release = self.installed()
        before = release.uids()
        for more in (["--set", "capacity.recordsPerSecond=100"], ["--set", "persistence.size=136Gi"]):
            said = release.helm("upgrade", *HELD, *more).stdout
            self.assertIn("Volume of each gateway: 136Gi", said)
            commands = [line.strip().split("    #")[0] for line in said.splitlines() if "patch pvc" in line]
            self.assertEqual([it.split()[5] for it in commands], sorted(release.claims()))
        for command in commands:
            release.cluster.kubectl(*shlex.split(command)[1:])
        self.assertEqual({it["spec"]["resources"]["requests"]["storage"] for it in release.claims().values()}, {"136Gi"})
        self.assertNotIn("SMALLER CLAIMS", release.helm("upgrade", *HELD, *more).stdout)
        release.helm("rollback")
        self.assertEqual(release.uids(), before, "they served all the time")

    def test_a_change_that_no_claim_takes_is_refused_with_what_to_do(self):
        release = self.installed()
        for value, expected in (
            ("persistence.storageClass=fast", ["persistence.storageClass is \"fast\"", "keep it"]),
            ("persistence.annotations.team=ingest", ["persistence.annotations differ", "kubectl annotate pvc"]),
        ):
            with self.subTest(value):
                ran = release.helm("upgrade", *HELD, "--set", value, check=False)
                self.assertEqual(ran.returncode, 1)
                for part in expected:
                    self.assertIn(part, chart.words(ran.stderr))
        # an install that has them goes on with them
        other = Release("other-claims")
        self.addCleanup(other.end)
        own = ["--set", "persistence.storageClass=standard,persistence.annotations.team=ingest"]
        other.helm("install", *own)
        other.helm("upgrade", *own, "--set", "config.limits.rate=7")

    def test_an_uninstall_leaves_the_volumes_and_an_install_finds_them(self):
        release = self.installed()
        before = {name: it["spec"]["volumeName"] for name, it in release.claims().items()}
        self.assertIn(f"leaves the volumes: kubectl -n {release.namespace} get pvc -l app.kubernetes.io/instance=flk", release.helm("get", "notes").stdout)
        release.helm("uninstall", "--wait")
        release.cluster.wait("pods to go", lambda: not release.pods())
        left = {it["metadata"]["name"] for it in release.cluster.get(release.path("configmaps"))} - {"kube-root-ca.crt"}
        self.assertEqual(left, set())
        self.assertEqual({name: it["spec"]["volumeName"] for name, it in release.claims().items()}, before)
        release.helm("install")
        release.ready(3)
        self.assertEqual({name: it["spec"]["volumeName"] for name, it in release.claims().items()}, before)

    def test_volumes_that_are_to_go_with_the_release_do(self):
        release = self.installed("--set", "persistence.whenDeleted=Delete")
        self.assertIn("DELETES the volumes", release.helm("get", "notes").stdout)
        release.helm("uninstall")
        release.cluster.wait("claims to go", lambda: not release.claims())


def time_of(text):
    """Seconds of a time of the API."""
    return datetime.datetime.fromisoformat(text).timestamp()


MIN_READY_SECONDS = chart.only("StatefulSet", chart.objects())["spec"]["minReadySeconds"]


if __name__ == "__main__":
    unittest.main()
