"""What may have happened to wal/v1, as edits of its files, and the verdict that each must get.

Owns the hand-written expectations.  wal_read must agree with every one of them.
"""

import struct

from . import wal_bytes as raw
from .wal_bytes import BLOCK, crc

SOUND, DAMAGED, REFUSED = 0, 65, 78


class Editor:
    """Turns intentions into edits that name a file, a place and bytes."""

    def __init__(self, directory):
        self.directory = directory

    def at(self, log, counter, within=0, which=0):
        """(file, offset) within a batch that counts."""
        sequence = raw.sequence(log[0], counter)
        found = [it for it in self.directory.logs[log].counted if it["sequence"] == sequence][which]
        return self.directory.segment_name(log, found["ordinal"]), found["offset"] + within

    def flip(self, file, offset, mask=1):
        """Some bits of one byte change."""
        return {"op": "flip", "file": file, "offset": offset, "mask": mask}

    def zero(self, file, offset, count=BLOCK):
        """Bytes are lost: zeros."""
        return {"op": "zero", "file": file, "offset": offset, "bytes": count}

    def truncate(self, file, count):
        """The file ends earlier."""
        return {"op": "truncate", "file": file, "bytes": count}

    def write(self, file, offset, data):
        """Other bytes; a file that ends before grows.  Zeros at the end of whole blocks are a `zero` of their own."""
        return {"op": "write", "file": file, "offset": offset, "hex": data.hex()}

    def blocks(self, file, offset, data):
        """Whole blocks: what is not zero is written over zeros."""
        return [self.zero(file, offset, len(data)), self.write(file, offset, data.rstrip(b"\0"))]

    def segment(self, log, ordinal):
        """The bytes of a segment's file and its name."""
        name = self.directory.segment_name(log, ordinal)
        return name, self.directory.files[name]


def apply(files, edits):
    """The files after the edits."""
    out = dict(files)
    for edit in edits:
        name = edit["file"]
        if edit["op"] == "remove":
            del out[name]
            continue
        data, at = bytearray(out.get(name, b"")), edit.get("offset", 0)
        if edit["op"] == "flip":
            data[at] ^= edit["mask"]
        elif edit["op"] == "truncate":
            del data[edit["bytes"] :]
        else:
            new = bytes(edit["bytes"]) if edit["op"] == "zero" else bytes.fromhex(edit["hex"])
            data.extend(bytes(max(0, at + len(new) - len(data))))
            data[at : at + len(new)] = new
        out[name] = bytes(data)
    return out


def resealed(block: bytes, size: int) -> bytes:
    """A batch header or segment header whose checksum is made to match."""
    return raw.sealed(block[: size - 4]) + block[size:]


def _changed(batch: bytes, changes):
    """A batch with these (offset, bytes) written into it and all its checksums made to match."""
    data = bytearray(batch)
    for at, new in changes:
        data[at : at + len(new)] = new
    size = struct.unpack_from("<I", data, 24)[0]
    struct.pack_into("<I", data, 64, crc(bytes(data[96 : 96 + size])))
    return resealed(bytes(data), 96)


def _sound(log, counter, verdict="whole", **more):
    return {"log": list(log), "verdict": verdict, "last": raw.sequence(log[0], counter), "start": SOUND, **more}


def _torn(log, counter, ordinal, offset):
    return _sound(log, counter, "torn", ordinal=ordinal, offset=offset)


def _damage(log, counter, durable=None):
    at = None if durable is None else raw.sequence(log[0], durable)
    return {"log": list(log), "verdict": "damage", "expected": raw.sequence(log[0], counter), "durable_upto": at,
            "start": DAMAGED}


T, A, E = (3, 1), (3, 0), (2, 0)


def _tail(ed):
    """The open log with a torn tail."""
    log = ed.directory.logs[T]
    torn, torn_at = log.torn, 5 * BLOCK
    file, data = ed.segment(T, 0)
    after, _ = ed.segment(T, 1)
    assert data[torn_at : torn_at + 8] == b"flkbatch" and ed.at(T, 3)[1] == 4 * BLOCK, "batch 2 has two blocks"
    batch_5 = lambda ends, salt, prev: raw.segment_header(T, 1, salt, 8, log.installation, log.incarnation, (ends, prev))
    salt = log.segments[1]["salt"]
    seq = lambda counter: raw.sequence(3, counter)
    yield "torn_header_broken", "even the header of the torn batch is broken", [ed.flip(file, torn_at + 20)], _torn(T, 3, 0, torn_at)
    yield "torn_nothing_arrived", "no block of the batch in flight arrived", [ed.zero(file, torn_at)], _sound(T, 3)
    yield "torn_only_its_second_block", "blocks may arrive in any order", [
        ed.zero(file, torn_at), ed.write(file, torn_at + BLOCK, torn[BLOCK:].rstrip(b"\0"))], _torn(T, 3, 0, torn_at)
    yield "torn_arrived_whole", "the batch in flight arrived whole: it counts, though nobody was told", \
        ed.blocks(file, torn_at, torn), _sound(T, 4)
    yield "torn_other_chain", "whole, but not made behind the batch before it", \
        ed.blocks(file, torn_at, _changed(torn, [(68, b"\0\0\0\0")])), _torn(T, 3, 0, torn_at)
    yield "torn_other_salt", "a whole batch of an earlier life where the next one would be", \
        ed.blocks(file, torn_at, _changed(torn, [(8, struct.pack("<Q", 77))])), _sound(T, 3)
    yield "torn_wrong_count", "all checksums match, but the header counts a record too many: never a torn write", \
        ed.blocks(file, torn_at, _changed(torn, [(32, struct.pack("<I", 9))])), _damage(T, 4)
    yield "torn_unknown_kind", "a record of a kind that a later version may write", \
        ed.blocks(file, torn_at, _changed(torn, [(96, b"\x63")])), \
        {"log": list(T), "verdict": "unsupported", "start": REFUSED}
    yield "torn_unknown_optional_kind", "the same kind with the optional bit: its body is bytes that nobody names", \
        ed.blocks(file, torn_at, _changed(torn, [(96, b"\x63\x01")])), _sound(T, 4)
    for name, within in (("header", 40), ("index", 120), ("body", 3000)):
        yield "damage_%s_before_the_last" % name, "a bit of the %s of a batch that a later header calls durable" % name, \
            [ed.flip(*ed.at(T, 2, within))], _damage(T, 2, 3)
    yield "damage_second_block_lost", "the second block of a durable batch is zeros", \
        [ed.zero(*ed.at(T, 2, BLOCK))], _damage(T, 2, 3)
    yield "damage_batch_lost", "zeros are not the end of a log", [ed.zero(*ed.at(T, 3))], _damage(T, 3, 3)
    yield "damage_several_lost", "all but the torn one is gone", [ed.zero(file, BLOCK, 4 * BLOCK)], _damage(T, 1, 3)
    yield "damage_segment_header_lost", "the first block is zeros", [ed.zero(file, 0)], _damage(T, 1, 3)
    yield "lost_with_its_evidence", "the last durable batch and the only header that knew of it", \
        [ed.zero(*ed.at(T, 3)), ed.zero(file, torn_at)], _sound(T, 2)
    yield "nothing_from_within_a_batch_on", "a batch ends in zeros, and nothing is behind it", \
        [ed.zero(file, 3 * BLOCK, 5 * BLOCK)], _torn(T, 1, 0, 2 * BLOCK)
    yield "open_lost_altogether", "an open segment of zeros: its first batch was durable", \
        [ed.zero(file, 0, 8 * BLOCK)], _damage(T, 1, 1)
    yield "open_header_only", "an open segment without its first batch", \
        [ed.zero(file, BLOCK, 7 * BLOCK)], _damage(T, 1, 1)
    yield "next_header_only", "the next segment has a header and no batch: unused", \
        ed.blocks(after, 0, batch_5(seq(3), salt, log.checksum) + bytes(2 * BLOCK)), \
        {"log": list(T), "verdict": "torn_or_whole", "last": seq(3), "start": SOUND}
    fields = {"salt": salt, "sequence": seq(4), "expiry_clock": 1_000_001, "wall": 1_768_473_001_000_000,
              "durable_upto": seq(3), "settled_upto": seq(2)}
    lead = batch_5(seq(3), salt, log.checksum)
    taken = raw.batch(fields | {"previous": crc(lead[:-4])}, b"", b"", 0)
    yield "taken_over", "the torn batch was given up for another one in the next segment", \
        ed.blocks(after, 0, lead + taken + bytes(BLOCK)), _sound(T, 4)
    lead = batch_5(seq(4), salt, raw.header_checksum(torn))
    later = raw.batch(fields | {"previous": crc(lead[:-4]), "sequence": seq(5), "durable_upto": seq(4)}, b"", b"", 0)
    yield "damage_said_by_the_next_segment", "the next segment begins behind the torn batch: it was durable", \
        ed.blocks(after, 0, lead + later + bytes(BLOCK)), _damage(T, 4, 4)
    yield "damage_said_by_the_next_header_alone", "only the header of the next segment says so", \
        ed.blocks(after, 0, lead + bytes(2 * BLOCK)), _damage(T, 4, 4)
    lead = raw.segment_header(T, 1, salt, 10, log.installation, log.incarnation, (seq(3), log.checksum))
    yield "stale_manifest", "a segment was named by a later manifest than this one", \
        ed.blocks(after, 0, lead), {"log": list(T), "verdict": "stale_manifest", "generation": 10, "start": DAMAGED}
    lead = raw.segment_header(T, 1, salt, 8, b"\7" * 16, log.incarnation, (seq(3), log.checksum))
    yield "damage_foreign_header", "the right salt in the header of another installation", \
        ed.blocks(after, 0, lead), _damage(T, 4) | {"expected": None}


def _take_over(ed):
    """The open log with closed segments, failed writes and a mark."""
    closed, data = ed.segment(A, 0)
    used = len(data) - BLOCK
    second, _ = ed.segment(A, 1)
    third, _ = ed.segment(A, 2)
    failed = ed.at(A, 7)[1] + BLOCK
    yield "closed_behind_its_end", "what lies behind the end of a closed segment is not looked at", \
        [ed.flip(closed, used + 200)], _sound(A, 10)
    yield "closed_cut_to_its_end", "nor need it be there", [ed.truncate(closed, used)], _sound(A, 10)
    yield "closed_body", "a bit of a body in a closed segment", [ed.flip(*ed.at(A, 2, 1000))], _damage(A, 2, 3)
    yield "closed_last_batch_lost", "the last batch of a closed segment: never a torn tail", \
        [ed.zero(*ed.at(A, 3))], _damage(A, 3, 3)
    yield "closed_cut", "a closed segment ends too early", [ed.truncate(closed, used - BLOCK)], _damage(A, 3, 3)
    yield "closed_header", "a bit of the segment header", [ed.flip(closed, 4000)], _damage(A, 1, 3)
    yield "open_behind_its_end", "a failed write behind the end that the next segment states", \
        [ed.flip(second, failed + 10)], _sound(A, 10)
    yield "open_body", "a bit of a body, the log going on in the next segment", [ed.flip(*ed.at(A, 5, 1000))], _damage(A, 5, 9)
    yield "open_mark", "a mark in the middle", [ed.flip(*ed.at(A, 6, 30))], _damage(A, 6, 9)
    yield "next_header", "the header of the segment in use: the failed write before it looks like the end", \
        [ed.flip(third, 50)], _damage(A, 9, 9)
    yield "next_lost_altogether", "all of the last segment is zeros: the write that was repeated there still counts", \
        [ed.zero(third, 0, 4 * BLOCK)], _sound(A, 8)
    yield "mark_says_durable", "the last batch with records is broken, and the mark behind it says that it was durable", \
        [ed.flip(*ed.at(A, 9, 100))], _damage(A, 9, 9)
    yield "mark_missing_too", "without the mark nothing says so", \
        [ed.flip(*ed.at(A, 9, 100)), ed.zero(*ed.at(A, 10))], _torn(A, 8, 2, 2 * BLOCK)
    yield "mark_lost", "only the mark is gone", [ed.zero(*ed.at(A, 10))], _sound(A, 9)
    yield "mark_torn", "only the mark is broken", [ed.flip(*ed.at(A, 10, 92))], _torn(A, 9, 2, 3 * BLOCK)


def _lengths(ed):
    """Files that end before they should."""
    second, third = ed.segment(A, 1), ed.segment(A, 2)
    yield "cut_behind_its_last_batch", "no batch is missing, but its header says that the file was longer", \
        [ed.truncate(third[0], len(third[1]) - BLOCK)], _damage(A, 11)
    yield "cut_between_batches", "the rest looks whole: only the length in its header says that more was there", \
        [ed.truncate(third[0], ed.at(A, 9)[1])], _damage(A, 9)
    yield "cut_to_its_header", "of the last segment only the header is left", [ed.truncate(third[0], BLOCK)], _damage(A, 8)
    yield "cut_behind_the_stated_end", "all that the next segment says of it is there: it is too short all the same", \
        [ed.truncate(second[0], len(second[1]) - BLOCK)], _damage(A, 8)
    yield "cut_within_a_block", "no whole number of blocks", [ed.truncate(third[0], len(third[1]) - 512)], _damage(A, 11)
    old, after = ed.segment(T, 0), ed.segment(T, 1)
    yield "cut_of_unknown_length", "a header from before headers said the length: nothing tells of the rest", \
        [ed.truncate(old[0], 5 * BLOCK)], _sound(T, 3)
    log = ed.directory.logs[T]
    lead = raw.segment_header(T, 1, log.segments[1]["salt"], 8, log.installation, log.incarnation,
                              (raw.sequence(3, 3), log.checksum), BLOCK)
    yield "next_of_impossible_length", "a header that says one block is none: the segment is unused", \
        ed.blocks(after[0], 0, lead + bytes(2 * BLOCK)), \
        {"log": list(T), "verdict": "torn_or_whole", "last": raw.sequence(3, 3), "start": SOUND}


def _erasure(ed):
    """Bodies that were erased, and zeros that were not."""
    file, offset = ed.at(A, 1)
    batch = ed.directory.files[file][offset : offset + 2 * BLOCK]
    index_bytes = struct.unpack_from("<I", batch, 24)[0]
    listed = ed.directory.logs[A].counted[0]["records"]
    sizes = [row["bytes"] for row in listed if row["kind"] == "body"]
    bodies = offset + 96 + index_bytes
    flags = [offset + 96 + at + 2 for at in _starts(batch[96 : 96 + index_bytes])]
    yield "erased", "the body that a durable erasure record lists is zeros, its flag set", [
        ed.zero(file, bodies + sizes[0], sizes[1]), ed.flip(file, flags[1], raw.ERASED)], _sound(A, 10, start=None)
    yield "erased_without_flag", "the list decides, not the flag", \
        [ed.zero(file, bodies + sizes[0], sizes[1])], _sound(A, 10, start=None)
    yield "erased_flag_only", "a flag alone proves and changes nothing", [ed.flip(file, flags[0], raw.ERASED)], _sound(A, 10)
    yield "zeros_not_listed", "a body of zeros that no erasure record lists", [
        ed.zero(file, bodies, sizes[0]), ed.flip(file, flags[0], raw.ERASED)], _damage(A, 1, 3)
    yield "erased_in_part", "listed, but not all zeros", \
        [ed.zero(file, bodies + sizes[0], sizes[1] - 9)], _damage(A, 1, 3)


def _starts(index_part):
    at, out = 0, []
    while at < len(index_part):
        out.append(at)
        at += 16 + -(-struct.unpack_from("<I", index_part, at + 12)[0] // 8) * 8
    return out


def _ended(ed):
    """Ended logs: every deviation is damage."""
    yield "ended_last_segment", "a bit of the one batch of a last segment", [ed.flip(*ed.at(E, 4, 500))], _damage(E, 4, 4)
    yield "ended_last_segment_cut", "a last segment is exact", \
        [ed.truncate(ed.segment(E, 2)[0], BLOCK)], _damage(E, 4, 4)
    yield "failed_first_write_not_read", "of a segment whose first write failed nothing is read", \
        [ed.flip(ed.segment(E, 1)[0], 10, 255), ed.flip(ed.segment(E, 1)[0], 5000, 255)], _sound(E, 4)
    yield "behind_a_gap", "the batch behind a gap is checked like any other", [ed.flip(*ed.at((1, 0), 4, 500))], \
        _damage((1, 0), 4, 4)
    only = (2, 2)
    yield "ended_only_segment", "a log of one batch", [ed.zero(*ed.at(only, 1))], _damage(only, 1, 1)
    yield "never_used", "a next segment full of something else is unused", \
        [ed.flip(ed.segment((3, 2), 0)[0], 4096 + 7, 255)], \
        {"log": [3, 2], "verdict": "torn_or_whole", "last": raw.sequence(3, 0), "start": SOUND}


def starts(directory):
    """(name, about, edits, exit code): what a start says of the directory as a whole."""
    ed = Editor(directory)
    manifest, secret = directory.files["manifest"], directory.files["secret"]
    gone = directory.segment_name(E, 0)
    yield "segment_missing", "a named segment is not there", [{"op": "remove", "file": gone}], DAMAGED
    yield "unused_segment_missing", "nor may an unused one be missing", \
        [{"op": "remove", "file": directory.segment_name((3, 2), 0)}], DAMAGED
    in_use = directory.segment_name(T, 0)
    yield "segment_in_use_empty", "a segment in use is never empty", [ed.truncate(in_use, 0)], DAMAGED
    yield "segment_in_use_cut", "nor of a length that is not whole blocks", [ed.truncate(in_use, 10_000)], DAMAGED
    yield "manifest_missing", "segments without a manifest", [{"op": "remove", "file": "manifest"}], DAMAGED
    yield "manifest_bit", "one bit of the manifest", [ed.flip("manifest", 200)], DAMAGED
    yield "manifest_cut", "the manifest is cut", [ed.truncate("manifest", len(manifest) - 1)], DAMAGED
    newer = raw.sealed(manifest[:8] + struct.pack("<I", 3) + manifest[12:-4])
    yield "manifest_newer", "a directory of a later format", [ed.write("manifest", 0, newer)], REFUSED
    yield "manifest_new_left_over", "a replacement that was never renamed is void", \
        [ed.write("manifest.new", 0, manifest[:100])], SOUND
    yield "end_mark", "an end mark names another last batch", \
        [ed.write("manifest", 0, _other_end(directory))], DAMAGED
    yield "secret_missing", "logs without their secret", [{"op": "remove", "file": "secret"}], REFUSED
    yield "secret_bit", "one bit of the secret", [ed.flip("secret", 30)], REFUSED
    yield "secret_of_another", "the secret of another installation", \
        [ed.write("secret", 0, raw.secret(b"\5" * 16, secret[28:44]))], REFUSED
    void = lambda generation, installation: raw.segment_header(
        (3, 9), 0, 5, generation, installation, directory.manifest["incarnation"])
    ours = directory.manifest["installation"]
    name = "segment-%016x.wal" % 200
    yield "void_segment", "a segment that no manifest names, of an earlier generation: void", \
        [ed.write(name, 0, void(9, ours))], SOUND
    yield "void_segment_of_a_later_manifest", "then the manifest is an old copy", [ed.write(name, 0, void(10, ours))], DAMAGED
    yield "void_segment_of_another_installation", "not ours to remove", [ed.write(name, 0, void(1, b"\7" * 16))], REFUSED


def _other_end(directory):
    manifest = dict(directory.manifest)
    manifest["logs"] = [dict(it) for it in manifest["logs"]]
    ended = next(it for it in manifest["logs"] if it["log"] == E)
    ended["ended_at"] = (ended["ended_at"][0], ended["ended_at"][1] ^ 1)
    return raw.manifest(manifest)


def all_of(directory):
    """(name, about, edits, expected) of each variant."""
    ed = Editor(directory)
    for group in (_tail, _take_over, _lengths, _erasure, _ended):
        yield from group(ed)
