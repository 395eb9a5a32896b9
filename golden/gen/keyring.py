"""Test keys, schemes, and signing and checking with them.

Owns every secret of the vectors; all of them are public by being here, so none may ever
sign anything real.  Never decodes an HMAC key: its text is its bytes.
"""

import base64
import binascii
import hashlib
import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from . import canonical

HMAC = "hmac-sha256"
ED25519 = "ed25519"
HMAC_PAYLOAD = "hmac-sha256-payload"
FIXED_SUFFIX = ";num=fixed9"
BASES = (HMAC, ED25519, HMAC_PAYLOAD)
SCHEMES = tuple(base + suffix for base in BASES for suffix in ("", FIXED_SUFFIX))

# name -> (text, what it is there for)
HMAC_KEYS = {
    "testsecret": ("testsecret", "the key that examples, drills and the end-to-end suite use"),
    "one-byte": ("k", "the shortest key there is"),
    "exactly-32": ("0123456789abcdefghijklmnopqrstuv", "the length below which a start warns"),
    "exactly-64": ("B" * 64, "one SHA-256 block: used as it is"),
    "exactly-65": ("B" * 65, "one byte more than a block: HMAC hashes it first"),
    "long": ("long-key-" * 30, "270 bytes"),
    "looks-like-base64": ("dGVzdHNlY3JldA==", "base64 of `testsecret`, and a different key"),
    "looks-like-hex": ("74657374736563726574", "hex of `testsecret`, and a different key"),
    "non-ascii": ("schlüssel-Ω-🔑", "its UTF-8 bytes are the key"),
    "outer-spaces": (" padded ", "spaces belong to the key"),
    "rotation-old": ("rotation-key-old-0123456789abcdef", "first of two active keys"),
    "rotation-new": ("rotation-key-new-0123456789abcdef", "second of two active keys"),
}


def _seed(name: str) -> bytes:
    return hashlib.sha256(b"golden ed25519 seed " + name.encode()).digest()


ED25519_KEYS = {name: _seed(name) for name in ("agent-a", "agent-b")}


def ed25519_public(seed: bytes) -> bytes:
    """The raw public key of a seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def form_of(scheme: str) -> str:
    """The number form that a scheme signs."""
    return canonical.FIXED9 if scheme.endswith(FIXED_SUFFIX) else canonical.SHORTEST


def sign(scheme: str, key_name: str, record) -> bytes:
    """The raw signature of a record under one scheme and key."""
    data = canonical.payload(record, form_of(scheme))
    base = scheme.removesuffix(FIXED_SUFFIX)
    if base == ED25519:
        return Ed25519PrivateKey.from_private_bytes(ED25519_KEYS[key_name]).sign(canonical.digest(data))
    key = HMAC_KEYS[key_name][0].encode("utf-8")
    message = data if base == HMAC_PAYLOAD else canonical.digest(data)
    return hmac.new(key, message, hashlib.sha256).digest()


def b64(data: bytes) -> str:
    """Standard, padded base64."""
    return base64.b64encode(data).decode("ascii")


def unb64(text: str):
    """Bytes of canonical standard base64, or None for every other text."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    return data if b64(data) == text else None


def check(scheme: str, key_names, record, sig_text: str) -> bool:
    """Whether any active key authenticates the record."""
    sig = unb64(sig_text)
    if sig is None:
        return False
    data = canonical.payload(record, form_of(scheme))
    base = scheme.removesuffix(FIXED_SUFFIX)
    if base == ED25519:
        return len(sig) == 64 and any(_ed25519_ok(name, sig, canonical.digest(data)) for name in key_names)
    return any(hmac.compare_digest(sig, sign(scheme, name, record)) for name in key_names)


def _ed25519_ok(key_name: str, sig: bytes, message: bytes) -> bool:
    public = Ed25519PublicKey.from_public_bytes(ed25519_public(ED25519_KEYS[key_name]))
    try:
        public.verify(sig, message)
    except InvalidSignature:
        return False
    return True
