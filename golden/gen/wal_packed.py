"""The directory wal/v2_packed: a log whose first segment, sealed and resolved, was packed; and how such a file is read back.

Owns the bytes of packed files, from docs/wal-format.md, and what damage to them must look like.
"""

import struct

from . import slice_bytes, wal
from . import wal_bytes as raw
from .wal_read import batch_header, split
from .wal_writer import Log

BLOCK = raw.BLOCK
SECTION = 5
SALT = 0x9AC4_ED00_0000_0001
FILE = 5
GENERATION = 6


def packed_header(log, ordinal, salt, generation, ids, first, last, segment_bytes, file_bytes, newest) -> bytes:
    """One block.  `ids` are installation, incarnation of the log, node."""
    fields = struct.pack("<8sIIH2xIQQ", b"flk-pack", 1, *log, ordinal, salt, generation) + b"".join(ids)
    fields += struct.pack("<QQQQI", first, last, segment_bytes, file_bytes, newest)
    return raw.sealed(fields + bytes(BLOCK - 4 - len(fields)))


def bodies_of(batch: bytes):
    """(index of the record, bytes) of each body of a batch."""
    header = batch_header(batch, 0)
    index_end = 96 + header.index_bytes
    for index, (_, kind, _, payload) in enumerate(split(batch[96:index_end])):
        if kind == raw.BODY:
            offset, size = struct.unpack_from("<II", payload)
            yield index, offset, batch[index_end + offset : index_end + offset + size]


def frame(batch: bytes, salt) -> bytes:
    """A batch as it stands in a packed file."""
    index_end = 96 + batch_header(batch, 0).index_bytes
    left_out = [index for index, _, body in bodies_of(batch) if body and not any(body)]
    kept = b"".join(body for index, _, body in bodies_of(batch) if index not in left_out)
    size = 16 + 4 * len(left_out) + index_end + len(kept)
    head = struct.pack("<III%dI" % len(left_out), size, len(batch), len(left_out), *left_out)
    return head + struct.pack("<I", raw.crc(struct.pack("<Q", salt) + head)) + batch[:index_end] + kept


def unpacked(data: bytes, packed, segment_bytes) -> bytes:
    """The segment that a packed file stands for, as far as the file is what the manifest states; zeros for the rest."""
    salt, file_bytes = packed
    out = bytes(BLOCK)
    block = data[:BLOCK]
    sound = len(data) >= file_bytes and block[:8] == b"flk-pack" and raw.crc(block[:-4]) == struct.unpack_from("<I", block, BLOCK - 4)[0]
    if sound and struct.unpack_from("<Q", block, 24) == (salt,) and struct.unpack_from("<QQ", block, 104) == (segment_bytes, file_bytes):
        out = data[BLOCK : 2 * BLOCK]
    at = 2 * BLOCK
    while len(out) < segment_bytes and at + 16 <= len(data):
        size, batch_bytes, count = struct.unpack_from("<III", data, at)
        head = data[at : at + 12 + 4 * count]
        behind = data[at + len(head) : at + len(head) + 4]
        if len(behind) < 4 or raw.crc(struct.pack("<Q", salt) + head) != struct.unpack("<I", behind)[0]:
            break
        left_out = struct.unpack_from("<%dI" % count, head, 12)
        out += _batch(data[at + len(head) + 4 : at + size], batch_bytes, left_out)
        at += size
    return out + bytes(segment_bytes - len(out))


def _batch(content: bytes, batch_bytes, left_out) -> bytes:
    header = batch_header(content, 0)
    if header is None:
        return content[:96] + bytes(batch_bytes - 96)
    index_end = 96 + header.index_bytes
    out = bytearray(content[:index_end] + bytes(batch_bytes - index_end))
    at = index_end
    for index, (_, kind, _, payload) in enumerate(split(content[96:index_end])):
        if kind == raw.BODY and index not in left_out:
            offset, size = struct.unpack_from("<II", payload)
            out[index_end + offset : index_end + offset + size] = content[at : at + size]
            at += size
    return bytes(out)


def section(files) -> tuple:
    """The section of a manifest; `files` are (number, salt, bytes)."""
    return SECTION, 0, struct.pack("<I", len(files)) + b"".join(struct.pack("<QQQ", *it) for it in files)


def _pack(directory_form, log, entry, ids):
    """Packs a closed segment of a log in the place of its file."""
    data = log.files.pop(entry["file"])
    frames, at, newest = b"", BLOCK, 0
    while at < entry["bytes"]:
        size = batch_header(data, at).bytes
        frames += frame(data[at : at + size], SALT)
        newest = struct.unpack_from("<I", data, at + 36)[0]
        at += size
    size = len(raw.padded(bytes(2 * BLOCK) + frames, BLOCK))
    head = packed_header(log.log, entry["ordinal"], SALT, GENERATION, ids, entry["first"], entry["last"], entry["bytes"], size, newest)
    log.files[FILE] = raw.padded(head + data[:BLOCK] + frames, BLOCK)
    entry |= {"file": FILE, "packed": (SALT, size)}


def directory(form):
    """A log of two segments; a slice holds the decisions of the first one, which is packed."""
    log = Log(form, wal.INCARNATION, (1, 0)).name(1, 0x1000_0000_0000_0001, 1, blocks=16)
    log.commit(wal.decided(["pcs_tiny_case_1"], 990_000), wal.clock(990_000)).commit(wal.MARK, wal.clock(990_000))
    zeros = {"kind": "body", "body": bytes(700), "tenant": "default", "snapshot": 1}
    log.commit([zeros, wal.body("sticky"), {"kind": "refused", "of": 0, "status": 400, "code": 80},
                wal.decision("sticky", 1, 990_010)], wal.clock(990_010)).commit(wal.MARK, wal.clock(990_010))
    log.commit([wal.body("sticky"), wal.fate("duplicate", 0)], wal.clock(990_020)).commit(wal.MARK, wal.clock(990_021)).close()
    log.name(2, 0x1000_0000_0000_0002, 2, blocks=4).state(raw.OPEN)
    log.commit(wal.decided(["mixed"], 990_030), wal.clock(990_030)).commit(wal.MARK, wal.clock(990_030)).fill(4)
    upto = raw.sequence(1, 6)
    sealed = [row for batch in log.counted if batch["sequence"] <= upto for row in batch["records"] if row["kind"] == "decision"]
    one = slice_bytes.Slice(0x51CE_0000_0000_0002, 4, form.installation, wal.INCARNATION, wal.SECRET_ID, wal.SECRET_KEY, sealed,
                            [((1, 0), upto)], version=form.version)
    _pack(form, log, log.segments[0], (form.installation, wal.INCARNATION, wal.NODE))
    entry = log.entry(settled=raw.sequence(1, 7))
    packed = log.segments[0]["packed"]
    out = wal.Directory(form, "_packed", [(log, entry)], generation=7, start=1, next_file=6, withheld=0, wall=wal.clock(990_035)[1],
                        expiry_clock=990_035, slices=[one.manifest_entry(4)], sections=[section([(FILE, *packed)])])
    out.files["slice-%016x.flk" % 4] = one.bytes
    return out.seal()


def variants(whole):
    """(name, about, edits, verdict wanted) of damage to the packed file."""
    name, data = "segment-%016x.wal" % FILE, whole.files["segment-%016x.wal" % FILE]
    starts = [2 * BLOCK]
    for _ in range(2):
        starts.append(starts[-1] + struct.unpack_from("<I", data, starts[-1])[0])
    third = starts[2]
    damage = lambda counter: {"log": [1, 0], "verdict": "damage", "expected": raw.sequence(1, counter)}

    def flip(at):
        return [{"op": "flip", "file": name, "offset": at, "mask": 16}]

    yield "header", "a bit of the packed header", flip(60), damage(1)
    yield "segment_header", "a bit of the segment header behind it", flip(BLOCK + 60), damage(1)
    yield "head", "a bit of the head of a frame", flip(third + 5), damage(3)
    yield "left_out", "which body is left out", flip(third + 12), damage(3)
    yield "batch_header", "a bit of a batch header", flip(third + 20 + 30), damage(3)
    yield "index", "a bit of an index part", flip(third + 20 + 96 + 40), damage(3)
    yield "body", "a bit of a body", flip(third + struct.unpack_from("<I", data, third)[0] - 10), damage(3)
    yield "cut", "the last block is missing", [{"op": "truncate", "file": name, "bytes": len(data) - BLOCK}], damage(1)
    yield "zeros", "all zeros", [{"op": "zero", "file": name, "offset": 0, "bytes": len(data)}], damage(1)
    plain = wal.whole(whole.form).files["segment-%016x.wal" % 2]
    yield "plain", "a segment that is not packed", [{"op": "write", "file": name, "offset": 0, "hex": plain[:BLOCK].hex()}], damage(1)
