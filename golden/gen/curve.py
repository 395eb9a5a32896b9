"""Just enough edwards25519 arithmetic to name the small-order points and show that they are.

Owns no keys and signs nothing; slow and plain on purpose.
"""

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
IDENTITY = (0, 1)


def add(a, b):
    """The complete affine addition law."""
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2
    x3 = (x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P
    y3 = (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P
    return (x3, y3)


def times(k: int, point):
    """k·point by doubling and adding."""
    out = IDENTITY
    while k:
        if k & 1:
            out = add(out, point)
        point = add(point, point)
        k >>= 1
    return out


def decode(data: bytes):
    """A point from 32 bytes, tolerating y >= p and a sign bit on x = 0 as lax libraries do; else None."""
    word = int.from_bytes(data, "little")
    sign, y = word >> 255, (word & ((1 << 255) - 1)) % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None
    return ((P - x) % P if x & 1 != sign else x, y)


def encode(point) -> bytes:
    """The canonical 32 bytes of a point."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def _point_with_torsion():
    """Any point whose order has the full cofactor 8: L times it generates the torsion group."""
    for y in range(2, 200):
        point = decode(y.to_bytes(32, "little"))
        if point is None:
            continue
        torsion = times(L, point)
        if times(4, torsion) != IDENTITY:
            return torsion
    raise AssertionError("no generator of the torsion group among small y")


def small_order_encodings():
    """Every 32-byte text that some library decodes to a point of order 1, 2, 4 or 8, sorted."""
    generator = _point_with_torsion()
    found = set()
    for k in range(8):
        x, y = times(k, generator)
        for y_written in (y, y + P):
            if y_written >= 1 << 255:
                continue
            signs = (0, 1) if x == 0 else (x & 1,)
            for sign in signs:
                found.add((y_written | sign << 255).to_bytes(32, "little"))
    return sorted(found)
