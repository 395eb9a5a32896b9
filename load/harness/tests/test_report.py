"""The page of a run says what was broken, and whether the generator was the limit."""

import unittest

from harness import report, watch


def run(**changed):
    found = {
        "scenario": "spike",
        "command": "make load SCENARIO=spike",
        "verdict": "**Passed.**",
        "seconds": 10.0,
        "generator_cpus": [1],
        "generator_share": 0.5,
        "generator_memory_bytes": 300 * watch.MIB,
        "gateway_cpus": [0],
        "flush": "unknown",
        "watch": {"cpu_s": 2.0, "rss_bytes": [50 * watch.MIB, 60 * watch.MIB], "slope": (0.1, None)},
        "summary": {
            "metrics": {"iterations": {"count": 50_000}, "http_req_duration": {"med": 1.0, "p(95)": 2.5, "p(99)": 9.0}},
            "gates": [
                {"level": "published", "gate": "a<1", "measured": 2, "holds": False, "decides": True},
                {"level": "own", "gate": "b<1", "measured": 2, "holds": False, "decides": False},
                {"level": "own", "gate": "c<1", "measured": 0, "holds": True, "decides": False},
            ],
        },
    }
    return {**found, **changed}


class Pages(unittest.TestCase):
    def test_figures_are_those_of_the_run(self):
        page = report.page(run(), [("CPU", "one")])
        for text in ("50000 in 10.0 s, 5000 per second", "1.00 ms, 2.50 ms, 9.00 ms", "2.00 s on CPU 0, 40.0 µs per request"):
            self.assertIn(text, page)
        self.assertIn("50 MiB at the start, 60 MiB at most", page)
        self.assertIn("| memory of the generator | 300 MiB at most |", page)
        self.assertIn("| CPU | one |", page)

    def test_a_gate_that_decides_is_broken_and_another_would_not_hold(self):
        page = report.page(run(), [])
        self.assertIn("| published | `a<1` | 2 | **BROKEN** |", page)
        self.assertIn("| own | `b<1` | 2 | would not hold |", page)
        self.assertIn("| own | `c<1` | 0 | holds |", page)

    def test_a_busy_generator_is_said_to_be_the_limit(self):
        self.assertNotIn("it was the limit", report.page(run(), []))
        self.assertIn("it was the limit", report.page(run(generator_share=0.95), []))

    def test_a_gateway_of_somebody_else_has_no_figures(self):
        found = run()
        del found["watch"]
        self.assertIn("not started by this run", report.page(found, []))

    def test_a_leak_is_said_to_be_broken(self):
        found = run()
        found["watch"]["slope"] = (3.0, False)
        self.assertIn("3.000 MiB a minute (**BROKEN**)", report.page(found, []))


if __name__ == "__main__":
    unittest.main()
