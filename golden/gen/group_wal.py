"""wal/* and vectors/wal.json: log directories, what a reader must find in them, and what damage must look like.

Checks every hand-written expectation against the independent reader before it is written down.
"""

from . import number_text, records, slice_bytes, wal, wal_manifests, wal_packed, wal_read, wal_variants
from . import wal_bytes as raw
from .wal_manifests import as_read, shown

BYTES_MAX = 700 << 10
TORN_OR_WHOLE = {"torn", "whole"}


def read_of(directory, files, log):
    """(verdict, reader) of one log of a directory with these files."""
    entry = next(it for it in directory.manifest["logs"] if it["log"] == log)
    data = [_segment(files, it) for it in entry["segments"]]
    erased = {(at, index) for of, at, index in wal_read.erasures(data) if of == log}
    reader = wal_read.Reader(directory.manifest, entry, data, erased)
    return reader.read(), reader


def _segment(files, entry):
    """The bytes of a segment, packed or not."""
    data = files["segment-%016x.wal" % entry["file"]]
    return wal_packed.unpacked(data, entry["packed"], entry["bytes"]) if "packed" in entry else data


def _log(directory, log, unused=(), torn=None):
    """What a reader finds of a log; the reader of this package must find the same."""
    one = directory.logs[log]
    found, reader = read_of(directory, directory.files, log)
    wanted = {"verdict": "torn" if torn else "whole", "last": one.at} | (torn or {})
    assert found == wanted, (log, found, wanted)
    counted = [(it["ordinal"], it["offset"], it["sequence"]) for it in one.counted]
    assert reader.counted == counted, (log, reader.counted, counted)
    return {"log": list(log), **wanted, "batches": one.counted, "unused_segments": list(unused)}


def _rows(directory):
    batches = [(log, batch) for log, one in directory.logs.items() for batch in one.counted + getattr(one, "sealed", [])]
    return [(log, batch["sequence"], row) for log, batch in batches for row in batch["records"]]


def _outcomes(directory, now):
    """The fold: which decision stands for each key, and what a duplicate is answered at a time."""
    by_key, standing, two = {}, {}, []
    for row in [row for _, _, row in _rows(directory) if row["kind"] == "decision"]:
        by_key.setdefault(wal.key_of(row), []).append(row)
    for key, rows in by_key.items():
        standing[key], ignored = slice_bytes.fold(rows)
        two += [{"key": key, "first_decided_at": first["decided_at"], "second_decided_at": row["decided_at"]}
                for first, row in ignored]
    bodies = {wal.decision(case.name, 0, 0)["pcs_id"]: case.name for case in records.all_cases()
              if case.status in (200, 202) and case.keys == ("testsecret",) and case.scheme == records.HMAC}
    bodies |= {wal.decision(name, 0, 0)["pcs_id"]: name for name in ("same_id_first",)}
    out = []
    for key in sorted(standing):
        row = standing[key]
        out.append({"key": key, "tenant": row["tenant"], "pcs_id": row["pcs_id"], "decided_at": row["decided_at"],
                    "expiry": row["expiry"], "alive": row["expiry"] > now, "file": "records/%s.json" % bodies[row["pcs_id"]],
                    "status": 202 if row["reason"] else 200, "outcome": wal.outcome_text(row)})
    return out, two


def _open_bodies(directory):
    """Bodies that have no fate: in an ended log they are unanswered."""
    fated = {(log, *row["of"]) for log, _, row in _rows(directory) if "of" in row}
    return [{"log": list(log), "sequence": at, "index": row["index"]}
            for log, at, row in _rows(directory) if row["kind"] == "body" and (log, at, row["index"]) not in fated]


def _agrees(found, wanted, wants_last):
    for name, value in wanted.items():
        if name in ("log", "start") or name == "last" and not wants_last:
            continue
        if name == "verdict" and value == "torn_or_whole":
            if found["verdict"] not in TORN_OR_WHOLE:
                return False
        elif name not in found and name != "durable_upto" or name in found and value is not None and found[name] != value:
            return False
    return True


def _variants(directory, them):
    out = []
    base = {log: read_of(directory, directory.files, log)[0] for log in directory.logs}
    for name, about, edits, wanted in them:
        files = wal_variants.apply(directory.files, edits)
        assert files != directory.files, name
        for log in directory.logs:
            found, _ = read_of(directory, files, log)
            if list(log) == wanted["log"]:
                assert _agrees(found, wanted, "last" in wanted), (name, found, wanted)
            else:
                assert found == base[log], (name, log, found)
        out.append({"name": name, "about": about, "edits": edits, "expect": wanted})
    assert len({row["name"] for row in out}) == len(out)
    return out


def _directory(directory, **logs):
    now = max(batch["expiry_clock"] for one in directory.logs.values() for batch in one.counted)
    outcomes, two = _outcomes(directory, now)
    found = [_log(directory, log, **logs.get("l%d_%d" % log, {})) for log in directory.logs]
    return {"path": "wal/" + directory.name, "expiry_clock": now, "manifest": shown(as_read(directory.manifest)),
            "files": {name: len(data) for name, data in sorted(directory.files.items())}, "logs": found,
            "outcomes": outcomes, "two_outcomes": two, "bodies_without_fate": _open_bodies(directory)}


def _never_decided():
    """Bodies that are in the directory, or look as if, and have no outcome."""
    rows = (("coh_star_at_tolerance", "its fate is unanswered"), ("depth_32", "it has no fate"),
            ("version_minor", "its batch is torn"), ("coh_star_zero", "only an earlier life of a file decided it"),
            ("attempt_large", "another tenant's"), ("seed_min", "its outcome has expired"))
    return [{"file": "records/%s.json" % name, "why": why} for name, why in rows]


def _exact(value):
    """Every double by its bits, so that no reader of JSON changes one."""
    if isinstance(value, float):
        return number_text.bits(value)
    if isinstance(value, dict):
        return {name: _exact(one) for name, one in value.items()}
    return [_exact(one) for one in value] if isinstance(value, (list, tuple)) else value


def _slice(sealed):
    names = ("tenant", "pcs_id", "digest", "numbers", "decided_at", "expiry", "params", "reason", "regime", "encoding",
             "origin")
    rows = [{name: row[name] for name in names} | {"key": "%032x" % row["key"]} for row in sealed.slice.entries]
    return {"file": "slice-%016x.flk" % 4, "params": sealed.slice.params, "entries": rows}


def _of_form(form):
    """The directories of a version, and what the index has of them."""
    whole, sealed = wal.whole(form), wal.with_slice(form)
    shown_whole = _directory(whole, l3_0={"unused": []}, l3_1={"unused": [1], "torn": {"ordinal": 0, "offset": 5 * raw.BLOCK}},
                             l3_2={"unused": [0]})
    shown_whole |= {"never_decided": _never_decided(), "variants": _variants(whole, wal_variants.all_of(whole)), "start_variants": [
        {"name": name, "about": about, "edits": edits, "expect": {"start": code}}
        for name, about, edits, code in wal_variants.starts(whole)]}
    shown_sealed = _directory(sealed) | {"slice": _slice(sealed)}
    return (whole, sealed), {whole.name: shown_whole, sealed.name: shown_sealed,
                             "manifests_" + form.name: wal_manifests.vectors(form)}


def add(tree):
    """Adds the group to the tree."""
    index = {"codes": {"reasons": {name or "accepted": code for name, code in wal.REASONS.items()}, "regimes": wal.REGIMES,
                       "problems": wal.CODES},
             "secret": {"id": wal.SECRET_ID.hex(), "key": wal.SECRET_KEY.hex()}, "secrets": wal_manifests.secrets()}
    size = 0
    for form in (wal.V1, wal.V2):
        directories, shown_form = _of_form(form)
        index |= shown_form
        if form is wal.V2:
            packed = wal_packed.directory(form)
            directories += (packed,)
            index |= {packed.name: _directory(packed) | {"variants": _variants(packed, wal_packed.variants(packed))}}
        for directory in directories:
            for name, data in sorted(directory.files.items()):
                tree.add("wal/%s/%s" % (directory.name, name), data)
                size += len(data)
    assert size <= BYTES_MAX, size
    tree.add_json("vectors/wal.json", _exact(index))
