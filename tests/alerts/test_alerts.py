"""Every alert that a fault can cause is seen to fire and to resolve where a person would be told: real gateways, a real Prometheus with the
rules in shorter times, a real Alertmanager, and this test as its receiver. docs/testing.md has a table of all alerts; it is compared here."""

import concurrent.futures
import os
import re
import tempfile
import threading
import time
import traceback
import unittest
from pathlib import Path

import chart
import of_configuration
import of_disks  # noqa: F401 (its faults are in the list)
import of_processes  # noqa: F401
import of_records  # noqa: F401
import rules
import runbooks
import shorter
import watch
from faults import FAULTS, provoked
from place import Place, Stock

# Faults at a time: they mostly wait.
AT_A_TIME = 8
# Those that take longest begin first, the others as they stand in their files.
FIRST = ("the_share_of_duplicates_is_another_one", "the_log_has_less_room_than_its_age_needs", "a_disk_becomes_slow", 
         "a_key_is_replaced_while_control_is_away_and_the_gateway_restarts")
SECONDS_MAX = 240


class Shorter(unittest.TestCase):
    """What Prometheus evaluates here are the rules of production with other times, and with nothing else changed."""

    def test_only_times_are_others(self):
        def none(_):
            return "-"

        before, after = rules.groups(), shorter.shortened(rules.groups())
        self.assertNotEqual(before, after)
        self.assertEqual(shorter.with_times(before, none), shorter.with_times(after, none))

    def test_every_time_is_shorter_and_a_longer_one_stays_longer(self):
        found = shorter.times(rules.groups())
        self.assertGreater(len(found), 80)
        for text in found:
            self.assertLess(shorter.shorter_s(shorter.seconds(text)), shorter.seconds(text), text)
        in_order = sorted(set(found), key=shorter.seconds)
        shorter_ms = [int(shorter.shorter(it).removesuffix("ms")) for it in in_order]
        self.assertEqual(sorted(set(shorter_ms)), shorter_ms, in_order)

    def test_a_change_of_a_limit_would_be_seen(self):
        def none(_):
            return "-"

        changed = rules.groups()
        changed[1]["rules"][0]["expr"] = changed[1]["rules"][0]["expr"].replace("0.02", "0.01")
        self.assertNotEqual(shorter.with_times(rules.groups(), none), shorter.with_times(changed, none))


class Table(unittest.TestCase):
    """docs/testing.md says of every alert how it was seen to fire."""

    def rows(self):
        text = (chart.ROOT / "docs/testing.md").read_text()
        rows = re.findall(r"(?m)^\| `(FLK\w+)` \| (.+?) \|$", text.split("### Alerts, end to end")[1].split("\n## ")[0])
        self.assertEqual(len(rows), len(dict(rows)), "an alert stands there twice")
        return dict(rows)

    def test_it_has_the_alerts_of_the_rules_in_their_order(self):
        self.assertEqual(list(self.rows()), [it["alert"] for it in rules.alerts()])

    def test_it_says_end_to_end_of_those_that_a_fault_causes_here(self):
        expected = {name: "end to end: " + "; ".join(sentences) for name, sentences in provoked().items()}
        self.assertEqual({name: how for name, how in self.rows().items() if how.startswith("end to end")}, expected)

    def test_it_gives_a_reason_for_all_others(self):
        for name, how in self.rows().items():
            if not how.startswith("end to end: "):
                self.assertRegex(how, r"^promtool only, because .{20,}", name)


class Pages(unittest.TestCase):
    """Each runbook says at its top which test brings a gateway into its state, or that none does."""

    def test_each_page_is_of_one_kind(self):
        here = {runbooks.page_of(it) for it in provoked()}
        for path in sorted(runbooks.PAGES.glob("*.md")):
            text = runbooks.head(path.name)
            kinds = [it for it in (runbooks.MADE_HERE, runbooks.MADE_ELSEWHERE, runbooks.NOT_MADE) if it in text]
            self.assertEqual(len(kinds), 1, f"{path.name}: {kinds}")
            if path.name not in here:
                self.assertNotIn(runbooks.MADE_HERE, kinds, path.name)

    def test_each_page_whose_state_is_made_has_commands(self):
        for path in runbooks.PAGES.glob("*.md"):
            if runbooks.NOT_MADE not in runbooks.head(path.name):
                self.assertGreater(len(runbooks.steps(path.name, "Diagnosis")), 0, path.name)

    def test_those_of_the_command_line_are_followed_there(self):
        test = (chart.ROOT / "cli/tests/runbooks.rs").read_text()
        for path in runbooks.PAGES.glob("*.md"):
            if runbooks.MADE_ELSEWHERE in runbooks.head(path.name):
                self.assertIn(f'follow("{path.name}"', test)


class Fired(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("threads of other processes are stopped and disks are mounted, which only root may")
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.root = Path(directory.name)
        cls.began = time.monotonic()
        cls.certificates, authorities = of_configuration.make_certificates(cls.root)
        cls.stock = Stock()
        cls.receiver = watch.Receiver()
        cls.addClassCleanup(cls.receiver.server.end)
        cls.alertmanager = watch.Alertmanager(cls, cls.root, cls.receiver)
        cls.prometheus = watch.Prometheus(cls, cls.root / "prometheus", cls.alertmanager, watch.blackbox(cls, cls.root, authorities))
        wanted = os.environ.get("FLK_FAULTS", "").split()
        chosen = [it for it in FAULTS if not wanted or it.name in wanted]
        chosen.sort(key=lambda it: it.name not in FIRST)
        cls.ends = {}
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            running = {it.name: pool.submit(cls.make, it) for it in chosen}
            cls.ends = {name: it.result() for name, it in running.items()}
        cls.took_s = time.monotonic() - cls.began

    @classmethod
    def another_prometheus(cls):
        return watch.Prometheus(cls, cls.root / f"prometheus-{threading.get_ident()}", cls.alertmanager)

    @classmethod
    def make(cls, fault):
        """Makes a fault and takes it away; what went wrong, or the place with its times."""
        place = Place(cls.prometheus, cls.receiver, cls.root / fault.name, fault.name.replace("_", "-"))
        place.stock, place.certificates, place.another_prometheus = cls.stock, cls.certificates, cls.another_prometheus
        begun = time.monotonic()
        try:
            fault.make(place)
        except Exception:  # of any kind: the other faults are looked at, too
            return f"{traceback.format_exc()}\n{place.logs()}", place
        finally:
            place.end()
            place.took_s = time.monotonic() - begun
        return None, place

    def test_every_fault_causes_its_alerts_and_they_resolve_without_it(self):
        by_name = {it.name: it for it in FAULTS}
        for name, (wrong, place) in self.ends.items():
            with self.subTest(name):
                self.assertIsNone(wrong, wrong)
                self.assertEqual(set(place.fired), set(by_name[name].alerts))
                self.assertEqual(set(place.resolved), set(by_name[name].alerts))
                for alert in place.fired:
                    self.assertLess(place.since, place.fired[alert], alert)
                    self.assertLess(place.fired[alert], place.resolved[alert], alert)
                times = ", ".join(f"{it} {place.fired[it] - place.since:.0f} s, {place.resolved[it] - place.since:.0f} s" for it in place.fired)
                print(f"    {by_name[name].sentence} ({place.took_s:.0f} s): {times}")

    def test_the_page_of_every_alert_was_followed(self):
        followed = {}
        for name, (_, place) in self.ends.items():
            for alert in {it for fault in FAULTS if fault.name == name for it in fault.alerts}:
                page = runbooks.page_of(alert)
                if runbooks.MADE_HERE in runbooks.head(page):
                    self.assertGreater(place.followed.get((page, "Diagnosis"), 0), 0, f"{name}: {page}")
                    self.assertIn((page, "Validation"), place.followed, f"{name}: {page}")
                    followed[page] = followed.get(page, 0) + 1
        print("    pages: " + ", ".join(f"{page} {count}" for page, count in sorted(followed.items())))

    def test_it_takes_four_minutes_at_most(self):
        self.assertLess(self.took_s, SECONDS_MAX)


if __name__ == "__main__":
    unittest.main()
