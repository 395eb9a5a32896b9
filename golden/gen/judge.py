"""A strict reader of record bodies, and the answer that a gateway owes each of them.

Owns parsing, field rules and the order of refusals.  Every expectation in the case tables is
written by hand and checked against this module, so that both must be wrong to be wrong.
"""

import json
import re
from dataclasses import dataclass

from . import canonical, keyring, verdict

BODY_BYTES_MAX = 1 << 20
DEPTH_MAX = 32
MEMBERS_MAX = 1024
EPOCH_MAX = 2**53 - 1
SCALE_MAX = 2**31 - 1
COUNT_MAX = 2**53 - 1
TEXT_BYTES_MAX = 128

SCHEMA = "fractal-lba-kakeya"
FIELDS = (
    "pcs_id schema version shard_id epoch attempt sent_at seed scales N_j coh_star v_star D_hat r budget regime"
    " merkle_root sig ft"
).split()
FT_FIELDS = ("outbox_seq", "degraded", "fallbacks", "clock_skew_ms")


class Refusal(Exception):
    """A body that gets a problem instead of an outcome."""

    def __init__(self, status: int, code: str, why: str):
        super().__init__(why)
        self.status, self.code, self.why = status, code, why


class Number(str):
    """The text of a JSON number, kept so that 1 and 1.0 stay different."""


@dataclass
class Record:
    """A parsed record: the fields that signing, identity or verification look at."""

    pcs_id: str
    shard_id: str
    epoch: int
    merkle_root: str
    scales: list
    n_j: dict
    coh_star: float
    d_hat: float
    r: float
    budget: float
    regime: str
    degraded: bool
    sig: object
    attempt: int


@dataclass
class Answer:
    """Status and, where there is one, the code, the record and its verdict."""

    status: int
    code: str | None = None
    record: Record | None = None
    verdict: object = None
    why: str | None = None


def _malformed(why):
    return Refusal(400, "malformed_json", why)


def _pairs(pairs):
    if len(pairs) > MEMBERS_MAX:
        raise _malformed("more than %d members" % MEMBERS_MAX)
    out = {}
    for key, value in pairs:
        if key in out:
            raise _malformed("duplicate key")
        out[key] = value
    return out


def _number(text):
    if float(text) in (float("inf"), float("-inf")):
        raise _malformed("number overflows a double")
    return Number(text)


def _constant(text):
    raise _malformed("%s is not JSON" % text)


def _walk(value, depth):
    """Depth counts arrays and objects, the record itself being the first."""
    if isinstance(value, (dict, list)):
        if depth >= DEPTH_MAX:
            raise _malformed("nested deeper than %d" % DEPTH_MAX)
        for item in value if isinstance(value, list) else value.values():
            _walk(item, depth + 1)
        for key in value if isinstance(value, dict) else ():
            _walk(key, depth)
    elif isinstance(value, str) and any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise _malformed("lone surrogate")


def read_json(body: bytes) -> dict:
    """One strict JSON object."""
    try:
        text = body.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_pairs, parse_int=_number, parse_float=_number, parse_constant=_constant
        )
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise _malformed(type(error).__name__) from error
    if not isinstance(value, dict):
        raise _malformed("not an object")
    _walk(value, 0)
    return value


def _invalid(name):
    return Refusal(400, "invalid_field", "%s breaks its rule" % name)


def _integer(value, name, low, high):
    if not isinstance(value, Number) or not re.fullmatch(r"-?[0-9]+", value):
        raise _invalid(name)
    if not low <= int(value) <= high:
        raise _invalid(name)
    return int(value)


def _double(value, name):
    if not isinstance(value, Number):
        raise _invalid(name)
    return float(value)


def _text(value, name):
    if not isinstance(value, str) or isinstance(value, Number):
        raise _invalid(name)
    return value


def _sized(value, name, low, high):
    if not low <= len(_text(value, name).encode("utf-8")) <= high:
        raise _invalid(name)
    return value


def _list(value, name, low, high):
    if not isinstance(value, list) or not low <= len(value) <= high:
        raise _invalid(name)
    return value


_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-](\d\d):(\d\d))", re.ASCII
)


def _date_time(value, name):
    match = _RFC3339.fullmatch(_text(value, name))
    if not match:
        raise _invalid(name)
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    leap_year = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = [31, 29 if leap_year else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    fits = 1 <= month <= 12 and 1 <= day <= days[month - 1] and hour < 24 and minute < 60 and second <= 60
    if match[9] is not None:
        fits = fits and int(match[9]) < 24 and int(match[10]) < 60
    if not fits:
        raise _invalid(name)


def _version(value):
    match = re.fullmatch(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))?", _text(value, "version"))
    if not match:
        raise _invalid("version")
    if match[1] != "0":
        raise Refusal(400, "unsupported_version", "another major version")


def _scales(value):
    scales = [_integer(item, "scales", 1, SCALE_MAX) for item in _list(value, "scales", 2, 64)]
    if len(set(scales)) != len(scales):
        raise _invalid("scales")
    return scales


def _counts(value, scales):
    if not isinstance(value, dict) or set(value) != {str(s) for s in scales}:
        raise _invalid("N_j")
    return {s: _integer(value[str(s)], "N_j", 1, COUNT_MAX) for s in scales}


def _ft(value):
    if not isinstance(value, dict):
        raise _invalid("ft")
    for name in FT_FIELDS:
        if name not in value:
            raise Refusal(400, "missing_field", "ft." + name)
    _integer(value["outbox_seq"], "ft.outbox_seq", -(2**63), 2**63 - 1)
    _integer(value["clock_skew_ms"], "ft.clock_skew_ms", -(2**63), 2**63 - 1)
    if not isinstance(value["degraded"], bool):
        raise _invalid("ft.degraded")
    if not isinstance(value["fallbacks"], list):
        raise _invalid("ft.fallbacks")
    for item in value["fallbacks"]:
        _text(item, "ft.fallbacks")
    return value["degraded"]


def parse(body: bytes) -> Record:
    """All that is checked before the signature.  The forms of pcs_id and merkle_root are not."""
    if len(body) > BODY_BYTES_MAX:
        raise Refusal(413, None, "body larger than the limit")
    value = read_json(body)
    for name in FIELDS:
        if name not in value and name != "sig":
            raise Refusal(400, "missing_field", name)
    if _text(value["schema"], "schema") != SCHEMA:
        raise Refusal(400, "unsupported_schema", "another schema")
    _version(value["version"])
    _integer(value["attempt"], "attempt", 1, COUNT_MAX)
    _date_time(value["sent_at"], "sent_at")
    _integer(value["seed"], "seed", -(2**63), 2**63 - 1)
    for item in _list(value["v_star"], "v_star", 1, 4096):
        _double(item, "v_star")
    if _text(value["regime"], "regime") not in ("sticky", "mixed", "non_sticky"):
        raise _invalid("regime")
    scales = _scales(value["scales"])
    return Record(
        pcs_id=_text(value["pcs_id"], "pcs_id"),
        shard_id=_sized(value["shard_id"], "shard_id", 1, TEXT_BYTES_MAX),
        epoch=_integer(value["epoch"], "epoch", 0, EPOCH_MAX),
        merkle_root=_text(value["merkle_root"], "merkle_root"),
        scales=scales,
        n_j=_counts(value["N_j"], scales),
        coh_star=_double(value["coh_star"], "coh_star"),
        d_hat=_double(value["D_hat"], "D_hat"),
        r=_double(value["r"], "r"),
        budget=_double(value["budget"], "budget"),
        regime=value["regime"],
        degraded=_ft(value["ft"]),
        sig=value.get("sig"),
        attempt=int(value["attempt"]),
    )


def authenticate(record: Record, scheme: str, key_names):
    """401 for whatever is wrong with the signature, or with texts too long to be looked at."""
    for text in (record.pcs_id, record.merkle_root):
        if len(text.encode("utf-8")) > TEXT_BYTES_MAX:
            raise Refusal(401, "signature_invalid", "identity text too long")
    if not isinstance(record.sig, str) or isinstance(record.sig, Number):
        raise Refusal(401, "signature_invalid", "no signature")
    if not keyring.check(scheme, key_names, record, record.sig):
        raise Refusal(401, "signature_invalid", "no active key verifies it")


def identify(record: Record):
    """The forms that are looked at only behind a valid signature."""
    if not re.fullmatch(r"[0-9a-fA-F]{1,128}", record.merkle_root):
        raise _invalid("merkle_root")
    if record.pcs_id != canonical.pcs_id(record.merkle_root, record.epoch, record.shard_id):
        raise Refusal(400, "pcs_id_mismatch", "pcs_id is not what its rule gives")


def judge(body: bytes, scheme: str, key_names) -> Answer:
    """The first answer to a body that no earlier record shares its id with."""
    record = None
    try:
        record = parse(body)
        authenticate(record, scheme, key_names)
        identify(record)
    except Refusal as refusal:
        return Answer(refusal.status, refusal.code, record, why=refusal.why)
    found = verdict.verify(record)
    return Answer(found.status, None, record, found)
