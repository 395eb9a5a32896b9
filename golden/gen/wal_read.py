"""A plain reader of a log: from a manifest's entry and the bytes of its segments to a verdict.

Follows "Reading a log back" of docs/wal-format.md step by step.  The variants' expectations are written by hand and
checked against it, so that both must be wrong to be wrong.
"""

import struct
from dataclasses import dataclass, field

from .wal_bytes import BLOCK, BODY, CLOSED, DECISION, ERASED, ERASURE, LAST, OPEN, REFUSED, chained, crc

_LENGTHS = {3: 16, 4: 16, 5: 16, 6: 16}
_RESERVED = {7, 9, 10, 11, 12}
_REFUSED_CODES = {60, 80, 81, 82, 83, 84, 85}


class Stop(Exception):
    """Reading ends with a verdict that is not sound."""

    def __init__(self, **verdict):
        super().__init__(verdict)
        self.verdict = verdict


@dataclass
class Header:
    """A batch header that is valid by itself."""

    salt: int
    sequence: int
    index_bytes: int
    bodies_bytes: int
    records: int
    durable_upto: int
    settled_upto: int
    index_checksum: int
    previous: int
    checksum: int

    @property
    def bytes(self):
        """Of the whole batch, padding included."""
        return -(-(96 + self.index_bytes + self.bodies_bytes) // BLOCK) * BLOCK


@dataclass
class Lead:
    """A segment header that is valid by itself."""

    log: tuple
    ordinal: int
    salt: int
    generation: int
    installation: bytes
    incarnation: bytes
    before: tuple | None
    made: int
    checksum: int


def batch_header(data: bytes, at: int):
    """The header at an offset, or None."""
    block = data[at : at + 96]
    if len(block) < 96 or block[:8] != b"flkbatch" or crc(block[:92]) != struct.unpack_from("<I", block, 92)[0]:
        return None
    salt, sequence, index, bodies, records, _, _, durable, settled, of_index, previous = struct.unpack_from("<QQIIIIQQQII", block, 8)
    sound = index <= 1 << 20 and bodies <= 2 << 20 and records <= 4096 and sequence & (1 << 40) - 1
    if not sound or durable >= sequence or settled > sequence or any(block[76:92]):
        return None
    return Header(salt, sequence, index, bodies, records, durable, settled, of_index, previous, crc(block[:92]))


def lead(data: bytes):
    """The segment header of a file, or None."""
    block = data[:BLOCK]
    if len(block) < BLOCK or block[:8] != b"flk-segm" or crc(block[:-4]) != struct.unpack_from("<I", block, BLOCK - 4)[0]:
        return None
    version, start, number, has, zero, ordinal, salt, generation = struct.unpack_from("<IIHBBIQQ", block, 8)
    ends_after, checksum, made = struct.unpack_from("<QIQ", block, 72)
    if version not in (1, 2) or start >= 1 << 24 or zero or has > 1 or (has == 1) != (ordinal > 0):
        return None
    if version == 1 and any(block[92:-4]) or not fields_are_whole(block[92:-4]):
        return None
    if has and ends_after >> 40 != start or not has and (ends_after or checksum):
        return None
    if made and (made % BLOCK or made < 2 * BLOCK):
        return None
    before = (ends_after, checksum) if has else None
    return Lead((start, number), ordinal, salt, generation, block[40:56], block[56:72], before, made, chained(block))


def fields_are_whole(area: bytes) -> bool:
    """Whether a list of fields has the form of one, with zeros behind it; what its fields say is skipped, known or not."""
    end = 2 + struct.unpack_from("<H", area)[0]
    at, last = 2, 0
    while at < end:
        if at + 4 > end:
            return False
        kind, size = struct.unpack_from("<HH", area, at)
        after = at + 4 + -(-size // 4) * 4
        if kind <= last or after > end or any(area[at + 4 + size : after]) or kind in (1, 2) and size != 16:
            return False
        if kind == 3 and not (1 <= size <= 64 and all(0x21 <= it <= 0x7E for it in area[at + 4 : at + 4 + size])):
            return False
        at, last = after, kind
    return end <= len(area) and not any(area[end:])


def of_a_later_version(kind, optional, payload) -> bool:
    """Whether only a later version knows a kind, or a number in a record of a known kind."""
    if kind == BODY:
        return payload[17] != 0
    if kind == DECISION:
        return payload[20] != 1 or payload[21] > 5 or payload[22] not in (1, 2, 3)
    if kind == REFUSED:
        return payload[14] not in _REFUSED_CODES
    return kind in _RESERVED or kind not in (4, 5, 6, ERASURE) and not optional


def split(index_part: bytes):
    """(offset, kind, optional, payload) of each record; None in place of one that cannot be."""
    at = 0
    while at < len(index_part):
        if at + 16 > len(index_part):
            yield at, None, None, None
            return
        kind, bits, flags, zero, _, zeros, _, size = struct.unpack_from("<BBBBHHII", index_part, at)
        end = at + 16 + size
        after = -(-end // 8) * 8
        if after > len(index_part) or bits > 1 or flags > 7 or zero or zeros or any(index_part[end:after]):
            yield at, None, None, None
            return
        yield at, kind, bits, index_part[at + 16 : end]
        at = after


def without_erased(index_part: bytes) -> bytes:
    """The index part with bit 2 of every record's flags taken as 0."""
    out, at = bytearray(index_part), 0
    while at + 16 <= len(out):
        out[at + 2] &= ~ERASED
        at += 16 + -(-struct.unpack_from("<I", out, at + 12)[0] // 8) * 8
    return bytes(out)


@dataclass
class Reader:
    """One log while it is read."""

    manifest: dict
    entry: dict
    files: list
    erased: set
    last: int = 0
    tip: int = 0
    counted: list = field(default_factory=list)

    def gap_end(self, sequence):
        """The last sequence of the gap that holds this one."""
        for log, first, last in self.manifest["gaps"]:
            if log == self.entry["log"] and first <= sequence <= last:
                return last
        return None

    def expected(self):
        """What must come next."""
        following = self.last + 1
        while (end := self.gap_end(following)) is not None:
            following = end + 1
        return following

    def _content(self, header, index_part, bodies_part):
        """None if whole; "torn" if a checksum says that the write was not complete; raises what is worse."""
        if crc(without_erased(index_part)) != header.index_checksum:
            return "torn"
        wrong, count, end = False, 0, 0
        for count, (_, kind, optional, payload) in enumerate(split(index_part), 1):
            if kind is None:
                wrong = True
                break
            if of_a_later_version(kind, optional, payload):
                raise Stop(verdict="unsupported")
            if kind in _LENGTHS and len(payload) != _LENGTHS[kind]:
                wrong = True
            if kind == BODY:
                offset, size, checksum = struct.unpack_from("<III", payload)
                body = bodies_part[offset : offset + size]
                zeros = not any(body) and (header.sequence, count - 1) in self.erased
                if crc(body) != checksum and not zeros:
                    return "torn"
                wrong, end = wrong or offset < end or offset + size > len(bodies_part), offset + size
        if wrong or count != header.records:
            raise Stop(verdict="damage", expected=header.sequence)
        return None

    def _batch(self, segment, data, at, limit, chain):
        """The expected batch at an offset, or None."""
        header = batch_header(data[:limit], at)
        expected = self.expected()
        if header is None or header.salt != segment["salt"] or header.sequence != expected or at + header.bytes > limit:
            return None
        if expected == self.last + 1 and header.previous != chain:
            return None
        index_part = data[at + 96 : at + 96 + header.index_bytes]
        bodies_part = data[at + 96 + header.index_bytes : at + 96 + header.index_bytes + header.bodies_bytes]
        return None if self._content(header, index_part, bodies_part) else header

    def _walk(self, segment, data, limit, chain, end=None):
        """Takes batches up to `end` and returns the first position not taken."""
        at = BLOCK
        while end is None or self.last < end:
            header = self._batch(segment, data, at, limit, chain)
            if header is None:
                break
            self.last, self.tip, chain = header.sequence, header.checksum, header.checksum
            self.counted.append((segment["ordinal"], at, header.sequence))
            at += header.bytes
        return at

    def _ours(self, segment, data):
        """The segment's own header, or None where it is an earlier life's or none."""
        found = lead(data)
        if found is None:
            return None
        if found.installation == self.manifest["installation"] and found.generation > self.manifest["generation"]:
            raise Stop(verdict="stale_manifest", generation=found.generation)
        if found.salt != segment["salt"]:
            return None
        same = (found.installation, found.incarnation, found.log, found.ordinal, found.generation)
        if same != (self.manifest["installation"], self.entry["incarnation"], self.entry["log"], segment["ordinal"],
                    segment["generation"]):
            raise Stop(verdict="damage", expected=self.expected())
        return found

    def _closed(self, segment, data):
        damage = Stop(verdict="damage", expected=self.expected(), durable_upto=segment["last"])
        if segment["first"] > segment["last"]:
            return
        found = self._ours(segment, data)
        if found is None or self.expected() != segment["first"]:
            raise damage
        if segment["ordinal"] and found.before != (self.last, self.tip):
            raise damage
        limit = min(segment["bytes"], len(data))
        at = self._walk(segment, data, limit, found.checksum, segment["last"])
        if self.last != segment["last"]:
            raise Stop(verdict="damage", expected=self.expected(), durable_upto=segment["last"])
        if at != segment["bytes"] or self.tip != segment["checksum"]:
            raise Stop(verdict="damage", expected=self.expected(), durable_upto=segment["last"])

    def _durable(self, segment, data, start):
        """The largest sequence that anything behind a stop says was durable, and whether anything of ours is there."""
        best, begun = 0, False
        for at in range(start, len(data) - BLOCK + 1, BLOCK):
            header = batch_header(data, at)
            if header and header.salt == segment["salt"]:
                begun = True
                if header.sequence >= self.expected():
                    best = max(best, header.durable_upto)
            found = lead(data) if at == 0 else None
            if found and found.salt == segment["salt"] and found.before:
                best = max(best, found.before[0])
        return best, begun

    def _written(self, segment, data, start):
        """Whether a write was begun at a position: anything but zeros before an earlier life of the file."""
        for at in range(start, len(data), BLOCK):
            header = batch_header(data, at)
            if header and header.salt != segment["salt"]:
                return False
            if any(data[at : at + BLOCK]):
                return True
        return False

    def _open(self, index):
        segments = self.entry["segments"]
        while index < len(segments):
            segment, data = segments[index], self.files[index]
            found = self._ours(segment, data)
            after = self._ours(segments[index + 1], self.files[index + 1]) if index + 1 < len(segments) else None
            stated = after.before if after else None
            # A segment is called open once its first batch was durable.
            first = self.last + 1 if segment["state"] == OPEN else 0
            at = 0
            if found:
                if segment["ordinal"] and found.before != (self.last, self.tip):
                    raise Stop(verdict="damage", expected=self.expected())
                at = self._walk(segment, data, len(data), found.checksum, stated and stated[0])
                if found.made and (len(data) < found.made or len(data) % BLOCK):
                    raise Stop(verdict="damage", expected=self.expected())
            if stated == (self.last, self.tip) and stated[0] >= first:
                index += 1
                continue
            durable, _ = self._durable(segment, data, at)
            durable = max(durable, stated[0] if stated else 0, first, self.entry["settled_upto"])
            begun = self._written(segment, data, at)
            for later in range(index + 1, len(segments)):
                more, there = self._durable(segments[later], self.files[later], 0)
                durable, begun = max(durable, more), begun or there
            if durable >= self.expected():
                raise Stop(verdict="damage", expected=self.expected(), durable_upto=durable)
            return {"verdict": "torn", "ordinal": segment["ordinal"], "offset": at} if begun else {"verdict": "whole"}
        return {"verdict": "whole"}

    def read(self):
        """The verdict, with the last sequence that counts."""
        segments = self.entry["segments"]
        first = next((it for it in segments if it["state"] in (CLOSED, LAST)), None)
        before = lead(self.files[0]).before if first and segments[0]["ordinal"] else None
        self.last, self.tip = before or (self.entry["log"][0] << 40, 0)
        try:
            count = 0
            for segment, data in zip(segments, self.files):
                if segment["state"] not in (CLOSED, LAST):
                    break
                self._closed(segment, data)
                count += 1
            if self.entry["ended_at"] not in (None, (self.last, self.tip)):
                raise Stop(verdict="damage", expected=self.expected(), durable_upto=self.entry["ended_at"][0])
            found = self._open(count)
        except Stop as stop:
            found = stop.verdict
        return found | {"last": self.last}


def erasures(files):
    """What the erasure records of whole-looking batches list: (log, sequence, index)."""
    found = set()
    for data in files:
        for at in range(BLOCK, len(data) - BLOCK + 1, BLOCK):
            header = batch_header(data, at)
            if header is None:
                continue
            for _, kind, _, payload in split(data[at + 96 : at + 96 + header.index_bytes]):
                if kind == ERASURE:
                    found |= {((a, b), c, d) for a, b, c, d in struct.iter_unpack("<IIQQ", payload)}
    return found
