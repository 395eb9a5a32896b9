"""The bytes of a sealed slice, from docs/slice-format.md and never from an implementation.

Owns the layout, and which of several decisions of a key stands.  Which decisions are sealed is for its caller to say.
"""

import struct

from . import siphash
from .wal_bytes import BLOCK, crc, padded, sealed

PER_BLOCK = 56
PARTITIONS = 1024
BITS_PER_KEY = 14
DIGEST_KEY = b"flk slice digest"
_U64 = (1 << 64) - 1


def key_of(secret: bytes, tenant: str, pcs_id: str) -> int:
    """The 16 bytes of the keyed hash as one big-endian number."""
    return int.from_bytes(siphash.key_of(secret, tenant, pcs_id), "big")


def fold(rows):
    """What stands of the decisions of one key, and the decisions that were ignored.  Of two whose lives overlap the first by
    (decided-at, origin, digest) stands, until the later expiry; one that comes when the other has expired is a new life."""
    rows = sorted(rows, key=lambda row: (row["decided_at"], row["origin"], row["digest"]))
    standing, ignored = rows[0], []
    for row in rows[1:]:
        if standing["expiry"] <= row["decided_at"]:
            standing = row
            continue
        names = ("decided_at", "origin", "digest")
        if any(standing[name] != row[name] for name in names):
            ignored.append((standing, row))
        standing = standing | {"expiry": max(standing["expiry"], row["expiry"])}
    return standing, ignored


def digest_of(row) -> int:
    """The digest of a decision, to be summed modulo 2^128."""
    params = row["params"].encode("ascii")
    text = row["key"].to_bytes(16, "big") + bytes.fromhex(row["digest"])[:8]
    text += struct.pack("<BBB4dB", row["encoding"], row["reason"], row["regime"], *row["numbers"], len(params)) + params
    text += struct.pack("<IB", row["decided_at"], row["origin"])
    return int.from_bytes(siphash.siphash128(DIGEST_KEY, text), "little")


def digests(rows):
    """{(partition, class, hour): (count, sum)}."""
    sums = {}
    for row in rows:
        place = (row["key"] >> 118, 0, row["decided_at"] // 3600)
        count, total = sums.get(place, (0, 0))
        sums[place] = (count + 1, (total + digest_of(row)) % (1 << 128))
    return sums


def _entry(row, params) -> bytes:
    key = row["key"]
    out = struct.pack("<QQ", key >> 64, key & _U64) + bytes.fromhex(row["digest"])[:8] + struct.pack("<4d", *row["numbers"])
    return out + struct.pack("<IIHBBBB2x", row["decided_at"], row["expiry"], params.index(row["params"]), row["reason"],
                             row["regime"], row["encoding"], row["origin"])


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
    """A slice of what stands of these decisions."""

    def __init__(self, ident, generation, installation, incarnation, secret_id, secret, rows, covers, version=1):
        by_key = {}
        for row in rows:
            key = key_of(secret, row["tenant"], row["pcs_id"])
            by_key.setdefault(key, []).append(row | {"key": key})
        self.ident, self.covers, self.version = ident, covers, version
        self.entries = [fold(by_key[key])[0] for key in sorted(by_key)]
        self.params = sorted({row["params"] for row in self.entries})
        head = struct.pack("<8sI4xQQ", b"flk-slic", version, ident, generation) + installation + incarnation + secret_id
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
        sections = [(kind, 0, data) for kind, data in enumerate((rows, b"".join(firsts), filters, params, covers), 1)]
        if self.version > 1:
            sums = sorted(digests(self.entries).items())
            sections.append((6, 1, b"".join(
                struct.pack("<HBxIQ", partition, tenants, hour, count) + total.to_bytes(16, "little")
                for (partition, tenants, hour), (count, total) in sums)))
        return sections

    def _finish(self, out: bytes) -> bytes:
        table = b""
        sections = self._sections()
        for kind, optional, data in sections:
            table += struct.pack("<HHIQQ8x", kind, optional, crc(data), len(out), len(data))
            out += padded(data, BLOCK)
        times = [row["decided_at"] for row in self.entries] or [0]
        self.times = (min(times), max(times), max([row["expiry"] for row in self.entries] or [0]))
        trailer = struct.pack("<8sIIQQIIIIQ8x", b"flk-sltr", self.version, len(sections), self.ident, len(self.entries), self.blocks,
                              *self.times, len(out) + BLOCK) + table
        trailer = sealed(trailer + bytes(BLOCK - 4 - len(trailer)))
        self.checksum = int.from_bytes(trailer[-4:], "little")
        return out + trailer

    def manifest_entry(self, file):
        """What the manifest says of it."""
        return {"file": file, "id": self.ident, "decided_first": self.times[0], "decided_last": self.times[1],
                "expiry_max": self.times[2], "checksum": self.checksum, "entries": len(self.entries),
                "bytes": len(self.bytes), "covers": self.covers}
