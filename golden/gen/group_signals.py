"""events/*.csv and vectors/signals.json: event streams and every number that follows from them.

Owns the sample streams.  Checks that no expectation hangs on the last bits of a machine's
cosine or logarithm before it is written down.
"""

import math

from . import build, canonical, judge, keyring, signals, steady
from .number_text import shortest
from .splitmix import SplitMix64

_DIRECTION_MARGIN = 1e-6  # of a ninth decimal; libm implementations differ by far less
_SCALES = [2, 4, 8, 16, 32]


def _gauss(generator):
    """A roughly normal number: the sum of twelve uniforms."""
    return sum(generator.uniform() for _ in range(12)) - 6.0


def _sample(rows=300):
    """A sensor drifting along a slanted line: slow, noisy, a short pause and a jump."""
    generator = SplitMix64(2026)
    t, along, out = 1736937000.0, 0.0, []
    for n in range(rows):
        t += 0.25 if n != 120 else 14.5
        along += 0.012 + 0.004 * _gauss(generator)
        if n == 210:
            along += 0.8
        noise = [0.006 * _gauss(generator) for _ in range(3)]
        x, y, z = 0.8 * along + noise[0], -0.35 * along + noise[1], 0.48 * along + noise[2]
        out.append(("%.3f" % t, "%.4f" % x, "%.4f" % y, "%.4f" % z))
    return out


def _cube(rows, seed, places=3):
    generator = SplitMix64(seed)
    return [("%d" % n, *("%.*f" % (places, generator.uniform()) for _ in range(3))) for n in range(rows)]


def _plane(rows, seed):
    generator = SplitMix64(seed)
    return [("%.2f" % (n / 100), "%.3f" % generator.uniform(), "%.3f" % generator.uniform(), "0.5") for n in range(rows)]


# name -> (about, rows, seed of the record, scales)
STREAMS = {
    "sample": ("what a newcomer builds first: 300 readings of a drifting sensor", _sample(), 42, _SCALES),
    "cube": ("points all over a cube: non_sticky", _cube(800, 5), 7, [2, 3, 4, 6, 8]),
    "plane": ("points on a plane across z", _plane(300, 6), -1, _SCALES),
    "one_place": ("every point in one place: coh_star 1.0", [(str(n), "0.25", "-1.5", "3") for n in range(40)], 42, _SCALES),
    "nearly_one_place": ("spread just under 1e-9", [("0", "0.5", "0.5", "0.5"), ("1", "0.5000000001", "0.5", "0.5")], 1, [2, 4]),
    "one_row": ("one event", [("0.1", "1", "2", "3")], 42, [2, 4]),
    "two_rows": ("two events: every direction keeps half of them together at least", [("0", "0", "0", "0"), ("1", "1", "1", "1")], 42, [2, 4]),
    "empty": ("no event at all: r 1.0, 64 zeros, coh_star 1.0, first direction", [], 42, _SCALES),
    "as_written": (
        "coordinates keep their spelling in raw; t gets nine decimals of its exact binary value",
        [("0.1", "1.50", "-0.0", "1e-3"), ("1e3", "+2", "1E2", ".5"), ("1736937000.1234567", "00.10", "-7.", "3"),
         ("0.0000000005", "0.1", "0.2", "0.3"), ("0.0000000015", "-0", "0", "0")],
        -(2**63), [1, 2, 3],
    ),
    "negative_cells": ("floor, not truncation: -0.1 and 0.1 are two cells",
                       [("0", "-0.1", "0.1", "0"), ("1", "0.1", "0.1", "0"), ("2", "-0.5", "0.1", "0"), ("3", "-0.6", "0.1", "0")],
                       2**63 - 1, [1, 2]),
    "leaves_1": ("64 bytes of raw: one leaf is its own root", [("0", "0." + "1" * 22, "0." + "2" * 22, "33")], 0, [1, 2]),
    "leaves_2": ("65 bytes of raw: two leaves", [("0", "0." + "1" * 22, "0." + "2" * 22, "333")], 0, [1, 2]),
    "leaves_3": ("three leaves: the odd one is paired with itself", [(str(n), "%d.125" % n, "0.5", "0.25") for n in range(6)], 3, [1, 2, 4]),
    "leaves_5": ("five leaves: odd on two levels", [(str(n), "%d.125" % n, "0.5", "0.25") for n in range(11)], 3, [1, 2, 4]),
    "huge_coordinates": ("cells beyond any 64-bit integer stay distinct",
                         [("0", "1e20", "-1e20", "0"), ("1", "2e20", "-1e20", "0"), ("2", "3e20", "1e20", "0")], 4, [1, 2]),
    "last_bin_edge": ("the largest projection belongs to the last bin, not behind it",
                      [(str(n), str(n), "0", "0") for n in range(21)], 11, [1, 2]),
}


def csv(rows) -> bytes:
    """Header and rows, each line ended by a newline."""
    return ("t,x,y,z\n" + "".join(",".join(row) + "\n" for row in rows)).encode("ascii")


def _record(name, seed, scales, raw, counts, coh, v):
    """The whole record that a builder makes of the stream, signed with `testsecret`."""
    fields = build.record(
        "unused", shard_id="events/" + name, epoch=1736937000, seed=seed, scales=scales,
        N_j={str(s): counts[s] for s in scales}, coh_star=coh, v_star=list(v), r=signals.r_ratio(raw),
        merkle_root=signals.merkle_root(raw),
        ft={"outbox_seq": 0, "degraded": False, "fallbacks": [], "clock_skew_ms": 0},
    )
    body = build.write(fields)
    answer = judge.judge(body, keyring.HMAC, ("testsecret",))
    assert answer.status == 200, (name, answer)
    return body


def _entry(name, about, rows, seed, scales):
    raw = signals.raw_rows(rows)
    points = [tuple(float(c) for c in row[1:]) for row in rows]
    near_half = []
    coh, v = signals.coherence(points, seed, near_half)
    assert min(near_half) > _DIRECTION_MARGIN, name
    counts = {s: signals.cells(points, s) for s in scales}
    d = signals.d_hat(scales, counts)
    assert d == steady.d_hat(scales, counts), name
    r = signals.r_ratio(raw)
    entry = {
        "name": name, "file": "events/%s.csv" % name, "about": about, "seed": seed, "scales": scales,
        "directions": signals.DIRECTIONS, "bins": signals.BINS,
        "rows": len(rows), "raw": raw.decode("ascii"), "merkle_root": signals.merkle_root(raw),
        "compressed_len": signals.compressed_len(raw) if raw else None, "r": shortest(r),
        "N_j": {str(s): counts[s] for s in scales}, "D_hat": shortest(d),
        "coh_star": shortest(coh), "v_star": [shortest(c) for c in v],
        "regime": signals.regime(d, coh), "budget": shortest(signals.budget(d, r, coh)),
        "pcs_id": canonical.pcs_id(signals.merkle_root(raw), 1736937000, "events/" + name),
    }
    return entry, _record(name, seed, scales, raw, counts, coh, v) if rows else None


def _directions():
    """The first directions of some seeds: the generator and the rounding, without any points."""
    out = []
    for seed in (0, 1, 42, -1, -(2**63), 2**63 - 1):
        words, generator = SplitMix64(seed), SplitMix64(seed)
        near_half = []
        out.append({
            "seed": seed,
            "words": ["%016x" % words.next() for _ in range(4)],
            "directions": [[shortest(c) for c in signals.direction(generator, near_half)] for _ in range(4)],
        })
        assert min(near_half) > _DIRECTION_MARGIN
    return out


def _theil_sen():
    """Scales and counts with their slope; each must hold in 60 digits too."""
    generator = SplitMix64(77)
    rows = [([2, 4, 8, 16], [4, 5, 30, 31]), ([8, 2, 4], [26, 4, 10]), ([1, 3], [1, 27]), ([1, 2**31 - 1], [1, 2**53 - 1])]
    for size in (2, 3, 4, 5, 6, 7, 8, 12, 20, 64):
        for _ in range(2):
            scales = []
            while len(scales) < size:
                scale = 1 + generator.next() % 5000
                if scale not in scales:
                    scales.append(scale)
            rows.append((scales, [1 + generator.next() % (s * s) for s in scales]))
    out = []
    for scales, counts in rows:
        by_scale = dict(zip(scales, counts))
        d = signals.d_hat(scales, by_scale)
        assert d == steady.d_hat(scales, by_scale), scales
        out.append({"scales": scales, "N_j": counts, "D_hat": shortest(d)})
    out.append({"scales": [2147483646, 2147483647], "N_j": [5, 9], "D_hat": "0.0"})
    return out


def _judgements():
    """Regime and budget on a grid around every threshold."""
    out = []
    for d in (-1.0, 0.0, 1.5, math.nextafter(1.5, 2), 2.2, 2.5999999999999996, 2.6, 3.0):
        for coh in (-0.5, 0.0, 0.6999999999999999, 0.7, 1.0, 1.05):
            for r in (0.0, 0.123456789, 1.0, 2.5):
                out.append({"D_hat": shortest(d), "coh_star": shortest(coh), "r": shortest(r),
                            "regime": signals.regime(d, coh), "budget": shortest(signals.budget(d, r, coh))})
    return out


def add(tree):
    """Adds the group to the tree."""
    entries = []
    for name, (about, rows, seed, scales) in STREAMS.items():
        tree.add("events/%s.csv" % name, csv(rows))
        entry, body = _entry(name, about, rows, seed, scales)
        entries.append(entry)
        if body:
            entry["record_file"] = "events/%s.pcs.json" % name
            tree.add(entry["record_file"], body)
    for number, leaves in (("1", 1), ("2", 2), ("3", 3), ("5", 5)):
        raw = signals.raw_rows(STREAMS["leaves_" + number][1])
        assert -(-len(raw) // signals.CHUNK_BYTES) == leaves, (number, len(raw))
    assert min(abs(math.log2(n) - math.log2(n - 1)) for n in (2**31 - 1,)) < signals.SLOPE_DX_MIN
    tree.add_json("vectors/signals.json", {
        "streams": entries, "directions": _directions(), "theil_sen": _theil_sen(), "judgements": _judgements(),
    })
