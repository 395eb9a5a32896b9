"""The bytes of a sealed slice, from docs/slice-format.md and never from an implementation.

Owns the layout.  Which decisions are sealed is for its caller to say.
"""

import struct

from . import siphash
from .wal_bytes import BLOCK, crc, padded, sealed

PER_BLOCK = 56
PARTITIONS = 1024
BITS_PER_KEY = 14
_U64 = (1 << 64) - 1


def key_of(secret: bytes, tenant: str, pcs_id: str) -> int:
    """The 16 bytes of the keyed hash as one big-endian number."""
    return int.from_bytes(siphash.key_of(secret, tenant, pcs_id), "big")


def _entry(row, params) -> bytes:
    key = row["key"]
    out = struct.pack("<QQ", key >> 64, key & _U64) + bytes.fromhex(row["digest"])[:8] + struct.pack("<4d", *row["numbers"])
    return out + struct.pack("<IIHBBBxH", row["decided_at"], row["expiry"], params.index(row["params"]), row["reason"],
                             row["regime"], row["encoding"], 0)


def _filter(keys) -> bytes:
    """Lines of 512 bits for the keys of a partition."""
    count = -(-len(keys) * BITS_PER_KEY // 512)
    words = [[0] * 8 for _ in range(count)]
    for key in keys:
        high, low = key >> 64, key & _U64
        line = words[((high << 10 & _U64) * count) >> 64]
        for at in range(7):
            bit = low >> 9 * at & 511
            line[bit >> 6] |= 1 << (bit & 63)
    return b"".join(struct.pack("<8Q", *line) for line in words)


class Slice:
    """A slice of these decisions, the latest for each key."""

    def __init__(self, ident, generation, installation, incarnation, secret_id, secret, rows, covers):
        latest = {}
        for row in rows:
            key = key_of(secret, row["tenant"], row["pcs_id"])
            if key not in latest or latest[key]["decided_at"] < row["decided_at"]:
                latest[key] = row | {"key": key}
        self.ident, self.covers = ident, covers
        self.entries = [latest[key] for key in sorted(latest)]
        self.params = sorted({row["params"] for row in self.entries})
        head = struct.pack("<8sI4xQQ", b"flk-slic", 1, ident, generation) + installation + incarnation + secret_id
        out = sealed(head + bytes(BLOCK - 4 - len(head)))
        for at in range(0, len(self.entries), PER_BLOCK):
            out += self._block(len(out) // BLOCK, self.entries[at : at + PER_BLOCK])
        self.blocks = len(out) // BLOCK - 1
        self.bytes = self._finish(out)

    def _block(self, number, entries) -> bytes:
        head = struct.pack("<QIH46x", self.ident, number, len(entries))
        body = b"".join(_entry(row, self.params) for row in entries)
        rest = body + bytes(BLOCK - 64 - len(body))
        return head + struct.pack("<I", crc(head + rest)) + rest

    def _sections(self):
        firsts = [struct.pack("<Q", self.entries[at]["key"] >> 64) for at in range(0, len(self.entries), PER_BLOCK)]
        rows, filters = b"", b""
        for partition in range(PARTITIONS):
            places = [at for at, row in enumerate(self.entries) if row["key"] >> 118 == partition]
            if not places:
                rows += bytes(32)
                continue
            lines = _filter([self.entries[at]["key"] for at in places])
            first, last = places[0] // PER_BLOCK, places[-1] // PER_BLOCK
            index = b"".join(firsts[first : last + 1])
            rows += struct.pack("<IIIIQII", 1 + first, last - first + 1, len(places), len(lines) // 64, len(filters),
                                crc(lines), crc(index))
            filters += lines
        names = [name.encode("ascii") for name in self.params]
        params = struct.pack("<H", len(names)) + b"".join(struct.pack("<B", len(name)) + name for name in names)
        covers = b"".join(struct.pack("<IHHQ", *log, 0, upto) for log, upto in self.covers)
        return enumerate((rows, b"".join(firsts), filters, params, covers), 1)

    def _finish(self, out: bytes) -> bytes:
        table = b""
        sections = list(self._sections())
        for kind, data in sections:
            table += struct.pack("<HHIQQ8x", kind, 0, crc(data), len(out), len(data))
            out += padded(data, BLOCK)
        times = [row["decided_at"] for row in self.entries] or [0]
        self.times = (min(times), max(times), max([row["expiry"] for row in self.entries] or [0]))
        trailer = struct.pack("<8sIIQQIIIIQ8x", b"flk-sltr", 1, len(sections), self.ident, len(self.entries), self.blocks,
                              *self.times, len(out) + BLOCK) + table
        trailer = sealed(trailer + bytes(BLOCK - 4 - len(trailer)))
        self.checksum = int.from_bytes(trailer[-4:], "little")
        return out + trailer

    def manifest_entry(self, file):
        """What the manifest says of it."""
        return {"file": file, "id": self.ident, "decided_first": self.times[0], "decided_last": self.times[1],
                "expiry_max": self.times[2], "checksum": self.checksum, "entries": len(self.entries),
                "bytes": len(self.bytes), "covers": self.covers}
