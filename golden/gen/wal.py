"""The log directories wal/v1 and wal/v2 and those with a slice, wal/v1_sealed and wal/v2_sealed: their story, told batch by batch.

It is one story; what differs by the version of the format is in a Form.

Owns what happened in them and what a reader must find.  The bytes are spelt by wal_bytes and slice_bytes.
"""

import dataclasses
import hashlib
import hmac

from . import canonical, judge, keyring, records, signals, siphash, slice_bytes, verdict
from . import wal_bytes as raw
from .wal_writer import Form, Log

INSTALLATION = hashlib.sha256(b"golden wal installation").digest()[:16]
NODE = hashlib.sha256(b"golden wal node").digest()[:16]
INCARNATION = hashlib.sha256(b"golden wal incarnation").digest()[:16]
SECRET_ID = hashlib.sha256(b"golden wal secret id").digest()[:16]
SECRET_KEY = bytes.fromhex("f0e1d2c3b4a5968778695a4b3c2d1e0f")

V1 = Form("v1", 1, INSTALLATION)
V2 = Form("v2", 2, SECRET_ID, ((1, NODE), (2, SECRET_ID), (3, b"eu-west")))
LATER_SECTION = (77, 1, b"of a later version")

REASONS = {None: 0, "d_hat_out_of_tolerance": 1, "coh_star_out_of_bounds": 2, "regime_mismatch": 3, "budget_deviation": 4,
           "degraded": 5}
REGIMES = {"sticky": 1, "mixed": 2, "non_sticky": 3}
CODES = {"signature_invalid": 60, "malformed_json": 80, "missing_field": 81, "invalid_field": 82, "unsupported_schema": 83,
         "unsupported_version": 84, "pcs_id_mismatch": 85}

NOW = 1_000_000
TTL = 1_209_600
WALL = 1_768_473_000_000_000


def clock(second: int):
    """(expiry clock, wall clock) of a turn."""
    return second, WALL + (second - NOW) * 1_000_000 + 250_000


def key_id(scheme: str, key: str) -> str:
    """The short name of an HMAC key under a scheme."""
    label = b"flk key id 1\0" + scheme.encode()
    return hmac.new(keyring.HMAC_KEYS[key][0].encode(), label, hashlib.sha256).digest()[:8].hex()


def _case(name):
    return next(case for case in records.all_cases() if case.name == name)


def body(name, tenant="default", snapshot=1, **more):
    """The body of a golden record."""
    return {"kind": "body", "body": _case(name).body, "tenant": tenant, "snapshot": snapshot, **more}


def decision(name, of, decided_at, expiry=None, tenant="default", params="1", **more):
    """What the gateway decided on a golden record."""
    case = _case(name)
    answer = judge.judge(case.body, case.scheme, case.keys)
    assert answer.verdict, name
    record, found = answer.record, answer.verdict
    return {
        "kind": "decision", "of": of, "tenant": tenant, "pcs_id": record.pcs_id,
        "digest": canonical.digest(canonical.payload(record, canonical.SHORTEST)).hex(),
        "key_id": key_id(case.scheme, case.keys[-1]), "params": params, "decided_at": decided_at,
        "expiry": decided_at + TTL if expiry is None else expiry, "encoding": 1, "reason": REASONS[found.reason],
        "regime": REGIMES[found.regime],
        "numbers": [record.d_hat, found.recomputed_d_hat, record.budget, found.recomputed_budget], "origin": 0, **more,
    }


def refused(name, of):
    """The refusal of a golden record."""
    case = _case(name)
    return {"kind": "refused", "of": of, "status": case.status, "code": CODES[case.code]}


def fate(kind, of, line=0):
    """Duplicate, conflict or unanswered."""
    return {"kind": kind, "of": of, "line": line}


def decided(names, at):
    """Bodies and their decisions, as one turn logs them."""
    return [body(name) for name in names] + [decision(name, index, at) for index, name in enumerate(names)]


MARK = []


def _earlier_life(form, blocks):
    """A file in an earlier life: a whole segment of a log of start 1, with tempting sequences and a decision."""
    old = Log(form, INCARNATION, (1, 4)).name(99, 0x0DD0_57A1_E000_0001, 2)
    for at in range(blocks - 1):
        old.commit(decided(["coh_star_zero"], 300_000 + at), clock(300_000 + at))
    return old.files[99]


def _expired_first():
    """The first batch of 1.0: one id that expired for good, and one that was decided again later."""
    return [body("seed_min"), body("seed_max"), decision("seed_min", 0, 100, 500_000), decision("seed_max", 1, 200, 500_000)]


def log_1_0(form):
    """Ended; four batches, of which an operator gave up the third."""
    log = Log(form, INCARNATION, (1, 0)).name(1, 0x1000_0000_0000_0001, 2)
    log.commit(_expired_first(), clock(200)).commit(decided(["epoch_max"], 988_000), clock(988_000))
    log.skip(1).commit(decided(["budget_full", "r_above_one"], 988_500), clock(988_500)).close()
    return log, log.entry((log.at, log.checksum), log.at)


def log_2_0(form):
    """Ended: a closed segment, one whose first write failed, and a last one."""
    log = Log(form, INCARNATION, (2, 0)).name(2, 0x2000_0000_0000_0001, 4, blocks=16)
    log.commit(decided(["pcs_tiny_case_1", "sticky"], 990_000), clock(990_000))
    log.commit([body("mixed"), body("seed_max", snapshot=2), body("sig_wrong"), decision("mixed", 0, 990_100),
                decision("seed_max", 1, 990_100), refused("sig_wrong", 2)], clock(990_100))
    log.commit([body("malformed_nan"), body("missing_ft"), body("invalid_epoch_negative"), refused("malformed_nan", 0),
                refused("missing_ft", 1), refused("invalid_epoch_negative", 2)], clock(990_101))
    log.close().fill(tail=_earlier_life(form, 3)[raw.BLOCK :])
    log.name(3, 0x2000_0000_0000_0002, 5, blocks=16)
    again = log.fail([body("same_id_first"), decision("same_id_first", 0, 990_150)], clock(990_150), blocks=(1,))
    log.close().name(4, 0x2000_0000_0000_0003, 6, blocks=2)
    log.commit(None, clock(990_150), batch=again).close(raw.LAST)
    return log, log.entry((log.at, log.checksum), log.at)


def log_2_1(form):
    """Ended before a mark; the mark still lies behind the end.  A fate that came a batch later, and tenants."""
    log = Log(form, INCARNATION, (2, 1)).name(5, 0x2001_0000_0000_0001, 4, blocks=16)
    log.commit([body("escalated_d_hat"), body("attempt_large", tenant="tenant-0.1_B"),
                decision("attempt_large", 1, 990_200, tenant="tenant-0.1_B")], clock(990_200), settled=raw.sequence(2, 0))
    first = log.at
    log.commit([decision("escalated_d_hat", (first, 0), 990_201), body("epoch_zero"), decision("epoch_zero", 1, 990_201)],
               clock(990_201))
    log.close()
    log.fail(MARK, clock(990_202))
    return log, log.entry((log.at, log.checksum), log.at)


def log_2_2(form):
    """Ended with the only batch that it ever had."""
    log = Log(form, INCARNATION, (2, 2)).name(6, 0x2002_0000_0000_0001, 6, blocks=2)
    second = decision("epoch_zero", 0, 990_300, reason=4, numbers=[1.5, 1.350219859, 0.9, 0.39])
    second["digest"] = hashlib.sha256(b"another digest").hexdigest()
    log.commit([body("epoch_zero"), second], clock(990_300), settled=raw.sequence(2, 1)).close(raw.LAST)
    return log, log.entry((log.at, log.checksum), log.at)


def log_3_0(form):
    """Open: closed by a take-over, then rolled by another, the manifest one segment behind; a mark at the end."""
    log = Log(form, INCARNATION, (3, 0)).name(7, 0x3000_0000_0000_0001, 7, blocks=16)
    log.commit([body("non_sticky"), body("same_id_retry"), body("same_id_conflict"), decision("non_sticky", 0, 995_000),
                fate("duplicate", 1), fate("conflict", 2)], clock(995_000))
    lines = _case("escalated_regime").body.replace(b"\n", b" ") + b"\n" + _case("sig_empty").body.replace(b"\n", b" ")
    log.commit([{"kind": "body", "body": lines, "tenant": "default", "snapshot": 3},
                decision("escalated_regime", 0, 995_010, line=1), refused("sig_empty", 0) | {"line": 2},
                {"kind": "unknown", "number": 200, "optional": True, "payload": b"of a later version"}], clock(995_010))
    log.commit([body("escalated_budget"), decision("escalated_budget", 0, 995_020, params="2026-01.b"),
                {"kind": "body", "body": b"\x28\xb5\x2f\xfd sealed bytes", "tenant": "default", "snapshot": 3,
                 "flags": raw.COMPRESSED | raw.ENCRYPTED, "key_slot": 5},
                fate("unanswered", 2)], clock(995_020))
    used = len(log.files[7])
    again = log.fail(decided(["escalated_degraded", "shard_bmp"], 995_030), clock(995_030))
    log.close(used=used)
    log.name(8, 0x3000_0000_0000_0002, 7, blocks=7).state(raw.OPEN)
    log.commit(None, clock(995_030), batch=again)
    log.commit([body("number_1e16"), body("coh_star_at_tolerance"), decision("number_1e16", 0, 995_040),
                fate("unanswered", 1)], clock(995_040))
    log.commit(MARK, clock(995_041))
    log.commit([body("schema_other"), body("version_major_1"), refused("schema_other", 0), refused("version_major_1", 1),
                {"kind": "erasure", "bodies": [((3, 0), raw.sequence(3, 1), 1)]}], clock(995_050))
    again = log.fail(decided(["escalated_coh_star_high"], 995_060), clock(995_060))
    log.fill(7).name(9, 0x3000_0000_0000_0003, 8, blocks=6)
    log.commit(None, clock(995_060), batch=again)
    log.commit(decided(["number_negative_zero"], 999_000), clock(999_000), settled=raw.sequence(3, 8))
    log.commit(MARK, clock(999_001), settled=raw.sequence(3, 9)).fill(6)
    return log, log.entry(settled=raw.sequence(3, 4))


def log_3_1(form):
    """Open: a torn tail, and an unused next segment that had an earlier life.  Its header does not say how long it was made."""
    log = Log(form, INCARNATION, (3, 1)).name(10, 0x3001_0000_0000_0001, 7).state(raw.OPEN)
    log.commit(decided(["number_half_up"], 995_500), clock(995_500))
    log.commit(decided(["shard_astral", "shard_controls", "shard_quotes", "shard_nul", "shard_composed"], 995_510), clock(995_510))
    log.commit([body("pcs_id_wrong"), body("depth_32"), refused("pcs_id_wrong", 0)], clock(NOW), settled=raw.sequence(3, 2))
    torn = log.fail(decided(["version_minor", "version_patch", "compact", "reversed_order", "white_space"], NOW), clock(NOW), blocks=(0,))
    log.torn = log.spell(torn, clock(NOW))[2]
    assert len(log.torn) == 2 * raw.BLOCK
    log.fill(8).name(11, 0x3001_0000_0000_0002, 8).fill(tail=_earlier_life(form, 3))
    return log, log.entry()


def log_3_2(form):
    """Named and never used."""
    log = Log(form, INCARNATION, (3, 2)).name(12, 0x3002_0000_0000_0001, 7).fill(2)
    return log, log.entry()


TELLERS = (log_1_0, log_2_0, log_2_1, log_2_2, log_3_0, log_3_1, log_3_2)


def manifest_of(form, entries, **more):
    """A manifest that names these logs."""
    out = {"version": form.version, "sections": [], "installation": form.installation, "node": NODE,
           "incarnation": INCARNATION, "secret": SECRET_ID, "generation": 9,
           "start": 3, "clean_stop": 0, "wall": clock(995_100)[1], "expiry_clock": 995_100, "withheld": 3600, "next_file": 13,
           "logs": entries, "gaps": [], "spares": [], "slices": []}
    return out | more


class Directory:
    """A whole directory: logs, manifest, files."""

    def __init__(self, form, suffix, told, **more):
        self.form, self.name = form, form.name + suffix
        self.logs = {log.log: log for log, _ in told}
        self.manifest = manifest_of(form, [entry for _, entry in told], **more)
        self.files = {"secret": raw.secret(SECRET_ID, SECRET_KEY)}
        for log in self.logs.values():
            for number, data in log.files.items():
                self.files["segment-%016x.wal" % number] = data

    def seal(self):
        """Spells the manifest, once nothing changes any more."""
        self.files["manifest"] = raw.manifest(self.manifest)
        return self

    def segment_name(self, log, ordinal):
        """The file of a segment."""
        entry = next(it for it in self.logs[log].segments if it["ordinal"] == ordinal)
        return "segment-%016x.wal" % entry["file"]


def whole(form):
    """The directory of every rule that needs no slice."""
    sections = [LATER_SECTION] if form.version > 1 else []
    return Directory(form, "", [tell(form) for tell in TELLERS], sections=sections,
                     gaps=[((1, 0), raw.sequence(1, 3), raw.sequence(1, 3))]).seal()


def with_slice(form):
    """A log of which a slice holds the beginning; its first segment is gone, its second is still there."""
    log = Log(form, INCARNATION, (1, 0)).name(1, 0x1000_0000_0000_0001, 1)
    log.commit(decided(["pcs_tiny_case_1", "sticky"], 990_000), clock(990_000)).commit(
        decided(["escalated_degraded"], 990_010), clock(990_010)).close()
    log.name(2, 0x1000_0000_0000_0002, 2)
    log.commit(decided(["mixed", "escalated_budget"], 990_020), clock(990_020)).close()
    log.name(3, 0x1000_0000_0000_0003, 3, blocks=4).state(raw.OPEN)
    log.commit(decided(["non_sticky"], 990_030), clock(990_030))
    log.commit([body("escalated_d_hat"), decision("escalated_d_hat", 0, 990_040), body("sticky"), fate("duplicate", 2)],
               clock(990_040)).fill(4)
    upto = raw.sequence(1, 3)
    sealed = [row for batch in log.counted if batch["sequence"] <= upto for row in batch["records"]
              if row["kind"] == "decision"]
    one = slice_bytes.Slice(0x51CE_0000_0000_0001, 4, form.installation, INCARNATION, SECRET_ID, SECRET_KEY, sealed,
                            [((1, 0), upto)], version=form.version)
    entry = log.entry(settled=raw.sequence(1, 4))
    gone = entry["segments"].pop(0)
    del log.files[gone["file"]]
    log.sealed = [batch for batch in log.counted if batch["ordinal"] == gone["ordinal"]]
    log.counted = [batch for batch in log.counted if batch["ordinal"] != gone["ordinal"]]
    out = Directory(form, "_sealed", [(log, entry)], generation=5, start=1, next_file=5, withheld=0, wall=clock(990_035)[1],
                    expiry_clock=990_035, slices=[one.manifest_entry(4)])
    out.files["slice-%016x.flk" % 4] = one.bytes
    out.slice = one
    return out.seal()


def outcome_text(row) -> str:
    """Encoding 1 of a decision."""
    names = {number: name for name, number in REASONS.items()}
    regimes = {number: name for name, number in REGIMES.items()}
    found = verdict.Verdict(names[row["reason"]], row["numbers"][1], row["numbers"][3], regimes[row["regime"]])
    record = judge.Record(pcs_id=row["pcs_id"], d_hat=row["numbers"][0], budget=row["numbers"][2], shard_id="", epoch=0,
                          merkle_root="", scales=[], n_j={}, coh_star=0.0, r=0.0, regime="", degraded=False, sig="", attempt=1)
    return verdict.outcome(record, found, dataclasses.replace(signals.DEFAULTS, version=row["params"]))


def key_of(row) -> str:
    """The keyed hash of a decision's tenant and id."""
    return siphash.key_of(SECRET_KEY, row["tenant"], row["pcs_id"]).hex()
