"""vectors/keys.json and vectors/keyhash.json: key texts, refused keys and the keyed hash."""

from . import curve, keyring, siphash
from .canonical import pcs_id


def _key_texts():
    """What a configured text or file means, as the bytes of each key."""
    def row(source, text, keys):
        return {"source": source, "text": text, "keys_hex": [key.encode().hex() for key in keys]}

    return [
        row("PCS_HMAC_KEY", "testsecret", ["testsecret"]),
        row("PCS_HMAC_KEY", "dGVzdHNlY3JldA==", ["dGVzdHNlY3JldA=="]),
        row("PCS_HMAC_KEY", "a,b", ["a,b"]),
        row("PCS_HMAC_KEYS", "old,new", ["old", "new"]),
        row("PCS_HMAC_KEYS", "only", ["only"]),
        row("PCS_HMAC_KEYS", " a , b ", [" a ", " b "]),
        row("file", "testsecret\n", ["testsecret"]),
        row("file", "testsecret", ["testsecret"]),
        row("file", "testsecret\n\n", ["testsecret\n"]),
        row("file", " testsecret \n", [" testsecret "]),
    ]


def _refused_ed25519():
    rows = []
    for data in curve.small_order_encodings():
        point = curve.decode(data)
        order = next(k for k in (1, 2, 4, 8) if curve.times(k, point) == curve.IDENTITY)
        rows.append({"public_b64": keyring.b64(data), "why": "order %d" % order})
    public = keyring.ed25519_public(keyring.ED25519_KEYS["agent-a"])
    rows.append({"public_b64": keyring.b64(public[:31]), "why": "31 bytes"})
    rows.append({"public_b64": keyring.b64(public + b"\0"), "why": "33 bytes"})
    rows.append({"public_b64": keyring.b64(public).rstrip("="), "why": "padding left out"})
    rows.append({"public_b64": public.hex(), "why": "hex instead of base64"})
    off_curve = next(bytes([n]) + bytes(31) for n in range(2, 256) if curve.decode(bytes([n]) + bytes(31)) is None)
    rows.append({"public_b64": keyring.b64(off_curve), "why": "not a point of the curve"})
    return rows


def _keyhash():
    secrets = (bytes(range(16)), bytes(16), bytes.fromhex("f0e1d2c3b4a5968778695a4b3c2d1e0f"))
    ids = (pcs_id("00" * 32, 0, "s"), pcs_id("ab" * 32, 1700000000, "東京"), "")
    pairs = [(tenant, one) for tenant in ("default", "a", "A", "tenant-0.1_B", "t" * 64) for one in ids]
    pairs += [("ab", "c"), ("a", "bc"), ("", "abc")]
    return [
        {"secret": secret.hex(), "tenant": tenant, "pcs_id": one,
         "hash": siphash.key_of(secret, tenant, one).hex()}
        for secret in secrets for tenant, one in pairs
    ]


def _plain_siphash():
    key = bytes(range(16))
    return [
        {"key": key.hex(), "input": bytes(range(n)).hex(), "hash": siphash.siphash128(key, bytes(range(n))).hex()}
        for n in range(64)
    ]


def add(tree):
    """Adds the group to the tree."""
    hmac_keys = [
        {"name": name, "text": text, "bytes_hex": text.encode().hex(), "about": about}
        for name, (text, about) in keyring.HMAC_KEYS.items()
    ]
    ed25519 = [
        {"name": name, "seed_b64": keyring.b64(seed), "public_b64": keyring.b64(keyring.ed25519_public(seed))}
        for name, seed in keyring.ED25519_KEYS.items()
    ]
    tree.add_json("vectors/keys.json", {
        "warning": "published test keys: never sign anything real with them",
        "hmac": hmac_keys, "hmac_texts": _key_texts(), "ed25519": ed25519, "ed25519_refused": _refused_ed25519(),
    })
    tree.add_json("vectors/keyhash.json", {"keyed": _keyhash(), "siphash_2_4_128": _plain_siphash()})
