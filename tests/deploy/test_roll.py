"""blue-green, canary and rollback with two real gateways behind a real haproxy, under load. Bad releases are builds with planted faults,
or settings that an operator can get wrong."""

import contextlib
import io
import json
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import balanced
import pod
from balanced import Gateways, Haproxy, Installer, Scripts, Senders, end_now, wait

sys.path.insert(0, str(balanced.SCRIPTS))
from rollout import commands, procedure  # noqa: E402
from rollout.haproxy import Haproxy as Driver  # noqa: E402
from rollout.haproxy import weights  # noqa: E402
from rollout.judge import Limits, Watch  # noqa: E402
from rollout.procedure import SIGNALS, RollOut  # noqa: E402

# A disk that hangs, once some batches were written.
PLANTED = {"program": "flk-dataplane-planted"}
SLOW_DISK = {"FLK_DRIVER": "portable", "FLK_TEST_LIMITS": "deadline=20s"}
OTHER_PARAMETERS = """
[[tenants]]
id = "default"
[[tenants.keys]]
id = "first"
scheme = "hmac-sha256"
env = "PCS_HMAC_KEY"
[[tenants.params]]
version = "2"
base = 0.5
"""


class Behind(unittest.TestCase):
    """Blue serves the release `good`."""

    @classmethod
    def setUpClass(cls):
        cls.records = balanced.records()

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        self.gateways = Gateways(self.root, ["blue", "green"])
        self.addCleanup(self.gateways.end)
        self.gateways.releases["better"] = {}
        self.gateways.up()
        self.haproxy = Haproxy(self.root, self.gateways)
        self.addCleanup(self.haproxy.end)
        self.haproxy.start()
        installer = Installer(self.gateways)
        self.addCleanup(installer.end)
        target = [f"--haproxy={self.haproxy.socket}", f"--server-state-file={self.haproxy.state}"]
        self.scripts = Scripts(self.root, target, installer)
        self.senders = None

    def send(self, **how):
        self.senders = Senders(self.haproxy.port, self.records, **how)
        self.addCleanup(lambda: self.senders.is_alive() and self.senders.stop())
        self.senders.start()
        wait("answers", lambda: self.senders.answers.get(200, 0) > 100)

    def no_errors(self):
        balanced.all_accepted(self, self.senders)

    def ended(self, ran, code):
        self.assertEqual(ran.returncode, code, ran.stdout + ran.stderr)
        return ran

    def rolled_back(self, ran, reason):
        """It went back by itself, the line says why, and senders have no errors since."""
        self.ended(ran, 1)
        last = self.scripts.lines()[-1]
        self.assertEqual((last["event"], last["live"], last["to"]), ("rolled_back", "blue", "green"))
        self.assertRegex(last["reason"], reason)
        self.assertEqual(self.haproxy.weights(), {"blue": 100, "green": 0})
        # those that were underway have had their time
        self.senders.stop()
        self.send()
        self.no_errors()
        return last


class Promoted(Behind):
    def test_a_good_release_gets_all_traffic_without_an_error_and_goes_back_at_a_word(self):
        self.send()
        self.ended(self.scripts.roll("blue-green", "better", "--watch=3s"), 0)
        self.assertEqual(self.scripts.events(), ["started", "healthy", "step", "held", "promoted"])
        last = self.scripts.lines()[-1]
        self.assertEqual((last["live"], last["serves"], last["release"], last["figures"]["errors"]), ("green", "better", "better", 0))
        self.assertGreater(last["figures"]["records"], 30)
        self.assertEqual(self.haproxy.weights(), {"blue": 0, "green": 100})
        blue, green = (self.gateways.metric(it, "flk_ingest_total") for it in ("blue", "green"))
        wait("traffic on green", lambda: self.gateways.metric("green", "flk_ingest_total") > green + 50)
        self.assertEqual(self.gateways.metric("blue", "flk_ingest_total"), blue)

        self.ended(self.scripts.roll("blue-green", "better", "--watch=3s"), 0)
        self.assertEqual(self.scripts.events()[5:], ["unchanged"])

        self.ended(self.scripts.back(word="rollback"), 2)
        self.assertEqual(self.haproxy.weights(), {"blue": 0, "green": 100})
        self.ended(self.scripts.back(), 0)
        last = self.scripts.lines()[-1]
        self.assertEqual((last["event"], last["live"], last["reason"]), ("rolled_back", "blue", "the test says so"))
        self.assertIn("nothing to roll back", self.ended(self.scripts.back(), 0).stderr)
        self.assertEqual(self.haproxy.weights(), {"blue": 100, "green": 0})
        self.no_errors()

    def test_a_canary_goes_step_by_step(self):
        self.send(count=240, per_second=1.5)
        self.ended(self.scripts.roll("canary", "better", "--steps=1:4s,10:3s,50:3s,100:2s", "--requests-min=3"), 0)
        lines = self.scripts.lines()
        self.assertEqual([it["percent"] for it in lines if it["event"] == "step"], [1, 10, 50, 100])
        held = [it["figures"]["records"] / it["percent"] for it in lines if it["event"] == "held"]
        self.assertEqual(len(held), 4)
        # of some 360 records a second, by a hash of 240 addresses: not more than its share by far
        self.assertLess(max(held), 5 * 360 * 4 / 100)
        self.assertEqual(lines[-1]["event"], "promoted")
        self.no_errors()

    def test_at_no_moment_all_weights_are_0(self):
        after = []

        class Watched(Driver):
            """Looks at the weights after each command."""

            def ask(self, command):
                said = super().ask(command)
                if command.startswith("set weight"):
                    after.append({it.name: it.weight for it in super().servers()})
                return said

        driver = Watched(str(self.haproxy.socket), "flk")
        driver.share("green", 100)
        driver.share("blue", 100)
        self.assertEqual(after, [{"blue": 100, "green": 100}, {"blue": 0, "green": 100}, {"blue": 100, "green": 100}, {"blue": 100, "green": 0}])

    def test_the_next_start_of_haproxy_has_the_weights_of_the_last_roll_out(self):
        self.send()
        self.ended(self.scripts.roll("blue-green", "better", "--watch=1s"), 0)
        self.senders.stop()
        self.haproxy.end()
        self.haproxy.start()
        self.assertEqual(self.haproxy.weights(), {"blue": 0, "green": 100})


class RolledBack(Behind):
    def test_a_release_that_answers_with_errors(self):
        env = {"FLK_DRIVER": "portable", "FLK_TEST_LIMITS": "deadline=100ms", "FLK_HANG_AT": "LogWritten:40:1500"}
        self.gateways.releases["errors"] = {**PLANTED, "env": env}
        self.send()
        last = self.rolled_back(self.scripts.roll("blue-green", "errors", "--watch=1h"), r"^\d+ of \d+ answers were errors \(.* %, at most 0.1 %\)$")
        self.assertGreater(last["figures"]["errors"], 0)

    def test_a_release_that_is_slow(self):
        self.gateways.releases["slow"] = {**PLANTED, "env": {**SLOW_DISK, "FLK_HANG_AT": "LogWritten:40:1800"}}
        self.send()
        self.rolled_back(self.scripts.roll("blue-green", "slow", "--watch=1h", "--p95-max=1s"), r"^95 % of its answers took up to .* \(at most 1 s\)$")

    def test_a_release_that_is_slow_from_outside_only(self):
        way = balanced.SlowWay(self.gateways.ports["green"], 0.7)
        self.addCleanup(way.end)
        self.send()
        ran = self.scripts.roll("blue-green", "better", "--watch=1h", "--p95-max=600ms", f"--url=green={way.url}", "--smoke=true")
        self.rolled_back(ran, r"^95 % of the probes took up to .* \(at most 0.6 s\)$")

    def test_a_release_that_dies(self):
        self.gateways.releases["mortal"] = {**PLANTED, "env": {"FLK_DIE_AT": "LogWritten:60"}}
        self.send()
        self.rolled_back(self.scripts.roll("blue-green", "mortal", "--watch=1h"), r"does not answer|answers were errors|cannot be read")

    def test_a_release_with_other_parameters_escalates(self):
        config = self.root / "other.toml"
        config.write_text(OTHER_PARAMETERS)
        self.gateways.releases["strict"] = {"env": {"FLK_CONFIG": str(config)}}
        self.send()
        self.rolled_back(self.scripts.roll("blue-green", "strict", "--watch=1h", "--smoke=true"), r"^\d+ of \d+ records were escalated \(100 %, at most 2 %\)$")

    def test_a_canary_takes_back_what_only_some_senders_saw(self):
        self.gateways.releases["errors"] = {**PLANTED, "env": {"FLK_DRIVER": "portable", "FLK_TEST_LIMITS": "deadline=100ms", "FLK_HANG_AT": "LogWritten:60:3000"}}
        self.send()
        last = self.rolled_back(self.scripts.roll("canary", "errors", "--steps=10:1h,50:1h,100:1h"), "answers were errors")
        self.assertEqual([it["percent"] for it in self.scripts.lines() if it["event"] == "step"], [10], last)

    def test_without_traffic_nothing_is_promoted(self):
        self.ended(self.scripts.roll("blue-green", "better", "--watch=1s"), 1)
        self.assertRegex(self.scripts.lines()[-1]["reason"], "only 0 records came, too few to judge by")
        self.assertEqual(self.haproxy.weights(), {"blue": 100, "green": 0})

    def test_a_signal_in_the_middle_brings_the_traffic_back(self):
        self.send()
        running = self.scripts.begin("blue-green", "better", "--watch=60s")
        wait("step", lambda: "step" in self.scripts.events())
        self.assertEqual(end_now(running, signal.SIGTERM), 1)
        last = self.scripts.lines()[-1]
        self.assertEqual((last["event"], last["reason"], last["live"]), ("rolled_back", "interrupted: SIGTERM", "blue"))
        self.assertEqual(self.haproxy.weights(), {"blue": 100, "green": 0})
        self.no_errors()


class NotSwitched(Behind):
    def refused(self, ran, message):
        self.assertRegex(self.ended(ran, 3).stderr, message)

    def test_what_fails_before_traffic_never_gets_any(self):
        self.gateways.releases["broken"] = {"env": {"PCS_SIGN_ALG": "none"}}
        self.gateways.releases["stranger"] = {"env": {"PCS_HMAC_KEY": "a key that no sender has, of 32 bytes"}}
        self.send()
        cases = [
            ("unknown", "the command of --deploy ended with 22"), ("broken", "not healthy after 3 tries"), ("stranger", "the smoke test of http.* ended with 1"),
        ]
        for release, reason in cases:
            with self.subTest(release):
                tries = ["--health-tries=3"] if release == "broken" else []
                self.ended(self.scripts.roll("blue-green", release, *tries), 1)
                last = self.scripts.lines()[-1]
                self.assertEqual(last["event"], "not_switched")
                self.assertRegex(last["reason"], reason)
                self.assertEqual(self.haproxy.weights(), {"blue": 100, "green": 0})
        self.no_errors()

    def test_half_known_states_are_refused_and_nothing_changes(self):
        def roll():
            return self.scripts.roll("blue-green", "better", "--watch=1s")

        self.haproxy.ask("set weight flk/green 5")
        self.refused(roll(), r"both colours take traffic \(blue 95 %, green 5 %\)")
        self.assertEqual(self.haproxy.weights(), {"blue": 100, "green": 5})
        self.haproxy.ask("set weight flk/blue 0; set weight flk/green 0")
        self.refused(roll(), "no server of backend flk has a weight")
        self.haproxy.ask("set weight flk/blue 100; set server flk/green state maint")
        self.refused(roll(), "green is in maintenance")
        self.haproxy.ask("set server flk/green state ready")
        self.refused(self.scripts.roll("blue-green", "better", "--backend=other"), "haproxy has no backend other")
        self.refused(self.scripts.back(), "has no roll-out of haproxy flk: --to COLOUR")
        for line in ('{"balancer": "haproxy flk", "event": "promo', "{}\n", "7\n", '{"balancer": "haproxy flk"}\n'):
            self.scripts.audit.write_text(line)
            self.refused(roll(), "line 1, is no JSON")
        promoted = {"balancer": "haproxy flk", "event": "promoted", "live": "green", "serves": "old", "time": "2026-01-01T00:00:00Z", "reason": "",
                    "rollout": "5520faec6f51", "from": "blue", "from_release": None, "to": "green"}
        for lacking in ("live", "from", "time"):
            self.scripts.audit.write_text(json.dumps({key: value for key, value in promoted.items() if key != lacking}) + "\n")
            for ran in (roll(), self.scripts.back()):
                self.refused(ran, f"line 1, lacks {lacking}: correct or delete that line")
        self.scripts.audit.write_text(json.dumps(promoted) + "\n")
        self.refused(roll(), "haproxy flk gives all traffic to blue, .* says green")
        self.assertEqual(len(self.scripts.lines()), 1)
        self.assertEqual(self.haproxy.weights(), {"blue": 100, "green": 0})
        self.gateways.stop("green")
        self.refused(self.scripts.back("--to=green"), "green cannot take the traffic")
        self.haproxy.end()
        self.refused(roll(), "haproxy does not answer")

    def test_a_way_back_that_cannot_be_kept_is_written_down(self):
        self.scripts.target[1] = f"--server-state-file={self.root}/none/flk.state"
        self.ended(self.scripts.back("--to=green"), 4)
        last = self.scripts.lines()[-1]
        self.assertEqual((last["event"], last["from"]), ("stuck", "green"))
        self.assertRegex(last["reason"], "^the test says so; and the switch to green failed: .*none/flk.state")

    def test_a_roll_out_that_was_killed_is_gone_on_with_or_ended(self):
        self.send()
        arguments = ["--steps=10:60s,100:60s"]
        running = self.scripts.begin("canary", "better", *arguments)
        wait("step", lambda: "step" in self.scripts.events() and self.haproxy.weights()["green"])
        self.refused(self.scripts.roll("canary", "better", *arguments), "another roll-out holds")
        self.assertEqual(end_now(running), -signal.SIGKILL)
        self.refused(self.scripts.roll("canary", "better", *arguments), "has no end in .*rollback.* ends it, `--resume` goes on")
        self.refused(self.scripts.roll("canary", "other", "--resume"), "has no unfinished roll-out of other")
        self.ended(self.scripts.roll("canary", "better", "--resume", "--steps=10:2s,100:1s"), 0)
        events = self.scripts.events()
        self.assertEqual(events, ["started", "healthy", "step", "step", "held", "step", "held", "promoted"])
        self.assertEqual(self.haproxy.weights(), {"blue": 0, "green": 100})

        self.gateways.releases["next"] = {}
        running = self.scripts.begin("canary", "next", *arguments)
        wait("step", lambda: self.scripts.events()[-1] == "step" and self.haproxy.weights()["blue"])
        end_now(running)
        self.ended(self.scripts.back(), 0)
        last = self.scripts.lines()[-1]
        self.assertEqual((last["live"], last["serves"]), ("green", "better"))
        self.assertEqual(self.haproxy.weights(), {"blue": 0, "green": 100})
        self.no_errors()


class Unforeseen(unittest.TestCase):
    """Faults that nothing was written for. Python's own exit code of them, 1, would say that the old release has all traffic."""

    LIMITS = Limits(errors=0, p95_s=1, escalations=0, requests_min=1, every_s=0, timeout_s=1)

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name, "rollout.jsonl")
        # the tests go on to hear signals
        self.unheard = mock.patch("signal.signal")
        self.unheard.start()
        self.addCleanup(self.unheard.stop)

    def rolled(self, **faulty):
        """The exit code of a roll-out by a driver of which some parts are faulty, and its last event."""
        driver = mock.Mock(splits=True, **{"shares.return_value": {"blue": 100, "green": 0}, "urls.return_value": [], "errors.return_value": None})
        driver.name = "driver"
        driver.configure_mock(**{f"{name}.side_effect": how for name, how in faulty.items()})
        options = SimpleNamespace(
            audit=self.path, driver=driver, url={}, release="r", deploy="true", smoke=["true"], steps=[(100, 0)], resume=False, health_tries=1,
            health_every=0, limits=self.LIMITS)

        def act(audit):
            with audit.file:
                return RollOut(driver, audit, options).run()

        with mock.patch("rollout.procedure.wait_ready", return_value=""), contextlib.redirect_stderr(io.StringIO()):
            code = commands.run(act, options, "blue-green")
        lines = self.path.read_text().splitlines()
        return code, json.loads(lines[-1]) if lines else {}

    def test_before_traffic_nothing_is_switched(self):
        code, last = self.rolled(urls=LookupError)
        self.assertEqual((code, last["event"], last["reason"]), (1, "not_switched", "interrupted: LookupError"))

    def test_under_traffic_it_goes_back(self):
        code, last = self.rolled(share=[ArithmeticError, None])
        self.assertEqual((code, last["event"], last["live"], last["reason"]), (1, "rolled_back", "blue", "interrupted: ArithmeticError"))

    def test_on_the_way_back_it_is_stuck(self):
        code, last = self.rolled(share=ArithmeticError("twice"))
        self.assertEqual((code, last["event"]), (4, "stuck"))
        self.assertIn("the way back failed: ArithmeticError: twice", last["reason"])

    def test_anywhere_else_it_may_be_stuck(self):
        self.assertEqual(self.rolled(shares=ArithmeticError("of nobody")), (4, {}))

    def interrupted(self, **faulty):
        """The same with signals that are heard, and the percents that the old release was given."""
        self.unheard.stop()
        before = {it: signal.getsignal(it) for it in SIGNALS}
        try:
            return self.rolled(**faulty)
        finally:
            for it, how in before.items():
                signal.signal(it, how)
            self.unheard.start()

    def test_a_signal_behind_the_last_step_goes_back_and_says_so(self):
        ignore = procedure.deaf

        for share in ([None, None], [ArithmeticError, None]):
            signals = [signal.SIGTERM]

            def late():
                if signals:
                    signal.raise_signal(signals.pop())
                ignore()

            with self.subTest(share), mock.patch("rollout.procedure.deaf", late):
                code, last = self.interrupted(share=share)
                self.assertEqual((code, last["event"], last["live"], last["reason"]), (1, "rolled_back", "blue", "interrupted: SIGTERM"))

    def test_a_second_signal_does_not_end_the_way_back(self):
        def share(colour, _percent):
            if colour == "green":
                # all of them at the same moment
                signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
                for it in SIGNALS:
                    signal.raise_signal(it)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

        code, last = self.interrupted(share=share)
        self.assertEqual((code, last["event"], last["live"]), (1, "rolled_back", "blue"))
        self.assertRegex(last["reason"], "^interrupted: SIG")

    def test_a_release_whose_gateways_are_gone_does_badly(self):
        driver = SimpleNamespace(errors=lambda colour: None)
        watch = Watch(driver, "green", [], self.LIMITS, 0)
        self.assertEqual([watch.look(), watch.look()], ["", "green has no address, 2 times in turn"])


class Typed(unittest.TestCase):
    """Command lines and figures, without a balancer."""

    def test_weights_give_a_colour_its_percentage_whatever_servers_each_has(self):
        self.assertEqual([weights(it, 1, 1) for it in (0, 1, 10, 50, 100)], [(0, 100), (1, 99), (10, 90), (50, 50), (100, 0)])
        for mine in range(1, 9):
            for others in range(1, 9):
                for percent in range(101):
                    one, other = weights(percent, mine, others)
                    self.assertLessEqual(max(one, other), 256)
                    self.assertEqual((one == 0, other == 0), (percent == 0, percent == 100))
                    self.assertLess(abs(100 * mine * one / (mine * one + others * other) - percent), 3, (percent, mine, others))

    def test_wrong_ones_name_what_is_allowed(self):
        with tempfile.TemporaryDirectory() as root:
            scripts = Scripts(root, [], None)
            cases = [
                ("blue-green", ["r"], "say one of --haproxy SOCKET, --service NAME and --virtual-service NAME"),
                ("blue-green", ["r", "--haproxy=/x", "--watch=5"], "5: allowed is a number with ms, s, m or h"),
                ("blue-green", ["r", "--haproxy=/x", "--errors-max=2"], "2: allowed is 0% to 100%"),
                ("blue-green", ["r", "--haproxy=/x", "--url=red=http://a"], "allowed is blue=http"),
                ("canary", ["r", "--haproxy=/x", "--steps=10:1m,5:1m"], "percents have to grow"),
                ("canary", ["r", "--haproxy=/x", "--steps=10"], "allowed is PERCENT:TIME"),
                ("canary", ["r", "--haproxy=/x", "--every=1ms"], "--every is 50ms at least"),
            ]
            for name, arguments, message in cases:
                with self.subTest(arguments):
                    ran = scripts.run(name, *arguments, "--deploy=true")
                    self.assertEqual(ran.returncode, 2, ran.stderr)
                    self.assertIn(message, " ".join(ran.stderr.split()))
            self.assertEqual(scripts.lines(), [])

    def test_shell_scripts_have_nothing_to_mend(self):
        shell = [it for it in balanced.SCRIPTS.iterdir() if it.is_file() and re.match(rb"#!/bin/(ba)?sh", it.read_bytes())]
        self.assertTrue(shell)
        ran = subprocess.run([balanced.SHELLCHECK, "--severity=style", *shell], capture_output=True, text=True)
        self.assertEqual(ran.returncode, 0, ran.stdout)

    def test_smoke_says_what_is_wrong(self):
        smoke = balanced.SCRIPTS / "smoke"
        cases = [
            ([], 2, "which gateway"), (["localhost"], 2, "no address"), (["https://localhost"], 2, "no TLS"), (["--tries", "x", "http://a"], 2, "--tries is a number"),
            (["--tries", "1", f"http://127.0.0.1:{pod.free_port()}"], 1, "/readyz"),
        ]
        for arguments, code, message in cases:
            with self.subTest(arguments):
                ran = subprocess.run([smoke, *arguments], env={"PATH": "/usr/bin:/bin", "FLK": str(pod.BIN / "flk")}, capture_output=True, text=True)
                self.assertEqual(ran.returncode, code, ran.stderr)
                self.assertIn(message, ran.stderr)
        for option in ("-h", "--help"):
            ran = subprocess.run([smoke, option], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
            self.assertEqual((ran.returncode, ran.stderr), (0, ""))
            self.assertIn("usage: smoke", ran.stdout)


if __name__ == "__main__":
    unittest.main()
