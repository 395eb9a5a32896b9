"""Manifests and secrets: whole ones, and those that must be refused, each for one rule of the format page.

Owns which rules have a vector.  The bytes are spelt by wal_bytes.
"""

import struct

from . import wal
from . import wal_bytes as raw
from .wal_writer import hex64

STATES = ("next", "open", "closed", "last")


CLOCK_BASE = 1
CLOCK_BEGIN = 1_767_225_600


def as_read(one):
    """A manifest on the clock of now.  That of version 1 counted from the installation; its mark says when that was."""
    if one["version"] > 1:
        return one
    base = max(0, max(0, one["wall"] // 1_000_000 - CLOCK_BEGIN) - one["expiry_clock"])
    times = ("decided_first", "decided_last", "expiry_max")
    slices = [it | {name: min(it[name] + base, 2**32 - 1) for name in times} for it in one["slices"]]
    section = (CLOCK_BASE, 0, struct.pack("<II", base, one["start"]))
    return one | {"expiry_clock": one["expiry_clock"] + base, "slices": slices, "sections": [section]}


def shown_segment(one):
    """A segment of a manifest as JSON."""
    out = {"ordinal": one["ordinal"], "state": STATES[one["state"]], "file": one["file"], "salt": hex64(one["salt"]),
           "generation": one["generation"]}
    if one["state"] in (raw.CLOSED, raw.LAST):
        out |= {name: one[name] for name in ("first", "last", "bytes", "checksum")}
    if "packed" in one:
        out |= {"state": "packed", "packed": {"salt": hex64(one["packed"][0]), "bytes": one["packed"][1]}}
    return out


def shown(one):
    """A manifest as JSON."""
    out = {name: one[name].hex() for name in ("installation", "node", "incarnation", "secret")}
    out |= {name: one[name] for name in ("generation", "start", "wall", "expiry_clock", "withheld", "next_file", "spares")}
    out["clean_stop"] = bool(one["clean_stop"])
    out["logs"] = [
        {"log": list(it["log"]), "incarnation": it["incarnation"].hex(), "settled_upto": it["settled_upto"],
         "ended_at": it["ended_at"] and {"sequence": it["ended_at"][0], "checksum": it["ended_at"][1]},
         "segments": [shown_segment(segment) for segment in it["segments"]]} for it in one["logs"]]
    out["gaps"] = [{"log": list(log), "first": first, "last": last} for log, first, last in one["gaps"]]
    base, held, restored, lost = (dict(_known(one)).get(kind) for kind in (1, 2, 3, 4))
    out["sections"] = {"clock_base_of_format_1": base, "holds": held or [], "restored_from": restored, "released": lost or []}
    out["slices"] = [it | {"id": hex64(it["id"]), "covers": [{"log": list(log), "upto": upto} for log, upto in it["covers"]]}
                     for it in one["slices"]]
    return out


def _known(one):
    """(kind, what it says) of the sections that this version knows."""
    shown_uptos = lambda them: [{"log": list(log), "upto": upto} for log, upto in them]
    for kind, _, content in one["sections"]:
        if kind == CLOCK_BASE:
            yield kind, dict(zip(("base", "upto_start"), struct.unpack("<II", content)))
        elif kind == 2:
            yield kind, [it | {"done": shown_uptos(it["done"])} for it in HOLDS]
        elif kind == 3:
            yield kind, {"incarnation": RESTORED[0].hex(), "taken": shown_uptos(RESTORED[1])}
        elif kind == 4:
            yield kind, [it | {"log": list(it["log"])} for it in RELEASED]


HOLDS = [
    {"name": "backup", "owner": "the nightly backup", "bytes_max": 2**40, "age_max": 86_400, "made_at": 7, "moved_at": 8,
     "done": [((1, 0), raw.sequence(1, 9)), ((2, 65535), raw.sequence(2, 0))]},
    {"name": "n" * 64, "owner": "", "bytes_max": 0, "age_max": 2**32 - 1, "made_at": 0, "moved_at": 0, "done": []},
]
RESTORED = (b"\5" * 16, [((1, 0), raw.sequence(1, 9))])
RELEASED = [
    {"hold": "n" * 64, "log": (2, 0), "first": raw.sequence(2, 1), "last": raw.sequence(2, 2**40 - 1), "at": 2**32 - 1},
    {"hold": "backup", "log": (1, 0), "first": raw.sequence(1, 10), "last": raw.sequence(1, 10), "at": 9},
]
SECTIONS = [(CLOCK_BASE, 0, struct.pack("<II", 27_000_000, 1)), (2, 0, raw.holds(HOLDS)), (3, 0, RESTORED[0] + raw.uptos(RESTORED[1])),
            (4, 0, raw.released(RELEASED)), (77, 1, b"of a later version"), (78, 1, b"")]


def _segment(ordinal, file, state=raw.NEXT, **more):
    one = {"ordinal": ordinal, "state": state, "file": file, "salt": 0xFEDC_BA98_7654_3210 + file, "generation": 3}
    if state in (raw.CLOSED, raw.LAST):
        one |= {"first": raw.sequence(2, 1), "last": raw.sequence(2, 5), "bytes": 40960, "checksum": 0xDEADBEEF}
    return one | more


def _log(number, segments, start=2, ended_at=None):
    return {"log": (start, number), "incarnation": wal.INCARNATION, "ended_at": ended_at,
            "settled_upto": raw.sequence(start, 2), "segments": segments}


END = (raw.sequence(2, 5), 0xDEADBEEF)


def everything(form):
    """All lists, all states."""
    logs = [
        _log(0, [_segment(0, 0, raw.CLOSED), _segment(1, 1, raw.CLOSED, first=raw.sequence(2, 6), bytes=0),
                 _segment(2, 2, raw.OPEN), _segment(3, 3)]),
        _log(1, [_segment(7, 4, raw.CLOSED), _segment(8, 5, raw.LAST)], ended_at=END),
        _log(2, [], start=1, ended_at=(raw.sequence(1, 0), 0)),
        _log(65535, [_segment(0, 6)]),
    ]
    slices = [{"file": 8, "id": 2**64 - 1, "decided_first": 10, "decided_last": 20, "expiry_max": 2**32 - 1, "checksum": 77,
               "entries": 3, "bytes": 2**40, "covers": [((1, 0), raw.sequence(1, 9)), ((2, 65535), raw.sequence(2, 4))]},
              {"file": 9, "id": 1, "decided_first": 20, "decided_last": 21, "expiry_max": 22, "checksum": 0, "entries": 1,
               "bytes": 40960, "covers": []}]
    return wal.manifest_of(form, logs, sections=SECTIONS if form.version > 1 else [], generation=2**40, gaps=[((2, 0), raw.sequence(2, 7), raw.sequence(2, 9))], spares=[10, 7],
                           slices=slices, next_file=2**40, clean_stop=1, withheld=2**33)


def _refused(form):
    """(name, about, bytes) of manifests whose checksum holds but that break a rule."""
    def made(*logs, **more):
        return raw.manifest(wal.manifest_of(form, list(logs), **({"generation": 4, "start": 2, "next_file": 20} | more)))

    def patched(data, at, new):
        return raw.sealed(data[:at] + new + data[at + len(new) : -4])

    plain = made(_log(0, [_segment(0, 0)]))
    yield "flag", "an unknown flag", patched(plain, 100, b"\2")
    yield "reserved", "a reserved field that is not zero", patched(plain, 116, b"\1")
    yield "file_twice", "one file for two segments", made(_log(0, [_segment(0, 1), _segment(1, 1)]))
    yield "file_spare_too", "a spare that is a segment", made(_log(0, [_segment(0, 1)]), spares=[1])
    yield "file_not_given_out", "a file number that was not given out yet", made(_log(0, [_segment(0, 20)]))
    yield "log_twice", "a log named twice", made(_log(0, [_segment(0, 1)]), _log(0, [_segment(0, 2)]))
    yield "later_start", "a log of a later start", made(_log(0, [_segment(0, 1)], start=3))
    yield "start_number", "a start number of 25 bits", made(start=1 << 24)
    yield "later_generation", "a segment of a later generation", made(_log(0, [_segment(0, 1, generation=5)]))
    yield "hole", "ordinals that do not grow by one", made(_log(0, [_segment(0, 1), _segment(2, 2)]))
    yield "open_before_closed", "states out of order", made(_log(0, [_segment(0, 1, raw.OPEN), _segment(1, 2, raw.CLOSED)]))
    yield "next_before_open", "states out of order", made(_log(0, [_segment(0, 1), _segment(1, 2, raw.OPEN)]))
    yield "two_open", "two open segments", made(_log(0, [_segment(0, 1, raw.OPEN), _segment(1, 2, raw.OPEN)]))
    yield "last_not_ended", "a last segment of a log that has not ended", made(_log(0, [_segment(0, 1, raw.LAST)]))
    yield "open_ended", "an open segment of an ended log", made(_log(0, [_segment(0, 1, raw.OPEN)], ended_at=END))
    yield "next_ended", "a next segment of an ended log", made(_log(0, [_segment(0, 1)], ended_at=END))
    yield "state", "an unknown state", made(_log(0, [_segment(0, 1, 4)]))
    ended_at = 136 + 4 + 8 + 16 + 8
    yield "end_mark", "an end mark that is neither 0 nor 1", patched(plain, ended_at, b"\2")
    yield "list_too_long", "a list longer than the file", patched(plain, 136, struct.pack("<I", 2**31))
    yield "something_behind", "bytes behind the last list", raw.sealed(_length(plain[:-4] + bytes(4)))
    if form.version > 1:
        yield from _refused_sections(made)
    yield "length", "a length that is not the file's", raw.sealed(plain[:20] + struct.pack("<I", len(plain) + 4) + plain[24:-4])
    yield "magic", "not a manifest", patched(plain, 0, b"flk-MANI")
    yield "checksum", "one bit changed", plain[:60] + bytes([plain[60] ^ 1]) + plain[61:]
    yield "cut", "the last byte is missing", plain[:-1]
    yield "empty", "nothing at all", b""


def _refused_sections(made):
    base, later = SECTIONS[0], SECTIONS[-1]
    hold = lambda **other: made(sections=[(2, 0, raw.holds([HOLDS[0] | other]))])
    cut = lambda content: made(sections=[(*base[:2], content)])
    yield "section_twice", "a section of one kind twice", made(sections=[base, base])
    yield "sections_out_of_order", "kinds that do not ascend", made(sections=[later, base])
    yield "section_flag", "an unknown flag of a section", made(sections=[(78, 3, b"")])
    yield "section_known_optional", "a known section that is optional", made(sections=[(1, 1, base[2])])
    yield "section_short", "a known section that is too short", cut(base[2][:3])
    yield "section_long", "a known section that is too long", cut(base[2] + b"\0")
    yield "hold_without_name", "a hold without a name", hold(name="")
    yield "hold_name", "a name of a hold with a space", hold(name="two words")
    yield "hold_twice", "two holds of one name", made(sections=[(2, 0, raw.holds([HOLDS[0], HOLDS[0]]))])
    yield "hold_moved", "a hold that moved before it was made", hold(moved_at=6)
    yield "hold_log_twice", "a log of a hold twice", hold(done=[HOLDS[0]["done"][0]] * 2)
    yield "hold_sequence", "a sequence of another log", hold(done=[((1, 0), raw.sequence(2, 9))])
    lost = lambda content: made(sections=[(2, 0, raw.holds(HOLDS)), (4, 0, content)])
    released = lambda **other: lost(raw.released([RELEASED[1] | other]))
    yield "released_unknown_hold", "a range of a hold that there is not", released(hold="archive")
    yield "released_backwards", "a range that ends before it begins", released(last=raw.sequence(1, 9))
    yield "released_sequence", "a range of another log", released(log=(2, 0))
    yield "released_two_starts", "a range over two starts", released(last=raw.sequence(2, 1))
    content = raw.released([RELEASED[1]])
    yield "released_reserved", "a reserved field of a range that is not zero", lost(content[:7] + b"\1" + content[8:])
    yield "restored_log_twice", "a log of a restored directory twice", \
        made(sections=[(3, 0, RESTORED[0] + raw.uptos(RESTORED[1] * 2))])
    yield from _refused_packed(made)


def _refused_packed(made):
    def packed(*rows, state=raw.CLOSED, **more):
        content = struct.pack("<I", len(rows)) + b"".join(struct.pack("<QQQ", *it) for it in rows)
        segments = [_segment(0, 1, state, **more), _segment(1, 2, state, **more)]
        return made(_log(0, segments), sections=[(5, 0, content)])

    yield "packed_none", "a section of packed segments without one", packed()
    yield "packed_open", "a packed segment that is not closed", packed((1, 5, 12288), state=raw.NEXT)
    yield "packed_unnamed", "a packed file that is no segment's", packed((3, 5, 12288))
    yield "packed_twice", "a packed file twice", packed((1, 5, 12288), (1, 5, 12288))
    yield "packed_order", "packed files that do not ascend", packed((2, 5, 12288), (1, 5, 12288))
    yield "packed_empty", "a packed segment without a batch", packed((1, 5, 12288), first=raw.sequence(2, 6), bytes=0)
    yield "packed_length", "a packed file that is no whole number of blocks", packed((1, 5, 12289))
    yield "packed_short", "a packed file of two blocks", packed((1, 5, 8192))


def _length(data: bytes) -> bytes:
    return data[:20] + struct.pack("<I", len(data) + 4) + data[24:]


def vectors(form):
    """The list for the index."""
    out = []
    fresh = wal.manifest_of(form, [], generation=1, start=0, next_file=0, wall=0, expiry_clock=0, withheld=0)
    for name, about, one in (("fresh", "an installation that nobody started yet", fresh),
                             ("everything", "all lists and all states", everything(form))):
        out.append({"name": name, "about": about, "verdict": "whole", "hex": raw.manifest(one).hex(), "fields": shown(as_read(one))})
    out += [{"name": name, "about": about, "verdict": "refused", "hex": data.hex()} for name, about, data in _refused(form)]
    newer = raw.sealed(_length(raw.manifest(fresh, 3, (7, 8, 9))[:-4] + b"what a later version adds!"))
    out.append({"name": "newer", "about": "of a later format: to be refused by the name of the oldest flk that reads it, not as damaged",
                "verdict": "newer", "version": 3, "readable_since": [7, 8, 9], "hex": newer.hex()})
    if form.version > 1:
        later = raw.manifest(fresh | {"sections": [(77, 0, b"of a later version")]})
        out.append({"name": "newer_section", "about": "a section of a later version that may not be left aside",
                    "verdict": "newer_section", "kind": 77, "hex": later.hex()})
    return out


def secrets():
    """Secret files."""
    plain = raw.secret(wal.SECRET_ID, wal.SECRET_KEY)
    rows = (("whole", "as in wal/v1", "whole", plain), ("checksum", "one bit of the key changed", "refused", plain[:30] + bytes([plain[30] ^ 1]) + plain[31:]),
            ("version", "of a later version", "refused", raw.secret(wal.SECRET_ID, wal.SECRET_KEY, 2)),
            ("magic", "not a secret", "refused", raw.sealed(b"flk-SECR" + plain[8:-4])),
            ("short", "a byte is missing", "refused", plain[:-1]), ("long", "a byte too many", "refused", plain + b"\0"))
    return [{"name": name, "about": about, "verdict": verdict, "hex": data.hex()} for name, about, verdict, data in rows]
