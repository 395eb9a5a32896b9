"""SipHash-2-4 with 128 bits of output: the keyed hash that places a record's key.

Owns the hash and the way tenant and pcs_id are laid out under it.
"""

_MASK = (1 << 64) - 1


def _rotl(x: int, n: int) -> int:
    return (x << n | x >> (64 - n)) & _MASK


def _round(v0, v1, v2, v3):
    v0 = (v0 + v1) & _MASK
    v1 = _rotl(v1, 13) ^ v0
    v0 = _rotl(v0, 32)
    v2 = (v2 + v3) & _MASK
    v3 = _rotl(v3, 16) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = _rotl(v3, 21) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = _rotl(v1, 17) ^ v2
    v2 = _rotl(v2, 32)
    return v0, v1, v2, v3


def siphash128(key: bytes, data: bytes) -> bytes:
    """16 bytes: the two little-endian words of SipHash-2-4-128."""
    k0 = int.from_bytes(key[:8], "little")
    k1 = int.from_bytes(key[8:], "little")
    v = (k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573)
    tail = len(data) - len(data) % 8
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, tail, 8)]
    words.append(int.from_bytes(data[tail:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        v = _round(*_round(v[0], v[1], v[2], v[3] ^ word))
        v = (v[0] ^ word, v[1], v[2], v[3])
    out = []
    v = (v[0], v[1], v[2] ^ 0xEE, v[3])
    for step in range(2):
        if step:
            v = (v[0], v[1] ^ 0xDD, v[2], v[3])
        for _ in range(4):
            v = _round(*v)
        out.append((v[0] ^ v[1] ^ v[2] ^ v[3]).to_bytes(8, "little"))
    return b"".join(out)


def keyed_text(tenant: bytes, pcs_id: bytes) -> bytes:
    """Length-prefixed, so that no two (tenant, pcs_id) pairs share their bytes."""
    return len(tenant).to_bytes(4, "little") + tenant + len(pcs_id).to_bytes(4, "little") + pcs_id


def key_of(secret: bytes, tenant: str, pcs_id: str) -> bytes:
    """The 128-bit key under which an installation files a record."""
    return siphash128(secret, keyed_text(tenant.encode(), pcs_id.encode()))
