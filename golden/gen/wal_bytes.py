"""The bytes of a log directory: segment headers, batches, records, manifest, secret.

Owns spelling only, from docs/wal-format.md and never from an implementation.  What is written, and whether it makes
sense, is for its caller to decide, so that wrong files can be made too.
"""

import functools
import struct

BLOCK = 4096
BODY, DECISION, REFUSED, DUPLICATE, CONFLICT, UNANSWERED, DEFERRED, ERASURE = range(1, 9)
COMPRESSED, ENCRYPTED, ERASED = 1, 2, 4
NEXT, OPEN, CLOSED, LAST = range(4)


def _table():
    rows = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        rows.append(value)
    return rows


_TABLE = _table()


@functools.lru_cache(maxsize=None)
def crc(data: bytes) -> int:
    """CRC-32C."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def sealed(data: bytes) -> bytes:
    """The bytes and their checksum behind them."""
    return data + struct.pack("<I", crc(data))


def padded(data: bytes, unit: int) -> bytes:
    """Zeros up to a multiple of the unit."""
    return data + bytes(-len(data) % unit)


def sequence(start: int, counter: int) -> int:
    """A position in a log of that start."""
    return start << 40 | counter


def segment_header(log, ordinal, salt, generation, installation, incarnation, before=None, made=0, version=1, labels=()) -> bytes:
    """One block.  `before` is (sequence, checksum) of where the segment before ends; `made` is the length of the file; `labels`
    are (kind, value) of the list of fields, which version 1 has not."""
    ends_after, checksum = before or (0, 0)
    fields = struct.pack("<8sIIHBBIQQ", b"flk-segm", version, log[0], log[1], 1 if before else 0, 0, ordinal, salt, generation)
    fields += installation + incarnation + struct.pack("<QIQ", ends_after, checksum, made)
    listed = b"".join(padded(struct.pack("<HH", kind, len(value)) + value, 4) for kind, value in labels)
    fields += struct.pack("<H", len(listed)) + listed
    return sealed(fields + bytes(BLOCK - 4 - len(fields)))


def chained(header: bytes) -> int:
    """What the first batch repeats of a segment header: the checksum that version 1 of it states."""
    return crc(header[:8] + struct.pack("<I", 1) + header[12:92] + bytes(BLOCK - 4 - 92))


def record(kind, payload, optional=False, flags=0, key_slot=0, line=0) -> bytes:
    """A record of an index part."""
    return padded(struct.pack("<BBBBHHII", kind, optional, flags, 0, key_slot, 0, line, len(payload)) + payload, 8)


def body_payload(offset, body, snapshot, tenant) -> bytes:
    """What the index part holds of a body."""
    tenant = tenant.encode("ascii")
    return struct.pack("<IIIIB3x", offset, len(body), crc(body), snapshot, len(tenant)) + tenant


def place(where) -> bytes:
    """(sequence, index)."""
    return struct.pack("<QI", *where)


def decision_payload(where, one) -> bytes:
    """The first outcome of a key; `one` has the fields of the format page."""
    tenant, params = one["tenant"].encode("ascii"), one["params"].encode("ascii")
    head = struct.pack("<IIBBBB", one["decided_at"], one["expiry"], one["encoding"], one["reason"], one["regime"], len(tenant))
    numbers = struct.pack("<4d", *one["numbers"])
    ids = bytes.fromhex(one["pcs_id"]) + bytes.fromhex(one["digest"]) + bytes.fromhex(one["key_id"])
    return place(where) + head + ids + numbers + struct.pack("<BB2x", len(params), one.get("origin", 0)) + tenant + params


def refused_payload(where, status, code) -> bytes:
    """A body that was refused."""
    return place(where) + struct.pack("<HBx", status, code)


def bare_payload(where) -> bytes:
    """A duplicate, a conflict or a body without an answer."""
    return place(where) + bytes(4)


def erasure_payload(bodies) -> bytes:
    """`bodies` are ((start, number), sequence, index)."""
    return b"".join(struct.pack("<IIQQ", *log, at, index) for log, at, index in bodies)


def batch(header, index_part, bodies_part, records) -> bytes:
    """A whole batch; `header` has salt, sequence, expiry_clock, wall, durable_upto, settled_upto, previous, perhaps term."""
    fields = struct.pack(
        "<8sQQIIIIQQQIII16x", b"flkbatch", header["salt"], header["sequence"], len(index_part), len(bodies_part), records,
        header["expiry_clock"], header["wall"], header["durable_upto"], header["settled_upto"], crc(index_part),
        header["previous"], header.get("term", 0))
    return padded(sealed(fields) + index_part + bodies_part, BLOCK)


def header_checksum(batch_bytes: bytes) -> int:
    """The checksum of a batch's header: the name that the next header repeats."""
    return struct.unpack_from("<I", batch_bytes, 92)[0]


def _items(items) -> bytes:
    return struct.pack("<I", len(items)) + b"".join(items)


def _log_id(log) -> bytes:
    return struct.pack("<II", *log)


def _segment(one) -> bytes:
    out = struct.pack("<IIQQQ", one["ordinal"], one["state"], one["file"], one["salt"], one["generation"])
    if one["state"] in (CLOSED, LAST):
        out += struct.pack("<QQQII", one["first"], one["last"], one["bytes"], one["checksum"], 0)
    return out


def _log(one) -> bytes:
    end = one["ended_at"]
    out = _log_id(one["log"]) + one["incarnation"] + struct.pack("<QI", one["settled_upto"], 0 if end is None else 1)
    at, checksum = end or (0, 0)
    return out + struct.pack("<IQ", checksum, at) + _items([_segment(it) for it in one["segments"]])


def _slice(one) -> bytes:
    out = struct.pack("<QQIIIIQQ", one["file"], one["id"], one["decided_first"], one["decided_last"], one["expiry_max"],
                      one["checksum"], one["entries"], one["bytes"])
    return out + _items([_log_id(log) + struct.pack("<Q", upto) for log, upto in one["covers"]])


def _section(one) -> bytes:
    kind, optional, content = one
    return struct.pack("<HHI", kind, optional, len(content)) + content


def uptos(positions) -> bytes:
    """A list of (log, sequence)."""
    return _items([_log_id(log) + struct.pack("<Q", upto) for log, upto in positions])


def holds(them) -> bytes:
    """The content of the section of holds."""
    return _items([
        struct.pack("<BBHQIII", len(it["name"]), len(it["owner"]), 0, it["bytes_max"], it["age_max"], it["made_at"], it["moved_at"])
        + it["name"].encode("ascii") + it["owner"].encode("ascii") + uptos(it["done"]) for it in them])


def released(them) -> bytes:
    """The content of the section of ranges that holds lost."""
    return _items([
        struct.pack("<B3xI", len(it["hold"]), it["at"]) + _log_id(it["log"]) + struct.pack("<QQ", it["first"], it["last"])
        + it["hold"].encode("ascii") for it in them])


READABLE_SINCE = {1: (0, 1, 0), 2: (0, 2, 0)}


def manifest(one, version=None, readable_since=None) -> bytes:
    """The whole file.  Version 1 has no sections; `sections` are (kind, optional, content)."""
    version = version or one["version"]
    readable_since = readable_since or READABLE_SINCE[version]
    ids = one["installation"] + one["node"] + one["incarnation"] + one["secret"]
    fields = ids + struct.pack("<QIIQIIQQ", one["generation"], one["start"], one["clean_stop"], one["wall"],
                               one["expiry_clock"], 0, one["withheld"], one["next_file"])
    fields += _items([_log(it) for it in one["logs"]])
    fields += _items([_log_id(log) + struct.pack("<QQ", first, last) for log, first, last in one["gaps"]])
    fields += _items([struct.pack("<Q", it) for it in one["spares"]])
    fields += _items([_slice(it) for it in one["slices"]])
    if version > 1:
        fields += _items([_section(it) for it in one["sections"]])
    prefix = struct.pack("<8sIHHHHI", b"flk-mani", version, *readable_since, 0, 24 + len(fields) + 4)
    return sealed(prefix + fields)


def secret(ident: bytes, key: bytes, version=1) -> bytes:
    """The secret file."""
    return sealed(b"flk-secr" + struct.pack("<I", version) + ident + key)
