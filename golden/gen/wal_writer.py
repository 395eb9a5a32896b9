"""A log as its writer leaves it: segments, batches, take-overs, and what is known to count.

Owns where bytes go and what an index says of them.  Never reads a byte back.
"""

import hashlib
from typing import NamedTuple

from . import wal_bytes as raw
from .wal_bytes import BLOCK

KINDS = {"body": raw.BODY, "decision": raw.DECISION, "refused": raw.REFUSED, "duplicate": raw.DUPLICATE,
         "conflict": raw.CONFLICT, "unanswered": raw.UNANSWERED, "erasure": raw.ERASURE}


def hex64(value: int) -> str:
    """A 64-bit number that JSON readers with doubles would spoil."""
    return "%016x" % value


class Form(NamedTuple):
    """A version of the format, and what of a directory differs by it."""

    name: str
    version: int
    installation: bytes
    labels: tuple = ()


class Batch:
    """Records and bodies, and the parts that they become."""

    def __init__(self, at: int, items):
        self.at, self.items = at, items
        self.index_part, self.bodies_part = b"", b""
        for item in items:
            self.index_part += self._record(item)

    def _place(self, item):
        of = item["of"]
        return (self.at, of) if isinstance(of, int) else of

    def _record(self, item) -> bytes:
        kind, line = item["kind"], item.get("line", 0)
        if kind == "body":
            payload = raw.body_payload(len(self.bodies_part), item["body"], item["snapshot"], item["tenant"])
            self.bodies_part += item["body"]
            return raw.record(raw.BODY, payload, flags=item.get("flags", 0), key_slot=item.get("key_slot", 0))
        if kind == "unknown":
            return raw.record(item["number"], item["payload"], optional=item["optional"])
        if kind == "erasure":
            return raw.record(raw.ERASURE, raw.erasure_payload(item["bodies"]))
        where = self._place(item)
        if kind == "decision":
            payload = raw.decision_payload(where, item)
        elif kind == "refused":
            payload = raw.refused_payload(where, item["status"], item["code"])
        else:
            payload = raw.bare_payload(where)
        return raw.record(KINDS[kind], payload, line=line)

    def listed(self):
        """The records as the index shows them."""
        out = []
        for index, item in enumerate(self.items):
            kind = item["kind"]
            row = {"index": index, "kind": kind}
            if kind == "body":
                flags = item.get("flags", 0)
                row |= {"tenant": item["tenant"], "snapshot": item["snapshot"], "key_slot": item.get("key_slot", 0),
                        "compressed": bool(flags & raw.COMPRESSED), "encrypted": bool(flags & raw.ENCRYPTED),
                        "bytes": len(item["body"]), "sha256": hashlib.sha256(item["body"]).hexdigest()}
            elif kind == "unknown":
                row["kind"] = "skipped"
            elif kind == "erasure":
                row["bodies"] = [{"log": list(log), "sequence": at, "index": n} for log, at, n in item["bodies"]]
            else:
                row |= {"of": list(self._place(item)), "line": item.get("line", 0)}
            if kind == "refused":
                row |= {"status": item["status"], "code": item["code"]}
            if kind == "decision":
                names = "tenant pcs_id digest key_id params decided_at expiry encoding reason regime numbers origin".split()
                row |= {name: item[name] for name in names}
            out.append(row)
        return out


class Log:
    """One log while it is written."""

    def __init__(self, form: Form, incarnation: bytes, log):
        self.form, self.installation, self.incarnation, self.log = form, form.installation, incarnation, log
        self.files = {}
        self.segments = []
        self.at = raw.sequence(log[0], 0)
        self.checksum = 0
        self.counted = []

    def _next(self):
        return self.at + 1

    @property
    def current(self):
        """The segment in use."""
        return self.segments[-1]

    def name(self, file, salt, generation, blocks=0):
        """A segment is named, and a file of no bytes belongs to it.  Its header says that it was made with so many blocks; 0
        is the header of a writer that did not say it yet."""
        ordinal = self.current["ordinal"] + 1 if self.segments else 0
        self.files[file] = b""
        self.segments.append({"ordinal": ordinal, "file": file, "salt": salt, "generation": generation,
                              "state": raw.NEXT, "first": None, "made": blocks * BLOCK})
        return self

    def _write(self, data: bytes):
        self.files[self.current["file"]] += data

    def header(self, ordinal, salt, generation, before, made=0, **other):
        """A segment header of this log; `other` has what is not as in this log."""
        fields = {"installation": self.installation, "incarnation": self.incarnation, "version": self.form.version,
                  "labels": self.form.labels, "before": before, "made": made}
        return raw.segment_header(self.log, ordinal, salt, generation, **(fields | other))

    def _header(self):
        segment = self.current
        before = (self.at, self.checksum) if segment["ordinal"] else None
        return self.header(segment["ordinal"], segment["salt"], segment["generation"], before, segment["made"])

    def spell(self, batch: Batch, clock, settled=None):
        """What a write of the batch is here: the segment header if it is the first, the fields, the batch."""
        lead = self._header() if not self.files[self.current["file"]] else b""
        previous = raw.chained(lead) if lead else self.checksum
        fields = {"salt": self.current["salt"], "sequence": batch.at, "expiry_clock": clock[0], "wall": clock[1],
                  "durable_upto": batch.at - 1, "settled_upto": batch.at - 1 if settled is None else settled,
                  "previous": previous}
        return lead, fields, raw.batch(fields, batch.index_part, batch.bodies_part, len(batch.items))

    def commit(self, items, clock, settled=None, batch=None):
        """Writes a batch that counts."""
        batch = batch or Batch(self._next(), items)
        lead, fields, data = self.spell(batch, clock, settled=settled)
        self._write(lead)
        offset = len(self.files[self.current["file"]])
        self._write(data)
        if self.current["first"] is None:
            self.current["first"] = batch.at
        self.at, self.checksum = batch.at, raw.header_checksum(data)
        self.counted.append({
            "ordinal": self.current["ordinal"], "offset": offset, "bytes": len(data), "sequence": batch.at,
            "expiry_clock": fields["expiry_clock"], "wall": fields["wall"], "durable_upto": fields["durable_upto"],
            "settled_upto": fields["settled_upto"], "previous": fields["previous"], "checksum": self.checksum,
            "records": batch.listed()})
        return self

    def fail(self, items, clock, blocks=None):
        """Writes a batch that is never confirmed; only these blocks of it arrive.  Gives it back to be repeated."""
        batch = Batch(self._next(), items)
        lead, _, data = self.spell(batch, clock)
        data = lead + data
        for at in range(0, len(data), BLOCK):
            arrived = blocks is None or at // BLOCK in blocks
            self._write(data[at : at + BLOCK] if arrived else bytes(BLOCK))
        return batch

    def skip(self, count):
        """So many sequences are missing from here on, and what their headers were is not known."""
        self.at += count
        self.checksum ^= 0x5A5A5A5A
        return self

    def close(self, state=raw.CLOSED, used=None):
        """The segment in use is written no more."""
        segment = self.current
        data = self.files[segment["file"]]
        if segment["first"] is None:
            segment |= {"state": state, "first": self.at + 1, "last": self.at, "bytes": 0, "checksum": self.checksum}
        else:
            segment |= {"state": state, "last": self.at, "bytes": len(data) if used is None else used,
                        "checksum": self.checksum}
        return self

    def state(self, state):
        """What the manifest calls the segment in use."""
        self.current["state"] = state
        return self

    def fill(self, blocks=None, tail=b""):
        """What lies behind the last write: zeros up to so many blocks, or something given."""
        data = self.files[self.current["file"]] + tail
        self.files[self.current["file"]] = data + bytes(max(0, (blocks or 0) * BLOCK - len(data)))
        return self

    def entry(self, ended_at=None, settled=None):
        """What the manifest says of the log.  A file has the length that it was made with until its segment is closed."""
        for one in self.segments:
            length, made = len(self.files[one["file"]]), one["made"]
            if made and one["state"] in (raw.NEXT, raw.OPEN, raw.LAST):
                assert length == made, (self.log, one["ordinal"], length, made)
            assert not made or length <= made, (self.log, one["ordinal"], length, made)
        return {"log": self.log, "incarnation": self.incarnation, "ended_at": ended_at,
                "settled_upto": raw.sequence(self.log[0], 0) if settled is None else settled, "segments": self.segments}
