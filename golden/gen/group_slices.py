"""wal/v2_slices/* and vectors/slices.json: sealed slices of format 2 with decisions of several nodes, and what stands of them.

Owns what happened.  The bytes are spelt by slice_bytes.
"""

from . import number_text, siphash, slice_bytes, wal
from . import wal_bytes as raw

GROUP = siphash.siphash128(bytes(16), b"golden group")
TIME = 28_000_000
TTL = wal.TTL


def _decision(name, after, origin, expiry=None, **more):
    at = TIME + after
    return wal.decision(name, 0, at, expiry=expiry, origin=origin, **more)


def _older():
    """What was sealed first."""
    return [
        _decision("pcs_tiny_case_1", 0, 1),
        _decision("sticky", 10, 2),
        _decision("mixed", 20, 0, expiry=TIME + 1_000),
        _decision("escalated_degraded", 4_000, 1),
        _decision("non_sticky", 4_100, 255),
        _decision("escalated_budget", 4_200, 1, params="2026-01.b"),
    ]


def _newer():
    """What was sealed then: of three ids something else than before."""
    earlier = _decision("pcs_tiny_case_1", -5, 3)
    earlier["digest"] = "ff" * 32
    return [
        earlier,
        _decision("sticky", 10, 1, expiry=TIME + TTL + 60),
        _decision("mixed", 1_000, 2),
        _decision("non_sticky", 4_100, 255),
        _decision("escalated_d_hat", 8_000, 0),
    ]


def _shown_entry(row):
    names = ("tenant", "pcs_id", "digest", "numbers", "decided_at", "expiry", "params", "reason", "regime", "encoding", "origin")
    out = {name: row[name] for name in names} | {"key": "%032x" % row["key"]}
    return out | {"numbers": [number_text.bits(it) for it in row["numbers"]]}


def _shown_digests(entries):
    return [{"partition": partition, "class": tenants, "hour": hour, "count": count, "digest": "%032x" % total}
            for (partition, tenants, hour), (count, total) in sorted(slice_bytes.digests(entries).items())]


def _slice(ident, rows, upto):
    return slice_bytes.Slice(ident, 7, GROUP, wal.INCARNATION, wal.SECRET_ID, wal.SECRET_KEY, rows, [((2, 1), upto)], version=2)


def add(tree):
    """Adds the group to the tree."""
    slices = [_slice(0x51CE_0000_0000_0002, _older(), raw.sequence(2, 5)), _slice(0x51CE_0000_0000_0003, _newer(), raw.sequence(2, 9))]
    shown = []
    for number, one in enumerate(slices, 1):
        name = "slice-%016x.flk" % number
        tree.add("wal/v2_slices/" + name, one.bytes)
        shown.append({
            "file": name, "id": "%016x" % one.ident, "generation": 7, "covers": [{"log": [2, 1], "upto": one.covers[0][1]}],
            "params": one.params, "entries": [_shown_entry(row) for row in one.entries], "digests": _shown_digests(one.entries)})
    by_key, outcomes = {}, []
    for row in [row for one in slices for row in one.entries]:
        by_key.setdefault(row["key"], []).append(row)
    for key in sorted(by_key):
        standing, ignored = slice_bytes.fold(by_key[key])
        outcomes.append({"key": "%032x" % key, "decided_at": standing["decided_at"], "origin": standing["origin"],
                         "digest_tag": standing["digest"][:16], "expiry": standing["expiry"], "ignored": len(ignored)})
    tree.add_json("vectors/slices.json", {
        "path": "wal/v2_slices", "digest_key": slice_bytes.DIGEST_KEY.hex(), "installation": GROUP.hex(),
        "incarnation": wal.INCARNATION.hex(), "secret": wal.SECRET_ID.hex(), "slices": shown, "outcomes": outcomes})
