"""The canonical signing payload and its digest.

Owns escaping, member order and the two number forms.  Never signs and never judges.
"""

import hashlib

from . import number_text

SHORTEST = "shortest"
FIXED9 = "fixed9"
FORMS = (SHORTEST, FIXED9)

_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def _units(char: str) -> str:
    """One character as UTF-16 escapes: a surrogate pair above U+FFFF."""
    code = ord(char)
    if code <= 0xFFFF:
        return "\\u%04x" % code
    code -= 0x10000
    return "\\u%04x\\u%04x" % (0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF))


def quote(text: str) -> str:
    """A JSON string that is pure printable ASCII; DEL is escaped like any control."""
    out = ['"']
    for char in text:
        if char in _SHORT:
            out.append(_SHORT[char])
        elif " " <= char <= "~":
            out.append(char)
        else:
            out.append(_units(char))
    out.append('"')
    return "".join(out)


def number(value: float, form: str) -> str:
    """A float of the payload: rounded first, then written in the chosen form."""
    if form == FIXED9:
        return number_text.fixed9(value)
    return number_text.shortest(number_text.round9(value))


def payload(record, form: str) -> bytes:
    """The eight signed members in byte order, without a space."""
    members = (
        ("D_hat", number(record.d_hat, form)),
        ("budget", number(record.budget, form)),
        ("coh_star", number(record.coh_star, form)),
        ("epoch", str(record.epoch)),
        ("merkle_root", quote(record.merkle_root)),
        ("pcs_id", quote(record.pcs_id)),
        ("r", number(record.r, form)),
        ("shard_id", quote(record.shard_id)),
    )
    return ("{" + ",".join('"%s":%s' % member for member in members) + "}").encode("ascii")


def digest(data: bytes) -> bytes:
    """SHA-256 of the payload: what is signed, and what dedup compares."""
    return hashlib.sha256(data).digest()


def pcs_id(merkle_root: str, epoch: int, shard_id: str) -> str:
    """The identity of a record: root, epoch and shard, nothing else."""
    return hashlib.sha256(("%s|%d|%s" % (merkle_root, epoch, shard_id)).encode("utf-8")).hexdigest()
