"""Building record bodies: defaults, derived fields, exact number spellings, signatures.

Owns how a test record is written down.  Never decides what a gateway answers to it.
"""

import hashlib
import json
from types import SimpleNamespace

from . import canonical, keyring, signals

ORDER = (
    "pcs_id schema version shard_id epoch attempt sent_at seed scales N_j coh_star v_star D_hat r budget regime"
    " merkle_root sig ft"
).split()


class Lit(str):
    """JSON text that is put into the body exactly as it stands."""


DROP = object()


def as_float(value, otherwise=0.0) -> float:
    """The double that a spelling names."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return otherwise


def json_text(value) -> str:
    """JSON of a value; strings keep their characters, spellings are kept verbatim."""
    if isinstance(value, Lit):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join("%s: %s" % (json_text(k), json_text(v)) for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(json_text(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def write(fields: dict) -> bytes:
    """A body with one member a line, as a person would want to read it."""
    lines = ",\n".join("  %s: %s" % (json_text(k), json_text(v)) for k, v in fields.items())
    return ("{\n" + lines + "\n}\n").encode("utf-8")


def write_compact(fields: dict) -> bytes:
    """The same body without any white space, as an agent sends it."""
    spaced = json.loads(write(fields), parse_float=Lit, parse_int=Lit)

    def tight(value):
        if isinstance(value, dict):
            return "{" + ",".join("%s:%s" % (tight(k), tight(v)) for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ",".join(tight(v) for v in value) + "]"
        return json_text(value)

    return tight(spaced).encode("utf-8")


def signed_view(fields: dict):
    """The eight signed values of a body; whatever cannot be read counts as a default."""
    return SimpleNamespace(
        d_hat=as_float(fields.get("D_hat")),
        budget=as_float(fields.get("budget")),
        coh_star=as_float(fields.get("coh_star")),
        r=as_float(fields.get("r")),
        epoch=int(as_float(fields.get("epoch"))) if not isinstance(fields.get("epoch"), int) else fields["epoch"],
        merkle_root=str(fields.get("merkle_root")),
        pcs_id=str(fields.get("pcs_id")),
        shard_id=str(fields.get("shard_id")),
    )


def record(name: str, scheme: str = keyring.HMAC, key: str = "testsecret", **given) -> dict:
    """A sound, signed record of its own id, with `given` fields replaced or dropped.

    Identity, D_hat, regime and budget follow from the rest unless given.  A field that is
    dropped or broken after signing belongs into `after`.
    """
    after = given.pop("after", {})
    fields = {
        "schema": "fractal-lba-kakeya",
        "version": "0.1",
        "shard_id": "golden/" + name,
        "epoch": 1700000000,
        "attempt": 1,
        "sent_at": "2026-01-15T10:30:00Z",
        "seed": 42,
        "scales": [2, 4, 8],
        "N_j": {"2": 4, "4": 10, "8": 26},
        "coh_star": 0.75,
        "v_star": [0.0, 0.6, 0.8],
        "r": 0.5,
        "merkle_root": hashlib.sha256(("golden root " + name).encode()).hexdigest(),
        "ft": {"outbox_seq": 7, "degraded": False, "fallbacks": [], "clock_skew_ms": 0},
    }
    fields.update(given)
    scales = [int(s) for s in fields["scales"]]
    derived = {"D_hat": lambda: signals.d_hat(scales, {int(k): int(v) for k, v in fields["N_j"].items()})}
    derived["regime"] = lambda: signals.regime(as_float(fields["D_hat"]), as_float(fields["coh_star"]))
    derived["budget"] = lambda: signals.budget(*(as_float(fields[k]) for k in ("D_hat", "r", "coh_star")))
    derived["pcs_id"] = lambda: canonical.pcs_id(str(fields["merkle_root"]), int(fields["epoch"]), fields["shard_id"])
    for field, make in derived.items():
        if field not in fields:
            fields[field] = make()
    fields["sig"] = keyring.b64(keyring.sign(scheme, key, signed_view(fields)))
    fields.update(after)
    known = {k: fields[k] for k in ORDER if fields.get(k, DROP) is not DROP}
    return known | {k: v for k, v in fields.items() if k not in ORDER}
